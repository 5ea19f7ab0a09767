#!/usr/bin/env bash
# Trains one network by each method of runs/, extracts the proof features of MNIST test images of these and
# of published networks with `recert explain`, and measures where their pictures lie: results/ gets a
# table, a line a feature, and pictures.
#
#   bench/train/features/run.sh
#
# WORK (target/train-features) gets networks, features as JSON and explain's pages; what is there is not
# made again. IMAGES=50 is how many test images are explained, and THREADS=1 on how many threads. Needs
# ../shared beside the repository, recert built with the feature train (RECERT), and PYTHON with numpy.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
shared=$(cd "${SHARED:-$root/../shared}" && pwd)
mnist=$shared/data/mnist models=$shared/models/mnist
work=${WORK:-$root/target/train-features}
recert=${RECERT:-$root/target/release/recert}
threads=${THREADS:-1}
images=${IMAGES:-50}
mkdir -p "$work" "$here/results"
[ -x "$recert" ] || cargo build --release --manifest-path "$root/Cargo.toml" -p recert-cli --features train

explain() { # name, network: at 0.02, where standard networks have proofs, and at 0.1, which others are trained for
  for eps in 0.02 0.1; do
    local made=$work/$1.$eps
    [ -e "$made.json" ] || "$recert" explain --model "$2" --data "$mnist/t10k-images-idx3-ubyte.gz" \
      --eps "$eps" --limit "$images" --pictures "$images" --threads "$threads" --html "$made.html" \
      --json "$made.json"
  done
}
for method in standard pgd ibp mtl-ibp; do
  net=$work/$method.onnx
  [ -e "$net" ] || "$recert" train "$here/runs/$method.toml" --data "idx:$mnist" --threads "$threads" \
    --page "$work/$method.md" --out "$net"
  explain "$method" "$net"
done
for network in profit_standard profit_colt cnn_crown_ibp; do
  explain "$network" "$models/$network.onnx"
done
"${PYTHON:-python3}" "$here/measure.py" "$work" "$here/results"
"${PYTHON:-python3}" "$here/common.py" "$here/results"
