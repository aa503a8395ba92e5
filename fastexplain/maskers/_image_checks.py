"""Checks of what an ``ImageMasker`` is told, and players of pixels from labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fastexplain.images import Images

__all__ = [
    "check_fill",
    "check_players",
    "checked_segments",
    "numbered",
    "pair",
    "patch_of",
    "segmented",
]

_FILLS = ("zero", "mean", "blur", "noise")


def pair(patch_size: Any) -> tuple[int, int]:
    """Height and width of a patch, checked."""
    sides = patch_size if isinstance(patch_size, Sequence | np.ndarray) else (patch_size,) * 2
    good = len(sides) == 2 and all(
        isinstance(side, int | np.integer) and not isinstance(side, bool) and side >= 1
        for side in sides
    )
    if not good:
        raise ValueError(
            f"patch_size must be a whole number of pixels or a pair (height, width), got "
            f"{patch_size!r}."
        )
    return int(sides[0]), int(sides[1])


def patch_of(patch_size: Any, size: tuple[int, int]) -> tuple[int, int]:
    """Height and width of the patches of images of this size."""
    if patch_size is None:
        height, width = (16 if side >= 112 else -(-side // 8) for side in size)
        return height, width
    patch = pair(patch_size)
    if patch[0] > size[0] or patch[1] > size[1]:
        raise ValueError(
            f"Patches of {patch[0]} x {patch[1]} pixels are larger than the images of "
            f"{size[0]} x {size[1]}: choose a smaller patch_size."
        )
    return patch


def check_players(patch_size: Any, segments: Any) -> None:
    if segments is None:
        return
    if patch_size is not None:
        raise ValueError("Give patch_size or segments, not both: each says what the players are.")


def check_fill(fill: Any) -> None:
    """Raise for what is neither the name of a fill nor numbers."""
    if isinstance(fill, str):
        if fill not in _FILLS:
            raise ValueError(
                "fill must be 'zero', 'mean', 'blur', 'noise', a number or a number for each "
                f"channel, got {fill!r}."
            )
        return
    values = np.asarray(fill)
    if values.dtype.kind not in "uif" or values.ndim > 1 or not np.isfinite(values).all():
        raise ValueError(
            "fill must be the name of a fill, a finite number or a number for each channel, got "
            f"{fill!r}."
        )


def checked_segments(segments: Any, size: tuple[int, int], whose: str) -> np.ndarray:
    labels = np.asarray(segments)
    if labels.dtype.kind not in "uib":
        raise TypeError(
            f"{whose} must be whole numbers, the player of each pixel, or a function that answers "
            f"them; got {labels.dtype}."
        )
    if labels.shape != size:
        raise ValueError(
            f"{whose} has shape {labels.shape}, but the images are of {size}. An array serves "
            "all images; for players of each image's own give a function of an image."
        )
    return labels.astype(np.int64)


def numbered(labels: np.ndarray) -> np.ndarray:
    """Labels as 0, 1, ... in their order; negative ones as -1."""
    numbered = np.full(labels.shape, -1, dtype=np.int64)
    inside = labels >= 0
    numbered[inside] = np.unique(labels[inside], return_inverse=True)[1]
    return numbered


def segmented(images: Images, function: Callable[[np.ndarray], Any]) -> np.ndarray:
    """Players of each image's pixels, int (n, H, W), as a function finds them."""
    found = np.empty((len(images), *images.size), dtype=np.int32)
    grey = images.channels == "none"
    pixels = images.native if grey else images.pixels()
    for i in range(len(images)):
        # a copy, as the function may work in place
        labels = function(np.array(pixels[i], order="C"))
        found[i] = numbered(checked_segments(labels, images.size, f"segments of image {i}"))
    return found
