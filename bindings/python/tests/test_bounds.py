from __future__ import annotations

from fractions import Fraction
from math import comb

import numpy as np
import pytest

import recert
from recert import bounds


def tail(k: int, n: int, p: Fraction) -> Fraction:
    """P(X >= k) for X ~ Bin(n, p), exactly."""
    return sum(comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(k, n + 1))


@pytest.mark.parametrize(("k", "n"), [(1, 1), (7, 9), (40, 60), (60, 60)])
@pytest.mark.parametrize("alpha", [0.001, 0.3])
def test_clopper_pearson_is_sound_and_close(k: int, n: int, alpha: float) -> None:
    lower = bounds.clopper_pearson_lower(k, n, alpha)
    assert tail(k, n, Fraction(lower)) <= Fraction(alpha)
    assert tail(k, n, Fraction(lower) * (1 + Fraction(1, 10**9))) > Fraction(alpha)
    # The upper bound from k is what the lower one from the others leaves.
    upper = bounds.clopper_pearson_upper(n - k, n, alpha)
    assert tail(k, n, 1 - Fraction(upper)) <= Fraction(alpha)
    assert upper == pytest.approx(1 - lower, abs=1e-9)


def test_binomial_tails_enclose_the_exact_one() -> None:
    for k, n, p in [(3, 5, 0.5), (9, 40, 0.125), (40, 40, 0.75)]:
        exact = tail(k, n, Fraction(p))
        assert Fraction(bounds.binomial_tail_lower(k, n, p)) <= exact
        assert Fraction(bounds.binomial_tail_upper(k, n, p)) >= exact
    assert bounds.fair_coin_p_value_upper(9, 1) == pytest.approx(0.021484375, rel=1e-9)


def test_the_normal_distribution_is_enclosed() -> None:
    x = np.linspace(-5, 5, 101)
    low, high = bounds.normal_cdf_lower(x), bounds.normal_cdf_upper(x)
    assert np.all(low <= high) and np.all(high - low < 1e-11)
    assert np.all(bounds.normal_quantile_lower(low) <= x)
    assert np.all(bounds.normal_quantile_upper(high) >= x)
    assert bounds.normal_tail_lower(1.0) <= 0.15865525393145707 <= bounds.normal_tail_upper(1.0)


def test_the_radius_is_that_of_the_paper() -> None:
    p = bounds.clopper_pearson_lower(99_000, 100_000, 0.001)
    assert bounds.radius(p, 0.25) == pytest.approx(0.57246, abs=1e-4)
    assert bounds.radius(0.5, 0.25) == 0.0
    # Both sides give the same where the runner-up has all the rest.
    both = bounds.radius_two_sided(p, 1 - p, 0.25)
    assert both == pytest.approx(bounds.radius(p, 0.25), rel=1e-9)
    assert bounds.radius_two_sided(0.3, 0.3, 0.25) == 0.0


def test_arrays_broadcast_and_numbers_stay_numbers() -> None:
    k = np.array([[90], [99]])
    n = np.array([100, 200, 300])
    found = bounds.clopper_pearson_lower(k, n, 0.01)
    assert found.shape == (2, 3)
    for i in range(2):
        for j in range(3):
            assert found[i, j] == bounds.clopper_pearson_lower(int(k[i, 0]), int(n[j]), 0.01)
    assert isinstance(bounds.clopper_pearson_lower(1.0, 1e2, 0.01), float)
    assert bounds.radius(np.empty(0), 0.5).shape == (0,)


