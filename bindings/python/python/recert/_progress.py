"""What a running job reports: remarks to the log, progress to tqdm or to a callable."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Union

Progress = Union[bool, Callable[[int, int], None]]
"""Whether to show progress, by tqdm where that is installed; or a callable that is told how many
evaluations are done, and of how many."""

_log = logging.getLogger("recert")


class Reporter:
    """Is called with what happens in a job."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._bar: Any = None
        self._done = 0
        self._total = 0

    def __call__(self, kind: str, *words: Any) -> None:
        getattr(self, "_" + kind)(*words)

    def _remark(self, text: str) -> None:
        # As the command line prints every remark: people are to see them without asking.
        if self._progress:
            _log.warning("%s", text)

    def _pass(self, kind: str, inputs: int, networks: int) -> None:
        self._name = f"{kind} {inputs} input{'s' if inputs != 1 else ''}"
        if networks > 1:
            self._name += f", {networks} networks"

    def _started(self, total: int, done: int) -> None:
        self._close()
        self._total, self._done = total, done
        if self._progress is True:
            try:
                from tqdm.auto import tqdm
            except ImportError:
                return
            # Silent where nobody watches, as the command line is.
            self._bar = tqdm(
                total=total, initial=done, desc=getattr(self, "_name", None), disable=None,
                unit="", unit_scale=True,
            )
        self._tell()

    def _evaluated(self, more: int) -> None:
        self._done += more
        if self._bar is not None:
            self._bar.update(more)
        self._tell()

    def _ended(self, finished: bool) -> None:
        self._close()

    def _tell(self) -> None:
        if callable(self._progress):
            self._progress(self._done, self._total)

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None
