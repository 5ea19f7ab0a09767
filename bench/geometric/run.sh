#!/bin/sh
# Geometric certificates of CGT's two MNIST networks: CGT's grid and bounds against ours.
#
# Usage: bench/geometric/run.sh [SHARED]   (SHARED holds models/mnist and data/mnist; about
# forty minutes on one core). Writes results/*.tsv; summarize.py prints the tables of README.md.
set -eu
cd "$(dirname "$0")/../.."
shared=${1:-../shared}
cargo build --release -p recert-bounds --example geometric
out=bench/geometric/results
measure() { # NAME NETWORK TRANSFORMATION EVERY LIMIT METHODS GRID
    nice -n 10 target/release/examples/geometric \
        "$shared/models/mnist/$2" "$shared/data/mnist" "$3" "$4" "$5" "$6" "$7" > "$out/$1.tsv"
}
rotate=rotate=-30..30
four=scale=0.95..1.05,rotate=-5..5,contrast=0.95..1.05,brightness=-0.01..0.01
all=sum,sum+merged,knapsack,vertices,forward
measure rotate_adaptive cgt_rotate30.onnx $rotate 10 1000 forward adaptive
for cells in 30 60 120 240; do
    measure rotate_grid$cells cgt_rotate30.onnx $rotate 10 1000 $all $cells
done
measure rotate_forward_crown cgt_rotate30.onnx $rotate 200 50 forward,crown adaptive
name=cgt_scale5_rotate5_contrast5_brightness1.onnx
measure four_adaptive $name $four 50 200 forward adaptive
measure four_forward_crown $name $four 200 50 forward,crown adaptive
measure four_grid3200 $name $four 1000 10 sum 20x80x2x1
