"""The numbers of measure.py over the images on which all networks have a proof, so that these are the same images:

    common.py RESULTS

RESULTS has measure.py's features.tsv. It gets common.md: means in per cent, of the feature of largest priority, at the
smallest eps.
"""

import csv
import sys
from pathlib import Path
from statistics import mean

COLUMNS = {"digit": "digit", "on_digit": "on digit", "covered": "covered", "spurious": "spurious"}


def main(results):
    with open(results / "features.tsv") as file:
        found = [row for row in csv.DictReader(file, delimiter="\t") if row["place"] == "0"]
    least = min((row["eps"] for row in found), key=float)
    first = {}
    for row in found:
        if row["eps"] == least:
            first.setdefault(row["network"], {})[row["input"]] = row
    common = set.intersection(*(set(images) for images in first.values()))
    with open(results / "common.md", "w") as out:
        print(f"| network | eps | images | {' | '.join(COLUMNS.values())} |\n|{'--|' * 2}{'--:|' * 5}", file=out)
        for network, images in first.items():
            shares = [f"{100 * mean(float(images[i][column]) for i in common):.1f}" for column in COLUMNS]
            print(f"| {network} | {least} | {len(common)} | {' | '.join(shares)} |", file=out)
    print((results / "common.md").read_text(), end="")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
