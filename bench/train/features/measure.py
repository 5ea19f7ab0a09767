"""Where the pictures of proof features lie: on the digit or beside it.

    measure.py WORK RESULTS

WORK has what run.sh made: NETWORK.EPS.json of `recert explain --pictures`. The digit is the pixels above
0.1. Of a picture (the gradient of a feature by the image),

- `on digit` is the share of the magnitudes' sum that lies on the digit;
- `covered` the share of the digit's pixels whose magnitude is above a tenth of the picture's largest,
- `spurious` the share of the other pixels for which that holds.

A picture that is the same everywhere has the digit's share of the image (`digit`) on the digit. All are
means over the images that have a proof, of the feature of largest priority, and of the first five.
RESULTS gets table.md, features.tsv with a line an image and feature, and pictures.png.
"""

import json
import struct
import sys
import zlib
from pathlib import Path
from statistics import mean, median

import numpy as np

TRAINED = ["standard", "pgd", "ibp", "mtl-ibp"]
PUBLISHED = ["profit_standard", "profit_colt", "cnn_crown_ibp"]
NETWORKS = TRAINED + PUBLISHED
EPS = ["0.02", "0.1"]
BRIGHT = 0.1  # Pixels above this are the digit.
LARGE = 0.1  # Of a picture's largest magnitude: what counts as seen.
FIRST = 5
COLOURS = np.array([[33, 102, 172], [247, 247, 247], [178, 24, 43]], float)  # As on explain's page.


def measured(picture, digit):
    """Its numbers; none of a feature that no pixel moves."""
    size = np.abs(picture)
    if not size.any():
        return None
    seen = size > LARGE * size.max()
    return {"on digit": size[digit].sum() / size.sum(), "covered": seen[digit].mean(),
            "spurious": seen[~digit].mean()}  # fmt: skip


def features(document):
    """Of every proved input: its number, image, counts and the kept features."""
    for line in document["inputs"]:
        proof = line["proofs"][0]
        if proof["counts"] and "image" in line:
            yield line["idx"], np.array(line["image"]["values"]), proof["counts"], proof["kept"]


def png(path, pixels):
    """Writes rows of three bytes a pixel."""
    height, width, _ = pixels.shape
    rows = b"".join(b"\0" + row.tobytes() for row in pixels.astype(np.uint8))
    parts = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
             (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b"")]  # fmt: skip
    with open(path, "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n")
        for name, data in parts:
            file.write(struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)))


def coloured(values):
    """Red above 0 and blue below, by the largest magnitude."""
    share = (values / max(np.abs(values).max(), 1e-30)).reshape(28, 28, 1)
    end = np.where(share > 0, COLOURS[2], COLOURS[0])
    return COLOURS[1] + (end - COLOURS[1]) * np.abs(share)


def grid(rows, scale=3, gap=4):
    """Pictures of 28 x 28 in rows, each enlarged."""
    side = 28 * scale + gap
    sheet = np.full((side * len(rows) + gap, side * len(rows[0]) + gap, 3), 255.0)
    for i, row in enumerate(rows):
        for j, one in enumerate(row):
            large = one.repeat(scale, 0).repeat(scale, 1)
            sheet[gap + i * side : (i + 1) * side, gap + j * side : (j + 1) * side] = large
    return sheet


def main(work, results):
    lines, table, tops = [], [], {}
    for eps in EPS:
        for network in NETWORKS:
            file = work / f"{network}.{eps}.json"
            if not file.exists():
                continue
            document = json.loads(file.read_text())
            found = list(features(document))
            top = {idx: (image, np.array(kept[0]["picture"]["values"])) for idx, image, _, kept in found if kept}
            tops[network, eps] = top
            firsts, shares = [], []
            for idx, image, counts, kept in found:
                digit = image > BRIGHT
                shares.append(digit.mean())
                for place, feature in enumerate(kept[:FIRST]):
                    values = measured(np.array(feature["picture"]["values"]), digit)
                    if values is None:
                        continue
                    firsts.append((place, values))
                    numbers = [f"{value:.4f}" for value in [digit.mean(), *values.values()]]
                    lines.append([network, eps, idx, place, feature["neuron"], *numbers])
            if not firsts:
                table.append([network, eps, f"0 of {len(document['inputs'])}", *["-"] * 10])
                continue
            share = lambda key, most: f"{100 * mean(v[key] for place, v in firsts if place < most):.1f}"
            kept = [len(kept) for *_, kept in found]
            table.append([
                network, eps, f"{len(found)} of {len(document['inputs'])}",
                f"{mean(counts['features'] for _, _, counts, _ in found):.1f}", f"{mean(kept):.2f}", f"{median(kept):g}",
                f"{100 * mean(shares):.1f}", *(share(key, most) for most in [1, FIRST] for key in values),
            ])  # fmt: skip
    names = ["network", "eps", "proved", "features", "kept, mean", "median", "digit", "on digit", "covered",
             "spurious", "on digit (5)", "covered (5)", "spurious (5)"]  # fmt: skip
    with open(results / "table.md", "w") as out:
        print(f"| {' | '.join(names)} |\n|{'--|' * 3}{'--:|' * (len(names) - 3)}", file=out)
        for line in table:
            print(f"| {' | '.join(line)} |", file=out)
    with open(results / "features.tsv", "w") as out:
        print("network", "eps", "input", "place", "neuron", "digit", "on_digit", "covered", "spurious", sep="\t", file=out)
        for line in lines:
            print(*line, sep="\t", file=out)
    # One image a class, of those that most networks prove at the smaller eps the first; of each the first
    # feature, and nothing where there is no proof.
    small = [tops[network, EPS[0]] for network in NETWORKS if (network, EPS[0]) in tops]
    images = {idx: image for top in small for idx, (image, _) in top.items()}
    labels = {line["idx"]: line["label"] for line in document["inputs"]}
    order = sorted(images, key=lambda idx: (sum(idx not in top for top in small), idx))
    chosen = [next(idx for idx in order if labels[idx] == c) for c in sorted({labels[idx] for idx in order})]
    blank = np.full((28, 28, 3), 255.0)
    rows = [[(255 * images[idx]).reshape(28, 28, 1).repeat(3, 2) for idx in chosen]]
    rows += [[coloured(top[idx][1]) if idx in top else blank for idx in chosen] for top in small]
    png(results / "pictures.png", grid(rows))
    print((results / "table.md").read_text(), end="")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