def test_bounds_of_recertification_are_ordered() -> None:
    k, n, m, alpha = 9900, 10_000, 1000, 0.001
    a, b = alpha / 10, alpha * 9 / 10
    # Of 12 disagreements 7 are lost and 3 gained.
    by_zeta, zeta = bounds.zeta(k, n, 12, m, a, b)
    by_loss = bounds.loss(k, n, 7, m, a, b)
    own = bounds.clopper_pearson_lower(k, n, a)
    assert by_zeta < by_loss < own and zeta >= 12 / m
    assert by_loss == pytest.approx(own - bounds.clopper_pearson_upper(7, m, b), abs=1e-12)
    by_pairs = bounds.paired(k, n, 7, 3, m, a, b / 2, b / 2)
    assert 0 < by_pairs < own
    coded = bounds.coded_loss(k, n, 7, m, a, b)
    assert coded == pytest.approx(own * (1 - bounds.clopper_pearson_upper(7, m, b)), abs=1e-12)
    lower, upper = bounds.both(4600, 2000, n, 15, 8, m, a, b)
    assert upper < lower < 0.46 and upper > 0.2
    class_share, ratio_share = bounds.shares(40, 5, alpha)
    assert class_share + ratio_share <= alpha
    p_lower, p_upper, ratio = bounds.two_sided(4000, 500, n, class_share, ratio_share)
    assert p_upper < 0.08 < 0.37 < p_lower < 0.4 and ratio < 4000 / 4500


def test_bounds_that_hold_at_all_times_are_below_those_that_hold_at_one() -> None:
    anytime = bounds.anytime(9000, 10_000, 10.5, 90.5, 0.001)
    assert 0.88 < anytime < bounds.clopper_pearson_lower(9000, 10_000, 0.001)
    assert bounds.anytime_loss(9000, 10_000, 3, 500, 0.5, 50.0, 0.0002, 0.0018) < 0.9
    assert bounds.cells(1000, 0.2, [(1000, 400, 400, 9.0)], 0.002) > 0.5
    bound, witness = bounds.joint_upper([(1.0, 1000, 10, 0.5, 50.0)], 0.001)
    assert 0.01 < bound < 0.05 and witness > 0
    assert bounds.prediction({3: 90, 5: 10}, 0.001) == (3, True)
    assert bounds.prediction({3: 51, 5: 49}, 0.001) == (3, False)


@pytest.mark.parametrize(
    ("call", "words", "field"),
    [
        (lambda: bounds.clopper_pearson_lower(5, 3, 0.1), "5", "k"),
        (lambda: bounds.clopper_pearson_lower(-1, 3, 0.1), "k must be at least 0", "k"),
        (lambda: bounds.clopper_pearson_lower(0.5, 3, 0.1), "k must be whole numbers", "k"),
        (lambda: bounds.clopper_pearson_lower([[1], [1, 2]], 3, 0.1), "k must be", "k"),
        (lambda: bounds.clopper_pearson_lower(1, 3, 1.5), "failure probability 1.5", "alpha"),
        (lambda: bounds.clopper_pearson_lower(1, 3, float("nan")), "probability NaN", "alpha"),
        (lambda: bounds.clopper_pearson_lower(1, 3, "much"), "alpha must be", "alpha"),
        (lambda: bounds.clopper_pearson_lower([1, 2], [3, 4, 5], 0.1), "do not broadcast", "k"),
        (lambda: bounds.radius(1.5, 0.25), "1.5", "p_lower"),
        (lambda: bounds.radius(0.9, -1.0), "-1", "sigma"),
        (lambda: bounds.normal_cdf_lower(float("nan")), "NaN", "x"),
        (lambda: bounds.loss(9, 10, 7, 6, 0.01, 0.01), "7", "lost"),
        (lambda: bounds.cells(10, 0.2, [(1, 2, 3, 1.0)], 0.01), "no more pairs", "cells"),
        (lambda: bounds.cells(10, 0.2, [(1, 1, 1, 1.0)], 2.0), "2", "alpha"),
        (lambda: bounds.anytime(1, 2, 0.0, 1.0, 0.1), "Beta", "prior_a"),
    ],
)
def test_what_is_out_of_a_domain_is_refused(call, words: str, field: str) -> None:
    with pytest.raises(recert.ParameterError) as caught:
        call()
    assert words in str(caught.value), caught.value
    assert caught.value.field == field
    assert isinstance(caught.value, ValueError) and caught.value.kind == "parameter"
