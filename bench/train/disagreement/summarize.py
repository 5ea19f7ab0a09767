#!/usr/bin/env python3
"""Turns what run.sh wrote into results/DATASET.networks.tsv (a line a network and
sigma), results/DATASET.images.tsv.gz (a line an image) and tables in Markdown on stdout.

    bench/train/disagreement/summarize.py WORK [DATASET]
    bench/train/disagreement/summarize.py --recorded [DATASET]

With --recorded the tables are made of the results that are there. Only Python's standard library is
used. Answers are counted from the ledgers by bench/resnet20/ledger.py, and disagreement
rates compared with those of `recert report`: a difference stops the program.
"""

import csv
import gzip
import json
import math
import sqlite3
import statistics
import sys
from pathlib import Path

here = Path(__file__).parent
sys.path.insert(0, str(here.parent.parent / "resnet20"))
from ledger import decode, near  # noqa: E402

METHODS = ["standard", "gaussian", "gaussian-hinge", "gaussian-ibp", "ibp", "pgd"]
NETWORK = ["dataset", "method", "seed", "sigma", "images", "clean", "under_noise", "disagreement",
           "disagreement_near", "acr", "acr_scratch", "evaluations", "evaluations_scratch", "speed_up_5"]
# Images whose share of all disagreements is shown.
MOST = 5
IMAGE = ["dataset", "method", "seed", "sigma", "idx", "label", "right", "pairs", "disagreements", "top"]


def answers(ledger):
    """Labels, and the classes of the first network and of the int8 version by image."""
    db = sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)
    labels = dict(db.execute("SELECT idx, label FROM input ORDER BY idx"))
    names = dict(db.execute("SELECT id, file FROM network"))
    found = {}
    for network, idx, blob in db.execute(
        "SELECT network, idx, classes FROM answers WHERE stream = 1 ORDER BY network, idx, first"
    ):
        kind = "int8" if names[network].endswith(".int8.onnx") else "f"
        found.setdefault((kind, idx), []).extend(decode(blob))
    return labels, found


def interpolated(points, quality):
    """The cost of a quality on a curve of (cost, quality); None where it does not reach it."""
    points = sorted(points)
    best = []
    for cost, reached in points:
        if not best or reached > best[-1][1]:
            best.append((cost, reached))
    if not best or quality > best[-1][1]:
        return None
    if quality <= best[0][1]:
        return best[0][0]
    for (c0, q0), (c1, q1) in zip(best, best[1:]):
        if quality <= q1:
            return c0 + (c1 - c0) * (quality - q0) / (q1 - q0)
    return None


def at(points, cost):
    """The quality at a cost, interpolated."""
    return interpolated([(q, c) for c, q in points], cost)


