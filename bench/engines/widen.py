"""ViT-tiny/16 for images of 224 x 224 without torch: the exported network of
crates/recert-kernels/tests/golden/transformers/vit_script17.onnx, which has the same nodes
and one block, with twelve blocks of 192 channels, 3 heads and 1000 classes.

    widen.py OUT.onnx

Weights are random (seed 0): normal, of deviation 0.02, with norms' scales 1; needs onnx and numpy.
"""

import copy
import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

GOLDEN = Path(__file__).parents[2] / "crates/recert-kernels/tests/golden/transformers/vit_script17.onnx"
DEPTH, WIDTH, HEADS, PATCH, SIZE, CLASSES = 12, 192, 3, 16, 224, 1000
SHAPES = {
    "cls_token": (1, 1, WIDTH),
    "pos_embed": (1, (SIZE // PATCH) ** 2 + 1, WIDTH),
    "patch_embed.proj.weight": (WIDTH, 3, PATCH, PATCH),
    "patch_embed.proj.bias": (WIDTH,),
    "norm.weight": (WIDTH,),
    "norm.bias": (WIDTH,),
    "head.weight": (CLASSES, WIDTH),
    "head.bias": (CLASSES,),
}
# Of a block: by the golden network's lengths, of which 24 is the width.
LENGTHS = {24: WIDTH, 72: 3 * WIDTH, 96: 4 * WIDTH}
# Constants that a block's reshapes have: 24 channels, 8 of them a head.
NUMBERS = {24: WIDTH, 8: WIDTH // HEADS}


def main():
    model, rng = onnx.load(GOLDEN), np.random.default_rng(0)
    graph = model.graph
    nodes, weights = list(graph.node), {tensor.name: tensor for tensor in graph.initializer}
    del graph.node[:], graph.initializer[:]

    def add(name, shape):
        values = rng.standard_normal(shape) * 0.02
        if "norm" in name and name.endswith("weight"):
            values = np.ones(shape)
        graph.initializer.append(numpy_helper.from_array(values.astype(np.float32), name))

    entry = next(node.input[0] for node in nodes if node.op_type == "LayerNormalization")
    first = next(i for i, node in enumerate(nodes) if node.op_type == "LayerNormalization")
    last = next(i for i, node in enumerate(nodes) if node.output[0] == "/blocks/blocks.0/Add_1_output_0")
    block, leave = nodes[first:last + 1], nodes[last].output[0]
    made = {name for node in block for name in node.output}
    for name, shape in SHAPES.items():
        add(name, shape)
    for attribute in nodes[0].attribute:
        if attribute.name in ("kernel_shape", "strides"):
            attribute.ints[:] = [PATCH, PATCH]
    graph.node.extend(nodes[:first])
    before = entry
    for depth in range(DEPTH):
        def named(name):
            if name == entry:
                return before
            if name in made or name in weights and name not in SHAPES:
                return f"{name.replace('blocks.0', f'blocks.{depth}')}/{depth}"
            return name

        for node in block:
            node = copy.deepcopy(node)
            for name in node.input:
                if name in weights and name not in SHAPES:
                    add(named(name), tuple(LENGTHS[length] for length in weights[name].dims))
            if node.op_type == "Constant" and "attn" in node.output[0]:
                value = numpy_helper.to_array(node.attribute[0].t)
                if value.size == 1 and value.dtype == np.int64 and int(value.reshape(-1)[0]) in NUMBERS:
                    value = np.full_like(value, NUMBERS[int(value.reshape(-1)[0])])
                    node.attribute[0].t.CopyFrom(numpy_helper.from_array(value))
            node.name = ""
            node.input[:] = [named(name) for name in node.input]
            node.output[:] = [named(name) for name in node.output]
            graph.node.append(node)
        before = f"{leave.replace('blocks.0', f'blocks.{depth}')}/{depth}"
    for node in nodes[last + 1:]:
        node.input[:] = [before if name == leave else name for name in node.input]
        graph.node.append(node)
    for value, sizes in ((graph.input[0], (None, 3, SIZE, SIZE)), (graph.output[0], (None, CLASSES))):
        for dim, size in zip(value.type.tensor_type.shape.dim, sizes):
            if size is not None:
                dim.dim_value = size
    onnx.checker.check_model(model)
    onnx.save(model, sys.argv[1])


if __name__ == "__main__":
    main()
