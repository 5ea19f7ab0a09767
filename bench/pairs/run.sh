#!/usr/bin/env bash
# Recertifies networks that others quantized or pruned, from the float32 network and the other way, and keeps
# `recert report --csv` of each ledger in results/.
#
#   bench/pairs/run.sh [SHARED]     (SHARED holds models and data; ten minutes of two cores)
#
# WORK (target/pairs) gets ledgers; what is there is not made again. RECERT is the program.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
shared=$(cd "${1:-$root/../shared}" && pwd)
work=${WORK:-$root/target/pairs}
recert=${RECERT:-$root/target/release/recert}
[ -x "$recert" ] || cargo build --release --manifest-path "$root/Cargo.toml" -p recert-cli
mkdir -p "$work" "$here/results"

both() { # NAME SIGMA N DATA FLAGS -- ONE OTHER..
  local name=$1 sigma=$2 n=$3 data=$4 flags=()
  shift 4
  while [ "$1" != -- ]; do flags+=("$1"); shift; done
  shift
  local first=$1 model others
  for model in "$@"; do
    # Each network from the first one, and the first from each.
    if [ "$model" = "$first" ]; then others=("${@:2}"); else others=("$first"); fi
    local ledger=$work/$name.$(basename "$model" .onnx).recert
    "$recert" certify --model "$model" --data "$data" --sigma "$sigma" --n "$n" "${flags[@]}" --ledger "$ledger" > "$ledger.log"
    "$recert" recertify "$ledger" "${others[@]/#/--model=}" --budget 5%,10% > "$ledger.recertify.log"
    "$recert" report "$ledger" --csv | sed "s#$shared/data/##g" > "$here/results/$name.$(basename "$model" .onnx).csv"
  done
}

mnist=$shared/models/mnist
both fcnn7 0.25 1e4 "idx:$shared/data/mnist" --every 100 -- \
  "$mnist"/fcnn7.onnx "$mnist"/fcnn7_quant8.onnx "$mnist"/fcnn7_float16.onnx "$mnist"/fcnn7_prune_tune3.onnx "$mnist"/fcnn7_prune_tune9.onnx
cifar=$shared/models/cifar10
both resnet8 0.02 1e4 "cifar10-bin:$shared/data/cifar10/test_every20.bin" --every 10 -- \
  "$cifar"/resnet8_f32.onnx "$cifar"/resnet8_qdq.onnx
imagenet=$shared/models/imagenet
both mobilenet 0.1 1e3 "folder:$shared/data/imagenet" --classes "$shared/data/imagenet/wnids.txt" --label-offset 1 --resize 256 --crop 224 -- \
  "$imagenet"/mobilenet_v1_0.25_224_f32.onnx "$imagenet"/mobilenet_v1_0.25_224_quant_weights.onnx "$imagenet"/mobilenet_v1_0.25_224_quant_qdq.onnx
python3 "$here/table.py" "$here/results"
