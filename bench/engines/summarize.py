#!/usr/bin/env python3
"""Makes the tables of README.md from results/raw.jsonl; Python's standard library alone.

    bench/engines/summarize.py [RESULTS]

A ratio is taken within a round, where both turns are at most a minute or so apart;
what is printed is the median over the rounds.
"""

import json
import sys
from pathlib import Path
from statistics import median

BASE = "torch channels-last f32"
# Multiply-adds an image: of the convolutions and the linear layer.
MACS = {"ResNet-20": 40.55e6}


def table(title, head, rows):
    print(f"\n{title}\n\n| " + " | ".join(head) + " |\n|" + "---|" * len(head))
    for row in rows:
        print("| " + " | ".join(str(cell) for cell in row) + " |")


def number(value, digits=3):
    """So many significant digits, and no exponent."""
    if abs(value) >= 10 ** (digits - 1):
        return f"{value:,.0f}"
    return f"{float(f'{value:.{digits}g}'):g}"


def percent(value):
    return "" if value is None else f"{100 * value:.1f} %"


def main():
    results = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "results"
    records = [json.loads(line) for line in (results / "raw.jsonl").read_text(encoding="utf-8").splitlines()]
    kinds = {}
    for r in records:
        kinds.setdefault(r["kind"], []).append(r)
    turns = {}
    for r in kinds["turn"]:
        turns.setdefault((r["network"], r["threads"], r["system"]), []).append(r)
    columns = list(dict.fromkeys((n, t) for n, t, _ in turns))
    systems = list(dict.fromkeys(s for _, _, s in turns))
    head = ["system"] + [f"{n}, {t} thread{'s' * (t > 1)}" for n, t in columns]

    def over(systems, cell):
        return [[s] + [cell(turns[n, t, s], n, t) if (n, t, s) in turns else "" for n, t in columns] for s in systems]

    def ratios(rows, n, t):
        base = {r["round"]: r["rate"] for r in turns[n, t, BASE]}
        return [r["rate"] / base[r["round"]] for r in rows]

    def ratio(rows, n, t):
        all = ratios(rows, n, t)
        return f"**{number(median(all))}** ({number(min(all))}-{number(max(all))})"

    table(f"Images a second end to end, as multiples of `{BASE}` (median, least and most of the rounds)",
          head, over([s for s in systems if s != BASE], ratio))
    table("Images a second (median)", head,
          over(systems, lambda rows, n, t: number(median(r["rate"] for r in rows))))

    clocks = {}
    for r in kinds["inside"]:
        clocks.setdefault((r["network"], r["threads"], r["system"]), []).append(r)
    rows = []
    for (n, t, s), group in clocks.items():
        alone = lambda r: (r["alone_before"] + r["alone_after"]) / 2
        rows.append([s, n, t, len(group)] + [percent(median(f(r) for r in group)) for f in (
            lambda r: r["outside"], lambda r: r["noise"], lambda r: r["outside"] - r["noise"],
            lambda r: 1 - r["rate"] / alone(r))])
    table("recert: share of the time outside the engine", ["system", "network", "threads", "runs",
          "outside, by a clock inside", "of that noise", "the rest", "against the engine alone, before and after"], rows)
    table("The peers: share of the time outside the network's own forward pass (median)", head, over(
        [s for s in systems if any("outside" in r for k, g in turns.items() if k[2] == s for r in g)],
        lambda rows, n, t: percent(median(r["outside"] for r in rows))))
    table("Peak memory in MiB (median)", head,
          over(systems, lambda rows, n, t: number(median(r["peak_mib"] for r in rows), 4)))

    table("Seconds of a process beside its certification: starting, loading, ending (median)", head, over(
        [s for s in systems if any("wall" in r for k, g in turns.items() if k[2] == s for r in g)],
        lambda rows, n, t: number(median(r["wall"] - r["seconds"] for r in rows), 2)))

    full = []
    for r in kinds["full"]:
        answers = [a for a, _ in r["answers"]]
        seconds = r.get("wall", r["seconds"])
        full.append([r["system"], f"{r['n']:,}", number(seconds), number(r["evaluations"] / seconds),
                     number(r["peak_mib"], 4), sum(a >= 0 for a in answers),
                     number(sum(radius for _, radius in r["answers"]) / len(answers))])
    r = kinds["full"][0]
    table(f"{r['inputs']} images of CIFAR-10 certified by {r['network']} on {r['threads']} threads, n0 = 100, one-sided bound, "
          "alpha 0.001 (recert: from the start of the process to its end; peers: without start and loading)",
          ["system", "n", "seconds", "images a second", "peak MiB", "certified", "mean radius"], full)
    classes = [[a for a, _ in r["answers"]] for r in kinds["full"]]
    both = [(a, b) for i, one in enumerate(classes) for two in classes[:i] for a, b in zip(one, two) if min(a, b) >= 0]
    print(f"\nWhere two systems both certify an image they name the same class in {sum(a == b for a, b in both)} of {len(both)} cases.")

    noise = {}
    for r in kinds["noise"]:
        noise.setdefault((r["system"], r["threads"]), []).append(r["rate"])
    rows = [[s] + [number(median(noise[s, t]) / 1e6) for t in sorted({t for _, t in noise})]
            for s in dict.fromkeys(s for s, _ in noise)]
    table("Noise: million normals a second, scaled and added to CIFAR-10 images (median)", ["", "1 thread", "2 threads"], rows)

    print("\nAgainst the goals:\n")
    for n, t in columns:
        named = {s: median(ratios(turns[n, t, s], n, t)) for s in systems if (n, t, s) in turns and not s.startswith(("torch", "art"))}
        best = max(named, key=named.get)
        floats = {s: v for s, v in named.items() if not s.endswith("int8")}
        most = max(floats, key=floats.get)
        direct = named["direct f32"]
        print(f"- {n}, {t} thread{'s' * (t > 1)}: on the float32 file, fastest {most} {number(floats[most])}x (8x wanted, "
              f"{'met' if floats[most] >= 8 else 'missed'}); direct f32 {number(direct)}x (1x wanted, "
              f"{'met' if direct >= 1 else 'missed'}); of all files {best} {number(named[best])}x")
    for t in sorted({t for _, t in columns}):
        for system in ("openvino int8", "direct int8"):
            group = clocks.get(("ResNet-20", t, system))
            if group:
                share = median(r["outside"] for r in group)
                print(f"- outside the engine, {system}, ResNet-20, {t} thread{'s' * (t > 1)}: {percent(share)} (8 % wanted, "
                      f"{'met' if share <= 0.08 else 'missed'})")
    for precision in ("f32", "int8"):
        most = max((r[precision] for r in kinds.get("peak", [])), default=None)
        if most:
            rate = most * 1e9 / MACS["ResNet-20"]
            base = median(r["rate"] for r in turns["ResNet-20", 1, BASE])
            print(f"- {precision}: one core multiplies and adds at most {number(most)} thousand million times a second, "
                  f"{number(rate)} images of ResNet-20 at {MACS['ResNet-20'] / 1e6:.1f} million each, {number(rate / base)}x")
    loads = [float(r["load"][0]) for r in records]
    print(f"\nLoad (1 minute) {min(loads)} to {max(loads)}, median {median(loads):.2f}; {records[-1]['at'] / 60:.1f} minutes.")


if __name__ == "__main__":
    main()
