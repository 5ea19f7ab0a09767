#!/usr/bin/env bash
# Several candidates in one pass against one after the other: wall-clock time,
# memory and evaluations of `recert recertify`, in turns, and that both leave the
# same certificates behind.
#
#   bench/candidates/run.sh WORK [ROUNDS]
#
# WORK is a folder for networks and ledgers; ROUNDS (3) is how often each is
# measured. ENGINES (direct openvino), IMAGES (20), N (10000), BUDGET (5%) and
# KS (1 3 6) change what is measured. SET is which candidates these are:
# approximations, or those of tuned.py that share all layers but the last one
# (head) or all but the last stage (stage), at most 3. Needs ../shared beside the
# repository, GNU time, Python 3 (for tuned.py PYTHON, with numpy and onnx) and, for
# openvino, a wheel of it in the active environment.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
shared=${SHARED:-$root/../shared}
work=${1:?usage: run.sh WORK [ROUNDS]}
rounds=${2:-3}
images=${IMAGES:-20}
n=${N:-10000}
budget=${BUDGET:-5%}
recert=${RECERT:-$root/target/release/recert}
[ -x "$recert" ] || (cd "$root" && cargo build --release)
mkdir -p "$work"
f=$shared/models/cifar10/resnet20_sigma0.50.onnx
data=$shared/data/cifar10/test_every20.bin
out=${RESULTS:-$here/results.tsv}
[ -s "$out" ] || printf 'engine\tcandidates\thow\tround\tseconds\tuser_seconds\tpeak_MiB\tevaluations\n' > "$out"

approximate() { # name, flags
  local to=$work/$1.onnx
  shift
  [ -e "$to" ] || "$recert" approximate "$f" --out "$to" "$@" > "$to.txt"
}
set=${SET:-approximations}
case $set in
  approximations)
    approximate prune10 --prune 10%
    approximate int8 --int8 --calibration "$shared/data/cifar10/calibration.bin" --sigma 0.5
    approximate bf16 --bf16
    approximate prune5 --prune 5%
    approximate fp16 --fp16
    approximate prune20 --prune 20%
    all=(prune10 int8 bf16 prune5 fp16 prune20)
    ;;
  head | stage)
    [ -e "$work/${set}3.onnx" ] || "${PYTHON:-python3}" "$here/tuned.py" "$f" "$work"
    all=("${set}1" "${set}2" "${set}3")
    ;;
  *)
    echo "SET is approximations, head or stage, not $set" >&2
    exit 2
    ;;
esac

# Runs recertify and adds a line of time, time of all threads, memory and
# evaluations, each the sum (memory: the largest) over the calls.
measured() { # engine, candidates, how, round, then calls separated by --
  local engine=$1 k=$2 how=$3 round=$4 times=$work/times said=$work/said
  shift 4
  : > "$times"
  : > "$said"
  local call=()
  for word in "$@" --; do
    if [ "$word" = -- ]; then
      /usr/bin/time -a -o "$times" -f '%e %U %M' "$recert" recertify "${call[@]}" \
        --engine "$engine" --quiet --budget "$budget" --among "$k" > /dev/null 2>> "$said"
      call=()
    else
      call+=("$word")
    fi
  done
  local evaluations
  evaluations=$(grep -o '[0-9]* evaluations' "$said" | awk '{s += $1} END {print s}')
  awk -v head="$engine\t$k\t$how\t$round" -v evaluations="$evaluations" '
    {e += $1; u += $2; if ($3 > m) m = $3}
    END {printf "%s\t%.2f\t%.2f\t%.0f\t%d\n", head, e, u, m / 1024, evaluations}' "$times" | tee -a "$out"
}

for engine in ${ENGINES:-direct openvino}; do
  base=$work/$engine.recert
  "$recert" certify --model "$f" --data "$data" --limit "$images" --sigma 0.5 --n "$n" --n0 100 \
    --engine "$engine" --ledger "$base" --quiet > /dev/null
  for round in $(seq "$rounds"); do
    for k in ${KS:-1 3 6}; do
      together=() apart=()
      for name in "${all[@]:0:k}"; do
        together+=(--model "$work/$name.onnx")
        apart+=("$work/apart.recert" --model "$work/$name.onnx" --)
      done
      unset 'apart[-1]'
      hows=(together apart)
      [ $((round % 2)) = 1 ] || hows=(apart together)
      for how in "${hows[@]}"; do
        cp "$base" "$work/$how.recert"
        case $how in
          together) measured "$engine" "$k" $how "$round" "$work/together.recert" "${together[@]}" ;;
          apart) measured "$engine" "$k" $how "$round" "${apart[@]}" ;;
        esac
        # Whatever was concluded, but for the times.
        "$recert" report "$work/$how.recert" --json |
          python3 -c 'import json, sys
def strip(v):
    if isinstance(v, dict):
        return {k: strip(w) for k, w in v.items() if not any(s in k for s in ("second", "micros", "time"))}
    return [strip(w) for w in v] if isinstance(v, list) else v
print(json.dumps(strip(json.load(sys.stdin)["runs"]), sort_keys=True))' > "$work/$how.json"
      done
      if ! cmp -s "$work/together.json" "$work/apart.json"; then
        # An engine whose arithmetic depends on the batch may answer a few copies otherwise.
        echo "$engine, $k candidates, round $round: the certificates differ" >&2
        [ "$engine" != direct ]
      fi
    done
  done
done
