#!/usr/bin/env python3
"""Turns the ledgers that run.sh wrote into the raw results and tables kept here.

    bench/resnet20/summarize.py WORK [RESULTS]

WORK is run.sh's folder. RESULTS (default: results/ beside this script) gets
`sigmaS.counts.tsv`, the raw counts of every input of every run at sigma S, and
`summary.json`, every figure of the tables. The tables are printed as Markdown.

Only Python's standard library is used, and nothing of recert: ledger.py counts
every answer afresh, and average certified radii and speed-ups are compared with
the `*.json` that `recert report` wrote, where there is one. Any difference
stops the script. Clopper-Pearson bounds computed here are plain
double precision: they describe, they prove nothing.
"""

import json
import math
import random
import statistics
import sys
from collections import Counter
from pathlib import Path

from ledger import near, read

NETWORKS = ["fp16", "bf16", "int8", "prune5", "prune10", "prune20"]
# Ugare et al., ICLR 2024: average speed-ups for ResNet-20 on CIFAR-10.
PUBLISHED = {
    "0.25": dict(zip(NETWORKS, [1.37, 1.29, 1.30, 1.30, 1.25, 0.99])),
    "0.50": dict(zip(NETWORKS, [1.79, 1.70, 1.77, 1.63, 1.39, 1.13])),
    "1.00": dict(zip(NETWORKS, [2.85, 2.41, 2.65, 2.50, 2.09, 1.39])),
}
# The same paper: average zeta, ResNet-110, sigma 1, 1,000 copies.
PUBLISHED_ZETA = {("1.00", "int8"): 0.009, ("1.00", "prune10"): 0.010}
RESAMPLES = 400


def lower_bound(k, n, alpha):
    """One-sided Clopper-Pearson bound below, by bisection on the tail."""
    if k == 0:
        return 0.0
    choose = [math.lgamma(n + 1) - math.lgamma(i + 1) - math.lgamma(n - i + 1) for i in range(k, n + 1)]
    low, high = 0.0, k / n
    for _ in range(60):
        p = (low + high) / 2
        a, b = math.log(p), math.log1p(-p)
        tail = math.fsum(math.exp(c + i * a + (n - i) * b) for i, c in enumerate(choose, k))
        low, high = (p, high) if tail < alpha else (low, p)
    return low


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


def down(value, places=6):
    """A lower bound as text, rounded down."""
    return f"{math.floor(value * 10**places) / 10**places:.{places}f}"


def write_counts(path, labels, certificates):
    """The raw counts: one row an input of a run."""
    columns = "network method m idx label class k n disagreements own lost gained zeta p_lower radius bound evaluations"
    with open(path, "w", encoding="utf-8", newline="\n") as out:
        print(*columns.split(), sep="\t", file=out)
        for (name, method, m, idx), row in certificates.items():
            shown = dict(row, network=name, method=method, m=m, idx=idx, label=labels[idx])
            shown["p_lower"], shown["radius"] = down(row["p"]), down(row["radius"])
            if "zeta" in row:
                shown["zeta"] = f"{math.ceil(row['zeta'] * 1e6) / 1e6:.6f}"
            print(*(shown.get(column, "") for column in columns.split()), sep="\t", file=out)


def summarize(sigma_text, sigma, labels, selected, answers, certificates, storage):
    """The figures of one sigma: f's, and each approximation's."""
    ids = list(labels)
    mean = statistics.fmean
    column = lambda name, method, m, key: [certificates[name, method, m, i][key] for i in ids]
    n = next(m for name, _, m, _ in certificates if name == "f")
    sizes = sorted({m for name, _, m, _ in certificates if name != "f"})
    top = sizes[-1]
    f_top = []
    for i in ids:
        p = lower_bound(answers["f", i][:top].count(selected[i]), top, 0.002)
        f_top.append(radius(sigma, p) if selected[i] == labels[i] else 0.0)
    # Given an image its copies are independent, so no code can be shorter on average.
    seen = [(k, n) for i in ids for k in Counter(answers["f", i]).values()]
    storage["f"]["entropy"] = -sum(k * math.log2(k / whole) for k, whole in seen) / 8
    out = {
        "sigma": sigma, "inputs": len(ids), "n": n, "m": sizes, "storage": storage,
        "f": {"acr": mean(column("f", "certify", n, "credit")), "acr_at_m": mean(f_top)},
        "approximations": {},
    }
    for name in NETWORKS:
        scratch = [column(name, "direct", m, "credit") for m in sizes]
        own = [column(name, "irs", m, "credit") for m in sizes]
        costs = {
            kind: [sum(column(name, kind, m, "evaluations")) for m in sizes] for kind in ("direct", "irs")
        }
        bare = [m * len(ids) for m in sizes]

        # What the paper's program does: nothing is spent where f is wrong by the label.
        skipping = [m * sum(selected[i] == labels[i] for i in ids) for m in sizes]

        def ratio(picked, scratch_costs, own_costs=costs["irs"]):
            quality = lambda runs: [mean([run[i] for i in picked]) for run in runs]
            return speed_up(zip(scratch_costs, quality(scratch)), zip(own_costs, quality(own)))

        everything = range(len(ids))
        rng = random.Random(0)
        draws = [[rng.randrange(len(ids)) for _ in ids] for _ in range(RESAMPLES)]
        spread = [r for r in (ratio(d, costs["direct"]) for d in draws) if r is not None]
        parity = [sum(scratch[-1][i] for i in d) / sum(f_top[i] for i in d) for d in draws]
        rate = lambda key: [x / top for x in column(name, "irs", top, key)]
        lost, gained, differ = rate("lost"), rate("gained"), rate("disagreements")
        out["approximations"][name] = {
            "acr_scratch": [mean(run) for run in scratch],
            "acr_irs": [mean(run) for run in own],
            "evaluations": costs,
            "acr_over_f_at_equal_copies": mean(scratch[-1]) / mean(f_top),
            "acr_over_f_error": statistics.stdev(parity),
            "mean_rate_difference": mean(abs(g - l) for g, l in zip(gained, lost)),
            "zeta": mean(column(name, "irs", top, "zeta")),
            "disagreement": mean(differ), "disagreement_max": max(differ),
            "loss": mean(lost), "gain": mean(gained),
            "speed_up": ratio(everything, costs["direct"]),
            "speed_up_error": statistics.stdev(spread),
            "speed_up_without_n0": ratio(everything, bare),
            "speed_up_skipping_by_label": ratio(everything, bare, skipping),
            "published_speed_up": PUBLISHED[sigma_text][name],
            "published_zeta": PUBLISHED_ZETA.get((sigma_text, name)),
        }
    return out


