"""The native part. Its functions take what the package makes ready; use those of `recert`."""

from collections.abc import Callable, Sequence
from os import PathLike
from typing import Any

import numpy as np
import numpy.typing as npt

__version__: str

_Path = str | PathLike[str]
_Images = str | tuple[npt.NDArray[np.float32], npt.NDArray[np.uint32] | None]
_Options = dict[str, Any]
_Report = Callable[..., None] | None

def bound(
    name: str, counts: npt.NDArray[np.uint64], reals: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]: ...
def cells(
    n: int, tilt: float, of_cells: Sequence[tuple[int, int, int, float]], alpha: float
) -> float: ...
def joint_upper(
    of_cells: Sequence[tuple[float, int, int, float, float]], alpha: float
) -> tuple[float, float]: ...
def prediction(counts: dict[int, int], alpha: float) -> tuple[int, bool]: ...
def selection(
    answers: npt.NDArray[Any], margins: bool
) -> tuple[dict[int, int], int, list[float] | None]: ...

class Noise:
    is_integer: bool
    def __init__(self, generator: str, seed: int, sigma: float) -> None: ...
    def scale(self) -> float: ...
    def table(self) -> npt.NDArray[np.int64]: ...
    def fill(
        self,
        stream: int,
        input: int,
        ranges: Sequence[tuple[int, int]],
        pixels: npt.NDArray[np.float32],
        out: npt.NDArray[np.float32],
    ) -> None: ...

def main(words: Sequence[str]) -> int: ...
def check(
    ledgers: Sequence[_Path], networks: Sequence[Any], images: _Images | None, options: _Options
) -> str: ...
def counts(
    path: _Path, network: int
) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint64], npt.NDArray[np.uint64]]: ...
def merge(out: _Path, ledgers: Sequence[_Path], partial: bool) -> list[str]: ...
def ledger(path: _Path) -> tuple[str, dict[str, Any], dict[str, Any]]: ...
def report(
    ledgers: Sequence[_Path], with_page: bool, options: _Options
) -> tuple[str, str, str | None, list[str]]: ...
def certify(
    ledger: _Path, classify: Any, images: _Images, options: _Options, report: _Report
) -> dict[str, Any]: ...
def classes_of(path: _Path) -> int: ...
def predict(
    ledger: _Path, classify: Any, images: _Images, options: _Options, report: _Report
) -> dict[str, Any]: ...
def recertify(
    ledger: _Path,
    networks: Sequence[Any],
    images: _Images | None,
    options: _Options,
    report: _Report,
) -> dict[str, Any]: ...
def verify(
    model: _Path | None, images: _Images | None, options: _Options, report: _Report
) -> dict[str, Any]: ...
def explain(
    model: _Path, images: _Images, options: _Options, report: _Report
) -> tuple[str, str, str | None]: ...
def plan(
    ledger: _Path, networks: Sequence[Any], images: _Images | None, options: _Options
) -> tuple[str, str]: ...
def approximate(model: _Path, out: _Path, options: _Options) -> tuple[str, str]: ...
def sensitivity(
    ledger: _Path, model: _Path, options: _Options, report: _Report
) -> tuple[str, str, str]: ...
def tune(
    ledger: _Path, model: _Path, space: str, out: _Path, options: _Options, report: _Report
) -> tuple[str, str, str]: ...
def train(
    config: _Path | None, settings: str, out: _Path, threads: int | None, report: _Report
) -> tuple[str, str]: ...
