"""What takes the place of removed pixels: statistics, blur and noise."""

from __future__ import annotations

import hashlib
import math
from typing import Any

import numpy as np

__all__ = ["CHUNK_CELLS", "blurred", "in_dtype", "means", "noise"]

#: cells worked on at once where whole sets of images are: memory does not grow with n
CHUNK_CELLS = 2**22


def means(pixels: np.ndarray, around: np.ndarray | None = None) -> np.ndarray:
    """Mean of each channel of (n, H, W, C), or mean square of what it differs by."""
    total = np.zeros(pixels.shape[3])
    step = max(1, CHUNK_CELLS // math.prod(pixels.shape[1:]))
    for start in range(0, len(pixels), step):
        part = pixels[start : start + step]
        if around is not None:
            part = (part - around) ** 2
        total += part.sum(axis=(0, 1, 2), dtype=np.float64)
    return total / math.prod(pixels.shape[:3])


def in_dtype(values: Any, dtype: np.dtype, exact: bool = False) -> np.ndarray:
    """Values in the dtype of the images: rounded and clipped if it has whole numbers only.

    With ``exact`` what had to be rounded or clipped is refused.
    """
    if dtype.kind in "ui":
        limits = np.iinfo(dtype)
        cast = np.clip(np.rint(values), limits.min, limits.max).astype(dtype)
        wrong = exact and bool((cast != values).any())
    else:
        with np.errstate(over="ignore"):
            cast = values.astype(dtype)
        wrong = exact and not np.isfinite(cast).all()
    if wrong:
        raise ValueError(
            f"fill {np.asarray(values).tolist()} cannot be a pixel of {dtype} images: give it in "
            "their own scale."
        )
    return cast


def noise(native: np.ndarray, shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Standard normal numbers for each image, from its content."""
    drawn = np.empty((len(native), *shape))
    for i, image in enumerate(native):
        digest = hashlib.blake2b(image.tobytes(), digest_size=16).digest()
        rng = np.random.default_rng([seed, int.from_bytes(digest, "little")])
        drawn[i] = rng.standard_normal(shape)
    return drawn


def blurred(pixels: np.ndarray, sigmas: tuple[float, float]) -> np.ndarray:
    """Gaussian blur of images (n, H, W, C), their edges going on beyond.

    In double precision, so that areas of one colour keep it exactly in smaller types. A
    product of matrices each image, so that the result is the same whatever the batch.
    """
    planes = np.ascontiguousarray(np.moveaxis(pixels, 3, 1), dtype=np.float64)
    height, width = (
        _blur_matrix(side, sigma) for side, sigma in zip(planes.shape[2:], sigmas, strict=True)
    )
    return np.moveaxis(height @ planes @ width.T, 1, 3)


def _blur_matrix(size: int, sigma: float) -> np.ndarray:
    """Weights (size, size) of the pixels of a line in each blurred one."""
    reach = math.ceil(3 * sigma)
    offsets = np.arange(-reach, reach + 1)
    weights = np.exp(-0.5 * (offsets / sigma) ** 2)
    weights /= weights.sum()
    source = np.clip(np.arange(size)[:, None] + offsets, 0, size - 1)
    matrix = np.zeros((size, size))
    np.add.at(matrix, (np.arange(size)[:, None], source), np.broadcast_to(weights, source.shape))
    return matrix
