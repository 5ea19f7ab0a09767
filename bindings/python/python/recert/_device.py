"""Answering requests where the network is: noise, classes and margins are made there, and codes come
back.

A request is plain data, a dictionary that can be sent anywhere: the parameters of the noise, an
input, ranges of its samples, and what to do, `select` a class or `answer`. So is the reply: counts,
or an array of classes and one of margin buckets. A `Worker` needs nothing else but the input's
pixels, `[channels, height, width]`, so that it may as well be an actor on another machine.

The samples are those that the host would make, bit for bit (`_philox`), which each device shows
before it is used (`same_noise`), and again on the first samples of every shape and law that a run has.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from . import _philox, _recert
from ._classify import answers

INVALID = 65535
"""The code of an answer for no class."""

GAUSSIAN = "philox4x32-10/box-muller-40-24/tile64/v1"
INTEGER = "philox4x32-10/rounded-normal-128/tile64/v1"


class Library:
    """What a worker needs of an array library, on one device. `_torch` and `_jax` have one each."""

    device: str
    # Whether its arrays lie in the host's memory, so that the host's noise is the nearest.
    on_host = False

    def here(self, array: np.ndarray) -> Any:
        """An array of numpy on the device."""
        raise NotImplementedError

    def host(self, arrays: list[Any]) -> Callable[[], np.ndarray]:
        """Begins to copy arrays, one behind the other; what waits for them."""
        raise NotImplementedError

    def gaussian(self, ids: Any, samples: Any, sigma: Any, image: Any) -> Any:
        """`_philox.gaussian`, flat and whole tiles wide."""
        raise NotImplementedError

    def integer(self, ids: Any, samples: Any, table: Any, levels: Any) -> tuple[Any, Any]:
        """`_philox.integer`, likewise."""
        raise NotImplementedError

    def run(self, network: Callable[[Any], Any], rows: Any, shape: tuple[int, ...]) -> Any:
        """The network's answers to images of a shape that lie flat in rows: classes in int64, or
        logits in float32, both on the device."""
        raise NotImplementedError

    def kept(self, answers: Any) -> Any:
        """The same answers, which the network may not change afterwards."""
        return answers

    def codes(self, answers: Any, margins: tuple[int, Any] | None, classes: int) -> list[Any]:
        """Classes in 16 bits, those that are not below `classes` as invalid, and margin buckets in 8
        where margins are wanted: of which class, and their edges on the device."""
        raise NotImplementedError


class Host(Library):
    """Arrays of numpy, for callables that take these."""

    device, on_host = "host", True

    def here(self, array: np.ndarray) -> Any:
        return array

    def host(self, arrays: list[Any]) -> Callable[[], np.ndarray]:
        return lambda: np.concatenate(arrays)

    def run(self, network: Callable[[Any], Any], rows: Any, shape: tuple[int, ...]) -> Any:
        return answers(network(rows.reshape(-1, *shape)))

    def kept(self, answers: Any) -> Any:
        return answers.copy()

    def codes(self, answers: Any, margins: tuple[int, Any] | None, classes: int) -> list[Any]:
        """As `Answers::class`, `Answers::margin` and `margin_code` of the Rust library."""
        if answers.ndim == 1:
            valid = (answers >= 0) & (answers < classes)
            return [np.where(valid, answers, INVALID).astype(np.uint16)]
        finite = np.isfinite(answers).all(1)
        # The first of equal ones.
        codes = [np.where(finite, answers.argmax(1), INVALID).astype(np.uint16)]
        if margins is not None:
            of_class, edges = margins
            others = np.where(np.arange(answers.shape[1]) == of_class, -np.inf, answers).max(1)
            with np.errstate(invalid="ignore", over="ignore"):
                margin = answers[:, of_class] - others.astype(np.float32)
            reached = (edges <= np.abs(margin)[:, None]).sum(1)
            valid = finite & np.isfinite(margin)
            codes.append(np.where(valid, reached, 0).astype(np.uint8))
        return codes


class WrongNoise(RuntimeError):
    """A device's noise is not the host's."""


class Noise:
    """The noisy samples of one run, on a device."""

    def __init__(self, library: Library, generator: str, seed: int, sigma: float) -> None:
        self.library = library
        self.host = _recert.Noise(generator, seed, sigma)
        self.generator, self.seed, self.sigma = generator, seed, sigma
        # The law's own number on the device: sigma, or the table of thresholds.
        law = self.host.table() if self.host.is_integer else np.array(float(self.host.scale()))
        self.law = library.here(law)
        self._image: tuple[bytes, Any] = (b"", None)
        # Rows and values of the batches that were compared: each is another program where compilers are.
        self._shown: set[tuple[int, int]] = set()

    def batches(
        self, stream: int, input: int, numbers: np.ndarray, pixels: np.ndarray, size: int
    ) -> Iterator[tuple[Any, Any]]:
        """The samples of these numbers in batches `[samples, values]`, and which of them are open, if any
        may be.

        As many rows are made each time, so that the device compiles one program alone.

        Raises:
            WrongNoise: where the first batch of a shape is not the host's, bit for bit.
        """
        if self.library.on_host:
            for start in range(0, len(numbers), size):
                made = self.of_host(stream, input, numbers[start : start + size], pixels)
                yield self.library.here(made), None
            return
        padded = np.pad(numbers, (0, -len(numbers) % size)).reshape(-1, size)
        ids = np.array([self.seed & _philox.LOW, self.seed >> 32, input, stream])
        ids, image = self.library.here(ids), self._placed(pixels)
        for i, row in enumerate(padded):
            count = min(size, len(numbers) - i * size)
            given = ids, self.library.here(row), self.law, image
            if self.host.is_integer:
                made, is_open = self.library.integer(*given)
                is_open = is_open[:count]
            else:
                made, is_open = self.library.gaussian(*given), None
            made = made[:count, : len(pixels)]
            if (size, len(pixels)) not in self._shown:
                self._compare(stream, input, row[:count], pixels, made, is_open)
                self._shown.add((size, len(pixels)))
            yield made, is_open

    def _compare(
        self,
        stream: int,
        input: int,
        numbers: np.ndarray,
        pixels: np.ndarray,
        made: Any,
        is_open: Any,
    ) -> None:
        """Compares a batch, and which of its samples are open, with the host's."""
        found = self.library.host([made])()
        expected = self.of_host(stream, input, numbers, pixels)
        differ = found.view(np.int32) != expected.view(np.int32)
        said = f"(stream {stream}, seed {self.seed}, sigma {self.sigma}, {self.generator})"
        if is_open is not None:
            flags = self.library.host([is_open])().astype(bool)
            ids = np.array([self.seed & _philox.LOW, self.seed >> 32, input, stream])
            levels = np.zeros(len(pixels) + -len(pixels) % _philox.TILE, dtype=np.int64)
            given = ids, numbers, self.host.table(), levels
            wrong = np.flatnonzero(flags != _philox.integer(_philox.of(np), *given)[1])
            if len(wrong):
                raise WrongNoise(
                    f"noise made on {self.library.device} does not tell which samples need further "
                    f"bits: sample {numbers[wrong[0]]} of input {input} {said}"
                )
            differ[flags] = False
        if differ.any():
            row, element = (int(i) for i in np.argwhere(differ)[0])
            raise WrongNoise(
                f"noise made on {self.library.device} is not the host's in {int(differ.sum())} of "
                f"{differ.size} values: element {element} of sample {numbers[row]} of input "
                f"{input} {said} is {found[row, element]!r}, not {expected[row, element]!r}"
            )

    def of_host(
        self, stream: int, input: int, numbers: np.ndarray, pixels: np.ndarray
    ) -> np.ndarray:
        """The same samples, made by the host."""
        out = np.empty((len(numbers), len(pixels)), dtype=np.float32)
        self.host.fill(stream, input, _ranges(numbers), pixels, out)
        return out

    def _placed(self, pixels: np.ndarray) -> Any:
        """The image on the device, padded to whole tiles: requests for one come together."""
        key = pixels.tobytes()
        if self._image[0] != key:
            values = pixels.astype(np.float64)
            if self.host.is_integer:
                values = np.rint(values * 255).astype(np.int64)
            values = np.pad(values, (0, -len(values) % _philox.TILE))
            self._image = key, self.library.here(values)
        return self._image[1]


