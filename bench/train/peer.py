"""Certified training in PyTorch: the peer that bench/train compares recert with.

Networks, bounds, losses, attack and schedule are written here from the papers that docs/training.md names
and from nothing of recert's, in the idiom of plain PyTorch. It reads recert's files of settings:

    peer.py SETTINGS.toml [name=value ..] --out NET.onnx

trains by them and writes the network, with its normalisation inside, so that `recert verify` takes it. Random
numbers are PyTorch's own; whoever wants recert's hands them in (losses.py). Methods are the functions in
ROBUST, by name: another is a function there.
"""

import argparse
import gzip
import json
import math
import time
import tomllib
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

NARROW = 1e-6
TOLERANCE = 0.5
MOMENTUM = 0.1
# As float32 has it, which files are in.
EPSILON = float(np.float32(1e-5))

CONVOLUTIONS = {
    # Output channels, extent and stride of the kernel; padding is 1 everywhere.
    "cnn3": ([(16, 4, 2), (32, 4, 2)], [100]),
    "cnn5": ([(32, 3, 1), (32, 3, 2), (64, 3, 1), (64, 3, 2)], [512]),
    "cnn7": ([(64, 3, 1), (64, 3, 1), (128, 3, 2), (128, 3, 1), (128, 3, 1)], [512]),
    "cgt-mnist": ([(32, 4, 2), (64, 4, 2)], [200]),
}

DEFAULTS = {
    "architecture": "cnn3", "mean": [0.0], "std": [1.0], "method": "standard", "eps": 0.0, "sigma": 0.25,
    "samples": 1, "tau": 1.0, "alpha": 0.5, "attack-steps": 8, "attack-step": 0.25, "attack-restarts": 1,
    "attack-radius": 1.0, "epochs": 70, "ramp-start": 0, "ramp-end": 20, "learning-rate": 5e-4,
    "milestones": [50, 60], "decay": 0.2, "clean-weight": [0.0, 0.0], "batch": 256, "clip": 10.0, "l1": 0.0,
    "flip": False, "shift": 0, "validation": 0, "seed": 0, "margin": 1.0, "margin-weight": 1.0, "attacked-relus": 1,
    "taps-weight": 5.0, "connector": 0.5, "relu-shrink": 1.0,
}  # fmt: skip

UNBOUNDED = ["standard", "gaussian", "gaussian-hinge", "pgd", "smoothadv"]
# Methods of which nothing grows over the ramp, and those that have noise.
CONSTANT = ["standard", "gaussian", "gaussian-hinge"]
NOISY = ["gaussian", "gaussian-hinge", "gaussian-ibp", "smoothadv"]


def settings(given):
    """recert's settings with their defaults; a name that is none of them is an error."""
    extra = {"validation-eps", "average-from", "initialization", "regularizer", "data", "test", "limit"}
    unknown = set(given) - set(DEFAULTS) - extra
    if unknown:
        raise SystemExit(f"settings that the peer does not know: {', '.join(sorted(unknown))}")
    bounds = given.get("method", "standard") not in UNBOUNDED
    own = {"initialization": "interval" if bounds else "he", "regularizer": 0.5 if bounds else 0.0}
    if given.get("method") == "geometric":
        own["clean-weight"] = [1.0, 0.5]
    made = DEFAULTS | own | given
    return {"validation-eps": made["eps"], "average-from": None, "data": None, "test": None, "limit": None} | made


