#!/usr/bin/env bash
# Searches among versions of ResNet-20 (CIFAR-10, sigma 0.5) for one that is a third of the size and keeps the average
# certified radius, and compares it with networks by chance. Keeps what it saw in results/.
#
#   bench/tune/run.sh [SHARED]     (SHARED holds models/cifar10 and data/cifar10; an hour of two cores)
#
# WORK (target/tune) gets ledgers and networks; what is there is not made again. INPUTS=100, N=10000 and RECERT
# change what is run.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
shared=$(cd "${1:-$root/../shared}" && pwd)
work=${WORK:-$root/target/tune}
recert=${RECERT:-$root/target/release/recert}
[ -x "$recert" ] || cargo build --release --manifest-path "$root/Cargo.toml" -p recert-cli
mkdir -p "$work" "$here/results"
model=$shared/models/cifar10/resnet20_sigma0.50.onnx
calibration=cifar10-bin:$shared/data/cifar10/calibration.bin
data=cifar10-bin:$shared/data/cifar10/test_every20.bin

"$recert" certify --model "$model" --data "$data" --sigma 0.5 --every "$((500 / ${INPUTS:-100}))" --n "${N:-10000}" \
  --engine direct --ledger "$work/run.recert" > "$work/run.log"
"$recert" sensitivity "$work/run.recert" --model "$model" --change int8,int4 --calibration "$calibration" \
  --json --svg "$here/results/layers.svg" > "$here/results/layers.json"
search() { # NAME SPACE
  "$recert" tune "$work/run.recert" --model "$model" --space "$2" --calibration "$calibration" --out "$work/$1"
  for file in tune.json tune.svg; do sed "s#$work/##g" "$work/$1/$file" > "$here/results/$1${file#tune}"; done
}
search search "$here/space.toml"
{ cat "$here/space.toml"; echo 'proposals = "random"'; } > "$work/random.toml"
search random "$work/random.toml"
"$recert" check --strict "$work/search/tuned.recert"
python3 "$here/summarize.py" "$here/results"
