"""JAX: callables that take its arrays, on a device of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from . import _philox
from ._classify import answers
from ._device import INVALID, Library, Worker, same_noise
from ._errors import ParameterError

# Noise needs 64 bits, which are off where a program does not ask for them.
_wide = jax.enable_x64 if hasattr(jax, "enable_x64") else jax.experimental.enable_x64


def callable_on(
    classify: Callable[[Any], Any], device: Any, num_classes: int | None
) -> tuple[Callable[[np.ndarray], np.ndarray], Worker]:
    """What asks a callable that takes arrays of JAX on a device (its first one, where that is
    `"jax"`): about batches of the host, and for requests."""
    library = Jax(jax.devices()[0] if device == "jax" else device)
    if not library.on_host:
        wrong = same_noise(library)
        if wrong is not None:
            raise ParameterError(wrong, "noise_on")

    def function(batch: np.ndarray) -> np.ndarray:
        return answers(classify(library.here(batch)))

    return function, Worker(classify, library, num_classes)


class Jax(Library):
    """Arrays on a device."""

    def __init__(self, device: Any, on_host: bool | None = None) -> None:
        self.device, self._device = f"jax {device}", device
        self.on_host = device.platform == "cpu" if on_host is None else on_host

    def here(self, array: np.ndarray) -> Any:
        with _wide(True):
            return jax.device_put(array, self._device)

    def host(self, arrays: list[Any]) -> Callable[[], np.ndarray]:
        for array in arrays:
            array.copy_to_host_async()
        # What JAX hands out cannot be written to.
        return lambda: np.concatenate([np.asarray(array) for array in arrays])

    def gaussian(self, ids: Any, samples: Any, sigma: Any, image: Any) -> Any:
        with _wide(True):
            return _gaussian(ids, samples, sigma, image)

    def integer(self, ids: Any, samples: Any, table: Any, levels: Any) -> tuple[Any, Any]:
        with _wide(True):
            return _integer(ids, samples, table, levels)

    def run(self, network: Callable[[Any], Any], rows: Any, shape: tuple[int, ...]) -> Any:
        given = jnp.asarray(network(rows.reshape(-1, *shape)))
        if given.ndim == 1 and jnp.issubdtype(given.dtype, jnp.integer):
            # Narrower integers would make classes of numbers that are none.
            small = (given >= 0) & (given < INVALID)
            return jnp.where(small, given, -1).astype(jnp.int32)
        if given.ndim == 2 and jnp.issubdtype(given.dtype, jnp.floating):
            return given.astype(jnp.float32)
        # The words for what is no answer.
        return answers(given)

    def codes(self, answers: Any, margins: tuple[int, Any] | None, classes: int) -> list[Any]:
        if answers.ndim == 1:
            return [_class_codes(answers, classes)]
        if margins is None:
            return [_codes(answers)]
        return [_codes(answers), _buckets(answers, *margins)]


_OPS = _philox.of(jnp)


@jax.jit
def _gaussian(ids: Any, samples: Any, sigma: Any, image: Any) -> Any:
    return _philox.flat(_OPS, _philox.gaussian(_OPS, ids, samples, sigma, image), image.shape[-1])


@jax.jit
def _integer(ids: Any, samples: Any, table: Any, levels: Any) -> tuple[Any, Any]:
    parts, is_open = _philox.integer(_OPS, ids, samples, table, levels)
    return _philox.flat(_OPS, parts, levels.shape[-1]), is_open


@jax.jit
def _class_codes(answers: Any, classes: Any) -> Any:
    valid = (answers >= 0) & (answers < classes)
    return jnp.where(valid, answers, INVALID).astype(jnp.uint16)


@jax.jit
def _codes(logits: Any) -> Any:
    """As `Answers::class` of the Rust library; the first of equal ones."""
    codes = jnp.where(jnp.isfinite(logits).all(1), jnp.argmax(logits, 1), INVALID)
    return codes.astype(jnp.uint16)


@jax.jit
def _buckets(logits: Any, of_class: Any, edges: Any) -> Any:
    """As `Answers::margin` and `margin_code`."""
    position = jnp.arange(logits.shape[1])
    others = jnp.where(position == of_class, -jnp.inf, logits).max(1)
    margin = jnp.take(logits, of_class, axis=1) - others
    reached = (edges <= jnp.abs(margin)[:, None]).sum(1)
    valid = jnp.isfinite(logits).all(1) & jnp.isfinite(margin)
    return jnp.where(valid, reached, 0).astype(jnp.uint8)
