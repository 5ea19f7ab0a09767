"""Writes the golden logits and the hand-made networks beside this file.

Run with the packages that README.md names:

    python generate.py FOLDER

FOLDER holds `models/` and `data/` as README.md describes. The logits are those
of ONNX Runtime without graph optimisations, image by image. The inputs are
made by integer arithmetic that `../support/inputs.rs` repeats bit for bit.
"""

import csv
import gzip
import pathlib
import sys

import numpy as np
import onnx
import onnxruntime as ort
from onnx import numpy_helper

import made

HERE = pathlib.Path(__file__).parent
F32 = np.float32
# Which records of the data set are taken, and which of the eight images are
# those records as they are, the records under noise, or noise alone.
RECORDS = [0, 3, 11, 42]
SYNTHETIC_IMAGES = 3


class Lcg:
    """Knuth's 64-bit linear congruential generator; 24 high bits a draw."""

    def __init__(self, seed):
        self.state = seed

    def uniform(self, shape):
        """float32 in [0, 1), all values multiples of 2^-24."""
        out = np.empty(int(np.prod(shape)), F32)
        state = self.state
        for i in range(out.size):
            state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
            out[i] = F32(state >> 40) * F32(2.0**-24)
        self.state = state
        return out.reshape(shape)


def cifar10(folder):
    data = (folder / "data/cifar10/test_every20.bin").read_bytes()
    records = np.frombuffer(data, np.uint8).reshape(-1, 3073)[RECORDS, 1:]
    return (records.astype(F32) / F32(255)).reshape(-1, 3, 32, 32)


def mnist(folder):
    data = gzip.open(folder / "data/mnist/t10k-images-idx3-ubyte.gz").read()
    images = np.frombuffer(data[16:], np.uint8).reshape(-1, 1, 28, 28)[RECORDS]
    return images.astype(F32) / F32(255)


def noisy(clean):
    """Four images, three of them under uniform noise of width 1, noise alone."""
    images = list(clean)
    for k in range(3):
        images.append(clean[k] + (Lcg(k + 1).uniform(clean[k].shape) - F32(0.5)))
    images.append(Lcg(4).uniform(clean[0].shape))
    return np.stack(images)


def synthetic():
    """Images of 3 x 224 x 224: blocks of 32 x 32 pixels, with finer noise."""
    images = []
    for k in range(SYNTHETIC_IMAGES):
        lcg = Lcg(k + 1)
        blocks = lcg.uniform((3, 7, 7)).repeat(32, axis=1).repeat(32, axis=2)
        images.append(F32(0.75) * blocks + F32(0.25) * lcg.uniform((3, 224, 224)))
    return np.stack(images)


def session(model):
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def logits(model, images, mean=None, std=None, scale=None):
    """The first output, computed in the network's own batch size or one by one."""
    run = session(model)
    info = run.get_inputs()[0]
    per_channel = lambda v: np.array([F32(x) for x in v.split()], F32).reshape(1, -1, 1, 1)
    x = images
    if mean or std or scale:
        x = (x - per_channel(mean or "0")) / per_channel(std or "1") * F32(scale or "1")
    assert x.dtype == F32
    batch = info.shape[0] if isinstance(info.shape[0], int) else 1
    if len(info.shape) == 2:
        x = x.reshape(len(x), -1)
    elif info.shape[-1] == 3:
        x = x.transpose(0, 2, 3, 1)
    rows = []
    for start in range(0, len(x), batch):
        part = x[start : start + batch]
        padded = np.concatenate([part, np.zeros((batch - len(part), *part.shape[1:]), F32)])
        rows.append(run.run(None, {info.name: padded})[0][: len(part)])
    return np.concatenate(rows).reshape(len(x), -1)


def bfloat16(values):
    """Rounds to the nearest bfloat16 number, half to even."""
    bits = values.astype(F32).view(np.uint32).astype(np.uint64)
    bits = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16 << 16
    return bits.astype(np.uint32).view(F32)


def with_rounded_weights(path):
    """The network with all matrices and kernels of weights in bfloat16."""
    model = onnx.load(path)
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype == F32 and values.ndim >= 2:
            tensor.CopyFrom(numpy_helper.from_array(bfloat16(values), tensor.name))
    return model.SerializeToString()


def main(folder):
    rounded = ["network,moved"]
    images = {
        "cifar10": noisy(cifar10(folder)),
        "mnist": noisy(mnist(folder)),
        "synthetic": synthetic(),
    }
    for row in csv.DictReader((HERE / "networks.csv").open()):
        name = row["network"]
        model = str(folder / f"models/{name}.onnx")
        values = logits(model, images[row["images"]], row["mean"], row["std"], row["scale"])
        assert values.dtype == F32 and np.isfinite(values).all(), name
        np.save(HERE / (name.replace("/", "_") + ".npy"), values)
        print(f"{name}: {values.shape}, largest logit {np.abs(values).max():.3g}")
        model = with_rounded_weights(model)
        other = logits(model, images[row["images"]], row["mean"], row["std"], row["scale"])
        moved = np.abs(other - values).max() / np.abs(values).max()
        rounded.append(f"{name},{moved:.2g}")
    (HERE / "bfloat16.csv").write_text("\n".join(rounded) + "\n")
    for name, model in made.networks().items():
        (HERE / "made" / f"{name}.onnx").write_bytes(model)
    small = np.stack([Lcg(k + 1).uniform((3, 8, 8)) for k in range(8)])
    for name in made.WITH_LOGITS:
        values = logits(made.networks()[name], small)
        np.save(HERE / "made" / f"{name}.npy", values.astype(F32))
        print(f"made/{name}: {values.shape}")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
