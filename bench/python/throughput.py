#!/usr/bin/env python3
"""How many noisy samples a second a module of PyTorch answers: by `recert.certify`, with noise made
where the module is and on the host, beside the loop of Cohen, Rosenfeld and Kolter (2019).

All take the same module, batch, and number of samples of the same images, in turns, so that what else
runs on the machine meets all of them. A line of JSON a measurement is appended to --out. README.md
has the commands and what was measured.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import time

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--network", choices=["resnet20", "resnet50"], default="resnet20")
parser.add_argument("--device", default="cpu")
parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
parser.add_argument("--threads", type=int, help="processor threads, to which the process is bound")
parser.add_argument("--batch", type=int, default=256)
parser.add_argument("--n", type=int, default=4096, help="samples of an image")
parser.add_argument("--images", type=int, default=2)
parser.add_argument("--sigma", type=float, default=0.25)
parser.add_argument("--noise", choices=["gaussian", "integer"], default="gaussian")
parser.add_argument("--rounds", type=int, default=5)
parser.add_argument("--compile", action="store_true", help="the module goes through torch.compile")
parser.add_argument("--out", default="results/throughput.jsonl")
args = parser.parse_args()
if args.threads:
    # Before any library counts the processors.
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: args.threads])

import numpy as np  # noqa: E402
import torch  # noqa: E402
from torch import nn  # noqa: E402

import recert  # noqa: E402

if args.threads:
    torch.set_num_threads(args.threads)


class Block(nn.Module):
    """Two convolutions and a shortcut, as in He et al. (2016) for CIFAR-10, option A."""

    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        self.stride = outside // inside
        self.conv1 = nn.Conv2d(inside, outside, 3, self.stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outside)
        self.conv2 = nn.Conv2d(outside, outside, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outside)

    def forward(self, x):
        y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        if self.stride > 1:
            quarter = self.conv2.out_channels // 4
            x = nn.functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, quarter, quarter))
        return torch.relu(x + y)


def resnet20() -> nn.Module:
    widths = [16, 16, 16, 16, 32, 32, 32, 64, 64, 64]
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU(),
        *(Block(a, b) for a, b in zip(widths, widths[1:])),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10),
    )


torch.manual_seed(0)
if args.network == "resnet20":
    module, side = resnet20(), 32
else:
    import torchvision

    module, side = torchvision.models.resnet50(), 224
device, dtype = torch.device(args.device), getattr(torch, args.dtype)
module = module.eval().to(device, dtype)
if device.type == "cuda":
    module = module.to(memory_format=torch.channels_last)
# What is compiled is another module, which has the weights of the first.
network = torch.compile(module) if args.compile else module
rng = np.random.default_rng(0)
levels = rng.integers(0, 256, (args.images, 3, side, side))
images = levels.astype(np.float32) / np.float32(255)


def synchronize() -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def cohen() -> None:
    """`Smooth._sample_noise`, for each image."""
    with torch.no_grad():
        for image in images:
            x = torch.from_numpy(image).to(device, dtype)
            counts = np.zeros(1000, dtype=int)
            left = args.n
            while left > 0:
                this = min(args.batch, left)
                left -= this
                batch = x.repeat((this, 1, 1, 1))
                noise = torch.randn_like(batch, device=device) * args.sigma
                predictions = network(batch + noise).argmax(1)
                for answer in predictions.cpu().numpy():
                    counts[answer] += 1


def certify(noise_on: str, selection: int = 1) -> None:
    """All of a certification: noise, counting, the ledger, bounds."""
    recert.certify(
        network, images, sigma=args.sigma, n=args.n, n0=selection, batch=args.batch,
        noise=args.noise, noise_on=noise_on, progress=False,
    )


ways = {
    "cohen": cohen,
    "recert, noise on the device": lambda: certify("device"),
    "recert, noise on the host": lambda: certify("host"),
}
machine = {
    "network": args.network, "device": args.device, "dtype": args.dtype, "batch": args.batch,
    "n": args.n, "images": args.images, "sigma": args.sigma, "noise": args.noise,
    "threads": args.threads, "compiled": args.compile, "torch": torch.__version__,
    "recert": recert.__version__, "python": platform.python_version(),
    "processor": platform.machine(), "processors": os.cpu_count(),
    "gpu": torch.cuda.get_device_name(device) if device.type == "cuda" else None,
}
for cpu in open("/proc/cpuinfo") if os.path.exists("/proc/cpuinfo") else ():
    if cpu.startswith("model name"):
        machine["processor"] = cpu.split(":", 1)[1].strip()
        break
os.makedirs(os.path.dirname(args.out) or ".", exist_ok=True)


def measure(run) -> tuple[float, float]:
    synchronize()
    used = resource.getrusage(resource.RUSAGE_SELF)
    start, before = time.perf_counter(), used.ru_utime + used.ru_stime
    run()
    synchronize()
    used = resource.getrusage(resource.RUSAGE_SELF)
    return time.perf_counter() - start, used.ru_utime + used.ru_stime - before


n, args.n = args.n, 2 * args.batch
for run in ways.values():
    run()
args.n = n
found: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
for turn in range(args.rounds):
    # Each way comes first, second and last in turn.
    order = list(ways)[turn % len(ways) :] + list(ways)[: turn % len(ways)]
    for way in order:
        seconds, cpu_seconds = measure(ways[way])
        samples = args.images * args.n
        found[way].append((samples / seconds, samples / cpu_seconds))
        line = {
            **machine, "round": turn, "way": way, "samples": samples,
            "seconds": round(seconds, 4), "cpu_seconds": round(cpu_seconds, 4),
        }
        with open(args.out, "a") as out:
            out.write(json.dumps(line) + "\n")
base = [float(np.median(column)) for column in zip(*found["cohen"])]
for way, of_rounds in found.items():
    rate, cpu_rate = (float(np.median(column)) for column in zip(*of_rounds))
    print(
        f"{way:30} {rate:10.1f} samples/s ({rate / base[0]:.3f}), "
        f"{cpu_rate:10.1f} a CPU-second ({cpu_rate / base[1]:.3f})"
    )
