"""Writes src/tables.rs: the constants of recert-num, each rounded to nearest from 60 digits.

Needs mpmath. Run from the crate's folder: python scripts/generate_tables.py
"""

import pathlib

import mpmath as mp

mp.mp.dps = 60
NODES = 28


def near(x):
    """The double nearest to x (mpmath rounds to nearest even)."""
    return float(mp.mpf(x))


def dd(x):
    hi = near(x)
    return hi, near(mp.mpf(x) - mp.mpf(hi))


def dd_literal(x):
    hi, lo = dd(x)
    return f"Dd {{ hi: {hi!r}, lo: {lo!r} }}"


def array(name, doc, values, kind="f64"):
    body = "".join(f"    {v},\n" for v in values)
    return f"/// {doc}\npub(crate) const {name}: [{kind}; {len(values)}] = [\n{body}];\n\n"


def legendre_roots(n):
    """Nodes in (0, 1) and weights (summing to 1) of the n-point Gauss-Legendre rule."""
    nodes, weights = [], []
    for i in range(n):
        x = mp.cos(mp.pi * (i + mp.mpf(3) / 4) / (n + mp.mpf(1) / 2))
        for _ in range(60):
            p0, p1 = mp.mpf(1), x
            for j in range(2, n + 1):
                p0, p1 = p1, ((2 * j - 1) * x * p1 - (j - 1) * p0) / j
            slope = n * (x * p1 - p0) / (x * x - 1)
            step = p1 / slope
            x -= step
            if abs(step) < mp.mpf(10) ** -55:
                break
        nodes.append((1 - x) / 2)
        weights.append(1 / ((1 - x * x) * slope * slope))
    assert abs(sum(weights) - 1) < mp.mpf(10) ** -50
    return nodes, weights


def stirling(m):
    """ln(m!) minus the leading Stirling terms."""
    m = mp.mpf(m)
    return mp.loggamma(m + 1) - (mp.log(2 * mp.pi * m) / 2 + m * mp.log(m) - m)


out = [
    "//! Constants of the numerics: written by `scripts/generate_tables.py`, each rounded to nearest.\n\n"
    "#![expect(\n"
    "    clippy::unreadable_literal,\n"
    "    clippy::approx_constant,\n"
    '    reason = "generated constants are read by machines: their digits are not grouped, and the trusted \\\n'
    '              values are all in this one table"\n'
    ")]\n\n"
    "use crate::dd::Dd;\n\n"
]
c = mp.log(2) / 32
# Truncated to 36 significant bits, so that its product with a 17-bit integer is exact.
c1 = mp.floor(c * mp.mpf(2) ** 41) / mp.mpf(2) ** 41
out.append("/// ln 2.\npub(crate) const LN_2: Dd = " + dd_literal(mp.log(2)) + ";\n\n")
out.append(f"/// 32 / ln 2.\npub(crate) const INV_STEP: f64 = {near(32 / mp.log(2))!r};\n\n")
out.append(f"/// The leading 36 bits of ln 2 / 32, a multiple of 2^-41.\npub(crate) const STEP_HIGH: f64 = {near(c1)!r};\n\n")
out.append(f"/// ln 2 / 32 less its leading bits.\npub(crate) const STEP_LOW: f64 = {near(c - c1)!r};\n\n")
out.append(f"/// 1 / (2 pi).\npub(crate) const INV_TWO_PI: f64 = {near(1 / (2 * mp.pi))!r};\n\n")
out.append(f"/// 1 / sqrt(2 pi).\npub(crate) const INV_SQRT_TWO_PI: f64 = {near(1 / mp.sqrt(2 * mp.pi))!r};\n\n")
out.append("/// 1/3.\npub(crate) const THIRD: Dd = " + dd_literal(mp.mpf(1) / 3) + ";\n\n")
out.append("/// 1/5.\npub(crate) const FIFTH: Dd = " + dd_literal(mp.mpf(1) / 5) + ";\n\n")
out.append(array("EXP2_32", "2^(j/32) for j = 0..32.", [repr(near(mp.mpf(2) ** (mp.mpf(j) / 32))) for j in range(32)]))
out.append(array("LN_64THS", "ln(i/64) for i = 45..=91.", [dd_literal(mp.log(mp.mpf(i) / 64)) for i in range(45, 92)], "Dd"))
out.append(array("STIRLING", "The Stirling remainder ln(m!) - ln(sqrt(2 pi m) (m/e)^m) for m = 1..=15.", [repr(near(stirling(m))) for m in range(1, 16)]))
nodes, weights = legendre_roots(NODES)
out.append(array("GAUSS_NODES", f"Nodes of the {NODES}-point Gauss-Legendre rule on [0, 1].", [repr(near(x)) for x in nodes]))
out.append(array("GAUSS_WEIGHTS", "Weights that go with [`GAUSS_NODES`]; they sum to 1.", [repr(near(w)) for w in weights]))
pathlib.Path(__file__).parent.parent.joinpath("src/tables.rs").write_text("".join(out).rstrip() + "\n")
