"""Callables that take arrays of JAX."""

from __future__ import annotations

import numpy as np
import pytest

jax = pytest.importorskip("jax", reason="jax is not installed")

import recert  # noqa: E402
from recert import _jax  # noqa: E402
from recert._device import Worker, same_noise  # noqa: E402

SMALL = {"sigma": 0.25, "n": 500, "n0": 20, "progress": False}


def linear(batch):
    assert isinstance(batch, jax.Array) and batch.dtype == np.float32
    means = batch.mean(axis=(1, 2, 3))
    return jax.numpy.stack([0.5 - means, means - 0.5, 0.02 - (means - 0.5) ** 2], axis=1)


def library(on_host: bool = False) -> _jax.Jax:
    """Programs of XLA, also on the processor."""
    return _jax.Jax(jax.devices()[0], on_host)


def test_xla_makes_the_bits_of_the_host() -> None:
    assert same_noise(library()) is None
    # Nothing else became 64 bits wide.
    assert jax.numpy.arange(3).dtype == np.int32


@pytest.mark.parametrize("noise", ["gaussian", "integer"])
def test_the_ledger_is_the_same_wherever_noise_is_made(tmp_path, greys, noise: str) -> None:
    images, _ = greys
    paths = [tmp_path / name for name in ("host", "device", "program")]
    there = recert._classify.prepared(linear, id="f", noise_on="jax", num_classes=3)
    by_program = recert._classify.prepared(linear, id="f", noise_on="jax", num_classes=3)
    by_program.answer = Worker(linear, library(), 3)

    def on_host(batch):
        return linear(jax.numpy.asarray(batch))

    networks = [on_host, there, by_program]
    found = [
        recert.certify(network, images, ledger=path, id="f", noise=noise, **SMALL)
        for network, path in zip(networks, paths)
    ]
    for other in found[1:]:
        assert np.array_equal(found[0]["radius"], other["radius"])
        assert np.array_equal(
            found[0].ledger.counts().counts, other.ledger.counts().counts
        )
    check = recert.check(paths[2], rerun=500, model=there, images=images)
    assert check.holds
