"""Removal of parts of images: what a player is, and what takes its place."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from fastexplain.images import Images, as_images
from fastexplain.layouts import ImageLayout
from fastexplain.maskers._image_checks import (
    check_fill,
    check_players,
    checked_segments,
    numbered,
    patch_of,
    segmented,
)
from fastexplain.maskers._image_fills import CHUNK_CELLS, blurred, in_dtype, means, noise
from fastexplain.maskers._image_inputs import MaskedImages, as_tensor, moved, place_of
from fastexplain.maskers._image_sizes import check_size, of_size
from fastexplain.maskers._image_state import image_masker_from, image_state

__all__ = ["ImageMasker"]


class ImageMasker:
    """Patches or superpixels as players, removed by putting a fill in their place.

    Parameters
    ----------
    patch_size : int or (int, int), optional
        Height and width of the patches in pixels. Patches at the lower and right edges are
        smaller where the size of the images is no multiple. Default: 16 along a side of 112
        pixels or more, and otherwise an eighth of it, rounded up, which makes about 8 patches.
    segments : int array of shape (H, W) or callable, optional
        Players in place of patches. An array gives each pixel its player, for all images: the
        labels need not be consecutive, and pixels of a negative one are always kept. A
        function is called with each image, in its own dtype and of shape (H, W, C), or (H, W)
        if it has no axis of channels, and answers such an array: superpixels, as of
        ``skimage.segmentation.slic``. Images with fewer superpixels than the most seen in
        `fit` lack the last players.
    fill : {"zero", "mean", "blur", "noise"}, number or C numbers, default="zero"
        What a removed player is replaced by: 0; the mean of each channel over the images of
        `fit`; the image itself, blurred by a Gaussian of half a patch's size; Gaussian noise of
        each channel's mean and deviation over the images of `fit`, always the same for the same
        image; a number; or one for each channel. All in the data's own scale and dtype: in
        images of whole numbers, means, blurs and noise are rounded.
    channels : {"auto", "first", "last", "none"}, default="auto"
        Where the images have their channels; see `fastexplain.images.as_images`.
    size : (int, int), optional
        Height and width to which images of another size are resized by Pillow (extra ``image``),
        in `fit` and later; explanations show the resized ones. By default all images must have
        one size, and where they come in a list of several sizes, it is taken from the model's
        image processor, if it names a height and a width.
    resample : {"bilinear", "bicubic", "lanczos", "box", "hamming", "nearest"}, default="bilinear"
        Filter by which images are resized; from an image processor, its own.

    Attributes
    ----------
    feature_names_ : list of str
        The N players' names: ``r{row}c{column}`` for patches, ``segment {k}`` for others.
    grid_ : (int, int) or None
        Rows and columns of patches, players being counted along the rows.
    channels_ : {"first", "last", "none"}
        Where the channels are.
    shape_ : tuple of int
        Shape of one image.
    segments_ : int ndarray of shape (H, W) or None
        Player of each pixel, -1 for none; None if a function says so for each image.
    fill_ : ndarray of shape (C,) or None
        The fill, or the means of the noise; None for ``"blur"``.
    fixed_empty_ : bool
        Whether nothing of an image is left once all its players are removed. Not so if the
        fill depends on the image, if pixels without a player stay, or if a function says what
        the players are and may leave such pixels in an image yet to come.

    Examples
    --------
    >>> import numpy as np
    >>> from fastexplain.maskers import ImageMasker
    >>> X = np.random.default_rng(0).random((10, 3, 32, 32))
    >>> masker = ImageMasker(patch_size=8, fill="mean").fit(X)
    >>> masker.n_players, masker.grid_, masker.feature_names_[5]
    (16, (4, 4), 'r1c1')
    """

    shape_: tuple[int, ...]

    #: as for tables: a removed player is replaced by a fill that says nothing of it
    removes_to_baseline_ = True
    #: a masked image is one input of the model
    n_background_ = 1

    def __init__(
        self,
        patch_size: int | tuple[int, int] | None = None,
        *,
        segments: Any = None,
        fill: Any = "zero",
        channels: str = "auto",
        size: tuple[int, int] | None = None,
        resample: str = "bilinear",
    ) -> None:
        self.patch_size = patch_size
        self.segments = segments
        self.fill = fill
        self.channels = channels
        self.size = size
        self.resample = resample

    @property
    def n_players(self) -> int:
        """Number of players N."""
        return len(self.feature_names_)

    @property
    def removal(self) -> str:
        """What stands for a removed player, in words."""
        return f"fill {self.fill if isinstance(self.fill, str) else np.asarray(self.fill).tolist()}"

    def wrap(self, X: Any) -> Images:
        """Check images, after `fit` also against those it saw.

        Parameters
        ----------
        X : Images or whatever `fastexplain.images.as_images` takes

        Returns
        -------
        Images
            With the superpixels of each image, if a function finds them.
        """
        fitted = hasattr(self, "shape_")
        channels = self.channels_ if fitted else self.channels
        size = check_size(self.size, self.resample)
        if size is not None:
            X = of_size(X, size, self.resample, channels)
        images = as_images(X, channels)
        if fitted:
            self._check_fitted(images)
        if callable(self.segments) and images.segmented_by is not self.segments:
            images = images.with_segments(segmented(images, self.segments), self.segments)
        return images

    def _check_fitted(self, images: Images) -> None:
        shape = images.native.shape[1:]
        if shape != self.shape_:
            raise ValueError(
                f"The images have shape {shape}, but the masker was fitted on images of shape "
                f"{self.shape_}: resize them to that size, or fit on images of this one; "
                "ImageMasker(size=) resizes all to one size."
            )
        whole = images.native.dtype.kind in "ui"
        if whole != self.whole_numbers_:
            kinds = ("whole numbers", "floats") if whole else ("floats", "whole numbers")
            raise ValueError(
                f"The images are {kinds[0]} ({images.native.dtype}), but the masker was fitted "
                f"on {kinds[1]}: give them in the same scale and kind of numbers."
            )

    def fit(self, X: Any, rng: np.random.Generator | None = None) -> ImageMasker:
        """Settle the players, and take the fill's statistics from the images.

        Parameters
        ----------
        X : Images, or array-like of shape (n, C, H, W), (n, H, W, C) or (n, H, W)
        rng : numpy.random.Generator, optional
            Seeds ``fill="noise"``; seeded with 0 if not given.

        Returns
        -------
        self
        """
        check_players(self.patch_size, self.segments)
        check_fill(self.fill)
        if hasattr(self, "shape_"):
            del self.shape_  # fitted anew, perhaps on images of another shape
        images = self.wrap(X)
        if not len(images):
            raise ValueError("There are no images to fit on; pass at least one.")
        self._set_statistics(images, rng or np.random.default_rng(0))
        most = None
        if callable(self.segments):
            assert images.segments is not None  # wrap has found them
            most = int(images.segments.max()) + 1
        self._set_players(images.size, most)
        if isinstance(self.fill, str) and self.fill in ("blur", "noise"):
            self.fixed_empty_ = False
        else:
            self.fixed_empty_ = self.segments_ is not None and bool((self.segments_ >= 0).all())
            in_dtype(self.fill_, images.native.dtype, exact=self._said_by_user())
        self.whole_numbers_ = images.native.dtype.kind in "ui"
        self.channels_ = images.channels
        self.shape_ = images.native.shape[1:]
        return self

    def _said_by_user(self) -> bool:
        """Whether the fill is the user's own numbers, which may not be rounded."""
        return not isinstance(self.fill, str)

    def _set_statistics(self, images: Images, rng: np.random.Generator) -> None:
        n_channels = images.n_channels
        self.fill_, self.deviation_, self.noise_seed_ = None, None, None
        if not isinstance(self.fill, str):
            values = np.atleast_1d(np.asarray(self.fill, dtype=np.float64))
            if values.shape not in ((1,), (n_channels,)):
                raise ValueError(
                    f"fill has {len(values)} numbers, but the images have {n_channels} channels."
                )
            self.fill_ = np.broadcast_to(values, (n_channels,)).copy()
        elif self.fill == "zero":
            self.fill_ = np.zeros(n_channels)
        elif self.fill == "mean":
            self.fill_ = means(images.pixels())
        elif self.fill == "noise":
            self.fill_ = means(images.pixels())
            self.deviation_ = np.sqrt(means(images.pixels(), around=self.fill_))
            self.noise_seed_ = int(rng.integers(2**63))

    def _set_players(self, size: tuple[int, int], most: int | None) -> None:
        """Names and places of the players; ``most`` is how many a function has found."""
        self.grid_, self.patch_, self.segments_ = None, None, None
        if self.segments is None:
            self.patch_ = patch_of(self.patch_size, size)
            rows, columns = (-(-side // step) for side, step in zip(size, self.patch_, strict=True))
            self.grid_ = (rows, columns)
            row, column = (
                np.arange(side) // step for side, step in zip(size, self.patch_, strict=True)
            )
            self.segments_ = row[:, None] * columns + column
            self.feature_names_ = [f"r{i}c{j}" for i in range(rows) for j in range(columns)]
            self.blur_ = (self.patch_[0] / 2, self.patch_[1] / 2)
            return
        if most is None:
            self.segments_ = numbered(checked_segments(self.segments, size, "segments"))
            most = int(self.segments_.max()) + 1
        if most < 1:
            raise ValueError("segments has no label of 0 or more, so that there is no player.")
        self.feature_names_ = [f"segment {k}" for k in range(most)]
        # half the side of a square as large as a segment
        side = math.sqrt(size[0] * size[1] / most)
        self.blur_ = (side / 2, side / 2)

    def labels(self, images: Any) -> np.ndarray:
        """Player of each pixel, -1 where there is none.

        Parameters
        ----------
        images : Images of n images

        Returns
        -------
        int ndarray of shape (H, W), or (n, H, W) if a function finds the players of each image
        """
        images = self.wrap(images)
        if self.segments_ is not None:
            return self.segments_.copy()
        assert images.segments is not None
        most = images.segments.max(axis=(1, 2), initial=-1) + 1
        if (most > self.n_players).any():
            bad = int(np.argmax(most > self.n_players))
            raise ValueError(
                f"segments gave {most[bad]} superpixels for image {bad}, but at most "
                f"{self.n_players} for the images of fit: fix their number, or fit on images that "
                "have as many."
            )
        return images.segments

    def layout(self, images: Any) -> ImageLayout:
        """Where the players are in each image."""
        return ImageLayout(self.labels(images), self.channels_)

    def null_players(self, images: Any) -> np.ndarray:
        """Players whose removal changes nothing.

        Parameters
        ----------
        images : Images of n images

        Returns
        -------
        bool ndarray of shape (n, N)
            True where all the player's pixels equal the fill, and where it has none.
        """
        images = self.wrap(images)
        labels = self.labels(images)
        if labels.ndim == 2:
            # one pixel of each player tells nearly always, without a look at all the others
            some = self._one_pixel_alike(images, labels)
            null = np.zeros((len(images), self.n_players), dtype=bool)
            rows = np.flatnonzero(some.any(axis=1))
            if len(rows):
                null[rows] = self._all_pixels_alike(images.take(rows), labels)
            return null
        return self._all_pixels_alike(images, labels)

    def _one_pixel_alike(self, images: Images, labels: np.ndarray) -> np.ndarray:
        """Players (n, N) whose first pixel equals the fill; those without any pixel count, too."""
        players, first = np.unique(labels, return_index=True)
        first, players = first[players >= 0], players[players >= 0]
        row, column = np.divmod(first, labels.shape[1])
        alike = np.ones((len(images), self.n_players), dtype=bool)
        step = max(1, CHUNK_CELLS // math.prod(self.shape_))
        for start in range(0, len(images), step):
            part = images.take(slice(start, start + step))
            fill = np.broadcast_to(self._fill_pixels(part), part.pixels().shape)
            same = part.pixels()[:, row, column] == fill[:, row, column]
            alike[start : start + step, players] = same.all(axis=2)
        return alike

    def _all_pixels_alike(self, images: Images, labels: np.ndarray) -> np.ndarray:
        null = np.ones((len(images), self.n_players + 1), dtype=bool)
        step = max(1, CHUNK_CELLS // math.prod(self.shape_))
        for start in range(0, len(images), step):
            part = images.take(slice(start, start + step))
            changed = (part.pixels() != self._fill_pixels(part)).any(axis=3)
            shared = labels if labels.ndim == 2 else labels[start : start + step]
            player = np.broadcast_to(shared, changed.shape)[changed]
            # pixels without a player are noted in the last column, where -1 leads
            null[start + np.nonzero(changed)[0], player] = False
        return null[:, :-1]

    def inputs(self, images: Any, predictor: Any) -> MaskedImages:
        """Prepare masked copies of images as the model takes them.

        Parameters
        ----------
        images : Images of n images
        predictor : Predictor
            Says by ``torch_module``, ``takes``, ``device`` and ``dtype`` what the model is fed
            with: tensors, or arrays in the dtype of the images.

        Returns
        -------
        MaskedImages
            Call it with masks and rows.
        """
        images = self.wrap(images)
        device, dtype = place_of(predictor, images.native.dtype)
        fills, labels = self.fills(images), self.labels(images)
        return MaskedImages(images, fills, labels, self.n_players, self.patch_, device, dtype)

    def whole(self, images: Any, predictor: Any) -> np.ndarray | torch.Tensor:
        """The images as they are, as the model takes them; the model may change them."""
        images = self.wrap(images)
        device, dtype = place_of(predictor, images.native.dtype)
        if dtype is None:
            return images.copied()
        own = as_tensor(images.native)
        found = moved(own, device, dtype).to(dtype)
        return found.clone() if found.data_ptr() == own.data_ptr() else found

    def fills(self, images: Any) -> np.ndarray:
        """What takes the place of removed pixels.

        Parameters
        ----------
        images : Images of n images

        Returns
        -------
        ndarray of shape (n, ...), or (1, ...) if it is the same for all
            In the dtype of the images, axes in their order.
        """
        images = self.wrap(images)
        if isinstance(self.fill, str) and self.fill in ("blur", "noise"):
            filled = np.empty_like(images.native, order="C")
            pixels = Images(filled, images.channels).pixels()
            step = max(1, CHUNK_CELLS // math.prod(self.shape_))
            for start in range(0, len(images), step):
                rows = slice(start, start + step)
                pixels[rows] = self._fill_pixels(images.take(rows))
            return filled
        one = np.broadcast_to(self._fill_pixels(images), (1, *images.size, images.n_channels))
        return np.ascontiguousarray(images.in_order(one))

    def _fill_pixels(self, images: Images) -> np.ndarray:
        """The fill with channels last, of shape (n, H, W, C), or (C,) if it is constant."""
        dtype = images.native.dtype
        if isinstance(self.fill, str) and self.fill == "blur":
            return in_dtype(blurred(images.pixels(), self.blur_), dtype)
        if self.noise_seed_ is not None:
            drawn = noise(images.native, (*images.size, images.n_channels), self.noise_seed_)
            return in_dtype(self.fill_ + self.deviation_ * drawn, dtype)
        return in_dtype(self.fill_, dtype, exact=self._said_by_user())

    def state(self) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
        """Settings and statistics as what JSON and safetensors can hold.

        Raises
        ------
        TypeError
            If a function finds the players.
        """
        return image_state(self)

    @classmethod
    def from_state(cls, config: dict[str, Any], tensors: dict[str, torch.Tensor]) -> ImageMasker:
        """Make the masker whose `state` this is; its segments are numbered from 0.

        Raises
        ------
        ValueError
            For what `state` does not write; nothing large is made of it.
        """
        return image_masker_from(cls, config, tensors)
