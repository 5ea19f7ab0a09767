"""Golden integer noise, from the definition of the stream and independent of the Rust code.

Writes integer_table.tsv: for every sigma the number of thresholds, FNV-1a (64
bits) over all of them (16 little-endian bytes each), and single ones in
hexadecimal: floor(2^128 Phi(-(i + 1/2)/(255 sigma))), from mpmath's
complementary error function with 80 digits.

Writes integer_values.tsv: the noise of single elements in grey levels, and the
bits of the float32 pixel (level + noise)/255, from rational arithmetic with
one rounding. Rows marked "open" are elements whose 31 bits equal those of a
threshold, so that further bits decide. Writes integer_hashes.tsv: FNV-1a over
the pixels of whole copies of the image whose element j has level 37 j mod 256.

Run: python make_integer.py    (Python 3, mpmath and numpy; numpy only finds the open elements)
"""

from bisect import bisect_left
from fractions import Fraction as F
from functools import cache
from pathlib import Path
import struct

import mpmath as mp
import numpy as np

mp.mp.dps = 80
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


def words_of_blocks(numbers, seed, stream, inp, copy):
    """The words of many blocks at once."""
    full = lambda v: np.full(len(numbers), v, dtype=np.uint64)
    c = [numbers.astype(np.uint64), full(copy), full(inp), full(stream)]
    k = [seed & MASK, seed >> 32]
    for _ in range(10):
        p0, p1 = np.uint64(0xD2511F53) * c[0], np.uint64(0xCD9E8D57) * c[2]
        low, top = np.uint64(MASK), np.uint64(32)
        c = [(p1 >> top) ^ c[1] ^ np.uint64(k[0]), p1 & low,
             (p0 >> top) ^ c[3] ^ np.uint64(k[1]), p0 & low]
        k = [(k[0] + 0x9E3779B9) & MASK, (k[1] + 0xBB67AE85) & MASK]
    return c


@cache
def thresholds(sigma):
    """q_0 > q_1 > .. of a sigma that is an exact float."""
    s = 255 * F(sigma)
    q, i = [], 0
    while (i + F(1, 2)) / s <= F(58, 5):
        x = (i + F(1, 2)) / s
        x = mp.mpf(x.numerator) / x.denominator
        q.append(int(mp.floor(mp.erfc(x / mp.sqrt(2)) * mp.mpf(2) ** 127)))
        i += 1
    return q


@cache
def ascending(sigma):
    return [-q for q in thresholds(sigma)]


def noise(sigma, seed, stream, inp, copy, j):
    """The noise of one element, and whether further bits decided."""
    tile, r = divmod(j, 64)
    block, part = 16 * tile + r % 16, r // 16
    key = [seed & MASK, seed >> 32]
    word = philox([block, copy, inp, stream], key)[part]
    more = philox([block, copy, inp, stream + (part + 1) * 2**24], key)
    v = word & 0x7FFFFFFF
    for w in more[:3]:
        v = v << 32 | w
    magnitude = bisect_left(ascending(sigma), -v)  # The number of q with v < q.
    q = thresholds(sigma)
    near = [q[i] for i in (magnitude - 1, magnitude) if 0 <= i < len(q)]
    return (-magnitude if word >> 31 else magnitude), any(t >> 96 == v >> 96 for t in near)


def pixel_bits(n):
    """The bits of the float32 nearest to n/255."""
    if n == 0:
        return 0
    x = F(abs(n), 255)
    e = x.numerator.bit_length() - x.denominator.bit_length()
    e = e if F(2) ** e <= x else e - 1
    ulp = F(2) ** (e - 23)
    value = float(round(x / ulp) * ulp)
    return struct.unpack("<I", struct.pack("<f", -value if n < 0 else value))[0]


def fnv(data):
    h = 0xCBF29CE484222325
    for byte in data:
        h = ((h ^ byte) * 0x100000001B3) % 2**64
    return f"{h:016x}"


def open_elements(sigma, seed, stream, inp, copy, blocks, most):
    """Elements of a long copy that further bits decide."""
    first = np.unique(np.array([q >> 96 for q in thresholds(sigma)], dtype=np.uint64))
    found = []
    numbers = np.arange(blocks)
    for part, word in enumerate(words_of_blocks(numbers, seed, stream, inp, copy)):
        for b in np.nonzero(np.isin(word & np.uint64(0x7FFFFFFF), first))[0]:
            found.append(int(b) // 16 * 64 + part * 16 + int(b) % 16)
    return sorted(found)[:most]


here = Path(__file__).parent
top = (1 << 32) - 1
sigmas = [2.0**-10, 0.12, 0.25, 0.5, 1.0]
with open(here / "integer_table.tsv", "w") as out:
    out.write("sigma\tcount\tfnv1a\tindex\tthreshold\n")
    for sigma in [*sigmas, 16.0]:
        q = thresholds(sigma)
        h = fnv(b"".join(t.to_bytes(16, "little") for t in q))
        for i in sorted({0, 1, len(q) // 8, len(q) // 3, len(q) // 2, len(q) - 2, len(q) - 1}):
            out.write(f"{sigma!r}\t{len(q)}\t{h}\t{i}\t{q[i]:032x}\n")

keys = [(0, 0, 0, 0), (42, 1, 7, 99_999), (2**64 - 1, 2, top, top), (2**63 + 5, 4, 1, 2**31)]
elements = [0, 1, 15, 16, 31, 32, 47, 48, 63, 64, 100, 783, 3071, 150_527]
with open(here / "integer_values.tsv", "w") as out:
    out.write("seed\tstream\tinput\tcopy\tsigma\telement\tnoise\tbits\tdecided\n")
    for key in keys:
        for sigma in sigmas:
            for j in elements:
                e, is_open = noise(sigma, *key, j)
                how = "open" if is_open else "first"
                row = [*key, sigma, j, e, f"{pixel_bits(37 * j % 256 + e):08x}", how]
                out.write("\t".join(map(str, row)) + "\n")
    for sigma, key, blocks in [(16.0, keys[1], 2**17), (16.0, keys[3], 2**16), (1.0, keys[0], 2**19)]:
        for j in open_elements(sigma, *key, blocks, 8):
            e, is_open = noise(sigma, *key, j)
            assert is_open
            row = [*key, sigma, j, e, f"{pixel_bits(37 * j % 256 + e):08x}", "open"]
            out.write("\t".join(map(str, row)) + "\n")
with open(here / "integer_hashes.tsv", "w") as out:
    out.write("seed\tstream\tinput\tcopy\tsigma\tlen\tfnv1a\n")
    for key, sigma, length in [(keys[1], 0.25, 3072), (keys[2], 0.5, 784), (keys[3], 1.0, 3072)]:
        data = b"".join(
            struct.pack("<I", pixel_bits(37 * j % 256 + noise(sigma, *key, j)[0]))
            for j in range(length))
        out.write("\t".join(map(str, [*key, sigma, length, fnv(data)])) + "\n")
