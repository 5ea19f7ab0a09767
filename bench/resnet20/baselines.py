"""Speed-ups over certifying from scratch, from the recorded counts `sigmaS.counts.tsv`.

The baselines are those of docs/glossary.md, all one-sided, as nothing is recorded of the
runner-up:

- from scratch: f's class, no selection samples, h's own m samples of every input;
- planned: the same, with 0, 100, .. 1,000 samples of each input, chosen by f's counts alone, as
  `auto` spends a budget: along the concave majorants of the expected radii;
- the paper's baseline: from scratch with 100 selection samples an input.

h's counts are measured: `own` of the rows of `irs`, h's answers with f's class among its first m.
"""

import csv
import math
import random
import statistics

ALPHA = 0.002
SELECTION = 100
RESAMPLES = 400


def lower_bound(k, n, alpha, known={}):
    """One-sided Clopper-Pearson bound below, by bisection on the tail."""
    if k == 0:
        return 0.0
    if (k, n, alpha) not in known:
        choose = [math.lgamma(n + 1) - math.lgamma(i + 1) - math.lgamma(n - i + 1) for i in range(k, n + 1)]
        low, high = 0.0, k / n
        if k == n:
            low = high = alpha ** (1 / n)
        while high - low > 1e-9:
            p = (low + high) / 2
            a, b = math.log(p), math.log1p(-p)
            tail = math.fsum(math.exp(c + i * a + (n - i) * b) for i, c in enumerate(choose, k))
            low, high = (p, high) if tail < alpha else (low, p)
        known[k, n, alpha] = low
    return known[k, n, alpha]


def radius(sigma, p):
    """sigma Phi^-1(p), 0 where nothing is certified."""
    return sigma * statistics.NormalDist().inv_cdf(p) if p > 0.5 else 0.0


def curve(points):
    """(cost, quality) pairs in order of cost, those no better than a cheaper one left out."""
    kept = []
    for cost, quality in sorted(points, key=lambda point: (point[0], -point[1])):
        if not kept or quality > kept[-1][1]:
            kept.append((cost, quality))
    return kept


def speed_up(scratch, own):
    """Ratio of the areas under cost against quality, over the qualities both reach."""
    scratch, own = curve(scratch), curve(own)
    low = max(scratch[0][1], own[0][1])
    high = min(scratch[-1][1], own[-1][1])

    def area(points):
        total = 0.0
        for (c0, q0), (c1, q1) in zip(points, points[1:]):
            left, right = max(low, q0), min(high, q1)
            if left < right:
                slope = (c1 - c0) / (q1 - q0)
                total += (right - left) * (c0 + slope * ((left + right) / 2 - q0))
        return total

    return area(scratch) / area(own) if low < high else None


def read_counts(path):
    """The rows of `sigmaS.counts.tsv` by (network, method, m, idx)."""
    rows = {}
    with open(path, encoding="utf-8", newline="") as source:
        for row in csv.DictReader(source, delimiter="\t"):
            rows[row["network"], row["method"], int(row["m"]), int(row["idx"])] = row
    return rows


def own_radius(sigma, own, m):
    """The radius that h's own count certifies; below one half there is none, and no bound is needed."""
    return radius(sigma, lower_bound(own, m, ALPHA)) if 2 * own > m else 0.0


def expected(sigma, share, m):
    """The radius to expect from m samples of which this share is answered with the class."""
    count = share * m
    below = math.floor(count)
    part = count - below
    at = lambda own: own_radius(sigma, min(own, m), m)
    return at(below) * (1 - part) + (at(below + 1) * part if part else 0.0)


def plan(sigma, shares, sizes, budget):
    """How many samples each input gets: the steepest steps of the concave majorants first."""
    steps = []
    for i, share in enumerate(shares):
        hull = [(0, 0.0)]
        for m in sizes:
            point = (m, expected(sigma, share, m))
            if point[1] <= hull[-1][1]:
                continue
            slope = lambda a, b: (b[1] - a[1]) / (b[0] - a[0])
            while len(hull) > 1 and slope(hull[-2], hull[-1]) <= slope(hull[-1], point):
                hull.pop()
            hull.append(point)
        steps += [(-slope(a, b), i, b[0] - a[0], b[0]) for a, b in zip(hull, hull[1:])]
    spent, chosen, closed = 0, [0] * len(shares), set()
    for _, i, cost, m in sorted(steps, key=lambda step: step[0]):
        if i in closed or spent + cost > budget:
            closed.add(i)
            continue
        spent += cost
        chosen[i] = m
    return chosen


def summarize(sigma, rows, networks):
    """For each network its speed-ups; the error is one standard error over images."""
    sizes = sorted({m for name, _, m, _ in rows if name != "f"})
    top = next(m for name, _, m, _ in rows if name == "f")
    ids = sorted({i for *_, i in rows})
    f = [rows["f", "certify", top, i] for i in ids]
    shares = [int(row["k"]) / int(row["n"]) for row in f]
    right = [row["class"] == row["label"] for row in f]
    mean = statistics.fmean
    found = {}
    for name in networks:
        def credit(i, m):
            return own_radius(sigma, int(rows[name, "irs", m, ids[i]]["own"]), m) if m and right[i] else 0.0

        everything = range(len(ids))
        scratch = [[credit(i, m) for i in everything] for m in sizes]
        irs = [[float(rows[name, "irs", m, i]["radius"]) if ok else 0.0 for i, ok in zip(ids, right)] for m in sizes]
        cost = [m * len(ids) for m in sizes]
        charged = [(m + SELECTION) * len(ids) for m in sizes]
        # What the paper's program does: nothing is spent where f is wrong by the label.
        skipping = [m * sum(right) for m in sizes]
        budgets = [share * len(ids) for share in (10, 15, 25, 35, 50, 70, *sizes)]
        plans = [plan(sigma, shares, sizes, budget) for budget in budgets]
        planned = [(sum(p), mean(credit(i, m) for i, m in enumerate(p))) for p in plans]

        def ratio(over, own=cost, picked=everything):
            quality = lambda runs: [mean([run[i] for i in picked]) for run in runs]
            return speed_up(zip(over, quality(scratch)), zip(own, quality(irs)))

        rng = random.Random(0)
        draws = [[rng.randrange(len(ids)) for _ in ids] for _ in range(RESAMPLES)]
        spread = [r for r in (ratio(cost, picked=d) for d in draws) if r is not None]
        found[name] = {
            "speed_up": ratio(cost),
            "speed_up_error": statistics.stdev(spread),
            "speed_up_of_planning": speed_up(zip(cost, map(mean, scratch)), planned),
            "speed_up_over_planned": speed_up(planned, zip(cost, map(mean, irs))),
            "speed_up_over_the_papers_baseline": ratio(charged),
            "speed_up_skipping_by_label": ratio(cost, skipping),
        }
    return found
