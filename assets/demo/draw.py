"""Draws the demo images: ten shapes on cluttered backgrounds, 32 x 32 RGB.

Every image is a pure function of (seed, split, index). Images are drawn four
times too large and averaged down, so edges are anti-aliased. All outlines are
polygons computed here; no font, photograph or other outside material is used.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

CLASSES = (
    "circle",
    "ring",
    "square",
    "triangle",
    "star",
    "cross",
    "crescent",
    "heart",
    "arrow",
    "spiral",
)
SIZE = 32  # Height and width of an image, in pixels.
CONTRAST = (0.45, 1.15)  # Least and greatest RGB distance of shape and background.
OVERSAMPLING = 4  # Images are drawn this many times larger in each direction.

Split = Literal["train", "validation", "test"]
_SPLIT_CODES: dict[Split, int] = {"train": 0, "validation": 1, "test": 2}

Points = NDArray[np.float64]  # Shape [corners, 2], x to the right, y downwards.
Outline = list[tuple[Points, bool]]  # Painted in order; False cuts a hole.
Color = NDArray[np.float64]  # Shape [3], RGB in [0, 1].


def draw(seed: int, split: Split, index: int) -> tuple[NDArray[np.uint8], int]:
    """Draws image `index` of a split: pixels [32, 32, 3] and the class number.

    Each run of ten images that starts at a multiple of ten holds every class
    once, in random order, so that every prefix of a split is mixed.
    """
    block, place = divmod(index, len(CLASSES))
    order = _generator(seed, split, 0, block).permutation(len(CLASSES))
    label = int(order[place])
    return _compose(_generator(seed, split, 1, index), label), label


def draw_many(seed: int, split: Split, count: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Draws the first `count` images of a split: [count, 32, 32, 3] and [count]."""
    images = np.empty((count, SIZE, SIZE, 3), np.uint8)
    labels = np.empty(count, np.int64)
    for index in range(count):
        images[index], labels[index] = draw(seed, split, index)
    return images, labels


def _generator(seed: int, split: Split, purpose: int, index: int) -> np.random.Generator:
    """Random numbers that depend on nothing but these four."""
    return np.random.Generator(np.random.PCG64([seed, _SPLIT_CODES[split], purpose, index]))


# --- Outlines, about the unit circle ---------------------------------------


def _circle(radius: float = 1.0, center: tuple[float, float] = (0.0, 0.0)) -> Points:
    angles = np.linspace(0.0, 2.0 * np.pi, 64, endpoint=False)
    return radius * np.stack([np.cos(angles), np.sin(angles)], axis=1) + np.asarray(center)


def _regular(corners: int, radius: float = 1.0, inner: float | None = None) -> Points:
    """A regular polygon with a corner at the top, or a star with `inner` notches."""
    count = corners if inner is None else 2 * corners
    angles = -np.pi / 2 + np.arange(count) * 2.0 * np.pi / count
    radii = np.full(count, radius)
    if inner is not None:
        radii[1::2] = inner
    return radii[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)


def _spiral() -> Points:
    """A ribbon along an Archimedean spiral of one and three quarter turns."""
    angles = np.linspace(0.0, 3.5 * np.pi, 96)
    radii = 0.10 + 0.80 * angles / angles[-1]
    direction = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    width = 0.14
    outer = (radii + width)[:, None] * direction
    inner = np.maximum(radii - width, 0.0)[:, None] * direction
    return np.concatenate([outer, inner[::-1]])


def _heart() -> Points:
    """The classic heart curve, 16 sin^3 t against four cosines."""
    t = np.linspace(0.0, 2.0 * np.pi, 64, endpoint=False)
    x = 16.0 * np.sin(t) ** 3
    y = 13.0 * np.cos(t) - 5.0 * np.cos(2 * t) - 2.0 * np.cos(3 * t) - np.cos(4 * t)
    return np.stack([x, -y - 2.0], axis=1) / 15.5


_ARM = 0.34  # Half the width of an arm of the cross.
_CROSS = np.array(
    [
        (-_ARM, -1), (_ARM, -1), (_ARM, -_ARM), (1, -_ARM), (1, _ARM), (_ARM, _ARM),
        (_ARM, 1), (-_ARM, 1), (-_ARM, _ARM), (-1, _ARM), (-1, -_ARM), (-_ARM, -_ARM),
    ]
)  # fmt: skip
_ARROW = np.array(
    [(0, -1), (0.8, -0.1), (0.3, -0.1), (0.3, 1), (-0.3, 1), (-0.3, -0.1), (-0.8, -0.1)]
)
_SQUARE = 0.84 * np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)], dtype=np.float64)

