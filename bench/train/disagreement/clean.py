#!/usr/bin/env python3
"""Prints the share of test images that a network answers with their labels, without noise.

    bench/train/disagreement/clean.py NETWORK mnist FOLDER
    bench/train/disagreement/clean.py NETWORK cifar10 FILE.bin

Needs numpy and onnxruntime, which has nothing to do with how recert computes.
"""

import gzip
import sys
from pathlib import Path

import numpy as np
import onnxruntime


def images(kind, path):
    """Pixels in [0, 1], [n, channels, height, width], and labels."""
    if kind == "cifar10":
        rows = np.fromfile(path, np.uint8).reshape(-1, 3073)
        return rows[:, 1:].reshape(-1, 3, 32, 32) / np.float32(255), rows[:, 0]
    read = lambda name, head: np.frombuffer(gzip.open(Path(path) / name).read(), np.uint8, offset=head)
    pixels = read("t10k-images-idx3-ubyte.gz", 16).reshape(-1, 1, 28, 28)
    return pixels / np.float32(255), read("t10k-labels-idx1-ubyte.gz", 8)


def main():
    network, kind, path = sys.argv[1:]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(network, options, providers=["CPUExecutionProvider"])
    pixels, labels = images(kind, path)
    name = session.get_inputs()[0].name
    right = 0
    for first in range(0, len(labels), 250):
        (logits,) = session.run(None, {name: pixels[first : first + 250]})
        right += int((logits.argmax(1) == labels[first : first + 250]).sum())
    print(right / len(labels))


main()
