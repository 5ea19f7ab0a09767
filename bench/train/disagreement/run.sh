#!/usr/bin/env bash
# Trains networks by several methods, makes the int8 version of each, and measures how often the two
# disagree under noise, and what recertifying the int8 version costs.
#
#   bench/train/disagreement/run.sh WORK
#
# WORK is a folder for networks and ledgers. METHODS (all of those below), SEEDS (1 2 3) and DATASET (mnist,
# or cifar10) choose what is run; a network that is done is left alone, so that several commands share
# the work and a killed one goes on. SMALL=1 runs MNIST on 5,000 training images for 6 epochs and on half as many
# test images: what results/ has.
# Needs ../shared beside the repository, a recert with the feature `train`, and onnxruntime in the active Python.
# summarize.py then writes the results.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
shared=$(cd "${SHARED:-$root/../shared}" && pwd)
work=${1:?usage: run.sh WORK}
recert=${RECERT:-$root/target/release/recert}
[ -x "$recert" ] || (cd "$root" && cargo build --release --features recert-cli/train)
mkdir -p "$work"
threads=${THREADS:-1}
python=${PYTHON:-python3}
every=100 n=10000
run="--threads $threads --quiet --engine direct"

case ${DATASET:-mnist} in
  mnist)
    train=idx:$shared/data/mnist
    test=$train
    common="--mean 0.1307 --std 0.3081 --limit 20000 --epochs 10 --ramp-end 5 --milestones 7,9"
    if [ -n "${SMALL:-}" ]; then
      common="--mean 0.1307 --std 0.3081 --limit 5000 --batch 100 --learning-rate 0.001 --epochs 6
        --ramp-end 3 --milestones 4,5 --attack-steps 4"
      every=200 n=2000
    fi
    eps=0.1 small=0.02
    ;;
  cifar10)
    train=cifar10-bin:$shared/data/cifar10/train_20000.bin
    test=cifar10-bin:$shared/data/cifar10/test_every20.bin
    common="--mean 0.4914,0.4822,0.4465 --std 0.2023,0.1994,0.2010 --flip --epochs 12 --ramp-end 6
      --milestones 8,11"
    every=5
    eps=0.00784313725490196 small=0.00196078431372549
    ;;
  *) echo "no DATASET is called $DATASET" >&2; exit 2 ;;
esac

flags() { # the flags of a method
  case $1 in
    standard) echo "--method standard" ;;
    gaussian) echo "--method gaussian --sigma 0.25" ;;
    gaussian-hinge) echo "--method gaussian-hinge --sigma 0.25 --margin 10 --margin-weight 0.1" ;;
    gaussian-ibp) echo "--method gaussian-ibp --sigma 0.25 --eps $small --alpha 0.5" ;;
    ibp) echo "--method ibp --eps $eps" ;;
    pgd) echo "--method pgd --eps $eps" ;;
    *) echo "no method of this bench is called $1" >&2; return 2 ;;
  esac
}

for seed in ${SEEDS:-1 2 3}; do
  for method in ${METHODS:-standard gaussian gaussian-hinge gaussian-ibp ibp pgd}; do
    base=$work/${DATASET:-mnist}.$method.$seed
    [ -e "$base.done" ] && continue
    settings=$(flags "$method")
    [ -e "$base.onnx" ] || "$recert" train $settings $common --architecture cnn3 --data "$train" \
      --seed "$seed" --threads "$threads" --quiet --out "$base.onnx" > "$base.train.txt"
    "$python" "$here/clean.py" "$base.onnx" "${DATASET:-mnist}" "${test#*:}" > "$base.clean.txt"
    [ -e "$base.int8.onnx" ] || "$recert" approximate "$base.onnx" --int8 --calibration "$train" --train \
      --sigma 0.25 --out "$base.int8.onnx" > "$base.int8.txt"
    for sigma in 0.25 0.5; do
      samples=$n
      [ $sigma = 0.25 ] || samples=$((n / 5))
      ledger=$base.sigma$sigma.recert
      "$recert" certify --model "$base.onnx" --data "$test" --every "$every" --sigma $sigma --n $samples \
        --seed 7 --ledger "$ledger" $run > "$base.sigma$sigma.tsv"
      # First, so that it knows nothing of the answers that come after.
      [ $sigma = 0.5 ] || "$recert" recertify "$ledger" --model "$base.int8.onnx" --method auto \
        --budget 0.5%,1%,2%,5%,10%,20% $run > "$base.sigma$sigma.auto.tsv"
      # Disagreement: on the first samples of every image, whatever the image.
      "$recert" recertify "$ledger" --model "$base.int8.onnx" --method zeta --n-p 100% $run \
        > "$base.sigma$sigma.zeta.tsv"
      "$recert" report "$ledger" --json > "$base.sigma$sigma.json"
    done
    touch "$base.done"
  done
done