_OUTLINES: dict[str, Outline] = {
    "circle": [(_circle(0.95), True)],
    "ring": [(_circle(), True), (_circle(0.55), False)],
    "square": [(_SQUARE, True)],
    "triangle": [(_regular(3, 1.15) + np.array([0.0, 0.2]), True)],
    "star": [(_regular(5, 1.12, 0.46), True)],
    "cross": [(_CROSS, True)],
    "crescent": [(_circle(), True), (_circle(0.82, (0.46, 0.0)), False)],
    "heart": [(_heart(), True)],
    "arrow": [(_ARROW, True)],
    "spiral": [(_spiral(), True)],
}

# How far each shape may be turned to either side, in degrees. Shapes that a
# person tells apart by their upright pose are turned less.
_MAX_TURN = {"circle": 180, "ring": 180, "crescent": 180, "arrow": 180, "spiral": 180}
_USUAL_TURN = 25


# --- Composition ------------------------------------------------------------


def _compose(rng: np.random.Generator, label: int) -> NDArray[np.uint8]:
    """One image of a class: gradient, clutter, then the shape on top."""
    ground, paint = _colors(rng)

    # The background fades between two shades along a random direction.
    canvas = ground + _ramp(rng) * rng.uniform(-0.12, 0.12, 3)

    for _ in range(rng.integers(2, 6)):
        # Clutter is small and stays close to the background colour.
        color = ground + rng.uniform(-0.16, 0.16, 3)
        canvas += _coverage([(_clutter(rng), True)]) * (color - canvas)

    outline = _pose(rng, CLASSES[label])
    surface = paint + _ramp(rng) * rng.uniform(-0.08, 0.08, 3)
    canvas += _coverage(outline) * (surface - canvas)

    return np.rint(255.0 * np.clip(canvas, 0.0, 1.0)).astype(np.uint8)


def _colors(rng: np.random.Generator) -> tuple[Color, Color]:
    """A background and a brighter shape colour, from hardly to clearly different.

    Their RGB distance is what makes an image hard or easy under noise.
    """
    while True:
        ground = rng.uniform(0.0, 0.7, 3)
        direction = rng.normal(0.5, 1.0, 3)
        direction *= np.sign(direction.sum()) / np.linalg.norm(direction)
        paint = ground + rng.uniform(*CONTRAST) * direction
        if paint.min() >= 0.0 and paint.max() <= 1.0:
            return ground, paint


def _ramp(rng: np.random.Generator) -> NDArray[np.float64]:
    """A linear ramp from -1 to 1 along a random direction, [32, 32, 1]."""
    angle = rng.uniform(0.0, 2.0 * np.pi)
    axis = np.linspace(-1.0, 1.0, SIZE)
    ramp = np.cos(angle) * axis[None, :] + np.sin(angle) * axis[:, None]
    return ramp[:, :, None] / np.sqrt(2.0)


def _turned(points: Points, degrees: float) -> Points:
    angle = np.deg2rad(degrees)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return points @ rotation.T


def _clutter(rng: np.random.Generator) -> Points:
    """A small dot, bar or chip somewhere in the image, in pixels."""
    makers: tuple[Callable[[], Points], ...] = (
        lambda: _circle(rng.uniform(1.0, 2.5)),
        lambda: _SQUARE * np.array([rng.uniform(3.0, 9.0), rng.uniform(0.5, 1.2)]),
        lambda: _regular(3, rng.uniform(1.5, 3.0)),
    )
    points = makers[rng.integers(len(makers))]()
    return _turned(points, rng.uniform(0.0, 360.0)) + rng.uniform(0.0, SIZE, 2)


def _pose(rng: np.random.Generator, name: str) -> Outline:
    """The outline of a shape, stretched, turned, scaled and placed, in pixels."""
    turn = _MAX_TURN.get(name, _USUAL_TURN)
    degrees = rng.uniform(-turn, turn)
    radius = rng.uniform(8.0, 13.5)
    stretch = np.exp(rng.uniform(-0.12, 0.12))
    room = max(SIZE / 2 - radius - 1.0, 0.0)
    center = SIZE / 2 + rng.uniform(-room, room, 2)
    mirror = rng.choice((-1.0, 1.0))
    scale = radius * np.array([mirror * stretch, 1.0 / stretch])
    return [(_turned(points * scale, degrees) + center, fill) for points, fill in _OUTLINES[name]]


def _coverage(outline: Outline) -> NDArray[np.float64]:
    """The share of each pixel that an outline (in pixels) covers, [32, 32, 1]."""
    side = SIZE * OVERSAMPLING
    image = Image.new("L", (side, side), 0)
    pen = ImageDraw.Draw(image)
    for points, fill in outline:
        pen.polygon((points * OVERSAMPLING).ravel().tolist(), fill=1 if fill else 0)
    fine = np.asarray(image).reshape(SIZE, OVERSAMPLING, SIZE, OVERSAMPLING)
    return fine.mean(axis=(1, 3))[:, :, None]
