#!/bin/sh
# Geometric certified training on MNIST rotations: CGT's network trained here with interval and with
# knapsack pixel bounds, verified beside CGT's own.
#
# Usage: bench/train/geometric/run.sh [SHARED]   (SHARED holds models/mnist and data/mnist; hours on
# one core). Networks go to target/geometric-training, pages of training and verdicts to results/.
# summarize.py prints the tables of README.md.
set -eu
cd "$(dirname "$0")/../../.."
shared=${1:-../shared}
cargo build --release -p recert-cli --features train
cargo build --release -p recert-bounds --example geometric
results=bench/train/geometric/results
networks=target/geometric-training
mkdir -p "$results" "$networks"
schedule="--epochs 16 --ramp-start 2 --ramp-end 10 --milestones 13 --learning-rate 1e-3"

train() { # NAME PIXELS CELLS SEED
    # shellcheck disable=SC2086
    target/release/recert train --preset mnist-rotate30-cgt $schedule --pixels "$2" --batch-cells "$3" \
        --seed "$4" --data "idx:$shared/data/mnist" --test "idx:$shared/data/mnist" --threads 1 \
        --out "$networks/$1.onnx" --page "$results/$1.md"
}

verdicts() { # NAME NETWORK
    for cut in adaptive:forward 240:sum 60:sum,sum+merged,knapsack; do
        target/release/examples/geometric "$2" "$shared/data/mnist" rotate=-30..30 10 1000 \
            "${cut#*:}" "${cut%%:*}" > "$results/$1_${cut%%:*}.tsv"
    done
}

for seed in 1 2; do
    for pixels in interval knapsack; do
        train "$pixels-$seed" "$pixels" 1 "$seed"
        verdicts "$pixels-$seed" "$networks/$pixels-$seed.onnx"
    done
done
verdicts cgt "$shared/models/mnist/cgt_rotate30.onnx"

# Processor time of a step, in turns: ours from the difference of two lengths.
seconds() { # PIXELS EPOCHS
    rm -f "$networks/step.onnx"
    { time -p target/release/recert train --preset mnist-rotate30-cgt --pixels "$1" --epochs "$2" \
        --ramp-start 0 --ramp-end 0 --milestones 99 --limit 5120 --data "idx:$shared/data/mnist" \
        --threads 1 --quiet --out "$networks/step.onnx" > /dev/null; } 2>&1 |
        awk '/user|sys/ { sum += $2 } END { print sum }'
}
printf 'program\tpixels\tmilliseconds\n' > "$results/steps.tsv"
for turn in 1 2 3 4 5; do
    for pixels in interval knapsack; do
        short=$(seconds $pixels 1)
        long=$(seconds $pixels 3)
        awk -v a="$short" -v b="$long" -v p="$pixels" \
            'BEGIN { printf "recert\t%s\t%.1f\n", p, (b - a) / 40 * 1000 }' >> "$results/steps.tsv"
    done
    printf 'pytorch\tinterval\t%s\n' \
        "$(OMP_NUM_THREADS=1 python3 bench/train/geometric/step.py "$shared/data/mnist" 40)" \
        >> "$results/steps.tsv"
done
