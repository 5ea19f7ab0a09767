"""The command that the wheel installs, and Ctrl-C."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from conftest import DEMO

import recert

COMMAND = Path(sys.executable).with_name("recert")


def run(*words, **more):
    return subprocess.run(
        [str(COMMAND), *map(str, words)], capture_output=True, text=True, timeout=300, **more
    )


def test_the_command_says_its_version_and_what_it_is_not_told() -> None:
    said = run("--version")
    assert said.returncode == 0 and said.stdout.strip() == f"recert {recert.__version__}"
    as_module = subprocess.run(
        [sys.executable, "-m", "recert", "--version"], capture_output=True, text=True, timeout=60
    )
    assert as_module.stdout == said.stdout
    refused = run("certify", "--sigma", "0.5")
    assert refused.returncode == 2 and "--model" in refused.stderr
    missing = run("report", "none.recert")
    assert missing.returncode == 3 and missing.stderr.startswith("recert: ")


def test_what_the_package_shows_is_public() -> None:
    assert "certify" in dir(recert) and "bounds" in dir(recert)
    assert [name for name in dir(recert) if name.startswith("_")] == ["__version__"]
    assert all(getattr(recert, name) is not None for name in dir(recert))


def test_the_command_certifies_and_python_reads_it(tmp_path) -> None:
    ledger = tmp_path / "run.recert"
    said = run(
        "certify", "--model", DEMO / "shapes.onnx", "--data", f"npz:{DEMO / 'shapes-test.npz'}",
        "--sigma", "0.5", "--n", "200", "--n0", "20", "--limit", "2", "--engine", "direct",
        "--ledger", ledger,
    )
    assert said.returncode == 0, said.stderr
    radii = [float(line.split("\t")[3]) for line in said.stdout.splitlines()[1:]]
    held = recert.Ledger(ledger).certificates
    # Rows are rounded down.
    assert len(radii) == 2 and all(0 <= b - a < 1e-2 for a, b in zip(radii, held["radius"]))
    assert run("check", ledger).returncode == 0


def test_first_runs_have_a_process_of_their_own() -> None:
    # What is no request is refused there, by the same program.
    said = run("first-runs", input="nothing")
    assert said.returncode not in (0, 2), said


def interrupted(process: subprocess.Popen, ready) -> tuple[int, str]:
    """Presses Ctrl-C once the process is ready."""
    until = time.monotonic() + 120
    while not ready():
        assert process.poll() is None and time.monotonic() < until, process.communicate()
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=120)
    return process.returncode, said


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX's")
def test_ctrl_c_ends_the_command_and_the_same_one_resumes(tmp_path) -> None:
    ledger = tmp_path / "run.recert"
    words = [
        "certify", "--model", str(DEMO / "shapes.onnx"), "--data",
        f"npz:{DEMO / 'shapes-test.npz'}", "--sigma", "0.5", "--n", "1000000", "--limit", "2",
        "--engine", "direct", "--ledger", str(ledger),
    ]
    process = subprocess.Popen(
        [str(COMMAND), *words], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    code, said = interrupted(process, lambda: answers_in(ledger) > 0)
    assert code == 130 and "the same command resumes" in said


def answers_in(ledger: Path) -> int:
    try:
        return int(recert.Ledger(ledger).counts().counts.sum())
    except recert.Error:
        return 0


SCRIPT = """
import numpy as np, recert, sys, time

def slow(batch):
    time.sleep(0.001)
    return (batch.mean(axis=(1, 2, 3)) > 0.5).astype(int)

images = np.repeat(np.arange(6, dtype=np.float32) * 51 / 255, 4).reshape(6, 1, 2, 2)
try:
    recert.certify(slow, images, sigma=0.25, n=400_000, n0=50, batch=50, id="slow",
                   num_classes=2, ledger=sys.argv[1], progress=False)
except KeyboardInterrupt:
    # The interpreter goes on.
    print("interrupted", file=sys.stderr)
    sys.exit(7)
"""


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX's")
def test_ctrl_c_is_an_exception_in_python_and_the_run_resumes(tmp_path, greys) -> None:
    ledger = tmp_path / "run.recert"
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(SCRIPT))
    process = subprocess.Popen(
        [sys.executable, str(script), str(ledger)], stderr=subprocess.PIPE, text=True
    )
    code, said = interrupted(process, lambda: answers_in(ledger) > 0)
    assert (code, said) == (7, "interrupted\n"), said
    held = answers_in(ledger)
    assert held > 0 and recert.Ledger(ledger).check()
    images, _ = greys

    def fast(batch):
        return (batch.mean(axis=(1, 2, 3)) > 0.5).astype(int)

    rest = recert.certify(
        fast, images, sigma=0.25, n=400_000, n0=50, batch=5000, id="slow", num_classes=2,
        ledger=ledger, progress=False, threads=1,
    )
    # What was answered is not asked again.
    assert rest.new_evaluations <= 6 * 400_050 - held
    assert recert.Ledger(ledger).counts().counts.sum() == 6 * 400_000
