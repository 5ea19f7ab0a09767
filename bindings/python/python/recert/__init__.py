"""Certify neural networks, and recertify every change: recert for Python.

    >>> import recert
    >>> certified = recert.certify(model, images, labels, sigma=0.25, ledger="run.recert")
    >>> recertified = recert.recertify("run.recert", int8_model, images, labels, budget="5%")
    >>> recert.Ledger("run.recert").check().holds

Every option of the command line is a keyword of the same name. The work is done by the same code
as the command line's; docs/python.md of recert has the whole.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import bounds as bounds
    from ._errors import (
        EngineError,
        Error,
        InputError,
        LedgerError,
        OutputError,
        ParameterError,
        WorkersError,
    )
    from ._jobs import (
        approximate,
        certify,
        check,
        explain,
        merge,
        plan,
        predict,
        recertify,
        report,
        sensitivity,
        train,
        tune,
        verify,
    )
    from ._ledger import Ledger
    from ._recert import __version__
    from ._smooth import Smooth
    from ._tables import (
        Approximation,
        Check,
        Explanation,
        Plan,
        Report,
        Results,
        Sensitivity,
        Table,
        Training,
        Tuned,
        Verdicts,
    )

# What is asked for is imported then, so that the command `recert` does not wait for numpy.
_WHERE = {
    "_errors": (
        "EngineError",
        "Error",
        "InputError",
        "LedgerError",
        "OutputError",
        "ParameterError",
        "WorkersError",
    ),
    "_jobs": (
        "approximate",
        "certify",
        "check",
        "explain",
        "merge",
        "plan",
        "predict",
        "recertify",
        "report",
        "sensitivity",
        "train",
        "tune",
        "verify",
    ),
    "_ledger": ("Ledger",),
    "_recert": ("__version__",),
    "_smooth": ("Smooth",),
    "_tables": (
        "Approximation",
        "Check",
        "Explanation",
        "Plan",
        "Report",
        "Results",
        "Sensitivity",
        "Table",
        "Training",
        "Tuned",
        "Verdicts",
    ),
}
_MODULE_OF = {name: module for module, names in _WHERE.items() for name in names}

__all__ = [
    "Approximation",
    "Check",
    "EngineError",
    "Error",
    "Explanation",
    "InputError",
    "Ledger",
    "LedgerError",
    "OutputError",
    "ParameterError",
    "Plan",
    "Report",
    "Results",
    "Sensitivity",
    "Smooth",
    "Table",
    "Training",
    "Tuned",
    "Verdicts",
    "WorkersError",
    "__version__",
    "approximate",
    "bounds",
    "certify",
    "check",
    "explain",
    "merge",
    "plan",
    "predict",
    "recertify",
    "report",
    "sensitivity",
    "train",
    "tune",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name == "bounds":
        return importlib.import_module(".bounds", __name__)
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'recert' has no attribute {name!r}")
    value = getattr(importlib.import_module("." + _MODULE_OF[name], __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
