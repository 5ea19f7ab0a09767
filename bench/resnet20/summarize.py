#!/usr/bin/env python3
"""Turns the ledgers that run.sh wrote into the raw results and tables kept here.

    bench/resnet20/summarize.py WORK [RESULTS]
    bench/resnet20/summarize.py --recorded [RESULTS]

WORK is run.sh's folder. RESULTS (default: results/ beside this script) gets
`sigmaS.counts.tsv`, the raw counts of every input of every run at sigma S, and
`summary.json`, every figure of the tables. The tables are printed as Markdown. With
`--recorded` the speed-ups alone are computed again, from the counts that are there
(baselines.py).

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

from baselines import RESAMPLES, lower_bound, radius, read_counts
from baselines import summarize as speed_ups
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
        rng = random.Random(0)
        draws = [[rng.randrange(len(ids)) for _ in ids] for _ in range(RESAMPLES)]
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


def add_speed_ups(results, sigma_text, summary):
    """Puts the speed-ups by the recorded counts into the summary of one sigma."""
    rows = read_counts(results / f"sigma{sigma_text}.counts.tsv")
    for name, found in speed_ups(float(sigma_text), rows, NETWORKS).items():
        known = summary["approximations"][name]
        for key in [key for key in known if key.startswith("speed_up")]:
            del known[key]
        known.update(found)


def speed_up_table(everything):
    """Prints the table of speed-ups."""
    table(
        ["sigma", "count"] + NETWORKS,
        [[t, kind] + [show(s["approximations"][name]) for name in NETWORKS] for t, s in everything.items()
         for kind, show in [
             ("published", lambda a: f"{a['published_speed_up']:.2f}"),
             ("ours, over the paper's baseline", lambda a: f"{a['speed_up_over_the_papers_baseline']:.2f}"),
             ("**ours, over from scratch**", lambda a: f"**{a['speed_up']:.2f}** ± {a['speed_up_error']:.2f}"),
             ("ours, over planned", lambda a: f"{a['speed_up_over_planned']:.2f}"),
             ("planned over from scratch", lambda a: f"{a['speed_up_of_planning']:.2f}"),
             ("illustration: also skipped by label", lambda a: f"{a['speed_up_skipping_by_label']:.2f}")]],
    )


def recorded(results):
    """Computes the speed-ups again from the counts that are recorded."""
    path = results / "summary.json"
    everything = json.loads(path.read_text(encoding="utf-8"))
    for text, summary in everything.items():
        add_speed_ups(results, text, summary)
    write_summary(path, everything)
    speed_up_table(everything)


def write_summary(path, everything):
    """Writes summary.json."""
    with open(path, "w", encoding="utf-8", newline="\n") as out:
        json.dump(everything, out, indent=1)
        out.write("\n")


def main():
    work = Path(sys.argv[1]) if len(sys.argv) > 1 else sys.exit("usage: summarize.py WORK|--recorded [RESULTS]")
    results = Path(sys.argv[2]) if len(sys.argv) > 2 else Path(__file__).parent / "results"
    if str(work) == "--recorded":
        return recorded(results)
    results.mkdir(parents=True, exist_ok=True)
    everything = {}
    for ledger in sorted(work.glob("resnet20_sigma*.recert")):
        text = ledger.stem.removeprefix("resnet20_sigma")
        parts = read(ledger, text)
        write_counts(results / f"sigma{text}.counts.tsv", parts[1], parts[4])
        everything[text] = summarize(text, *parts)
        add_speed_ups(results, text, everything[text])
        if ledger.with_suffix(".json").exists():
            compare(ledger.with_suffix(".json"), text, everything[text])
    if not everything:
        sys.exit(f"no ledger in {work}: run run.sh first")
    write_summary(results / "summary.json", everything)
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
    speed_up_table(everything)
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
