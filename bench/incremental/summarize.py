#!/usr/bin/env python3
"""Prints the tables of README.md from the rows that run.sh wrote.

    bench/incremental/summarize.py [RESULTS]

For each network and changed version, over the images that both classify rightly: how many are
verified from scratch and by each step of a transfer; which step each proof ends with; the rows carried
backwards, and the processor time, of verifying from scratch over those of a transfer that goes as far
as it has to (`layers`, as it stops at the first step that proves the property). Then families, and searches
of changed networks from scratch and from the parts of the first one's proof.
"""

import csv
import statistics
import sys
from collections import defaultdict
from pathlib import Path

results = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent / "results")
print("| network | version | images | verified from scratch | margins | values | layers "
      "| rows, scratch | transfer | ratio | ms, scratch | transfer | ratio (median) |")
print("|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
families, searches = [], []
for path in sorted(results.glob("*.tsv")):
    with path.open() as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    known = {r["image"]: r for r in rows if r["way"] == "known"}
    found = defaultdict(dict)
    for r in rows:
        if r["changed"] != "-":
            found[r["changed"]].setdefault(r["image"], {})[r["way"]] = r
    for version, images in found.items():
        right = {i: w for i, w in images.items() if w["scratch"]["verdict"] != "wrong"}
        pairs = [(w["search"], w["parts"]) for w in right.values() if "parts" in w]
        if pairs:
            searches.append((path.stem, version, pairs))
        if version.startswith("within:"):
            both = [(known[i], w["scratch"]) for i, w in right.items()]
            count = sum(k["verdict"] == "verified" for k, _ in both)
            all_of = sum(w["verdict"] == "verified" for _, w in both)
            ratio = statistics.median(float(w["seconds"]) / float(k["seconds"]) for k, w in both)
            families.append((path.stem, version.removeprefix("within:"), len(both), count, all_of, ratio))
            continue
        verified = {way: sum(w[way]["verdict"] == "verified" for w in right.values())
                    for way in ("scratch", "margins", "values", "layers")}
        total = {way: sum(int(w[way]["rows"]) for w in right.values()) for way in ("scratch", "layers")}
        times = {way: [float(w[way]["seconds"]) for w in right.values()] for way in ("scratch", "layers")}
        ratios = [s / max(t, 1e-9) for s, t in zip(times["scratch"], times["layers"])]
        mean = {way: 1000 * statistics.fmean(t) for way, t in times.items()}
        print(f"| {path.stem} | {version} | {len(right)} | {verified['scratch']} | {verified['margins']} "
              f"| {verified['values']} | {verified['layers']} | {total['scratch']} | {total['layers']} "
              f"| {total['scratch'] / max(total['layers'], 1):.1f} | {mean['scratch']:.1f} | {mean['layers']:.1f} "
              f"| {statistics.median(ratios):.1f} |")
print()
print("| network | family | images | verified: the network alone | all roundings at once | time, over one network's |")
print("|---|---|--:|--:|--:|--:|")
for name, step, images, alone, family, ratio in families:
    print(f"| {name} | {step} | {images} | {alone} | {family} | {ratio:.2f} |")

if searches:
    print()
    print("| network | version | images | decided from scratch | from known parts | parts bounded, scratch | known "
          "| s, scratch | known |")
    print("|---|---|--:|--:|--:|--:|--:|--:|--:|")
for name, version, pairs in searches:
    cells = [name, version, len(pairs)]
    cells += [sum(pair[i]["verdict"] != "unknown" for pair in pairs) for i in (0, 1)]
    cells += [sum(int(pair[i]["rows"]) for pair in pairs) for i in (0, 1)]
    cells += [f"{sum(float(pair[i]['seconds']) for pair in pairs):.2f}" for i in (0, 1)]
    print("| " + " | ".join(map(str, cells)) + " |")
