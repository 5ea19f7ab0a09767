"""The bounds of recert as plain functions on numbers and arrays.

Every lower bound is never above the exact value and every upper bound never below it: they are
rounded outwards, and proved in SOUNDNESS.md. Arguments broadcast as numpy's do; numbers give a
number. Counts are whole numbers; what is out of a bound's domain raises `recert.ParameterError`.

    >>> from recert import bounds
    >>> p = bounds.clopper_pearson_lower(99_000, 100_000, 0.001)
    >>> round(bounds.radius(p, sigma=0.25), 4)
    0.5724

Notation: f is the network certified first and h the modified one; c is the class; f answered c on
k of n samples.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar, Union

import numpy as np
import numpy.typing as npt

from . import _recert
from ._errors import ParameterError

T = TypeVar("T")
Real = Union[float, npt.NDArray[np.float64]]
"""A number, or an array of them."""
Reals = npt.ArrayLike
Counts = npt.ArrayLike


def _whole(name: str, value: Counts) -> npt.NDArray[np.uint64]:
    try:
        array = np.asarray(value)
    except (TypeError, ValueError) as error:
        message = f"{name} must be a whole number or an array of them: {error}"
        raise ParameterError(message, name) from error
    if array.dtype.kind == "f" and np.all(np.mod(array, 1) == 0) and np.all(array < 2**53):
        array = array.astype(np.int64)
    if array.dtype.kind not in "iu":
        raise ParameterError(f"{name} must be whole numbers, not {array.dtype}", name)
    if array.size and array.min() < 0:
        raise ParameterError(f"{name} must be at least 0, but is {array.min()}", name)
    return array.astype(np.uint64)


def _real(name: str, value: Reals) -> npt.NDArray[np.float64]:
    try:
        return np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ParameterError(f"{name} must be a number or an array of numbers: {error}", name) from error


_TOTALS = {
    "k": ("n", "t"), "runner_up": ("n", "votes"), "disagreements": ("m",), "lost": ("m", "pairs"),
    "gained": ("m",), "other": ("pairs",), "arrived": ("pairs",), "pairs": ("n",), "m": ("n",),
}  # fmt: skip
"""What a count is a part of, by the names that bounds give it."""


def _outside(name: str, value: npt.NDArray[np.float64]) -> bool:
    """Whether a real is out of the domain that its name has."""
    if name.startswith("alpha"):
        inside = (value > 0) & (value < 1)
    elif name.startswith("prior") or name == "sigma":
        inside = (value > 0) & np.isfinite(value)
    elif name.startswith("p"):
        inside = (value >= 0) & (value <= 1)
    else:
        inside = ~np.isnan(value)
    return not bool(np.all(inside))


def _at_fault(
    whole: Mapping[str, npt.NDArray[np.uint64]], real: Mapping[str, npt.NDArray[np.float64]]
) -> str:
    """The argument that a refusal is about. The native part has refused already; this names it."""
    for name, value in real.items():
        if _outside(name, value):
            return name
    for name, count in whole.items():
        totals = [whole[total] for total in _TOTALS.get(name, ()) if total in whole]
        if any(np.any(count > total) for total in totals):
            return name
    return next(iter({**whole, **real}))


def _bound(bound: str, counts: dict[str, Counts], reals: dict[str, Reals]) -> Any:
    named = {name: _whole(name, value) for name, value in counts.items()}
    named_reals = {name: _real(name, value) for name, value in reals.items()}
    whole, real = list(named.values()), list(named_reals.values())
    try:
        shape = np.broadcast_shapes(*(array.shape for array in (*whole, *real)))
    except ValueError:
        shapes = [f"{name} {array.shape}" for name, array in {**named, **named_reals}.items()]
        message = f"arrays of these shapes do not broadcast: {', '.join(shapes)}"
        raise ParameterError(message, next(iter({**named, **named_reals}))) from None

    def rows(arrays: list[npt.NDArray[Any]], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        columns = int(np.prod(shape, dtype=np.int64))
        filled: npt.NDArray[Any] = np.empty((len(arrays), columns), dtype=dtype)
        for row, array in zip(filled, arrays):
            row[:] = np.broadcast_to(array, shape).reshape(-1)
        return filled

    try:
        found = _recert.bound(bound, rows(whole, np.uint64), rows(real, np.float64))
    except ParameterError as error:
        raise ParameterError(error.message, _at_fault(named, named_reals)) from None
    values = [row.reshape(shape) if shape else float(row[0]) for row in found]
    return values[0] if len(values) == 1 else tuple(values)


def _named(compute: Callable[[], T], keyword: str, alpha: float) -> T:
    """What is computed; a refusal is about alpha or this keyword."""
    try:
        return compute()
    except ParameterError as error:
        wrong = "alpha" if _outside("alpha", np.asarray(alpha)) else keyword
        raise ParameterError(error.message, wrong) from None


def clopper_pearson_lower(k: Counts, n: Counts, alpha: Reals) -> Real:
    """The lower confidence bound of a probability from k of n samples, at failure alpha."""
    return _bound("clopper_pearson_lower", {"k": k, "n": n}, {"alpha": alpha})


def clopper_pearson_upper(k: Counts, n: Counts, alpha: Reals) -> Real:
    """The upper confidence bound of a probability from k of n samples, at failure alpha."""
    return _bound("clopper_pearson_upper", {"k": k, "n": n}, {"alpha": alpha})


def binomial_tail_lower(k: Counts, n: Counts, p: Reals) -> Real:
    """A lower bound of P(X >= k) for X ~ Bin(n, p)."""
    return _bound("binomial_tail_lower", {"k": k, "n": n}, {"p": p})


def binomial_tail_upper(k: Counts, n: Counts, p: Reals) -> Real:
    """An upper bound of P(X >= k) for X ~ Bin(n, p)."""
    return _bound("binomial_tail_upper", {"k": k, "n": n}, {"p": p})


def fair_coin_p_value_upper(first: Counts, second: Counts) -> Real:
    """An upper bound of the p-value of the two-sided test that two classes are equally likely
    (Cohen, Rosenfeld, Kolter 2019, PREDICT)."""
    return _bound("fair_coin_p_value_upper", {"first": first, "second": second}, {})


def normal_cdf_lower(x: Reals) -> Real:
    """A lower bound of Phi(x)."""
    return _bound("normal_cdf_lower", {}, {"x": x})


def normal_cdf_upper(x: Reals) -> Real:
    """An upper bound of Phi(x)."""
    return _bound("normal_cdf_upper", {}, {"x": x})


def normal_tail_lower(x: Reals) -> Real:
    """A lower bound of 1 - Phi(x)."""
    return _bound("normal_tail_lower", {}, {"x": x})


def normal_tail_upper(x: Reals) -> Real:
    """An upper bound of 1 - Phi(x)."""
    return _bound("normal_tail_upper", {}, {"x": x})


def normal_quantile_lower(p: Reals) -> Real:
    """A lower bound of the quantile of the normal distribution at p."""
    return _bound("normal_quantile_lower", {}, {"p": p})


def normal_quantile_upper(p: Reals) -> Real:
    """An upper bound of the quantile of the normal distribution at p."""
    return _bound("normal_quantile_upper", {}, {"p": p})


def radius(p_lower: Reals, sigma: Reals) -> Real:
    """sigma times the quantile at p_lower, the L2 radius by the class's probability alone (Cohen,
    Rosenfeld, Kolter 2019, CERTIFY); 0 where p_lower is at most 1/2: abstain."""
    return _bound("radius", {}, {"p_lower": p_lower, "sigma": sigma})


def radius_two_sided(p_lower: Reals, p_upper: Reals, sigma: Reals) -> Real:
    """The L2 radius by a lower bound of the class's probability and an upper bound of any other's
    (Cohen, Rosenfeld, Kolter 2019, Theorem 1); 0 where p_lower is at most p_upper: abstain."""
    reals = {"p_lower": p_lower, "p_upper": p_upper, "sigma": sigma}
    return _bound("radius_two_sided", {}, reals)


def shares(votes: Counts, runner_up: Counts, alpha: Reals) -> tuple[Real, Real]:
    """How a two-sided certificate divides alpha, by the selection samples of the class and of the
    next best: the share of the class and that of the ratio."""
    return _bound("shares", {"votes": votes, "runner_up": runner_up}, {"alpha": alpha})


def two_sided(
    k: Counts, runner_up: Counts, n: Counts, alpha_class: Reals, alpha_ratio: Reals
) -> tuple[Real, Real, Real]:
    """Bounds of the class and of any other answer from k and runner_up of n samples: p_lower and
    p_upper, from which the radius is, and the lower bound of the class's share of both."""
    counts = {"k": k, "runner_up": runner_up, "n": n}
    return _bound("two_sided", counts, {"alpha_class": alpha_class, "alpha_ratio": alpha_ratio})


