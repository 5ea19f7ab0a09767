#!/usr/bin/env python3
"""Makes candidates that share their first layers with a ResNet of three stages.

    bench/candidates/tuned.py NETWORK.onnx FOLDER

Writes head1.onnx .. head3.onnx, whose last matrix product is another one, as
after fine-tuning the head: each weight moved at random by a hundredth of the
largest; and stage1.onnx .. stage3.onnx, whose last stage is pruned by
magnitude, of each of its convolutions 10, 15 and 20 % of the weights. The same
files every time. Needs numpy and onnx.
"""

import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper


def changed(network, names, change):
    """A copy with the tensors of these names changed."""
    copy = onnx.ModelProto()
    copy.CopyFrom(network)
    for tensor in copy.graph.initializer:
        if tensor.name in names:
            values = change(numpy_helper.to_array(tensor))
            tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float32), tensor.name))
    return copy


def main():
    source, folder = Path(sys.argv[1]), Path(sys.argv[2])
    network = onnx.load(source)
    layers = [n for n in network.graph.node if n.op_type in ("Conv", "Gemm")]
    head = {layers[-1].input[1]}
    stage = {n.input[1] for n in layers if n.output[0].startswith("/layer3")}
    assert stage, "the network has no stage called layer3"
    for i in range(1, 4):
        random = np.random.RandomState(i)

        def move(values):
            return values + random.uniform(-0.01, 0.01, values.shape) * np.abs(values).max()

        def prune(values):
            least = np.quantile(np.abs(values), 0.05 + 0.05 * i)
            return np.where(np.abs(values) < least, 0, values)

        onnx.save(changed(network, head, move), folder / f"head{i}.onnx")
        onnx.save(changed(network, stage, prune), folder / f"stage{i}.onnx")


main()
