"""PyTorch: how modules answer, and where; what they are hashed to.

A module's identity is the SHA-256 of its parameters and buffers, its classes with their source,
what these print of themselves (`extra_repr`) and their other attributes. How it is computed stands beside
it: PyTorch's version, device, type of numbers, and settings of matrix products.
"""

from __future__ import annotations

import hashlib
import inspect
import logging
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

from . import _philox
from ._classify import Prepared, answers
from ._device import INVALID, Library, Worker, same_noise
from ._errors import ParameterError

# What torch.nn.Module itself keeps in a module's attributes.
_OWN = set(torch.nn.Module().__dict__)


def prepared(
    module: torch.nn.Module,
    id: str | None,
    num_classes: int | None,
    batch_invariant: bool,
    noise_on: str | torch.device | None,
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

    if noise_on not in (None, "device", "host") and torch.device(noise_on) != device:
        raise ParameterError(
            f"the module is on {device}: its noise is made there (\"device\") or on the host "
            f"(\"host\"), not on {noise_on}",
            "noise_on",
        )
    answer = None
    if noise_on != "host":
        answer = worker(module, device, dtype, num_classes, noise_on is not None)
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
        arithmetic=", ".join(
            [" and ".join(types), *_exceptions(module), f"on {_device(device)}", *_settings(device)]
        ),
        batch_invariant=batch_invariant,
        deterministic=device.type == "cpu" or torch.are_deterministic_algorithms_enabled(),
        note=hashed.note(),
        answer=answer,
    )


