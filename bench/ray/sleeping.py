#!/usr/bin/env python3
"""How busy workers are that do nothing but wait, so that many of them are on one machine: `--sleep` seconds a
sample. The share of the time between the first and the last answer that they spent on samples, which
simulate.py has for other numbers, and the length of a chunk. With `--each` a process stands for several workers,
whose chunks it waits for at the same time. A line of JSON is appended to --out.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import ray

import recert.ray
from recert import _pool

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--workers", type=int, default=16)
parser.add_argument("--each", type=int, default=1, help="workers that a process stands for")
parser.add_argument("--sleep", type=float, default=0.001)
parser.add_argument("--n", type=int, default=20_000)
parser.add_argument("--inputs", type=int, default=16)
parser.add_argument("--out", default="results/sleeping.jsonl")
args = parser.parse_args()


def network(batch: np.ndarray) -> np.ndarray:
    return np.zeros(len(batch), dtype=np.int64)


def waiting(sleep: float, each: int) -> type:
    """Workers that answer after a while, without noise."""

    class Waiting(_pool.Answering):
        def __init__(self):
            self._turns = threading.Semaphore(each)

        def answer(self, network, request, pixels, batch):
            samples = sum(end - start for start, end in request["samples"])
            with self._turns:
                time.sleep(sleep * samples)
            found = {"micros": int(1e6 * sleep * samples)}
            if request["action"] == "select":
                return {**found, "counts": {0: samples}, "invalid": 0, "edges": None}
            return {**found, "classes": np.zeros(samples, dtype=np.uint16), "margins": None}

    return Waiting


_pool.Answering = waiting(args.sleep, args.each)
processes = args.workers // args.each
if args.each > 1:
    # As many chunks as there were workers, or twice as many.
    chunks = max(args.workers, min(2 * args.workers, _pool.DEEP))
    _pool.DEPTH, _pool.DEEP = chunks // processes, chunks
ray.init(num_cpus=processes, include_dashboard=False, log_to_driver=False)
images = np.random.default_rng(0).random((args.inputs, 3, 2, 2), dtype=np.float32)
times: list[tuple[int, float, float]] = []
with tempfile.TemporaryDirectory() as folder:
    found = recert.ray.certify(
        network, images, sigma=0.25, n=args.n, n0=100, id="sleeping", num_classes=2, batch=64,
        ledger=Path(folder) / "run", workers=processes,
        progress=lambda done, of: times.append((done, time.perf_counter(), time.process_time())),
    )
# Workers have all begun when a quarter is done.
(first, begun, cpu), (last, ended, more) = next(one for one in times if one[0] > times[-1][0] / 4), times[-1]
workers = found.workers
line = {
    "workers": args.workers, "processes": processes, "sleep": args.sleep, "n": args.n, "inputs": args.inputs,
    "seconds": round(ended - begun, 2),
    "efficiency": round((last - first) * args.sleep / (args.workers * (ended - begun)), 4),
    "chunks": sum(worker["chunks"] for worker in workers),
    "chunk_s": round(
        sum(worker["seconds"] for worker in workers) / sum(worker["chunks"] for worker in workers), 3
    ),
    "driver_busy": round((more - cpu) / (ended - begun), 4),
    "load": os.getloadavg()[0],
}
print(json.dumps(line))
Path(args.out).parent.mkdir(exist_ok=True)
with open(args.out, "a") as out:
    out.write(json.dumps(line) + "\n")
