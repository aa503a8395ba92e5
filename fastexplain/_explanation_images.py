"""Images of an explanation as they are shown: rescaled, grey under colours, as PNG."""

from __future__ import annotations

import base64
import struct
import zlib
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from fastexplain._explanation_scale import BLUE, RED, Scale, rgb

if TYPE_CHECKING:
    from fastexplain.explanation import Explanation

__all__ = ["displayable", "grey", "per_pixel", "png", "thumbnails"]

_OPACITY = 0.85
_LONGEST_SIDE = 256


def displayable(images: np.ndarray, channels: str) -> np.ndarray:
    """Images in [0, 1], with three channels or grey.

    Parameters
    ----------
    images : ndarray of shape (n, C, H, W), (n, H, W, C) or (n, H, W)
        Bytes, floats in [0, 1], or numbers of any other range. Those are stretched from the
        least to the largest of each image.
    channels : {"first", "last", "none"}

    Returns
    -------
    ndarray of shape (n, H, W, 3) or (n, H, W), float
        Four channels within their range are taken for colours and opacity, and laid on
        white. Of any number but one, three and four the mean is shown.

    Examples
    --------
    >>> displayable(np.array([[[0, 255]]], dtype=np.uint8), "none").tolist()
    [[[0.0, 1.0]]]
    >>> displayable(np.array([[[-2.0, 2.0, 0.0]]]), "none").tolist()
    [[[0.0, 1.0, 0.5]]]
    """
    array = np.asarray(images)
    if channels == "none":
        array = array[..., None]
    elif channels == "first":
        array = np.moveaxis(array, 1, -1)
    shown, in_range = _unit_range(array)
    n_channels = shown.shape[-1]
    if n_channels == 4 and in_range:
        shown = shown[..., :3] * shown[..., 3:] + (1.0 - shown[..., 3:])
    elif n_channels != 3:
        shown = shown.mean(axis=-1)
    return shown


def _unit_range(array: np.ndarray) -> tuple[np.ndarray, bool]:
    """Return numbers in [0, 1], and whether they had the range of colours before."""
    if array.dtype == np.uint8:
        return array / 255.0, True
    shown = np.nan_to_num(array.astype(float), posinf=0.0, neginf=0.0)
    if not shown.size or (shown.min() >= 0.0 and shown.max() <= 1.0):
        return shown, True
    low, high = shown.min(axis=(1, 2, 3), keepdims=True), shown.max(axis=(1, 2, 3), keepdims=True)
    return (shown - low) / np.where(high > low, high - low, 1.0), False


def grey(image: np.ndarray) -> np.ndarray:
    """One displayable image as its brightness, (H, W).

    It is lightened, because the same colour would look weaker on black than on white.
    """
    brightness = image @ np.array([0.299, 0.587, 0.114]) if image.ndim == 3 else image
    return 0.55 + 0.45 * brightness


def per_pixel(explanation: Explanation, outside: float = 0.0) -> np.ndarray:
    """Return the values of the players at the pixels, (n, H, W, K); ``outside`` where is none."""
    layout: Any = explanation._layout
    values = explanation._values
    return np.stack(
        [layout.to_pixels(values[..., k], outside=outside) for k in range(values.shape[2])], axis=-1
    )


def png(pixels: np.ndarray) -> bytes:
    """Write an image (H, W, 3) of numbers in [0, 1] as a PNG file."""
    levels = np.rint(np.clip(pixels, 0.0, 1.0) * 255).astype(np.uint8)
    height, width = levels.shape[:2]

    def chunk(kind: bytes, content: bytes) -> bytes:
        checked = kind + content
        return struct.pack(">I", len(content)) + checked + struct.pack(">I", zlib.crc32(checked))

    # every line begins with the number of its filter: none
    lines = np.concatenate([np.zeros((height, 1), np.uint8), levels.reshape(height, -1)], axis=1)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(lines.tobytes(), 6))
        + chunk(b"IEND", b"")
    )


def _overlay(image: np.ndarray, values: np.ndarray, scale: Scale) -> np.ndarray:
    """Colours of ``values`` (H, W) over the grey image, (H, W, 3)."""
    strength = scale.strength(values)[..., None]
    colour = np.where(strength > 0, rgb(RED), rgb(BLUE)) / 255.0
    opacity = _OPACITY * np.abs(strength)
    return (1.0 - opacity) * grey(image)[..., None] + opacity * colour


def thumbnails(explanation: Explanation, captions: list[str], count: int) -> str:
    """First images under the colours of their first output, as HTML without files."""
    layout: Any = explanation._layout
    count = min(count, len(explanation._values))
    if explanation._data is None or not count or not explanation._values.size:
        return ""
    part = explanation.centered
    part = part[:count] if "row" in part.dims else part
    maps = per_pixel(part, outside=np.nan)[..., 0]
    scale = Scale.of(explanation, maps)
    images = displayable(np.asarray(part._data), layout.channels)
    step = -(-max(maps.shape[1:]) // _LONGEST_SIDE)
    figures = []
    for image, values, caption in zip(images, maps, captions, strict=False):
        drawn = _overlay(image[::step, ::step], values[::step, ::step], scale)
        code = base64.b64encode(png(drawn)).decode("ascii")
        figures.append(
            '<figure style="display:inline-block;margin:0 0.8em 0.4em 0;text-align:center">'
            f'<img src="data:image/png;base64,{code}" alt="{escape(caption)}" '
            'style="height:144px;image-rendering:pixelated">'
            f'<figcaption style="font-size:85%">{escape(caption)}</figcaption></figure>'
        )
    return f"<div>{''.join(figures)}</div>"
