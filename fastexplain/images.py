"""Images of one size, whatever the order of their axes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import joblib
import numpy as np
import torch

from fastexplain._containers import plain_container

__all__ = ["CHANNELS", "Images", "as_array", "as_images", "found_channels"]

#: where the axis of channels is: (n, C, H, W), (n, H, W, C) or (n, H, W)
CHANNELS = ("first", "last", "none")

_MOST_CHANNELS = 4  # grey, grey with alpha, colours, colours with alpha
_COLOURS = (3, 4)


class Images:
    """Read-only images of one size in the array they came in.

    Made by `as_images`, which checks them.

    Parameters
    ----------
    array : ndarray of shape (n, C, H, W), (n, H, W, C) or (n, H, W)
        The images, of whole numbers or floats.
    channels : {"first", "last", "none"}
        Which of the three shapes it is.

    Attributes
    ----------
    native : ndarray
        The array.
    segments : int ndarray of shape (n, H, W) or None
        Superpixels that a masker found in each image, kept so that they are found once.
    segmented_by : callable or None
        What found them.

    Examples
    --------
    >>> import numpy as np
    >>> from fastexplain.images import as_images
    >>> images = as_images(np.zeros((10, 3, 32, 48), dtype="uint8"))
    >>> images.channels, images.size, images.n_channels, len(images.take(slice(0, 4)))
    ('first', (32, 48), 3, 4)
    """

    kind = "images"

    def __init__(self, array: np.ndarray, channels: str) -> None:
        self.native = array
        self.channels = channels
        self.segments: np.ndarray | None = None
        self.segmented_by: Callable[[np.ndarray], Any] | None = None

    def __len__(self) -> int:
        return self.native.shape[0]

    @property
    def size(self) -> tuple[int, int]:
        """Height H and width W."""
        shape = self.native.shape
        return shape[-2:] if self.channels != "last" else shape[1:3]

    @property
    def n_channels(self) -> int:
        """Number of channels C; 1 where they have no axis."""
        axis = {"first": 1, "last": 3}.get(self.channels)
        return 1 if axis is None else self.native.shape[axis]

    @property
    def n_columns(self) -> int:
        """How many numbers one image costs in a call of a model, activations included."""
        return 4 * self.n_channels * math.prod(self.size)

    def pixels(self) -> np.ndarray:
        """The images with their channels last, a view of shape (n, H, W, C)."""
        if self.channels == "first":
            return np.moveaxis(self.native, 1, 3)
        return self.native if self.channels == "last" else self.native[..., None]

    def in_order(self, pixels: np.ndarray) -> np.ndarray:
        """Put pixels (m, H, W, C) in the order of axes that these images have."""
        if self.channels == "first":
            return np.moveaxis(pixels, 3, 1)
        return pixels if self.channels == "last" else pixels[..., 0]

    def take(self, rows: Any) -> Images:
        """Images by position, a slice or an index array."""
        taken = Images(self.native[rows], self.channels)
        if self.segments is not None:
            taken.segments, taken.segmented_by = self.segments[rows], self.segmented_by
        return taken

    def with_segments(self, segments: np.ndarray, found_by: Callable[[np.ndarray], Any]) -> Images:
        """The same images with their superpixels, an int array of shape (n, H, W)."""
        images = Images(self.native, self.channels)
        images.segments, images.segmented_by = segments, found_by
        return images

    def copied(self) -> np.ndarray:
        """The images as an array of their own, for a model that may work in place."""
        return self.native.copy()

    def fingerprint(self) -> str:
        """Digest of the images, equal for equal content wherever it lies in memory."""
        parts = [self.channels, np.ascontiguousarray(self.native)]
        return str(joblib.hash(parts, hash_name="sha1"))


def as_images(X: Any, channels: str = "auto") -> Images:
    """Wrap images, or say what is wrong with them.

    Parameters
    ----------
    X : ndarray, tensor, or sequence of PIL images or of arrays of one shape
        Images of shape (n, C, H, W), (n, H, W, C) or (n, H, W), of whole numbers or floats.
        A single image needs its axis n, too: ``image[None]``.
    channels : {"auto", "first", "last", "none"}, default="auto"
        Where the axis of channels is. By default it is the one of size 1 to 4 beside height
        and width, and arrays of three axes are grey images (n, H, W), unless the first axis has
        size 3 or 4: they might be one image in colour.

    Returns
    -------
    Images

    Raises
    ------
    TypeError
        For what is no number: objects, text, complex numbers, truth values; and for what is no
        list or array of images, such as a dict or a data loader.
    ValueError
        For images of several sizes, NaN, infinity, masked pixels, or a shape that leaves the
        channels in doubt.

    Examples
    --------
    >>> import numpy as np
    >>> as_images(np.zeros((5, 28, 28))).channels
    'none'
    >>> as_images([np.zeros((8, 9, 3)), np.ones((8, 9, 3))]).channels
    'last'
    """
    if channels not in ("auto", *CHANNELS):
        raise ValueError(f"channels must be 'auto', 'first', 'last' or 'none', got {channels!r}.")
    if isinstance(X, Images):
        if channels not in ("auto", X.channels):
            raise ValueError(
                f"The images have their channels {X.channels!r}, not {channels!r} as said."
            )
        return X
    if not hasattr(X, "getbands"):
        X = plain_container(X)
    listed = isinstance(X, list | tuple)
    array = _checked_dtype(_stacked(X) if listed else as_array(X))
    found = found_channels(array.shape, channels, listed)
    images = Images(array, found)
    if min(images.size) < 1 or images.n_channels < 1:
        raise ValueError(
            f"Images of shape {array.shape[1:]} have no pixels: pass images with at least one row, "
            "one column and one channel."
        )
    _check_finite(array)
    return images


def as_array(X: Any, row: int | None = None) -> np.ndarray:
    """One array, or the image at some place of a list, as an ndarray.

    Raises
    ------
    ValueError
        For palettes, masked pixels and nested lists of several lengths.
    """
    mode = getattr(X, "mode", None)
    if isinstance(mode, str) and mode.startswith("P"):
        raise ValueError(
            f"An image of mode {mode!r} holds places in a palette, not colours: convert it with "
            "image.convert('RGB')."
        )
    if isinstance(X, np.ma.MaskedArray):
        if np.ma.is_masked(X):
            first = int(np.nonzero(np.ma.getmaskarray(X))[0][0]) if row is None else row
            raise ValueError(
                f"Image {first} has masked pixels, of which there is nothing to show to the "
                "model: put numbers in their place, X.filled(value)."
            )
        return X.data
    if isinstance(X, torch.Tensor):
        # NumPy has no bfloat16
        X = (X.float() if X.dtype == torch.bfloat16 else X).detach().cpu().numpy()
    try:
        return np.asarray(X)
    except ValueError as error:  # nested lists of several lengths
        raise ValueError(f"The images make no array of one shape ({error}).") from error


def _stacked(X: Any) -> np.ndarray:
    """Array of a sequence of images; all must have one shape."""
    parts = [as_array(image, row) for row, image in enumerate(X)]
    if not parts:
        raise ValueError("There are no images in the sequence; pass at least one.")
    for i, part in enumerate(parts):
        if part.shape != parts[0].shape:
            raise ValueError(
                f"Image {i} has shape {part.shape}, image 0 has {parts[0].shape}: convert all to "
                "one mode, image.convert('RGB'), and to one size, by "
                "masker=ImageMasker(size=(224, 224)) or image.resize((224, 224))."
            )
    return np.stack(parts)


def _checked_dtype(array: np.ndarray) -> np.ndarray:
    kind = array.dtype.kind
    if kind in "US":
        raise TypeError(
            "Images are text here; if they are paths, open them first, as with "
            "numpy.asarray(PIL.Image.open(path))."
        )
    if kind not in "uif":
        raise TypeError(
            f"Images must be whole numbers or floats, got the dtype {array.dtype}; convert them, "
            "as with X.astype('uint8') or X.astype('float32')."
        )
    if array.dtype.itemsize > 8:
        return array.astype(np.float64)
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def found_channels(shape: tuple[int, ...], channels: str, listed: bool = False) -> str:
    """Where the channels are, from the shape alone unless it is said; a list is one of images."""
    wanted = {"none": 3, "first": 4, "last": 4}.get(channels)
    if len(shape) not in (3, 4) or wanted not in (None, len(shape)):
        axes = {
            "none": "(n, H, W)",
            "first": "(n, C, H, W)",
            "last": "(n, H, W, C)",
            "auto": "(n, C, H, W), (n, H, W, C) or (n, H, W)",
        }[channels]
        raise ValueError(
            f"Images must have shape {axes}, got {shape}. A single image needs its first axis, "
            "too: pass image[None] or [image]. Rows of pixels need "
            "X.reshape(n, height, width)."
        )
    if channels != "auto":
        return channels
    if len(shape) == 3:
        if shape[2] <= _MOST_CHANNELS:
            raise ValueError(
                f"Shape {shape} looks like one image of {shape[2]} channels, but images have "
                "shape (n, H, W, C): pass image[None] or [image]. If these are grey images of that "
                "size, say ImageMasker(channels='none'). Series of shape (n, time, features) are "
                "explained as tables, of rows [x.ravel() for x in X]."
            )
        if shape[0] in _COLOURS and not listed:
            raise ValueError(
                f"Shape {shape} may be one image of {shape[0]} channels or {shape[0]} grey images: "
                "pass one image as image[None] or [image]; of grey images, say "
                "ImageMasker(channels='none')."
            )
        return "none"
    first, last = shape[1] <= _MOST_CHANNELS, shape[3] <= _MOST_CHANNELS
    if first == last:
        why = "two axes" if first else "no axis"
        raise ValueError(
            f"The shape {shape} of the images has {why} of size 1 to {_MOST_CHANNELS} beside "
            "height and width: say channels='first' for (n, C, H, W) or channels='last' for "
            "(n, H, W, C)."
        )
    return "first" if first else "last"


def _check_finite(array: np.ndarray) -> None:
    """Raise if a pixel is NaN or infinite, naming the image."""
    if array.dtype.kind != "f":
        return
    # NaN and infinity show in a sum, which is faster than a look at every number; where it
    # only overflowed, the second look says so
    with np.errstate(over="ignore", invalid="ignore"):
        if math.isfinite(float(array.sum(dtype=np.float64))):
            return
    for i, image in enumerate(array):
        if not np.isfinite(image).all():
            raise ValueError(
                f"Image {i} holds NaN or infinity; put numbers in their place before explaining."
            )
