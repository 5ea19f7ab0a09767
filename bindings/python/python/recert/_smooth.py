"""A drop-in for the smoothed classifier of Cohen, Rosenfeld, Kolter (2019)."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from ._classify import prepared
from ._errors import ParameterError
from ._images import as_numpy
from ._jobs import certify, predict


class Smooth:
    """`Smooth` of the `core.py` that scripts of the field import, with recert's bounds.

    Scripts run unchanged but for the import:

        from recert import Smooth

    `certify` and `predict` return what the original does, and state what it states; probabilities
    are bounded with outward rounding. Each call has noise of its own, and the same script has the
    same noise again: `seed` and the number of the call decide it.

    Args:
        base_classifier: a module, or any callable from a batch to logits or classes.
        num_classes: the number of classes.
        sigma: standard deviation of the noise, in units of pixels in [0, 1].
        seed: of the noise.
    """

    ABSTAIN = -1

    def __init__(
        self, base_classifier: Any, num_classes: int, sigma: float, *, seed: int = 0
    ) -> None:
        self.base_classifier = base_classifier
        self.num_classes = num_classes
        self.sigma = sigma
        self.seed = seed
        self._calls = 0
        self._prepared: Any = None

    def certify(
        self, x: Any, n0: int, n: int, alpha: float, batch_size: int
    ) -> tuple[int, float]:
        """The class and the L2 radius that are certified for x, `[channels, height, width]`, from n0
        selection and n estimation samples: `(ABSTAIN, 0.0)` where none is."""
        found = certify(
            self._network(), self._image(x), sigma=self.sigma, n=n, n0=n0, alpha=alpha,
            one_sided=True, batch=batch_size, seed=self._seed(), progress=False,
        )
        return int(found.predict[0]), float(found["radius"][0])

    def predict(self, x: Any, n: int, alpha: float, batch_size: int) -> int:
        """The class of the smoothed classifier at x from n samples, or ABSTAIN: it is another one
        with probability at most alpha."""
        found = predict(
            self._network(), self._image(x), sigma=self.sigma, n=n, alpha=alpha,
            batch=batch_size, seed=self._seed(), progress=False,
        )
        return int(found.predict[0])

    def _network(self) -> Any:
        # A module may have been moved, or put into evaluation, since it was given; its weights are
        # hashed once, as the ledger is gone after each call.
        if self._prepared is None:
            # A file is known by its bytes.
            is_file = isinstance(self.base_classifier, (str, os.PathLike))
            self._prepared = prepared(
                self.base_classifier,
                id=None if is_file else "base_classifier",
                num_classes=self.num_classes,
            )
        return self._prepared

    def _seed(self) -> int:
        self._calls += 1
        return (self.seed + self._calls - 1) % 2**64

    def _image(self, x: Any) -> np.ndarray:
        image = as_numpy(x)
        image = image[None] if image.ndim == 3 else image
        if image.ndim == 4 and len(image) != 1:
            raise ParameterError(
                f"x holds {len(image)} images: give one, [C, H, W] or [1, C, H, W]", "images"
            )
        return image
