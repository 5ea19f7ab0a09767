"""Bounds margins by auto_LiRPA and writes them as the common table.

    lirpa.py AUTO_LIRPA SHARED WORK CASE METHOD OUT [--from 0] [--images N] [--double]

METHOD is ibp, crown, alpha-N or alpha-all-N: alpha-CROWN with N steps on the last
layer's slopes (its default), or on those of the intermediate bounds as well. One
image a call and one thread, as recert is measured; the clocks run over the call
that bounds, not over building the bounded module, nor over the network's own answer.

OUT has a row for every image: image, label, answer, method, verdict, seconds by the clock,
seconds of processor time (user and system), and the lower bound of z[label] - z[j] for every class j, empty for the label itself.
An image whose answer is wrong has the verdict `wrong` and no bounds. The last line,
`# loaded`, has what the process held at most before it bounded anything, in MiB: Python,
PyTorch and the network.
`--double` computes in float64, for bounds to compare with.
"""

import argparse
import resource
import sys
import time

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import nn

from cases import CASES


class Net(nn.Module):
    """The network of an ONNX file made of the operators that these cases have."""

    def __init__(self, path):
        super().__init__()
        graph = onnx.load(path).graph
        weights = {i.name: torch.from_numpy(numpy_helper.to_array(i).copy()) for i in graph.initializer}
        (self.entry,) = [i.name for i in graph.input if i.name not in weights]
        self.exit = graph.output[0].name
        self.steps = []
        modules = []
        for node in graph.node:
            module = layer(node, weights)
            modules.append(module)
            self.steps.append((module, [n for n in node.input if n not in weights], node.output[0]))
        self.modules_in_order = nn.ModuleList(m for m in modules if isinstance(m, nn.Module))

    def forward(self, x):
        values = {self.entry: x}
        for module, names, out in self.steps:
            values[out] = module(*(values[n] for n in names))
        return values[self.exit]


def layer(node, weights):
    a = {x.name: onnx.helper.get_attribute_value(x) for x in node.attribute}
    match node.op_type:
        case "Conv":
            weight, bias = (weights[n] for n in node.input[1:])
            top, left, bottom, right = a["pads"]
            if (top, left) != (bottom, right):
                sys.exit(f"{node.name}: uneven padding")
            conv = nn.Conv2d(weight.shape[1], weight.shape[0], weight.shape[2:], a["strides"], (top, left))
            conv.weight.data, conv.bias.data = weight, bias
            return conv
        case "Gemm" if a.get("transB", 0):
            weight, bias = (weights[n] for n in node.input[1:])
            linear = nn.Linear(weight.shape[1], weight.shape[0])
            linear.weight.data, linear.bias.data = weight, bias
            return linear
        case "Relu":
            return nn.ReLU()
        case "Flatten":
            return nn.Flatten()
        case "Add":
            return torch.add
        case other:
            sys.exit(f"{other} is not among the operators of these networks")


def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def rows(case, method, pixels, labels, start, net, dtype):
    """One row of the table at a time."""
    from auto_LiRPA import BoundedModule, BoundedTensor
    from auto_LiRPA.perturbations import PerturbationLpNorm

    shape = (1, -1, 1, 1)
    mean = torch.tensor(case.mean or (0.0,), dtype=dtype).reshape(shape)
    std = torch.tensor(case.std or (1.0,), dtype=dtype).reshape(shape)
    alpha = method.startswith("alpha")
    every = method.startswith("alpha-all")
    options = {}
    if alpha:
        # As its complete verifier calls it: CROWN's intermediate bounds are computed once.
        options["optimize_bound_args"] = {
            "iteration": int(method.rsplit("-", 1)[1]),
            "init_alpha": False,
            "fix_interm_bounds": not every,
        }
    net = net.to(dtype).eval()
    bounded = BoundedModule(net, torch.zeros((1, *pixels.shape[1:]), dtype=dtype), bound_opts=options)
    for i, (pixel, label) in enumerate(zip(pixels, labels), start):
        x = torch.from_numpy(pixel[None]).to(dtype)
        with torch.no_grad():
            logits = net((x - mean) / std)[0]
        answer = int(logits.argmax())
        if answer != label:
            yield i, label, answer, "wrong", [0.0, 0.0], []
            continue
        lower = ((x - case.radius()).clamp(0, 1) - mean) / std
        upper = ((x + case.radius()).clamp(0, 1) - mean) / std
        rows = [j for j in range(len(logits)) if j != label]
        margins = torch.zeros((1, len(rows), len(logits)), dtype=dtype)
        margins[0, :, label] = 1
        margins[0, range(len(rows)), rows] = -1
        began = [time.perf_counter(), time.process_time()]
        ball = PerturbationLpNorm(norm=np.inf, x_L=lower, x_U=upper)
        input = BoundedTensor((x - mean) / std, ball)
        if alpha:
            # CROWN once, which also gives the intermediate bounds, then the steps.
            _, _, intermediate = bounded.init_alpha((input,), c=margins, bound_upper=False)
            bound, _ = bounded.compute_bounds(
                x=(input,),
                C=margins,
                method="CROWN-Optimized",
                bound_upper=False,
                interm_bounds=None if every else intermediate,
            )
        else:
            with torch.no_grad():
                bound, _ = bounded.compute_bounds(
                    x=(input,), C=margins, method=method.upper(), bound_upper=False
                )
        ended = [time.perf_counter(), time.process_time()]
        seconds = [end - begin for begin, end in zip(began, ended)]
        bound = bound[0].detach().tolist()
        verdict = "verified" if all(b > 0 for b in bound) else "unknown"
        yield i, label, answer, verdict, seconds, dict(zip(rows, bound))


def main():
    parser = argparse.ArgumentParser()
    for name in ["auto_lirpa", "shared", "work", "case", "method", "out"]:
        parser.add_argument(name)
    parser.add_argument("--from", dest="start", type=int, default=0)
    parser.add_argument("--images", type=int)
    parser.add_argument("--double", action="store_true")
    args = parser.parse_args()
    sys.path.insert(0, args.auto_lirpa)
    torch.set_num_threads(1)
    torch.set_num_interop_threads(1)
    dtype = torch.float64 if args.double else torch.float32
    torch.set_default_dtype(dtype)
    case = CASES[args.case]
    pixels, labels = case.read(args.shared)
    end = args.start + (args.images or len(labels))
    net = Net(case.path(args.work))
    loaded = peak()
    with open(args.out, "w") as out:
        classes = 10
        print("image", "label", "answer", "method", "verdict", "seconds", "cpu", *(f"m{j}" for j in range(classes)), sep="\t", file=out)
        for i, label, answer, verdict, seconds, bound in rows(
            case, args.method, pixels[args.start : end], labels[args.start : end], args.start, net, dtype
        ):
            margins = (f"{bound[j]:.9g}" if j in bound else "" for j in range(classes))
            print(i, label, answer, args.method, verdict, *(f"{s:.6f}" for s in seconds), *margins, sep="\t", file=out)
        print(f"# loaded\t{loaded:.1f}", file=out)


if __name__ == "__main__":
    main()
