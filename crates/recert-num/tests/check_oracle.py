"""Checks a sample of tests/oracle/clopper_pearson.csv in ball arithmetic (Arb).

Needs python-flint. Run from the crate's folder: python tests/check_oracle.py
For every bound the incomplete beta function must cross alpha within a relative 2^-98 of it;
Arb's enclosures make each comparison a proof. Only n up to 20,000, for speed.
"""

import csv
import pathlib
import random

from flint import acb, arb, ctx

ctx.prec = 400
random.seed(5)
path = pathlib.Path(__file__).parent / "oracle/clopper_pearson.csv"
rows = list(csv.DictReader(path.open()))
bounds = failures = 0
for row in random.sample(rows, 400):
    k, n, alpha = int(row["k"]), int(row["n"]), arb(float(row["alpha"]))
    if n > 20_000:
        continue
    for count, name in ((k, "lower"), (n - k, "upper")):
        if count == 0:
            continue
        bounds += 1
        exact = arb(float(row[name])) + arb(float(row[name + "_rest"]))
        for sign in (-1, 1):
            x = exact * (1 + sign * arb(2) ** -98)
            p = x if name == "lower" else 1 - x
            excess = acb(p).beta_lower(count, n - count + 1, regularized=1).real - alpha
            # The tail rises with p, so it falls with the upper bound.
            above = (sign > 0) == (name == "lower")
            if not (excess > 0 if above else excess < 0):
                failures += 1
                print("not confirmed:", k, n, row["alpha"], name, sign, excess)
print(bounds, "bounds,", failures, "comparisons not confirmed")
