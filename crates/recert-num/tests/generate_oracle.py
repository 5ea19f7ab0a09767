"""Writes the reference tables in tests/oracle from 70 digits of arithmetic.

Needs mpmath (and is faster where gmpy2 is installed). Run from the crate's folder:

    python tests/generate_oracle.py

Nothing here comes from the crate. A binomial tail is the probability of k, from mpmath's
loggamma and log, times the sum of the ratios of successive probabilities in integer
fixed point; the Clopper-Pearson bound is its root by Newton's method, started from a normal
approximation and stopped where the step is below 1e-45 relative. For n up to 40 the root
is then checked against the exact rational tail on both sides. Phi comes from mpmath's erfc
and Phi^-1 from Newton's method on it.

Every reference value stands in the table as two doubles, the nearest and what it leaves
out, about 32 digits.
"""

import math
import pathlib
import random
from fractions import Fraction

import mpmath as mp

mp.mp.dps = 70
BITS = 260
random.seed(20240602)
HERE = pathlib.Path(__file__).parent / "oracle"


def parts(x):
    hi = float(x)
    return [hi, float(x - mp.mpf(hi))]


def write(name, header, rows):
    lines = [header] + [",".join(repr(x) for x in row) for row in rows]
    HERE.joinpath(name).write_text("\n".join(lines) + "\n")
    print(name, len(rows), "rows")


def choose_log(n, k):
    return mp.loggamma(n + 1) - mp.loggamma(k + 1) - mp.loggamma(n - k + 1)


def tail_and_mass(k, n, p, q, log_choose):
    """P(X >= k) and P(X = k) for X ~ Bin(n, p), q = 1 - p."""
    mass = mp.exp(log_choose + k * mp.log(p) + (n - k) * (mp.log(q) if n > k else 0))
    odds = int(mp.floor(mp.ldexp(p / q, BITS)))
    term = total = 1 << BITS
    left, down = n - k, k + 1
    while left > 0 and term > 0:
        term = ((term * odds) >> BITS) * left // down
        total += term
        left -= 1
        down += 1
        if term < total >> 215 and odds * left < (down << BITS):
            break
    return mass * mp.ldexp(mp.mpf(total), -BITS), mass


def root(k, n, alpha, p):
    """The p with P(Bin(n, p) >= k) = alpha and its complement, from a first guess p."""
    alpha = mp.mpf(alpha)
    if k == n:
        log = mp.log(alpha) / n
        return mp.exp(log), -mp.expm1(log)
    log_choose = choose_log(n, k)
    # Newton for ln T in the log-odds, whose slope is k P(X = k) q / T.
    y = mp.log(p) - mp.log(1 - p) if not isinstance(p, tuple) else mp.log(p[0]) - mp.log(p[1])
    for _ in range(60):
        p = 1 / (1 + mp.exp(-y))
        q = 1 / (1 + mp.exp(y))
        tail, mass = tail_and_mass(k, n, p, q, log_choose)
        slope = k * mass * q / tail
        step = -(mp.log(tail) - mp.log(alpha)) / slope
        y += max(min(step, 2), -2)
        if abs(step) < mp.mpf(10) ** -23:
            # Newton's error is squared: p is now good to 1e-45.
            p = 1 / (1 + mp.exp(-y))
            return p, 1 / (1 + mp.exp(y))
    raise RuntimeError((k, n, alpha))


def normal_quantile(p):
    return -mp.sqrt(2) * mp.erfinv(1 - 2 * mp.mpf(p)) if p > 1e-15 else -mp.sqrt(-2 * mp.log(p))


def first_guess(k, n, alpha):
    """Abramowitz and Stegun 26.5.22 for Beta(k, n - k + 1), kept away from 0 and 1."""
    a, b, z = k, n - k + 1, -float(normal_quantile(alpha))
    if a == 1:
        p = -math.expm1(math.log1p(-alpha) / b)
        return mp.mpf(p), 1 - mp.mpf(p)
    lam = (z * z - 3) / 6
    r, s = 1 / (2 * a - 1), 1 / (2 * b - 1)
    h = 2 / (r + s)
    w = z * math.sqrt(max(h + lam, 0)) / h - (s - r) * (lam + 5 / 6 - 2 / (3 * h))
    odds = mp.mpf(b) / a * mp.exp(2 * min(max(w, -200), 200))
    return 1 / (1 + odds), odds / (1 + odds)


def lower(k, n, alpha):
    if k == 0:
        return mp.mpf(0)
    p, _ = root(k, n, alpha, first_guess(k, n, alpha))
    check_exactly(k, n, alpha, p)
    return p


def upper(k, n, alpha):
    if k == n:
        return mp.mpf(1)
    p, q = root(n - k, n, alpha, first_guess(n - k, n, alpha))
    check_exactly(n - k, n, alpha, p)
    return q


