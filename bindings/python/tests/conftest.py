"""What the tests have in common, and how CI counts them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[3]
DEMO = ROOT / "assets" / "demo"


@pytest.fixture
def shapes() -> tuple[np.ndarray, np.ndarray]:
    """Images of the demo, in uint8 with channels first, and their labels."""
    with np.load(DEMO / "shapes-test.npz") as file:
        images, labels = (file[name] for name in file.files[:2])
    if images.shape[-1] == 3:
        images = images.transpose(0, 3, 1, 2)
    return np.ascontiguousarray(images), labels.astype(np.int64)


@pytest.fixture
def greys() -> tuple[np.ndarray, list[int]]:
    """Six images of two by two pixels from dark to bright, on the grid of 8-bit images."""
    levels = np.arange(6, dtype=np.float32) * 51 / 255
    return np.repeat(levels, 4).reshape(6, 1, 2, 2), [0, 0, 0, 1, 1, 1]


def bright(limit: float):
    """Whether images are brighter than a limit: classes."""

    def classify(batch: np.ndarray) -> np.ndarray:
        assert batch.dtype == np.float32 and batch.shape[1:] == (1, 2, 2)
        return (batch.mean(axis=(1, 2, 3)) > limit).astype(np.int64)

    return classify


def pytest_terminal_summary(terminalreporter) -> None:
    """Says what CI counts in the words of Rust's tests."""
    reports = terminalreporter.stats
    for report in reports.get("skipped", []):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        reason = reason.removeprefix("Skipped: ")
        terminalreporter.write_line(f"test {report.nodeid} ... ignored, {reason}")
    passed, failed, skipped = (
        sum(len(reports.get(kind, [])) for kind in kinds)
        for kinds in (("passed",), ("failed", "error"), ("skipped",))
    )
    verdict = "FAILED" if failed else "ok"
    terminalreporter.write_line(
        f"test result: {verdict}. {passed} passed; {failed} failed; {skipped} ignored"
    )
