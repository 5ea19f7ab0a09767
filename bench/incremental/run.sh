#!/usr/bin/env bash
# Verifies images for networks and their changed versions, from scratch and from what is known of the
# first.
#
#   bench/incremental/run.sh WORK [IMAGES]
#
# WORK is a folder for the versions that `recert approximate` makes; IMAGES (25) is how many are
# verified for each network. NETWORKS chooses among those below, RESULTS is the folder of results.
# Needs ../shared beside the repository.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
shared=${SHARED:-$root/../shared}
work=${1:?usage: run.sh WORK [IMAGES]}
images=${2:-25}
results=${RESULTS:-$here/results}
recert=${RECERT:-$root/target/release/recert}
example=$root/target/release/examples/incremental
[ -x "$recert" ] || (cd "$root" && cargo build --release)
[ -x "$example" ] || (cd "$root" && cargo build --release -p recert-bounds --example incremental)
mkdir -p "$work" "$results"

measure() { # name, network, data, radius, further versions in shared, arguments
  local name=$1 network=$shared/models/$2 data=$3 eps=$4 further=$5
  shift 5
  [[ " ${NETWORKS:-$name} " == *" $name "* ]] || return 0
  local changed=fp16,bf16,int8
  for share in 1 10; do
    local made=$work/$name.prune$share.onnx
    [ -e "$made" ] || "$recert" approximate "$network" --prune "$share%" --out "$made" > /dev/null
    changed+=,$made
  done
  for other in $further; do
    changed+=,$shared/models/$other
  done
  changed+=,within:fp16,within:bf16,within:int8
  nice -n 10 "$example" "$network" "$data" "$eps" "$changed" "images=$images" "$@" \
    > "$results/$name.tsv"
}

mnist=idx:$shared/data/mnist/t10k-images-idx3-ubyte.gz
cifar=cifar10-bin:$shared/data/cifar10/test_every20.bin
measure fcnn7 mnist/fcnn7.onnx "$mnist" 0.01 \
  "mnist/fcnn7_float16.onnx mnist/fcnn7_quant8.onnx mnist/fcnn7_prune_tune3.onnx"
measure cnn_crown_ibp mnist/cnn_crown_ibp.onnx "$mnist" 0.1 ""
measure profit_colt mnist/profit_colt.onnx "$mnist" 0.1 ""
measure profit_colt_search mnist/profit_colt.onnx "$mnist" 0.1 "" search=600
measure resnet_2b cifar10/resnet_2b.onnx "$cifar" 1/255 "" \
  mean=0.4914,0.4822,0.4465 std=0.2470,0.2435,0.2616
