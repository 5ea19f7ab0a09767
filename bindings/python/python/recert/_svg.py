"""Certified accuracy against radius, as a picture for notebooks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ._tables import Results

_WIDTH, _HEIGHT, _LEFT, _BOTTOM = 420, 220, 44, 34
_COLOURS = ("#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e", "#8c564b")


def certified_accuracy(results: Results) -> str:
    """A curve a network: the share of inputs that are certified at each radius."""
    largest = float(results["radius"].max(initial=0.0)) or 1.0

    def x(radius: float) -> float:
        return _LEFT + radius / largest * (_WIDTH - _LEFT - 8)

    def y(share: float) -> float:
        return 8 + (1 - share) * (_HEIGHT - _BOTTOM - 8)

    parts = [
        f'<path d="M{_LEFT} 8V{y(0)}H{_WIDTH - 8}" fill="none" stroke="currentColor"/>',
        f'<text x="{x(largest / 2)}" y="{_HEIGHT - 4}" text-anchor="middle">L2 radius</text>',
    ]
    for share in (0.0, 0.5, 1.0):
        label = f'<text x="{_LEFT - 6}" y="{y(share) + 4}" text-anchor="end">{share}</text>'
        parts.append(label)
    for part in (0.0, 0.5, 1.0):
        # Rounded down, as radii are.
        radius = np.floor(part * largest * 1e3) / 1e3
        label = f'<text x="{x(radius)}" y="{y(0) + 14}" text-anchor="middle">{radius}</text>'
        parts.append(label)
    for network in np.unique(results["network"]):
        mine = results["network"] == network
        radii = np.sort(results["radius"][mine & results.correct])
        shares = np.arange(len(radii), 0, -1) / mine.sum()
        # The share holds up to and including a radius, and falls behind it.
        path = f"M{x(0):.1f} {y(shares[0] if len(shares) else 0):.1f}"
        for radius, share in zip(radii, [*shares[1:], 0.0]):
            path += f"H{x(radius):.1f}V{y(share):.1f}"
        colour = _COLOURS[int(network) % len(_COLOURS)]
        parts.append(f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_HEIGHT}" '
        f'font-size="11" fill="currentColor" role="img" '
        f'aria-label="certified accuracy against radius">{"".join(parts)}</svg>'
    )
