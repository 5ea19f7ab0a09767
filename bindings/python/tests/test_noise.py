"""Noise where the network is: the same bits as the host's, and the same ledger."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from conftest import ROOT

import recert
from recert import _philox, _recert
from recert._classify import Prepared, answers
from recert._device import (
    GAUSSIAN,
    INTEGER,
    INVALID,
    Library,
    Noise,
    Worker,
    WrongNoise,
    same_noise,
)

GOLDEN = ROOT / "crates" / "recert-noise" / "tests" / "golden"
TOP = 2**32 - 1
SMALL = {"sigma": 0.25, "n": 700, "n0": 20, "progress": False}


class Numpy(Library):
    """Arrays of numpy as if they lay elsewhere."""

    device = "numpy"
    ops = _philox.of(np)

    def here(self, array: np.ndarray) -> np.ndarray:
        return array

    def host(self, arrays: list[np.ndarray]) -> Callable[[], np.ndarray]:
        whole = np.concatenate(arrays)
        return lambda: whole

    def gaussian(self, ids: Any, samples: Any, sigma: Any, image: Any) -> Any:
        parts = _philox.gaussian(self.ops, ids, samples, sigma, image)
        return _philox.flat(self.ops, parts, image.shape[-1])

    def integer(self, ids: Any, samples: Any, table: Any, levels: Any) -> tuple[Any, Any]:
        parts, is_open = _philox.integer(self.ops, ids, samples, table, levels)
        return _philox.flat(self.ops, parts, levels.shape[-1]), is_open

    def run(self, network: Callable[[Any], Any], rows: Any, shape: tuple[int, ...]) -> Any:
        return answers(network(rows.reshape(-1, *shape)))

    def kept(self, given: np.ndarray) -> np.ndarray:
        return given.copy()

    def codes(self, given: np.ndarray, margins: Any, classes: int) -> list[np.ndarray]:
        if given.ndim == 1:
            valid = (given >= 0) & (given < classes)
            return [np.where(valid, given, INVALID).astype(np.uint16)]
        finite = np.isfinite(given).all(1)
        found = [np.where(finite, given.argmax(1), INVALID).astype(np.uint16)]
        if margins is not None:
            of_class, edges = margins
            margin = np.abs(given[:, of_class] - np.delete(given, of_class, axis=1).max(1))
            reached = (np.array(edges, dtype=np.float32) <= margin[:, None]).sum(1)
            found.append(np.where(finite, reached, 0).astype(np.uint8))
        return found


def rows(name: str) -> list[dict[str, str]]:
    with open(GOLDEN / name) as file:
        return list(csv.DictReader(file, delimiter="\t"))


def ids(row: dict[str, str]) -> tuple[int, int, int, int]:
    seed, stream, input, sample = (int(row[name]) for name in ("seed", "stream", "input", "copy"))
    return seed, stream, input, sample


def fnv(values: np.ndarray) -> str:
    found = 0xCBF29CE484222325
    for byte in values.tobytes():
        found = (found ^ byte) * 0x100000001B3 % 2**64
    return f"{found:016x}"


def normals(seed: int, stream: int, input: int, sample: int, count: int) -> np.ndarray:
    """Noise of one sample, as it is added to a black image with a sigma of 1."""
    noise = Noise(Numpy(), GAUSSIAN, seed, 1.0)
    black = np.zeros(count, dtype=np.float32)
    [(made, _)] = unseen(noise, count).batches(stream, input, np.array([sample]), black, 1)
    return made[0]


def unseen(noise: Noise, count: int) -> Noise:
    """The same noise, not compared with the host's: rational arithmetic is the oracle here, and the host has
    no range that ends after the last of all numbers."""
    noise._shown.add((1, count))
    return noise


def grouped(name: str, most: int, *more: str) -> dict[Any, list[dict[str, str]]]:
    """Rows of elements below `most`, by sample."""
    groups: dict[Any, list[dict[str, str]]] = {}
    for row in rows(name):
        if int(row["element"]) < most:
            key = (*ids(row), *(float(row[name]) for name in more))
            groups.setdefault(key, []).append(row)
    return groups


def test_gaussian_noise_is_the_one_of_exact_arithmetic() -> None:
    """Values that rational arithmetic gave, which knows neither this code nor the library's."""
    for key, group in grouped("values.tsv", 4000).items():
        found = normals(*key, 4000)
        for row in group:
            assert f"{found[int(row['element'])].view(np.uint32):08x}" == row["bits"], row
    for row in rows("hashes.tsv"):
        assert fnv(normals(*ids(row), int(row["len"]))) == row["fnv1a"], row