def _ranges(numbers: np.ndarray) -> list[tuple[int, int]]:
    """Ascending numbers as ranges."""
    cuts = np.flatnonzero(np.diff(numbers) != 1) + 1
    return [(int(part[0]), int(part[-1]) + 1) for part in np.split(numbers, cuts)]


# Elements of sample 0 of input 7 (stream 1, seed 42), sigmas, and pixels for which the sum of pixel
# and noise is so near the middle of two float32 that rounding it twice is wrong, up and down.
_NEAR_TIES = [
    (353, 1.1912204200825727e-07, 1.0),
    (1560, 5.07309003694445e-08, 1.0 + 2.0**-23),
]
_SEEDS = [(0, 0, 0), (42, 1, 7), (2**64 - 1, 2, 2**32 - 1), (2**63 + 5, 4, 2**31), (2**32, 3, 9_999)]


def same_noise(library: Library, values: int = 3072) -> str | None:
    """What tells the noise of a device from the host's, or nothing.

    Compared are both laws, several streams, the ends of all numbers, samples that integer noise leaves
    open, and sums that are wrong where a compiler reorders them.
    """
    top = 2**32 - 1
    levels = np.random.default_rng(0).integers(0, 256, values)
    # The pixels that the host takes for grey levels.
    pixels = levels.astype(np.float32) / np.float32(255)
    # Of input 7 (stream 1, seed 42), integer noise of samples 1,046 and 1,537 needs further bits, which
    # change a value.
    numbers = np.array([0, 1, 1046, 1537, 99_999, 2**31 - 1, 2**31, top - 2, top - 1])
    cases = [
        (generator, sigma, seed, pixels)
        for generator, sigma in [(GAUSSIAN, 0.12), (GAUSSIAN, 1.0), (INTEGER, 0.25)]
        for seed in _SEEDS
    ]
    for element, sigma, pixel in _NEAR_TIES:
        tied = pixels.copy()
        tied[element] = pixel
        cases.append((GAUSSIAN, sigma, (42, 1, 7), tied))
    for generator, sigma, (seed, stream, input), image in cases:
        noise = Noise(library, generator, seed, sigma)
        try:
            list(noise.batches(stream, input, numbers, image, len(numbers)))
        except WrongNoise as wrong:
            return str(wrong)
    return None


