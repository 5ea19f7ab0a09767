"""The table of README.md from results/*.csv: python3 table.py RESULTS"""

import csv
import sys
from pathlib import Path

print("| certified first | recertified | sigma | inputs | n | budget | ACR of the first | ACR of the other | over from scratch |")
print("|---|---|--:|--:|--:|--:|--:|--:|--:|")
for path in sorted(Path(sys.argv[1]).glob("*.csv")):
    first, *others = list(csv.DictReader(path.open()))
    for row in others:
        share = 100 * int(row["evaluations"]) / (int(row["inputs"]) * int(first["n"]))
        print("| {} | {} | {} | {} | {} | {:.1f} % | {:.3f} | {:.3f} | {:.2f} |".format(
            first["network"], row["network"], row["sigma"], row["inputs"], first["n"], share,
            float(first["average_certified_radius"]), float(row["average_certified_radius"]),
            float(row["expected_speed_up"] or "nan")))
