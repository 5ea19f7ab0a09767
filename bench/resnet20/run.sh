#!/usr/bin/env bash
# Certifies ResNet-20 at three sigmas, makes six approximations of each,
# recertifies all of them; summarize.py then writes the raw results beside this
# script.
# Stopped at any point, the same command goes on where it was.
#
#   bench/resnet20/run.sh WORK [EVERY]
#
# WORK is a folder for ledgers and networks (about 3 MB a ledger of 100 inputs); EVERY takes
# every EVERY-th of the 500 test images given (1: all of them). Needs
# ../shared beside the repository and, unless ENGINE=rten, ONNX Runtime
# (pip install onnxruntime in the active environment).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
shared=$root/../shared
work=${1:?usage: run.sh WORK [EVERY]}
every=${2:-1}
engine=${ENGINE:-onnxruntime}
recert=${RECERT:-$root/target/release/recert}
[ -x "$recert" ] || (cd "$root" && cargo build --release)
mkdir -p "$work"
images=$shared/data/cifar10/test_every20.bin
calibration=$shared/data/cifar10/calibration.bin
run="--engine $engine --batch 16 --quiet ${THREADS:+--threads $THREADS}"

for sigma in ${SIGMAS:-0.50 1.00 0.25}; do
  base=$work/resnet20_sigma$sigma
  f=$shared/models/cifar10/resnet20_sigma$sigma.onnx
  $recert certify --one-sided --model "$f" --data "$images" --every "$every" --sigma "$sigma" \
    --n 10000 --n0 100 --ledger "$base.recert" $run > "$base.certify.tsv"
  approximate() { # name, flags
    local out=$base.$1.onnx
    shift
    [ -e "$out" ] || $recert approximate "$f" --out "$out" "$@" > "$out.changes.txt"
  }
  approximate fp16 --fp16
  approximate bf16 --bf16
  approximate int8 --int8 --calibration "$calibration" --sigma "$sigma"
  for share in 5 10 20; do approximate prune$share --prune $share%; done
  for h in int8 prune10 bf16 prune20 fp16 prune5; do
    $recert recertify "$base.recert" --model "$base.$h.onnx" --one-sided --method irs,direct \
      --n-p 1%,2%,3%,4%,5%,6%,7%,8%,9%,10% $run > "$base.$h.tsv"
  done
  $recert report "$base.recert" --title "ResNet-20, sigma $sigma" \
    --html "$base.html" --json > "$base.json"
done
