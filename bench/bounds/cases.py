"""The networks, images and perturbations that both sides are measured on.

    cases.py SHARED WORK

writes each case's network and cases.json, a list of the cases, to WORK. A case is a network of ../shared and the L-infinity
ball of radius eps around each of its images, in units of pixels in [0, 1] and cut to
[0, 1]. The images of a case are the first ones of its set, those that the network
misclassifies included: they get a row without a bound.
"""

import gzip
import json
import pickle
import shutil
import sys
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Case:
    name: str
    network: str
    data: str
    # Decimal or fraction, as both sides read it.
    eps: str
    # How many of the set's images are bounded by IBP and CROWN to compare all bounds.
    images: int
    # Normalisation outside of the network, by channel.
    mean: tuple = ()
    std: tuple = ()
    # ERAN's fully connected networks end in a ReLU on the logits, which these files lack.
    final_relu: bool = False

    def radius(self):
        return float(Fraction(self.eps))

    def path(self, work):
        return str(Path(work) / f"{self.name}.onnx")

    def read(self, shared):
        """Images in [0, 1], float32, [n, c, h, w], and labels."""
        read, shape, _ = DATA[self.data]
        images, labels = read(Path(shared))
        images = images.reshape(-1, *shape).astype(np.float32) / np.float32(255)
        return images[: self.images], [int(label) for label in labels[: self.images]]

    def dataset(self, shared):
        """The path by which recert reads the same images."""
        return Path(shared) / DATA[self.data][2]


def mnist(shared):
    with gzip.open(shared / "data/mnist/t10k-images-idx3-ubyte.gz") as file:
        images = np.frombuffer(file.read(), np.uint8, offset=16)
    with gzip.open(shared / "data/mnist/t10k-labels-idx1-ubyte.gz") as file:
        labels = np.frombuffer(file.read(), np.uint8, offset=8)
    return images, labels


def cifar10(shared):
    with open(shared / "data/cifar10/cifar-10-batches-py/test_batch", "rb") as file:
        batch = pickle.load(file, encoding="bytes")
    return batch[b"data"], batch[b"labels"]


# How a set is read here, the shape of an image, and where recert reads it.
DATA = {
    "mnist": (mnist, (1, 28, 28), "data/mnist/t10k-images-idx3-ubyte.gz"),
    "cifar10": (cifar10, (3, 32, 32), "data/cifar10/cifar-10-batches-py"),
}

CASES = {
    case.name: case
    for case in [
        Case("profit_colt", "mnist/profit_colt.onnx", "mnist", "0.1", 500),
        Case("profit_standard", "mnist/profit_standard.onnx", "mnist", "0.02", 500),
        Case("cnn_crown_ibp", "mnist/cnn_crown_ibp.onnx", "mnist", "0.1", 1000),
        Case("fc_6x100", "mnist/fc_6x100.onnx", "mnist", "0.026", 1000, final_relu=True),
        Case("fc_9x100", "mnist/fc_9x100.onnx", "mnist", "0.026", 1000, final_relu=True),
        Case(
            "resnet_2b",
            "cifar10/resnet_2b.onnx",
            "cifar10",
            "1/255",
            200,
            mean=(0.4914, 0.4822, 0.4465),
            std=(0.2470, 0.2435, 0.2616),
        ),
    ]
}


def with_final_relu(source, target):
    import onnx

    model = onnx.load(source)
    graph = model.graph
    (output,) = graph.output
    graph.node.append(onnx.helper.make_node("Relu", [output.name], ["final_relu"]))
    output.name = "final_relu"
    onnx.checker.check_model(model)
    onnx.save(model, target)


def main():
    shared, work = (Path(a) for a in sys.argv[1:3])
    listed = []
    for case in CASES.values():
        listed.append(asdict(case) | {"dataset": str(case.dataset(shared))})
        source = shared / "models" / case.network
        if case.final_relu:
            with_final_relu(source, case.path(work))
        else:
            shutil.copyfile(source, case.path(work))
    (work / "cases.json").write_text(json.dumps(listed, indent=2) + "\n")


if __name__ == "__main__":
    main()
