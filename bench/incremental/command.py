#!/usr/bin/env python3
"""Processor time of `recert verify --from`, as a process, beside `verify` from scratch, in turns.

    bench/incremental/command.py RECERT SHARED WORK RESULTS.tsv [ROUNDS [NETWORK ..]]

RECERT is the binary; WORK a folder for ledgers and for the versions that `recert approximate` makes.
For each network the original is verified once, into a ledger. Then, in ROUNDS (5) turns, each changed
version is verified on the same images: from scratch into a new ledger; `--from` a copy of the
original's; and this with `--original`. `crown` is from scratch by `--method crown` alone, which spares the
attack and decides less: what a user who wants proofs alone would compare with. `start` is one image by interval bounds, which is
little more than starting and loading. One thread; user and system time of the process, by wait4.
RESULTS.tsv is appended to; `command.py RESULTS.tsv` prints its table.
"""

import csv
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

MNIST, CIFAR = "idx:{}/data/mnist/t10k-images-idx3-ubyte.gz", "cifar10-bin:{}/data/cifar10/test_every20.bin"
OTHERS = ["mnist/fcnn7_float16.onnx", "mnist/fcnn7_quant8.onnx", "mnist/fcnn7_prune_tune3.onnx"]
# Network, data, radius, images, versions of others, the arguments of `approximate` that make further ones, of all.
PAIRS = {
    "fcnn7": ("mnist/fcnn7.onnx", MNIST, "0.02", 20, OTHERS, {"prune1": ["--prune", "1%"], "prune10": ["--prune", "10%"]}, []),
    "cnn_crown_ibp": ("mnist/cnn_crown_ibp.onnx", MNIST, "0.1", 20, [],
                      {"prune1": ["--prune", "1%"], "prune10": ["--prune", "10%"]}, []),
    "profit_colt": ("mnist/profit_colt.onnx", MNIST, "0.1", 20, [],
                    {"prune1": ["--prune", "1%"], "prune10": ["--prune", "10%"]}, []),
    "resnet_2b": ("cifar10/resnet_2b.onnx", CIFAR, "1/255", 8, [],
                  {"prune1": ["--prune", "1%"], "prune10": ["--prune", "10%"]},
                  ["--mean", "0.4914,0.4822,0.4465", "--std", "0.2470,0.2435,0.2616"]),
}


def run(arguments):
    """Seconds on the processor and by the clock, and what was printed."""
    begun = time.perf_counter()
    child = subprocess.Popen([str(a) for a in arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, err = child.stdout.read(), child.stderr.read()
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise RuntimeError(f"{' '.join(map(str, arguments))}: exit code {child.returncode}\n{err.decode()[-500:]}")
    return usage.ru_utime + usage.ru_stime, time.perf_counter() - begun, out.decode()


def verdicts(printed):
    rows = [json.loads(line) for line in printed.splitlines()]
    rows = [row for row in rows if "verdict" in row]
    return len(rows), sum(row["verdict"] == "verified" for row in rows)


def measure(recert, shared, work, results, rounds, names):
    work.mkdir(parents=True, exist_ok=True)
    new = not results.exists()
    with results.open("a", encoding="utf-8", newline="\n") as file:
        if new:
            print("network", "version", "way", "round", "images", "verified", "s_on_the_processor", "s_by_the_clock",
                  "load", sep="\t", file=file)
        for name in names:
            network, data, eps, images, others, made, more = PAIRS[name]
            f = shared / "models" / network
            versions = {Path(other).stem: shared / "models" / other for other in others}
            for label, arguments in made.items():
                versions[label] = work / f"{name}.{label}.onnx"
                if not versions[label].exists():
                    run([recert, "approximate", f, *arguments, "--out", versions[label]])
            common = ["--threads", "1", "--json", "--quiet"]
            inputs = ["--data", data.format(shared), "--eps", eps, *more]
            ledger, copy = work / f"{name}.recert", work / f"{name}.copy.recert"

            def once(way, h):
                for old in work.glob(copy.name + "*"):
                    old.unlink()
                if way == "start":
                    return run([recert, "verify", "--model", h, *inputs, "--limit", 1, "--method", "ibp", *common])
                if way == "crown":
                    return run([recert, "verify", "--model", h, *inputs, "--limit", images, "--method", "crown",
                                "--ledger", copy, *common])
                if way == "scratch":
                    return run([recert, "verify", "--model", h, *inputs, "--limit", images, "--ledger", copy, *common])
                shutil.copy(ledger, copy)
                original = ["--original", f] if way == "from, original" else []
                return run([recert, "verify", "--from", copy, "--model", h, *original, *common])

            ledger.unlink(missing_ok=True)
            run([recert, "verify", "--model", f, *inputs, "--limit", images, "--ledger", ledger, *common])
            for turn in range(rounds):
                for version, h in versions.items():
                    for way in ("scratch", "crown", "from", "from, original", "start"):
                        try:
                            busy, wall, printed = once(way, h)
                        except RuntimeError as error:
                            print(error, file=sys.stderr)
                            continue
                        load = Path("/proc/loadavg").read_text().split()[0]
                        print(name, version, way, turn, *verdicts(printed), f"{busy:.3f}", f"{wall:.3f}", load,
                              sep="\t", file=file, flush=True)


def table(results):
    seen = defaultdict(lambda: defaultdict(list))
    with results.open() as file:
        for row in csv.DictReader(file, delimiter="\t"):
            seen[row["network"], row["version"]][row["way"]].append(row)
    print("| network | version | images | verified: scratch | crown | from | from, original | s: start | scratch | crown "
          "| from | from, original | scratch over: crown | from | from, original |")
    print("|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
    for (network, version), ways in seen.items():
        median = {way: statistics.median(float(row["s_on_the_processor"]) for row in rows) for way, rows in ways.items()}
        counts = [ways[way][0]["verified"] if way in ways else "-" for way in ("scratch", "crown", "from", "from, original")]
        times = [f"{median[way]:.2f}" if way in median else "-" for way in ("start", "scratch", "crown", "from", "from, original")]
        ratios = []
        for way in ("crown", "from", "from, original"):
            # In the same round, so that what else the machine does is much the same.
            turns = {row["round"]: float(row["s_on_the_processor"]) for row in ways.get(way, [])}
            pairs = [float(row["s_on_the_processor"]) / turns[row["round"]] for row in ways["scratch"] if row["round"] in turns]
            ratios.append(f"{statistics.median(pairs):.2f}" if pairs else "-")
        print("|", " | ".join([network, version, ways["scratch"][0]["images"], *counts, *times, *ratios]), "|")


if __name__ == "__main__":
    if len(sys.argv) == 2:
        table(Path(sys.argv[1]))
    else:
        recert, shared, work, results = (Path(argument).absolute() for argument in sys.argv[1:5])
        rounds = int(sys.argv[5]) if len(sys.argv) > 5 else 5
        measure(recert, shared, work, results, rounds, sys.argv[6:] or list(PAIRS))
