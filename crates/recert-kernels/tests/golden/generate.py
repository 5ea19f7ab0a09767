"""Makes the hand-made networks here and what ONNX Runtime, without any
optimisation, answers to the images in images.npy. See README.md."""

import sys

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper as h, numpy_helper

C, H, W = 4, 9, 12
random = np.random.RandomState(20)
IMAGES = random.uniform(-1, 1, (3, C, H, W)).astype(np.float32)


class Net:
    """A network that is built node by node."""

    def __init__(self, opset=17, batch="N"):
        self.nodes, self.constants, self.opset, self.batch = [], [], opset, batch
        self.count = 0

    def constant(self, array, dtype=np.float32):
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(array, dtype), name))
        return name

    def weights(self, *shape, scale=None):
        scale = scale or 1 / np.sqrt(np.prod(shape[1:]) or 1)
        return self.constant(random.uniform(-1, 1, shape) * scale * 1.7)

    def op(self, kind, *inputs, outputs=1, **attributes):
        names = [f"v{self.count + i}" for i in range(outputs)]
        self.count += outputs
        self.nodes.append(
            h.make_node(kind, list(inputs), names, f"{kind}_{names[0]}", **attributes))
        return names[0] if outputs == 1 else names

    def conv(self, x, o, i, k, group=1, bias=True, **attributes):
        k = (k, k) if isinstance(k, int) else k
        inputs = [x, self.weights(o, i // group, *k)]
        if bias:
            inputs.append(self.weights(o, scale=0.3))
        return self.op("Conv", *inputs, group=group, **attributes)

    def head(self, x, channels):
        x = self.op("GlobalAveragePool", x)
        x = self.op("Flatten", x)
        return self.linear(x, channels)

    def linear(self, x, inputs, outputs=7):
        return self.op("Gemm", x, self.weights(outputs, inputs), self.weights(outputs, scale=0.3),
                       transB=1)

    def save(self, name, y, classes=7):
        info = lambda n, t, s: h.make_tensor_value_info(n, t, s)
        graph = h.make_graph(
            self.nodes, name,
            [info("image", TensorProto.FLOAT, [self.batch, C, H, W])],
            [info(y, TensorProto.FLOAT, [self.batch, classes])], self.constants)
        model = h.make_model(graph, opset_imports=[h.make_opsetid("", self.opset)],
                             ir_version=8)
        onnx.checker.check_model(model)
        onnx.save(model, f"{name}.onnx")
        options = ort.SessionOptions()
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        session = ort.InferenceSession(f"{name}.onnx", options, ["CPUExecutionProvider"])
        if self.batch == "N":
            out = session.run(None, {"image": IMAGES})[0]
        else:
            out = np.concatenate([session.run(None, {"image": i[None]})[0] for i in IMAGES])
        assert np.isfinite(out).all() and out.shape[0] == 3
        np.save(f"{name}.npy", out.reshape(3, -1).astype(np.float32))
        print(name, out.shape, float(np.abs(out).max()))


def batch_normalization():
    n = Net()
    bn = lambda x, c: n.op("BatchNormalization", x, n.constant(random.uniform(.5, 2, c)),
                           n.weights(c), n.weights(c), n.constant(random.uniform(.2, 2, c)))
    x = bn("image", C)                                     # on its own
    x = n.op("Relu", bn(n.conv(x, 24, C, 3, pads=[1] * 4), 24))
    y = bn(n.conv(x, 24, 24, 3, pads=[1] * 4, bias=False), 24)
    x = n.op("Relu", n.op("Add", x, y))
    x = bn(n.op("Relu", x), 24)                            # after an activation
    x = n.op("Flatten", n.op("GlobalAveragePool", x))
    x = n.op("Relu", bn(n.linear(x, 24, 18), 18))          # of a linear layer
    n.save("batch_normalization", n.linear(x, 18))


def dense_blocks():
    n = Net()
    x = n.op("Relu", n.conv("image", 12, C, 3, pads=[1] * 4))
    for i in range(3):
        y = n.op("Relu", n.conv(x, 10, 12 + 10 * i, 3, pads=[1] * 4))
        x = n.op("Concat", x, y, axis=1)
    x = n.op("AveragePool", x, kernel_shape=[2, 2], strides=[2, 2])
    a, b = n.head(x, 42), n.op("Sigmoid", n.head(x, 42))
    n.save("dense_blocks", n.op("Concat", a, b, axis=-1), 14)


def squeeze_excitation():
    n = Net()
    swish = lambda x: n.op("HardSwish", x)
    x = swish(n.conv("image", 16, C, 3, pads=[1] * 4, strides=[2, 2]))
    for stride in (1, 2):
        y = swish(n.conv(x, 40, 16, 1))
        y = swish(n.conv(y, 40, 40, 5, group=40, pads=[2] * 4, strides=[stride] * 2))
        s = n.op("GlobalAveragePool", y)
        s = n.op("Relu", n.conv(s, 8, 40, 1))
        s = n.op("HardSigmoid", n.conv(s, 40, 8, 1), alpha=1 / 6, beta=0.5)
        y = n.op("Mul", y, s)
        y = n.conv(y, 16, 40, 1)
        x = n.op("Add", x, y) if stride == 1 else y
    n.save("squeeze_excitation", n.head(n.op("Tanh", x), 16))


def groups():
    n = Net()
    x = n.op("LeakyRelu", n.conv("image", 32, C, 3, pads=[1] * 4), alpha=0.1)
    x = n.op("Relu", n.conv(x, 32, 32, 3, group=2, pads=[1] * 4))    # whole blocks
    x = n.op("Clip", n.conv(x, 24, 32, 3, group=8, pads=[1] * 4), n.constant(-0.5), n.constant(1.5))
    y = n.conv(x, 24, 24, 3, group=24, pads=[2] * 4, dilations=[2, 2])
    x = n.op("Relu", n.op("Add", y, x))
    x = n.conv(x, 48, 24, 3, group=24, pads=[1] * 4)      # two outputs a channel
    n.save("groups", n.head(x, 48))


def shapes():
    n = Net()
    shape = n.op("Shape", "image")
    batch = n.op("Gather", shape, n.constant([0], np.int64))
    x = n.op("Transpose", "image", perm=[0, 2, 3, 1])
    x = n.op("Slice", x, n.constant([1, -1], np.int64), n.constant([9, -99], np.int64),
             n.constant([1, 2], np.int64), n.constant([2, -3], np.int64))
    x = n.op("Pad", x, n.constant([0, 1, 0, 2, 0, 0, -1, 1], np.int64), n.constant(0.25))
    x = n.op("Transpose", x, perm=[0, 3, 1, 2])           # 7 x 5 x 3
    x = n.op("Relu", n.conv(x, 9, 7, 2))                  # 9 x 4 x 2
    x = n.op("Reshape", x, n.op("Concat", batch, n.constant([9, -1], np.int64), axis=0))
    x = n.op("Softmax", x, axis=1)
    x = n.op("Unsqueeze", x, n.constant([2], np.int64))   # 9 x 1 x 8
    y = n.op("ReduceSum", x, n.constant([1, 2], np.int64), keepdims=0)
    z = n.op("ReduceMax", x, axes=[-1], keepdims=1)
    z = n.op("Squeeze", z, n.constant([2, 3], np.int64))
    z = n.op("MatMul", z, n.weights(9, 8))
    z = n.op("Add", z, n.weights(8))
    n.save("shapes", n.op("Concat", y, z, axis=1), 16)


def pools():
    n = Net()
    x = n.op("Relu", n.conv("image", 20, C, (3, 1), auto_pad="SAME_UPPER"))
    a = n.op("MaxPool", x, kernel_shape=[3, 2], strides=[2, 2], pads=[1, 0, 1, 1], ceil_mode=1)
    b = n.op("AveragePool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1],
             count_include_pad=1)
    a = n.op("AveragePool", a, kernel_shape=[2, 2], auto_pad="SAME_LOWER")
    b = n.op("MaxPool", b, kernel_shape=[2, 2], dilations=[2, 2])
    a = n.op("Flatten", n.op("GlobalMaxPool", a))
    b = n.op("ReduceMean", b, axes=[2, 3], keepdims=0)
    n.save("pools", n.linear(n.op("Sub", a, b), 20))


def arithmetic():
    n = Net(batch=1)
    x = n.op("Sub", "image", n.weights(C, 1, 1))
    x = n.op("Div", x, n.constant(random.uniform(.5, 2, (1, C, 1, 1))))
    x = n.op("Sub", n.constant(0.5), x)
    x = n.op("Mul", x, n.weights(H, W, scale=0.5))        # one a pixel
    x = n.conv(x, 17, C, 3, bias=False)
    x = n.op("Add", x, n.weights(17, 1, 1))
    y = n.op("Exp", n.op("Neg", n.op("Abs", x)))
    x = n.op("Mul", x, y)
    x = n.op("Add", x, x)
    x = n.op("Sub", x, n.op("Sqrt", y))
    x = n.op("Div", x, n.op("Add", y, n.constant([1.0])))
    x = n.op("Mul", x, n.op("ReduceMean", x, axes=[1], keepdims=1))
    x = n.op("Reshape", x, n.constant([1, -1], np.int64))
    n.save("arithmetic", n.linear(x, 17 * 7 * 10))


class Quantized(Net):
    """A network of quantized layers. All scales are powers of two, so that
    float32 sums are exact and halves are met: answers have one right value."""

    def grid(self, exponent, zero, dtype):
        return self.constant(2.0 ** exponent), self.constant(zero, dtype)

    def quantized(self, x, exponent, zero, dtype=np.uint8):
        return self.op("QuantizeLinear", x, *self.grid(exponent, zero, dtype))

    def pair(self, x, exponent, zero, dtype=np.uint8):
        """Quantized and dequantized."""
        scale, point = self.grid(exponent, zero, dtype)
        return self.op("DequantizeLinear", self.op("QuantizeLinear", x, scale, point), scale, point)

    def layer(self, x, o, i, k, form, group=1, bias_exponent=-10, **attributes):
        """A convolution; `form` says how its weights are held: int8 with a
        scale a channel, uint8 with one scale, or float32."""
        shape = (o, i // group, k, k)
        fan = np.sqrt(np.prod(shape[1:]))
        exponents = -6.0 - np.round(np.log2(fan)) - random.randint(0, 2, o)
        if form == "channels":
            weights = self.op("DequantizeLinear", self.constant(random.randint(-127, 128, shape), np.int8),
                              self.constant(2 ** exponents), self.constant(np.zeros(o), np.int8), axis=0)
        elif form == "asymmetric":
            weights = self.op("DequantizeLinear", self.constant(random.randint(0, 256, shape), np.uint8),
                              self.constant(2 ** exponents[0]), self.constant(101, np.uint8))
        else:
            weights = self.constant(random.randint(-127, 128, shape) * 2 ** exponents[:, None, None, None])
        bias = self.op("DequantizeLinear", self.constant(random.randint(-900, 900, o), np.int32),
                       self.constant(2.0 ** bias_exponent))
        return self.op("Conv", x, weights, bias, group=group, **attributes)


def quantized_signed():
    n = Quantized()
    same = lambda x, e, z: n.pair(x, e, z, np.int8)
    x = same("image", -6, -5)
    x = same(n.op("Relu", n.layer(x, 24, C, 3, "channels", pads=[1] * 4)), -5, -128)
    y = same(n.layer(x, 24, 24, 3, "asymmetric", pads=[2] * 4, dilations=[2, 2]), -5, 4)
    x = same(n.op("Relu", n.op("Add", x, y)), -4, -128)
    x = same(n.op("MaxPool", x, kernel_shape=[2, 2], pads=[1, 0, 0, 1]), -4, -128)
    x = n.layer(x, 24, 24, 3, "asymmetric", group=24, pads=[1] * 4, strides=[2, 2])
    x = same(n.op("Clip", x, n.constant(-1.5), n.constant(6.0)), -5, -80)
    x = same(n.layer(x, 37, 24, 1, "floats"), -4, 13)
    x = same(n.op("LeakyRelu", x, alpha=0.125), -5, -30)
    x = same(n.op("Clip", n.layer(x, 37, 37, 3, "channels", group=37, pads=[1] * 4), n.constant(0.0)), -5, -128)
    x = same(n.op("GlobalAveragePool", x), -6, -100)
    x = same(n.op("Flatten", x), -6, -100)
    n.save("quantized_signed", n.linear(x, 37))


def quantized_unsigned():
    n = Quantized()
    x = n.op("Mul", n.op("Add", "image", n.constant(0.25)), n.constant(2.0))
    x = n.pair(x, -6, 97)
    x = n.pair(n.op("Relu", n.layer(x, 32, C, 3, "floats", pads=[0, 1, 2, 1])), -5, 0)
    # Whole blocks, and a shortcut of its own.
    y = n.pair(n.layer(x, 32, 32, 3, "channels", group=2, pads=[1] * 4, strides=[2, 2]), -5, 120)
    z = n.pair(n.layer(x, 32, 32, 1, "channels", strides=[2, 2]), -5, 131)
    x = n.pair(n.op("Relu", n.op("Add", z, y)), -5, 0)
    # A shortcut that is cut and padded; one term is taken twice.
    y = n.pair(n.op("Relu", n.layer(x, 48, 32, 3, "channels", pads=[1] * 4, strides=[2, 1])), -5, 0)
    s = n.op("Slice", x, n.constant([0], np.int64), n.constant([99], np.int64),
             n.constant([2], np.int64), n.constant([2], np.int64))
    s = n.pair(n.op("Pad", s, n.constant([0, 8, 0, 0, 0, 8, 0, 0], np.int64)), -5, 0)
    x = n.pair(n.op("Add", y, s), -4, 3)
    x = n.pair(n.op("Add", x, y), -4, 40)
    # Pooled as integers; on another grid; taken as floats too.
    scale, zero = n.grid(-4, 40, np.uint8)
    q = n.op("QuantizeLinear", n.op("Relu", n.layer(x, 20, 48, 3, "channels", pads=[1] * 4)), scale, zero)
    q = n.op("MaxPool", q, kernel_shape=[2, 2], pads=[0, 1, 1, 0])
    x = n.op("DequantizeLinear", q, scale, zero)
    y = n.pair(x, -3, 9)
    x = n.layer(y, 20, 20, 1, "asymmetric")
    a = n.op("Sigmoid", x)
    b = n.pair(n.layer(n.pair(x, -4, 128), 9, 20, 3, "channels"), -5, 128)
    a = n.op("Flatten", n.op("GlobalAveragePool", a))
    b = n.op("Flatten", n.op("ReduceMean", b, axes=[2, 3]))
    n.save("quantized_unsigned", n.op("Concat", a, b, axis=1), 29)


for make in (batch_normalization, dense_blocks, squeeze_excitation, groups, shapes, pools, arithmetic,
             quantized_signed, quantized_unsigned):
    make()
np.save("images.npy", IMAGES)
print(sys.version.split()[0], onnx.__version__, ort.__version__, np.__version__)
