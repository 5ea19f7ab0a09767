"""Processor time of a step of geometric training in plain PyTorch: the loss of `recert train
--method geometric --pixels interval` (CGT, Yang et al., ICLR 2023) on its MNIST network, written
for speed on a processor: boxes as centre and radius, the grid of weights as dense matrices.

Usage: step.py FOLDER_OF_MNIST STEPS; prints milliseconds of processor time a step."""

import gzip
import math
import random
import sys
import time

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

BATCH, SIZE, WIDTH, KAPPA = 256, 28, 0.5, 0.5
MEAN, STD = 0.1307, 0.3081


def weights(low, high):
    """Lower and upper weights of every source pixel for every pixel, `[784, 784]`, over angles."""
    half = (SIZE - 1) / 2
    columns = torch.arange(SIZE, dtype=torch.float32) - half
    x = columns.repeat(SIZE)
    y = -columns.repeat_interleave(SIZE)
    low, high = math.radians(low), math.radians(high)
    sine = (math.sin(low), math.sin(high))
    cosine = (min(math.cos(low), math.cos(high)), max(math.cos(low), math.cos(high)))
    if low <= 0 <= high:
        cosine = (cosine[0], 1.0)

    def times(v, ends):
        a, b = v * ends[0], v * ends[1]
        return torch.minimum(a, b), torch.maximum(a, b)

    (a, b), (c, d) = times(x, cosine), times(y, sine)
    across = (a + c, b + d)
    (a, b), (c, d) = times(-x, sine), times(y, cosine)
    down = (-(b + d), -(a + c))

    def fall(ends):
        least, most = (end[:, None] - columns[None, :] for end in ends)
        near = torch.clamp(torch.maximum(least, -most), min=0)
        far = torch.maximum(least.abs(), most.abs())
        return torch.relu(1 - far), torch.relu(1 - near)

    return [
        torch.einsum("py,px->pyx", v, u).reshape(SIZE * SIZE, -1)
        for u, v in zip(fall(across), fall(down))
    ]


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 32, 4, stride=2, padding=1)
        self.conv2 = nn.Conv2d(32, 64, 4, stride=2, padding=1)
        self.fc1 = nn.Linear(3136, 200)
        self.fc2 = nn.Linear(200, 10)

    def forward(self, x):
        x = F.relu(self.conv1((x - MEAN) / STD))
        x = F.relu(self.conv2(x)).flatten(1)
        return self.fc2(F.relu(self.fc1(x)))

    def box(self, low, high):
        centre, radius = ((low + high) / 2 - MEAN) / STD, (high - low) / 2 / STD

        def relu(centre, radius):
            low, high = F.relu(centre - radius), F.relu(centre + radius)
            return (low + high) / 2, (high - low) / 2

        for layer in (self.conv1, self.conv2):
            radius = F.conv2d(radius, layer.weight.abs(), stride=2, padding=1)
            centre, radius = relu(layer(centre), radius)
        centre, radius = centre.flatten(1), radius.flatten(1)
        centre, radius = relu(self.fc1(centre), radius @ self.fc1.weight.abs().t())
        return self.fc2(centre), radius @ self.fc2.weight.abs().t()


def main():
    folder, steps = sys.argv[1], int(sys.argv[2])
    torch.set_num_threads(1)
    torch.manual_seed(0)
    random.seed(0)
    with gzip.open(f"{folder}/train-images-idx3-ubyte.gz") as file:
        pixels = np.frombuffer(file.read(), np.uint8, offset=16)[: 5120 * 784]
    with gzip.open(f"{folder}/train-labels-idx1-ubyte.gz") as file:
        labels = np.frombuffer(file.read(), np.uint8, offset=8)[:5120]
    images = torch.tensor(pixels.reshape(-1, 784) / np.float32(255))
    labels = torch.tensor(labels.astype(np.int64))
    net = Net()
    adam = torch.optim.Adam(net.parameters(), lr=5e-4)

    def step(number):
        batch = slice(number * BATCH % 5120, number * BATCH % 5120 + BATCH)
        x, y = images[batch], labels[batch]
        angle = random.uniform(-30, 30)
        start = min(max(angle - WIDTH / 2, -30), 30 - WIDTH)
        point, _ = weights(angle, angle)
        low, high = ((x @ w.t()).clamp(0, 1) for w in weights(start, start + WIDTH))
        shape = (-1, 1, SIZE, SIZE)
        logits = net((x @ point.t()).clamp(0, 1).reshape(shape))
        centre, radius = net.box(low.reshape(shape), high.reshape(shape))
        worst = centre + radius * (1 - 2 * F.one_hot(y, 10))
        loss = KAPPA * F.cross_entropy(logits, y) + (1 - KAPPA) * F.cross_entropy(worst, y)
        adam.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 8)
        adam.step()
        return loss.item()

    for number in range(3):
        step(number)
    begun = time.process_time()
    for number in range(steps):
        loss = step(number)
    print(f"{(time.process_time() - begun) / steps * 1e3:.1f}")
    print(f"loss {loss:.4f}", file=sys.stderr)


main()
