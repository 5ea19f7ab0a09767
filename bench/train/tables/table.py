"""Counts the rows that run.sh's verifications left in WORK, and writes results/ in HERE; what results/ has of
other networks stays:

    table.py WORK HERE

verdicts.tsv has a line an image and a column a network, with a letter of LETTERS for what decided;
networks.tsv a line a network; table.md the same as a table.
"""

import csv
import re
import sys
import tomllib
from collections import Counter
from pathlib import Path

LETTERS = {
    "ibp": "i", "crown": "c", "alpha-crown": "a", "branch-and-bound": "b",  # verified
    "attack": "x", "answer": "w",  # falsified: a counterexample, answered wrongly as it is
    "unknown": "u",
}  # fmt: skip
VERIFIED = "icab"


def letter(row):
    return LETTERS["unknown" if row["verdict"] == "unknown" else row["by"]]


def processor(path):
    """User and system seconds of a log that ends with them."""
    found = re.findall(r"^cpu ([\d.]+) ([\d.]+)$", path.read_text(), re.MULTILINE)
    return sum(map(float, found[-1])) if found else None


def kept(file):
    """The rows of an earlier results/, if there is one."""
    if not file.exists():
        return []
    with open(file) as rows:
        return list(csv.DictReader(rows, delimiter="\t"))


def main(work, here):
    columns, lines = {}, []
    results = here / "results"
    verdicts = kept(results / "verdicts.tsv")
    networks = {(row["run"], row["by"]): row for row in kept(results / "networks.tsv")}
    for file in sorted((here / "runs").glob("*.toml")):
        settings = tomllib.loads(file.read_text())
        for side in ["recert", "peer"]:
            made = work / f"{side}.{file.stem}"
            column = f"{file.stem}.{side}"
            if not Path(f"{made}.tsv").exists():
                if (file.stem, side) in networks:
                    columns[column] = {row["input"]: row[column] for row in verdicts if row[column]}
                    lines.append(networks[file.stem, side])
                continue
            with open(f"{made}.tsv") as rows:
                letters = {row["input"]: letter(row) for row in csv.DictReader(rows, delimiter="\t")}
            columns[column] = letters
            found, total = Counter(letters.values()), len(letters)
            share = lambda of: f"{100 * sum(found[c] for c in of) / total:.2f}"
            lines.append({
                "run": file.stem, "by": side, "epochs": settings["epochs"], "images": total,
                "natural": share("icabxu"), "verified": share(VERIFIED), "by_ibp": share("i"),
                "falsified": share("x"), "unknown": share("u"),
                "training_cpu_s": f"{processor(Path(f'{made}.log')):.0f}",
                "verifying_cpu_s": f"{processor(Path(f'{made}.verify')):.0f}",
            })  # fmt: skip
    inputs = sorted({i for letters in columns.values() for i in letters}, key=int)
    with open(results / "verdicts.tsv", "w") as out:
        print("input", *columns, sep="\t", file=out)
        for i in inputs:
            print(i, *(letters.get(i, "") for letters in columns.values()), sep="\t", file=out)
    names = list(lines[0])
    with open(results / "networks.tsv", "w") as out:
        print(*names, sep="\t", file=out)
        for line in lines:
            print(*line.values(), sep="\t", file=out)
    with open(results / "table.md", "w") as out:
        print(f"| {' | '.join(names)} |\n|{'--|' * 2}{'--:|' * (len(names) - 2)}", file=out)
        for line in lines:
            print(f"| {' | '.join(str(value) for value in line.values())} |", file=out)
    print((results / "table.md").read_text(), end="")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
