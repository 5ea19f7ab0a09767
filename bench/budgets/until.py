"""What --plan expects of stopping at a radius, against what runs take.

    cargo build && python3 bench/budgets/until.py target/debug/recert > bench/budgets/until.tsv

The demo's network is certified on every tenth of its 500 images (n = 2,000, sigma 0.5, seed 0), and
three modified versions are recertified from that ledger, each at five radii, each from a copy of
its own. Columns: the network; the radius; the evaluations planned before the network has run; the
inputs that promise the radius; the evaluations of the run; the inputs certified at the radius; and
evaluations of the run over those planned. All seeds are fixed; no column is a time.
"""

import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

DEMO = pathlib.Path(__file__).resolve().parents[2] / "assets" / "demo"
RADII = ["0.1", "0.2", "0.3", "0.45", "0.6"]


def main(program: str) -> None:
    def recert(*words: object) -> subprocess.CompletedProcess:
        words = [program, *map(str, words)]
        return subprocess.run(words, capture_output=True, text=True, check=True)

    model, calibration = DEMO / "shapes.onnx", DEMO / "shapes-calibration.npz"
    print("network\tradius\tplanned\tpromising\tevaluations\treached\tratio")
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        base, copy = folder / "base.recert", folder / "copy.recert"
        recert("certify", "--model", model, "--data", DEMO / "shapes-test.npz", "--sigma", 0.5,
               "--n", 2000, "--every", 10, "--engine", "direct", "--ledger", base)
        kinds = {
            "bf16": ["--bf16"],
            "int8": ["--int8", "--calibration", calibration, "--sigma", 0.5],
            "prune20": ["--prune", "20%"],
        }
        for kind, flags in kinds.items():
            network = folder / f"{kind}.onnx"
            recert("approximate", model, *flags, "--out", network)
            for radius in RADII:
                shutil.copy(base, copy)
                words = ["recertify", copy, "--model", network, "--until-radius", radius]
                plan = json.loads(recert(*words, "--plan", "--json").stdout)
                plan = plan["networks"][0]["until"]
                run = recert(*words)
                evaluations = int(re.search(r": (\d+) evaluations", run.stderr).group(1))
                rows = [line.split("\t") for line in run.stdout.splitlines()[1:]]
                reached = sum(float(row[3]) >= float(radius) for row in rows)
                ratio = evaluations / plan["evaluations"]
                print(kind, radius, plan["evaluations"], plan["promising"], evaluations, reached,
                      f"{ratio:.2f}", sep="\t", flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
