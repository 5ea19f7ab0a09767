#!/usr/bin/env python3
"""Prints the medians of results.tsv as a table: summarize.py [RESULTS]."""

import sys
from pathlib import Path
from statistics import median

path = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "results.tsv"
head, *lines = path.read_text(encoding="utf-8").splitlines()
rows = [dict(zip(head.split("\t"), line.split("\t"))) for line in lines]


def all_of(engine, k, how, what):
    of = [r for r in rows if (r["engine"], r["candidates"], r["how"]) == (engine, k, how)]
    return [float(r[what]) for r in sorted(of, key=lambda r: int(r["round"]))]


print("| engine | candidates | evaluations | processor s, one pass | one after the other | ratio, each round "
      "| wall s | | ratio, each round | peak MiB | |")
print("|---|--:|--:|--:|--:|---|--:|--:|---|--:|--:|")
for engine in dict.fromkeys(r["engine"] for r in rows):
    for k in dict.fromkeys(r["candidates"] for r in rows if r["engine"] == engine):
        pair = {what: [all_of(engine, k, how, what) for how in ("together", "apart")]
                for what in ("user_seconds", "seconds", "peak_MiB", "evaluations")}
        ratios = {what: ", ".join(f"{a / t:.2f}" for t, a in zip(*pair[what])) for what in ("user_seconds", "seconds")}
        cells = [engine, k, f"{median(pair['evaluations'][0]):.0f}"]
        for what in ("user_seconds", "seconds"):
            cells += [f"{median(values):.1f}" for values in pair[what]] + [ratios[what]]
        cells += [f"{median(values):.0f}" for values in pair["peak_MiB"]]
        print("| " + " | ".join(cells) + " |")
