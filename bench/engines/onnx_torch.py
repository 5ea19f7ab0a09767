"""A plain ONNX network as a PyTorch module: the same weights, eager operators.

Covers what the networks measured here consist of; any other operator stops the
program. What depends on constants alone is computed once. `check` compares the
logits with ONNX Runtime's.
"""

from collections import Counter

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from onnx import numpy_helper


def attributes(node):
    return {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}


def ints(tensor):
    return [int(v) for v in tensor.flatten()]


def conv(a):
    strides, dilations = tuple(a.get("strides", (1, 1))), tuple(a.get("dilations", (1, 1)))
    top, left, bottom, right = a.get("pads", (0, 0, 0, 0))
    group = a.get("group", 1)
    if a.get("auto_pad", b"NOTSET") != b"NOTSET":
        raise SystemExit("Conv: auto_pad is not supported")
    if (top, left) == (bottom, right):
        return lambda x, w, b=None: F.conv2d(x, w, b, strides, (top, left), dilations, group)
    pads = (left, right, top, bottom)
    return lambda x, w, b=None: F.conv2d(F.pad(x, pads), w, b, strides, 0, dilations, group)


def slices(x, starts, ends, axes, steps):
    where = [slice(None)] * x.dim()
    for start, end, axis, step in zip(ints(starts), ints(ends), ints(axes), ints(steps)):
        where[axis] = slice(start, end, step)
    if any(step < 0 for step in ints(steps)):
        # Torch has no negative steps; exporters use them on lists of axes alone.
        return torch.from_numpy(x.numpy()[tuple(where)].copy())
    return x[tuple(where)]


def pad(x, pads, value=None):
    pads, n = ints(pads), x.dim()
    backwards = [p for axis in reversed(range(n)) for p in (pads[axis], pads[axis + n])]
    while len(backwards) > 2 and backwards[-1] == backwards[-2] == 0:
        backwards = backwards[:-2]
    return F.pad(x, backwards, value=0.0 if value is None else float(value))


def gemm(a):
    if a.get("alpha", 1.0) != 1.0 or a.get("beta", 1.0) != 1.0 or a.get("transA", 0):
        unsupported("Gemm with alpha, beta or transA")
    turned = a.get("transB", 0)
    return lambda x, w, b=None: F.linear(x, w if turned else w.t(), b)


def unsupported(what):
    raise SystemExit(f"onnx_torch: {what} is not supported")


def function(node, in_place):
    """What computes the node, from its inputs."""
    a = attributes(node)
    match node.op_type:
        case "Conv":
            return conv(a)
        case "Relu":
            return torch.relu_ if in_place else torch.relu
        case "Clip":
            # The bounds are made numbers, so that the fused operator is used.
            clamp = torch.clamp_ if in_place else torch.clamp
            return lambda x, low, high: clamp(x, float(low), float(high))
        case "Add":
            return torch.add
        case "Sub":
            return torch.sub
        case "Mul":
            return torch.mul
        case "Div":
            return torch.div
        case "BatchNormalization":
            eps = a.get("epsilon", 1e-5)
            return lambda x, s, b, m, v: F.batch_norm(x, m, v, s, b, False, 0.0, eps)
        case "GlobalAveragePool":
            return lambda x: x.mean((2, 3), keepdim=True)
        case "AveragePool":
            if any(a.get("pads", ())):
                unsupported("AveragePool with padding")
            return lambda x: F.avg_pool2d(x, a["kernel_shape"], a.get("strides", (1, 1)))
        case "ReduceMean":
            keep = bool(a.get("keepdims", 1))
            if "axes" in a:
                return lambda x: x.mean(tuple(a["axes"]), keepdim=keep)
            return lambda x, axes: x.mean(tuple(ints(axes)), keepdim=keep)
        case "Gemm":
            return gemm(a)
        case "Flatten":
            return lambda x: x.flatten(a.get("axis", 1))
        case "Reshape":
            return lambda x, shape: x.reshape(ints(shape))
        case "Slice":
            return slices
        case "Pad" if a.get("mode", b"constant") == b"constant":
            return pad
        case "Concat":
            return lambda *parts: torch.cat(parts, a["axis"])
        case "Transpose":
            return lambda x: x.permute(a["perm"])
        case "Identity":
            return lambda x: x
        case "Cast" if a["to"] == onnx.TensorProto.INT64:
            return lambda x: x.long()
        case "ConstantOfShape":
            value = torch.from_numpy(numpy_helper.to_array(a["value"]).copy())
            return lambda shape: value.expand(ints(shape)).clone()
        case other:
            unsupported(other)


class Graph(torch.nn.Module):
    """The network; its weights are buffers, so that `.to()` converts them."""

    def __init__(self, path):
        super().__init__()
        graph = onnx.load(path).graph
        known = {i.name: torch.from_numpy(numpy_helper.to_array(i).copy()) for i in graph.initializer}
        uses = Counter(name for node in graph.node for name in node.input)
        (self.entry,) = [i.name for i in graph.input if i.name not in known]
        self.exit = graph.output[0].name
        self.steps, self.places = [], {}
        made = set()
        for node in graph.node:
            (out,) = node.output
            if node.op_type == "Constant":
                known[out] = torch.from_numpy(np.array(numpy_helper.to_array(attributes(node)["value"])))
                continue
            # An activation that nothing else reads is overwritten; constants and the input never.
            step = function(node, uses[node.input[0]] == 1 and node.input[0] in made)
            if all(name in known for name in node.input if name):
                known[out] = step(*(known[name] for name in node.input if name))
                continue
            made.add(out)
            names = list(node.input)
            while names and not names[-1]:
                names.pop()
            for name in names:
                if name in known and name not in self.places:
                    self.places[name] = f"value{len(self.places)}"
                    self.register_buffer(self.places[name], known[name])
            self.steps.append((step, names, out))
        last = {}
        for at, (_, names, _) in enumerate(self.steps):
            last.update({name: at for name in names if name not in self.places})
        # What nothing reads any more is given up at once, as in a network written by hand.
        self.dead = [[n for n in set(names) if last.get(n) == at] for at, (_, names, _) in enumerate(self.steps)]
        # Shapes, axes and bounds stay as they are in every precision.
        self.fixed = {n: known[n] for n in self.places if not known[n].is_floating_point() or known[n].dim() == 0}

    def forward(self, x):
        values = {self.entry: x}
        for (step, names, out), dead in zip(self.steps, self.dead):
            values[out] = step(*(
                self.fixed[n] if n in self.fixed
                else getattr(self, self.places[n]) if n in self.places
                else values[n] for n in names))
            for name in dead:
                del values[name]
        return values[self.exit]


def check(path, images):
    """The largest difference of logits from ONNX Runtime's, over the largest logit."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    theirs = session.run(None, {session.get_inputs()[0].name: images})[0]
    with torch.inference_mode():
        ours = Graph(path).eval()(torch.from_numpy(images.copy())).numpy()
    return float(np.abs(ours - theirs).max() / np.abs(theirs).max())
