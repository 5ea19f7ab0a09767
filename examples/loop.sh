#!/usr/bin/env bash
# One network around the loop: trained robustly, compressed, recertified, explained.
#
#   examples/loop.sh [WORK]             on MNIST
#   examples/loop.sh --shapes [WORK]    on the drawn images that ship here
#
# WORK (default: target/loop) gets networks, ledgers and pages; the same command again goes on where it
# was stopped. MNIST=FOLDER says where the four files of MNIST are (default: ../shared/data/mnist
# beside the repository), RECERT which program runs, THREADS how many threads.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
shapes=
[ "${1:-}" = --shapes ] && { shapes=1; shift; }
work=${1:-$root/target/loop}

if [ -n "$shapes" ]; then
  train=npz:$root/assets/demo/shapes-calibration.npz
  test=npz:$root/assets/demo/shapes-test.npz
  settings="--architecture cnn3 --eps 0.002 --epochs 8 --ramp-end 4 --milestones 6 --batch 20
    --learning-rate 0.002 --mean 0.5 --std 0.25"
  eps=1/2550 sigma=0.12 n=500 smoothed=50 bounded=50 explained=20
else
  mnist=${MNIST:-$root/../shared/data/mnist}
  if ! ls "$mnist"/train-images-idx3-ubyte* > /dev/null 2>&1; then
    cat >&2 <<TEXT
loop.sh: there is no MNIST in $mnist.
Its four files (train-images-idx3-ubyte.gz, train-labels-idx1-ubyte.gz, t10k-images-idx3-ubyte.gz,
t10k-labels-idx1-ubyte.gz) can be had at https://ossci-datasets.s3.amazonaws.com/mnist/ :
put them into a folder, and run   MNIST=FOLDER $0
Or run it on the images that ship here:   $0 --shapes
TEXT
    exit 3
  fi
  train=idx:$mnist test=idx:$mnist
  settings="--architecture cnn3 --eps 0.1 --limit 20000 --epochs 8 --ramp-end 5 --milestones 6,7
    --mean 0.1307 --std 0.3081"
  eps=0.1 sigma=0.25 n=2000 smoothed=100 bounded=100 explained=50
fi

recert=${RECERT:-$root/target/release/recert}
[ -x "$recert" ] || (cd "$root" && cargo build --release --features recert-cli/train)
recert() {
  printf '\n$ recert %s\n' "$*" >&2
  "$recert" "$@"
}
mkdir -p "$work"
cd "$work"
threads=${THREADS:+--threads $THREADS}
quiet="--quiet $threads"
# Every k-th test image, so that there are about as many as wanted.
images=$([ -n "$shapes" ] && echo 500 || echo 10000)
every() { echo "--every $((images / $1))"; }

echo "== 1. Train through interval bounds"
[ -e net.onnx ] || recert train --method ibp $settings --data "$train" --test "$test" --seed 1 \
  --out net.onnx --page net.md $quiet

echo; echo "== 2. Compress: int8, and two versions that bounds can read"
# Activations of an int8 file are rounded between layers, which bounds do not cover: what is verified
# of int8 are all networks whose weights are within its step.
[ -e net.int8.onnx ] || recert approximate net.onnx --int8 --calibration "$train" --train \
  --calibration-limit 200 --sigma $sigma --out net.int8.onnx
[ -e net.bf16.onnx ] || recert approximate net.onnx --bf16 --out net.bf16.onnx
[ -e net.pruned.onnx ] || recert approximate net.onnx --prune 30% --out net.pruned.onnx

echo; echo "== 3. Certify by smoothing (L2), before and after"
recert certify --model net.onnx --data "$test" $(every $smoothed) --sigma $sigma --n $n --seed 1 \
  --ledger smooth.recert $quiet > certify.tsv
recert recertify smooth.recert --model net.int8.onnx --budget 10% $quiet > recertify.tsv

echo; echo "== 4. Certify by bounds (L-inf), before and after"
recert verify --model net.onnx --data "$test" $(every $bounded) --eps $eps --ledger bounds.recert \
  $quiet > verify.tsv
recert verify --model net.onnx --data "$test" $(every $bounded) --eps $eps --weights-within int8 \
  --ledger bounds.recert $quiet > verify.int8.tsv
for version in bf16 pruned; do
  recert verify --from bounds.recert --model net.$version.onnx $quiet > verify.$version.tsv
done

echo; echo "== 5. Explain: which proof features survive"
for version in bf16 pruned; do
  recert explain --model net.onnx --versus net.$version.onnx --data "$test" \
    $(every $explained) --eps $eps --html features.$version.html $quiet
done

echo; echo "== 6. Check everything with independent code, and report"
recert check smooth.recert bounds.recert
recert report smooth.recert bounds.recert --html report.html
printf '\n%s has report.html, features.*.html and net.md.\n' "$work"
