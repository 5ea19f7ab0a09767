"""Measures auto_LiRPA and recert in turns, and keeps what it saw.

    measure.py SHARED WORK AUTO_LIRPA COUNTS RESULTS

COUNTS is the example program of recert-bounds. RESULTS gets turns.tsv (a row for every
image bounded, with system, round and the process's peak), compared.tsv (a row for
every case and method: how far the two sides' bounds are apart over all images of the
case, in float64) and machine.json. Run by run.sh, in whose head the parameters are.
Python's standard library alone: whatever this process held in memory would count in the
children's peaks.
"""

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
SHARED, WORK, LIRPA, COUNTS, RESULTS = (Path(a) for a in sys.argv[1:6])
# Written by cases.py, which needs more than the standard library.
CASES = {case["name"]: case for case in json.loads((WORK / "cases.json").read_text())}
NAMES = os.environ.get("CASES", " ".join(CASES)).split()
ROUNDS = int(os.environ.get("ROUNDS", 4))
IMAGES = int(os.environ.get("IMAGES", 10))
# alpha-CROWN takes longest: it is measured in the first rounds alone where this says so.
ALPHA_ROUNDS = int(os.environ.get("ALPHA_ROUNDS", ROUNDS))
# Steps of alpha-CROWN that each side is measured at: the same, and those that take recert about as
# long as auto_LiRPA takes for 5 and 20 on profit_colt.
ALPHA = {"auto_LiRPA": [5, 20], "recert": [5, 20, 200, 700]}
MARGIN_COLUMNS = [f"m{j}" for j in range(10)]


def bound(system, case, method, start, images, double=False):
    """The rows that one process writes, as dictionaries, and its peak of memory in MiB."""
    out = WORK / f"{case['name']}.{system}.{method}{'.double' if double else ''}.tsv"
    network = WORK / f"{case['name']}.onnx"
    if system == "auto_LiRPA":
        command = [sys.executable, "-W", "ignore", HERE / "lirpa.py", LIRPA, SHARED, WORK, case["name"], method, out.with_suffix(".partial")]
        command += ["--from", start, "--images", images, *(["--double"] if double else [])]
    else:
        command = [COUNTS, network, case["dataset"], case["eps"], *counts_method(method), f"start={start}", f"images={images}"]
        command += [f"{name}={','.join(map(str, case[name]))}" for name in ["mean", "std"] if case[name]]
    if double and out.exists():
        # Bounds in float64 are the same on every run, and are made once for a WORK.
        return table(out), 0.0
    # One thread everywhere; what a library would start by itself is held back as well.
    environment = os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    # The example program writes its table to stdout; lirpa.py to a file, and its library prints.
    partial = out.with_suffix(".partial")
    with (partial if system == "recert" else WORK / "stdout").open("w") as stdout:
        child = subprocess.Popen([str(c) for c in command], env=environment, stdout=stdout)
        _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        sys.exit(f"{' '.join(map(str, command))} failed")
    partial.replace(out)
    return table(out), usage.ru_maxrss / 1024


def table(path):
    """The rows of a tab-separated file with a head."""
    lines = [line.rstrip("\n").split("\t") for line in path.open(encoding="utf-8")]
    names, *rows = [line for line in lines if not line[0].startswith("#")]
    return [dict(zip(names, row, strict=True)) for row in rows]


def counts_method(method):
    """As the example program names it."""
    name, _, steps = method.partition("-")
    return ["alpha-crown", f"steps={steps}"] if name == "alpha" else [method]


