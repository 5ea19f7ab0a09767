"""Images as the native part takes them."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from ._errors import ParameterError


def as_numpy(value: Any) -> np.ndarray:
    """An array, a tensor of PyTorch or JAX, or a sequence of them, as a numpy array."""
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        if str(value.dtype) == "torch.bfloat16":
            value = value.float()
        return value.numpy()
    if isinstance(value, (list, tuple)):
        value = [as_numpy(one) for one in value]
    return np.asarray(value)


def _array(value: Any, keyword: str) -> np.ndarray:
    """The same of a keyword, whose lists may be no array."""
    try:
        return as_numpy(value)
    except (TypeError, ValueError) as error:
        raise ParameterError(f"{keyword} cannot be made one array: {error}", keyword) from error


def images_of(images: Any, labels: Any = None) -> Any:
    """What the native part takes: the specification of a data set, or pixels and labels.

    Pixels are `[images, channels, height, width]` in [0, 1], in float32 without a copy, or 0 to 255
    in uint8. Where images are files, labels are one too, and stay with the options.
    """
    if isinstance(images, (str, os.PathLike)):
        if labels is not None and not isinstance(labels, (str, os.PathLike)):
            raise ParameterError(
                "labels of images from files are a file, too: give the images as an array", "labels"
            )
        return os.fspath(images)
    pixels = _array(images, "images")
    if pixels.ndim != 4:
        raise ParameterError(
            "images must be an array [images, channels, height, width], not of shape "
            f"{list(pixels.shape)}",
            "images",
        )
    if pixels.shape[3] in (1, 3) and pixels.shape[1] not in (1, 3):
        raise ParameterError(
            f"images of shape {list(pixels.shape)} have their channels last: put them first, as "
            "images.transpose(0, 3, 1, 2) does",
            "images",
        )
    if pixels.dtype == np.uint8:
        pixels = pixels.astype(np.float32) / np.float32(255)
    elif pixels.dtype.kind != "f":
        raise ParameterError(
            f"pixels must be float32 in [0, 1] or uint8, not {pixels.dtype}", "images"
        )
    pixels = np.ascontiguousarray(pixels, dtype=np.float32)
    if labels is None:
        return pixels, None
    if isinstance(labels, (str, os.PathLike)):
        raise ParameterError("labels of images in memory must be an array, not a file", "labels")
    classes = _array(labels, "labels")
    if classes.ndim != 1 or classes.dtype.kind not in "iu":
        raise ParameterError("labels must be a list of whole numbers, one an image", "labels")
    wrong = np.flatnonzero((classes < 0) | (classes >= 2**32))
    if wrong.size:
        first = int(wrong[0])
        none = (
            ": leave out labels, or the images that have none" if classes[first] == -1 else ""
        )
        raise ParameterError(
            f"the label of image {first} is {classes[first]}, and labels are the numbers of classes, "
            f"from 0 on{none}",
            "labels",
        )
    return pixels, np.ascontiguousarray(classes, dtype=np.uint32)
