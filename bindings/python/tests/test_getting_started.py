"""docs/getting-started.md and its notebook, run on a small network."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import notebook  # noqa: E402

NET = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.full((1, 3, 1, 1), 0.5))
        self.layers = nn.Sequential(
            nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(4), nn.Flatten(),
            nn.Linear(128, 10),
        )

    def forward(self, x):
        return self.layers(x - self.mean)
"""


def test_the_notebook_is_the_pages() -> None:
    """`python bindings/python/notebook.py` makes it again."""
    made = notebook.notebook(notebook.PAGE.read_text())
    assert notebook.NOTEBOOK.read_text() == made
    assert made.count('"cell_type": "code"') == 6 and "../docs/python.md" in made


def test_the_page_runs(tmp_path, monkeypatch, capsys) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "net", raising=False)
    Path("net.py").write_text(NET)
    Path("images.npz").symlink_to(ROOT / "assets" / "demo" / "shapes-test.npz")
    exec(NET, made := {})  # noqa: S102
    torch.manual_seed(0)
    net = made["Net"]()
    with np.load("images.npz") as data:
        images = torch.from_numpy(data["images"].transpose(0, 3, 1, 2).copy()).float() / 255
        labels = torch.from_numpy(data["labels"].astype(np.int64))
    optimizer = torch.optim.Adam(net.parameters(), 3e-3)
    for _ in range(20):
        for batch in torch.randperm(len(images)).split(50):
            optimizer.zero_grad()
            noisy = images[batch] + 0.25 * torch.randn_like(images[batch])
            torch.nn.functional.cross_entropy(net(noisy), labels[batch]).backward()
            optimizer.step()
    torch.save(net.state_dict(), "net.pth")
    cells = notebook.cells(notebook.PAGE.read_text())
    code = "\n".join(text for kind, text in cells if kind == "code")
    exec(compile(code, str(notebook.PAGE), "exec"), found := {})  # noqa: S102
    assert found["certified"].average_radius() > found["recertified"].average_radius() > 0
    assert found["recertified"].new_evaluations <= 0.2 * 20 * 2_000
    assert found["ledger"].check().holds and Path("report.html").stat().st_size > 1000
    assert "from scratch" in capsys.readouterr().out
