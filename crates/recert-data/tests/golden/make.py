"""Draws the images of this folder and records what Pillow makes of them.

Run it here, without arguments; see README.md for the versions used.
"""

import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

HERE = Path(__file__).parent


def drawing(width, height):
    """A smooth gradient, a fine checkerboard, a sharp disc: all frequencies."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    red = 255 * x / max(width - 1, 1)
    green = 255 * (((x.astype(int) // 2) + (y.astype(int) // 3)) % 2)
    blue = np.where((x - width / 2) ** 2 + (y - height / 3) ** 2 < (min(width, height) / 3) ** 2, 250, 9)
    return np.stack([red, green, blue], axis=-1).round().astype(np.uint8)


def torchvision(image, resize, crop):
    """Torchvision's transforms.Resize(resize) and CenterCrop(crop) on a Pillow image."""
    if resize:
        width, height = image.size
        short, long = sorted((width, height))
        new_long = int(resize * long / short)
        size = (resize, new_long) if width <= height else (new_long, resize)
        # Rows before columns, as every Pillow did before 13.0. Later ones take
        # columns first for images more than twice as tall as wide.
        rows = image.resize((size[0], height), Image.Resampling.BILINEAR)
        scaled = rows.resize(size, Image.Resampling.BILINEAR)
        if height <= 2 * width:
            assert scaled == image.resize(size, Image.Resampling.BILINEAR)
        image = scaled
    if crop:
        width, height = image.size
        if crop > width or crop > height:
            left = (crop - width) // 2 if crop > width else 0
            top = (crop - height) // 2 if crop > height else 0
            right = (crop - width + 1) // 2 if crop > width else 0
            bottom = (crop - height + 1) // 2 if crop > height else 0
            padded = Image.new("RGB", (left + width + right, top + height + bottom))
            padded.paste(image, (left, top))
            image = padded
            width, height = image.size
        top = int(round((height - crop) / 2.0))
        left = int(round((width - crop) / 2.0))
        image = image.crop((left, top, left + crop, top + crop))
    return image


def sixteen_bit(path, color_type, samples):
    """Writes a 16-bit PNG of any colour type, which Pillow itself cannot."""
    height, width, _ = samples.shape

    def chunk(name, data):
        body = name + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
    header = struct.pack(">2I5B", width, height, 16, color_type, 0, 0, 0)
    parts = [chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))


def main():
    table = []

    def record(source, resize=0, crop=0):
        image = torchvision(Image.open(HERE / source).convert("RGB"), resize, crop)
        expected = f"{Path(source).stem}_r{resize}_c{crop}.rgb"
        (HERE / expected).write_bytes(image.tobytes())
        table.append((source, resize, crop, image.width, image.height, expected))

    for name, size in [("wide", (40, 29)), ("tall", (23, 41)), ("square", (32, 32)), ("tower", (13, 53))]:
        Image.fromarray(drawing(*size)).save(HERE / f"{name}.png", optimize=True)
    for source in ["wide.png", "tall.png", "square.png", "tower.png"]:
        for resize, crop in [(0, 0), (16, 0), (11, 8), (37, 24), (20, 21), (0, 28), (0, 17), (0, 48)]:
            record(source, resize, crop)

    # Every kind of PNG pixel, and JPEG in greyscale and CMYK.
    rgb = Image.fromarray(drawing(13, 9))
    alpha = Image.fromarray(np.arange(13 * 9, dtype=np.uint8).reshape(9, 13) * 2)
    rgba = rgb.copy()
    rgba.putalpha(alpha)
    grey_alpha = rgb.convert("L")
    grey_alpha.putalpha(alpha)
    kinds = {
        "mode_l.png": rgb.convert("L"),
        "mode_la.png": grey_alpha,
        "mode_rgba.png": rgba,
        "mode_1.png": rgb.convert("1"),
        "mode_p.png": rgb.quantize(7),
        "mode_p_transparent.png": rgba.quantize(7),
    }
    for name, image in kinds.items():
        image.save(HERE / name)
        record(name)
    rng = np.random.default_rng(16)
    for name, color_type, channels in [("deep_rgb.png", 2, 3), ("deep_la.png", 4, 2), ("deep_rgba.png", 6, 4)]:
        sixteen_bit(HERE / name, color_type, rng.integers(0, 65536, (5, 7, channels)))
        record(name)
    sixteen_bit(HERE / "deep_l.png", 0, rng.integers(0, 65536, (5, 7, 1)))

    y, x = np.mgrid[0:24, 0:24]
    smooth = np.stack([x * 10, y * 10, 200 - x * 5, x + y], axis=-1).astype(np.uint8)
    Image.fromarray(smooth, "CMYK").save(HERE / "cmyk.jpg", quality=95)
    record("cmyk.jpg")
    Image.fromarray(smooth[..., 0]).save(HERE / "grey.jpg", quality=95)
    record("grey.jpg")

    lines = ["source\tresize\tcrop\twidth\theight\texpected"]
    lines += ["\t".join(map(str, row)) for row in table]
    (HERE / "cases.tsv").write_text("\n".join(lines) + "\n")


main()