class Network:
    """Layers one after the other with their weights, as lists; pixels in [0, 1] go in."""

    def __init__(self, architecture, image, classes, mean, std, dtype=torch.float32):
        self.image, self.classes, self.dtype = tuple(image), classes, dtype
        spread = lambda numbers: (list(numbers) * image[0])[: image[0]]
        # The file has float32, and so has whoever computes in float64 from it.
        self.mean, self.std = (
            torch.tensor(spread(numbers), dtype=torch.float32).to(dtype).view(1, -1, 1, 1) for numbers in (mean, std)
        )
        self.layers, self.shapes, self.statistics = [], [], []
        batch_norm = architecture.endswith("-bn")
        if architecture.startswith("fc-"):
            convolutions, widths = [], [int(width) for width in architecture[3:].split("-")]
        else:
            convolutions, widths = CONVOLUTIONS[architecture.removesuffix("-bn")]
        channels, height, width = image
        for outputs, kernel, stride in convolutions:
            self._add("conv", (outputs, channels, kernel, kernel), stride)
            channels = outputs
            height, width = ((extent + 2 - kernel) // stride + 1 for extent in (height, width))
            self._neurons(batch_norm, channels)
        inputs = channels * height * width
        self.layers.append(("flatten", None))
        for outputs in widths:
            self._add("linear", (outputs, inputs))
            inputs = outputs
            self._neurons(batch_norm, outputs)
        self._add("linear", (classes, inputs))
        self.parameters = [torch.zeros(shape, dtype=dtype) for shape in self.shapes]

    def _add(self, kind, shape, stride=None):
        self.layers.append((kind, stride))
        self.shapes += [shape, shape[:1]]

    def _neurons(self, batch_norm, channels):
        if batch_norm:
            self._add("norm", (channels,))
            self.statistics.append([torch.zeros(channels, dtype=self.dtype), torch.ones(channels, dtype=self.dtype)])
        self.layers.append(("relu", None))

    def initialize(self, how, seed):
        """Normal weights, of variance 2 pi / fan_in^2 in all but the last layer (Shi et al.), or 2 / fan_in (He)."""
        generator = torch.Generator().manual_seed(seed)
        last = len(self.shapes) - 2
        for position, shape in enumerate(self.shapes[::2]):
            if len(shape) == 1:
                self.parameters[2 * position] = torch.ones(shape, dtype=self.dtype)
                continue
            fan_in = math.prod(shape[1:])
            variance = 2 * math.pi / fan_in**2 if how == "interval" and 2 * position < last else 2 / fan_in
            drawn = torch.randn(shape, generator=generator, dtype=self.dtype)
            self.parameters[2 * position] = drawn * math.sqrt(variance)
        return self.load(self.parameters)

    def load(self, values):
        """Takes weights layer after layer, each followed by its bias, in any shape of as many elements."""
        read = lambda value, shape: torch.as_tensor(value).to(self.dtype).reshape(shape).detach().clone()
        self.parameters = [read(v, s).requires_grad_() for v, s in zip(values, self.shapes, strict=True)]
        return self

    def normalized(self, images):
        return (images - self.mean) / self.std

    def averaged(self):
        """Factors and terms of all batch normalizations by the averaged statistics."""
        pairs = zip(self._norms(), self.statistics)
        return [affine(scale, shift, *statistics) for (scale, shift), statistics in pairs]

    def _norms(self):
        weighted = [kind for kind, _ in self.layers if kind in ("conv", "linear", "norm")]
        return [
            (self.parameters[2 * i], self.parameters[2 * i + 1]) for i, kind in enumerate(weighted) if kind == "norm"
        ]

    def loaded(self, affines):
        """The layers, each with its weights, or a batch normalization's factors and terms."""
        parameters, affines = iter(self.parameters), iter(affines)
        for kind, stride in self.layers:
            pair = (next(parameters), next(parameters)) if kind in ("conv", "linear", "norm") else None
            yield kind, stride, next(affines) if kind == "norm" else pair

    def batch(self, images):
        """Logits of a batch normalized by its own statistics, the factors and terms, and the statistics."""
        x, affines, statistics = self.normalized(images), [], []
        parameters = iter(self.parameters)
        for kind, stride in self.layers:
            pair = (next(parameters), next(parameters)) if kind in ("conv", "linear", "norm") else None
            if kind == "norm":
                axes = [0, 2, 3] if x.dim() == 4 else [0]
                variance, mean = torch.var_mean(x, axes, correction=0)
                count = x.numel() / x.shape[1]
                statistics.append([mean.detach(), variance.detach() * count / max(count - 1, 1)])
                pair = affine(*pair, mean, variance)
                affines.append(pair)
            x = applied(kind, stride, pair, x)
        return x, affines, statistics

    def logits(self, images, affines=()):
        x = self.normalized(images)
        for kind, stride, pair in self.loaded(affines):
            x = applied(kind, stride, pair, x)
        return x


def affine(scale, shift, mean, variance):
    factor = scale / (variance + EPSILON).sqrt()
    return factor, shift - mean * factor


def channels(values, like):
    return values.view(1, -1, 1, 1) if like.dim() == 4 else values


def applied(kind, stride, pair, x):
    match kind:
        case "conv":
            return F.conv2d(x, *pair, stride=stride, padding=1)
        case "linear":
            return F.linear(x, *pair)
        case "norm":
            return x * channels(pair[0], x) + channels(pair[1], x)
        case "relu":
            return F.relu(x)
        case "flatten":
            return x.flatten(1)


def rectified(centre, radius, shrink=1.0):
    """What ReLUs make of intervals; upper ends of unstable ones times `shrink` (Mueller et al., 2023)."""
    low, high = centre - radius, centre + radius
    if shrink != 1.0:
        high = torch.where((low < 0) & (high > 0), shrink * high, high)
    low, high = F.relu(low), F.relu(high)
    return (high + low) / 2, (high - low) / 2


def intervals(network, affines, centre, radius, shrink=1.0):
    """IBP (Gowal et al.): centres and radii of the input, before each ReLU, and before the last layer."""
    centre, radius = network.normalized(centre), radius / network.std
    given, neurons = (centre, radius), []
    for kind, stride, pair in list(network.loaded(affines))[:-1]:
        match kind:
            case "conv":
                radius = F.conv2d(radius, pair[0].abs(), stride=stride, padding=1)
            case "linear":
                radius = F.linear(radius, pair[0].abs())
            case "norm":
                radius = radius * channels(pair[0].abs(), radius)
            case "flatten":
                radius = radius.flatten(1)
            case "relu":
                neurons.append((centre, radius))
                centre, radius = rectified(centre, radius, shrink)
                continue
        centre = applied(kind, stride, pair, centre)
    return given, neurons, (centre, radius)


def margin_rows(labels, classes, dtype):
    """[n, classes - 1, classes]: the label less every other class."""
    hot = torch.eye(classes, dtype=dtype)
    others = torch.stack([torch.cat([hot[:y], hot[y + 1 :]]) for y in range(classes)])
    return (hot[:, None] - others)[labels]


def lowest(rows, constants, centre, radius):
    centre, radius = centre.flatten(1)[..., None], radius.flatten(1)[..., None]
    return (rows @ centre - rows.abs() @ radius)[..., 0] + constants


def ibp_margins(network, found, rows):
    weights, bias = network.parameters[-2:]
    return lowest(rows @ weights, rows @ bias, *found[2])


def lines(centre, radius):
    """Slopes below and above a ReLU on its interval, and the offset of the line above."""
    lower, upper = centre - radius, centre + radius
    unstable = (lower < 0) & (upper > 0)
    narrow = unstable & (2 * radius <= NARROW)
    plain = unstable & ~narrow
    below = (upper > -lower).to(centre.dtype)
    chord = torch.where(plain, upper, narrow.to(centre.dtype)) / torch.where(plain, 2 * radius, 1.0)
    return below, torch.where(unstable, chord, below), chord * -lower


def crown_margins(network, affines, found, rows):
    """CROWN from the margins to the input, with the neurons' bounds by intervals (Zhang et al., 2020)."""
    weights, bias = network.parameters[-2:]
    a, constants = rows @ weights, rows @ bias
    n, m = a.shape[:2]
    neurons = list(found[1])
    for kind, stride, pair in list(network.loaded(affines))[-2::-1]:
        match kind:
            case "linear":
                constants = constants + a @ pair[1]
                a = a @ pair[0]
            case "flatten":
                a = a.view(n, m, *neurons[-1][0].shape[1:]) if neurons and neurons[-1][0].dim() == 4 else a
                a = a if a.dim() == 5 else a.view(n, m, *network.image)
            case "relu":
                centre, radius = neurons.pop()
                below, above, offset = (line.unsqueeze(1) for line in lines(centre, radius))
                negative = a.clamp(max=0)
                constants = constants - (negative.flatten(2) @ offset.flatten(2).transpose(1, 2))[..., 0] * -1
                a = a.clamp(min=0) * below + negative * above
            case "norm":
                factor, term = pair
                shape = (1, 1, -1, 1, 1) if a.dim() == 5 else (1, 1, -1)
                sums = a.sum((3, 4)) if a.dim() == 5 else a
                constants = constants + sums @ term
                a = a * factor.view(shape)
            case "conv":
                constants = constants + a.sum((3, 4)) @ pair[1]
                into = neurons[-1][0].shape[1:] if neurons else network.image
                flat, kernel = a.flatten(0, 1), pair[0].shape[-1]
                room = [(size + 2 - kernel) % stride for size in into[1:]]
                a = F.conv_transpose2d(flat, pair[0], stride=stride, padding=1, output_padding=room)
                a = a.view(n, m, *into)
    return lowest(a.flatten(2), constants, *found[0])


def regularizer(found):
    """Shi et al. (2021): radii that grow from layer to layer, and layers whose neurons are on one side."""
    (_, radius), neurons, _ = found
    short = lambda x: F.relu(TOLERANCE - x)
    total = radius.mean() * 0
    for centre, spread in neurons:
        total = total + short(radius.mean() / (spread.mean() + 1e-12))
        active, inactive = (centre - spread > 0).to(centre.dtype), (centre + spread < 0).to(centre.dtype)
        squares = (centre - centre.mean()) ** 2
        pairs = [
            ((centre * active).sum(), -(centre * inactive).sum()),
            ((squares * active).sum(), (squares * inactive).sum()),
        ]
        if all(a > 0 and b > 0 for a, b in pairs):
            for a, b in pairs:
                total = total + short(torch.where(a > b, b / a, a / b))
    return total / (len(neurons) * TOLERANCE)


def margin_loss(margins):
    logits = F.pad(-margins, (1, 0))
    return F.cross_entropy(logits, torch.zeros(len(logits), dtype=torch.long))


def box(pixels, points, eps, share):
    """Centre and radius of this share of the box within eps of the pixels and in [0, 1], around points that are moved
    so that it lies within that box, as SABR's authors cut it."""
    lower, upper = (pixels - eps).clamp(0, 1), (pixels + eps).clamp(0, 1)
    radius = (upper - lower) / 2 * share
    return torch.max(torch.min(points, upper - radius), lower + radius), radius


def on_points(state):
    labels = state.labels
    logits = state.network.logits(state.points, state.affines)
    return F.cross_entropy(logits, labels.repeat_interleave(len(logits) // len(labels)))


def on_margins(state):
    return margin_loss(state.margins())


def exponential(state):
    alpha = state.settings["alpha"]
    bounded, adversarial = (torch.log(loss + 1e-12) for loss in (on_margins(state), on_points(state)))
    return torch.exp(alpha * bounded + (1 - alpha) * adversarial)


def convex(state):
    alpha = state.settings["alpha"]
    bounded = state.margins()
    logits = state.network.logits(state.points, state.affines)
    reached = (state.rows @ logits[..., None])[..., 0]
    return margin_loss(alpha * bounded + (1 - alpha) * reached)


def multiple(state):
    alpha = state.settings["alpha"]
    return alpha * on_margins(state) + (1 - alpha) * on_points(state)


def hinged(state):
    """With the hinge of Weston and Watkins (1999), from the noisy logits."""
    logits, labels = state.network.logits(state.points, state.affines), state.labels
    other = torch.ones_like(logits).scatter(1, labels[:, None], 0.0)
    missing = state.settings["margin"] - (logits.gather(1, labels[:, None]) - logits)
    hinge = (F.relu(missing) * other).sum(1).mean()
    return F.cross_entropy(logits, labels) + state.settings["margin-weight"] * hinge


def worst(state):
    """CGT (Yang et al., 2023): the label's logit at its lower end, all others at their upper ones."""
    network, labels = state.network, state.labels
    state.found = intervals(network, state.affines, *state.region)
    centre, radius = state.found[2]
    weights, bias = network.parameters[-2:]
    centre, radius = F.linear(centre, weights, bias), F.linear(radius, weights.abs())
    sign = 1 - 2 * F.one_hot(labels, network.classes)
    return F.cross_entropy(centre + sign * radius, labels)


class Connector(torch.autograd.Function):
    """TAPS's rectified linear connector: points as they are, whose gradient goes to the ends of the box that they
    are near."""

    NARROW = 1e-5

    @staticmethod
    def forward(ctx, low, high, points, share):
        ctx.save_for_backward(low.unsqueeze(1), high.unsqueeze(1), points)
        ctx.share = share
        return points.clone()

    @staticmethod
    def backward(ctx, gradient):
        low, high, points = ctx.saved_tensors
        span = ctx.share * (high - low)

        def slope(inside):
            found = inside.clamp(min=Connector.NARROW / 2) / span.clamp(min=Connector.NARROW)
            return torch.where(inside >= 0, found, 0.0)

        to_low = (gradient * slope(low + span - points)).sum(1)
        to_high = (gradient * slope(points - (high - span))).sum(1)
        return to_low, to_high, None, None


class Weighted(torch.autograd.Function):
    """A loss as it is; its gradient times a weight."""

    @staticmethod
    def forward(ctx, loss, weight):
        ctx.weight = weight
        return loss.clone()

    @staticmethod
    def backward(ctx, gradient):
        return ctx.weight * gradient, None


def search(settings, low, high, margins, measured, shares=None):
    """The points of boxes, so many a box, of the least margins that steps of the gradient's sign meet, as TAPS's
    authors search: `[n, margins, ..]`. `shares` are the starts, in shares of the box's width."""
    low, high = (end.detach().unsqueeze(1).expand(-1, margins, *end.shape[1:]) for end in (low, high))
    steps, restarts = settings["attack-steps"], max(settings["attack-restarts"], 1)
    parts = [] if steps < 10 else [0.7] if steps <= 50 else [0.4, 0.7] if steps <= 80 else [0.3, 0.6, 0.8]
    shorter = [int(steps * part) for part in parts]
    if shares is None:
        shares = torch.rand(restarts, *low.shape, dtype=low.dtype)
    best, least = low, torch.full(low.shape[:2], torch.inf, dtype=low.dtype)
    for start in shares.view(restarts, *low.shape):
        points, length = low + (high - low) * start, max(0.2, 2 / steps)
        for step in range(steps + 1):
            points = points.detach().requires_grad_()
            reached = measured(points)
            less = reached.detach() < least
            best = torch.where(less.view(*less.shape, *[1] * (low.dim() - 2)), points.detach(), best)
            least = torch.where(less, reached.detach(), least)
            if step < steps:
                (slope,) = torch.autograd.grad(reached.sum(), points)
                points = points.detach() - length * slope.sign() * (high - low)
                points = torch.minimum(torch.maximum(points, low), high)
            if step + 1 in shorter:
                length *= 0.2
    return best


def behind(network, affines, relus):
    """The layers behind the ReLUs that so many layers of ReLUs come after."""
    layers, passed = list(network.loaded(affines)), 0
    total = sum(kind == "relu" for kind, _, _ in layers)
    for position, (kind, _, _) in enumerate(layers):
        passed += kind == "relu"
        if passed == total - relus:
            return layers[position + 1 :]
    raise SystemExit(f"the network has no {relus} layers of ReLUs behind one that is bounded")


def latent(state):
    """TAPS and STAPS (Mao et al., 2023): bounds up to a layer, times an attack on each margin within the box there."""
    settings, margins = state.settings, state.margins()
    relus, shrink = settings["attacked-relus"], settings["relu-shrink"]
    centre, radius = rectified(*state.found[1][-1 - relus], shrink)
    low, high = centre - radius, centre + radius
    count = margins.shape[1]

    def measured(points, affines):
        x = points.flatten(0, 1)
        for kind, stride, pair in behind(state.network, affines, relus):
            x = applied(kind, stride, pair, x)
        return (x.view(len(points), count, -1) * state.rows).sum(2)

    given = state.latent or {}
    if "points" not in given:
        constants = [(factor.detach(), term.detach()) for factor, term in state.affines]
        with Constant(state.network):
            found = search(settings, low, high, count, lambda p: measured(p, constants), given.get("starts"))
        state.latent = given | {"points": found}
    points = state.latent["points"].view(len(low), count, *low.shape[1:])
    if "slopes" in given:
        # Points, and how they move with the box, as they were found in float32: for a comparison in float64.
        for end, start, slope in zip((low, high), given["ends"], given["slopes"]):
            points = points + slope.view(points.shape) * (end - start.view(end.shape)).unsqueeze(1)
    else:
        points = Connector.apply(low, high, points, settings["connector"])
    attacked = margin_loss(measured(points, state.affines))
    return Weighted.apply(attacked, settings["taps-weight"]) * margin_loss(margins)


ROBUST = {
    "gaussian": on_points, "pgd": on_points, "smoothadv": on_points, "ibp": on_margins, "crown-ibp": on_margins,
    "sabr": on_margins, "mtl-ibp": multiple, "cc-ibp": convex, "exp-ibp": exponential, "taps": latent,
    "staps": latent, "geometric": worst, "gaussian-hinge": hinged, "gaussian-ibp": multiple,
}  # fmt: skip
ATTACKS = ["pgd", "smoothadv", "sabr", "mtl-ibp", "cc-ibp", "exp-ibp", "taps", "staps"]
# Those whose attacks are on pixels.
PIXELS = [method for method in ATTACKS if method != "taps"]


class State:
    """What a loss is of: the network, the batch, the moment of the schedule, points and box."""

    def __init__(self, network, settings, moment, images, labels, affines, points=None, region=None, latent=None):
        self.network, self.settings, self.moment = network, settings, moment
        self.images, self.labels, self.affines, self.points = images, labels, affines, points
        self.region, self.latent, self.found = region, latent, None

    def margins(self):
        moment, network = self.moment, self.network
        method, eps = self.settings["method"], moment["eps"]
        small = method in ("sabr", "staps")
        share = self.settings["tau"] if small else 1.0
        if self.region is None and method == "gaussian-ibp":
            # Around the noisy image, and not cut to [0, 1].
            self.region = self.points, torch.full_like(self.points, eps)
        region = self.region or box(self.images, self.points if small else self.images, eps, share)
        shrink = self.settings["relu-shrink"] if method in ("sabr", "taps", "staps") else 1.0
        self.rows = margin_rows(self.labels, network.classes, network.dtype)
        self.found = intervals(network, self.affines, *region, shrink)
        margins = ibp_margins(network, self.found, self.rows)
        if method == "crown-ibp" and moment["beta"] > 0:
            crown = crown_margins(network, self.affines, self.found, self.rows)
            margins = moment["beta"] * crown + (1 - moment["beta"]) * margins
        return margins


def loss(network, settings, moment, images, labels, points=None, clean=None, region=None, latent=None):
    """A step's loss; `clean` is what `network.batch` gave of the images where it was computed, `region` a box to
    bound in place of that around images or points, and `latent` what TAPS attacks, as far as it is given."""
    logits, affines = (clean[0], clean[1]) if clean else (None, network.averaged())
    method = moment["method"]
    if method == "standard":
        return F.cross_entropy(logits, labels)
    state = State(network, settings, moment, images, labels, affines, points, region, latent)
    total = ROBUST[method](state)
    if moment["clean"] > 0:
        total = (1 - moment["clean"]) * total + moment["clean"] * F.cross_entropy(logits, labels)
    if state.found and moment["regularizer"] > 0:
        total = total + moment["regularizer"] * regularizer(state.found)
    return total


def attack(images, radius, settings, losses, starts=None, euclidean=False):
    """Projected gradient descent (Madry et al.) around images: those of the largest loss that its searches reach."""
    if settings["attack-steps"] == 0 or radius <= 0:
        return images
    norm = lambda x: x.flatten(1).norm(dim=1).clamp(min=1e-12).view(-1, 1, 1, 1)

    def project(points):
        offset = points - images
        offset = offset * (radius / norm(offset)).clamp(max=1) if euclidean else offset.clamp(-radius, radius)
        return (images + offset).clamp(0, 1)

    best = most = None
    length, restarts = settings["attack-step"] * radius, max(settings["attack-restarts"], 1)
    for restart in range(restarts):
        if starts is not None:
            points = starts[restart]
        else:
            offset = torch.rand_like(images) * 2 - 1
            share = torch.rand(len(images), 1, 1, 1, dtype=images.dtype)
            points = project(images + (offset / norm(offset) * share * radius if euclidean else offset * radius))
        for _ in range(settings["attack-steps"]):
            points = points.detach().requires_grad_()
            (slope,) = torch.autograd.grad(losses(points).sum(), points)
            step = slope / norm(slope) if euclidean else slope.sign()
            points = project(points.detach() + length * step)
        if restarts == 1:
            return points
        with torch.no_grad():
            reached = losses(points)
        if best is None:
            best, most = points, reached
        else:
            worse = reached > most
            best, most = torch.where(worse.view(-1, 1, 1, 1), points, best), torch.where(worse, reached, most)
    return best


class Constant:
    """The network with constant weights while an attack looks for points."""

    def __init__(self, network):
        self.network = network

    def __enter__(self):
        for parameter in self.network.parameters:
            parameter.requires_grad_(False)

    def __exit__(self, *_):
        for parameter in self.network.parameters:
            parameter.requires_grad_(True)


def points(network, settings, moment, images, labels, affines, noise=None, starts=None):
    """Noisy or adversarial images of a batch; `noise` is [samples, n, ..], normal."""
    method = moment["method"]
    affines = [(factor.detach(), term.detach()) for factor, term in affines]
    if method in NOISY:
        samples = settings["samples"] if method == "smoothadv" else 1
        noise = torch.randn(samples, *images.shape, dtype=images.dtype) if noise is None else noise
        noise = settings["sigma"] * noise.transpose(0, 1).flatten(0, 1)
    if method in NOISY and method != "smoothadv":
        return images + noise
    if method not in PIXELS:
        return None
    radius = moment["eps"] * settings["attack-radius"]

    def plain(points):
        return F.cross_entropy(network.logits(points, affines), labels, reduction="none")

    def smoothed(points):
        logits = network.logits(points.repeat_interleave(samples, 0) + noise, affines)
        chosen = F.softmax(logits, 1).gather(1, labels.repeat_interleave(samples)[:, None])
        return -torch.log(chosen.view(-1, samples).sum(1) + 1e-30)

    with Constant(network):
        if method == "smoothadv":
            found = attack(images, radius, settings, smoothed, starts, euclidean=True)
            return found.repeat_interleave(samples, 0) + noise
        return attack(images, radius, settings, plain, starts)


def moment(settings, done):
    """eps and the weights of the loss after `done` epochs: the smooth ramp of Xu et al. (2020)."""
    method, start, end = settings["method"], settings["ramp-start"], settings["ramp-end"]
    bounds = method not in UNBOUNDED
    if method in CONSTANT or done >= end:
        share = 1.0
    else:
        t, middle = max((done - start) / (end - start), 0.0), 0.25
        a = 1 / (4 * middle**3 - 3 * middle**4)
        share = a * t**4 if t <= middle else a * middle**4 + 4 * a * middle**3 * (t - middle)
    eps = settings["eps"] * share
    first, last = settings["clean-weight"]
    # A box of radius 0 is a point; TAPS attacks once the ramp is over.
    if share == 0 and method != "smoothadv":
        now = "gaussian" if method == "gaussian-ibp" else "standard"
    else:
        now = {"taps": "ibp", "staps": "sabr"}.get(method, method) if done < end else method
    return {
        "method": now, "eps": eps, "beta": 1 - share,
        "clean": first + (last - first) * share if bounds else 0.0,
        "regularizer": settings["regularizer"] * (1 - share) if bounds and done < end else 0.0,
    }  # fmt: skip


class Trainer:
    """Weights and Adam's state; a step is `step(images, labels, done)`."""

    def __init__(self, network, settings, compiled=False):
        self.network, self.settings = network, settings
        self.adam = torch.optim.Adam(network.parameters, lr=settings["learning-rate"], fused=True)
        self.loss = torch.compile(loss) if compiled else loss

    def gradients(self, images, labels, now, found=None, noise=None, starts=None, region=None, latent=None):
        """The loss, with its gradients in the parameters, and the points it was taken at."""
        network, settings = self.network, self.settings
        clean, statistics = None, []
        if network.statistics or now["method"] == "standard" or now["clean"] > 0:
            clean = network.batch(images)
            statistics = clean[2]
        affines = clean[1] if clean else []
        if found is None and region is None:
            found = points(network, settings, now, images, labels, affines, noise, starts)
        value = self.loss(network, settings, now, images, labels, found, clean, region, latent)
        if settings["l1"] > 0:
            magnitude = sum(w.abs().sum() for w in network.parameters if w.dim() > 1)
            (value + settings["l1"] * magnitude).backward()
        else:
            value.backward()
        return value.detach(), found, statistics

    def step(self, images, labels, done, found=None, noise=None, starts=None, region=None, latent=None):
        now = moment(self.settings, done)
        self.adam.zero_grad(set_to_none=True)
        value, _, statistics = self.gradients(images, labels, now, found, noise, starts, region, latent)
        torch.nn.utils.clip_grad_norm_(self.network.parameters, self.settings["clip"])
        passed = sum(int(done) >= milestone for milestone in self.settings["milestones"])
        for group in self.adam.param_groups:
            group["lr"] = self.settings["learning-rate"] * self.settings["decay"] ** passed
        self.adam.step()
        for averaged, batch in zip(self.network.statistics, statistics):
            for old, new in zip(averaged, batch):
                old += MOMENTUM * (new - old)
        return float(value)


def varied(images, settings):
    if settings["flip"]:
        flipped = torch.rand(len(images)) < 0.5
        images = torch.where(flipped.view(-1, 1, 1, 1), images.flip(3), images)
    if settings["shift"]:
        span, (_, _, height, width) = settings["shift"], images.shape
        padded = F.pad(images, [span] * 4)
        corners = torch.randint(0, 2 * span + 1, (len(images), 2)).tolist()
        cut = [x[:, i : i + height, j : j + width] for x, (i, j) in zip(padded, corners)]
        images = torch.stack(cut)
    return images


def evaluated(network, settings, images, labels, eps):
    """Clean, adversarial and bounded shares, the last by the better of IBP and CROWN-IBP: no proofs."""
    counts = [0, 0, 0]
    affines = [(factor.detach(), term.detach()) for factor, term in network.averaged()]
    for x, y in zip(images.split(128), labels.split(128)):
        with torch.no_grad():
            right = network.logits(x, affines).argmax(1) == y
            rows = margin_rows(y, network.classes, network.dtype)
            found = intervals(network, affines, *box(x, x, eps, 1.0))
            ibp = ibp_margins(network, found, rows)
            crown = crown_margins(network, affines, found, rows)
            bounded = (torch.maximum(ibp, crown) > 0).all(1)
        with Constant(network):
            losses = lambda p: F.cross_entropy(network.logits(p, affines), y, reduction="none")
            reached = attack(x, eps, settings, losses)
            with torch.no_grad():
                robust = right & (network.logits(reached, affines).argmax(1) == y)
        for i, which in enumerate([right, robust, bounded]):
            counts[i] += int(which.sum())
    return dict(zip(["clean", "adversarial", "certified"], (count / len(images) for count in counts)))


def train(settings, images, labels, report=print, compiled=False):
    """Trains by settings on images [n, channels, height, width] in [0, 1]; returns the network to keep."""
    torch.manual_seed(settings["seed"])
    classes = int(labels.max()) + 1
    network = Network(settings["architecture"], images.shape[1:], classes, settings["mean"], settings["std"])
    network.initialize(settings["initialization"], settings["seed"])
    trainer = Trainer(network, settings, compiled)
    order = torch.randperm(len(images))
    kept, trained = order[: settings["validation"]], order[settings["validation"] :]
    average, averages, best = None, 0, None
    for epoch in range(settings["epochs"]):
        begun, total = time.perf_counter(), 0.0
        batches = trained[torch.randperm(len(trained))].split(settings["batch"])
        for step, batch in enumerate(batches):
            x = varied(images[batch], settings)
            total += trainer.step(x, labels[batch], epoch + step / len(batches))
        candidate = [p.detach().clone() for p in network.parameters], [
            [s.clone() for s in pair] for pair in network.statistics
        ]
        if settings["average-from"] is not None and epoch >= settings["average-from"]:
            averages += 1
            flat = [*candidate[0], *(s for pair in candidate[1] for s in pair)]
            average = flat if average is None else [a + (v - a) / averages for a, v in zip(average, flat)]
            weights, rest = average[: len(candidate[0])], iter(average[len(candidate[0]) :])
            candidate = weights, [[next(rest), next(rest)] for _ in candidate[1]]
        scores = None
        if len(kept):
            own = network.parameters, network.statistics
            network.parameters, network.statistics = candidate
            scores = evaluated(network, settings, images[kept], labels[kept], settings["validation-eps"])
            network.parameters, network.statistics = own
        key = scores and (scores["certified"], scores["adversarial"], scores["clean"])
        ramped = epoch + 1 >= settings["ramp-end"]
        if not ramped or best is None or best[1] is None or key is None or key > best[1]:
            best = candidate, key if ramped else None, epoch
        report(f"epoch {epoch}: loss {total / len(batches):.4f} {scores or ''} {time.perf_counter() - begun:.1f} s")
    (weights, network.statistics), _, epoch = best
    report(f"kept: epoch {epoch}")
    return network.load(weights)


def read(data, part):
    """Images and labels of `idx:FOLDER` (MNIST's files) or `cifar10:FILE` (binary records)."""
    kind, path = data.split(":", 1)
    if kind == "idx":
        name = "train" if part == "train" else "t10k"

        def file(what, start):
            found = next(Path(path).glob(f"{name}-{what}*"))
            opened = gzip.open(found) if found.suffix == ".gz" else found.open("rb")
            with opened as stream:
                return np.frombuffer(stream.read(), np.uint8)[start:]

        pixels = file("images", 16).reshape(-1, 1, 28, 28)
        labels = file("labels", 8)
    else:
        records = np.fromfile(path, np.uint8).reshape(-1, 3073)
        pixels, labels = records[:, 1:].reshape(-1, 3, 32, 32), records[:, 0]
    return torch.from_numpy(pixels.astype(np.float32) / np.float32(255)), torch.from_numpy(labels.astype(np.int64))


def export(network, path):
    """Writes the network as ONNX, the normalisation by channels in front and batch normalizations folded."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    nodes, weights, at = [], [], "pixels"

    def node(kind, values, **attributes):
        nonlocal at
        names = [at]
        for value in values:
            names.append(f"w{len(weights)}")
            value = np.ascontiguousarray(value.detach().numpy().astype(np.float32))
            weights.append(numpy_helper.from_array(value, names[-1]))
        nodes.append(helper.make_node(kind, names, [f"x{len(nodes)}"], **attributes))
        at = nodes[-1].output[0]

    node("Sub", [network.mean])
    node("Div", [network.std])
    for kind, stride, pair in network.loaded(network.averaged()):
        match kind:
            case "conv":
                node("Conv", pair, strides=[stride] * 2, pads=[1] * 4)
            case "linear":
                node("Gemm", pair, transB=1)
            case "norm":
                spatial = nodes[-1].op_type == "Conv"
                shape = (1, -1, 1, 1) if spatial else (1, -1)
                node("Mul", [pair[0].view(shape)])
                node("Add", [pair[1].view(shape)])
            case "relu":
                node("Relu", [])
            case "flatten":
                node("Flatten", [], axis=1)
    images = helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["n", *network.image])
    logits = helper.make_tensor_value_info(at, TensorProto.FLOAT, ["n", network.classes])
    graph = helper.make_graph(nodes, "peer", [images], [logits], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    onnx.save(model, path)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("settings", type=Path)
    parser.add_argument("changes", nargs="*", metavar="name=value", help="values in TOML")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--compile", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    given = tomllib.loads(arguments.settings.read_text())
    given |= tomllib.loads("\n".join(arguments.changes))
    made = settings(given)
    images, labels = read(made["data"], "train")
    limit = made["limit"] or len(images)
    network = train(made, images[:limit], labels[:limit], compiled=arguments.compile)
    export(network, arguments.out)
    if made["test"]:
        scores = evaluated(network, made, *read(made["test"], "test"), made["validation-eps"])
        print(json.dumps(scores))


if __name__ == "__main__":
    main()