def compare(path, sigma_text, summary):
    """Checks ACR and speed-ups against `recert report --json`."""
    checked = 0
    for run in json.loads(path.read_text(encoding="utf-8"))["runs"]:
        name = run["network"].removeprefix(f"resnet20_sigma{sigma_text}.").removesuffix(".onnx")
        if name not in NETWORKS:
            near(summary["f"]["acr"], run["metrics"]["acr"], f"{path.name}: ACR of f")
            continue
        ours, at = summary["approximations"][name], summary["m"].index(run["n"])
        irs = run["method"]["kind"] == "recertify"
        near(ours["acr_irs" if irs else "acr_scratch"][at], run["metrics"]["acr"], f"{path.name}: ACR of {name}")
        if irs:
            near(ours["speed_up"], run["metrics"]["speed_up"]["average_evaluations"], f"{path.name}: {name}")
        checked += 1
    print(f"{path.name}: {checked} runs agree with the report", file=sys.stderr)


def table(head, rows):
    """Prints a Markdown table."""
    print("\n| " + " | ".join(head) + " |\n|" + "---|" * len(head))
    for row in rows:
        print("| " + " | ".join(row) + " |")


def main():
    work = Path(sys.argv[1]) if len(sys.argv) > 1 else sys.exit("usage: summarize.py WORK [RESULTS]")
    results = Path(sys.argv[2]) if len(sys.argv) > 2 else Path(__file__).parent / "results"
    results.mkdir(parents=True, exist_ok=True)
    everything = {}
    for ledger in sorted(work.glob("resnet20_sigma*.recert")):
        text = ledger.stem.removeprefix("resnet20_sigma")
        parts = read(ledger, text)
        write_counts(results / f"sigma{text}.counts.tsv", parts[1], parts[4])
        everything[text] = summarize(text, *parts)
        if ledger.with_suffix(".json").exists():
            compare(ledger.with_suffix(".json"), text, everything[text])
    if not everything:
        sys.exit(f"no ledger in {work}: run run.sh first")
    with open(results / "summary.json", "w", encoding="utf-8", newline="\n") as out:
        json.dump(everything, out, indent=1)
        out.write("\n")
    each = [(t, s, name, a) for t, s in everything.items() for name, a in s["approximations"].items()]
    table(
        ["sigma", "h", "f, n", "f, m", "h from scratch, m", "h / f, m", "h irs, m", "mean abs. (gain - loss)"],
        [[t, name, f"{s['f']['acr']:.3f}", f"{s['f']['acr_at_m']:.3f}", f"{a['acr_scratch'][-1]:.3f}",
          f"{a['acr_over_f_at_equal_copies']:.3f} ± {a['acr_over_f_error']:.3f}", f"{a['acr_irs'][-1]:.3f}",
          f"{a['mean_rate_difference']:.4f}"] for t, s, name, a in each],
    )
    table(
        ["sigma", "h", "zeta, mean bound", "D/m, mean", "D/m, max", "loss", "gain", "published zeta"],
        [[t, name, f"{a['zeta']:.4f}", f"{a['disagreement']:.4f}", f"{a['disagreement_max']:.3f}",
          f"{a['loss']:.4f}", f"{a['gain']:.4f}", str(a["published_zeta"] or "")] for t, s, name, a in each],
    )
    table(
        ["sigma", "count"] + NETWORKS,
        [[t, kind] + [show(s["approximations"][name]) for name in NETWORKS] for t, s in everything.items()
         for kind, show in [
             ("published", lambda a: f"{a['published_speed_up']:.2f}"),
             ("ours, n0 counted", lambda a: f"{a['speed_up']:.2f} ± {a['speed_up_error']:.2f}"),
             ("ours, n0 not counted", lambda a: f"{a['speed_up_without_n0']:.2f}"),
             ("illustration: also skipped by label", lambda a: f"{a['speed_up_skipping_by_label']:.2f}")]],
    )
    sizes = {t: s["storage"] for t, s in everything.items()}
    table(
        ["sigma", "classes", "their entropy", "margins", "together", "approximations' classes", "file"],
        [[t, f"{s['f']['classes'] / s['f']['copies']:.3f}", f"{s['f']['entropy'] / s['f']['copies']:.3f}",
          f"{s['f']['margins'] / s['f']['copies']:.3f}",
          f"{(s['f']['classes'] + s['f']['margins']) / s['f']['copies']:.3f}",
          f"{sum(s[n]['classes'] for n in NETWORKS) / sum(s[n]['copies'] for n in NETWORKS):.3f}",
          f"{s['file'] / 2**20:.1f} MiB"] for t, s in sizes.items()],
    )


if __name__ == "__main__":
    main()
