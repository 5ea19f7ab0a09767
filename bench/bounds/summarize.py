"""The tables of the README, of what measure.py kept.

    summarize.py RESULTS
"""

import csv
import sys
from collections import defaultdict
from pathlib import Path
from statistics import median

RESULTS = Path(sys.argv[1])


def read(name):
    with (RESULTS / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def table(head, rows):
    print("| " + " | ".join(head) + " |")
    print("|" + "---|" * len(head))
    for row in rows:
        print("| " + " | ".join(str(cell) for cell in row) + " |")
    print()


def ratios(theirs, ours):
    """Median over the rounds of a round's ratio of medians, with the least and the most."""
    by_round = lambda rows, turn: median(float(r["cpu"]) for r in rows if r["round"] == turn)
    each = [by_round(theirs, turn) / by_round(ours, turn) for turn in sorted({r["round"] for r in ours} & {r["round"] for r in theirs})]
    return f"{median(each):.2f} ({min(each):.2f}-{max(each):.2f})"


def main():
    groups = defaultdict(list)
    for row in read("turns.tsv") if (RESULTS / "turns.tsv").exists() else []:
        if row["verdict"] != "wrong":
            groups[row["case"], row["method"], row["system"]].append(row)
    seconds = lambda rows: median(float(row["cpu"]) for row in rows)
    peak = lambda rows: max(float(row["peak"]) for row in rows)

    print("Milliseconds of processor time an image (median), how many times as fast recert is, and memory in MiB\n")
    rows = []
    for (case, method, system), ours in groups.items():
        if system != "recert" or method.startswith("alpha"):
            continue
        theirs = groups[case, method, "auto_LiRPA"]
        rows.append([
            case, method, len(ours), f"{seconds(theirs) * 1e3:.2f}", f"{seconds(ours) * 1e3:.2f}", ratios(theirs, ours),
            f"{peak(theirs):.0f}", f"{peak(ours):.0f}",
        ])
    table(["network", "method", "images", "auto_LiRPA", "recert", "ratio", "peak of auto_LiRPA", "of recert"], rows)

    print("alpha-CROWN of the images that neither side's CROWN proves\n")
    proved = {(row["case"], row["image"]) for rows in groups.values() for row in rows
              if row["method"] == "crown" and row["verdict"] == "verified"}
    rows = []
    for (case, method, system), group in groups.items():
        open_ones = [row for row in group if (case, row["image"]) not in proved]
        if method.startswith("alpha") and open_ones:
            verified = sum(row["verdict"] == "verified" for row in open_ones)
            least = [min(float(row[f"m{j}"]) for j in range(10) if row[f"m{j}"]) for row in open_ones]
            rows.append([
                case, system, method.removeprefix("alpha-"), f"{seconds(open_ones) * 1e3:.1f}",
                f"{verified} of {len(open_ones)}", f"{sum(least) / len(least):.3f}",
            ])
    table(["network", "system", "steps", "ms of processor time an image", "proved", "least margin (mean)"], rows)

    if (RESULTS / "compared.tsv").exists():
        print("Bounds of all images, in float64\n")
        rows = read("compared.tsv")
        table(list(rows[0]), [list(row.values()) for row in rows])


if __name__ == "__main__":
    main()
