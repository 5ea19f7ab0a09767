"""Measures every system in turn, and keeps what it saw.

    measure.py WORK SHARED RECERT INSIDE RESULTS

RECERT is the binary, INSIDE the program in inside/, RESULTS the folder for raw.jsonl
and machine.json. Python's standard library alone: whatever this process held in
memory would count in the children's peaks. Run by run.sh, in whose head the
parameters are.
"""

import json
import os
import platform
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path

HERE = Path(__file__).parent
WORK, SHARED, RECERT, INSIDE, RESULTS = (Path(a) for a in sys.argv[1:6])
SIGMA, N0 = 0.5, 100
ROUNDS = int(os.environ.get("ROUNDS", 3))
# Seconds that one turn is to take, and the inputs among which it divides its copies.
TURN = float(os.environ.get("TURN", 1.5))
INPUTS = {"ResNet-20": 6, "ResNet-56": 6, "MobileNet": 3}
THREADS = [int(t) for t in os.environ.get("THREADS", "1 2").split()]
# Copies an input in the certification of 20 inputs: ours, and the peers'.
N = int(os.environ.get("N", 10_000))
N_PEERS = int(os.environ.get("N_PEERS", 1_000))
CIFAR, IMAGENET = WORK / "cifar10.npy", WORK / "imagenet.npy"

# Name, float32 file, the same network in int8, images.
NETWORKS = [
    ("ResNet-20", SHARED / "models/cifar10/resnet20_sigma0.50.onnx", WORK / "resnet20.int8.onnx", CIFAR),
    ("ResNet-56", SHARED / "models/cifar10/resnet56_sigma0.50.onnx", None, CIFAR),
    ("MobileNet", SHARED / "models/imagenet/mobilenet_v1_0.25_224_f32.onnx",
     SHARED / "models/imagenet/mobilenet_v1_0.25_224_quant_qdq.onnx", IMAGENET),
]
LOOPS = ["torch eager f32", "torch channels-last f32", "torch channels-last bf16"]
PEERS = [*LOOPS, "art f32"]
# The fastest are looked into in every round, at half of N copies for each of 4 inputs.
CLOCKED = ["openvino int8", "direct int8"]
# Certified in full on all threads, where they are here.
FULL = ["direct int8", "openvino int8", "openvino bf16", "direct f32"]
FULL_PEERS = ["torch channels-last f32", "torch channels-last bf16", "art f32"]


def record(kind, **what):
    what = {"kind": kind, "at": round(time.time() - BEGAN, 1), "load": Path("/proc/loadavg").read_text().split()[:3]} | what
    with open(RESULTS / "raw.jsonl", "a", encoding="utf-8", newline="\n") as out:
        out.write(json.dumps(what) + "\n")
    shown = {k: v for k, v in what.items() if k not in ("kind", "answers", "rates")}
    print(kind, *shown.values(), file=sys.stderr)
    return what