class Worker:
    """Answers requests with a network on a device.

    Two threads may ask: while one waits for its codes, the other's work is begun, so that the device
    always has some.
    """

    def __init__(
        self,
        network: Callable[[Any], Any],
        library: Library,
        num_classes: int | None,
    ) -> None:
        self._network, self._library, self._classes = network, library, num_classes
        self._turn = threading.Lock()
        self._noise: tuple[Any, Noise] | None = None
        self._ended = 0.0

    def __call__(self, request: dict[str, Any], pixels: np.ndarray, batch: int) -> dict[str, Any]:
        with self._turn:
            begun = time.perf_counter()
            work = _Work(self, request, pixels, batch)
            work.begin()
        reply = work.end()
        with self._turn:
            # What was waited for the other thread's work is its time.
            begun, self._ended = max(begun, self._ended), time.perf_counter()
            reply["micros"] = int(1e6 * max(0.0, self._ended - begun))
        return reply

    def noise(self, request: dict[str, Any]) -> Noise:
        key = request["generator"], request["seed"], request["sigma"]
        if self._noise is None or self._noise[0] != key:
            self._noise = key, Noise(self._library, *key)
        return self._noise[1]

    def answers(self, rows: Any, shape: tuple[int, ...]) -> Any:
        """The network's answers to images of a shape that lie flat in rows."""
        answers = self._library.run(self._network, rows, shape)
        if len(answers) != len(rows):
            raise ValueError(
                f"{len(rows)} images were asked about, and {len(answers)} answered"
            )
        if answers.ndim == 2:
            self._classes = self._classes or int(answers.shape[1])
            if answers.shape[1] != self._classes:
                raise ValueError(
                    f"the network answers with {answers.shape[1]} logits an image, not "
                    f"{self._classes}"
                )
        return answers


