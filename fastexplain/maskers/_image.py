"""Removal of parts of images: what a player is, and what takes its place."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from fastexplain.images import Images, as_images
from fastexplain.layouts import ImageLayout

__all__ = ["ImageMasker", "MaskedImages"]

_FILLS = ("zero", "mean", "blur", "noise")

# cells worked on at once where whole sets of images are: memory does not grow with n
_CHUNK_CELLS = 2**22


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
    ) -> None:
        self.patch_size = patch_size
        self.segments = segments
        self.fill = fill
        self.channels = channels

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
        images = as_images(X, self.channels_ if fitted else self.channels)
        if fitted:
            self._check_fitted(images)
        if callable(self.segments) and images.segmented_by is not self.segments:
            images = images.with_segments(_segmented(images, self.segments), self.segments)
        return images

    def _check_fitted(self, images: Images) -> None:
        shape = images.native.shape[1:]
        if shape != self.shape_:
            raise ValueError(
                f"The images have shape {shape}, but the masker was fitted on images of shape "
                f"{self.shape_}: resize them to that size, or fit on images of this one."
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
        _check_players(self.patch_size, self.segments)
        _check_fill(self.fill)
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
            _in_dtype(self.fill_, images.native.dtype, exact=self._said_by_user())
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
            self.fill_ = _means(images.pixels())
        elif self.fill == "noise":
            self.fill_ = _means(images.pixels())
            self.deviation_ = np.sqrt(_means(images.pixels(), around=self.fill_))
            self.noise_seed_ = int(rng.integers(2**63))

    def _set_players(self, size: tuple[int, int], most: int | None) -> None:
        """Names and places of the players; ``most`` is how many a function has found."""
        self.grid_, self.patch_, self.segments_ = None, None, None
        if self.segments is None:
            self.patch_ = _patch(self.patch_size, size)
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
            self.segments_ = _numbered(_checked_segments(self.segments, size, "segments"))
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
        null = np.ones((len(images), self.n_players + 1), dtype=bool)
        step = max(1, _CHUNK_CELLS // math.prod(self.shape_))
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
        device, dtype = _place(predictor)
        fills, labels = self.fills(images), self.labels(images)
        return MaskedImages(images, fills, labels, self.n_players, self.patch_, device, dtype)

    def whole(self, images: Any, predictor: Any) -> np.ndarray | torch.Tensor:
        """The images as they are, as the model takes them; the model may change them."""
        images = self.wrap(images)
        device, dtype = _place(predictor)
        if dtype is None:
            return images.copied()
        own = _tensor(images.native)
        moved = _moved(own, device, dtype).to(dtype)
        return moved.clone() if moved.data_ptr() == own.data_ptr() else moved

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
            step = max(1, _CHUNK_CELLS // math.prod(self.shape_))
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
            return _in_dtype(_blurred(images.pixels(), self.blur_), dtype)
        if self.noise_seed_ is not None:
            drawn = _noise(images.native, (*images.size, images.n_channels), self.noise_seed_)
            return _in_dtype(self.fill_ + self.deviation_ * drawn, dtype)
        return _in_dtype(self.fill_, dtype, exact=self._said_by_user())

    def state(self) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
        """Settings and statistics as what JSON and safetensors can hold.

        Raises
        ------
        TypeError
            If a function finds the players.
        """
        if callable(self.segments):
            raise TypeError(
                "segments is a function, which cannot be saved: pickle the explainer instead, or "
                "give segments as an array."
            )
        given = self.patch_size
        config = {
            "patch_size": given if given is None else list(_pair(given)),
            "fill": self.fill if isinstance(self.fill, str) else np.asarray(self.fill).tolist(),
            "channels": self.channels,
            "channels_": self.channels_,
            "shape_": list(self.shape_),
            "whole_numbers_": self.whole_numbers_,
            "fixed_empty_": self.fixed_empty_,
            "noise_seed_": self.noise_seed_,
        }
        arrays = {"fill_": self.fill_, "deviation_": self.deviation_}
        tensors = {k: torch.from_numpy(v.copy()) for k, v in arrays.items() if v is not None}
        if self.segments is not None:
            assert self.segments_ is not None
            tensors["segments_"] = torch.from_numpy(self.segments_.copy())
        return config, tensors

    @classmethod
    def from_state(cls, config: dict[str, Any], tensors: dict[str, torch.Tensor]) -> ImageMasker:
        """Make the masker whose `state` this is; its segments are numbered from 0."""
        patch_size, segments = config["patch_size"], tensors.get("segments_")
        masker = cls(
            patch_size if patch_size is None else tuple(patch_size),
            segments=None if segments is None else segments.numpy().copy(),
            fill=config["fill"],
            channels=config["channels"],
        )
        for name in ("channels_", "whole_numbers_", "fixed_empty_", "noise_seed_"):
            setattr(masker, name, config[name])
        for name in ("fill_", "deviation_"):
            setattr(masker, name, tensors[name].numpy().copy() if name in tensors else None)
        masker.shape_ = tuple(config["shape_"])
        like = Images(np.empty((0, *masker.shape_)), masker.channels_)
        masker._set_players(like.size, None)
        return masker


class MaskedImages:
    """Masked copies of images, as the model takes them; made by `ImageMasker.inputs`.

    Parameters
    ----------
    images : Images of n images
    fills : ndarray of shape (n, ...) or (1, ...)
        What takes the place of removed pixels, in the form of the images.
    labels : int ndarray of shape (H, W) or (n, H, W)
        Player of each pixel, -1 for none.
    n_players : int
    patch : (int, int) or None
        Height and width of patches, if the players are those of a regular grid.
    device, dtype : torch.device and torch.dtype, or None
        Of the tensors wanted; None for arrays.
    """

    def __init__(
        self,
        images: Images,
        fills: np.ndarray,
        labels: np.ndarray,
        n_players: int,
        patch: tuple[int, int] | None,
        device: torch.device | None,
        dtype: torch.dtype | None,
    ) -> None:
        self._shape = images.native.shape[1:]
        self._dtype = dtype
        # Images with channels last are taken for grey ones whose rows hold W * C numbers, so
        # that whatever the order of axes, all planes of an image share one mask.
        height, width = images.size
        repeats = images.n_channels if images.channels == "last" else 1
        self._size = (height, width * repeats)
        self._patch = None if patch is None else (patch[0], patch[1] * repeats)
        planes = (math.prod(self._shape) // math.prod(self._size), math.prod(self._size))
        self._own: Any = np.ascontiguousarray(images.native).reshape(len(images), *planes)
        self._fill: Any = np.ascontiguousarray(fills).reshape(len(fills), *planes)
        if dtype is not None:
            parts = (self._own, self._fill)
            self._own, self._fill = (_moved(_tensor(part), device, dtype) for part in parts)
        self._accelerator = _is_accelerator(device)
        self._cells: Any = None
        if patch is None or self._accelerator:
            cells = np.repeat(labels, repeats, axis=-1).reshape(*labels.shape[:-2], planes[1])
            # pixels without a player belong to one more, which is never removed
            self._padded = bool((cells < 0).any())
            self._cells = np.where(cells < 0, n_players, cells) if self._padded else cells
            if self._accelerator:
                self._cells = torch.from_numpy(self._cells).to(device)

    def __call__(self, masks: np.ndarray, rows: slice) -> np.ndarray | torch.Tensor:
        """Mask some of the images.

        Parameters
        ----------
        masks : bool ndarray of shape (B, T, N) or (1, T, N)
            True keeps a player; a single block serves every image.
        rows : slice
            The B images.

        Returns
        -------
        ndarray or tensor of shape (B * T, ...)
            Axes as those of the images; masks vary fastest.
        """
        own = self._own[rows][:, None]
        fill = (self._fill if len(self._fill) == 1 else self._fill[rows])[:, None]
        if self._dtype is not None:
            own, fill = own.to(self._dtype), fill.to(self._dtype)
        if self._cells is not None and self._padded:
            masks = np.concatenate([masks, np.ones((*masks.shape[:2], 1), dtype=bool)], axis=2)
        if self._accelerator:
            kept = _spread(
                torch.from_numpy(np.ascontiguousarray(masks)).to(own.device), self._cells_of(rows)
            )
            chosen = torch.where(kept[:, :, None], own, fill)
        else:
            # all bits of a number set or none, which a repetition spreads as fast as a truth
            bits = (-masks.view(np.int8)).astype(f"i{own.itemsize}")
            chosen = _choose(self._at_cells(bits, rows)[:, :, None], own, fill)
        return chosen.reshape(len(own) * masks.shape[1], *self._shape)

    def _cells_of(self, rows: slice) -> Any:
        return self._cells if self._cells.ndim == 1 else self._cells[rows]

    def _at_cells(self, bits: np.ndarray, rows: slice) -> Any:
        """Bits (B, T, N) of players as those of cells (B, T, H * W')."""
        if self._cells is None:
            bits = _enlarge(bits, self._size, self._patch)
        elif self._cells.ndim == 1:
            bits = bits.take(self._cells, axis=2)
        else:
            cells = self._cells_of(rows).astype(np.intp)
            bits = np.take_along_axis(bits, cells[:, None], axis=2)
        return bits if self._dtype is None else torch.from_numpy(bits)


def _is_accelerator(device: torch.device | None) -> bool:
    """Whether masks are spread over pixels on the device, where indexing is cheap."""
    return device is not None and device.type != "cpu"


def _spread(masks: torch.Tensor, cells: torch.Tensor) -> torch.Tensor:
    """Masks (B or 1, T, N) as those of cells, given each one's player, (H * W') or (B, H * W')."""
    if cells.ndim == 1:
        return masks[:, :, cells]
    shape = (len(cells), masks.shape[1], cells.shape[1])
    index = cells.long()[:, None].expand(shape)
    return masks.expand(len(cells), -1, -1).gather(2, index)


def _enlarge(bits: np.ndarray, size: tuple[int, int], patch: Any) -> np.ndarray:
    """Spread (B, T, N) over the cells of each patch, several times as fast as by an index."""
    rows, columns = (-(-side // step) for side, step in zip(size, patch, strict=True))
    grid = bits.reshape(*bits.shape[:2], rows, columns)
    wide = grid.repeat(patch[1], axis=3)[..., : size[1]]
    high = wide.repeat(patch[0], axis=2)[:, :, : size[0]]
    return high.reshape(*bits.shape[:2], size[0] * size[1])


def _choose(bits: Any, own: Any, other: Any) -> Any:
    """``where`` by bits that are all set or all not, for arrays and tensors.

    On the CPU this is four times as fast as the libraries' own.
    """
    whole = bits.dtype
    others = other.view(whole)
    chosen = bits & (own.view(whole) ^ others)
    chosen ^= others
    return chosen.view(own.dtype)


def _place(predictor: Any) -> tuple[torch.device | None, torch.dtype | None]:
    """Device and dtype of the tensors that a model is fed with; None for arrays."""
    # what has a processor of its own takes images as they are, though it may live in torch
    if not predictor.torch_module or predictor.takes == "images":
        return None, None
    return predictor.device or torch.device("cpu"), predictor.dtype or torch.float32


def _tensor(array: np.ndarray) -> torch.Tensor:
    """Tensor of an array, sharing memory where that can be written to."""
    array = np.ascontiguousarray(array)
    return torch.from_numpy(array if array.flags.writeable else array.copy())


def _moved(tensor: torch.Tensor, device: torch.device | None, dtype: torch.dtype) -> torch.Tensor:
    """Tensor on a device in a dtype; bytes remain bytes, a quarter of the memory."""
    # converted first: not every device has double precision
    return (tensor if tensor.dtype == torch.uint8 else tensor.to(dtype)).to(device)


def _pair(patch_size: Any) -> tuple[int, int]:
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


def _patch(patch_size: Any, size: tuple[int, int]) -> tuple[int, int]:
    """Height and width of the patches of images of this size."""
    if patch_size is None:
        height, width = (16 if side >= 112 else -(-side // 8) for side in size)
        return height, width
    patch = _pair(patch_size)
    if patch[0] > size[0] or patch[1] > size[1]:
        raise ValueError(
            f"Patches of {patch[0]} x {patch[1]} pixels are larger than the images of "
            f"{size[0]} x {size[1]}: choose a smaller patch_size."
        )
    return patch


def _check_players(patch_size: Any, segments: Any) -> None:
    if segments is None:
        return
    if patch_size is not None:
        raise ValueError("Give patch_size or segments, not both: each says what the players are.")


def _check_fill(fill: Any) -> None:
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


def _checked_segments(segments: Any, size: tuple[int, int], whose: str) -> np.ndarray:
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


def _numbered(labels: np.ndarray) -> np.ndarray:
    """Labels as 0, 1, ... in their order; negative ones as -1."""
    numbered = np.full(labels.shape, -1, dtype=np.int64)
    inside = labels >= 0
    numbered[inside] = np.unique(labels[inside], return_inverse=True)[1]
    return numbered


def _segmented(images: Images, function: Callable[[np.ndarray], Any]) -> np.ndarray:
    """Players of each image's pixels, int (n, H, W), as a function finds them."""
    found = np.empty((len(images), *images.size), dtype=np.int32)
    grey = images.channels == "none"
    pixels = images.native if grey else images.pixels()
    for i in range(len(images)):
        # a copy, as the function may work in place
        labels = function(np.array(pixels[i], order="C"))
        found[i] = _numbered(_checked_segments(labels, images.size, f"segments of image {i}"))
    return found


def _means(pixels: np.ndarray, around: np.ndarray | None = None) -> np.ndarray:
    """Mean of each channel of (n, H, W, C), or mean square of what it differs by."""
    total = np.zeros(pixels.shape[3])
    step = max(1, _CHUNK_CELLS // math.prod(pixels.shape[1:]))
    for start in range(0, len(pixels), step):
        part = pixels[start : start + step]
        if around is not None:
            part = (part - around) ** 2
        total += part.sum(axis=(0, 1, 2), dtype=np.float64)
    return total / math.prod(pixels.shape[:3])


def _in_dtype(values: Any, dtype: np.dtype, exact: bool = False) -> np.ndarray:
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


def _noise(native: np.ndarray, shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Standard normal numbers for each image, from its content."""
    drawn = np.empty((len(native), *shape))
    for i, image in enumerate(native):
        digest = hashlib.blake2b(image.tobytes(), digest_size=16).digest()
        rng = np.random.default_rng([seed, int.from_bytes(digest, "little")])
        drawn[i] = rng.standard_normal(shape)
    return drawn


def _blurred(pixels: np.ndarray, sigmas: tuple[float, float]) -> np.ndarray:
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
