"""Writes the Parquet files of this folder, as Hugging Face's `datasets` does, by pyarrow.

Run it here, without arguments; see README.md for the versions used. Pixel (row y, column x,
channel c) of image n is (y + 2 x + 64 c + 40 n) modulo 256, which the tests compute, too.
"""

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

HERE = Path(__file__).parent / "parquet"
HERE.mkdir(exist_ok=True)


def pixels(n, height, width, channels):
    y, x, c = np.mgrid[0:height, 0:width, 0:channels]
    return ((y + 2 * x + 64 * c + 40 * n) % 256).astype(np.uint8)


def png(n, channels):
    image = pixels(n, 6, 5, channels)
    file = io.BytesIO()
    Image.fromarray(image[..., 0] if channels == 1 else image).save(file, "PNG")
    return file.getvalue()


def images(files):
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    return pa.array([{"bytes": file, "path": f"{i}.png"} for i, file in enumerate(files)], kind)


labels = pa.array([3, 0, 2, 2, 1], pa.int64())
colour = images([png(n, 3) for n in range(5)])
names = pa.array(["a", "b", "c", "d", "e"])

table = pa.table({"id": names, "img": colour, "label": labels})
pq.write_table(table, HERE / "colour.parquet", row_group_size=2)
pq.write_table(table.slice(0, 3), HERE / "test-00000-of-00002.parquet", use_dictionary=False)
pq.write_table(table.slice(3), HERE / "test-00001-of-00002.parquet", use_dictionary=False)
pq.write_table(table.slice(4), HERE / "train-00000-of-00001.parquet")

grey = images([png(n, 1) for n in range(5)])
table = pa.table({"image": grey, "label": pa.array(["cat", "dog", "cat", "dog", "dog"])})
pq.write_table(table, HERE / "grey.parquet", compression="gzip", data_page_version="2.0")

planes = [pixels(n, 4, 3, 1)[..., 0].tolist() for n in range(5)]
table = pa.table({"image": pa.array(planes, pa.list_(pa.list_(pa.uint8()))), "y": labels.cast(pa.int32())})
pq.write_table(table, HERE / "lists.parquet", row_group_size=3)

rows = [(pixels(n, 4, 4, 1).ravel() / 255).tolist() for n in range(5)]
table = pa.table({"pixels": pa.array(rows, pa.list_(pa.float32()))})
pq.write_table(table, HERE / "rows.parquet", compression="none")

# What is not read, or is not there.
table = pa.table({"image": images([png(0, 3), None, png(2, 3)]), "label": labels.slice(0, 3)})
pq.write_table(table, HERE / "no_bytes.parquet")
table = pa.table({"image": images([png(0, 3)] * 3), "label": pa.array([1, None, 2])})
pq.write_table(table, HERE / "no_label.parquet")
table = pa.table({"image": pa.array([[1] * 9, [1] * 9, [1] * 4], pa.list_(pa.uint8()))})
pq.write_table(table, HERE / "ragged.parquet")
table = pa.table({"image": colour})
pq.write_table(table, HERE / "zstd.parquet", compression="zstd")
pq.write_table(
    table,
    HERE / "delta.parquet",
    use_dictionary=False,
    column_encoding={"image.bytes": "DELTA_LENGTH_BYTE_ARRAY", "image.path": "PLAIN"},
)
pq.write_table(pa.table({"text": names, "label": labels}), HERE / "text.parquet")
