"""Prints the tables of README.md from results/.

Usage: python3 bench/train/geometric/summarize.py
"""

import csv
import re
import statistics
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
# Verdicts on CGT's own network, by the same verifier.
CGT = Path(__file__).parents[2] / "geometric" / "results"


def rows(path):
    with path.open() as file:
        return list(csv.DictReader(file, delimiter="\t"))


def share(part, whole):
    return f"{100 * part / whole:.1f} %"


def proved_by(row, methods):
    """Whether every cell of an image is proved by one of these methods."""
    names = {entry.rpartition(":")[0] for entry in row["cells"].split(",") if entry}
    return row["verdict"] == "verified" and names <= set(methods)


def verdicts(name, cut, methods):
    path = RESULTS / f"{name}_{cut}.tsv"
    if not path.exists():
        return "-"
    table = rows(path)
    text = share(sum(proved_by(row, methods) for row in table), len(table))
    return text if len(table) == 1000 else f"{text} of {len(table)}"


def falsified(name):
    path = RESULTS / f"{name}_adaptive.tsv"
    if not path.exists():
        return "-"
    table = rows(path)
    return share(sum(row["verdict"] == "falsified" for row in table), len(table))


def clean(name):
    """The test accuracy of a page of training."""
    path = RESULTS / f"{name}.md"
    found = re.search(r"^\| test \| ([^|]+) \|", path.read_text(), re.M) if path.exists() else None
    return found[1] if found else "-"


def networks():
    names = sorted(path.name.removesuffix("_adaptive.tsv") for path in RESULTS.glob("*_adaptive.tsv"))
    columns = ["network", "clean", "240 cells, sum", "60, sum", "60, merged", "60, knapsack", "adaptive", "falsified"]
    print(f"| {' | '.join(columns)} |\n{'|---' * len(columns)}|")
    for name in names:
        cells = [
            clean(name),
            verdicts(name, "240", ["sum"]),
            verdicts(name, "60", ["sum"]),
            verdicts(name, "60", ["sum", "sum+merged"]),
            verdicts(name, "60", ["sum", "sum+merged", "knapsack"]),
            verdicts(name, "adaptive", ["forward"]),
            falsified(name),
        ]
        print(f"| {name} | {' | '.join(cells)} |")
    print()


def beside_cgt():
    """Networks beside CGT's on the images that both were verified on, by every bound up to the one that is named."""
    ladder = ["sum", "sum+merged", "knapsack", "vertices", "forward"]
    compared = [
        (f"{name}_{cut}", other, what, methods)
        for name in ("knapsack60-1", "interval60-1")
        for cut, other, what, methods in [
            ("adaptive", "rotate_adaptive", "adaptive cells", ["forward"]),
            ("240", "rotate_grid240", "240 cells, CGT's bounds", ladder[:1]),
            ("240", "rotate_grid240", "240 cells, knapsack", ladder[:3]),
            ("240", "rotate_grid240", "240 cells, vertices", ladder[:4]),
            ("240", "rotate_grid240", "240 cells, forward", ladder),
        ]
    ]
    columns = ["network", "cells and bounds", "images", "verified", "CGT's network", "alone", "CGT's alone"]
    print(f"| {' | '.join(columns)} |\n{'|---' * len(columns)}|")
    for name, other, what, methods in compared:
        path = RESULTS / f"{name}.tsv"
        if not path.exists():
            continue
        mine, theirs = rows(path), {row["image"]: row for row in rows(CGT / f"{other}.tsv")}
        pairs = [(proved_by(row, methods), proved_by(theirs[row["image"]], methods)) for row in mine]
        alone = [pairs.count((True, False)), pairs.count((False, True))]
        found = [sum(pair[side] for pair in pairs) for side in (0, 1)]
        cells = [name.partition("_")[0], what, len(mine), *found, *alone]
        print(f"| {' | '.join(map(str, cells))} |")
    print()


def steps():
    path = RESULTS / "steps.tsv"
    if not path.exists():
        return
    found = {}
    for row in rows(path):
        found.setdefault((row["program"], row["pixels"]), []).append(float(row["milliseconds"]))
    base = found[("pytorch", "interval")]
    print("| program | pixel bounds | ms a step, median (least to most) | to PyTorch, median of turns |\n|---|---|---|---|")
    for (program, pixels), times in found.items():
        ratio = statistics.median(a / b for a, b in zip(times, base))
        middle = statistics.median(times)
        print(f"| {program} | {pixels} | {middle:.0f} ({min(times):.0f} to {max(times):.0f}) | {ratio:.2f} |")


networks()
beside_cgt()
steps()
