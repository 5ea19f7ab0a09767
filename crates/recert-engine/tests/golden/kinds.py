"""Networks written in the ways in which real files are: one of each kind.

    python kinds.py        # writes kinds/*.onnx and kinds/*.npy

All take images of 3 x 8 x 8 (the eight of the hand-made networks), or the same 192 values
as a row, and answer with four logits. The golden logits are those of ONNX Runtime 1.32 with
all graph optimisations off. Where ONNX Runtime does not read a form (operator sets before 7),
they are those of a twin that states the same network in operator set 17; the twin is written
here by hand, not converted.
"""

import pathlib
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

F32 = np.float32
N = helper.make_node
OUT = pathlib.Path(__file__).parent / "kinds"
FLOAT, F16, F64, I64 = TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.INT64

rng = np.random.default_rng(5)
normal = lambda *shape: rng.standard_normal(shape).astype(F32)
C = {
    "w": normal(5, 3, 3, 3) / 3,
    "b": normal(5) / 3,
    "v": normal(4, 5),
    "vt": normal(5, 4),
    "c": normal(4),
    "gain": np.abs(normal(5)) + F32(0.5),
    "shift": normal(5),
    "mean": normal(5),
    "var": np.abs(normal(5)) + F32(0.5),
    "row": normal(192, 6) / 8,
    "rowb": normal(6),
    "row2": normal(6, 4),
    "k1": normal(3, 1, 1, 5),
    "k1v": normal(4, 3 * 188) / 16,
    "planes": normal(4, 320) / 8,
}


def ints(*values):
    return np.array(values, np.int64)


def lcg(seed, count):
    out = []
    for _ in range(count):
        seed = (seed * 6364136223846793005 + 1442695040888963407) % 2**64
        out.append((seed >> 40) / 16777216.0)
    return np.array(out, F32)


IMAGES = np.stack([lcg(seed, 192) for seed in range(1, 9)]).reshape(8, 3, 8, 8)


def model(nodes, opset=13, shape=("N", 3, 8, 8), image=FLOAT, outputs=None, constants=None,
          functions=(), imports=()):
    constants = {**C, **(constants or {})}
    used = {name for node in nodes for name in node.input}
    outputs = outputs or {"logits": (FLOAT, ("N", 4))}
    graph = helper.make_graph(
        nodes,
        "kinds",
        [helper.make_tensor_value_info("image", image, shape)],
        [helper.make_tensor_value_info(n, t, s) for n, (t, s) in outputs.items()],
        [numpy_helper.from_array(np.array(v).copy(), n) for n, v in constants.items() if n in used],
    )
    opsets = [helper.make_opsetid("", opset)] + [helper.make_opsetid(d, v) for d, v in imports]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8 if opset < 19 else 9,
                             functions=list(functions), producer_name="kinds.py")


