"""The noise of `recert-noise`, in arrays of numpy, PyTorch or JAX: on whatever device these are.

It is the same noise, bit for bit, and not only up to rounding. Everything here is either integer
arithmetic that wraps at 64 bits, or an operation of float64 that IEEE 754 defines exactly, and the
float32 operations of the definition are made of these (`_Float32`). So no library of sines, no
contraction of a product and a sum (the products are exact), and no order of evaluation can tell two
devices apart, as long as a compiler does not reorder sums. `_device` compares every device with the
host before it is used.

`docs/python.md` ("Noise where the network is") has the argument in full; the definition is the
documentation of the crate `recert-noise`.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

LOW = 0xFFFFFFFF
# Elements of a tile, and its blocks of four words.
TILE, LANES = 64, 16
# A float64 with the bits of a float32 has these bits zero.
_BELOW = (1 << 29) - 1
_ROOT_HALF = int(np.array(np.float32(np.sqrt(np.float32(2))) / 2, dtype=np.float64).view(np.int64))


def _constants(*values: float) -> list[float]:
    return [float(np.float32(value)) for value in values]


# As in `recert-noise/src/gaussian.rs`, to the bit.
LOG = _constants(
    -0.6666782, 0.50002676, -0.39926127, 0.3315517, -0.29829535, 0.28534973, -0.17400873
)
SIN = _constants(1.5707964, -0.6459666, 0.07971168, -0.0046833395)
COS = _constants(1.0, -1.2337005, 0.25366852, -0.020855254, 0.0008935733)
[_LN_2] = _constants(np.log(2.0))


def of(library: Any) -> SimpleNamespace:
    """What this module needs of `numpy`, `torch`, or `jax.numpy`: the few names that differ."""
    name = library.__name__
    if name == "torch":
        return SimpleNamespace(
            arange=lambda n, like: library.arange(n, dtype=library.int64, device=like.device),
            bits=lambda x: x.view(library.int64),
            floats=lambda b: b.view(library.float64),
            double=lambda x: x.to(library.float64),
            single=lambda x: x.to(library.float32),
            whole=lambda x: x.to(library.int64),
            where=library.where,
            sqrt=library.sqrt,
            stack=lambda parts: library.stack(parts, dim=-2),
            above=lambda table, x: library.searchsorted(table, x, right=True),
        )
    if name == "jax.numpy":
        import jax

        bitcast = jax.lax.bitcast_convert_type
        bits, floats = (
            lambda x: bitcast(x, library.int64), lambda b: bitcast(b, library.float64)
        )
    else:
        bits, floats = (lambda x: x.view(np.int64), lambda b: b.view(np.float64))
    return SimpleNamespace(
        arange=lambda n, like: library.arange(n, dtype=library.int64),
        bits=bits,
        floats=floats,
        double=lambda x: x.astype(library.float64),
        single=lambda x: x.astype(library.float32),
        whole=lambda x: x.astype(library.int64),
        where=library.where,
        sqrt=library.sqrt,
        stack=lambda parts: library.stack(parts, axis=-2),
        above=lambda table, x: library.searchsorted(table, x, side="right"),
    )


def philox(counter: tuple[Any, Any, Any, Any], key: tuple[Any, Any]) -> tuple[Any, Any, Any, Any]:
    """Philox4x32-10: four words of 32 bits, each in an int64, from four such words and two.

    Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
    """
    x0, x1, x2, x3 = counter
    k0, k1 = key
    for _ in range(10):
        # Products wrap, so that the sign is bit 63; shifting copies it, and the mask takes it off.
        p0, p1 = x0 * 0xD2511F53, x2 * 0xCD9E8D57
        x0, x1 = ((p1 >> 32) ^ x1 ^ k0) & LOW, p1 & LOW
        x2, x3 = ((p0 >> 32) ^ x3 ^ k1) & LOW, p0 & LOW
        k0, k1 = (k0 + 0x9E3779B9) & LOW, (k1 + 0xBB67AE85) & LOW
    return x0, x1, x2, x3


class _Float32:
    """Operations of float32 on numbers that are kept in float64: each is rounded once.

    A product of two float32 is exact in float64. A sum in float64 is rounded to 53 bits, and
    rounding that again to 24 could be wrong where the first rounding meets the middle of two
    float32. So it is rounded to odd first (Boldo and Melquiond, "Emulation of FMA and correctly
    rounded sums: proved algorithms using rounding to odd", IEEE Trans. Computers 2008): towards
    zero, and the last bit set where that was inexact. The error of a sum, which says whether and in
    which direction it was, is exact (Dekker 1971; Knuth's form where either may be the larger).
    """

    def __init__(self, ops: SimpleNamespace) -> None:
        self.ops = ops

    def round(self, x: Any) -> Any:
        """To the nearest float32, ties to even; for numbers that are neither tiny nor huge."""
        bits = self.ops.bits(x)
        bits = bits + (_BELOW >> 1) + ((bits >> 29) & 1)
        return self.ops.floats(bits & ~_BELOW)

    def _odd(self, total: Any, error: Any) -> Any:
        """The sum of `total` and `error`, less than half a unit of its last place, rounded to odd."""
        ops = self.ops
        bits = ops.bits(total)
        inward = ops.whole((error < 0) != (total < 0))
        return ops.floats(ops.where(error == 0, bits, (bits - inward) | 1))

    def multiply(self, a: Any, b: Any) -> Any:
        return self.round(a * b)

    def fma(self, a: Any, b: Any, c: Any) -> Any:
        """a b + c, where |c| >= |a b|."""
        product = a * b
        total = product + c
        return self.round(self._odd(total, product - (total - c)))

    def fma_of_smaller(self, a: Any, b: Any, c: Any) -> Any:
        """a b + c, where |a b| >= |c|, or a b = 0."""
        product = a * b
        total = product + c
        return self.round(self._odd(total, c - (total - product)))

    def fma_to_single(self, a: Any, b: Any, c: Any) -> Any:
        """a b + c in float32, whatever they are."""
        product = a * b
        total = product + c
        part = total - product
        error = (product - (total - part)) + (c - part)
        # The conversion rounds to nearest, also below the least normal number.
        return self.ops.single(self._odd(total, error))

    def horner(self, coefficients: list[float], x: Any) -> Any:
        """A polynomial whose coefficients are each above the sum of the later terms."""
        value = self.fma(coefficients[-1], x, coefficients[-2])
        for coefficient in coefficients[-3::-1]:
            value = self.fma(value, x, coefficient)
        return value


def _signed(word: Any) -> Any:
    """A word as a signed number of 32 bits."""
    return (word ^ 0x80000000) - 0x80000000


def _radius(ops: SimpleNamespace, w0: Any, w1: Any) -> Any:
    """sqrt(-2 ln U), with U from all of `w0` and the low 8 bits of `w1`."""
    single = _Float32(ops)
    low = ops.double(w1 & 0xFF) * 2.0**-40 + 2.0**-41
    # Multiples of 2^-41 below 1: the sums are exact in float64.
    signed = single.round(single.round(ops.double(_signed(w0))) * 2.0**-32 + low)
    uniform = ops.where(signed < 0, single.round(1.0 + signed), signed)
    offset = ops.bits(uniform) - _ROOT_HALF
    exponent = offset >> 52
    mantissa = ops.floats((offset & ((1 << 52) - 1)) + _ROOT_HALF)
    f = ops.where(exponent == 0, signed, mantissa - 1.0)
    part = single.fma(single.horner(LOG, f), f, 1.0)
    part = single.multiply(single.fma(part, f, -2.0), f)
    square = single.fma_of_smaller(ops.double(exponent), -2.0 * _LN_2, part)
    # A root of 24 bits that is rounded to 53 first is rounded rightly (Figueroa 1995).
    return single.round(ops.sqrt(square))


def _direction(ops: SimpleNamespace, w1: Any) -> tuple[Any, Any]:
    """(cos 2 pi T, sin 2 pi T), with T from the upper 24 bits of `w1`."""
    single = _Float32(ops)
    v = ops.double(_signed(((w1 << 2) & 0xFFFFFC00) | 0x200)) * 2.0**-32
    square = single.multiply(v, v)
    sine = single.multiply(single.horner(SIN, square), v)
    cosine = single.horner(COS, square)
    axis = w1 + 0x20000000
    odd = (axis & 0x40000000) != 0
    x, y = ops.where(odd, sine, cosine), ops.where(odd, cosine, sine)
    x = ops.where(((axis + 0x40000000) & 0x80000000) != 0, -x, x)
    return x, ops.where((axis & 0x80000000) != 0, -y, y)


def _words(ops: SimpleNamespace, ids: Any, samples: Any, elements: int) -> tuple[Any, ...]:
    """The words of all blocks, each `[samples, tiles, LANES]`. `ids`: key (low, high), input, stream."""
    tiles = -(-elements // TILE)
    block = ops.arange(tiles * LANES, samples).reshape(1, tiles, LANES)
    key, (input, stream) = (ids[0:1], ids[1:2]), (ids[2:3], ids[3:4])
    return philox((block, samples.reshape(-1, 1, 1), input, stream), key)


def _tiled(image: Any, part: int) -> Any:
    """Part `part` of each tile of an image that is padded to whole tiles: `[1, tiles, LANES]`."""
    return image.reshape(1, -1, TILE // LANES, LANES)[:, :, part]


def _flat(ops: SimpleNamespace, parts: list[Any], elements: int) -> Any:
    """The parts of the tiles as rows of so many elements."""
    all_of_them = ops.stack(parts)
    return all_of_them.reshape(all_of_them.shape[0], -1)[:, :elements]


def gaussian(ops: SimpleNamespace, ids: Any, samples: Any, sigma: Any, image: Any) -> list[Any]:
    """The parts of noisy samples, float32 `[samples, tiles, LANES]` each: image + sigma z.

    `samples` are int64, `sigma` a float32 in float64, and `image` float32 in float64, padded to whole
    tiles.
    """
    single = _Float32(ops)
    w = _words(ops, ids, samples, image.shape[-1])
    parts = []
    for pair in range(2):
        w0, w1 = w[2 * pair], w[2 * pair + 1]
        radius = _radius(ops, w0, w1)
        for side, axis in enumerate(_direction(ops, w1)):
            z = single.multiply(radius, axis)
            parts.append(single.fma_to_single(sigma, z, _tiled(image, 2 * pair + side)))
    return parts


def integer(
    ops: SimpleNamespace, ids: Any, samples: Any, table: Any, levels: Any
) -> tuple[list[Any], Any]:
    """The parts of noisy samples, (level + E)/255, and whether a sample's first words leave any of it open.

    `table` are the leading 31 bits of the thresholds of the law, ascending, in int64; `levels` grey
    levels, in int64, padded to whole tiles. What is open needs further words, which the host makes.
    """
    parts, is_open = [], None
    for part, word in enumerate(_words(ops, ids, samples, levels.shape[-1])):
        first = word & 0x7FFFFFFF
        # How many thresholds are not above the word; one that is equal leaves it open.
        below = ops.above(table, first)
        magnitude = ops.whole(table.shape[0] - below)
        last = table[ops.where(below > 0, below - 1, 0)]
        found = ((below > 0) & (last == first)).any(-1).any(-1)
        is_open = found if is_open is None else is_open | found
        noise = ops.where(word > 0x7FFFFFFF, -magnitude, magnitude)
        # Whole numbers of 24 bits: rounding to 53 bits first does no harm (Figueroa 1995).
        parts.append(ops.single(ops.double(_tiled(levels, part) + noise) / 255.0))
    return parts, is_open


def flat(ops: SimpleNamespace, parts: list[Any], elements: int) -> Any:
    """Noisy samples, `[samples, elements]`, from their parts."""
    return _flat(ops, parts, elements)
