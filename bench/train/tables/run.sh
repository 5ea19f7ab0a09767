#!/usr/bin/env bash
# Trains the networks of runs/*.toml with recert and, by the same file, in PyTorch (../peer.py), verifies
# both on the test images with `recert verify`, and writes results/.
#
#   bench/train/tables/run.sh [NAME..]
#
# NAME is a file of runs/ without its ending; all where none is given. WORK (target/train-tables) gets
# networks, logs and rows; what is there is not made again. SIDES="recert peer", TIMEOUT=5s of an image,
# EVERY=1 (of how many test images of MNIST one is verified) and THREADS=1 change what is run. Needs ../shared beside the repository, recert built with the feature
# train (RECERT), and for the peer PYTHON with torch 2.8, numpy and onnx. A run is 5 to 30 minutes of one core.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
shared=$(cd "${SHARED:-$root/../shared}" && pwd)
work=${WORK:-$root/target/train-tables}
recert=${RECERT:-$root/target/release/recert}
threads=${THREADS:-1}
export OMP_NUM_THREADS=$threads
mkdir -p "$work" "$here/results"
[ -x "$recert" ] || cargo build --release --manifest-path "$root/Cargo.toml" -p recert-cli --features train
[ $# -gt 0 ] || set -- $(cd "$here/runs" && ls *.toml | sed 's/\.toml$//')

TIMEFORMAT='cpu %U %S'
timed() { # log, then a command: its output, and its processor time in the last line
  local log=$1
  shift
  { time "$@"; } > "$log" 2>&1 || { cat "$log" >&2; return 1; }
}

for name in "$@"; do
  case $name in
    mnist-*)
      train=idx:$shared/data/mnist
      test=$shared/data/mnist/t10k-images-idx3-ubyte.gz
      eps=$(cut -d- -f2 <<< "$name")
      every=${EVERY:-1}
      ;;
    cifar10-2-*)
      train=cifar10-bin:$shared/data/cifar10/train_20000.bin
      test=cifar10-bin:$shared/data/cifar10/test_every20.bin
      eps=2/255
      every=1
      ;;
    *)
      echo "$name begins with no known data set and eps: mnist-EPS or cifar10-2" >&2
      exit 2
      ;;
  esac
  for side in ${SIDES:-recert peer}; do
    made=$work/$side.$name
    if [ ! -e "$made.onnx" ]; then
      case $side in
        recert)
          timed "$made.log" "$recert" train "$here/runs/$name.toml" --data "$train" --threads "$threads" \
            --page "$made.md" --out "$made.onnx"
          ;;
        peer)
          timed "$made.log" "${PYTHON:-python3}" "$here/../peer.py" "$here/runs/$name.toml" "data='$train'" \
            --threads "$threads" --out "$made.onnx"
          ;;
      esac
    fi
    # Rows are written to another name until all are there; a run that was stopped goes on.
    [ -e "$made.tsv" ] || {
      timed "$made.verify" "$recert" verify --model "$made.onnx" --data "$test" --eps "$eps" \
        --every "$every" --timeout "${TIMEOUT:-5s}" --threads "$threads" --ledger "$made.recert" --log "$made.rows"
      mv "$made.rows" "$made.tsv"
    }
  done
done
python3 "$here/table.py" "$work" "$here"
