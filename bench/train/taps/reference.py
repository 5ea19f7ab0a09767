"""TAPS's loss and gradients in PyTorch, in float64: what crates/recert-train/src/method/golden.rs compares with.

    python reference.py > taps.json

The loss is written here from the paper (Mao et al., "Connecting certified and adversarial training", NeurIPS
2023), with the connector and the weighted gradient as autograd functions, as its authors have them. The network
is small: a convolution, ReLU, 6 neurons with batch normalization, ReLU, 3 classes; the box is cut behind the
first ReLU. Latent points are drawn at random, a third of their coordinates at the box's ends, as attacks leave
them: they are given to both sides, so that the search is no part of the comparison.
"""

import json

import torch
import torch.nn.functional as F

SEED, IMAGES, CLASSES, EPS, CONNECTOR, WEIGHT, SHRINK, NARROW = 7, 4, 3, 0.05, 0.4, 4.0, 0.8, 1e-5


class Connector(torch.autograd.Function):
    """Points as they are; their gradient goes to the ends of the box that they are near."""

    @staticmethod
    def forward(ctx, low, high, points):
        ctx.save_for_backward(low, high, points)
        return points.clone()

    @staticmethod
    def backward(ctx, gradient):
        low, high, points = (tensor.unsqueeze(1) if tensor.dim() == 2 else tensor for tensor in ctx.saved_tensors)
        span = CONNECTOR * (high - low)

        def share(inside):
            slope = inside.clamp(min=NARROW / 2) / span.clamp(min=NARROW)
            return torch.where(inside >= 0, slope, 0.0)

        to_low = (gradient * share(low + span - points)).sum(1)
        to_high = (gradient * share(points - (high - span))).sum(1)
        return to_low, to_high, None


class Weighted(torch.autograd.Function):
    """A loss as it is; its gradient times WEIGHT."""

    @staticmethod
    def forward(ctx, loss):
        return loss.clone()

    @staticmethod
    def backward(ctx, gradient):
        return WEIGHT * gradient


def margin_loss(margins):
    logits = F.pad(-margins, (1, 0))
    return F.cross_entropy(logits, torch.zeros(len(logits), dtype=torch.long))


def rectified(centre, radius):
    low, high = centre - radius, centre + radius
    unstable = (low < 0) & (high > 0)
    low, high = F.relu(low), torch.where(unstable, SHRINK * F.relu(high), F.relu(high))
    return (low + high) / 2, (high - low) / 2


def main():
    torch.manual_seed(SEED)
    # Numbers that are the same in float32.
    draw = lambda *shape: torch.randn(*shape).double()
    weights = [
        draw(2, 1, 3, 3) * 0.4, draw(2) * 0.1, draw(6, 18) * 0.3, draw(6) * 0.1, 1 + draw(6) * 0.2, draw(6) * 0.2,
        draw(CLASSES, 6) * 0.5, draw(CLASSES) * 0.1,
    ]  # fmt: skip
    weights = [w.float().double().requires_grad_() for w in weights]
    conv, conv_bias, linear, linear_bias, scale, shift, last, last_bias = weights
    images = torch.rand(IMAGES, 1, 5, 5).double()
    labels = torch.tensor([0, 1, 2, 1])
    hidden = lambda x: F.relu(F.conv2d((x - 0.25) / 0.5, conv, conv_bias, stride=2, padding=1)).flatten(1)

    # Batch normalization by the clean batch, through which gradients go.
    before = F.linear(hidden(images), linear, linear_bias)
    variance, mean = torch.var_mean(before, 0, correction=0)
    factor = scale / (variance + 1e-5).sqrt()
    term = shift - mean * factor
    classifier = lambda x: F.linear(F.relu(F.linear(x, linear, linear_bias) * factor + term), last, last_bias)

    low, high = (images - EPS).clamp(0, 1), (images + EPS).clamp(0, 1)
    centre, radius = ((low + high) / 2 - 0.25) / 0.5, (high - low) / 2 / 0.5
    centre = F.conv2d(centre, conv, conv_bias, stride=2, padding=1)
    radius = F.conv2d(radius, conv.abs(), stride=2, padding=1)
    centre, radius = (value.flatten(1) for value in rectified(centre, radius))
    low, high = centre - radius, centre + radius

    hot = torch.eye(CLASSES).double()
    rows = torch.stack([hot[y] - torch.cat([hot[:y], hot[y + 1 :]]) for y in labels])

    share = torch.rand(IMAGES, CLASSES - 1, 18).double()
    end = torch.rand(IMAGES, CLASSES - 1, 18)
    share = torch.where(end < 1 / 6, 0.0, torch.where(end > 5 / 6, 1.0, share))
    points = (low.unsqueeze(1) + share * (high - low).unsqueeze(1)).detach()
    connected = Connector.apply(low, high, points)
    attacked = (classifier(connected) * rows).sum(2)

    a, b = F.linear(centre, linear, linear_bias) * factor + term, F.linear(radius, linear.abs()) * factor.abs()
    a, b = rectified(a, b)
    merged = rows @ last
    bounded = (merged @ a[..., None] - merged.abs() @ b[..., None])[..., 0] + rows @ last_bias

    loss = Weighted.apply(margin_loss(attacked)) * margin_loss(bounded)
    loss.backward()
    flat = lambda tensor: [float(f"{x:.12g}") for x in tensor.detach().flatten().tolist()]
    exact = lambda tensor: tensor.detach().float().flatten().tolist()
    print(
        json.dumps(
            {
                "torch": torch.__version__.split("+")[0], "seed": SEED, "eps": EPS, "connector": CONNECTOR, "weight": WEIGHT,
                "shrink": SHRINK, "weights": [exact(w) for w in weights], "images": exact(images),
                "labels": labels.tolist(), "points": flat(points), "loss": float(f"{loss.item():.12g}"),
                "gradients": [flat(w.grad) for w in weights],
            }
        )
    )  # fmt: skip


if __name__ == "__main__":
    main()
