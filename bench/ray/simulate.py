#!/usr/bin/env python3
"""How busy workers are, by simulation, at numbers of workers that were not at hand.

The process that runs the job does one thing at a time: it hands a chunk to the worker that has the fewest, and
takes the reply to one, at `--driver` microseconds of CPU a chunk in all, half of it for each. A worker takes
`--worker` microseconds a chunk beside its samples, which take the time that is given, one tenth more or less
at random, and a chunk is `--latency` microseconds on its way, half of them there and half back. As many chunks are
in flight as `recert.ray` has threads for so many workers. Efficiency is the time that workers spent on samples
over what they had, until the last one is done.

The costs are those that overhead.py measured; README.md has what comes of them.
"""

from __future__ import annotations

import argparse
import heapq
import json
import random

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--driver", type=float, required=True)
parser.add_argument("--worker", type=float, required=True)
parser.add_argument("--latency", type=float, required=True)
parser.add_argument("--workers", type=int, nargs="+", default=[64, 500, 1000])
parser.add_argument("--seconds", type=float, nargs="+", default=[0.05, 0.1, 0.2, 0.4, 0.8])
parser.add_argument("--run", type=float, default=120.0, help="seconds that the run would take without overhead")
parser.add_argument("--most", type=int, default=512, help="the most threads")
parser.add_argument("--deep", type=int, default=32, help="up to so many, there are two for each worker")
parser.add_argument("--out", default="results/simulated.jsonl")
args = parser.parse_args()


def efficiency(workers: int, threads: int, seconds: float) -> tuple[float, float]:
    """That of the workers, and how busy the process is that runs the job."""
    half, way, more = args.driver / 2e6, args.latency / 2e6, args.worker / 1e6
    random.seed(0)
    chunks = max(threads, round(workers * args.run / seconds))
    depth = [0] * workers
    free = [0.0] * workers
    # Workers with fewer chunks first; entries that are out of date are passed over.
    least = [(0, i) for i in range(workers)]
    heapq.heapify(least)
    driver = busy = spent = end = 0.0
    begun = 0
    # What the driver is to do, by when it can: hand out a chunk (-1), or take a worker's reply.
    todo = [(0.0, i, -1) for i in range(threads)]
    count = threads
    while todo:
        when, _, worker = heapq.heappop(todo)
        driver = max(driver, when) + half
        busy += half
        if worker >= 0:
            depth[worker] -= 1
            heapq.heappush(least, (depth[worker], worker))
            end = driver
            heapq.heappush(todo, (driver, count, -1))
            count += 1
            continue
        if begun == chunks:
            busy -= half
            driver -= half
            continue
        begun += 1
        while True:
            known, worker = heapq.heappop(least)
            if known == depth[worker]:
                break
        depth[worker] += 1
        heapq.heappush(least, (depth[worker], worker))
        samples = seconds * random.uniform(0.9, 1.1)
        free[worker] = max(free[worker], driver + way) + more + samples
        spent += samples
        heapq.heappush(todo, (free[worker] + way, count, worker))
        count += 1
    return spent / (workers * end), busy / end


with open(args.out, "a") as out:
    for workers in args.workers:
        threads = min(args.most, max(workers, min(2 * workers, args.deep)))
        for seconds in args.seconds:
            share, driver = efficiency(workers, threads, seconds)
            line = {
                "workers": workers, "in_flight": threads, "chunk_s": seconds,
                "efficiency": round(share, 4), "driver_busy": round(driver, 4),
                "driver_us": args.driver, "worker_us": args.worker, "latency_us": args.latency,
            }
            print(json.dumps(line), flush=True)
            out.write(json.dumps(line) + "\n")
