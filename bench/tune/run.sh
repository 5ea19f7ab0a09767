#!/usr/bin/env bash
# Searches among versions of ResNet-20 (CIFAR-10, sigma 0.5) for one that is a third of the size and keeps the average
# certified radius, and compares it with networks by chance. Keeps what it saw in results/.
#
#   bench/tune/run.sh [SHARED]     (SHARED holds models/cifar10 and data/cifar10; an hour of one core)
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

# One search is stated of one ledger: each has a seed of its own.
certified() { # NAME SEED
  [ -e "$work/$1/tuned.recert" ] || "$recert" certify --model "$model" --data "$data" --sigma 0.5 --seed "$2" \
    --every "$((500 / ${INPUTS:-100}))" --n "${N:-10000}" --engine direct --ledger "$work/$1.recert" > "$work/$1.log"
}
search() { # NAME SEED SPACE BUDGET
  certified "$1" "$2"
  "$recert" tune "$work/$1.recert" --model "$model" --space "$3" --budget "$4" --calibration "$calibration" --out "$work/$1"
  for file in tune.json tune.svg; do sed "s#$work/##g" "$work/$1/$file" > "$here/results/$1${file#tune}"; done
  "$recert" check --strict "$work/$1/tuned.recert"
}
search search 1 "$here/space.toml" 50%
{ cat "$here/space.toml"; echo 'proposals = "random"'; } > "$work/random.toml"
search random 2 "$work/random.toml" 50%
sed 's/^least-radius = .*/least-radius = "99%"/' "$here/space.toml" > "$work/search-99.toml"
search search-99 3 "$work/search-99.toml" 100%
certified layers 0
"$recert" sensitivity "$work/layers.recert" --model "$model" --change int8,int4 --calibration "$calibration" \
  --json --svg "$here/results/layers.svg" > "$here/results/layers.json"
python3 "$here/summarize.py" "$here/results"
