"""The peers: a certification loop in PyTorch, as in the code of Cohen et al. (2019),
and IBM ART's randomized smoothing, both on networks read from ONNX files.

    peers.py check NETWORK IMAGES.npy ..    # logits against ONNX Runtime's
    peers.py serve                          # a job a line on stdin, a result a line on stdout

`serve` imports PyTorch once and forks for every job, so that every measurement has a
process of its own, whose peak memory is its own, without the import's time. A job is
JSON: system, network, images, sigma, threads, inputs, n, n0, batch (0: choose by a
short measurement among BATCHES). Loading and warming up are not in the time.
"""

import json
import os
import resource
import sys
import time
from pathlib import Path

import numpy as np
import torch
from onnx_torch import Graph, check
from scipy.stats import norm
from statsmodels.stats.proportion import proportion_confint

ALPHA = 0.001
BATCHES = [16, 64, 256]
# More values than this are never in one batch: MobileNet's images are 49 times CIFAR-10's.
LARGEST = 64 * 3 * 224 * 224
TRY_SECONDS = 0.3


class Loop:
    """CERTIFY as its authors' code goes: repeat, add noise, argmax, count."""

    def __init__(self, network, sigma, layout, dtype):
        self.layout, self.dtype, self.sigma, self.inside = layout, dtype, sigma, 0.0
        self.network = Graph(network).eval().to(dtype=dtype)
        for name, weights in self.network.named_buffers():
            if weights.dim() == 4 and layout == torch.channels_last:
                setattr(self.network, name, weights.contiguous(memory_format=layout))

    @torch.inference_mode()
    def count(self, x, num, batch_size):
        counts = None
        while num > 0:
            this = min(batch_size, num)
            num -= this
            batch = x.repeat((this, 1, 1, 1))
            noisy = batch + torch.randn_like(batch) * self.sigma
            noisy = noisy.to(dtype=self.dtype, memory_format=self.layout)
            start = time.perf_counter()
            logits = self.network(noisy)
            self.inside += time.perf_counter() - start
            more = np.bincount(logits.argmax(1).numpy(), minlength=logits.shape[1])
            counts = more if counts is None else counts + more
        return counts

    def certify(self, image, n0, n, batch):
        x = torch.from_numpy(image)
        top = int(self.count(x, n0, batch).argmax())
        k = int(self.count(x, n, batch)[top])
        low = proportion_confint(k, n, alpha=2 * ALPHA, method="beta")[0]
        return (top, self.sigma * float(norm.ppf(low))) if low >= 0.5 else (-1, 0.0)


class Art:
    """IBM ART, asked as its documentation says; it computes in NCHW float32."""

    def __init__(self, network, sigma, n0, image):
        from art.estimators.certification.randomized_smoothing import PyTorchRandomizedSmoothing

        graph = Graph(network).eval()
        with torch.inference_mode():
            classes = graph(torch.from_numpy(image[None])).shape[1]
        self.smooth = PyTorchRandomizedSmoothing(
            model=graph, loss=torch.nn.CrossEntropyLoss(), input_shape=image.shape, nb_classes=classes,
            device_type="cpu", sample_size=n0, scale=sigma, alpha=ALPHA)

    def count(self, image, num, batch):
        self.smooth._prediction_counts(image, n=num, batch_size=batch)

    def certify(self, image, n0, n, batch):
        (top,), (radius,) = self.smooth.certify(image[None], n=n, batch_size=batch)
        return int(top), float(radius)


LOOPS = {
    "torch eager f32": (torch.contiguous_format, torch.float32),
    "torch channels-last f32": (torch.channels_last, torch.float32),
    "torch channels-last bf16": (torch.channels_last, torch.bfloat16),
}


def run(job):
    torch.set_num_threads(job["threads"])
    torch.manual_seed(0)
    np.random.seed(0)
    images, sigma = np.load(job["images"]), job["sigma"]
    if job["system"] == "art f32":
        system = Art(job["network"], sigma, job["n0"], images[0])
        as_image = lambda image: image
    else:
        system = Loop(job["network"], sigma, *LOOPS[job["system"]])
        as_image = torch.from_numpy
    rates = {}
    # A batch before the clock starts: what is prepared at the first call is not in the time.
    for batch in [job["batch"]] if job["batch"] else [b for b in BATCHES if b * images[0].size <= LARGEST]:
        system.count(as_image(images[0]), batch, batch)
        start, done = time.perf_counter(), 0
        while not job["batch"] and time.perf_counter() - start < TRY_SECONDS:
            system.count(as_image(images[0]), batch, batch)
            done += batch
        rates[batch] = done / (time.perf_counter() - start)
    if not job["batch"]:
        return {"rates": rates, "batch": max(rates, key=rates.get)}
    batch, answers = job["batch"], []
    system.inside = 0.0
    start = time.perf_counter()
    for i in range(job["inputs"]):
        answers.append(system.certify(images[i], job["n0"], job["n"], batch))
    seconds = time.perf_counter() - start
    evaluations = job["inputs"] * (job["n"] + job["n0"])
    result = {"evaluations": evaluations, "seconds": seconds, "rate": evaluations / seconds, "answers": answers,
              "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}
    if job["system"] in LOOPS:
        result["outside"] = 1 - system.inside / seconds
    return result


def randn(job):
    """Millions of normals a second: `torch.randn_like(batch) * sigma + batch` on CIFAR-10's shape."""
    torch.set_num_threads(job["threads"])
    batch = torch.zeros(job["batch"], 3, 32, 32)
    batch + torch.randn_like(batch) * 0.5
    start, done = time.perf_counter(), 0
    while (took := time.perf_counter() - start) < 0.5:
        batch + torch.randn_like(batch) * 0.5
        done += batch.numel()
    return {"rate": done / took}


def serve():
    for line in sys.stdin:
        job = json.loads(line)
        # Nothing has computed here yet, so there are no threads that a fork would lose.
        if (child := os.fork()) == 0:
            try:
                out = (randn if job["system"] == "randn" else run)(job)
                print(json.dumps(out), flush=True)
                os._exit(0)
            except BaseException as why:
                print(json.dumps({"error": repr(why)}), flush=True)
                os._exit(1)
        os.waitpid(child, 0)


def main():
    match sys.argv[1:]:
        case ["serve"]:
            serve()
        case ["check", *pairs]:
            for network, file in zip(pairs[::2], pairs[1::2]):
                images = np.load(file)[:4]
                noisy = images + 0.5 * np.random.default_rng(0).standard_normal(images.shape)
                error = check(network, noisy.astype(np.float32))
                print(f"{Path(network).name}: logits differ from ONNX Runtime's by {error:.1e} of the largest", file=sys.stderr)
                if not error < 1e-4:
                    sys.exit(f"{network}: PyTorch does not compute the same network")
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
