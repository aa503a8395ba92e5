"""Masked copies of images, as a model takes them: arrays, or tensors on its device."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from fastexplain.images import Images

__all__ = ["MaskedImages", "as_tensor", "moved", "place_of"]


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
            self._own, self._fill = (moved(as_tensor(part), device, dtype) for part in parts)
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


def place_of(predictor: Any, given: np.dtype) -> tuple[torch.device | None, torch.dtype | None]:
    """Device and dtype of the tensors that a model is fed with; None for arrays.

    A module without a floating type of its own gets double precision where images have it.
    """
    # what has a processor of its own takes images as they are, though it may live in torch
    if not predictor.torch_module or predictor.takes == "images":
        return None, None
    own = torch.float64 if given == np.float64 else torch.float32
    return predictor.device or torch.device("cpu"), predictor.dtype or own


def as_tensor(array: np.ndarray) -> torch.Tensor:
    """Tensor of an array, sharing memory where that can be written to."""
    array = np.ascontiguousarray(array)
    # an axis of one counts as contiguous whichever way it runs
    forward = all(stride >= 0 for stride in array.strides)
    return torch.from_numpy(array if array.flags.writeable and forward else array.copy())


def moved(tensor: torch.Tensor, device: torch.device | None, dtype: torch.dtype) -> torch.Tensor:
    """Tensor on a device in a dtype; bytes remain bytes, a quarter of the memory."""
    # converted first: not every device has double precision
    return (tensor if tensor.dtype == torch.uint8 else tensor.to(dtype)).to(device)
