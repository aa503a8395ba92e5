"""Torch modules whose images an image processor prepares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from fastexplain.predictors._answers import Select
from fastexplain.predictors._config import arguments
from fastexplain.predictors._matrix import ask, n_rows
from fastexplain.predictors._predictor import Predictor
from fastexplain.predictors._processors import (
    Affine,
    channels_first,
    crops,
    find_affine,
    noise_like,
    process,
)
from fastexplain.predictors._torch import Answers, TorchCall, read_call

__all__ = ["ImageCall", "read_images"]

# factors below it are for bytes
_BYTES_SCALE = 0.1
# images that the processor prepares at a time: it may make them much larger
_PROCESSED = 32


@dataclass(frozen=True, eq=False)
class ImageCall(TorchCall):
    """Raw answers of a torch module for images that a processor prepares.

    Attributes
    ----------
    module : torch.nn.Module
    processor : object
        See `process`.
    n_channels : int or None
        Channels that the model wants, where that is known.
    affine : Affine or None
        What stands in for the processor on images that it fits.
    """

    processor: Any = None
    n_channels: int | None = None
    affine: Affine | None = None

    def _one(self, prepared: dict[str, torch.Tensor]) -> Any:
        args, kwargs = arguments(self.module, prepared)
        return self.module(*args, **kwargs)

    def _prepare(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        dtype = self.dtype or torch.float32
        return {
            name: part.to(device=self.device, dtype=dtype if part.is_floating_point() else None)
            for name, part in process(self.processor, images).items()
        }

    def raw(self, X: Any) -> Answers:
        """Return the module's answers to each batch as they come."""
        images = channels_first(X, self.n_channels)
        if self.affine is not None and self.affine.fits(images):
            pixels = self.affine(images, self.device, self.dtype or torch.float32)
            return Answers([(ask(lambda _: self._one({"pixel_values": pixels}), X), n_rows(X))])
        parts = images.cpu().split(_PROCESSED)
        return Answers(
            [(ask(lambda p: self._one(self._prepare(p)), part), len(part)) for part in parts]
        )

    def batches(self, X: Any) -> list[np.ndarray]:
        """Samples of each call of the module."""
        rows = np.arange(n_rows(X))
        if self.affine is not None and self.affine.fits(channels_first(X, self.n_channels)):
            return [rows]
        return [rows[start : start + _PROCESSED] for start in range(0, len(rows), _PROCESSED)]

    def seen_size(self, X: Any) -> tuple[int, int] | None:
        """Height and width of the images that the module sees of such as these."""
        images = channels_first(X, self.n_channels)
        if self.affine is not None and self.affine.fits(images):
            return images.shape[2], images.shape[3]
        pixels = process(self.processor, images[:1].cpu()).get("pixel_values")
        return None if pixels is None or pixels.ndim != 4 else (pixels.shape[2], pixels.shape[3])

    def crops(self, X: Any) -> bool:
        """Whether the module does not see the edges of images such as these."""
        images = channels_first(X, self.n_channels)
        if self.affine is not None and self.affine.fits(images):
            return False
        return crops(self.processor, images[:1].cpu())


def _wanted_channels(module: torch.nn.Module, processor: Any) -> int | None:
    """Number of channels the model wants, from its configuration or the processor's means."""
    known = getattr(getattr(module, "config", None), "num_channels", None)
    if isinstance(known, int):
        return known
    mean = getattr(processor, "image_mean", None)
    return len(mean) if isinstance(mean, list | tuple) and len(mean) > 1 else None


def _check_scale(processor: Any, images: torch.Tensor) -> None:
    """Refuse floats that the processor would scale once more, or cannot resize."""
    factor = getattr(processor, "rescale_factor", 1.0)
    scales = getattr(processor, "do_rescale", False) and factor < _BYTES_SCALE
    if not images.is_floating_point() or not scales:
        return
    highest = float(images.max())
    if 0.0 < highest <= 1.0:
        raise ValueError(
            f"The images are floats of at most {highest:.3g}, and their processor multiplies them "
            f"by {factor:.4g} once more, as it does with bytes: the model would see black. Give "
            "bytes, (255 * X).round().astype('uint8'), or set processor.do_rescale = False."
        )
    if highest > 1.0:
        try:
            process(processor, noise_like(images[:2].cpu()))
        except Exception as error:
            raise ValueError(
                f"The images are floats of up to {highest:.4g}, which their processor does not "
                f"take where they are no whole numbers, as masked images may be ({error}). Give "
                "bytes, X.round().astype('uint8')."
            ) from error


def read_images(
    module: torch.nn.Module,
    processor: Any,
    sample: Any,
    output: str,
    select: Select = None,
    rows: np.ndarray | None = None,
) -> tuple[Predictor, str | None]:
    """Predictor of a torch module whose images a processor prepares; see `read_call`.

    Parameters
    ----------
    module : torch.nn.Module
        The model.
    processor : object
        Callable, or with a ``preprocess``, that gives ``pixel_values``.
    sample : ndarray of shape (B, H, W, C), (B, C, H, W) or (B, H, W)
        Images to probe it with.
    output : str
        One of `CHOICES`.
    select : str, int, callable or None
        Which part of an answer of several parts is explained.
    rows : int ndarray, optional
        Positions of the samples in ``X``, for messages.

    Returns
    -------
    predictor : Predictor
    doubt : str or None
        What to warn about.
    """
    n_channels = _wanted_channels(module, processor)
    images = channels_first(sample, n_channels)
    affine = find_affine(processor, images)
    _check_scale(processor, images)
    call = ImageCall(module, select, processor=processor, n_channels=n_channels, affine=affine)
    return read_call(call, sample, output, "images", rows)
