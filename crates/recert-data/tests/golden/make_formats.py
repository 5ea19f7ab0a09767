"""Draws the WebP, BMP and MAT files of this folder, with what Pillow makes of the images.

Run it here, without arguments; see README.md for the versions used.
"""

from pathlib import Path

import numpy as np
import scipy.io
from PIL import Image

from make import drawing

HERE = Path(__file__).parent

colour = Image.fromarray(drawing(20, 17))
alpha = colour.convert("RGBA")
alpha.putalpha(128)
colour.save(HERE / "lossless.webp", lossless=True)
alpha.save(HERE / "alpha.webp", lossless=True, exact=True)
colour.save(HERE / "lossy.webp", quality=80)
colour.save(HERE / "colour.bmp")
colour.convert("P").save(HERE / "palette.bmp")
colour.convert("L").save(HERE / "grey.bmp")
for name in ["lossless.webp", "alpha.webp", "lossy.webp", "colour.bmp", "palette.bmp", "grey.bmp"]:
    image = Image.open(HERE / name)
    (HERE / f"{name}.rgb").write_bytes(image.convert("RGB").tobytes())
# One channel, by Pillow's weights.
(HERE / "lossless.webp.grey").write_bytes(Image.open(HERE / "lossless.webp").convert("L").tobytes())

# Three images of SVHN's kind: rows, columns, channels, images; labels from 1 to 10.
y, x, c, n = np.mgrid[0:32, 0:32, 0:3, 0:3]
images = (y + 2 * x + 64 * c + 100 * n).astype(np.uint8)
labels = np.array([[1], [10], [9]], dtype=np.uint8)
scipy.io.savemat(HERE / "svhn.mat", {"X": images, "y": labels}, do_compression=True)
scipy.io.savemat(HERE / "svhn_one.mat", {"X": images[..., :1], "y": labels[1:2].astype(float)}, do_compression=True)
scipy.io.savemat(
    HERE / "other.mat", {"note": "text", "pixels": images[:2, :2], "cell": np.array([1, "a"], dtype=object)},
)
