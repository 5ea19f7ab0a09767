"""Makes the demo: draws the images, trains the network under Gaussian noise, exports it.

    python train.py --sigma 0.5 --seed 0 --out DIR

writes shapes.onnx, shapes-test.npz, shapes-calibration.npz and
contact-sheet.png to DIR. The images depend on the seed alone; the network
depends on the seed and, through rounding, on the machine. Trains on the CPU.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import onnxruntime
import optax
from jax import Array
from numpy.typing import NDArray
from PIL import Image

import draw
import network
from network import Params, Stats

TRAINING_IMAGES = 20_000
VALIDATION_IMAGES = 1_000
TEST_IMAGES = 500
CALIBRATION_IMAGES = 200  # The first of the training images.
BATCH = 128
PEAK_LEARNING_RATE = 5e-3
WEIGHT_DECAY = 1e-2
RAMP = 0.5  # The noise grows from zero to sigma over this share of the training.
LARGEST_LOGIT_GAP = 1e-4  # Allowed between JAX and ONNX Runtime.


@dataclass(frozen=True)
class Config:
    """What the command line says."""

    sigma: float
    seed: int
    epochs: int
    out: Path


def main() -> None:
    """Draws, trains, exports, and checks the export."""
    config = parse_arguments()
    config.out.mkdir(parents=True, exist_ok=True)

    started = time.monotonic()
    images, labels = draw.draw_many(config.seed, "train", TRAINING_IMAGES)
    validation = draw.draw_many(config.seed, "validation", VALIDATION_IMAGES)
    test_images, test_labels = draw.draw_many(config.seed, "test", TEST_IMAGES)
    print(f"drew {TRAINING_IMAGES + VALIDATION_IMAGES + TEST_IMAGES} images "
          f"in {time.monotonic() - started:.0f} s")  # fmt: skip

    save_images(config.out / "shapes-test.npz", test_images, test_labels)
    first = slice(0, CALIBRATION_IMAGES)
    save_images(config.out / "shapes-calibration.npz", images[first], labels[first])
    save_contact_sheet(config.out / "contact-sheet.png", test_images, test_labels)

    params, stats = train(config, images, labels, *validation)

    metadata = {
        "classes": ",".join(draw.CLASSES),
        "training_sigma": str(config.sigma),
        "training_seed": str(config.seed),
    }
    model = network.to_onnx(params, stats, metadata).SerializeToString()
    gap = logit_gap(model, params, stats, noisy(config, test_images))
    print(f"largest difference of logits between JAX and ONNX Runtime: {gap:.1e}")
    if not gap <= LARGEST_LOGIT_GAP:
        raise SystemExit("the exported network differs from the trained one")
    (config.out / "shapes.onnx").write_bytes(model)


def parse_arguments() -> Config:
    """Reads and checks the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sigma", type=float, default=0.5, help="noise, in [0, 1] pixel units")
    parser.add_argument("--seed", type=int, default=0, help="of the images and of the training")
    parser.add_argument("--epochs", type=int, default=12, help="passes over the training images")
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    given = parser.parse_args()
    if not given.sigma >= 0.0 or not np.isfinite(given.sigma):
        parser.error("--sigma must be a finite number, 0 or greater")
    if given.seed < 0:
        parser.error("--seed must be 0 or greater")
    if given.epochs < 1:
        parser.error("--epochs must be 1 or greater")
    return Config(given.sigma, given.seed, given.epochs, given.out)


