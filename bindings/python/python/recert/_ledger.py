"""Ledgers, read."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _recert
from ._tables import Check, Report, Table

if TYPE_CHECKING:
    import pandas
    import polars
    import pyarrow


class Ledger:
    """A ledger, as it was when something of it was first asked for.

    Nothing but `merge` writes to the file. A run that goes on meanwhile is seen by a new `Ledger`.

        >>> ledger = recert.Ledger("run.recert")
        >>> ledger.to_pandas().groupby(["network", "method"]).radius.mean()
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        # What is no ledger is refused now, and not when something of it is asked for.
        _recert.classes_of(self.path)

    @classmethod
    def _to_be(cls, path: Path) -> Ledger:
        """A ledger that a job is about to write, or to go on with."""
        ledger = cls.__new__(cls)
        ledger.path = path
        return ledger

    @cached_property
    def _held(self) -> tuple[dict[str, Any], Table, Table]:
        about, inputs, certificates = _recert.ledger(self.path)
        return json.loads(about), Table(inputs), Table(certificates)

    @property
    def run(self) -> dict[str, Any] | None:
        """The noise and the numbers of samples: sigma, n0, n, alpha, noise, seed; None where there
        are only verifications by bounds."""
        return self._held[0]["run"]

    @property
    def task(self) -> str:
        """What the run computes: certify, predict or verify."""
        return self._held[0]["task"]

    @property
    def networks(self) -> list[dict[str, Any]]:
        """The networks, the original one first: name, sha256, engine, version, arithmetic, classes,
        and in `note` what else is to be known, as what a module's hash is of."""
        return self._held[0]["networks"]

    @property
    def runs(self) -> list[dict[str, Any]]:
        """Sets of certificates: network (its position), method, samples, alpha, parameters and
        what each certificate states."""
        return self._held[0]["claims"]

    @property
    def verifications(self) -> list[dict[str, Any]]:
        """Verifications by bounds with their results."""
        return self._held[0]["verifications"]

    @property
    def inputs(self) -> Table:
        """The inputs: idx, label (-1 for none), sha256, name."""
        return self._held[1]

    @property
    def certificates(self) -> Table:
        """All certificates: run (the position in `runs`), network, method, samples, alpha, idx,
        label, class (-1 for an abstention), radius, p_lower, bound, evaluations, seconds."""
        held = dict(self._held[2])
        claim = held.pop("claim")
        runs = self.runs
        columns: dict[str, Any] = {
            "run": claim,
            "network": [self.networks[runs[i]["network"]]["name"] for i in claim],
            "method": [runs[i]["method"] for i in claim],
            "samples": np.array([runs[i]["samples"] for i in claim], dtype=np.uint64),
            "alpha": np.array([runs[i]["alpha"] for i in claim], dtype=np.float64),
        }
        return Table({**columns, **held})

    def counts(self, network: int = 0) -> Table:
        """How the network at this position answered each input's estimation samples: idx, counts
        `[inputs, classes]`, invalid."""
        idx, counts, invalid = _recert.counts(self.path, network)
        return Table({"idx": idx, "counts": counts, "invalid": invalid})

    def to_pandas(self) -> pandas.DataFrame:
        """All certificates as a pandas DataFrame."""
        return self.certificates.to_pandas()

    def to_polars(self) -> polars.DataFrame:
        """All certificates as a polars DataFrame."""
        return self.certificates.to_polars()

    def to_arrow(self) -> pyarrow.Table:
        """All certificates as an Arrow table."""
        return self.certificates.to_arrow()

    def check(self, **keywords: Any) -> Check:
        """Derives everything again by independent code: `recert.check` of this ledger."""
        from ._jobs import check

        return check(self, **keywords)

    def report(self, **keywords: Any) -> Report:
        """Tables, and a page with `html=`: `recert.report` of this ledger."""
        from ._jobs import report

        return report(self, **keywords)

    def merge(
        self, ledgers: Sequence[str | os.PathLike[str]], *, partial: bool = False
    ) -> Ledger:
        """Adds ledgers of the same run to a merged one, such as shards that came later:
        `recert.merge` with this ledger as the one to add to.

            >>> recert.Ledger("run.recert").merge(["3.recert", "9.recert"])
        """
        from ._jobs import merge

        return merge(self, ledgers, partial=partial)

    def __fspath__(self) -> str:
        return str(self.path)

    def __repr__(self) -> str:
        return f"Ledger({str(self.path)!r})"

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{escape(self.networks[run['network']]['name'])}</td>"
            f"<td>{escape(run['method'])}</td><td>{run['samples']}</td><td>{run['alpha']}</td></tr>"
            for run in self.runs
        )
        return (
            f"<p>Ledger {escape(str(self.path))}: {self.inputs.rows} inputs</p><table><thead><tr>"
            "<th>network</th><th>method</th><th>samples</th><th>alpha</th></tr></thead>"
            f"<tbody>{rows}</tbody></table>"
        )
