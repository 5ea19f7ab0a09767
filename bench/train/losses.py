"""Compares losses and gradients of recert's training with PyTorch's, step by step.

    losses.py STEPS DATA WORK RESULTS

STEPS is the example program of recert-train, which records batches, random numbers, points, weights, losses and
gradients of every step. RESULTS gets losses.tsv and gradients.tsv: for every method how far the two sides are apart;
and losses.json: versions, the sizes of batches, and the commit of the checkout that this file is in.

- `loss`: at recert's weights, batches and points, the largest difference of a loss, relative to it; `loss_double` in
  float64, at every seventh step.
- `trajectory`: the same of PyTorch's own 50 steps, from the weights of the first step, with its own gradients and Adam,
  at the same batches and points.
- `attacks`: the same with its own attacks, from the same starts and noise: where the sign of a derivative of about 0
  differs, a pixel differs by two steps, and the trajectories part from there.
- `points`: the least share of pixels of PyTorch's own attack at recert's weights that are recert's, to 1e-6; for TAPS
  and STAPS of coordinates of latent points.
- gradients: the largest difference by any weight, relative to the largest gradient of its layer, weights and bias; `worst`
  is the number of the weights or biases that it is of.

STEPS=0 in the environment leaves out the losses. Another method is a word in METHODS and, with what it needs, in the example and in peer.py.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch

import peer

STEPS, DATA, WORK, RESULTS = sys.argv[1], sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4])
METHODS = os.environ.get(
    "METHODS",
    "standard gaussian gaussian-hinge gaussian-ibp pgd smoothadv ibp crown-ibp sabr mtl-ibp cc-ibp exp-ibp taps staps "
    "geometric",
).split()
COUNT, BATCH = int(os.environ.get("STEPS", 50)), int(os.environ.get("BATCH", 64))
# Of the comparison of gradients.
GRADIENT_STEPS, GRADIENT_BATCH = 3, 16
# Networks of all layers for the gradients: convolutions, fully connected ones, batch normalizations of both.
CROPS = {"cnn3": 28, "fc-60-40": 28, "cnn7-bn": 8}
NETWORKS = os.environ.get("NETWORKS", " ".join(CROPS)).split()
SHARED = {"eps": 0.1, "sigma": 0.25, "samples": 2, "tau": 0.4, "alpha": 0.5, "clean-weight": [0.2, 0.2], "ramp-end": 1}
# TAPS attacks once the ramp is over, so that these have none; STAPS shrinks intervals as for CIFAR-10 at 2/255.
OWN = {
    "taps": {"ramp-end": 0}, "staps": {"ramp-end": 0, "relu-shrink": 0.8},
    "geometric": {"eps": 0.0, "clean-weight": [1.0, 0.5]},
}  # fmt: skip
CELLS = {"transform": "rotate=-30..30", "cell-width": 0.5}


def settings_of(method):
    return peer.settings(SHARED | {"method": method, "milestones": []} | OWN.get(method, {}))


class Record:
    """Everything that the example wrote of a run."""

    def __init__(self, architecture, settings, steps, batch, crop):
        method = settings["method"]
        self.folder = WORK / f"{architecture}.{method}.{steps}"
        self.image, self.batch = (1, crop, crop), batch
        given = {
            "data": DATA, "architecture": architecture, "method": method, "steps": steps, "batch": batch, "crop": crop,
            "ramp": settings["ramp-end"], "threads": 1, "record": self.folder,
        }  # fmt: skip
        names = ["eps", "alpha", "tau", "sigma", "samples", "margin", "margin-weight", "taps-weight", "relu-shrink"]
        given |= {name: settings[name] for name in names}
        # Geometric training has ends of its own.
        given |= CELLS if method == "geometric" else {"clean": settings["clean-weight"][0]}
        command = [STEPS, *(f"{name}={value}" for name, value in given.items())]
        table = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
        names = table[0].split("\t")
        self.rows = [dict(zip(names, row.split("\t"))) for row in table[1:]]

    def array(self, step, name, dtype):
        values = torch.from_numpy(np.load(self.folder / f"{step:03}.{name}.npy"))
        return values if name == "labels" else values.to(dtype)

    def images(self, step, name, dtype, *shape):
        values = self.array(step, name, dtype)
        return values.view(*shape, -1, *self.image) if len(values) else None

    def latent(self, step, dtype, *names):
        """What TAPS attacked, by these names; float64 needs the points' slopes as they were found."""
        read = lambda name: self.array(step, f"latent-{name}", dtype)
        if not len(read("points")):
            return None
        pairs = {"ends": ["lower", "upper"], "slopes": ["lower-slopes", "upper-slopes"]}
        return {name: [read(part) for part in pairs[name]] if name in pairs else read(name) for name in names}

    def moment(self, step):
        row = self.rows[step]
        numbers = {name: float(row[name]) for name in ("eps", "beta", "clean", "regularizer")}
        return {"method": row["method"], **numbers}


