"""The demo network: six 3 x 3 convolutions, written once for JAX and once for ONNX.

    image -> normalise -> stem -> down1 -> down2 -> residual block -> top
          -> global average pooling -> linear -> logits

Every convolution is followed by batch normalisation. `apply` runs the network
for training, `to_onnx` writes the same network with its trained parameters.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import onnx
from jax import Array
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

OPSET = 17
IR_VERSION = 8
EPSILON = 1e-5  # Added to the variance in batch normalisation.
MOMENTUM = 0.98  # Share of the old running statistics kept at every step.


class Conv(NamedTuple):
    """A 3 x 3 convolution with padding 1 and without bias."""

    name: str
    inputs: int
    outputs: int
    stride: int


CONVS = (
    Conv("stem", 3, 16, 1),
    Conv("down1", 16, 24, 2),
    Conv("down2", 24, 32, 2),
    Conv("block.1", 32, 32, 1),
    Conv("block.2", 32, 32, 1),
    Conv("top", 32, 48, 1),
)

Params = dict[str, Array]  # What the optimiser changes.
Stats = dict[str, Array]  # Normalisation constants and running statistics.


def initialise(
    key: Array, classes: int, mean: NDArray[np.float32], std: NDArray[np.float32]
) -> tuple[Params, Stats]:
    """Fresh parameters (He initialisation) and statistics.

    `mean` and `std` (shape [3]) are those of the clean training images.
    """
    params: Params = {}
    stats: Stats = {"mean": jnp.asarray(mean), "std": jnp.asarray(std)}
    keys = jax.random.split(key, len(CONVS) + 1)
    for conv, conv_key in zip(CONVS, keys):
        shape = (3, 3, conv.inputs, conv.outputs)
        scale = np.sqrt(2.0 / (9 * conv.inputs))
        params[f"{conv.name}.weight"] = scale * jax.random.normal(conv_key, shape)
        params[f"{conv.name}.bn.weight"] = jnp.ones(conv.outputs)
        params[f"{conv.name}.bn.bias"] = jnp.zeros(conv.outputs)
        stats[f"{conv.name}.bn.mean"] = jnp.zeros(conv.outputs)
        stats[f"{conv.name}.bn.var"] = jnp.ones(conv.outputs)
    features = CONVS[-1].outputs
    params["linear.weight"] = jax.random.normal(keys[-1], (features, classes)) / np.sqrt(features)
    params["linear.bias"] = jnp.zeros(classes)
    return params, stats


def apply(params: Params, stats: Stats, images: Array, *, train: bool) -> tuple[Array, Stats]:
    """Logits [n, classes] of images [n, 32, 32, 3] in [0, 1], and new statistics.

    In training the batch's own mean and variance normalise it and are mixed
    into the running statistics; otherwise the running statistics are used.
    """
    updated = dict(stats)

    def conv_bn(x: Array, conv: Conv) -> Array:
        x = jax.lax.conv_general_dilated(
            x,
            params[f"{conv.name}.weight"],
            window_strides=(conv.stride, conv.stride),
            padding=((1, 1), (1, 1)),
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )
        bn = f"{conv.name}.bn"
        if train:
            mean = x.mean((0, 1, 2))
            var = jnp.square(x).mean((0, 1, 2)) - jnp.square(mean)
            for name, value in ((f"{bn}.mean", mean), (f"{bn}.var", var)):
                updated[name] = MOMENTUM * stats[name] + (1.0 - MOMENTUM) * value
        else:
            mean, var = stats[f"{bn}.mean"], stats[f"{bn}.var"]
        scale = params[f"{bn}.weight"] * jax.lax.rsqrt(var + EPSILON)
        return (x - mean) * scale + params[f"{bn}.bias"]

    stem, down1, down2, block1, block2, top = CONVS
    x = (images - stats["mean"]) / stats["std"]
    for conv in (stem, down1, down2):
        x = jax.nn.relu(conv_bn(x, conv))
    x = jax.nn.relu(x + conv_bn(jax.nn.relu(conv_bn(x, block1)), block2))
    x = jax.nn.relu(conv_bn(x, top))
    x = x.mean((1, 2))
    return x @ params["linear.weight"] + params["linear.bias"], updated


def to_onnx(params: Params, stats: Stats, metadata: dict[str, str]) -> onnx.ModelProto:
    """The network for images [N, 3, 32, 32] in [0, 1], checked by `onnx.checker`."""
    nodes: list[onnx.NodeProto] = []
    constants: list[onnx.TensorProto] = []

    def constant(name: str, value: Array) -> str:
        array = np.ascontiguousarray(np.asarray(value, dtype=np.float32))
        constants.append(numpy_helper.from_array(array, name))
        return name

    def node(kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        nodes.append(helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output

    def conv_bn(x: str, conv: Conv) -> str:
        # JAX keeps weights as [height, width, in, out], ONNX as [out, in, height, width].
        weight = params[f"{conv.name}.weight"].transpose(3, 2, 0, 1)
        stride = [conv.stride, conv.stride]
        x = node(
            "Conv",
            [x, constant(f"{conv.name}.weight", weight)],
            f"{conv.name}.conv",
            kernel_shape=[3, 3],
            strides=stride,
            pads=[1, 1, 1, 1],
        )
        bn = f"{conv.name}.bn"
        of_params = [constant(f"{bn}.{n}", params[f"{bn}.{n}"]) for n in ("weight", "bias")]
        of_stats = [constant(f"{bn}.{n}", stats[f"{bn}.{n}"]) for n in ("mean", "var")]
        return node("BatchNormalization", [x, *of_params, *of_stats], bn, epsilon=EPSILON)

    def relu(x: str, name: str) -> str:
        return node("Relu", [x], f"{name}.relu")

    stem, down1, down2, block1, block2, top = CONVS
    x = node("Sub", ["image", constant("mean", stats["mean"].reshape(1, 3, 1, 1))], "centred")
    x = node("Div", [x, constant("std", stats["std"].reshape(1, 3, 1, 1))], "normalised")
    for conv in (stem, down1, down2):
        x = relu(conv_bn(x, conv), conv.name)
    branch = conv_bn(relu(conv_bn(x, block1), block1.name), block2)
    x = relu(node("Add", [x, branch], "block.sum"), "block")
    x = relu(conv_bn(x, top), top.name)
    x = node("GlobalAveragePool", [x], "pooled")
    x = node("Flatten", [x], "features", axis=1)
    linear = [constant(f"linear.{n}", params[f"linear.{n}"]) for n in ("weight", "bias")]
    node("Gemm", [x, *linear], "logits")

    classes = params["linear.bias"].shape[0]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 3, 32, 32])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", classes])
    graph = helper.make_graph(nodes, "shapes", [image], [logits], constants)
    model = helper.make_model(
        graph,
        producer_name="recert-demo",
        ir_version=IR_VERSION,
        opset_imports=[helper.make_opsetid("", OPSET)],
    )
    helper.set_model_props(model, metadata)
    onnx.checker.check_model(model, full_check=True)
    return model
