"""What goes wrong, in the words of the command line."""

from __future__ import annotations


class Error(Exception):
    """A failure of recert.

    `kind` is what to branch on, `field` the keyword to choose otherwise, where there is one.
    """

    kind = "other"

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(message, field)
        self.message = message
        self.field = field

    def __str__(self) -> str:
        return self.message if self.field is None else f"{self.message} (see {self.field}=)"


class ParameterError(Error, ValueError):
    """A parameter is missing, out of range, or does not fit the others."""

    kind = "parameter"


class InputError(Error):
    """A network, data or ledger file is missing, damaged, or not what it should be."""

    kind = "input"


class LedgerError(Error):
    """The ledger is of another run, was written by a newer version, or is in use."""

    kind = "ledger"


class EngineError(Error):
    """The engine is missing or cannot compute the network, or a callable failed.

    What a callable raised is the `__cause__`.
    """

    kind = "engine"


class WorkersError(Error):
    """A worker was lost: what was computed is kept, and the same call again goes on from there."""

    kind = "workers"


class OutputError(Error):
    """Writing failed, such as on a full disk."""

    kind = "output"


_CLASSES: dict[str, type[Error]] = {
    one.kind: one
    for one in (ParameterError, InputError, LedgerError, EngineError, WorkersError, OutputError)
}


def make(kind: str, field: str | None, message: str) -> Error:
    """The exception for a failure in the native part."""
    return _CLASSES.get(kind, Error)(message, field)
