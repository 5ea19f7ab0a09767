#!/usr/bin/env python3
"""What a chunk costs over Ray, beside its samples: `recert.ray.certify` of a network that answers at once.

Every chunk is one request: `--n` samples of an input, or its one selection sample. Measured are the wall time
and the CPU time of the process that runs the job and of the workers, a chunk; with `--workers 1 --one-at-a-time` also how long
a chunk is on its way. The same job without Ray shows what of it is the job's and the ledger's. A line of JSON
a measurement is appended to --out. README.md has the commands and what was measured.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import ray

import recert
import recert.ray
from recert import _pool

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--workers", type=int, default=2)
parser.add_argument("--one-at-a-time", action="store_true", help="one chunk in flight")
parser.add_argument("--depth", type=int, help="chunks that a worker has, for many in flight")
parser.add_argument("--n", type=int, default=64, help="samples of an input, which are one chunk")
parser.add_argument("--side", type=int, default=2, help="images are [3, side, side]")
parser.add_argument("--inputs", type=int, default=2000)
parser.add_argument("--rounds", type=int, default=3)
parser.add_argument("--out", default="results/overhead.jsonl")
args = parser.parse_args()


def nothing(batch: np.ndarray) -> np.ndarray:
    """The class of every image, at once."""
    return np.zeros(len(batch), dtype=np.int64)


def of_workers() -> float:
    """CPU seconds of all workers' processes so far."""
    ticks = 0
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cmdline").read_bytes().startswith(b"ray::Answering"):
                fields = (process / "stat").read_text().rsplit(")", 1)[1].split()
                ticks += int(fields[11]) + int(fields[12])
        except OSError:
            continue
    return ticks / os.sysconf("SC_CLK_TCK")


def measured(certify, **more) -> dict:
    images = np.random.default_rng(0).random((args.inputs, 3, args.side, args.side), dtype=np.float32)
    times: list[tuple[int, float, float, float]] = []

    def progress(done: int, of: int) -> None:
        """Notes what was done when, from when the first chunks have come back: workers have begun by then."""
        usage = resource.getrusage(resource.RUSAGE_SELF)
        cpu = usage.ru_utime + usage.ru_stime
        times.append((done, time.perf_counter(), cpu, of_workers()))

    with tempfile.TemporaryDirectory() as folder:
        certify(
            nothing, images, sigma=0.25, n=args.n, n0=1, id="nothing", num_classes=2, batch=args.n,
            ledger=Path(folder) / "run", progress=progress, **more,
        )
    # The first call says what there is to do. An input is two chunks.
    (first, *begun), (last, *ended) = times[1], times[-1]
    chunks = 2 * (last - first) / (args.n + 1)
    wall, cpu, workers = (1e6 * (end - start) / chunks for start, end in zip(begun, ended))
    found = {"chunks": round(chunks), "wall_us": round(wall), "cpu_us": round(cpu)}
    if certify is recert.ray.certify:
        found["workers_cpu_us"] = round(workers)
    return found


if args.one_at_a_time:
    args.depth = 1
if args.depth:
    _pool.DEPTH, _pool.DEEP = args.depth, args.depth * args.workers
ray.init(num_cpus=args.workers, include_dashboard=False, log_to_driver=False)
ways = {
    "ray": (recert.ray.certify, {"workers": args.workers}),
    "threads": (recert.certify, {"threads": (args.depth or _pool.DEPTH) * args.workers}),
}
Path(args.out).parent.mkdir(exist_ok=True)
for i in range(args.rounds):
    for way, (certify, more) in ways.items():
        line = {
            "way": way, "round": i, "n": args.n, "side": args.side, "workers": args.workers,
            "in_flight": (args.depth or _pool.DEPTH) * args.workers, **measured(certify, **more),
            "load": os.getloadavg()[0], "cpus": len(os.sched_getaffinity(0)),
            "ray": ray.__version__, "python": platform.python_version(),
        }
        print(json.dumps(line), flush=True)
        with open(args.out, "a") as out:
            out.write(json.dumps(line) + "\n")
