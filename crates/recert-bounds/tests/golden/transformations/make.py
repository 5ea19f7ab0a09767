"""Writes transformations.tsv: transformed images by SciPy, to compare recert's with.

Usage: python make.py > transformations.tsv   (needs numpy and scipy)
"""

import numpy as np
from scipy.ndimage import map_coordinates

SEED = 20261130
COMPOSITIONS = [
    "rotate",
    "translate-x",
    "translate-y",
    "scale",
    "shear",
    "contrast",
    "brightness",
    "rotate,scale",
    "scale,rotate",
    "translate-x,rotate",
    "rotate,translate-x,translate-y",
    "shear,rotate,scale",
    "translate-y,shear",
    "scale,scale",
    "rotate,contrast",
    "scale,rotate,contrast,brightness",
    "brightness,contrast",
    "contrast,brightness",
    "translate-x,translate-y,scale,shear,rotate",
    "shear,translate-x,brightness,brightness",
]
RANGES = {
    "rotate": (-180, 180),
    "translate-x": (-4, 4),
    "translate-y": (-4, 4),
    "scale": (0.5, 2),
    "shear": (-1, 1),
    "contrast": (0.3, 2),
    "brightness": (-0.6, 0.6),
}


def image(height, width):
    """Pixel k is (37 k + 11) mod 101, over 100."""
    index = np.arange(height * width)
    return ((37 * index + 11) % 101 / 100).reshape(height, width)


def inverse(name, t):
    """The matrix from output coordinates (x right, y up) to the source's."""
    if name == "rotate":
        a = np.deg2rad(t)
        # A counterclockwise rotation is undone by a clockwise one.
        return np.array([[np.cos(a), np.sin(a), 0], [-np.sin(a), np.cos(a), 0], [0, 0, 1]])
    forward = np.eye(3)
    if name == "translate-x":
        forward[0, 2] = t
    elif name == "translate-y":
        forward[1, 2] = t
    elif name == "scale":
        forward[0, 0] = forward[1, 1] = t
    elif name == "shear":
        forward[0, 1] = t
    return np.linalg.inv(forward)


def transform(pixels, names, parameters):
    height, width = pixels.shape
    source = np.eye(3)
    for name, t in zip(names, parameters):
        source = source @ inverse(name, t)
    rows, columns = np.mgrid[0:height, 0:width].astype(float)
    points = np.stack([columns - (width - 1) / 2, (height - 1) / 2 - rows, np.ones_like(rows)])
    x, y, _ = np.einsum("ij,jhw->ihw", source, points)
    where = [(height - 1) / 2 - y, x + (width - 1) / 2]
    # 'grid-constant' interpolates with zeros around the image; 'constant' would not.
    result = map_coordinates(pixels, where, order=1, mode="grid-constant", cval=0.0)
    for name, t in zip(names, parameters):
        if name == "contrast":
            result = np.clip(result * t, 0, 1)
        elif name == "brightness":
            result = np.clip(result + t, 0, 1)
    return result


def main():
    random = np.random.default_rng(SEED)
    for case in range(1000):
        names = COMPOSITIONS[case % len(COMPOSITIONS)].split(",")
        height, width = [(8, 7), (5, 6), (4, 9)][case % 3]
        parameters = [round(random.uniform(*RANGES[name]), 3) for name in names]
        result = transform(image(height, width), names, parameters).ravel()
        index = np.arange(result.size)
        sums = [(result * (index * a % b)).sum() for a, b in ((37, 101), (53, 89))]
        text = ",".join(f"{name}={t}" for name, t in zip(names, parameters))
        print(f"{height}\t{width}\t{text}\t{sums[0]:.12g}\t{sums[1]:.12g}")


main()
