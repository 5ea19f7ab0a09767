"""Reads a ledger with Python's standard library alone, and counts it afresh.

The class codes are decoded by the format's description (see decode), and every
count that a certificate states (k, D, losses, gains) is counted again from
them; a difference stops the program.
"""

import json
import sqlite3

PRECISION = 24  # bits of the entropy coder's probabilities


def decode(blob):
    """The classes in one blob (format: crates/recert-ledger/src/codes.rs)."""
    at = 1
    if blob[0] != 1:
        raise SystemExit(f"class codes have version {blob[0]}, not 1")

    def take():
        nonlocal at
        value = shift = 0
        while True:
            byte = blob[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    count = take()
    table = [(take(), take()) for _ in range(take())]
    if len(table) < 2:
        return [symbol for symbol, seen in table for _ in range(seen)]
    widths = [max(1, (seen << PRECISION) // count) for _, seen in table]
    # Rust's `max` on an iterator returns the last of several largest.
    largest = max(range(len(widths)), key=lambda i: (widths[i], i))
    widths[largest] += (1 << PRECISION) - sum(widths)
    lefts = [sum(widths[:i]) for i in range(len(widths))]
    words = [int.from_bytes(blob[i : i + 4], "little") for i in range(at, len(blob) - 4, 4)]
    state = 0
    while words and state < 1 << 32:
        state = state << 32 | words.pop()
    out = []
    for _ in range(count):
        place = state & ((1 << PRECISION) - 1)
        i = len(lefts) - 1
        while lefts[i] > place:
            i -= 1
        out.append(table[i][0])
        state = (state >> PRECISION) * widths[i] + place - lefts[i]
        if state < 1 << 32 and words:
            state = state << 32 | words.pop()
    if any(out.count(symbol) != seen for symbol, seen in table):
        raise SystemExit("class codes do not decode to the counts they state")
    return out


def near(ours, theirs, what):
    """Stops if two computations of one figure differ by more than rounding."""
    if ours is None or abs(ours - theirs) > 1e-9 * max(1.0, abs(theirs)):
        raise SystemExit(f"{what}: {ours} here, {theirs} there")


def read(path, sigma_text):
    """Everything of one ledger: certificates by (network, method, m, idx), f's classes, storage."""
    db = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    (sigma,) = db.execute("SELECT sigma FROM run").fetchone()
    labels = dict(db.execute("SELECT idx, label FROM input ORDER BY idx"))
    stem = f"resnet20_sigma{sigma_text}"
    names = {
        id: file.removeprefix(stem).removesuffix(".onnx").strip(".") or "f"
        for id, file in db.execute("SELECT id, file FROM network")
    }
    answers = {}
    for network, idx, blob in db.execute(
        "SELECT network, idx, classes FROM answers WHERE stream = 1 ORDER BY network, idx, first"
    ):
        answers.setdefault((names[network], idx), []).extend(decode(blob))
    selected = {i: c for n, i, c in db.execute("SELECT network, idx, class FROM selection") if names[n] == "f"}
    certificates = {}
    for network, method, m, idx, cls, r, p, bound, counts, evaluations in db.execute(
        "SELECT network, method, copies, idx, certificate.class, radius, p_lower, bound, counts,"
        " evaluations FROM claim JOIN certificate ON claim = claim.id ORDER BY claim.id, idx"
    ):
        counts = json.loads(counts)
        name = names[network]
        if method == "irs":
            f, h, c = answers["f", idx], answers[name, idx][:m], selected[idx]
            pairs = list(zip(f, h))
            again = {
                "own": h.count(c),
                "disagreements": sum(a != b for a, b in pairs),
                "lost": sum(a == c != b for a, b in pairs),
                "gained": sum(a != c == b for a, b in pairs),
            }
            for key, value in again.items():
                near(value, counts[key], f"{name} m {m} input {idx} {key}")
        else:
            near(answers[name, idx][:m].count(counts["class"]), counts["k"], f"{name} m {m} input {idx} k")
        certificates[name, method, m, idx] = dict(
            counts, radius=r, p=p, bound=bound, evaluations=evaluations,
            credit=r if cls is not None and cls == labels[idx] else 0.0,
        )
    storage = {}
    for network, copies, classes, margins in db.execute(
        "SELECT network, sum(copies), sum(length(classes)), sum(length(margins)) FROM answers GROUP BY network"
    ):
        storage[names[network]] = {"copies": copies, "classes": classes, "margins": margins or 0}
    storage["file"] = path.stat().st_size
    return sigma, labels, selected, answers, certificates, storage
