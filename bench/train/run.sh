#!/usr/bin/env bash
# Measures training beside PyTorch and keeps what it saw in results/; summarize.py makes the tables of it.
#
#   bench/train/run.sh [speed|losses|all] WORK [AUTO_LIRPA]
#
# WORK is a folder for records (some gigabytes, overwritten) and, unless PEERS names an environment that has them
# already, a Python environment with PyTorch (requirements.txt). AUTO_LIRPA is a checkout of
# github.com/Verified-Intelligence/auto_LiRPA, cloned to WORK at the commit below where it is not given.
# Needs ../shared beside the repository, Rust and Python 3.11 or later. These change how long it takes:
#   NETWORKS="cnn3 .." METHODS="ibp .." THREADS="1 2" ROUNDS=3 STEPS=16 SYSTEMS="recert torch compiled auto_LiRPA"
set -euo pipefail
commit=a050a3d61f4cb68b108fa7f07dcb3e4d7ef304df
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
shared=$(cd "${SHARED:-$root/../shared}" && pwd)
topic=${1:?usage: run.sh speed|losses|all WORK [AUTO_LIRPA]}
work=${2:?usage: run.sh speed|losses|all WORK [AUTO_LIRPA]}
mkdir -p "$work"
work=$(cd "$work" && pwd)
case $topic in speed | losses | all) ;; *) echo "topics are speed, losses and all, not '$topic'" >&2; exit 2 ;; esac

if [ -z "${PEERS:-}" ]; then
  PEERS=$work/peers
  [ -x "$PEERS/bin/python" ] || python3 -m venv "$PEERS"
  "$PEERS/bin/python" -m pip install --quiet --requirement "$here/requirements.txt"
fi
lirpa=${3:-$work/auto_LiRPA}
if [ "$topic" != losses ] && [ ! -d "$lirpa" ]; then
  git clone --quiet https://github.com/Verified-Intelligence/auto_LiRPA "$lirpa"
  git -C "$lirpa" checkout --quiet "$commit"
fi
"$PEERS/bin/python" -c 'import sys, torch, numpy; print("Python", sys.version.split()[0], "torch", torch.__version__, "numpy", numpy.__version__)'

target=${CARGO_TARGET_DIR:-$root/target}
cargo build --release --manifest-path "$root/Cargo.toml" --package recert-train --example steps --target-dir "$target"
steps=$target/release/examples/steps
data=idx:$shared/data/mnist
results=${RESULTS:-$here/results}
mkdir -p "$results"
if [ "$topic" != losses ]; then
  "$PEERS/bin/python" "$here/speed.py" "$steps" "$data" "$work" "$results" "$lirpa"
fi
if [ "$topic" != speed ]; then
  "$PEERS/bin/python" "$here/losses.py" "$steps" "$data" "$work" "$results"
fi
"$PEERS/bin/python" "$here/summarize.py" "$results"