def check_exactly(k, n, alpha, p):
    """The exact tail is below alpha just below p and above it just above."""
    if n > 40:
        return
    for sign in (-1, 1):
        x = p * (1 + sign * mp.mpf(10) ** -42)
        x = Fraction(int(mp.floor(x * mp.mpf(2) ** 400)), 2**400)
        tail = sum(math.comb(n, j) * x**j * (1 - x) ** (n - j) for j in range(k, n + 1))
        assert (tail > Fraction(alpha)) == (sign > 0), (k, n, alpha)


def clopper_pearson():
    rows = []
    alphas = [0.5, 0.05, 0.01, 0.002, 0.001, 1e-6, 1e-12]

    def draw_alpha():
        return 10 ** random.uniform(-12, math.log10(0.5))

    cases = set()
    for n in (1, 2, 3, 5, 10, 40):
        for k in range(n + 1):
            for alpha in alphas:
                cases.add((k, n, alpha))
    for n in (100, 1000, 3999, 4000, 4001, 10**4, 10**5, 10**6, 10**7, 10**8):
        for k in {0, 1, 2, n // 1000, n // 100, n // 2, n - n // 100, n - 2, n - 1, n}:
            cases.add((k, n, random.choice(alphas)))
            cases.add((k, n, draw_alpha()))
        for k in (1999, 2000, 2001):
            if k <= n:
                cases.add((k, n, draw_alpha()))
                cases.add((n - k, n, draw_alpha()))
    while len(cases) < 2600:
        n = int(10 ** random.uniform(0, 8))
        kind = random.random()
        if kind < 0.15:
            k = random.choice((0, 1, 2, 3, n - 3, n - 2, n - 1, n))
        elif kind < 0.3:
            k = round(n / 2 + random.uniform(-3, 3) * math.sqrt(n))
        elif kind < 0.5:
            k = int(10 ** random.uniform(0, math.log10(n) if n > 1 else 0))
        elif kind < 0.7:
            k = n - int(10 ** random.uniform(0, math.log10(n) if n > 1 else 0))
        else:
            k = random.randint(0, n)
        if 0 <= k <= n:
            cases.add((k, n, draw_alpha()))
    for k, n, alpha in sorted(cases):
        rows.append([k, n, alpha] + parts(lower(k, n, alpha)) + parts(upper(k, n, alpha)))
    write("clopper_pearson.csv", "k,n,alpha,lower,lower_rest,upper,upper_rest", rows)


def phi(x):
    return mp.erfc(-mp.mpf(x) / mp.sqrt(2)) / 2


def normal():
    points = [0.0, 1.5, -1.5, math.nextafter(1.5, 2), math.nextafter(-1.5, -2), 37.5, -37.5, 1e-300, -1e-17, 1e-9]
    points += [random.uniform(-37.5, 37.5) for _ in range(400)]
    points += [random.uniform(-8.3, 8.3) for _ in range(400)]
    points += [random.choice((-1, 1)) * 10 ** random.uniform(-12, 0) for _ in range(100)]
    write("normal.csv", "x,value,rest", [[x] + parts(phi(x)) for x in points])


def quantile(p):
    # Newton for ln Phi on the smaller side, from the asymptotic start.
    small = mp.mpf(p) if p < 0.5 else 1 - mp.mpf(p)
    z = -mp.sqrt(-2 * mp.log(small)) if small < 0.1 else -(mp.mpf(0.5) - small) * mp.sqrt(2 * mp.pi)
    for _ in range(200):
        value = phi(z)
        density = mp.exp(-z * z / 2) / mp.sqrt(2 * mp.pi)
        step = -mp.log(value / small) * value / density
        z += step
        if abs(step) <= abs(z) * mp.mpf(10) ** -30:
            return z if p < 0.5 else -z
    raise RuntimeError(p)


def quantiles():
    points = [1e-300, math.nextafter(1, 0), 0.25, 0.75, math.nextafter(0.25, 0), math.nextafter(0.75, 1), 0.975, 0.841]
    points += [math.nextafter(0.5, 0), math.nextafter(0.5, 1)]
    points += [10 ** random.uniform(-300, -0.31) for _ in range(250)]
    points += [1 - 10 ** random.uniform(-15.9, -0.31) for _ in range(250)]
    points += [random.random() for _ in range(300)]
    points += [0.5 + random.choice((-1, 1)) * 10 ** random.uniform(-16, -1) for _ in range(100)]
    points = [p for p in points if 1e-300 <= p < 1 and p != 0.5]
    write("quantile.csv", "p,value,rest", [[p] + parts(quantile(p)) for p in points])


if __name__ == "__main__":
    normal()
    quantiles()
    clopper_pearson()
