"""Scripts of the field run with another import."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import bright

import recert
from recert import Smooth, bounds


def test_cohens_interface(greys) -> None:
    images, _ = greys
    smoothed = Smooth(bright(0.5), 2, 0.25)
    assert Smooth.ABSTAIN == -1
    label, radius = smoothed.certify(images[1], 50, 3000, 0.001, 500)
    assert label == 0 and type(label) is int and 0.4 < radius < 0.6 and type(radius) is float
    # One of the radii that CERTIFY can state.
    k = np.arange(2000, 3001)
    possible = bounds.radius(bounds.clopper_pearson_lower(k, 3000, 0.001), 0.25)
    assert radius in possible
    assert smoothed.predict(images[1], 500, 0.001, 100) == 0
    assert smoothed.predict(images[4], 500, 0.001, 100) == 1
    # At the limit neither class is more probable.
    coin = Smooth(bright(float(images[2].mean())), 2, 0.25)
    assert coin.certify(images[2], 50, 1000, 0.001, 500) == (-1, 0.0)
    assert coin.predict(images[2], 100, 0.001, 100) == -1


def test_each_call_has_noise_of_its_own_and_a_script_the_same_again(greys) -> None:
    images, _ = greys

    def script(seed: int) -> list[float]:
        smoothed = Smooth(bright(0.45), 2, 0.25, seed=seed)
        return [smoothed.certify(images[1], 20, 500, 0.001, 100)[1] for _ in range(4)]

    first = script(0)
    assert first == script(0) and len(set(first)) > 1 and first != script(100)


def test_images_beyond_pixels_are_refused(greys) -> None:
    images, _ = greys
    with pytest.raises(recert.InputError):
        Smooth(bright(0.5), 2, 0.25).predict(images[1] + 1, 100, 0.001, 10)


def test_several_images_are_refused(greys) -> None:
    images, _ = greys
    with pytest.raises(recert.ParameterError, match="2 images") as refused:
        Smooth(bright(0.5), 2, 0.25).certify(images[:2], 10, 100, 0.001, 10)
    assert refused.value.field == "images"


def test_bounds_ask_for_a_file(greys) -> None:
    images, _ = greys
    with pytest.raises(recert.ParameterError, match="ONNX file"):
        recert.verify(bright(0.5), images, eps=0.01)
    with pytest.raises(recert.ParameterError, match="ONNX file"):
        recert.explain(bright(0.5), images, eps=0.01)
