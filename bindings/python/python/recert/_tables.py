"""What calls return: tables, and the results of jobs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas
    import polars
    import pyarrow

    from ._ledger import Ledger


class Table(Mapping[str, Any]):
    """Columns by their names: numpy arrays, and lists of words.

    A class or a label that there is none of, as that of an abstention, is -1 in the arrays.
    """

    def __init__(self, columns: Mapping[str, Any]) -> None:
        self._columns = dict(columns)

    def __getitem__(self, name: str) -> Any:
        return self._columns[name]

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["_columns"][name]
        except KeyError:
            raise AttributeError(name) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        """The number of columns, as a mapping has it; `rows` is that of the rows."""
        return len(self._columns)

    @property
    def rows(self) -> int:
        """The number of rows."""
        return len(next(iter(self._columns.values()), ()))

    def to_pandas(self) -> pandas.DataFrame:
        """The table as a pandas DataFrame."""
        import pandas

        return pandas.DataFrame(self._flat())

    def to_polars(self) -> polars.DataFrame:
        """The table as a polars DataFrame."""
        import polars

        return polars.DataFrame(self._flat())

    def to_arrow(self) -> pyarrow.Table:
        """The table as an Arrow table, which `pyarrow.parquet.write_table` writes."""
        import pyarrow

        return pyarrow.table(self._flat())

    def _flat(self) -> dict[str, Any]:
        # Tables take arrays of one dimension, and lists in the cells of others.
        return {
            name: column.tolist() if getattr(column, "ndim", 1) > 1 else column
            for name, column in self._columns.items()
        }

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.rows} rows of {', '.join(self)}>"

    def _repr_html_(self) -> str:
        return _html(self._columns, self.rows)


_SHOWN = 20
"""Rows of a table that a notebook shows."""


def _cell(value: Any) -> str:
    # Radii are lower bounds, so they are cut and not rounded.
    if isinstance(value, (float, np.floating)):
        return str(np.floor(float(value) * 1e4) / 1e4)
    return escape("" if value is None else str(value))


def _html(columns: Mapping[str, Any], rows: int) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in columns)
    lines = "".join(
        "<tr>" + "".join(f"<td>{_cell(column[i])}</td>" for column in columns.values()) + "</tr>"
        for i in range(min(rows, _SHOWN))
    )
    more = f"<p>and {rows - _SHOWN} more</p>" if rows > _SHOWN else ""
    return f"<table><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table>{more}"


class Results(Table):
    """The rows of a job with noise, one an input and network: `network` (its position among those
    given), `idx`, `label`, `class`, `radius` (0 for an abstention, whose class is -1), `p_lower`,
    `evaluations`, `invalid`, `seconds`.
    """

    ledger: Ledger
    """Where everything is."""
    remarks: list[str]
    """What a person should know, and no row shows."""
    new_evaluations: int
    """Evaluations that this call made; what the ledger had was not made again."""
    workers: list[dict[str, Any]]
    """What each worker of `recert.ray` did: node, address, pid, chunks, samples, seconds, lost."""

    def __init__(self, found: Mapping[str, Any], ledger: Ledger) -> None:
        super().__init__(found["rows"])
        self.ledger = ledger
        self.remarks = found["remarks"]
        self.new_evaluations = found["evaluations"]
        self.workers = []

    @property
    def predict(self) -> np.ndarray:
        """The class of each row; -1 for an abstention."""
        return self["class"]

    @property
    def correct(self) -> np.ndarray:
        """Whether the class of each row is the label; where there is none, whether there is a
        class."""
        return np.where(self["label"] < 0, self["class"] >= 0, self["class"] == self["label"])

    def certified_accuracy(self, radius: float = 0.0, network: int = 0) -> float:
        """The share of a network's inputs that are certified for their label (for any class where
        there is no label) at this radius at least."""
        mine = self["network"] == network
        if not mine.any():
            return 0.0
        return float(np.mean(self.correct[mine] & (self["radius"][mine] >= radius)))

    def average_radius(self, network: int = 0) -> float:
        """The average certified radius (ACR): wrong classes and abstentions count 0."""
        mine = self["network"] == network
        if not mine.any():
            return 0.0
        return float(np.mean(np.where(self.correct[mine], self["radius"][mine], 0.0)))

    def __repr__(self) -> str:
        answered = int(np.sum(self["class"] >= 0))
        right = int(np.sum(self.correct))
        # Predictions have no radius.
        radius = np.floor(self.average_radius() * 1e3) / 1e3
        stated = f", average radius {radius}" if self["radius"].any() else ""
        return (
            f"<Results: {answered} of {self.rows} rows with a class, {right} of them right{stated}, "
            f"ledger {str(self.ledger.path)!r}>"
        )

    def _repr_html_(self) -> str:
        from ._svg import certified_accuracy

        return certified_accuracy(self) + super()._repr_html_()


class Verdicts(Sequence[Any]):
    """The results of a verification by bounds: a dictionary an input or file, with `idx`, `label`,
    `class`, `answer`, `verdict` (verified, falsified or unknown), `margin`, `by`, `branches`,
    `seconds`, `counterexample` (an array, or None), `specification` and `statement`.
    """

    remarks: list[str]

    def __init__(self, found: Mapping[str, Any]) -> None:
        self._results = list(found["results"])
        self.remarks = found["remarks"]

    def __getitem__(self, i: Any) -> Any:
        return self._results[i]

    def __len__(self) -> int:
        return len(self._results)

    def count(self, verdict: str) -> int:
        """How many results have this verdict."""
        return sum(result["verdict"] == verdict for result in self._results)

    @property
    def table(self) -> Table:
        """The same as columns, without counterexamples."""
        names = ["idx", "label", "class", "answer", "verdict", "margin", "by", "seconds"]
        return Table({name: [result[name] for result in self._results] for name in names})

    def __repr__(self) -> str:
        counts = ", ".join(
            f"{self.count(verdict)} {verdict}" for verdict in ("verified", "falsified", "unknown")
        )
        return f"<Verdicts: {counts}>"

    def _repr_html_(self) -> str:
        return self.table._repr_html_()


class Check(Mapping[str, Any]):
    """What a check of a ledger found, as `recert check --json` has it."""

    def __init__(self, found: Mapping[str, Any]) -> None:
        self._found = dict(found)

    @property
    def holds(self) -> bool:
        """Whether nothing is wrong."""
        return bool(self._found["holds"])

    @property
    def wrong(self) -> int:
        """How many fields or answers do not hold."""
        return int(self._found["wrong"])

    @property
    def missing(self) -> list[Any]:
        """What is missing, where nothing is wrong."""
        return list(self._found["missing"])

    def __bool__(self) -> bool:
        return self.holds

    def __getitem__(self, name: str) -> Any:
        return self._found[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)

    def __repr__(self) -> str:
        if not self.holds:
            return f"<Check: {self.wrong} wrong>"
        return f"<Check: holds, {len(self.missing)} missing>"


class Report:
    """A report on ledgers: `data` as `recert report --json` has it, `str()` as tables."""

    def __init__(self, text: str, table: str, warnings: list[str]) -> None:
        self.data: dict[str, Any] = json.loads(text)
        self.warnings = warnings
        self._table = table

    def __str__(self) -> str:
        return self._table

    def __repr__(self) -> str:
        return f"<Report: {len(self.data['runs'])} runs>"

    def _repr_html_(self) -> str:
        return f"<pre>{escape(self._table)}</pre>"


class Explanation:
    """What proofs rest on: `data` as `recert explain --json` has it, `str()` as a table."""

    def __init__(self, text: str, table: str) -> None:
        self.data: dict[str, Any] = json.loads(text)
        self._table = table

    def __str__(self) -> str:
        return self._table

    def __repr__(self) -> str:
        return f"<Explanation: {len(self.data['inputs'])} inputs>"

    def _repr_html_(self) -> str:
        return f"<pre>{escape(self._table)}</pre>"


class Plan:
    """What recertifying is expected to give: `data` as `recert recertify --plan --json` has it, `str()`
    as tables."""

    def __init__(self, text: str, tables: str) -> None:
        self.data: dict[str, Any] = json.loads(text)
        self._tables = tables

    def __str__(self) -> str:
        return self._tables

    def __repr__(self) -> str:
        return f"<Plan: {', '.join(network['network'] for network in self.data['networks'])}>"

    def _repr_html_(self) -> str:
        return f"<pre>{escape(self._tables)}</pre>"


class Approximation:
    """An approximate version that was written to `file`: `data` as `recert approximate --json` has
    it, `str()` what was changed."""

    def __init__(self, text: str, words: str) -> None:
        self.data: dict[str, Any] = json.loads(text)
        self.file = Path(self.data["file"])
        self._words = words

    def __str__(self) -> str:
        return self._words

    def __repr__(self) -> str:
        return f"<Approximation: {str(self.file)!r}>"


class Sensitivity:
    """Layers of a certified network, each changed alone: `data` as `recert sensitivity --json` has it, `str()` the
    table; `svg` is the plot, which a notebook shows."""

    def __init__(self, text: str, table: str, svg: str) -> None:
        self.data: dict[str, Any] = json.loads(text)
        self.layers: list[dict[str, Any]] = self.data["layers"]
        self.svg = svg
        self._table = table

    def __str__(self) -> str:
        return self._table

    def __repr__(self) -> str:
        return f"<Sensitivity: {self.data['network']!r}, {len(self.layers)} changes of layers>"

    def _repr_html_(self) -> str:
        return self.svg


class Tuned:
    """A search among versions of a certified network: `data` as `recert tune --json` has it, `networks` all that was
    looked at, cheapest first, `best` the cheapest that was certified to have what was asked for; `str()` is the
    table, `svg` the plot, which a notebook shows."""

    def __init__(self, text: str, table: str, svg: str) -> None:
        self.data: dict[str, Any] = json.loads(text)
        self.networks: list[dict[str, Any]] = self.data["networks"]
        self.svg = svg
        self._table = table

    @property
    def best(self) -> dict[str, Any] | None:
        """The cheapest network whose certificates have what was asked for, if any has."""
        meets = (one for one in self.networks if one["certified"] and one["certified"]["meets"])
        return next(meets, None)

    def __str__(self) -> str:
        return self._table

    def __repr__(self) -> str:
        return f"<Tuned: {self.data['network']!r}, {len(self.networks)} networks>"

    def _repr_html_(self) -> str:
        return self.svg


class Training:
    """A network that was trained and written to `file`. Scores are shares of images, clean, noisy,
    adversarial and bounded; those that bound are in fast arithmetic, and `verify` proves."""

    def __init__(self, text: str, page: str) -> None:
        found = json.loads(text)
        self.file = Path(found["file"])
        self.sha256: str = found["sha256"]
        self.epochs: list[dict[str, Any]] = found["epochs"]
        self.epoch: int = found["epoch"]
        self.validation: dict[str, Any] | None = found["validation"]
        self.test: dict[str, Any] | None = found["test"]
        self.scored: str = found["scored"]
        self.remarks: list[str] = found["remarks"]
        self.page = page

    def __str__(self) -> str:
        return self.page

    def __repr__(self) -> str:
        return f"<Training: {str(self.file)!r}, epoch {self.epoch} of {len(self.epochs)}>"
