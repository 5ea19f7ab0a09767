"""Makes the tables of README.md of what speed.py and losses.py kept: summarize.py RESULTS."""

import csv
import statistics
import sys
from pathlib import Path

RESULTS = Path(sys.argv[1])
PEERS = {"torch": "PyTorch", "compiled": "torch.compile", "auto_LiRPA": "auto_LiRPA"}


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


def shown(x):
    return f"{x:.0f}" if x >= 100 else f"{x:.1f}"


def speed():
    """Times by the clock, medians over rounds; ratios to the fastest of the others, by medians, in brackets the least
    and the largest of a round, then of the least times of all rounds, and of processor time."""
    found = rows("speed.tsv")
    if not found:
        return
    systems = [peer for peer in PEERS if any(row["system"] == peer for row in found)]
    kinds = list(dict.fromkeys((r["network"], r["method"], r["threads"]) for r in found))
    body = []
    for kind in kinds:
        mine = [r for r in found if (r["network"], r["method"], r["threads"]) == kind]
        of = lambda system, column: [float(r[column]) for r in mine if r["system"] == system]
        middle = lambda system, column: statistics.median(of(system, column))
        there = [peer for peer in systems if of(peer, "wall_ms")]
        if not there or not of("recert", "wall_ms"):
            continue
        best = min(there, key=lambda peer: middle(peer, "wall_ms"))
        ratio = lambda column: middle("recert", column) / middle(best, column)
        rounds = [a / b for a, b in zip(of("recert", "wall_ms"), of(best, "wall_ms"))]
        least = min(of("recert", "wall_ms")) / min(of(best, "wall_ms"))
        times = [shown(middle(peer, "wall_ms")) if peer in there else "-" for peer in systems]
        spread = f"{ratio('wall_ms'):.2f} ({min(rounds):.2f}-{max(rounds):.2f})"
        peaks = [f"{middle(system, 'peak_mib'):.0f}" for system in ("recert", best)]
        row = [*kind, shown(middle("recert", "wall_ms")), *times]
        body.append([*row, spread, f"{least:.2f}", f"{ratio('cpu_ms'):.2f}", *peaks])
    head = ["network", "method", "threads", "recert, ms by the clock", *(PEERS[peer] for peer in systems)]
    head += ["ratio (rounds)", "of least times", "of processor time", "peak MiB of recert"]
    head.append(f"of {'PyTorch' if systems == ['torch'] else 'the fastest'}")
    table(head, body)


def losses():
    columns = {
        "method": "method", "loss": "loss, float32", "loss_double": "float64", "trajectory": "50 own steps",
        "attacks": "with own attacks", "points": "same pixels",
    }  # fmt: skip
    found = rows("losses.tsv")
    if found:
        body = [[row[column] for column in columns] for row in found]
        table(list(columns.values()), body)


def plain(name):
    found = rows(name)
    if found:
        table(list(found[0]), [list(row.values()) for row in found])


speed()
losses()
plain("gradients.tsv")