def network(work, dataset, method, seed, sigma):
    """A line of networks.tsv, and those of images.tsv."""
    base = work / f"{dataset}.{method}.{seed}"
    clean = float(Path(f"{base}.clean.txt").read_text(encoding="utf-8"))
    labels, found = answers(f"{base}.sigma{sigma}.recert")
    images = []
    for idx, label in labels.items():
        f, h = found["f", idx], found["int8", idx]
        if len(f) != len(h):
            raise SystemExit(f"{base}: image {idx} has {len(f)} answers of f and {len(h)} of int8")
        pairs = list(zip(f, h))
        top = max(f.count(c) for c in set(f)) / len(f)
        images.append([dataset, method, seed, sigma, idx, label, f.count(label) / len(f), len(pairs),
                       sum(a != b for a, b in pairs), f"{top:.4f}"])
    mean = lambda values: statistics.fmean(list(values))
    disagreement = mean(row[8] / row[7] for row in images)
    report = json.loads(Path(f"{base}.sigma{sigma}.json").read_text(encoding="utf-8"))["runs"]
    auto, acr, n = [], None, 0
    for run in report:
        name, metrics = run["method"].get("name"), run["metrics"]
        if run["method"]["kind"] == "certify":
            acr, n = metrics["acr"], run["n"]
        elif name == "zeta":
            near(disagreement, metrics["mean_disagreement_rate"], f"{base}: disagreement")
        elif name == "auto":
            auto.append(run)
    line = dict.fromkeys(NETWORK, "")
    # Images on which the smoothed network's answer is not beyond doubt.
    near_rows = [row for row in images if float(row[9]) < 0.999]
    line.update(dataset=dataset, method=method, seed=seed, sigma=sigma, images=len(images), clean=clean,
                under_noise=mean(row[6] for row in images), disagreement=disagreement,
                disagreement_near=mean(row[8] / row[7] for row in near_rows) if near_rows else "", acr=acr)
    if auto:
        curve = [(p["cost"], p["quality"]) for p in auto[0]["baselines"]["from_scratch"]]
        target = at(curve, n / 10 * len(images))
        cost = interpolated([(r["metrics"]["evaluations"], r["metrics"]["acr"]) for r in auto], target)
        five = min(auto, key=lambda r: abs(r["metrics"]["evaluations"] - n / 20 * len(images)))
        ratio = five["metrics"]["speed_up"]["expected"]["from_scratch"]
        line.update(acr_scratch=target, evaluations=cost if cost is not None else "",
                    evaluations_scratch=n // 10 * len(images), speed_up_5=ratio["ratio"] if ratio else "")
    return line, images


def spread(values, places=2, factor=1.0):
    """A mean over seeds, with its standard error."""
    values = [float(v) * factor for v in values if v != ""]
    if not values:
        return "-"
    text = f"{statistics.fmean(values):.{places}f}"
    if len(values) > 1:
        text += f" ± {statistics.stdev(values) / math.sqrt(len(values)):.{places}f}"
    return text


def tables(lines, images):
    """Prints the tables."""
    for dataset in dict.fromkeys(line["dataset"] for line in lines):
        for sigma in ("0.25", "0.5"):
            of = lambda method: [l for l in lines if (l["dataset"], l["method"], l["sigma"]) == (dataset, method, sigma)]
            known = [method for method in METHODS if of(method)]
            if not known:
                continue
            seeds = sorted({l["seed"] for l in lines if l["dataset"] == dataset})
            print(f"\n{dataset}, sigma {sigma}, {of(known[0])[0]['images']} images, seeds {', '.join(seeds)}; "
                  "means over seeds ± standard error\n")
            head = ["method", "clean %", "under noise %", "disagreement %", "per error", "ACR"]
            if sigma == "0.25":
                head += ["ACR aimed at", "evaluations an image", "times fewer than from scratch", "speed-up at 5 %"]
            print("| " + " | ".join(head) + " |\n|" + "---|" * len(head))
            for method in known:
                rows = of(method)
                column = lambda key: [row[key] for row in rows]
                errors = [float(r["disagreement"]) / (1 - float(r["under_noise"])) for r in rows]
                cells = [method, spread(column("clean"), 2, 100), spread(column("under_noise"), 2, 100),
                         spread(column("disagreement"), 3, 100), spread(errors, 4), spread(column("acr"), 3)]
                if sigma == "0.25":
                    each = [float(r["evaluations"]) / float(r["images"]) for r in rows if r["evaluations"] != ""]
                    ratios = [float(r["evaluations_scratch"]) / float(r["evaluations"]) for r in rows
                              if r["evaluations"] != ""]
                    cells += [spread(column("acr_scratch"), 3), spread(each, 0), spread(ratios, 2),
                              spread(column("speed_up_5"), 2)]
                print("| " + " | ".join(cells) + " |")
            print("\nDifferences of disagreement, in points of per cent, on the same images and seeds "
                  "(mean ± standard error over images, seeds averaged):\n")
            print("| method | less standard | less gaussian | less gaussian-ibp |\n|---|---|---|---|")
            rate = {}
            for row in images:
                if row["dataset"] == dataset and row["sigma"] == sigma:
                    rate.setdefault((row["method"], row["idx"]), []).append(
                        100 * float(row["disagreements"]) / float(row["pairs"]))
            ids = sorted({idx for _, idx in rate})
            for method in known:
                cells = [method]
                for other in ("standard", "gaussian", "gaussian-ibp"):
                    if other not in known or other == method:
                        cells.append("")
                        continue
                    d = [statistics.fmean(rate[method, i]) - statistics.fmean(rate[other, i]) for i in ids]
                    cells.append(f"{statistics.fmean(d):+.3f} ± {statistics.stdev(d) / math.sqrt(len(d)):.3f}")
                print("| " + " | ".join(cells) + " |")
            carried(known, rate)


def carried(known, rate):
    """Prints by how many images the disagreement is made: rates of (method, image), a number a seed."""
    print(f"\nHow much of a method's disagreements, over all seeds, its {MOST} images with the most have:\n")
    print(f"| method | disagreement % ± standard error over images | of the {MOST} images | images without any |")
    print("|---|---|---|---|")
    for method in known:
        each = sorted((statistics.fmean(found) for (of, _), found in rate.items() if of == method), reverse=True)
        middle, error = statistics.fmean(each), statistics.stdev(each) / math.sqrt(len(each))
        cells = [method, f"{middle:.3f} ± {error:.3f}", f"{100 * sum(each[:MOST]) / sum(each):.0f} %"]
        print("| " + " | ".join([*cells, f"{each.count(0.0)} of {len(each)}"]) + " |")


def main():
    if len(sys.argv) < 2:
        sys.exit("usage: summarize.py WORK|--recorded [DATASET]")
    dataset = sys.argv[2] if len(sys.argv) > 2 else "mnist"
    results = here / "results"
    paths = results / f"{dataset}.networks.tsv", results / f"{dataset}.images.tsv.gz"
    if sys.argv[1] != "--recorded":
        work = Path(sys.argv[1])
        results.mkdir(exist_ok=True)
        lines, images = [], []
        # The report is the last that is written of a network at a sigma.
        for report in sorted(work.glob(f"{dataset}.*.sigma*.json")):
            if report.stat().st_size == 0:
                continue
            method, seed = report.name.split(".")[1:3]
            sigma = report.name.split(".sigma")[1].removesuffix(".json")
            line, rows = network(work, dataset, method, seed, sigma)
            lines.append(line)
            images += rows
        if not lines:
            sys.exit(f"nothing of {dataset} is done in {work}: run run.sh first")
        with open(paths[0], "w", encoding="utf-8", newline="") as out:
            writer = csv.writer(out, delimiter="\t", lineterminator="\n")
            writer.writerow(NETWORK)
            writer.writerows([line[key] for key in NETWORK] for line in lines)
        # No time in the file, so that the same results are the same bytes.
        with open(paths[1], "wb") as raw, gzip.GzipFile(fileobj=raw, mode="wb", mtime=0, filename="") as packed:
            text = "".join("\t".join(map(str, row)) + "\n" for row in [IMAGE, *images])
            packed.write(text.encode())
    read = lambda file: list(csv.DictReader(file, delimiter="\t"))
    with open(paths[0], encoding="utf-8", newline="") as lines, gzip.open(paths[1], "rt", encoding="utf-8") as images:
        tables(read(lines), read(images))


if __name__ == "__main__":
    main()