def zeta(
    k: Counts, n: Counts, disagreements: Counts, m: Counts, alpha_f: Reals, alpha_zeta: Reals
) -> tuple[Real, Real]:
    """P(h = c) at least P(f = c) less zeta, the disagreement, on m samples that both answered
    (Ugare et al., ICLR 2024, Theorem 2): the lower bound, and the upper bound of zeta."""
    counts = {"k": k, "n": n, "disagreements": disagreements, "m": m}
    return _bound("zeta", counts, {"alpha_f": alpha_f, "alpha_zeta": alpha_zeta})


def loss(
    k: Counts, n: Counts, lost: Counts, m: Counts, alpha_f: Reals, alpha_loss: Reals
) -> Real:
    """P(h = c) at least P(f = c) less P(f = c, h != c), from the lost of m pairs."""
    counts = {"k": k, "n": n, "lost": lost, "m": m}
    return _bound("loss", counts, {"alpha_f": alpha_f, "alpha_loss": alpha_loss})


def paired(
    k: Counts,
    n: Counts,
    lost: Counts,
    gained: Counts,
    m: Counts,
    alpha_f: Reals,
    alpha_loss: Reals,
    alpha_gain: Reals,
) -> Real:
    """As `loss`, plus P(f != c, h = c), from the gained of m pairs."""
    counts = {"k": k, "n": n, "lost": lost, "gained": gained, "m": m}
    reals = {"alpha_f": alpha_f, "alpha_loss": alpha_loss, "alpha_gain": alpha_gain}
    return _bound("paired", counts, reals)


