"""Small networks made by hand, for the cases that no network at large shows.

All take images of 3 x 8 x 8 (channels x height x width) and, unless they say
otherwise, answer with four logits. The weights come from a fixed seed.
"""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

F32 = np.float32
N = helper.make_node
CLASSES = 4
# Those whose logits generate.py computes and the suite compares.
WITH_LOGITS = [
    "plain",
    "nhwc",
    "fixed_batch",
    "trailing_ones",
    "average_pool_lower_right",
    "old_softmax",
    "cast_to_int64",
    "pool_without_strides",
    "quantize_axis",
    # Each of these is computed wrongly by some engine of ours, as README.md
    # tells: an engine must refuse it by name or answer like this.
    "average_pool_same_lower",
    "cast_to_bool",
    "conv_integer",
    "conv_same_lower",
    "conv_transpose_same_lower",
    "dynamic_quantization",
    "matmul_integer",
    "max_pool_behind",
    "max_pool_same_lower",
    "old_softmax_of_planes",
    "quantize_no_axis",
    "resize_align_corners",
    "resize_cubic",
    "sign",
    "softplus",
]


def weights(seed):
    """A convolution to 5 channels and a linear layer to the classes."""
    rng = np.random.default_rng(seed)
    normal = lambda *shape: rng.standard_normal(shape).astype(F32)
    return {
        "w": normal(5, 3, 3, 3) / 3,
        "b": normal(5) / 3,
        "v": normal(CLASSES, 5),
        "c": normal(CLASSES),
    }