def conv(source="image", to="a"):
    return [
        N("Conv", [source, "w", "b"], [to + "c"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        N("Relu", [to + "c"], [to]),
    ]


def head(source="z", to="logits", opset=13):
    gemm = {} if opset >= 7 else {"broadcast": 1}
    return [
        N("GlobalAveragePool", [source], ["pooled"]),
        N("Flatten", ["pooled"], ["flat"]),
        N("Gemm", ["flat", "v", "c"], [to], transB=1, **gemm),
    ]


def between(*nodes, opset=13, **more):
    """Convolution, these nodes from `a` to `z`, head."""
    return model(conv() + list(nodes) + head(opset=opset), opset=opset, **more)


KINDS = {}  # name -> (network, twin or None, inputs of the golden run)


def kind(name, network, twin=None, output="logits", inputs=IMAGES):
    KINDS[name] = (network, twin, output, inputs)


ROWS = IMAGES.reshape(8, 192)

# Inputs.
kind("all_symbolic", model(conv() + head("a"), shape=("n", "c", "h", "w")))
kind("all_unstated", model(conv() + head("a"), shape=(None, None, None, None)))
network = model(conv() + head("a"))
network.graph.input[0].type.tensor_type.ClearField("shape")
kind("unstated", network)
kind(
    "all_symbolic_nhwc",
    model([N("Transpose", ["image"], ["t"], perm=[0, 3, 1, 2])] + conv("t") + head("a"),
          shape=("n", "h", "w", "c")),
    inputs=IMAGES.transpose(0, 2, 3, 1),
)
kind("channels_symbolic", model(conv() + head("a"), shape=("n", "c", 8, 8)))
kind(
    "row_1x1x1xd_conv",
    model([
        N("Conv", ["image", "k1"], ["a"]), N("Relu", ["a"], ["r"]), N("Flatten", ["r"], ["f"]),
        N("Gemm", ["f", "k1v"], ["logits"], transB=1),
    ], shape=(1, 1, 1, 192), outputs={"logits": (FLOAT, (1, 4))}),
    inputs=ROWS.reshape(8, 1, 1, 192),
)
MLP = [
    N("MatMul", ["x", "row"], ["m"]), N("Add", ["m", "rowb"], ["s"]), N("Relu", ["s"], ["r"]),
    N("MatMul", ["r", "row2"], ["logits"]),
]
kind(
    "row_nx1xd",
    model([N("Squeeze", ["image", "one"], ["x"])] + MLP, shape=("N", 1, 192),
          constants={"one": ints(1)}),
    inputs=ROWS.reshape(8, 1, 192),
)
network = model([N("Identity", ["image"], ["x"])] + MLP, shape=("N", 192))
network.graph.input[0].type.tensor_type.ClearField("shape")
kind("row_unstated", network, inputs=IMAGES.reshape(8, 192))
kind(
    "row_nxdx1x1",
    model([N("Flatten", ["image"], ["x"])] + MLP, shape=("N", 192, 1, 1)),
    inputs=ROWS.reshape(8, 192, 1, 1),
)
kind("in_f16", model([N("Cast", ["image"], ["x"], to=FLOAT)] + conv("x") + head("a"), image=F16),
     inputs=IMAGES.astype(np.float16))
kind("in_f64", model([N("Cast", ["image"], ["x"], to=FLOAT)] + conv("x") + head("a"), image=F64),
     inputs=IMAGES.astype(np.float64))
kind("out_f16", model(conv() + head("a", "l") + [N("Cast", ["l"], ["logits"], to=F16)],
                      outputs={"logits": (F16, ("N", 4))}))
kind("out_f64", model(conv() + head("a", "l") + [N("Cast", ["l"], ["logits"], to=F64)],
                      outputs={"logits": (F64, ("N", 4))}))
half = {k: C[k].astype(np.float16) for k in ("w", "b", "v", "c")}
kind("all_f16", model(conv() + head("a"), image=F16, constants=half,
                      outputs={"logits": (F16, ("N", 4))}), inputs=IMAGES.astype(np.float16))

# Outputs.
kind(
    "label_then_scores",
    model(conv() + head("a") + [N("ArgMax", ["logits"], ["label"], axis=1, keepdims=0)],
          outputs={"label": (I64, ("N",)), "logits": (FLOAT, ("N", 4))}),
)
kind(
    "text_label_then_scores",
    model(conv() + head("a") + [
        N("ArgMax", ["logits"], ["arg"], axis=1, keepdims=0),
        N("LabelEncoder", ["arg"], ["label"], domain="ai.onnx.ml", keys_int64s=[0, 1, 2, 3],
          values_strings=["cat", "dog", "eel", "fox"]),
    ], outputs={"label": (TensorProto.STRING, ("N",)), "logits": (FLOAT, ("N", 4))},
        imports=[("ai.onnx.ml", 2)]),
)

# The graph.
kind("unsorted", model([*head("a"), *reversed(conv())]))
kind("batch_in_reshape", model(conv() + [
    N("GlobalAveragePool", ["a"], ["p"]), N("Reshape", ["p", "shape"], ["f"]),
    N("MatMul", ["f", "vt"], ["logits"]),
], constants={"shape": ints(1, 5)}))
kind("batch_in_reshape_open", model(conv() + [
    N("GlobalAveragePool", ["a"], ["p"]), N("Reshape", ["p", "shape"], ["f"]),
    N("MatMul", ["f", "vt"], ["logits"]),
], constants={"shape": ints(1, -1)}))
block = helper.make_function(
    "local", "Block", ["x", "w", "b"], ["z"],
    [N("Conv", ["x", "w", "b"], ["q"], pads=[1, 1, 1, 1]), N("LeakyRelu", ["q"], ["z"])],
    [helper.make_opsetid("", 13)],
)
leaky = N("LeakyRelu", ["q"], ["z"])
leaky.attribute.append(helper.make_attribute_ref_name(helper.make_attribute("alpha", 0.0), "slope")
                       if hasattr(helper, "make_attribute_ref_name") else
                       onnx.AttributeProto(name="alpha", ref_attr_name="slope",
                                           type=onnx.AttributeProto.FLOAT))
sloped = helper.make_function(
    "local", "Sloped", ["x", "w"], ["z"],
    [N("Inner", ["x", "w"], ["q"], domain="local"), leaky],
    [helper.make_opsetid("", 13), helper.make_opsetid("local", 1)], ["slope"],
)
inner = helper.make_function(
    "local", "Inner", ["x", "w"], ["z"], [N("Conv", ["x", "w"], ["z"], pads=[1, 1, 1, 1])],
    [helper.make_opsetid("", 13)],
)
kind("function", model([N("Block", ["image", "w", "b"], ["a"], domain="local")] + head("a"),
                       functions=[block], imports=[("local", 1)]))
kind("functions_nested",
     model([N("Sloped", ["image", "w"], ["a"], domain="local", slope=0.3)] + head("a"),
           functions=[sloped, inner], imports=[("local", 1)]))

# Dropout in inference.
for opset, stated in [(7, {}), (10, {"ratio": 0.3}), (12, {}), (13, {}), (22, {})]:
    kind(f"dropout{opset}", between(N("Dropout", ["a"], ["z"], **stated), opset=opset))
kind("dropout9_mask", between(N("Dropout", ["a"], ["z", "mask"], ratio=0.5), opset=9))
kind("dropout13_mode", between(
    N("Dropout", ["a", "ratio", "mode"], ["z", "mask"]),
    constants={"ratio": F32(0.4), "mode": np.array(False)}))
kind("dropout13_mode_node", between(
    N("Constant", [], ["mode"], value=numpy_helper.from_array(np.array(False))),
    N("Constant", [], ["ratio"], value=numpy_helper.from_array(F32(0.4))),
    N("Dropout", ["a", "ratio", "mode"], ["z"])))
kind("dropout6", between(N("Dropout", ["a"], ["z"], is_test=1, ratio=0.3), opset=6),
     between(N("Identity", ["a"], ["z"]), opset=17))

# What operators were before.
kind("softmax9", between(
    N("Transpose", ["a"], ["t"], perm=[0, 1, 3, 2]), N("MatMul", ["a", "t"], ["m"]),
    N("Softmax", ["m"], ["s"], axis=3), N("MatMul", ["s", "a"], ["z"]), opset=9))
kind("softmax11_default", between(N("Softmax", ["a"], ["s"]), N("Mul", ["s", "hundred"], ["z"]),
                                  opset=11, constants={"hundred": F32(100)}))
kind("softmax11_planes", between(N("Softmax", ["a"], ["s"], axis=2), N("Mul", ["s", "ten"], ["z"]),
                                 opset=11, constants={"ten": F32(10)}))
kind("log_softmax9", model(conv() + head("a", "l") + [N("LogSoftmax", ["l"], ["logits"])], opset=9))
BN = ["a", "gain", "shift", "mean", "var"]
twin_bn = between(N("BatchNormalization", BN, ["z"], epsilon=1e-3), opset=17)
kind("batch_norm6", between(N("BatchNormalization", BN, ["z"], epsilon=1e-3, is_test=1), opset=6), twin_bn)
kind("batch_norm7", between(N("BatchNormalization", BN, ["z"], epsilon=1e-3, momentum=0.9), opset=7))
kind("batch_norm9", between(N("BatchNormalization", BN, ["z"], epsilon=1e-3), opset=9))
kind("clip6", between(N("Clip", ["a"], ["z"], min=0.1, max=0.7), opset=6),
     between(N("Clip", ["a", "lo", "hi"], ["z"], ), opset=17, constants={"lo": F32(0.1), "hi": F32(0.7)}))
kind("clip9", between(N("Clip", ["a"], ["z"], max=0.7), opset=9))
kind("slice1", between(N("Slice", ["a"], ["z"], axes=[2, 3], starts=[1, 0], ends=[7, -1]), opset=9))
kind("pad2", between(N("Pad", ["a"], ["z"], pads=[0, 0, 1, 2, 0, 0, 0, 1], mode="constant", value=0.5), opset=9))
kind("pad2_reflect", between(N("Pad", ["a"], ["z"], pads=[0, 0, 1, 2, 0, 0, 0, 1], mode="reflect"), opset=10))
kind("upsample7", between(N("Upsample", ["a"], ["u"], mode="nearest", scales=[1.0, 1.0, 2.0, 2.0]),
                          N("MaxPool", ["u"], ["z"], kernel_shape=[3, 3]), opset=7))
kind("upsample9", between(N("Upsample", ["a", "scales"], ["u"], mode="nearest"),
                          N("MaxPool", ["u"], ["z"], kernel_shape=[3, 3]), opset=9,
                          constants={"scales": np.array([1, 1, 2, 2], F32)}))
kind("resize10", between(N("Resize", ["a", "scales"], ["u"], mode="nearest"),
                         N("MaxPool", ["u"], ["z"], kernel_shape=[3, 3]), opset=10,
                         constants={"scales": np.array([1, 1, 2, 2], F32)}))
kind("axes_attributes", model(conv() + [
    N("ReduceMean", ["a"], ["p"], axes=[2, 3], keepdims=1), N("Squeeze", ["p"], ["q"], axes=[2, 3]),
    N("Unsqueeze", ["q"], ["u"], axes=[2]), N("Squeeze", ["u"], ["f"], axes=[2]),
    N("Gemm", ["f", "v", "c"], ["logits"], transB=1),
], opset=11))
kind("reduce_sum11", model(conv() + [
    N("ReduceSum", ["a"], ["f"], axes=[2, 3], keepdims=0),
    N("Gemm", ["f", "v", "c"], ["logits"], transB=1),
], opset=11))
kind("split2", between(N("Split", ["a"], ["s0", "s1"], axis=1, split=[2, 3]),
                       N("Concat", ["s1", "s0"], ["z"], axis=1), opset=11))
kind("reshape1", model(conv() + [
    N("GlobalAveragePool", ["a"], ["p"]), N("Reshape", ["p"], ["f"], shape=[-1, 5]),
    N("Gemm", ["f", "v", "c"], ["logits"], transB=1, broadcast=1),
], opset=4), model(conv() + head("a"), opset=17))
kind("broadcast6", between(N("Mul", ["a", "gain"], ["m"], broadcast=1, axis=1),
                           N("Add", ["m", "shift"], ["z"], broadcast=1, axis=1), opset=6),
     between(N("Mul", ["a", "gain4"], ["m"]), N("Add", ["m", "shift4"], ["z"]), opset=17,
             constants={"gain4": C["gain"].reshape(5, 1, 1), "shift4": C["shift"].reshape(5, 1, 1)}))
kind("cast5", model([N("Cast", ["image"], ["x"], to="FLOAT")] + conv("x") + head("a", opset=5), opset=5),
     model(conv() + head("a"), opset=17))
kind("constant_nodes", between(
    N("Constant", [], ["k"], value=numpy_helper.from_array(C["gain"].reshape(1, 5, 1, 1))),
    N("Mul", ["a", "k"], ["z"]), opset=9))
kind("initializers_as_inputs", between(N("BatchNormalization", BN, ["z"]), opset=8))
network = KINDS["initializers_as_inputs"][0]
network.ir_version = 3
network.graph.input.extend(
    helper.make_tensor_value_info(t.name, t.data_type, t.dims) for t in network.graph.initializer)

# Quantized.
scale = np.abs(C["w"]).max(axis=(1, 2, 3)) / 127
wq = np.clip(np.rint(C["w"] / scale.reshape(5, 1, 1, 1)), -127, 127).astype(np.int8)
Q = {"xs": F32(1 / 127), "xz": np.int8(0), "ws": scale.astype(F32), "wq": wq, "wz": np.zeros(5, np.int8),
     "as": F32(0.02), "az": np.int8(-128)}
def qdq(zero):
    z = lambda name: [name] if zero else []
    return model([
        N("QuantizeLinear", ["image", "xs"] + z("xz"), ["xq"]),
        N("DequantizeLinear", ["xq", "xs"] + z("xz"), ["xd"]),
        N("DequantizeLinear", ["wq", "ws"] + z("wz"), ["wd"], axis=0),
        N("Conv", ["xd", "wd", "b"], ["ac"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        N("Relu", ["ac"], ["a"]),
    ] + head("a"), constants=Q)
Q8 = {**Q, "xs": F32(1 / 255)}
kind("qdq_per_channel", qdq(True))
nozero = qdq(False)
kind("qdq_per_channel_no_zero_point", nozero)
kind("qlinear_s8s8", model([
    N("QuantizeLinear", ["image", "xs", "xz"], ["xq"]),
    N("QLinearConv", ["xq", "xs", "xz", "wq", "ws", "wz", "as", "az"], ["aq"], pads=[1, 1, 1, 1]),
    N("DequantizeLinear", ["aq", "as", "az"], ["a"]),
] + head("a"), constants=Q, opset=10))
kind("qlinear_microsoft", model([
    N("QuantizeLinear", ["image", "xs", "xz"], ["xq"]),
    N("QLinearConv", ["xq", "xs", "xz", "wq", "ws", "wz", "as", "az"], ["aq"], pads=[1, 1, 1, 1]),
    N("QLinearGlobalAveragePool", ["aq", "as", "az", "as", "az"], ["pq"], domain="com.microsoft",
      channels_last=0),
    N("Flatten", ["pq"], ["fq"]),
    N("QGemm", ["fq", "as", "az", "vq", "vs", "vz"], ["logits"], domain="com.microsoft", transB=1),
], constants={**Q, "vq": np.rint(C["v"] * 40).clip(-127, 127).astype(np.int8), "vs": F32(1 / 40),
              "vz": np.int8(0)}, opset=11, imports=[("com.microsoft", 1)]))


def logits(network, output, inputs):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(network.SerializeToString(), options)
    name = session.get_inputs()[0].name
    rows = [session.run([output], {name: inputs[i:i + 1]})[0] for i in range(len(inputs))]
    return np.concatenate(rows).astype(F32)


def main():
    OUT.mkdir(exist_ok=True)
    failed = False
    for name, (network, twin, output, inputs) in KINDS.items():
        onnx.save(network, OUT / f"{name}.onnx")
        try:
            golden = logits(twin or network, output, inputs)
        except Exception as error:
            print(name, "FAILED", str(error)[:300])
            failed = True
            continue
        assert golden.shape == (8, 4), (name, golden.shape)
        gaps = np.sort(golden, axis=1)
        print(f"{name:32}", golden.argmax(1), f"least gap {np.min(gaps[:, -1] - gaps[:, -2]):.2g} of {np.abs(golden).max():.3g}")
        np.save(OUT / f"{name}.npy", golden)
    sys.exit(failed)


if __name__ == "__main__":
    main()
