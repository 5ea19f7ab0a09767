"""Measures steps of training in turns, with recert and with PyTorch, and keeps what it saw.

    speed.py STEPS DATA WORK RESULTS [AUTO_LIRPA]

STEPS is the example program of recert-train. RESULTS gets speed.tsv (a row a run: medians over its steps after the
first four, and the process's peak of memory) and machine.json. Processor time is user and system, of all threads.
"""

import json
import os
import platform
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
STEPS, DATA, WORK, RESULTS = sys.argv[1], sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4])
LIRPA = sys.argv[5] if len(sys.argv) > 5 else None
SYSTEMS = os.environ.get("SYSTEMS", "recert torch compiled auto_LiRPA").split()
NETWORKS = os.environ.get("NETWORKS", "cnn3 cgt-mnist cnn5").split()
METHODS = os.environ.get("METHODS", "standard ibp crown-ibp").split()
THREADS = os.environ.get("THREADS", "1 2").split()
ROUNDS, COUNT, WARM = int(os.environ.get("ROUNDS", 3)), int(os.environ.get("STEPS", 16)), 4
BATCH = 128
# CROWN-IBP has 9 rows an image; with CNN5's first layers that is gigabytes at 128.
SMALL = {("cnn5", "crown-ibp"): 32}


def measured(system, network, method, threads):
    batch = SMALL.get((network, method), BATCH)
    if system == "recert":
        command = [STEPS, f"data={DATA}", f"architecture={network}", f"method={method}", "eps=0.1", f"batch={batch}"]
        command += [f"steps={COUNT}", f"threads={threads}"]
    else:
        command = [sys.executable, "-W", "ignore", HERE / "torch_steps.py", system, DATA, network, method, "0.1"]
        command += [batch, COUNT, threads, *([LIRPA] if system == "auto_LiRPA" else [])]
    environment = os.environ | {"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}
    run = subprocess.run([str(c) for c in command], env=environment, capture_output=True, text=True, cwd=WORK)
    if run.returncode:
        print(f"{system} {network} {method}: {run.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
        return None
    rows = [line.split("\t") for line in run.stdout.splitlines()]
    rows = [row for row in rows if row[0].isdigit() or row[0] == "peak"]
    steps, peak = rows[WARM:-1], float(rows[-1][1])
    middle = lambda column: statistics.median(float(row[column]) for row in steps)
    return [batch, f"{middle(1) * 1e3:.2f}", f"{middle(2) * 1e3:.2f}", f"{peak:.0f}"]


def main():
    RESULTS.mkdir(parents=True, exist_ok=True)
    with (RESULTS / "speed.tsv").open("w") as table:
        table.write("network\tmethod\tthreads\tround\tsystem\tbatch\twall_ms\tcpu_ms\tpeak_mib\n")
        for network in NETWORKS:
            for method in METHODS:
                for threads in THREADS:
                    for number in range(ROUNDS):
                        for system in SYSTEMS:
                            found = measured(system, network, method, threads)
                            if found is not None:
                                row = [network, method, threads, number, system, *found]
                                table.write("\t".join(map(str, row)) + "\n")
                                table.flush()
    cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "")
    versions = subprocess.run(
        [sys.executable, "-c", "import torch; print(torch.__version__)"], capture_output=True, text=True
    ).stdout.strip()
    machine = {"processor": cpu, "cores": os.cpu_count(), "system": platform.platform(), "load": os.getloadavg()}
    machine |= {"torch": versions, "python": platform.python_version()}
    (RESULTS / "machine.json").write_text(json.dumps(machine, indent=1) + "\n")


main()
