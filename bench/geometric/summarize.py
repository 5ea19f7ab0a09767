"""Prints the tables of README.md from results/*.tsv.

Usage: python3 bench/geometric/summarize.py
"""

import csv
import statistics
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
LADDER = ["sum", "sum+merged", "knapsack", "vertices", "forward"]


def rows(name):
    path = RESULTS / f"{name}.tsv"
    if not path.exists():
        return []
    with path.open() as file:
        return list(csv.DictReader(file, delimiter="\t"))


def share(part, whole):
    return f"{100 * part / whole:.1f} %"


def proved_by(row):
    """The methods that proved cells of an image, each with its number of cells."""
    entries = [entry.rpartition(":") for entry in row["cells"].split(",") if entry]
    return {name: int(count) for name, _, count in entries}


def ladder(name):
    """Images of which every cell is proved by a method or one before it."""
    table = rows(name)
    counts = []
    for last in range(len(LADDER)):
        allowed = set(LADDER[: last + 1])
        counts.append(sum(row["verdict"] == "verified" and set(proved_by(row)) <= allowed for row in table))
    return table, counts


def grids():
    cut = {row["image"]: row["verdict"] for row in rows("rotate_adaptive")}
    print("| cells | images | " + " | ".join(LADDER) + " | images also cut adaptively | of these, sum | adaptive |")
    print("|---" * (len(LADDER) + 5) + "|")
    for cells in (30, 60, 120, 240):
        table, counts = ladder(f"rotate_grid{cells}")
        if table:
            shares = " | ".join(share(count, len(table)) for count in counts)
            both = [row for row in table if row["image"] in cut]
            by_sum = sum(row["verdict"] == "verified" and set(proved_by(row)) <= {"sum"} for row in both)
            by_cutting = sum(cut[row["image"]] == "verified" for row in both)
            print(
                f"| {cells} | {len(table)} | {shares} | {len(both)} |"
                f" {share(by_sum, len(both))} | {share(by_cutting, len(both))} |"
            )
    print()


def adaptive(name):
    table = rows(name)
    if not table:
        return
    verdict = {kind: [row for row in table if row["verdict"] == kind] for kind in ("verified", "falsified", "unknown")}
    passes = [sum(int(row[kind]) for kind in ("interval", "forward", "crown")) for row in table]
    of_verified = [int(row["interval"]) + int(row["forward"]) + int(row["crown"]) for row in verdict["verified"]]
    busy = [float(row["processor"]) for row in table]
    print(f"{name}: {len(table)} images: " + ", ".join(f"{kind} {len(v)} ({share(len(v), len(table))})" for kind, v in verdict.items()))
    print(
        f"  passes an image: mean {statistics.mean(passes):.1f}, median {statistics.median(passes):.0f},"
        f" most {max(passes)}; of verified images: mean {statistics.mean(of_verified):.1f}, most {max(of_verified)}"
    )
    print(f"  processor seconds an image: mean {statistics.mean(busy):.3f}, most {max(busy):.2f}")


grids()
for path in sorted(RESULTS.glob("*.tsv")):
    if not path.stem.startswith("rotate_grid"):
        adaptive(path.stem)