class Peers:
    """The server of peers.py."""

    def __init__(self):
        self.process = subprocess.Popen(
            [sys.executable, HERE / "peers.py", "serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, **job):
        self.process.stdin.write(json.dumps(job, default=str) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        if "error" in answer:
            sys.exit(f"{job['system']}: {answer['error']}")
        return answer


def certify(network, engine, precision, threads, inputs, n):
    """One run of the binary, from its start to its end, in a process of its own."""
    name, model, quantized, images = network
    ledger = WORK / "turn.recert"
    ledger.unlink(missing_ok=True)
    start = time.perf_counter()
    process = subprocess.Popen(
        [RECERT, "certify", "--model", quantized if precision == "int8" else model, "--data", f"npy:{images}",
         "--sigma", str(SIGMA), "--n", str(n), "--n0", str(N0), "--limit", str(inputs), "--engine", engine,
         "--precision", precision, "--threads", str(threads), "--ledger", ledger, "--one-sided", "--quiet"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    # A few rows and lines: the pipes hold them until the process has ended.
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - start
    rows, log = process.stdout.read(), process.stderr.read()
    if status != 0:
        sys.exit(f"{name} by {engine} in {precision}: {log}")
    # "6 of 6 inputs of .. certified: 1800 evaluations in 1.2 s, 1500 a second"
    summary = next(line for line in log.splitlines() if " evaluations in " in line)
    evaluations = int(summary.split(" evaluations in ")[0].split()[-1])
    rate = int(summary.split(", ")[-1].split()[0])
    answers = [row.split("\t") for row in rows.splitlines()[1:]]
    return {"evaluations": evaluations, "seconds": evaluations / rate, "rate": rate, "wall": wall,
            "peak_mib": usage.ru_maxrss / 1024, "cpu": usage.ru_utime + usage.ru_stime,
            "ledger_bytes": ledger.stat().st_size, "answers": [[int(row[2]), float(row[3])] for row in answers]}


def inside(network, engine, precision, threads, inputs, n):
    name, model, quantized, images = network
    ledger = WORK / "inside.recert"
    ledger.unlink(missing_ok=True)
    done = subprocess.run(
        [INSIDE, "run", quantized if precision == "int8" else model, f"npy:{images}", str(SIGMA), str(inputs),
         str(n), engine, precision, str(threads), "32", ledger], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{name} by {engine} in {precision}: {done.stderr}")
    return json.loads(done.stdout)


def ours(network, engines):
    """Every engine and precision that is here and takes the network."""
    systems = []
    for engine in engines["engines"]:
        if not engine["found"]:
            record("missing", system=engine["name"], why=engine["why_not"])
            continue
        precisions = [p for p in engine["devices"][0]["precisions"] if p != "int8"]
        # 8 bits are the file's.
        if network[2]:
            precisions.append("int8")
        systems += [(engine["name"], precision) for precision in precisions]
    return systems


def machine(engines):
    fields = {}
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        key, _, value = line.partition(":")
        fields.setdefault(key.strip(), value.strip())
    flags = fields.get("flags", "").split()
    packages = ["torch", "onnxruntime", "openvino", "adversarial-robustness-toolbox", "numpy", "scipy", "statsmodels", "onnx"]
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=HERE, capture_output=True, text=True).stdout.strip()
    out = {
        "cpu": {k: fields.get(k) for k in ("model name", "cpu family", "model", "stepping", "cache size")},
        "flags": [f for f in flags if f.startswith(("avx", "amx", "fma", "f16c", "sse4"))],
        "cores": os.cpu_count(), "system": platform.platform(), "python": platform.python_version(),
        "memory": Path("/proc/meminfo").read_text().splitlines()[0].split(":")[1].strip(),
        "packages": {p: metadata.version(p) for p in packages},
        "commit": commit, "engines": engines, "began": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(BEGAN)),
        "load_before": Path("/proc/loadavg").read_text().strip(),
        "parameters": {"rounds": ROUNDS, "turn": TURN, "inputs": INPUTS, "n": N, "n_peers": N_PEERS, "sigma": SIGMA, "n0": N0},
    }
    for engine in engines["engines"]:
        engine.pop("library", None)
    (RESULTS / "machine.json").write_text(json.dumps(out, indent=1) + "\n", encoding="utf-8")


def copies(rate, inputs):
    """Copies an input with which a turn takes about TURN seconds, from a rate in evaluations a second."""
    return max(50, round(rate * TURN / inputs) - N0)


def main():
    (RESULTS / "raw.jsonl").unlink(missing_ok=True)
    engines = json.loads(subprocess.run([RECERT, "engines", "--json"], capture_output=True, text=True, check=True).stdout)
    machine(engines)
    peers = Peers()

    def turn(network, system, threads, n, batch, inputs):
        if system in PEERS:
            return peers.ask(system=system, network=network[1], images=network[3], sigma=SIGMA, threads=threads,
                             inputs=inputs, n=n, n0=N0, batch=batch)
        return certify(network, *system.split(), threads, inputs, n)

    # A short measurement of each: the batch of the peers, the copies of all.
    plan, rates = {}, {}
    for network in NETWORKS:
        name, inputs = network[0], INPUTS[network[0]]
        for threads in THREADS:
            # ART's batches are computed as the eager loop's are, and get its size.
            for system in PEERS:
                if system in LOOPS:
                    tried = peers.ask(system=system, network=network[1], images=network[3], sigma=SIGMA,
                                      threads=threads, n0=N0, batch=0)
                    record("try", network=name, system=system, threads=threads, **tried)
                    plan[name, threads, system] = (copies(max(tried["rates"].values()), inputs), tried["batch"])
                else:
                    plan[name, threads, system] = plan[name, threads, PEERS[0]]
            for engine, precision in ours(network, engines):
                system = f"{engine} {precision}"
                if threads == THREADS[0]:
                    rates[system] = certify(network, engine, precision, threads, 1, 200)["rate"] / threads
                # It chooses its batch itself.
                plan[name, threads, system] = (copies(rates[system] * threads, inputs), None)
    for round in range(ROUNDS):
        for network in NETWORKS:
            inputs = INPUTS[network[0]]
            for threads in THREADS:
                systems = [key for key in plan if key[:2] == (network[0], threads)]
                # Nobody always comes first.
                first = round * len(systems) // ROUNDS
                for name, _, system in systems[first:] + systems[:first]:
                    n, batch = plan[name, threads, system]
                    result = turn(network, system, threads, n, batch, inputs)
                    record("turn", round=round, network=name, system=system, threads=threads, n=n, batch=batch,
                           inputs=inputs, **result)
        network = NETWORKS[0]
        for threads in THREADS:
            result = peers.ask(system="randn", threads=threads, batch=100)
            record("noise", round=round, system="torch.randn", threads=threads, rate=result["rate"])
            for system in CLOCKED:
                if (network[0], threads, system) in plan:
                    result = inside(network, *system.split(), threads, 4, N // 2)
                    record("inside", round=round, network=network[0], system=system, threads=threads, n=N // 2, inputs=4, **result)
        if (WORK / "peak").exists():
            result = json.loads(subprocess.run([WORK / "peak"], capture_output=True, text=True, check=True).stdout)
            record("peak", round=round, **result)
        result = json.loads(subprocess.run([INSIDE, "noise"], capture_output=True, text=True, check=True).stdout)
        for threads, rate in result.items():
            record("noise", round=round, system="recert-noise", threads=int(threads), rate=rate)
    # The clock inside, once, for what was not measured above.
    for network in NETWORKS:
        inputs = INPUTS[network[0]]
        for engine, precision in ours(network, engines):
            system = f"{engine} {precision}"
            if network is not NETWORKS[0] or system not in CLOCKED:
                n, _ = plan[network[0], THREADS[0], system]
                result = inside(network, engine, precision, THREADS[0], inputs, n)
                record("inside", round=0, network=network[0], system=system, threads=THREADS[0], n=n, inputs=inputs, **result)
    network, threads = NETWORKS[0], THREADS[-1]
    for system in FULL_PEERS + [s for s in FULL if (network[0], threads, s) in plan]:
        # Never fewer copies for ours: what they take is measured, not extrapolated.
        n = N_PEERS if system in PEERS else N
        _, batch = plan[network[0], threads, system]
        result = turn(network, system, threads, n, batch, 20)
        record("full", network=network[0], system=system, threads=threads, n=n, batch=batch, inputs=20, **result)
    print(f"{(time.time() - BEGAN) / 60:.1f} minutes", file=sys.stderr)


if __name__ == "__main__":
    BEGAN = time.time()
    main()
