"""Modules of PyTorch: how they answer, and what they are hashed to.

A module's identity is the SHA-256 of its parameters and buffers, its classes with their source,
what these print of themselves (`extra_repr`) and their other attributes. How it is computed stands beside
it: PyTorch's version, device, type of numbers, and settings of matrix products.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from ._classify import Prepared, answers
from ._errors import ParameterError

# What torch.nn.Module itself keeps in a module's attributes.
_OWN = set(torch.nn.Module().__dict__)


def prepared(
    module: torch.nn.Module,
    id: str | None,
    num_classes: int | None,
    batch_invariant: bool,
    keyword: str,
) -> Prepared:
    """The module as the native part takes it."""
    # Parts that quantizing makes are marked as in training, which they do not look at.
    training = next(
        (
            name
            for name, part in module.named_modules()
            if part.training and not type(part).__module__.startswith("torch.ao.nn.quantized")
        ),
        None,
    )
    if training is not None:
        where = f"its part {training}" if training else "it"
        raise ParameterError(
            f"the module is in training mode ({where} is), in which answers are random or depend "
            "on the batch: call .eval() first",
            keyword,
        )
    tensors = [*module.parameters(), *module.buffers()]
    device = tensors[0].device if tensors else torch.device("cpu")
    floats = [tensor.dtype for tensor in tensors if tensor.is_floating_point()]
    dtype = floats[0] if floats else torch.float32
    for kind in ("cpu", device.type):
        if torch.is_autocast_enabled(kind):
            raise ParameterError(
                "autocast is on here, and would be off where the module is run: turn it on inside "
                "the module's forward",
                keyword,
            )

    def function(batch: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return answers(module(torch.from_numpy(batch).to(device, dtype)))

    hashed = _Hashed(module)
    types = sorted({_short(one) for one in floats}) or [_short(dtype)]
    return Prepared(
        function=function,
        num_classes=num_classes,
        name=id or type(module).__name__,
        sha256=hashed.hash.digest(),
        bytes=hashed.bytes,
        engine="torch",
        version=_version(device),
        arithmetic=", ".join([" and ".join(types), f"on {_device(device)}", *_settings(device)]),
        batch_invariant=batch_invariant,
        deterministic=device.type == "cpu" or torch.are_deterministic_algorithms_enabled(),
        note=hashed.note(),
    )


def _short(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _version(device: torch.device) -> str:
    version = torch.__version__
    if device.type == "cuda":
        version += f" cuDNN {torch.backends.cudnn.version()}"
    return version


def _device(device: torch.device) -> str:
    if device.type == "cuda":
        return f"cuda {torch.cuda.get_device_name(device)}".replace(",", " ")
    return device.type


def _settings(device: torch.device) -> list[str]:
    settings = [f"float32 products {torch.get_float32_matmul_precision()}"]
    if device.type == "cuda":
        settings.append(f"TF32 in cuDNN {'on' if torch.backends.cudnn.allow_tf32 else 'off'}")
    if torch.are_deterministic_algorithms_enabled():
        settings.append("deterministic algorithms")
    return settings


class _Hashed:
    """Everything of a module that decides its answers, as far as it can be read."""

    def __init__(self, module: torch.nn.Module) -> None:
        self.hash = hashlib.sha256()
        self.bytes = 0
        self.left_out: list[str] = []
        for name, part in module.named_modules():
            self._part(name, part)
        # Those that are in no part's parameters or buffers are in its state: packed weights.
        for name, value in module.state_dict().items():
            self._value(name, value)
        for name, buffer in module.named_buffers():
            self._value(name, buffer)

    def note(self) -> str:
        words = (
            "SHA-256 of weights, buffers, attributes and classes with their source, not of "
            "libraries"
        )
        if self.left_out:
            shown = ", ".join(self.left_out[:5])
            more = len(self.left_out) - 5
            words += f"; not hashed: {shown}{f' and {more} more' if more > 0 else ''}"
        return words

    def _text(self, *words: str) -> None:
        # The length first, so that no two lists of words are one.
        for word in words:
            self._bytes(word.encode())

    def _bytes(self, data: Any) -> None:
        view = memoryview(data).cast("B") if len(data) else memoryview(b"")
        self.hash.update(len(view).to_bytes(8, "little"))
        self.hash.update(view)
        self.bytes += len(view)

    def _part(self, name: str, part: torch.nn.Module) -> None:
        kind = type(part)
        self._text("part", name, f"{kind.__module__}.{kind.__qualname__}", part.extra_repr())
        if not kind.__module__.startswith("torch."):
            try:
                self._text(inspect.getsource(kind))
            except (OSError, TypeError):
                self._leave_out(f"the source of {kind.__qualname__}")
        for key, value in sorted(part.__dict__.items()):
            if key not in _OWN:
                self._value(f"{name}.{key}" if name else key, value)
        if "forward" in part.__dict__:
            self._leave_out(f"{name or kind.__qualname__}.forward, which was replaced")
        if part._forward_hooks or part._forward_pre_hooks:
            self._leave_out(f"hooks of {name or kind.__qualname__}")

    def _leave_out(self, what: str) -> None:
        if what not in self.left_out:
            self.left_out.append(what)

    def _value(self, name: str, value: Any) -> None:
        parts = list(_flat(value))
        for path, leaf in parts:
            if isinstance(leaf, torch.Tensor):
                self._tensor(name + path, leaf)
            elif isinstance(leaf, (bool, int, float, str, bytes, type(None), torch.dtype)):
                self._text("value", name + path, repr(leaf))
            elif isinstance(leaf, np.ndarray) and leaf.dtype.kind in "biufc":
                self._text("array", name + path, str(leaf.dtype), repr(leaf.shape))
                self._bytes(np.ascontiguousarray(leaf).reshape(-1))
            elif isinstance(leaf, torch.nn.Module):
                # A part, which is hashed as such, unless it is hidden in a list or so.
                self._text("module", name + path, type(leaf).__qualname__)
                if path:
                    self._leave_out(name + path)
            elif getattr(leaf, "__module__", None) and getattr(leaf, "__qualname__", None):
                self._text("named", name + path, f"{leaf.__module__}.{leaf.__qualname__}")
                if "<" in leaf.__qualname__ or not leaf.__module__.startswith("torch"):
                    self._leave_out(name + path)
            else:
                self._leave_out(name + path)

    def _tensor(self, name: str, tensor: torch.Tensor) -> None:
        tensor = tensor.detach()
        if tensor.is_quantized:
            self._text("quantized", name, str(tensor.qscheme()))
            if tensor.qscheme() in (torch.per_tensor_affine, torch.per_tensor_symmetric):
                self._text(repr(tensor.q_scale()), repr(tensor.q_zero_point()))
            else:
                self._tensor(name + ".scales", tensor.q_per_channel_scales())
                self._tensor(name + ".zeros", tensor.q_per_channel_zero_points())
                self._text(repr(tensor.q_per_channel_axis()))
            tensor = tensor.int_repr()
        if tensor.layout != torch.strided:
            self._leave_out(name)
            return
        self._text("tensor", name, str(tensor.dtype), repr(tuple(tensor.shape)))
        flat = tensor.resolve_conj().resolve_neg().cpu().contiguous().reshape(-1)
        self._bytes(flat.view(torch.uint8).numpy())


def _flat(value: Any, path: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    """The leaves of lists, tuples and dictionaries, with their places."""
    if depth < 8 and isinstance(value, (list, tuple)):
        for i, one in enumerate(value):
            yield from _flat(one, f"{path}[{i}]", depth + 1)
    elif depth < 8 and isinstance(value, dict):
        for key, one in value.items():
            yield from _flat(one, f"{path}[{key!r}]", depth + 1)
    else:
        yield path, value