def split(values, shapes):
    sizes = [int(np.prod(shape)) for shape in shapes]
    return [part.view(shape) for part, shape in zip(values.split(sizes), shapes, strict=True)]


def reference(record, architecture, settings, step, dtype):
    """PyTorch's network and trainer with the weights of a recorded step."""
    network = peer.Network(architecture, record.image, 10, [0.1307], [0.3081], dtype)
    network.load(split(record.array(step, "weights", dtype), network.shapes))
    return peer.Trainer(network, settings)


def at_step(record, architecture, settings, step, dtype):
    """The loss of the reference at a recorded step's points, and how far gradients are apart."""
    trainer = reference(record, architecture, settings, step, dtype)
    images, labels = record.images(step, "pixels", dtype), record.array(step, "labels", dtype)
    found = record.images(step, "points", dtype)
    centre, radius = (record.images(step, name, dtype) for name in ("centre", "radius"))
    region = None if centre is None else (centre, radius)
    double = dtype == torch.float64
    # In float32 by the connector of PyTorch's side.
    latent = record.latent(step, dtype, "points", *(["ends", "slopes"] if double else []))
    value, _, _ = trainer.gradients(images, labels, record.moment(step), found, region=region, latent=latent)
    expected = split(record.array(step, "doubles" if double else "gradients", dtype), trainer.network.shapes)
    # A layer's weights and bias share a scale: a bias before a batch normalization has a gradient of 0.
    gradients = [p.grad for p in trainer.network.parameters]
    scales = [max(float(g.abs().max()) for g in gradients[i : i + 2]) for i in range(0, len(gradients), 2)]
    differences = [
        float((a - b).abs().max()) / max(scales[i // 2], 1e-12) for i, (a, b) in enumerate(zip(expected, gradients))
    ]
    loss = float(record.rows[step]["double" if double else "loss"])
    return abs(loss - float(value)) / max(abs(float(value)), 1e-12), differences


def attacked(record, architecture, settings, step):
    """The share of pixels that the reference's own attack moves to where recert's did."""
    moment, dtype = record.moment(step), torch.float32
    latent = record.latent(step, dtype, "starts")
    if moment["method"] not in peer.ATTACKS or latent is None and record.images(step, "points", dtype) is None:
        return None
    trainer = reference(record, architecture, settings, step, dtype)
    images, labels = record.images(step, "pixels", dtype), record.array(step, "labels", dtype)
    if latent is not None:
        region = [record.images(step, name, dtype) for name in ("centre", "radius")]
        affines = trainer.network.batch(images)[1]
        state = peer.State(trainer.network, settings, moment, images, labels, affines, None, region, latent)
        peer.latent(state)
        given = record.array(step, "latent-points", dtype)
        return float(((state.latent["points"].flatten() - given).abs() <= 1e-6).float().mean())
    noise = record.images(step, "noise", torch.float32, settings["samples"])
    starts = record.images(step, "starts", torch.float32, 1)
    affines = trainer.network.batch(images)[1]
    found = peer.points(trainer.network, settings, moment, images, labels, affines, noise, starts)
    given = record.images(step, "points", torch.float32)
    return float(((found - given).abs() <= 1e-6).float().mean())


def trajectory(record, architecture, settings, given):
    """How far the losses of the reference's own steps are from recert's, at recert's points where `given`."""
    trainer = reference(record, architecture, settings, 0, torch.float32)
    losses = []
    for step in range(len(record.rows)):
        images, labels = record.images(step, "pixels", torch.float32), record.array(step, "labels", torch.float32)
        done = step / len(record.rows)
        if given:
            found = record.images(step, "points", torch.float32)
            region = [record.images(step, name, torch.float32) for name in ("centre", "radius")]
            region = None if region[0] is None else region
            latent = record.latent(step, torch.float32, "points")
            losses.append(trainer.step(images, labels, done, found, region=region, latent=latent))
            continue
        samples = settings["samples"] if settings["method"] == "smoothadv" else 1
        noise = record.images(step, "noise", torch.float32, samples)
        starts = record.images(step, "starts", torch.float32, 1)
        latent = record.latent(step, torch.float32, "starts")
        losses.append(trainer.step(images, labels, done, noise=noise, starts=starts, latent=latent))
    expected = [float(row["loss"]) for row in record.rows]
    return max(abs(a - b) / abs(b) for a, b in zip(losses, expected))


def commit():
    """The commit of the checkout, with `-dirty` where files differ from it."""
    command = ["git", "-C", Path(__file__).parent, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def main():
    torch.set_num_threads(1)
    begun_at = commit()
    RESULTS.mkdir(parents=True, exist_ok=True)
    with (RESULTS / "losses.tsv").open("w") as table:
        table.write("method\tsteps\tfirst\tlast\tloss\tloss_double\ttrajectory\tattacks\tpoints\n")
        for method in METHODS if COUNT else []:
            settings = settings_of(method)
            record = Record("cnn3", settings, COUNT, BATCH, 28)
            losses = [float(row["loss"]) for row in record.rows]
            single = max(at_step(record, "cnn3", settings, step, torch.float32)[0] for step in range(COUNT))
            double = max(at_step(record, "cnn3", settings, step, torch.float64)[0] for step in range(0, COUNT, 7))
            far = trajectory(record, "cnn3", settings, True)
            own = f"{trajectory(record, 'cnn3', settings, False):.1e}" if method in peer.ATTACKS else "-"
            shares = [attacked(record, "cnn3", settings, step) for step in range(0, COUNT, 7)]
            shares = [share for share in shares if share is not None]
            share = f"{min(shares):.6f}" if shares else "-"
            row = [method, COUNT, f"{losses[0]:.6f}", f"{losses[-1]:.6f}"]
            row += [f"{number:.1e}" for number in (single, double, far)] + [own, share]
            table.write("\t".join(map(str, row)) + "\n")
            table.flush()
            print(*row, flush=True)
    with (RESULTS / "gradients.tsv").open("w") as table:
        table.write("network\tmethod\tsteps\tsingle\tdouble\tworst\n")
        for architecture in NETWORKS:
            for method in METHODS:
                settings, steps = settings_of(method), GRADIENT_STEPS
                record = Record(architecture, settings, steps, GRADIENT_BATCH, CROPS[architecture])
                worst = {}
                for dtype in (torch.float32, torch.float64):
                    # The first step is of eps 0 and trains on clean images.
                    found = [at_step(record, architecture, settings, step, dtype)[1] for step in range(steps)]
                    worst[dtype] = np.max(found, axis=0)
                single, double = worst[torch.float32], worst[torch.float64]
                row = [architecture, method, steps, f"{single.max():.1e}", f"{double.max():.1e}", int(double.argmax())]
                table.write("\t".join(map(str, row)) + "\n")
                table.flush()
                print(*row, flush=True)
    found = {"torch": torch.__version__, "numpy": np.__version__, "commit": begun_at}
    found |= {"steps": COUNT, "batch": BATCH, "gradient_steps": GRADIENT_STEPS, "gradient_batch": GRADIENT_BATCH}
    (RESULTS / "losses.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