def coded_loss(
    k: Counts, n: Counts, other: Counts, pairs: Counts, alpha_f: Reals, alpha_h: Reals
) -> Real:
    """P(h = c) at least P(f = c) P(h = c | f = c): of `pairs` samples that f answered with c, h
    answered `other` otherwise."""
    counts = {"k": k, "n": n, "other": other, "pairs": pairs}
    return _bound("coded_loss", counts, {"alpha_f": alpha_f, "alpha_h": alpha_h})


def both(
    k: Counts,
    runner_up: Counts,
    n: Counts,
    lost: Counts,
    arrived: Counts,
    pairs: Counts,
    alpha_f: Reals,
    alpha_h: Reals,
) -> tuple[Real, Real]:
    """Bounds of h's probability of c and of its largest other one, from f's counts of c and of the
    runner-up, and of `pairs` samples the lost and, of any one other answer, the arrived."""
    counts = {
        "k": k,
        "runner_up": runner_up,
        "n": n,
        "lost": lost,
        "arrived": arrived,
        "pairs": pairs,
    }
    return _bound("both", counts, {"alpha_f": alpha_f, "alpha_h": alpha_h})


def anytime(k: Counts, t: Counts, prior_a: Reals, prior_b: Reals, alpha: Reals) -> Real:
    """The lower confidence bound of P(c) from k of the first t samples, for all t at once. The
    prior is the Beta law of the probability of another answer, fixed before the samples."""
    reals = {"prior_a": prior_a, "prior_b": prior_b, "alpha": alpha}
    return _bound("anytime", {"k": k, "t": t}, reals)


def anytime_loss(
    k: Counts,
    n: Counts,
    other: Counts,
    pairs: Counts,
    prior_a: Reals,
    prior_b: Reals,
    alpha_f: Reals,
    alpha_h: Reals,
) -> Real:
    """`coded_loss` for all numbers of pairs at once."""
    counts = {"k": k, "n": n, "other": other, "pairs": pairs}
    reals = {"prior_a": prior_a, "prior_b": prior_b, "alpha_f": alpha_f, "alpha_h": alpha_h}
    return _bound("anytime_loss", counts, reals)


def cells(
    n: int, tilt: float, cells: Iterable[tuple[int, int, int, float]], alpha: float
) -> float:
    """The lower bound of P(h = c) from f's codes on n samples and h's answers on some of each code
    (SOUNDNESS.md): samples, pairs, own answers and tilt of each cell."""
    return _named(lambda: _recert.cells(n, tilt, list(cells), alpha), "cells", alpha)


def joint_upper(
    cells: Iterable[tuple[float, int, int, float, float]], alpha: float
) -> tuple[float, float]:
    """The upper bound of a weighted sum of probabilities, valid at all times at once, and its
    witness: weight, trials, events and the two parameters of the Beta prior of each cell."""
    return _named(lambda: _recert.joint_upper(list(cells), alpha), "cells", alpha)


def prediction(counts: Mapping[int, int], alpha: float) -> tuple[int, bool]:
    """The class of counts by class, and whether it is decided at failure probability alpha (Cohen,
    Rosenfeld, Kolter 2019, PREDICT)."""
    return _named(lambda: _recert.prediction(dict(counts), alpha), "counts", alpha)
