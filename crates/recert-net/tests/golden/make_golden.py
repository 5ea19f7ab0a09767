"""Makes residual.onnx and the expected outputs beside it.

A small residual network (convolutions with batch normalisation, a bias added
apart, pooling, a linear layer), and what ONNX Runtime computes for it and for
versions of it that numpy, not this project, has pruned and rounded.
"""

import pathlib

import ml_dtypes
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

HERE = pathlib.Path(__file__).parent
rng = np.random.default_rng(20)


def tensor(name, *shape, low=-1.0, high=1.0):
    return numpy_helper.from_array(rng.uniform(low, high, shape).astype(np.float32), name)


def norm(prefix, channels):
    return [
        tensor(f"{prefix}.scale", channels, low=0.5, high=1.5),
        tensor(f"{prefix}.shift", channels),
        tensor(f"{prefix}.mean", channels),
        tensor(f"{prefix}.var", channels, low=0.2, high=2.0),
    ]


def norm_node(prefix, x, y):
    inputs = [x, *(f"{prefix}.{part}" for part in ("scale", "shift", "mean", "var"))]
    return helper.make_node("BatchNormalization", inputs, [y], name=prefix, epsilon=1e-3)


node = helper.make_node
nodes = [
    node("Sub", ["image", "mean"], ["centred"], name="normalise"),
    node("Conv", ["centred", "conv1.w", "conv1.b"], ["c1"], name="conv1", pads=[1, 1, 1, 1]),
    norm_node("norm1", "c1", "n1"),
    node("Relu", ["n1"], ["r1"], name="relu1"),
    node("Conv", ["r1", "conv2.w"], ["c2"], name="conv2", pads=[1, 1, 1, 1], group=2),
    node("Add", ["c2", "conv2.added"], ["a2"], name="bias2"),
    node("Add", ["a2", "r1"], ["sum"], name="residual"),
    node("Relu", ["sum"], ["r2"], name="relu2"),
    node("MaxPool", ["r2"], ["pooled"], name="pool", kernel_shape=[2, 2], strides=[2, 2]),
    node("Conv", ["pooled", "conv3.w"], ["c3"], name="conv3", strides=[2, 2]),
    norm_node("norm3", "c3", "n3"),
    node("Relu", ["n3"], ["r3"], name="relu3"),
    node("GlobalAveragePool", ["r3"], ["average"], name="average_pool"),
    node("Flatten", ["average"], ["flat"], name="flatten"),
    node("Gemm", ["flat", "fc.w", "fc.b"], ["logits"], name="fc", transB=1),
]
weights = [
    tensor("mean", 1, 3, 1, 1, low=0.4, high=0.6),
    tensor("conv1.w", 4, 3, 3, 3),
    tensor("conv1.b", 4),
    *norm("norm1", 4),
    tensor("conv2.w", 4, 2, 3, 3),
    tensor("conv2.added", 4, 1, 1),
    tensor("conv3.w", 6, 4, 2, 2),
    *norm("norm3", 6),
    tensor("fc.w", 5, 6),
    tensor("fc.b", 5),
]
graph = helper.make_graph(
    nodes,
    "residual",
    [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 3, 8, 8])],
    [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 5])],
    weights,
)
network = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7)
onnx.checker.check_model(network, full_check=True)
onnx.save(network, HERE / "residual.onnx")

images = rng.uniform(0, 1, (4, 3, 8, 8)).astype(np.float32)
images.astype("<f4").tofile(HERE / "images.f32")


def outputs(model):
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"image": images})[0]


def changed(names, change):
    copy = onnx.ModelProto()
    copy.CopyFrom(network)
    for stored in copy.graph.initializer:
        if stored.name in names:
            values = change(numpy_helper.to_array(stored).copy()).astype(np.float32)
            stored.CopyFrom(numpy_helper.from_array(values, stored.name))
    return copy


def prune_half(values):
    flat = values.reshape(-1)
    flat[np.argsort(np.abs(flat), kind="stable")[: round(0.5 * flat.size)]] = 0
    return values


layer_weights = {"conv1.w", "conv2.w", "conv3.w", "fc.w"}
biases = {"conv1.b", "conv2.added", "fc.b"}
expected = {
    "float32": network,
    "pruned": changed(layer_weights, prune_half),
    "float16": changed(layer_weights | biases, lambda v: v.astype(np.float16)),
    "bfloat16": changed(layer_weights | biases, lambda v: v.astype(ml_dtypes.bfloat16)),
}
for name, model in expected.items():
    outputs(model).astype("<f4").tofile(HERE / f"{name}.f32")
