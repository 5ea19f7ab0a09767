#!/usr/bin/env bash
# Peak memory and time of certifying one MNIST image, and of recertifying a pruned
# version, at growing numbers of copies. 10^7 copies take a quarter of an hour.
#
#   bench/engines/memory.sh WORK [N ..]
#
# Needs ../shared beside the repository and GNU time.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
shared=${SHARED:-$root/../shared}
work=${1:?usage: memory.sh WORK [N ..]}
shift
recert=${RECERT:-$root/target/release/recert}
[ -x "$recert" ] || (cd "$root" && cargo build --release)
mkdir -p "$work"
[ $# -gt 0 ] || set -- 10000 100000 1000000 10000000
data=(--data "$shared/data/mnist/t10k-images-idx3-ubyte.gz" --quiet --engine direct)
measured() { # what, n, command
  local what=$1 n=$2
  shift 2
  /usr/bin/time -o "$work/time" -f '%M %e' "$recert" "$@" > "$work/said"
  awk -v what="$what" -v n="$n" '{printf "%s\t%d\t%.1f\t%s\n", what, n, $1 / 1024, $2}' "$work/time"
}
printf 'command\tn\tpeak_MiB\tseconds\n'
for n in "$@"; do
  ledger=$work/$n.recert
  rm -f "$ledger"
  measured certify "$n" certify --model "$shared/models/mnist/fcnn7.onnx" --limit 1 \
    --sigma 0.25 --n "$n" --ledger "$ledger" "${data[@]}"
  h=(--model "$shared/models/mnist/fcnn7_prune_tune3.onnx")
  measured "recertify --budget 5%" "$n" recertify "$ledger" "${h[@]}" --budget 5% "${data[@]}"
  measured "recertify --method zeta --n-p 10%" "$n" recertify "$ledger" "${h[@]}" \
    --method zeta --n-p 10% "${data[@]}"
done