def test_integer_noise_is_the_one_of_exact_arithmetic() -> None:
    open_ones = 0
    black = np.zeros(5000, dtype=np.float32)
    for (seed, stream, input, sample, sigma), group in grouped(
        "integer_values.tsv", 5000, "sigma"
    ).items():
        noise = unseen(Noise(Numpy(), INTEGER, seed, sigma), 5000)
        [(made, is_open)] = noise.batches(stream, input, np.array([sample]), black, 1)
        # What further bits decide is marked, and made by the host.
        if any(row["decided"] != "first" for row in group):
            assert is_open[0]
            open_ones += 1
            made = noise.of_host(stream, input, np.array([sample]), black)
        for row in group:
            assert round(float(made[0, int(row["element"])]) * 255) == int(row["noise"]), row
    assert open_ones > 0


@pytest.mark.parametrize("generator", [GAUSSIAN, INTEGER])
def test_a_device_makes_the_bits_of_the_host(generator: str) -> None:
    assert same_noise(Numpy()) is None
    rng = np.random.default_rng(1)
    edges = [0, 1, 2**16, 2**31 - 1, 2**31, TOP - 1]
    for values in (1, 63, 64, 65, 3 * 28 * 28):
        pixels = rng.integers(0, 256, values).astype(np.float32) / np.float32(255)
        numbers = np.unique(np.concatenate([edges, rng.integers(0, TOP, 20)]))
        for _ in range(6):
            seed = [0, 2**64 - 1, int(rng.integers(0, 2**63)) * 2 + 1][int(rng.integers(3))]
            input, sigma = int(rng.choice([0, TOP, 12_345])), float(rng.choice([0.01, 0.12, 1.0]))
            stream = int(rng.integers(0, 6))
            noise = Noise(Numpy(), generator, seed, sigma)
            batches = list(noise.batches(stream, input, numbers, pixels, 9))
            made = np.concatenate([made for made, _ in batches])
            is_open = None
            if generator == INTEGER:
                is_open = np.concatenate([is_open for _, is_open in batches])
            expected = noise.of_host(stream, input, numbers, pixels)
            settled = slice(None) if is_open is None else ~is_open
            assert np.array_equal(made.view(np.int32)[settled], expected.view(np.int32)[settled])


class WithoutErrors(Numpy):
    """What a compiler makes of it that takes a + b - a for b: the errors of sums are 0."""

    def gaussian(self, *given: Any) -> Any:
        odd, _philox._Float32._odd = _philox._Float32._odd, lambda _, total, error: total
        try:
            return super().gaussian(*given)
        finally:
            _philox._Float32._odd = odd


class InFloat32(Numpy):
    """Noise that is right up to rounding: the sum is rounded twice."""

    def gaussian(self, ids: Any, samples: Any, sigma: Any, image: Any) -> Any:
        z = super().gaussian(ids, samples, np.array(1.0), image * 0.0)
        return image.astype(np.float32) + np.float32(sigma) * z


class OneBit(Numpy):
    """Integer noise with one sign in ten thousand turned."""

    def integer(self, *given: Any) -> tuple[Any, Any]:
        made, is_open = super().integer(*given)
        made = made.copy()
        made[:, 999] *= -1
        return made, is_open


class WithoutFlags(Numpy):
    """Integer noise that does not tell which samples need further bits."""

    def integer(self, *given: Any) -> tuple[Any, Any]:
        made, is_open = super().integer(*given)
        return made, np.zeros_like(is_open)


