"""Trains for some steps in PyTorch and prints how long each took, as recert's example `steps` does.

    torch_steps.py HOW DATA ARCHITECTURE METHOD EPS BATCH STEPS THREADS [AUTO_LIRPA]

HOW is `torch` (peer.py), `compiled` (its loss through torch.compile) or `auto_LiRPA`, whose bounds are then in
peer.py's place: without Shi et al.'s regularisers, so that it has less to do.
"""

import sys
import time

import torch
import torch.nn.functional as F

import peer

how, data, architecture, method = sys.argv[1:5]
eps, batch, steps, threads = float(sys.argv[5]), int(sys.argv[6]), int(sys.argv[7]), int(sys.argv[8])
torch.set_num_threads(threads)
torch.manual_seed(1)
settings = peer.settings(
    {"architecture": architecture, "method": method, "eps": eps, "batch": batch, "ramp-end": 1, "milestones": [],
     "mean": [0.1307], "std": [0.3081]}
)  # fmt: skip
images, labels = peer.read(data, "train")
images, labels = images[: batch * steps].clone(), labels[: batch * steps]
network = peer.Network(architecture, images.shape[1:], 10, settings["mean"], settings["std"])
network.initialize(settings["initialization"], 1)
trainer = peer.Trainer(network, settings, how == "compiled")


class Module(torch.nn.Module):
    """The same network as auto_LiRPA takes it."""

    def __init__(self):
        super().__init__()
        parts = []
        weights = iter(network.parameters)
        for kind, stride in network.layers:
            match kind:
                case "conv":
                    weight, bias = next(weights), next(weights)
                    part = torch.nn.Conv2d(weight.shape[1], weight.shape[0], weight.shape[2:], stride, 1)
                case "linear":
                    weight, bias = next(weights), next(weights)
                    part = torch.nn.Linear(weight.shape[1], weight.shape[0])
                case "relu":
                    part = torch.nn.ReLU()
                case "flatten":
                    part = torch.nn.Flatten()
            if kind in ("conv", "linear"):
                part.weight.data, part.bias.data = weight.detach().clone(), bias.detach().clone()
            parts.append(part)
        self.parts = torch.nn.Sequential(*parts)

    def forward(self, x):
        return self.parts((x - network.mean) / network.std)


def lirpa_loss(bounded, x, y, now):
    from auto_LiRPA import BoundedTensor, PerturbationLpNorm

    if now["method"] == "standard":
        return F.cross_entropy(bounded(x), y)
    lower, upper = (x - now["eps"]).clamp(0, 1), (x + now["eps"]).clamp(0, 1)
    box = BoundedTensor(x, PerturbationLpNorm(norm=float("inf"), eps=now["eps"], x_L=lower, x_U=upper))
    rows = peer.margin_rows(y, 10, torch.float32)
    ibp, _ = bounded.compute_bounds(x=(box,), C=rows, method="IBP", bound_upper=False)
    if method == "crown-ibp" and now["beta"] > 0:
        crown, _ = bounded.compute_bounds(x=None, C=rows, method="CROWN", reuse_ibp=True, bound_upper=False)
        ibp = now["beta"] * crown + (1 - now["beta"]) * ibp
    return peer.margin_loss(ibp)


if how == "auto_LiRPA":
    sys.path.insert(0, sys.argv[9])
    from auto_LiRPA import BoundedModule

    bounded = BoundedModule(Module(), images[:1], bound_opts={"loss_fusion": False})
    adam = torch.optim.Adam(bounded.parameters(), lr=settings["learning-rate"], fused=True)

print("step\tseconds\tcpu\tloss")
order = torch.randperm(len(images))
for step, chosen in enumerate(order.split(batch)):
    begun = time.perf_counter(), time.process_time()
    x, y, done = images[chosen], labels[chosen], step / steps
    if how == "auto_LiRPA":
        adam.zero_grad(set_to_none=True)
        loss = lirpa_loss(bounded, x, y, peer.moment(settings, done))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(bounded.parameters(), settings["clip"])
        adam.step()
        loss = float(loss)
    else:
        loss = trainer.step(x, y, done)
    print(f"{step}\t{time.perf_counter() - begun[0]:.6f}\t{time.process_time() - begun[1]:.6f}\t{loss}", flush=True)
with open("/proc/self/status") as status:
    peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM:"))
print(f"peak\t{peak / 1024:.1f}")
