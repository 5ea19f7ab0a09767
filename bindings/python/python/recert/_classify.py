"""What answers, and what the ledger knows it by."""

from __future__ import annotations

import hashlib
import os
import platform
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ._errors import ParameterError
from ._images import as_numpy


@dataclass
class Prepared:
    """A callable as the native part takes it: from a batch of float32, `[batch, channels, height,
    width]`, to classes in int64 or logits in float32."""

    function: Callable[[np.ndarray], np.ndarray]
    num_classes: int | None
    name: str
    sha256: bytes
    bytes: int
    engine: str
    version: str
    arithmetic: str
    batch_invariant: bool
    deterministic: bool
    note: str | None
    answer: Callable[[dict[str, Any], np.ndarray, int], dict[str, Any]] | None = None
    """What answers requests where the network is (`_device.Worker`), if noise is made there."""


def prepared(
    classify: Any,
    *,
    id: str | None = None,
    num_classes: int | None = None,
    batch_invariant: bool = False,
    noise_on: Any = None,
    keyword: str = "classify",
) -> str | Prepared:
    """The path of an ONNX file as it is; of a module or another callable what the native part
    takes. `keyword` is what a network is given as."""
    if isinstance(classify, Prepared):
        return classify
    if isinstance(classify, (str, os.PathLike)):
        if id is not None:
            raise ParameterError(
                "a file is known by its SHA-256, and has no id: leave the id out", "id"
            )
        return os.fspath(classify)
    # Nobody has a module of a library that was not imported.
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(classify, torch.nn.Module):
        from . import _torch

        return _torch.prepared(classify, id, num_classes, batch_invariant, noise_on, keyword)
    art = sys.modules.get("art.estimators.classification")
    if art is not None and isinstance(classify, art.ClassifierMixin):
        num_classes = num_classes or classify.nb_classes
        classify = _of_art(classify, keyword)
    if not callable(classify):
        raise ParameterError(
            "a network is the path of an ONNX file, a torch.nn.Module, or a callable from a batch "
            f"to classes or logits, not a {type(classify).__name__}",
            keyword,
        )
    if not id:
        raise ParameterError(
            "a callable has no identity of its own, by which a ledger would know its answers: give "
            "it an id, and another one with whatever changes an answer",
            "id",
        )
    function, answer = (lambda batch: answers(classify(batch))), None
    if noise_on not in (None, "host"):
        function, answer = _on_device(classify, noise_on, num_classes)
    return Prepared(
        function=function,
        num_classes=num_classes,
        name=id,
        sha256=hashlib.sha256(id.encode()).digest(),
        bytes=len(id.encode()),
        engine="python",
        version=platform.python_version(),
        arithmetic="as in the model",
        batch_invariant=batch_invariant,
        deterministic=True,
        note="a callable, known by the id that it was given: the SHA-256 is of that text alone",
        answer=answer,
    )


def _of_art(estimator: Any, keyword: str) -> Callable[[np.ndarray], Any]:
    """A classifier of the Adversarial Robustness Toolbox, as a callable."""
    if hasattr(estimator, "sample_size") and hasattr(estimator, "scale"):
        raise ParameterError(
            "the estimator is smoothed, and its answers are random: give the classifier that it "
            "smooths, or take its class from recert.art",
            keyword,
        )
    clip = estimator.clip_values
    if clip is not None and (np.any(np.asarray(clip[0]) != 0) or np.any(np.asarray(clip[1]) != 1)):
        raise ParameterError(
            "the estimator's clip_values are not 0 and 1, as pixels are: scale images inside of it, or "
            "take recert.art, which keeps its units",
            keyword,
        )
    # A flag of estimators alone that have channels.
    last = getattr(estimator, "channels_first", True) is False

    def classify(batch: np.ndarray) -> Any:
        given = np.ascontiguousarray(batch.transpose(0, 2, 3, 1)) if last else batch
        return estimator.predict(given, batch_size=len(given))

    return classify


def _on_device(classify: Callable[[Any], Any], device: Any, num_classes: int | None) -> Any:
    """What asks a callable that takes tensors on a device, or arrays of JAX."""
    if device == "jax" or type(device).__module__.startswith("jax"):
        from . import _jax

        return _jax.callable_on(classify, device, num_classes)
    if device == "device":
        raise ParameterError(
            "where a callable computes is not known: name the device, as \"cuda\", \"cpu\" or "
            "\"jax\"",
            "noise_on",
        )
    if "torch" not in sys.modules:
        raise ParameterError(
            f"noise is made on {device} for callables that take tensors of PyTorch, which is not "
            "imported",
            "noise_on",
        )
    from . import _torch

    return _torch.callable_on(classify, device, num_classes)


def answers(given: Any) -> np.ndarray:
    """Classes in int64 or logits in float32, of whatever a callable gave."""
    array = as_numpy(given)
    if array.ndim == 1 and array.dtype.kind in "iub":
        return np.ascontiguousarray(array, dtype=np.int64)
    if array.ndim == 2 and array.dtype.kind == "f":
        return np.ascontiguousarray(array, dtype=np.float32)
    raise TypeError(
        "a callable must answer a batch with classes, a list of whole numbers, or with logits, "
        f"[batch, classes] of floats, not with {array.dtype} of shape {list(array.shape)}"
    )
