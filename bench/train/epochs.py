"""Measures whole epochs of training in turns, with recert and with PyTorch (peer.py), and keeps what it saw.

    epochs.py RECERT DATA WORK RESULTS

RECERT is the command, built with the feature train. RESULTS gets epochs.tsv, a row a turn and system: seconds an epoch by
the clock and of processor time, from trainings of one and of three epochs (what reading, initialization and scores take
is in both), and the peak of memory.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
RECERT, DATA, WORK, RESULTS = sys.argv[1], sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4])
RUNS = os.environ.get("RUNS", "cnn3-ibp cnn3-standard").split()
THREADS = os.environ.get("THREADS", "1 2").split()
ROUNDS = int(os.environ.get("ROUNDS", 3))
SETTINGS = """architecture = "{}"
method = "{}"
mean = [0.1307]
std = [0.3081]
eps = 0.1
batch = 128
epochs = {}
ramp-end = 1
milestones = []
seed = 1
"""


def spent(command, threads):
    """Seconds by the clock and of processor time, and the peak of memory in MiB."""
    environment = os.environ | {"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}
    begun = time.perf_counter()
    process = subprocess.Popen([str(c) for c in command], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    said = process.stderr.read().decode()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(said)
    return time.perf_counter() - begun, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def measured(system, run, threads):
    found = {}
    for epochs in (1, 3):
        settings, network = WORK / f"{run}-{epochs}.toml", WORK / f"{system}-{run}.onnx"
        settings.write_text(SETTINGS.format(*run.split("-", 1), epochs))
        network.unlink(missing_ok=True)
        if system == "recert":
            command = [RECERT, "train", settings, "--data", DATA, "--threads", threads, "--quiet", "--out", network]
        else:
            command = [sys.executable, HERE / "peer.py", settings, f"data='{DATA}'", "--threads", threads, "--out", network]
        found[epochs] = spent(command, threads)
    wall, cpu = ((found[3][i] - found[1][i]) / 2 for i in (0, 1))
    return [f"{wall:.2f}", f"{cpu:.2f}", f"{found[3][2]:.0f}"]


def main():
    RESULTS.mkdir(parents=True, exist_ok=True)
    WORK.mkdir(parents=True, exist_ok=True)
    with (RESULTS / "epochs.tsv").open("w") as table:
        table.write("run\tthreads\tround\tsystem\twall_s\tcpu_s\tpeak_mib\n")
        for run in RUNS:
            for threads in THREADS:
                for number in range(ROUNDS):
                    for system in ("recert", "torch"):
                        row = [run, threads, number, system, *measured(system, run, threads)]
                        table.write("\t".join(map(str, row)) + "\n")
                        table.flush()


main()
