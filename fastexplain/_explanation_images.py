"""Images of an explanation as they are shown: rescaled, grey under colours, as PNG."""

from __future__ import annotations

import base64
import struct
import zlib
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from fastexplain._explanation_scale import BLUE, RED, Scale, Scales, rgb
from fastexplain._explanation_texts import legend
from fastexplain._explanation_words import row_caption

if TYPE_CHECKING:
    from fastexplain.explanation import Explanation

__all__ = ["displayable", "grey", "per_pixel", "png", "thumbnails"]

_OPACITY = 0.85
_LONGEST_SIDE = 256
#: how far resized images may leave the range of their colours
_BEYOND = 0.01


def displayable(images: np.ndarray, channels: str) -> np.ndarray:
    """Images in [0, 1], with three channels or grey.

    Each image is scaled on its own, so that it looks the same alone and beside any other:

    * an image within [0, 1] stays as it is;
    * bytes (uint8) are divided by 255, and so is an image of other numbers within [0, 255]
      whose largest is 128 or more;
    * every other image is stretched from its least to its largest pixel: normalised tensors,
      16-bit images, those with an offset. One without any contrast becomes black.

    Both ranges may be left by a hundredth, as by resizing. Pixels that are NaN or infinite
    count for nothing and are black.

    Parameters
    ----------
    images : ndarray of shape (n, C, H, W), (n, H, W, C) or (n, H, W)
        Numbers of any range.
    channels : {"first", "last", "none"}

    Returns
    -------
    ndarray of shape (n, H, W, 3) or (n, H, W), float
        Four channels that need no stretching are taken for colours and opacity, and laid on
        white. Of stretched ones, and of any number but one, three and four, the mean is shown.

    Examples
    --------
    >>> displayable(np.array([[[0, 255]]], dtype=np.uint8), "none").tolist()
    [[[0.0, 1.0]]]
    >>> displayable(np.array([[[-2.0, 2.0, 0.0]], [[0.0, 0.2, 1.0]]]), "none").tolist()
    [[[0.0, 1.0, 0.5]], [[0.0, 0.2, 1.0]]]
    """
    array = np.asarray(images)
    if channels == "none":
        array = array[..., None]
    elif channels == "first":
        array = np.moveaxis(array, 1, -1)
    n_channels = array.shape[-1]
    shown = np.empty((*array.shape[:-1], 3) if n_channels in (3, 4) else array.shape[:-1])
    for position, image in enumerate(array):
        pixels, is_colour = _unit_range(image)
        if n_channels == 4 and is_colour:
            pixels = pixels[..., :3] * pixels[..., 3:] + (1.0 - pixels[..., 3:])
        elif n_channels != 3:
            pixels = pixels.mean(axis=-1, keepdims=n_channels == 4)
        shown[position] = pixels
    return shown


def _unit_range(image: np.ndarray) -> tuple[np.ndarray, bool]:
    """Return one image in [0, 1], and whether it had the range of colours before."""
    if image.dtype == np.uint8:
        return image / 255.0, True
    pixels = image.astype(float)
    known = np.isfinite(pixels)
    low = pixels.min(where=known, initial=np.inf)
    high = pixels.max(where=known, initial=-np.inf)
    if not known.any() or (low >= -_BEYOND and high <= 1.0 + _BEYOND):
        shown, is_colour = pixels, True
    elif low >= -255.0 * _BEYOND and 128.0 <= high <= 255.0 * (1.0 + _BEYOND):
        shown, is_colour = pixels / 255.0, True
    else:
        # each part by itself: the range of numbers near the largest float overflows
        span = max(high / 2 - low / 2, np.finfo(float).tiny)
        shown, is_colour = (pixels / 2 - low / 2) / span, False
    return np.clip(np.where(known, shown, 0.0), 0.0, 1.0), is_colour


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


def thumbnails(explanation: Explanation, count: int) -> str:
    """First images under the colours of their first output, as HTML without files."""
    layout: Any = explanation._layout
    count = min(count, len(explanation._values))
    if explanation._data is None or not count or not explanation._values.size:
        return ""
    part = explanation.centered
    part = part[:count] if "row" in part.dims else part
    maps = per_pixel(part, outside=np.nan)[..., :1]
    scales = Scales.of(explanation, list(maps), np.arange(count), np.arange(1))
    images = displayable(np.asarray(part._data), layout.channels)
    step = -(-max(maps.shape[1:3]) // _LONGEST_SIDE)
    figures = []
    for row, (image, values) in enumerate(zip(images, maps, strict=True)):
        scale = scales.each[row][0]
        caption = row_caption(explanation, row)
        if scales.own:
            caption = " \u00b7 ".join(filter(None, [caption, scale.span]))
        drawn = _overlay(image[::step, ::step], values[::step, ::step, 0], scale)
        code = base64.b64encode(png(drawn)).decode("ascii")
        figures.append(
            '<figure style="display:inline-block;margin:0 0.8em 0.4em 0;text-align:center">'
            f'<img src="data:image/png;base64,{code}" alt="{escape(caption)}" '
            'style="height:144px;image-rendering:pixelated">'
            '<figcaption style="font-size:85%;max-width:24em;overflow-wrap:anywhere">'
            f"{escape(caption)}</figcaption></figure>"
        )
    return f"<div>{legend(scales.common)}{''.join(figures)}</div>"