class OneShape(Numpy):
    """A compiler that is right at the shape of the comparison alone."""

    def gaussian(self, ids: Any, samples: Any, sigma: Any, image: Any) -> Any:
        made = super().gaussian(ids, samples, sigma, image)
        return made if image.shape[-1] == 3072 else made + np.float32(0.5)


def test_every_shape_is_compared_when_it_is_first_used() -> None:
    library = OneShape()
    assert same_noise(library) is None
    noise = Noise(library, GAUSSIAN, 0, 0.25)
    with pytest.raises(WrongNoise, match="in 8 of 8 values"):
        list(noise.batches(1, 0, np.arange(2), np.zeros(4, dtype=np.float32), 2))


def of_worker(network: Callable[[Any], Any], **asked: Any) -> dict[str, Any]:
    """What a worker replies on 100 samples of a grey image, in batches of 32."""
    request = {
        "generator": GAUSSIAN, "seed": 0, "sigma": 0.25, "stream": 1, "input": 0,
        "samples": [(0, 100)], "margins": False if asked["action"] == "select" else None, **asked,
    }
    return Worker(network, Numpy(), 3)(request, np.full((1, 2, 2), 0.5, np.float32), 32)


def test_a_class_out_of_range_is_no_class() -> None:
    network = lambda batch: np.where(of_classes(batch) == 1, 1, 7)  # noqa: E731
    classes = of_worker(network, action="answer")["classes"]
    assert set(classes.tolist()) == {1, INVALID}
    selected = of_worker(network, action="select")
    assert list(selected["counts"]) == [1]
    assert selected["invalid"] == 100 - selected["counts"][1] > 0


def test_a_network_may_use_its_output_again() -> None:
    room = np.zeros((32, 3), dtype=np.float32)

    def reusing(batch: np.ndarray) -> np.ndarray:
        out = room[: len(batch)]
        out[:] = linear(batch)
        return out

    expected, found = (of_worker(net, action="select") for net in (linear, reusing))
    assert len(expected["counts"]) > 1 and found["counts"] == expected["counts"]


@pytest.mark.parametrize(
    ("library", "says"),
    [
        (WithoutFlags(), "which samples need further bits: sample 1046 of input 7"),
        (WithoutErrors(), "element 353 of sample 0 of input 7"),
        (InFloat32(), GAUSSIAN),
        (OneBit(), f"element 999 of sample 0 .*{INTEGER}"),
    ],
)
def test_a_device_with_other_noise_is_found(library: Library, says: str) -> None:
    wrong = same_noise(library)
    assert wrong is not None and re.search(says, wrong), wrong


def linear(batch: np.ndarray) -> np.ndarray:
    """Three logits, of which one is never a number where an image is very bright."""
    means = batch.mean(axis=(1, 2, 3))
    logits = np.stack([0.5 - means, means - 0.5, 0.02 - (means - 0.5) ** 2], axis=1)
    logits[means > 1.15] = np.nan
    return logits.astype(np.float32)


def of_classes(batch: np.ndarray) -> np.ndarray:
    return (batch.mean(axis=(1, 2, 3)) > 0.5).astype(np.int64)


def callable_of(network: Callable[[Any], Any], on_device: bool, id: str = "f") -> Prepared:
    return Prepared(
        function=lambda batch: answers(network(batch)),
        num_classes=3,
        name=id,
        sha256=id.encode().ljust(32, b"."),
        bytes=1,
        engine="python",
        version="1",
        arithmetic="as in the model",
        batch_invariant=False,
        deterministic=True,
        note=None,
        answer=Worker(network, Numpy(), 3) if on_device else None,
    )


