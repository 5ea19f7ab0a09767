#!/usr/bin/env bash
# Extracts proof features with recert and holds them against the published ones, image by
# image; the table goes to results/table.md.
#
#   bench/features/run.sh [WORK]
#
# WORK (default: target/bench-features) gets the features as JSON. Needs ../shared beside
# the repository, Rust and Python 3.9 or later. A few minutes of one core. IMAGES=500
# changes how many images are taken, METHODS="crown-alone crown" how they are bounded.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
shared=$(cd "${SHARED:-$root/../shared}" && pwd)
work=${1:-$root/target/bench-features}
mkdir -p "$work"
target=${CARGO_TARGET_DIR:-$root/target}
features=${FEATURES:-$target/release/examples/features}
[ -n "${FEATURES:-}" ] || cargo build --release --manifest-path "$root/Cargo.toml" \
  --package recert-bounds --example features --target-dir "$target"
results=${RESULTS:-$here/results}
mkdir -p "$results"

pairs=()
for method in ${METHODS:-crown-alone crown}; do
  while read -r name eps; do
    out=$work/$name.$method.json
    [ -s "$out" ] || { "$features" "$shared/models/mnist/$name.onnx" \
      "$shared/data/mnist/t10k-images-idx3-ubyte.gz" "$eps" "method=$method" \
      "images=${IMAGES:-500}" > "$out.partial" && mv "$out.partial" "$out"; }
    pairs+=("$out" "$shared/models/mnist/profit_${name#profit_}_eps$eps.json")
  done <<< "profit_colt 0.1
profit_standard 0.02
cnn_crown_ibp 0.1"
done
# Tighter bounds prove more than was published, which compare.py reports with exit code 1.
python3 "$here/compare.py" "${pairs[@]}" > "$results/table.md" || [ $? -eq 1 ]
cat "$results/table.md"
