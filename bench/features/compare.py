"""Holds our proof features against the published runs, image by image.

    compare.py OURS PUBLISHED [OURS PUBLISHED ..]

OURS is what `cargo run --release -p recert-bounds --example features` writes:

    {"network": .., "eps": .., "method": .., "seed": .., "images": [
      {"index": .., "answer": .., "label": .., "verified": true, "features": 48,
       "kept": [95, 75, 38], "random": 29, "weight": 12}, ..]}

where `features` counts those of a positive priority, `kept` lists the neurons of the
penultimate layer that suffice, least priority first, and `random` and `weight` count what
the same extraction keeps in random order and in the order of the last layer's weights;
the last four stand only where the property is proved. PUBLISHED is one of
../shared/models/mnist/profit_*.json: test image number -> kept neurons. Exits with 1
where a verdict differs.
"""

import json
import sys
from statistics import fmean, median


def pair(ours, published):
    """The row of the table, and what differs."""
    ours = json.load(open(ours, encoding="utf-8"))
    published = {int(index): kept for index, kept in json.load(open(published, encoding="utf-8")).items()}
    images = {image["index"]: image for image in ours["images"]}
    proved = {index: image for index, image in images.items() if image["verified"]}
    # Only what both looked at can agree.
    published = {index: kept for index, kept in published.items() if index in images}
    differences = []
    for index in sorted(proved.keys() - published.keys()):
        differences.append(f"image {index}: proved here alone")
    for index in sorted(published.keys() - proved.keys()):
        differences.append(f"image {index}: proved there alone")
    verdicts = len(differences)
    both = sorted(proved.keys() & published.keys())
    identical = 0
    for index in both:
        mine, theirs = proved[index]["kept"], published[index]
        if set(mine) == set(theirs):
            identical += 1
        else:
            differences.append(
                f"image {index}: kept {len(mine)} here and {len(theirs)} there; "
                f"here alone {sorted(set(mine) - set(theirs))}, there alone {sorted(set(theirs) - set(mine))}"
            )
    means = lambda values: f"{fmean(values):.2f} / {median(values):g}" if values else "-"
    row = [
        f"{ours['network']} at {ours['eps']} ({ours['method']})",
        f"{len(proved)} of {len(images)}",
        len(published),
        f"{identical} of {len(both)}",
        means([image["features"] for image in proved.values()]),
        means([len(image["kept"]) for image in proved.values()]),
        means([len(kept) for kept in published.values()]),
        means([image["random"] for image in proved.values()]),
        means([image["weight"] for image in proved.values()]),
    ]
    return row, differences, verdicts


def main():
    files = sys.argv[1:]
    if not files or len(files) % 2:
        sys.exit(__doc__)
    head = ["network", "proved", "published", "the same set kept", "features before", "kept", "published kept", "random order", "weight order"]
    print("| " + " | ".join(head) + " |")
    print("|" + "---|" * len(head))
    wrong, remarks = 0, []
    for ours, published in zip(files[::2], files[1::2]):
        row, differences, verdicts = pair(ours, published)
        wrong += verdicts
        print("| " + " | ".join(str(cell) for cell in row) + " |")
        remarks.append((row[0], differences))
    for name, differences in remarks:
        print(f"\n{name}: " + ("nothing differs" if not differences else f"{len(differences)} differ"))
        for difference in differences:
            print(f"- {difference}")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
