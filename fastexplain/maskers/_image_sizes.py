"""Images of another size, resized by Pillow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from fastexplain._extras import optional_import
from fastexplain.images import Images, as_array, as_images

__all__ = ["check_size", "of_size", "size_of_processor", "sizes_differ"]

_RESAMPLES = ("nearest", "box", "bilinear", "hamming", "bicubic", "lanczos")


def check_size(size: Any, resample: Any) -> tuple[int, int] | None:
    """Height and width as whole numbers, or None; raise for what is neither."""
    if resample not in _RESAMPLES:
        raise ValueError(f"resample must be one of {', '.join(_RESAMPLES)}; got {resample!r}.")
    if size is None:
        return None
    good = isinstance(size, list | tuple | np.ndarray) and len(size) == 2
    if not good or not all(
        isinstance(side, int | np.integer) and not isinstance(side, bool) and side >= 1
        for side in size
    ):
        raise ValueError(f"size must be a pair of whole numbers (height, width), got {size!r}.")
    return int(size[0]), int(size[1])


def size_of_processor(processor: Any) -> tuple[tuple[int, int], str] | None:
    """Height, width and filter to which an image processor resizes; None if it names no size."""
    size = getattr(processor, "size", None)
    if not getattr(processor, "do_resize", True):
        return None
    sides = [
        size.get(name) if isinstance(size, Mapping) else getattr(size, name, None)
        for name in ("height", "width")
    ]
    if not all(isinstance(side, int) and side >= 1 for side in sides):
        return None
    number = getattr(processor, "resample", None)
    image = optional_import("PIL.Image", "image", "Resizing images")
    names = {int(image.Resampling[name.upper()]): name for name in _RESAMPLES}
    known = names.get(int(number)) if isinstance(number, int) else None
    return (int(sides[0] or 0), int(sides[1] or 0)), known or "bilinear"


def sizes_differ(X: Any) -> bool:
    """Whether images in a list have several shapes."""
    if not isinstance(X, list | tuple):
        return False
    # Pillow has the width first, which makes no difference here
    return (
        len(
            {getattr(image, "size", None) if _is_picture(image) else np.shape(image) for image in X}
        )
        > 1
    )


def _is_picture(image: Any) -> bool:
    return hasattr(image, "getbands")


def of_size(X: Any, size: tuple[int, int], resample: str, channels: str) -> Any:
    """Images, those of another size resized.

    Parameters
    ----------
    X : Images, or whatever ``as_images`` takes, in a list of several sizes, too
    size : (int, int)
        Height and width.
    resample : str
        Name of a filter of Pillow.
    channels : {"auto", "first", "last", "none"}
        Where the images have their channels.

    Returns
    -------
    Images, ndarray or list
        X itself where all have this size already.
    """
    if isinstance(X, list | tuple):
        return [_one_of_size(image, size, resample, channels) for image in X]
    images = as_images(X, channels)
    if images.size == size:
        return images
    if images.segments is not None:
        raise ValueError(
            f"The images were segmented at {images.size} pixels, but the masker has size={size}: "
            "pass them as they are."
        )
    pixels = np.stack([_resized(image, size, resample) for image in images.pixels()])
    return Images(np.ascontiguousarray(images.in_order(pixels)), images.channels)


def _one_of_size(image: Any, size: tuple[int, int], resample: str, channels: str) -> Any:
    if _is_picture(image):
        as_array(image)  # palettes are refused
        if (image.height, image.width) == size:
            return image
        pil = optional_import("PIL.Image", "image", "Resizing images")
        return image.resize((size[1], size[0]), pil.Resampling[resample.upper()])
    one = as_images(as_array(image)[None], channels)
    if one.size == size:
        return image
    return one.in_order(_resized(one.pixels()[0], size, resample)[None])[0]


def _resized(pixels: np.ndarray, size: tuple[int, int], resample: str) -> np.ndarray:
    """One image (H, W, C) in its own dtype; what is no byte is resized in single precision."""
    pil = optional_import("PIL.Image", "image", "Resizing images")
    how, shape = pil.Resampling[resample.upper()], (size[1], size[0])
    if pixels.dtype == np.uint8 and pixels.shape[2] in (3, 4):
        return np.asarray(pil.fromarray(np.ascontiguousarray(pixels)).resize(shape, how))
    bytes_ = pixels.dtype == np.uint8
    planes = [
        np.asarray(
            pil.fromarray(
                np.ascontiguousarray(plane if bytes_ else plane.astype(np.float32))
            ).resize(shape, how)
        )
        for plane in np.moveaxis(pixels, 2, 0)
    ]
    found = np.stack(planes, axis=2)
    if pixels.dtype.kind in "ui" and not bytes_:
        limits = np.iinfo(pixels.dtype)
        # the largest whole numbers have no single-precision neighbour inside the limits
        found = np.clip(np.rint(found.astype(np.float64)), limits.min, limits.max)
    return found.astype(pixels.dtype)