def callable_on(
    classify: Callable[[Any], Any], device: str | torch.device, num_classes: int | None
) -> tuple[Callable[[np.ndarray], np.ndarray], Worker | None]:
    """What asks a callable that takes tensors on a device: about batches of the host, and for
    requests."""
    device = torch.device(device)

    def function(batch: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return answers(classify(torch.from_numpy(batch).to(device)))

    return function, worker(classify, device, torch.float32, num_classes, True)


def worker(
    network: Callable[[Any], Any],
    device: torch.device,
    dtype: torch.dtype,
    num_classes: int | None,
    wanted: bool,
) -> Worker | None:
    """What answers requests with a network on a device; nothing where noise cannot be made there,
    which is an error where it is `wanted` there."""
    try:
        library = Torch.on(device, dtype)
    except Exception as error:  # noqa: BLE001: whatever a device, or a compiler for it, fails with
        if wanted:
            raise ParameterError(
                f"noise cannot be made on {device}: {error}", "noise_on"
            ) from error
        logging.getLogger("recert").warning(
            "noise cannot be made on %s, and is made on the host: %s", device, error
        )
        return None
    return Worker(network, library, num_classes)


class Torch(Library):
    """Tensors on a device, which networks take in a type."""

    _shown: dict[str, tuple[Any, Any]] = {}
    """Devices that have shown that their noise is the host's, and what makes it there."""

    def __init__(self, device: torch.device, dtype: torch.dtype, programs: Any) -> None:
        self.device, self.on_host = str(device), device.type == "cpu" and programs is None
        self._device, self._dtype, self._programs = device, dtype, programs
        # Copies from and to pinned memory wait for nothing.
        self._pins = device.type == "cuda"

    @classmethod
    def on(cls, device: torch.device, dtype: torch.dtype) -> Torch:
        """Tensors on this device: compared with the host's noise, once. One compiled program makes
        noise where torch.compile gives one that is right, and single operations do elsewhere.

        Raises:
            Exception: where neither makes the host's noise.
        """
        if device.type == "cpu":
            return cls(device, dtype, None)
        if str(device) not in cls._shown:
            try:
                cls._shown[str(device)] = _shown_right(device, _compiled())
            except Exception as error:  # noqa: BLE001: compilers fail with anything
                logging.getLogger("recert").info(
                    "noise is made on %s by single operations: %s", device, error
                )
                cls._shown[str(device)] = _shown_right(device, (_gaussian, _integer))
        return cls(device, dtype, cls._shown[str(device)])

    def here(self, array: np.ndarray) -> Any:
        tensor = torch.from_numpy(array)
        if self._pins:
            return tensor.pin_memory().to(self._device, non_blocking=True)
        return tensor.to(self._device)

    def host(self, arrays: list[Any]) -> Callable[[], np.ndarray]:
        whole = torch.cat(arrays)
        if not self._pins:
            return whole.cpu().numpy
        copied = torch.empty(whole.shape, dtype=whole.dtype, pin_memory=True)
        copied.copy_(whole, non_blocking=True)
        arrived = torch.cuda.Event()
        arrived.record(torch.cuda.current_stream(self._device))

        def wait() -> np.ndarray:
            arrived.synchronize()
            return copied.numpy()

        return wait

    def gaussian(self, ids: Any, samples: Any, sigma: Any, image: Any) -> Any:
        with torch.inference_mode():
            parts = self._programs[0](ids, samples, sigma, image)
            return _philox.flat(_OPS, parts, image.shape[-1])

    def integer(self, ids: Any, samples: Any, table: Any, levels: Any) -> tuple[Any, Any]:
        with torch.inference_mode():
            parts, is_open = self._programs[1](ids, samples, table, levels)
            return _philox.flat(_OPS, parts, levels.shape[-1]), is_open

    def run(self, network: Callable[[Any], Any], rows: Any, shape: tuple[int, ...]) -> Any:
        with torch.inference_mode():
            given = network(rows.reshape(-1, *shape).to(self._dtype))
        if not isinstance(given, torch.Tensor):
            given = torch.as_tensor(given, device=self._device)
        if given.ndim == 1 and not given.is_floating_point() and not given.is_complex():
            return given.to(torch.int64)
        if given.ndim == 2 and given.is_floating_point():
            return given.float()
        # The words for what is no answer.
        return answers(given)

    def kept(self, answers: Any) -> Any:
        return answers.clone()

    def codes(self, answers: Any, margins: tuple[int, Any] | None, classes: int) -> list[Any]:
        with torch.inference_mode():
            return _codes(answers, margins, classes)


def _codes(answers: Any, margins: tuple[int, Any] | None, classes: int = INVALID) -> list[Any]:
    """As `Answers::class`, `Answers::margin` and `margin_code` of the Rust library."""
    if answers.ndim == 1:
        valid = (answers >= 0) & (answers < classes)
        return [torch.where(valid, answers, INVALID).to(torch.int16)]
    count = answers.shape[1]
    position = torch.arange(count, device=answers.device)
    finite = answers.isfinite().all(1)
    # The first of equal ones, which argmax does not promise.
    largest = answers == answers.amax(1, keepdim=True)
    first = torch.where(largest, position, count).amin(1)
    codes = [torch.where(finite, first, INVALID).to(torch.int16)]
    if margins is not None:
        of_class, edges = margins
        others = torch.where(position == of_class, -torch.inf, answers).amax(1)
        margin = answers[:, of_class] - others
        reached = edges <= margin.abs()[:, None]
        buckets = torch.where(finite & margin.isfinite(), reached.sum(1), 0)
        codes.append(buckets.to(torch.uint8))
    return codes


_OPS = _philox.of(torch)


def _gaussian(ids: Any, samples: Any, sigma: Any, image: Any) -> Any:
    return _philox.gaussian(_OPS, ids, samples, sigma, image)


def _integer(ids: Any, samples: Any, table: Any, levels: Any) -> Any:
    return _philox.integer(_OPS, ids, samples, table, levels)


def _compiled() -> tuple[Any, Any]:
    """One program for the noise of each law and shape, as long as PyTorch compiles further ones: it
    keeps a number of them, and then single operations make the noise."""

    def program(function: Callable[..., Any]) -> Callable[..., Any]:
        compiled = torch.compile(function, dynamic=False, fullgraph=True)
        compiles = True

        def made(*given: Any) -> Any:
            nonlocal compiles
            if compiles:
                try:
                    return compiled(*given)
                except torch._dynamo.exc.FailOnRecompileLimitHit:
                    compiles = False
            return function(*given)

        return made

    return program(_gaussian), program(_integer)


def _shown_right(device: torch.device, programs: tuple[Any, Any]) -> tuple[Any, Any]:
    """The programs, if they make the host's noise on the device."""
    wrong = same_noise(Torch(device, torch.float32, programs))
    if wrong is not None:
        raise RuntimeError(wrong)
    return programs


def _exceptions(module: torch.nn.Module) -> list[str]:
    """What of a module is computed otherwise than in the type of its weights."""
    parts = (type(part).__module__ for part in module.modules())
    quantized = any(part.startswith("torch.ao.nn.quantized") for part in parts)
    return ["parts in 8 bits"] if quantized else []


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