def body(source, logits="logits"):
    """Convolution, ReLU, mean over the pixels, linear layer."""
    return [
        N("Conv", [source, "w", "b"], ["conv_out"], "conv", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        N("Relu", ["conv_out"], ["relu_out"], "relu"),
        N("GlobalAveragePool", ["relu_out"], ["pool_out"], "pool"),
        N("Flatten", ["pool_out"], ["flat_out"], "flatten"),
        N("Gemm", ["flat_out", "v", "c"], [logits], "linear", transB=1),
    ]


def model(nodes, outputs, constants=None, shape=("N", 3, 8, 8), opset=17, image=TensorProto.FLOAT):
    """The bytes of a network; `outputs` maps names to (type, shape)."""
    constants = {**weights(1), **(constants or {})}
    used = {name for node in nodes for name in node.input}
    graph = helper.make_graph(
        nodes,
        "made_by_hand",
        [helper.make_tensor_value_info("image", image, shape)],
        [helper.make_tensor_value_info(n, t, s) for n, (t, s) in outputs.items()],
        [numpy_helper.from_array(v.copy(), n) for n, v in constants.items() if n in used],
    )
    opsets = [helper.make_opsetid("", opset)]
    made = helper.make_model(graph, opset_imports=opsets, ir_version=8, producer_name="made.py")
    return made.SerializeToString()


LOGITS = {"logits": (TensorProto.FLOAT, ["N", CLASSES])}


def arg_max(**attributes):
    """The class alone, `[N]`, as int64."""
    nodes = body("image", "scores")
    nodes.append(N("ArgMax", ["scores"], ["class"], "arg_max", keepdims=0, **attributes))
    return nodes


def integer_product(operator):
    """A linear layer or convolution of integers, the weights with a zero point
    other than 0."""
    rng = np.random.default_rng(2)
    constants = {
        "qs": np.array(1 / 255, F32),
        "qz": np.array(7, np.uint8),
        "scale": np.array(1e-4, F32),
    }
    if operator == "ConvInteger":
        constants["qw"] = rng.integers(0, 256, (5, 3, 3, 3)).astype(np.uint8)
        constants["wz"] = np.array(128, np.uint8)
        attributes = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
        head, source, target, tail = [], "image", "conv_out", body("unused")[1:]
    else:
        constants["qw"] = rng.integers(-128, 128, (192, CLASSES)).astype(np.int8)
        constants["wz"] = np.array(3, np.int8)
        attributes = {}
        head = [N("Flatten", ["image"], ["flat"], "flatten_image")]
        source, target, tail = "flat", "logits", []
    nodes = [
        *head,
        N("QuantizeLinear", [source, "qs", "qz"], ["q"], "quantize"),
        N(operator, ["q", "qw", "qz", "wz"], ["sums"], "integer_product", **attributes),
        N("Cast", ["sums"], ["float_sums"], "cast", to=TensorProto.FLOAT),
        N("Mul", ["float_sums", "scale"], [target], "scaled"),
        *tail,
    ]
    return model(nodes, LOGITS, constants)


def with_feature(node, constants=None, opset=17):
    """`node` makes `image2` of `image`, then the usual body."""
    return model([node, *body("image2")], LOGITS, constants, opset=opset)


def quantize(axis):
    """Input and one weight a channel quantized and dequantized; four channels,
    so that a wrong axis goes unnoticed by shape checks."""
    attributes = {} if axis is None else {"axis": axis}
    constants = {
        "w4": np.random.default_rng(4).standard_normal((8, 3, 3, 3)).astype(F32),
        "s": np.array([0.01, 0.03, 0.05, 0.07, 0.09, 0.11, 0.13, 0.15], F32),
        "z": np.array([128, 100, 120, 140, 128, 100, 120, 140], np.uint8),
        "v8": np.random.default_rng(5).standard_normal((CLASSES, 8)).astype(F32),
    }
    nodes = [
        N("Conv", ["image", "w4"], ["conv_out"], "conv", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        N("QuantizeLinear", ["conv_out", "s", "z"], ["quanta"], "quantize", **attributes),
        N("DequantizeLinear", ["quanta", "s", "z"], ["back"], "dequantize", **attributes),
        N("GlobalAveragePool", ["back"], ["pool_out"], "pool"),
        N("Flatten", ["pool_out"], ["flat_out"], "flatten"),
        N("Gemm", ["flat_out", "v8", "c"], ["logits"], "linear", transB=1),
    ]
    return model(nodes, LOGITS, constants)


def networks():
    """Every network by name."""
    to_nchw = N("Transpose", ["image"], ["image2"], "to_nchw", perm=[0, 3, 1, 2])
    four = ["N", CLASSES]
    integer = {"class": (TensorProto.INT64, ["N"])}
    # Times 8 is exact, so that truncation is all that happens.
    truncated = [
        N("Mul", ["image", "eight"], ["eightfold"], "eightfold"),
        N("Cast", ["eightfold"], ["whole"], "to_int64", to=TensorProto.INT64),
        N("Cast", ["whole"], ["image2"], "to_float", to=TensorProto.FLOAT),
    ]
    nan_of_mean = [
        *body("image", "scores"),
        N("ReduceMean", ["image"], ["mean"], "mean", axes=[1, 2, 3], keepdims=0),
        N("Unsqueeze", ["mean", "one"], ["mean1"], "unsqueeze"),
        N("Log", ["mean1"], ["log"], "log"),
        N("Add", ["scores", "log"], ["logits"], "add"),
    ]
    constant_nan = [
        *body("image", "scores"),
        N("Sqrt", ["minus_one"], ["nan"], "root_of_minus_one"),
        N("Add", ["scores", "nan"], ["logits"], "add"),
    ]
    offset_class = [
        *arg_max(axis=1)[:-1],
        N("ArgMax", ["scores"], ["best"], "arg_max", axis=1, keepdims=0),
        N("Sub", ["best", "three"], ["class"], "minus_three"),
    ]
    tied = [
        N("GlobalAveragePool", ["image"], ["pool_out"], "pool"),
        N("Flatten", ["pool_out"], ["flat_out"], "flatten"),
        N("Gemm", ["flat_out", "zeros", "ties"], ["scores"], "linear", transB=1),
        N("ArgMax", ["scores"], ["class"], "arg_max", axis=1, keepdims=0),
    ]
    mixed = [
        N("ReduceMean", ["image"], ["over_batch"], "mean_over_batch", axes=[0]),
        N("Sub", ["image", "over_batch"], ["image2"], "sub"),
        *body("image2"),
    ]
    conv_lower = N(
        "Conv", ["image", "w2"], ["image2"], "lower", kernel_shape=[2, 2], auto_pad="SAME_LOWER"
    )
    return {
        "plain": model(body("image"), LOGITS),
        "nhwc": model([to_nchw, *body("image2")], LOGITS, shape=("N", 8, 8, 3)),
        "fixed_batch": model(
            body("image"), {"logits": (TensorProto.FLOAT, [4, CLASSES])}, shape=(4, 3, 8, 8)
        ),
        "trailing_ones": model(
            [
                *body("image", "scores"),
                N("Unsqueeze", ["scores", "two_three"], ["logits"], "unsqueeze"),
            ],
            {"logits": (TensorProto.FLOAT, [*four, 1, 1])},
            {"two_three": np.array([2, 3])},
        ),
        "two_outputs": model(
            [*body("image", "first"), N("Neg", ["first"], ["second"], "negate")],
            {"first": (TensorProto.FLOAT, four), "second": (TensorProto.FLOAT, four)},
        ),
        "arg_max": model(arg_max(axis=1), integer),
        "arg_max_last_axis": model(arg_max(axis=-1), integer),
        "arg_max_tied": model(
            tied,
            integer,
            {"zeros": np.zeros((CLASSES, 3), F32), "ties": np.array([1, 2, 2, 2], F32)},
        ),
        "class_out_of_range": model(offset_class, integer, {"three": np.array(3)}),
        "integer_image": model(
            [N("Cast", ["image"], ["image2"], "to_float", to=TensorProto.FLOAT), *body("image2")],
            LOGITS,
            image=TensorProto.UINT8,
        ),
        "one_logit": model(
            [*body("image", "scores"), N("ReduceMax", ["scores"], ["logits"], "max", axes=[1])],
            {"logits": (TensorProto.FLOAT, ["N", 1])},
        ),
        "unknown_operator": with_feature(N("Frobnicate", ["image"], ["image2"], "the_frobnicator")),
        "random_noise": model(
            [
                N("RandomNormalLike", ["image"], ["noise"], "the_dice"),
                N("Add", ["image", "noise"], ["image2"], "add"),
                *body("image2"),
            ],
            LOGITS,
        ),
        "training_dropout": with_feature(
            N("Dropout", ["image", "ratio", "training"], ["image2"], "the_dropout"),
            {"ratio": np.array(0.5, F32), "training": np.array(True)},
        ),
        "mixes_the_batch": model(mixed, LOGITS),
        # By little of logits that are large.
        "mixes_the_batch_faintly": model(
            [
                N("ReduceMean", ["image"], ["over_batch"], "mean_over_batch", axes=[0]),
                N("Mul", ["over_batch", "little"], ["part"], "mul"),
                N("Sub", ["image", "part"], ["image2"], "sub"),
                *body("image2", "scores"),
                N("Add", ["scores", "hundred"], ["logits"], "add"),
            ],
            LOGITS,
            {"little": np.array(0.2, F32), "hundred": np.array(100, F32)},
        ),
        "mixes_a_fixed_batch": model(
            mixed, {"logits": (TensorProto.FLOAT, [4, CLASSES])}, shape=(4, 3, 8, 8)
        ),
        "nan_constant": model(constant_nan, LOGITS, {"minus_one": np.array(-1, F32)}),
        "nan_for_dark_images": model(nan_of_mean, LOGITS, {"one": np.array([1])}),
        "conv_integer": integer_product("ConvInteger"),
        "matmul_integer": integer_product("MatMulInteger"),
        "dynamic_quantization": model(
            [
                N("DynamicQuantizeLinear", ["image"], ["q", "qs", "qz"], "dynamic"),
                N("DequantizeLinear", ["q", "qs", "qz"], ["image2"], "dequantize"),
                *body("image2"),
            ],
            LOGITS,
        ),
        "conv_same_lower": with_feature(
            conv_lower,
            {"w2": np.random.default_rng(3).standard_normal((3, 3, 2, 2)).astype(F32)},
        ),
        "conv_transpose_same_lower": with_feature(
            N("ConvTranspose", ["image", "w2"], ["image2"], "lower", kernel_shape=[3, 3], strides=[2, 2], auto_pad="SAME_LOWER"),
            {"w2": np.random.default_rng(3).standard_normal((3, 3, 3, 3)).astype(F32)},
        ),
        # A fifth window would begin behind the image: there are four.
        "max_pool_behind": with_feature(
            N("MaxPool", ["image"], ["image2"], "behind", kernel_shape=[1, 1], strides=[2, 2], ceil_mode=1)
        ),
        "max_pool_same_lower": with_feature(
            N("MaxPool", ["image"], ["image2"], "lower", kernel_shape=[2, 2], strides=[1, 1], auto_pad="SAME_LOWER")
        ),
        "average_pool_same_lower": with_feature(
            N("AveragePool", ["image"], ["image2"], "lower", kernel_shape=[2, 2], strides=[1, 1], auto_pad="SAME_LOWER")
        ),
        "average_pool_lower_right": with_feature(
            N("AveragePool", ["image"], ["image2"], "pool2", kernel_shape=[2, 2], strides=[1, 1], pads=[0, 0, 1, 1])
        ),
        "pool_without_strides": with_feature(
            N("MaxPool", ["image"], ["image2"], "pool3", kernel_shape=[3, 3], pads=[1, 1, 1, 1])
        ),
        "old_softmax": model(
            [*body("image", "scores"), N("Softmax", ["scores"], ["logits"], "softmax")],
            LOGITS,
            opset=11,
        ),
        "old_softmax_of_planes": with_feature(
            N("Softmax", ["image"], ["image2"], "softmax", axis=1), opset=11
        ),
        "cast_to_bool": model(
            [
                N("Cast", ["image"], ["bright"], "to_bool", to=TensorProto.BOOL),
                N("Cast", ["bright"], ["image2"], "to_float", to=TensorProto.FLOAT),
                *body("image2"),
            ],
            LOGITS,
        ),
        "cast_to_int64": model([*truncated, *body("image2")], LOGITS, {"eight": np.array(8, F32)}),
        "resize_align_corners": with_feature(
            N(
                "Resize", ["image", "", "scales"], ["image2"], "resize",
                mode="linear", coordinate_transformation_mode="align_corners",
            ),
            {"scales": np.array([1, 1, 0.6, 0.6], F32)},
        ),
        "resize_cubic": with_feature(
            N("Resize", ["image", "", "scales"], ["image2"], "resize", mode="cubic"),
            {"scales": np.array([1, 1, 2, 2], F32)},
        ),
        "quantize_axis": quantize(1),
        "quantize_no_axis": quantize(None),
        # The ReLU makes exact zeros.
        "sign": model(
            [
                N("Sub", ["image", "half"], ["centred"], "centre"),
                N("Relu", ["centred"], ["positive"], "relu0"),
                N("Sign", ["positive"], ["image2"], "the_sign"),
                *body("image2"),
            ],
            LOGITS,
            {"half": np.array(0.5, F32)},
        ),
        # Up to 200, where the exponential of the argument overflows float32.
        "softplus": model(
            [
                N("Mul", ["image", "factor"], ["bright"], "brighten"),
                N("Softplus", ["bright"], ["image2"], "the_softplus"),
                *body("image2"),
            ],
            LOGITS,
            {"factor": np.array(200, F32)},
        ),
    }
