#!/usr/bin/env bash
# Certifies the same networks with PyTorch, ART and every engine and precision of
# recert, in turn, and keeps what it measured in results/; summarize.py makes the
# tables of it.
#
#   bench/engines/run.sh [WORK]
#
# WORK (default: target/bench-engines) is a folder for networks, images, ledgers and,
# unless PEERS names an environment that has them already, a Python environment with
# the peers (requirements.txt: PyTorch and all that it needs, some gigabytes). Needs
# ../shared beside the repository, Rust and Python 3.10 or later. About 12 minutes on
# two cores after the building; these change how long:
#   ROUNDS=3 TURN=1.5 (seconds) THREADS="1 2" N=10000 N_PEERS=1000
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
shared=$root/../shared
work=${1:-$root/target/bench-engines}
mkdir -p "$work"
work=$(cd "$work" && pwd)

if [ -z "${PEERS:-}" ]; then
  PEERS=$work/peers
  [ -x "$PEERS/bin/python" ] || python3 -m venv "$PEERS"
  "$PEERS/bin/python" -m pip install --quiet --requirement "$here/requirements.txt"
fi
# recert finds OpenVINO and ONNX Runtime in the active environment.
export VIRTUAL_ENV=$PEERS PATH=$PEERS/bin:$PATH

target=${CARGO_TARGET_DIR:-$root/target}
cargo build --release --manifest-path "$root/Cargo.toml" --package recert-cli --target-dir "$target"
cargo build --release --manifest-path "$here/inside/Cargo.toml" --target-dir "$target"
recert=$target/release/recert
inside=$target/release/recert-bench-inside
# The processor's own limit, where it has the instructions.
if grep -q avx512_vnni /proc/cpuinfo && command -v cc > /dev/null; then
  cc -O3 -funroll-all-loops -mavx512f -mavx512vnni "$here/peak.c" -o "$work/peak"
fi

f=$shared/models/cifar10/resnet20_sigma0.50.onnx
[ -e "$work/resnet20.int8.onnx" ] || "$recert" approximate "$f" --int8 --sigma 0.5 \
  --calibration "$shared/data/cifar10/calibration.bin" --out "$work/resnet20.int8.onnx" > "$work/int8.changes.txt"
python "$here/images.py" "$shared" "$work"
python "$here/peers.py" check "$f" "$work/cifar10.npy" \
  "$shared/models/cifar10/resnet56_sigma0.50.onnx" "$work/cifar10.npy" \
  "$shared/models/imagenet/mobilenet_v1_0.25_224_f32.onnx" "$work/imagenet.npy"
results=${RESULTS:-$here/results}
mkdir -p "$results"
python "$here/measure.py" "$work" "$shared" "$recert" "$inside" "$results"
python "$here/summarize.py" "$results"