def turns(case, write):
    methods = [("ibp", list(ALPHA)), ("crown", list(ALPHA))]
    for system, steps in ALPHA.items():
        methods += [(f"alpha-{s}", [system]) for s in steps]
    for turn in range(ROUNDS):
        for method, systems in methods:
            if method.startswith("alpha") and turn >= ALPHA_ROUNDS:
                continue
            # Who goes first changes from round to round.
            for system in systems if turn % 2 == 0 else reversed(systems):
                rows, peak = bound(system, case, method, turn * IMAGES, IMAGES)
                for row in rows:
                    write(case=case["name"], system=system, round=turn, peak=f"{peak:.1f}", **row | {"method": method})
        print(f"{case['name']}: round {turn + 1} of {ROUNDS}", file=sys.stderr)


def compare(case, method):
    """Both sides' bounds of all images of the case. recert's CROWN intersects with intervals, which
    auto_LiRPA's does not: it is compared without that, and counted with it."""
    theirs = bound("auto_LiRPA", case, method, 0, case["images"], double=True)[0]
    ours = bound("recert", case, "crown-plain" if method == "crown" else method, 0, case["images"])[0]
    counted = bound("recert", case, method, 0, case["images"])[0] if method == "crown" else ours
    apart, below, margins, differ = 0.0, 0.0, 0, []
    for their, our, count in zip(theirs, ours, counted, strict=True):
        assert (their["image"], their["answer"]) == (our["image"], our["answer"]), (their, our)
        if their["verdict"] != our["verdict"]:
            differ.append(f"{their['image']} ({their['verdict']}, {our['verdict']})")
        scale = lambda number: max(1.0, abs(number))
        pairs = [tuple(float(row[m]) for row in (their, our, count)) for m in MARGIN_COLUMNS if their[m]]
        margins += len(pairs)
        apart = max([apart, *(abs(t - o) / scale(t) for t, o, _ in pairs)])
        below = max([below, *((t - c) / scale(t) for t, _, c in pairs)])
    verdicts = lambda rows, verdict: sum(row["verdict"] == verdict for row in rows)
    return {
        "case": case["name"],
        "method": method,
        "images": len(ours),
        "right": len(ours) - verdicts(ours, "wrong"),
        "auto_LiRPA verified": verdicts(theirs, "verified"),
        "recert verified": verdicts(ours, "verified"),
        "intersected": verdicts(counted, "verified"),
        "margins": margins,
        "largest difference": f"{apart:.2e}",
        "most that intersected ones are below": f"{below:.2e}",
        "verdicts that differ": "; ".join(differ),
    }


class Table:
    """A file of tab-separated rows that all have the first one's columns."""

    def __init__(self, path):
        self.file = path.open("w", encoding="utf-8", newline="\n")
        self.names = None

    def __call__(self, **row):
        if self.names is None:
            self.names = list(row)
            print(*self.names, sep="\t", file=self.file)
        assert list(row) == self.names, row
        print(*row.values(), sep="\t", file=self.file, flush=True)


def machine():
    cpu = [line.split(":")[1].strip() for line in Path("/proc/cpuinfo").open() if line.startswith("model name")]
    commit = subprocess.run(["git", "-C", LIRPA, "rev-parse", "HEAD"], capture_output=True, text=True)
    torch = subprocess.run([sys.executable, "-c", "import torch; print(torch.__version__)"], capture_output=True, text=True)
    return {
        "processor": cpu[0],
        "cores": len(cpu),
        "python": platform.python_version(),
        "torch": torch.stdout.strip(),
        "auto_LiRPA": os.environ.get("AUTO_LIRPA_COMMIT") or commit.stdout.strip(),
        "load before": Path("/proc/loadavg").read_text().split()[:3],
    }


def main():
    (RESULTS / "machine.json").write_text(json.dumps(machine(), indent=2) + "\n")
    if ROUNDS:
        write = Table(RESULTS / "turns.tsv")
        for name in NAMES:
            turns(CASES[name], write)
    if os.environ.get("COMPARE", "1") != "0":
        write = Table(RESULTS / "compared.tsv")
        for name in NAMES:
            for method in ["ibp", "crown"]:
                write(**compare(CASES[name], method))


if __name__ == "__main__":
    main()
