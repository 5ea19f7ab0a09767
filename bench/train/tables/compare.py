"""Prints recert's networks beside PyTorch's of the same settings, on the test images that both were verified on, from
results/:

    compare.py

With d the difference of verified accuracy, its standard error is over images, whose verdicts are paired; what another
seed changes is not in it.
"""

import csv
import math
from pathlib import Path

VERIFIED = "icab"  # The letters of table.py.
RESULTS = Path(__file__).parent / "results"


def rows(name):
    with open(RESULTS / name) as file:
        return list(csv.DictReader(file, delimiter="\t"))


def main():
    verdicts, seeds = rows("verdicts.tsv"), rows("seeds.tsv")
    runs = dict.fromkeys(column.rpartition(".")[0] for column in verdicts[0] if column.endswith(".peer"))
    names = ["run", "seed", "images", "recert: natural", "verified", "PyTorch: natural", "verified"]
    names += ["recert less PyTorch, verified", "verified of recert's alone", "of PyTorch's alone"]
    print(f"| {' | '.join(names)} |\n|--|{'--:|' * (len(names) - 1)}")
    for run in runs:
        both = [row for row in verdicts if row[f"{run}.recert"] and row[f"{run}.peer"]]
        pairs = [(row[f"{run}.recert"], row[f"{run}.peer"]) for row in both]
        share = lambda holds: 100 * sum(map(holds, pairs)) / len(pairs)
        proved = [(a in VERIFIED, b in VERIFIED) for a, b in pairs]
        alone = [proved.count((True, False)), proved.count((False, True))]
        difference = (alone[0] - alone[1]) / len(pairs)
        error = 100 * math.sqrt((sum(alone) / len(pairs) - difference**2) / len(pairs))
        numbers = [share(lambda pair, side=side, of=of: of(pair[side])) for side in (0, 1)
                   for of in (lambda letter: letter != "w", lambda letter: letter in VERIFIED)]  # fmt: skip
        cells = [run, 1, len(pairs), *(f"{number:.1f}" for number in numbers)]
        print(f"| {' | '.join(map(str, cells))} | {100 * difference:+.1f} ± {error:.1f} | {alone[0]} | {alone[1]} |")
    # Of other seeds there are the shares alone.
    found = {(row["run"], row["seed"], row["by"]): row for row in seeds}
    for run, seed in dict.fromkeys((row["run"], row["seed"]) for row in seeds if row["seed"] != "1"):
        mine, other = found[run, seed, "recert"], found[run, seed, "peer"]
        numbers = [f"{float(row[column]):.1f}" for row in (mine, other) for column in ("natural", "verified")]
        difference = float(mine["verified"]) - float(other["verified"])
        print(f"| {' | '.join([run, seed, mine['images'], *numbers])} | {difference:+.1f} | - | - |")


if __name__ == "__main__":
    main()