class _Work:
    """One request that a worker is about."""

    def __init__(
        self, worker: Worker, request: dict[str, Any], pixels: np.ndarray, batch: int
    ) -> None:
        self._worker, self._library = worker, worker._library
        self._request, self._batch = request, batch
        self._pixels, self._shape = pixels.reshape(-1), pixels.shape
        self._noise = worker.noise(request)
        ranges = request["samples"]
        self._numbers = np.concatenate([np.arange(start, end) for start, end in ranges])
        self._selects = request["action"] == "select"
        self._margins = None
        if not self._selects and request["margins"] is not None:
            of_class, edges = request["margins"]
            self._margins = of_class, worker._library.here(np.array(edges, dtype=np.float32))
        self._waiting: list[Callable[[], np.ndarray]] = []
        self._open: Callable[[], np.ndarray] | None = None

    def begin(self) -> None:
        """Hands all of it to the device."""
        at = self._request["stream"], self._request["input"]
        given = self._noise.batches(*at, self._numbers, self._pixels, self._batch)
        batches, flags = [], []
        for rows, is_open in given:
            batches.append(self._kept(self._worker.answers(rows, self._shape)))
            if is_open is not None:
                flags.append(is_open)
        self._waiting = [self._library.host(list(part)) for part in zip(*batches)]
        self._open = self._library.host(flags) if flags else None

    def _kept(self, answers: Any) -> list[Any]:
        """What of a batch's answers crosses to the host: codes; of selection samples all, as the class
        follows from them."""
        if self._selects:
            return [self._library.kept(answers)]
        classes = min(self._worker._classes or INVALID, INVALID)
        return self._library.codes(answers, self._margins, classes)

    def end(self) -> dict[str, Any]:
        """Waits for the codes."""
        parts = [waiting() for waiting in self._waiting]
        is_open = self._open().astype(bool) if self._open is not None else np.zeros(0, bool)
        again = np.flatnonzero(is_open)
        if len(again):
            with self._worker._turn:
                self._settle(parts, again)
        if self._selects:
            given = parts[0]
            if given.ndim == 1:
                valid = (given >= 0) & (given < min(self._worker._classes or INVALID, INVALID))
                given = np.where(valid, given, -1).astype(np.int64)
            counts, invalid, edges = _recert.selection(given, self._request["margins"])
            return {"counts": counts, "invalid": invalid, "edges": edges}
        classes = np.ascontiguousarray(parts[0]).view(np.uint16)
        return {"classes": classes, "margins": parts[1] if len(parts) > 1 else None}

    def _settle(self, parts: list[np.ndarray], again: np.ndarray) -> None:
        """Answers samples again that integer noise left open, on samples that the host makes."""
        at = self._request["stream"], self._request["input"]
        for start in range(0, len(again), self._batch):
            rows = again[start : start + self._batch]
            made = self._noise.of_host(*at, self._numbers[rows], self._pixels)
            kept = self._kept(self._worker.answers(self._library.here(made), self._shape))
            for part, values in zip(parts, kept):
                part[rows] = self._library.host([values])()
