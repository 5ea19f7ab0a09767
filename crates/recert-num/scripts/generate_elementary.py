"""Writes tests/oracle/{exp,ln,ln_1p_minus}.csv: reference values for the private functions.

Needs mpmath. Run from the crate's folder: python scripts/generate_elementary.py
Every value is given as a double and what it leaves out, from 80 digits.
"""

import math
import pathlib
import random

import mpmath as mp

mp.mp.dps = 80
random.seed(20240601)
HERE = pathlib.Path(__file__).parent.parent / "tests/oracle"


def parts(x, count):
    out = []
    for _ in range(count):
        out.append(float(x))
        x -= mp.mpf(out[-1])
    return out


def write(name, header, rows):
    lines = [header] + [",".join(repr(x) for x in row) for row in rows]
    HERE.joinpath(name).write_text("\n".join(lines) + "\n")


step = math.log(2) / 32
points = [0.0, 1e-300, -1e-300, 708.0, -708.0]
points += [j * step + step / 2 * s for j in (-32000, -100, -1, 0, 1, 2, 33, 1000) for s in (-1, -0.999, 0, 0.999, 1)]
points += [random.uniform(-40, 1) for _ in range(150)] + [random.uniform(-708, 708) for _ in range(150)]
points += [random.choice((-1, 1)) * 10 ** random.uniform(-20, 0) for _ in range(60)]
write("exp.csv", "x,value,rest", [[x] + parts(mp.exp(mp.mpf(x)), 2) for x in points])

points = [(1.0, 0.0), (2.0, 0.0), (math.sqrt(2), 0.0), (math.nextafter(math.sqrt(2), 3), 0.0), (2.0**200, 0.0), (2.0**-250, 0.0)]
for _ in range(150):
    hi = 2 ** random.uniform(-250, 250)
    points.append((hi, hi * random.uniform(-1, 1) * 2**-54))
for _ in range(150):
    hi = 1 + random.choice((-1, 1)) * 2 ** random.uniform(-52, -1)
    points.append((hi, hi * random.uniform(-1, 1) * 2**-54))
points = [(hi, (hi + lo) - hi if lo == 0 else lo) for hi, lo in points]
write("ln.csv", "hi,lo,value,rest,rest2", [[hi, lo] + parts(mp.log(mp.mpf(hi) + mp.mpf(lo)), 3) for hi, lo in points])

points = [0.2, -0.2, 1e-12, -1e-12] + [random.uniform(-0.2, 0.2) for _ in range(200)]
points += [random.choice((-1, 1)) * 10 ** random.uniform(-9, -1) for _ in range(100)]
write("ln_1p_minus.csv", "v,value,rest", [[v] + parts(mp.log1p(mp.mpf(v)) - mp.mpf(v), 2) for v in points])