@pytest.mark.parametrize("noise", ["gaussian", "integer"])
@pytest.mark.parametrize("network", [linear, of_classes])
def test_the_ledger_is_the_same_wherever_noise_is_made(
    tmp_path, greys, noise: str, network: Callable[[Any], Any]
) -> None:
    images, _ = greys
    here, there = tmp_path / "here", tmp_path / "there"
    a = recert.certify(
        callable_of(network, False), images, ledger=here, noise=noise, batch=48, **SMALL
    )
    b = recert.certify(
        callable_of(network, True), images, ledger=there, noise=noise, batch=48, **SMALL
    )
    assert np.array_equal(a["class"], b["class"]) and np.array_equal(a["radius"], b["radius"])
    counts = [recert.Ledger(ledger).counts() for ledger in (here, there)]
    assert np.array_equal(counts[0].counts, counts[1].counts)
    assert np.array_equal(counts[0].invalid, counts[1].invalid)
    # Either goes on where the other stopped, and any sample is the same when it is run again by
    # the host: classes, margins and selections.
    more = recert.certify(
        callable_of(network, False), images, ledger=there, noise=noise, batch=48, **SMALL
    )
    assert more.new_evaluations == 0
    check = recert.check(
        there, rerun=10**6, model=callable_of(network, False), images=images
    )
    assert check.holds and check["rerun"]["samples"] == 6 * 700


def test_one_pass_has_networks_here_and_there(tmp_path, greys) -> None:
    """A pair's two answers are on the same sample, whichever of both makes it."""
    images, _ = greys
    ledger = tmp_path / "run"
    recert.certify(callable_of(linear, True), images, ledger=ledger, **SMALL)
    shifted = lambda batch: linear(batch + np.float32(0.01))  # noqa: E731
    networks = [callable_of(shifted, on, f"h{i}") for i, on in enumerate((True, False))]
    found = recert.recertify(ledger, networks, images, budget="30%", progress=False)
    radii = [found["radius"][found["network"] == position] for position in (0, 1)]
    assert len(radii[0]) == 6 and np.array_equal(*radii)
    again = [callable_of(linear, False), *(callable_of(shifted, False, f"h{i}") for i in (0, 1))]
    assert recert.check(ledger, rerun=10**6, model=again, images=images).holds


def test_what_fails_there_is_the_cause(greys) -> None:
    images, _ = greys

    def broken(batch: np.ndarray) -> np.ndarray:
        if len(batch) > 1:
            raise OverflowError("no room")
        return linear(batch)

    network = callable_of(linear, False)
    network.answer = Worker(broken, Numpy(), 3)
    with pytest.raises(recert.EngineError, match="no room") as caught:
        recert.certify(network, images, **SMALL)
    assert isinstance(caught.value.__cause__, OverflowError)


def test_a_reply_that_does_not_fit_is_refused(greys) -> None:
    images, _ = greys
    network = callable_of(linear, False)

    def short(request: dict[str, Any], pixels: np.ndarray, batch: int) -> dict[str, Any]:
        assert pixels.shape == (1, 2, 2) and batch == 32
        reply = Worker(linear, Numpy(), 3)(request, pixels, batch)
        return {**reply, "classes": reply["classes"][1:]} if "classes" in reply else reply

    network.answer = short
    with pytest.raises(recert.WorkersError, match="exactly one valid answer code"):
        recert.certify(network, images, **SMALL)


def test_noise_is_asked_for_somewhere(greys) -> None:
    images, _ = greys
    for where, says in [("device", "name the device"), ("cuda", "which is not imported")]:
        if where == "cuda" and "torch" in __import__("sys").modules:
            continue
        with pytest.raises(recert.ParameterError, match=says) as caught:
            recert.certify(linear, images, id="f", noise_on=where, **SMALL)
        assert caught.value.field == "noise_on"


def test_the_host_refuses_what_does_not_fit() -> None:
    noise = _recert.Noise(GAUSSIAN, 0, 0.25)
    pixels = np.zeros(4, dtype=np.float32)
    for ranges, says in [([(0, 2)], "2 samples .* do not fit"), ([(2, 1)], "ascending")]:
        with pytest.raises(ValueError, match=says):
            noise.fill(1, 0, ranges, pixels, np.zeros((3, 4), dtype=np.float32))
    with pytest.raises(ValueError, match="no stream 9"):
        noise.fill(9, 0, [(0, 3)], pixels, np.zeros((3, 4), dtype=np.float32))
    with pytest.raises(ValueError, match="unknown to this version"):
        _recert.Noise("randn", 0, 0.25)