def train(
    config: Config,
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    validation_images: NDArray[np.uint8],
    validation_labels: NDArray[np.int64],
) -> tuple[Params, Stats]:
    """Trains with fresh noise on every image in every epoch [Cohen et al. 2019].

    The network of the last epoch is the result; validation accuracy is only
    printed, it decides nothing.
    """
    pixels = images.astype(np.float32) / 255.0
    mean, std = pixels.mean((0, 1, 2)), pixels.std((0, 1, 2))
    key, init_key = jax.random.split(jax.random.key(config.seed))
    params, stats = network.initialise(init_key, len(draw.CLASSES), mean, std)

    steps = len(images) // BATCH
    rate = optax.cosine_onecycle_schedule(config.epochs * steps, PEAK_LEARNING_RATE)
    optimiser = optax.adamw(rate, weight_decay=WEIGHT_DECAY)
    state = optimiser.init(params)

    def loss(params: Params, stats: Stats, x: Array, y: Array) -> tuple[Array, Stats]:
        logits, stats = network.apply(params, stats, x, train=True)
        return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean(), stats

    @jax.jit
    def step(
        params: Params, stats: Stats, state: optax.OptState, x: Array, y: Array, number: int
    ) -> tuple[Params, Stats, optax.OptState, Array]:
        # Small noise first: the shapes are easier to find before they are drowned.
        sigma = config.sigma * jnp.minimum(1.0, number / (RAMP * config.epochs * steps))
        noise = jax.random.normal(jax.random.fold_in(key, number), x.shape)
        x = x.astype(jnp.float32) / 255.0 + sigma * noise
        (value, stats), gradient = jax.value_and_grad(loss, has_aux=True)(params, stats, x, y)
        updates, state = optimiser.update(gradient, state, params)
        return optax.apply_updates(params, updates), stats, state, value

    held_out = noisy(config, validation_images)
    shuffler = np.random.default_rng(config.seed)
    started = time.monotonic()
    for epoch in range(config.epochs):
        order = shuffler.permutation(len(images))[: steps * BATCH].reshape(steps, BATCH)
        total = 0.0
        for number, rows in enumerate(order, start=epoch * steps):
            params, stats, state, value = step(
                params, stats, state, images[rows], labels[rows], number
            )
            total += float(value)
        found = predict(params, stats, held_out).argmax(1)
        print(
            f"epoch {epoch + 1:2}: loss {total / steps:.3f}, "
            f"validation accuracy under noise {(found == validation_labels).mean():.3f}, "
            f"{time.monotonic() - started:.0f} s",
            flush=True,
        )
    return params, stats


_forward = jax.jit(lambda params, stats, x: network.apply(params, stats, x, train=False)[0])


def predict(params: Params, stats: Stats, x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Logits [n, classes] of images [n, 32, 32, 3], computed in batches of 500."""
    batches = [_forward(params, stats, x[i : i + 500]) for i in range(0, len(x), 500)]
    return np.concatenate([np.asarray(batch) for batch in batches])


def noisy(config: Config, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """One noisy copy of every image in [0, 1] units, the same at every call."""
    rng = np.random.default_rng(config.seed)
    noise = config.sigma * rng.standard_normal(images.shape, dtype=np.float32)
    return images.astype(np.float32) / 255.0 + noise


def logit_gap(model: bytes, params: Params, stats: Stats, x: NDArray[np.float32]) -> float:
    """The largest difference between the logits of JAX and of ONNX Runtime."""
    runtime = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    feed = np.ascontiguousarray(x.transpose(0, 3, 1, 2))
    (found,) = runtime.run(["logits"], {"image": feed})
    return float(np.abs(found - predict(params, stats, x)).max())


def save_images(path: Path, images: NDArray[np.uint8], labels: NDArray[np.int64]) -> None:
    """Writes `images` [n, 32, 32, 3] and `labels` [n], both as bytes, compressed."""
    np.savez_compressed(path, images=images, labels=labels.astype(np.uint8))


def save_contact_sheet(path: Path, images: NDArray[np.uint8], labels: NDArray[np.int64]) -> None:
    """Writes the first ten images of every class, one row a class, twice their size."""
    rows = [np.concatenate(list(images[labels == c][:10]), axis=1) for c in np.unique(labels)]
    sheet = Image.fromarray(np.concatenate(rows))
    size = (2 * sheet.width, 2 * sheet.height)
    sheet.resize(size, Image.Resampling.NEAREST).save(path, optimize=True)


if __name__ == "__main__":
    main()
