"""Golden noise values, from the definition of the stream and independent of the Rust code.

Writes values.tsv: for chosen (seed, stream, input, copy, element) the exact
transform of the generator's words (mpmath, 40 digits, printed with 20) and the
bits of the float32 that the crate must give. The bits come from evaluating the
documented sequence of operations in rational arithmetic with one rounding to
nearest, ties to even, an operation. Writes hashes.tsv: FNV-1a (64 bits) over
the little-endian bits of whole copies.

Run: python make_golden.py    (Python 3 and mpmath)
"""

from fractions import Fraction as F
from math import isqrt
from pathlib import Path
import struct

import mpmath as mp

mp.mp.dps = 40
MASK = 0xFFFFFFFF


def philox(counter, key):
    """Philox4x32-10 as published (Salmon et al., SC 2011)."""
    c, k = list(counter), list(key)
    for _ in range(10):
        p0, p1 = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(p1 >> 32) ^ c[1] ^ k[0], p1 & MASK, (p0 >> 32) ^ c[3] ^ k[1], p0 & MASK]
        k = [(k[0] + 0x9E3779B9) & MASK, (k[1] + 0xBB67AE85) & MASK]
    return c


assert philox([0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344], [0xA4093822, 0x299F31D0]) == [
    0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1]


def exponent(x):
    """floor(log2 x) of a positive fraction."""
    e = x.numerator.bit_length() - x.denominator.bit_length()
    return e if F(2) ** e <= x else e - 1


def rn(x):
    """A fraction rounded to float32 (normal range), ties to even, as a fraction."""
    if x == 0:
        return F(0)
    ulp = F(2) ** (exponent(abs(x)) - 23)
    return round(x / ulp) * ulp


def f32(x):
    """A decimal constant as the float32 that a compiler reads."""
    return rn(F(x))


def root(x):
    """The square root of a positive float32, rounded to float32."""
    shift = 23 - exponent(x) // 2  # The root times 2^shift lies in [2^23, 2^24).
    y = 4 * x * F(4) ** shift
    half_units = isqrt(y.numerator // y.denominator)
    # No root is a tie, since a tie's square has more bits than a float32.
    return F((half_units + 1) // 2) / F(2) ** shift


LOG = [f32(c) for c in ("-0.6666782", "0.50002676", "-0.39926127", "0.3315517",
                        "-0.29829535", "0.28534973", "-0.17400873")]
SIN = [f32(c) for c in ("1.5707964", "-0.6459666", "0.07971168", "-0.0046833395")]
COS = [f32(c) for c in ("1", "-1.2337005", "0.25366852", "-0.020855254", "0.0008935733")]
LN_2 = f32("0.693147180559945309417232121458")
ROOT_HALF = struct.unpack("<f", struct.pack("<I", 0x3F3504F3))[0]


def horner(c, x):
    v = c[-1]
    for k in reversed(c[:-1]):
        v = rn(v * x + k)
    return v


def pair_bits(w0, w1):
    """The two float32 normals as the crate evaluates them."""
    signed = lambda w: w - (1 << 32) if w >> 31 else w
    inner = rn(F(w1 & 0xFF) / 2**40 + F(1, 2**41))
    s = rn(rn(F(signed(w0))) / 2**32 + inner)
    u = rn(1 + s) if s < 0 else s
    e = exponent(u)
    m = u / F(2) ** e
    if m >= 2 * F(ROOT_HALF):
        m, e = m / 2, e + 1
    f = s if e == 0 else rn(m - 1)
    q = rn(rn(rn(horner(LOG, f) * f + 1) * f - 2) * f)
    r = root(rn(F(e) * (-2 * LN_2) + q))
    v = rn(F(signed(((w1 << 2) & 0xFFFFFC00) | 0x200))) / 2**32
    square = rn(v * v)
    sine, cosine = rn(horner(SIN, square) * v), horner(COS, square)
    axis = ((w1 + 0x20000000) & MASK) >> 30
    x, y = [(cosine, sine), (-sine, cosine), (-cosine, -sine), (sine, -cosine)][axis]
    return rn(r * x), rn(r * y)


def pair_exact(w0, w1):
    """The exact transform of the definition."""
    u = (mp.mpf(256 * w0 + (w1 & 0xFF)) + mp.mpf(1) / 2) / 2**40
    t = (mp.mpf(w1 >> 8) + mp.mpf(1) / 2) / 2**24
    r = mp.sqrt(-2 * mp.log(u))
    return r * mp.cos(2 * mp.pi * t), r * mp.sin(2 * mp.pi * t)


def words(seed, stream, inp, copy, j):
    """The word pair of element j and its side."""
    tile, r = divmod(j, 64)
    w = philox([16 * tile + r % 16, copy, inp, stream], [seed & MASK, seed >> 32])
    p = 2 * (r // 32)
    return w[p], w[p + 1], (r // 16) % 2


def bits(x):
    return struct.unpack("<I", struct.pack("<f", float(x)))[0]


here = Path(__file__).parent
top = (1 << 32) - 1
keys = [(0, 0, 0, 0), (1, 1, 0, 0), (42, 1, 7, 99_999), (2**64 - 1, 2, top, top),
        (0x0123456789ABCDEF, 3, 9_999, 1), (2**63 + 5, 4, 1, 2**31)]
elements = [0, 1, 15, 16, 31, 32, 47, 48, 63, 64, 100, 783, 3071, 150_527]
with open(here / "values.tsv", "w") as out:
    out.write("seed\tstream\tinput\tcopy\telement\tbits\texact\n")
    for key in keys:
        for j in elements:
            w0, w1, side = words(*key, j)
            z, exact = pair_bits(w0, w1)[side], pair_exact(w0, w1)[side]
            assert abs(mp.mpf(z.numerator) / z.denominator - exact) <= abs(exact) / 2**21
            row = [*key, j, f"{bits(z):08x}", mp.nstr(exact, 20, strip_zeros=False)]
            out.write("\t".join(map(str, row)) + "\n")
with open(here / "hashes.tsv", "w") as out:
    out.write("seed\tstream\tinput\tcopy\tlen\tfnv1a\n")
    for key, length in [(keys[2], 3072), (keys[3], 784), (keys[4], 3072)]:
        h = 0xCBF29CE484222325
        for j in range(length):
            w0, w1, side = words(*key, j)
            for byte in struct.pack("<I", bits(pair_bits(w0, w1)[side])):
                h = ((h ^ byte) * 0x100000001B3) % 2**64
        out.write("\t".join(map(str, [*key, length, f"{h:016x}"])) + "\n")
