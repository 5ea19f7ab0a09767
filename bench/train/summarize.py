"""Makes the tables of README.md of what speed.py and losses.py kept: summarize.py RESULTS."""

import csv
import statistics
import sys
from pathlib import Path

RESULTS = Path(sys.argv[1])
PEERS = ["torch", "compiled", "auto_LiRPA"]


def rows(name):
    path = RESULTS / name
    if not path.exists():
        return []
    with path.open() as file:
        return list(csv.DictReader(file, delimiter="\t"))


def table(head, body):
    print("| " + " | ".join(head) + " |")
    print("|" + "---|" * 2 + "--:|" * (len(head) - 2))
    for row in body:
        print("| " + " | ".join(map(str, row)) + " |")
    print()


def speed():
    found = rows("speed.tsv")
    kinds = list(dict.fromkeys((r["network"], r["method"], r["threads"]) for r in found))
    body = []
    for network, method, threads in kinds:
        mine = [r for r in found if (r["network"], r["method"], r["threads"]) == (network, method, threads)]
        of = lambda system, column: [float(r[column]) for r in mine if r["system"] == system]
        middle = lambda system, column: statistics.median(of(system, column)) if of(system, column) else None
        times = {system: middle(system, "cpu_ms") for system in ["recert", *PEERS]}
        best = min((p for p in PEERS if times[p]), key=times.get, default=None)
        if best is None or times["recert"] is None:
            continue
        ratios = [a / b for a, b in zip(of("recert", "cpu_ms"), of(best, "cpu_ms"))]
        walls = middle("recert", "wall_ms") / middle(best, "wall_ms")
        show = lambda x: "-" if x is None else f"{x:.0f}" if x >= 100 else f"{x:.1f}"
        spread = f"{times['recert'] / times[best]:.2f} ({min(ratios):.2f}-{max(ratios):.2f})"
        peaks = [show(middle(s, "peak_mib")) for s in ("recert", best)]
        body.append(
            [network, method, threads, mine[0]["batch"], *(show(times[s]) for s in ["recert", *PEERS]), spread]
            + [f"{walls:.2f}", *peaks]
        )
    head = ["network", "method", "threads", "batch", "recert", *PEERS, "ratio to the fastest", "by the clock"]
    table([*head, "peak MiB of recert", "of the fastest"], body)


def plain(name):
    found = rows(name)
    if found:
        table(list(found[0]), [list(row.values()) for row in found])


speed()
plain("losses.tsv")
plain("gradients.tsv")
