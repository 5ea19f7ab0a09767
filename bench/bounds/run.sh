#!/usr/bin/env bash
# Bounds the same margins with auto_LiRPA and with recert, in turn, and keeps what it
# measured in results/; summarize.py makes the tables of it.
#
#   bench/bounds/run.sh WORK AUTO_LIRPA
#
# WORK is a folder for networks, tables and, unless PEERS names an environment that has
# them already, a Python environment with what auto_LiRPA needs (requirements.txt, some
# gigabytes). AUTO_LIRPA is a checkout of github.com/Verified-Intelligence/auto_LiRPA;
# the commit measured is in results/machine.json. Needs ../shared beside the
# repository, Rust and Python 3.10 or later. About 40 minutes of one core; these
# change how long:
#   CASES="profit_colt ..." ROUNDS=4 IMAGES=10 (a round) ALPHA_ROUNDS=4 COMPARE=1
# ROUNDS=0 leaves out the measuring in turns, COMPARE=0 the comparison of all bounds in float64.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
shared=$(cd "${SHARED:-$root/../shared}" && pwd)
work=${1:?usage: run.sh WORK AUTO_LIRPA}
lirpa=$(cd "${2:?usage: run.sh WORK AUTO_LIRPA}" && pwd)
mkdir -p "$work"
work=$(cd "$work" && pwd)

if [ -z "${PEERS:-}" ]; then
  PEERS=$work/peers
  [ -x "$PEERS/bin/python" ] || python3 -m venv "$PEERS"
  "$PEERS/bin/python" -m pip install --quiet --requirement "$here/requirements.txt"
fi

target=${CARGO_TARGET_DIR:-$root/target}
cargo build --release --manifest-path "$root/Cargo.toml" --package recert-bounds \
  --example counts --target-dir "$target"

results=${RESULTS:-$here/results}
mkdir -p "$results"
"$PEERS/bin/python" "$here/cases.py" "$shared" "$work"
"$PEERS/bin/python" "$here/measure.py" "$shared" "$work" "$lirpa" "$target/release/examples/counts" "$results"
"$PEERS/bin/python" "$here/summarize.py" "$results"
