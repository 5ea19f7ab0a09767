"""Measures the shipped network on the shipped test images, in ONNX Runtime.

    python measure.py DIR [--seed SEED]

prints the accuracy with and without noise, and what certification from scratch
(CERTIFY of Cohen, Rosenfeld and Kolter, 2019) gives on the first images. The
bounds here are scipy's, not rounded outward: the figures describe the demo and
are an independent cross-check, not certificates.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from scipy.stats import beta, norm

COPIES = 10  # Noisy copies of every image in the accuracy under noise.
CERTIFIED_IMAGES = 100
SIGMA = 0.5
SELECTION = 100  # n0, the copies that choose the class.
ESTIMATION = 1_000  # n, the copies that bound its probability.
ALPHA = 0.001  # Failure probability of one certificate.
RADII = (0.0, 0.25, 0.5, 0.75, 1.0)


class Network:
    """The network in ONNX Runtime, one thread."""

    def __init__(self, path: Path) -> None:
        """Loads an ONNX file."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            path, options, providers=["CPUExecutionProvider"]
        )

    def classes(self, images: NDArray[np.float32]) -> NDArray[np.int64]:
        """The class of each image [n, 3, 32, 32], ties to the lower index."""
        batches = [images[i : i + 250] for i in range(0, len(images), 250)]
        logits = [self._session.run(["logits"], {"image": batch})[0] for batch in batches]
        return np.concatenate(logits).argmax(axis=1)


def main() -> None:
    """Prints every figure that the README quotes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where shapes.onnx and shapes-test.npz are")
    parser.add_argument("--seed", type=int, default=1, help="of the noise")
    given = parser.parse_args()
    folder, seed = given.folder, given.seed
    network = Network(folder / "shapes.onnx")
    with np.load(folder / "shapes-test.npz") as file:
        pixels, labels = file["images"], file["labels"].astype(np.int64)
    images = np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)).astype(np.float32) / np.float32(255)

    print(f"clean accuracy: {percent(network.classes(images) == labels)}")
    for sigma in (0.25, 0.5):
        rng = np.random.default_rng(seed)
        right = [network.classes(add_noise(rng, images, sigma)) == labels for _ in range(COPIES)]
        print(f"accuracy under noise {sigma}: {percent(np.stack(right))}")

    started = time.monotonic()
    results = [certify(network, seed, index, image) for index, image in
               enumerate(images[:CERTIFIED_IMAGES])]  # fmt: skip
    seconds = time.monotonic() - started
    found = np.array([cls for cls, _ in results])
    radii = np.array([radius for _, radius in results])
    abstained = np.isnan(radii)
    correct = (found == labels[:CERTIFIED_IMAGES]) & ~abstained
    print(f"abstentions: {abstained.sum()} of {CERTIFIED_IMAGES}, wrong: "
          f"{(~correct & ~abstained).sum()}")  # fmt: skip
    for radius in RADII:
        print(f"certified accuracy at radius {radius}: {percent(correct & (radii >= radius))}")
    print(f"average certified radius: {np.where(correct, radii, 0.0).mean():.4f}")
    evaluations = CERTIFIED_IMAGES * (SELECTION + ESTIMATION)
    print(f"{evaluations / seconds:.0f} noisy images a second, noise included")


def certify(
    network: Network, seed: int, index: int, image: NDArray[np.float32]
) -> tuple[int, float]:
    """The class of the smoothed network and its radius; NaN where it abstains."""
    rng = np.random.default_rng([seed, index])
    copies = np.broadcast_to(image, (SELECTION + ESTIMATION, *image.shape))
    classes = network.classes(add_noise(rng, copies, SIGMA))
    chosen = int(np.bincount(classes[:SELECTION]).argmax())
    count = int((classes[SELECTION:] == chosen).sum())
    lower = beta.ppf(ALPHA, count, ESTIMATION - count + 1) if count else 0.0
    return chosen, SIGMA * norm.ppf(lower) if lower > 0.5 else float("nan")


def add_noise(
    rng: np.random.Generator, images: NDArray[np.float32], sigma: float
) -> NDArray[np.float32]:
    """Images with Gaussian noise of standard deviation sigma, not clipped."""
    return images + np.float32(sigma) * rng.standard_normal(images.shape, dtype=np.float32)


def percent(flags: NDArray[np.bool_]) -> str:
    """The share of true flags, with the counts it comes from."""
    return f"{100.0 * flags.mean():.2f} % ({flags.sum()} of {flags.size})"


if __name__ == "__main__":
    main()
