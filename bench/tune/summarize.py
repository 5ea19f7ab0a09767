"""The figures of README.md from results/: python3 summarize.py RESULTS"""

import json
import sys
from pathlib import Path

folder = Path(sys.argv[1])
PAIRS_IRS = 0.1  # the published method's share of n for each network


def read(name):
    return json.loads((folder / f"{name}.json").read_text())


print("| proposals | looked at | cheapest that is certified to meet | of the size | value | evaluations | of which search |")
print("|---|--:|---|--:|--:|--:|--:|")
for name in ("search", "random", "search-99"):
    if not (folder / f"{name}.json").exists():
        continue
    found = read(name)
    meets = [one for one in found["networks"] if one["certified"] and one["certified"]["meets"]]
    best = min(meets, key=lambda one: one["cost"], default=None)
    spent = found["searched"] + found["certified"]
    size = "-" if best is None else f"{100 * best['cost'] / found['original'][1]:.1f} %"
    value = "-" if best is None else f"{best['certified']['value']:.4f}"
    print(f"| {name} | {len(found['networks'])} | {best['name'] if best else '-'} | {size} | {value} "
          f"| {spent:,} | {found['searched']:,} |")
found = read("search")
spent = found["searched"] + found["certified"]
scratch = found["from_scratch"]
print(f"\nOriginal: {found['original'][0]:.4f}; asked for: {found['constraint']:.4f}.")
print(f"Certifying each of {len(found['networks'])} from scratch: {scratch:,}, {scratch / spent:.1f} times as many.")
irs = PAIRS_IRS * scratch
print(f"The published method on as many networks by chance, with {PAIRS_IRS:.0%} of n each: {irs:,.0f}, {irs / spent:.1f} times.")
stopped = sum(one["stopped"] for one in found["networks"])
print(f"Stopped early: {stopped} of {len(found['networks'])}.")
