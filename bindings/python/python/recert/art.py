"""Estimators of the Adversarial Robustness Toolbox (ART) for randomized smoothing, with recert's bounds.

A script of ART's runs with one line changed:

    from recert.art import PyTorchRandomizedSmoothing

instead of `from art.estimators.certification.randomized_smoothing import PyTorchRandomizedSmoothing`. The classes
are ART's, with all that they have, such as `fit`; `certify` and `predict` are recert's. `NumpyRandomizedSmoothing`
takes any classifier of ART's.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from . import _jobs
from ._classify import prepared
from ._errors import ParameterError
from ._images import as_numpy

try:
    import art.estimators.certification.randomized_smoothing as _smoothing
except ImportError as error:
    raise ImportError(
        "recert.art needs the Adversarial Robustness Toolbox: pip install 'recert[art]'"
    ) from error

__all__ = [
    "NumpyRandomizedSmoothing",
    "PyTorchRandomizedSmoothing",
    "TensorFlowV2RandomizedSmoothing",
]


class _Certifying:
    """`certify` and `predict` of ART's mixin, by recert.

    Each call has noise of its own, and the same script has the same noise again: `seed` and the number of the
    call decide it.
    """

    seed: int = 0
    """Seed of the noise; may be set."""
    _calls: int = 0

    # Of ART's estimators.
    sample_size: int
    scale: float
    alpha: float
    nb_classes: int
    clip_values: Any
    _predict_classifier: Any

    def certify(
        self, x: np.ndarray, n: int, batch_size: int = 32
    ) -> tuple[np.ndarray, np.ndarray]:
        """The classes and the L2 radii that are certified for inputs, from `sample_size` selection and n
        estimation samples each.

        Args:
            x: inputs, in any shape that the model takes.
            n: samples of each.
            batch_size: images in one call of the model.

        Returns:
            Classes `[inputs]`, of which -1 abstains, and radii `[inputs]`, which are 0 for these, in the
            units of x. The probability of a wrong certificate is at most `alpha` for each input.

        Raises:
            recert.Error: where inputs are no numbers, or outside of `clip_values`.
        """
        scaled = _Scaled(as_numpy(x), self.clip_values)
        found = _jobs.certify(
            self._network(scaled), scaled.images, sigma=self.scale / scaled.width, n=n,
            n0=self.sample_size, alpha=self.alpha, one_sided=True, batch=batch_size,
            seed=self._seed(), progress=False,
        )
        return found.predict.astype(np.int64), scaled.radii(found["radius"])

    def predict(
        self, x: np.ndarray, batch_size: int = 128, verbose: bool = False, **kwargs: Any
    ) -> np.ndarray:
        """The classes of the smoothed classifier, from `sample_size` samples of each input.

        Args:
            x: inputs, in any shape that the model takes.
            batch_size: images in one call of the model.
            verbose: show progress.
            is_abstain: whether to abstain where another class is the most probable one with a probability
                above `alpha`; True if it is not said.

        Returns:
            `[inputs, classes]` with a 1 at the class, and zeros alone for an abstention.
        """
        is_abstain = kwargs.get("is_abstain")
        if is_abstain is None:
            is_abstain = True
        if not isinstance(is_abstain, bool):
            raise ValueError("The argument is_abstain needs to be of type bool.")
        scaled = _Scaled(as_numpy(x), self.clip_values)
        found = _jobs.predict(
            self._network(scaled), scaled.images, sigma=self.scale / scaled.width, n=self.sample_size,
            alpha=self.alpha, batch=batch_size, seed=self._seed(), progress=verbose,
        )
        classes = found.predict
        if not is_abstain:
            classes = found.ledger.counts()["counts"].argmax(1)
        one_hot = np.zeros((len(classes), self.nb_classes))
        rows = np.flatnonzero(classes >= 0)
        one_hot[rows, classes[rows]] = 1
        return one_hot

    def _seed(self) -> int:
        self._calls += 1
        return (self.seed + self._calls - 1) % 2**64

    def _network(self, scaled: _Scaled) -> Any:
        def classify(images: np.ndarray) -> np.ndarray:
            given = scaled.inputs(images)
            scores = as_numpy(
                self._predict_classifier(x=given, batch_size=len(given), training_mode=False)
            )
            if scores.ndim != 2 or scores.shape[1] != self.nb_classes:
                raise ParameterError(
                    f"the model answers with an array of shape {list(scores.shape)}, not with one score "
                    f"for each of nb_classes = {self.nb_classes}"
                )
            # In the precision of the model; what is no number is an answer for no class.
            return np.where(np.isfinite(scores).all(1), scores.argmax(1), -1).astype(np.int64)

        return prepared(classify, id="estimator", num_classes=self.nb_classes)


class _Scaled:
    """Inputs as images of pixels in [0, 1], and back."""

    def __init__(self, x: np.ndarray, clip_values: Any) -> None:
        if x.ndim < 2 or x.dtype.kind not in "fiu" or not len(x):
            raise ParameterError(
                f"x must be an array of inputs, [inputs, ..] of numbers, not {x.dtype} of shape "
                f"{list(x.shape)}",
                "images",
            )
        self.shape = x.shape[1:]
        flat = x.reshape(len(x), -1).astype(np.float64)
        if clip_values is not None:
            self.low, high = (float(f(np.asarray(v))) for f, v in zip((np.min, np.max), clip_values))
        elif np.isfinite(flat).all() and (flat.min() < 0 or flat.max() > 1):
            # No range is said: any that all inputs are in will do.
            self.low, high = float(flat.min()), float(flat.max())
        else:
            self.low, high = 0.0, 1.0
        self.width = high - self.low
        pixels = flat if self._is_same else (flat - self.low) / self.width
        self.images = pixels.astype(np.float32).reshape(len(x), 1, 1, -1)
        # What rounding to float32 has moved an input by, its radius is less.
        there = self.images.reshape(len(x), -1).astype(np.float64)
        if not self._is_same:
            there = there * self.width + self.low
        with np.errstate(invalid="ignore"):
            moved = np.sqrt(((there - flat) ** 2).sum(1))
        self.moved = np.where(moved > 0, np.nextafter(moved * (1 + 1e-9), np.inf), 0.0)

    @property
    def _is_same(self) -> bool:
        return (self.low, self.width) == (0.0, 1.0)

    def inputs(self, images: np.ndarray) -> np.ndarray:
        """Images as the model takes them."""
        if not self._is_same:
            images = images * np.float32(self.width) + np.float32(self.low)
        return images.reshape(-1, *self.shape)

    def radii(self, radii: np.ndarray) -> np.ndarray:
        """Radii in units of the inputs, rounded down."""
        if not self._is_same:
            radii = np.nextafter(radii * self.width, 0)
        return np.where(self.moved > 0, np.maximum(np.nextafter(radii - self.moved, 0), 0), radii)


class PyTorchRandomizedSmoothing(_Certifying, _smoothing.PyTorchRandomizedSmoothing):  # type: ignore[misc]
    """ART's class of this name, with `certify` and `predict` by recert."""


class TensorFlowV2RandomizedSmoothing(  # type: ignore[misc]
    _Certifying, _smoothing.TensorFlowV2RandomizedSmoothing
):
    """ART's class of this name, with `certify` and `predict` by recert."""


class NumpyRandomizedSmoothing(_Certifying, _smoothing.NumpyRandomizedSmoothing):  # type: ignore[misc]
    """ART's class of this name, with `certify` and `predict` by recert: it smooths any classifier of
    ART's."""
