"""What an image processor does to images, and a fast stand-in for it where it is simple.

Most processors only rescale and normalise images that have the right size already. That is
one multiplication and one addition on the module's device, many times as fast as the
processor itself; it stands in for the processor where both were found to agree.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from fastexplain.predictors._matrix import describe

__all__ = ["Affine", "channels_first", "crops", "find_affine", "noise_like", "process"]

_TOLERANCE = 1e-5
# share of a side that may be missing without harm
_MARGIN = 0.02


def channels_first(X: Any, n_channels: int | None) -> torch.Tensor:
    """View of images with the channels before height and width.

    Parameters
    ----------
    X : ndarray or tensor of shape (B, C, H, W), (B, H, W, C) or (B, H, W)
        Images; C is 1 to 4, and images without channels are grey.
    n_channels : int or None
        Channels that the model wants, where that is known; grey is repeated to as many.

    Returns
    -------
    tensor of shape (B, C, H, W)

    Raises
    ------
    ValueError
        The images have other axes, or more than one axis may be the channels.
    """
    if not isinstance(X, torch.Tensor):
        # torch takes neither reversed nor read-only arrays
        X = torch.from_numpy(np.require(X, requirements=["C", "W"]))
    if X.ndim == 3:
        X = X.unsqueeze(1)
    elif X.ndim == 4:
        X = X.movedim(_channel_axis(tuple(X.shape), n_channels), 1)
    else:
        raise ValueError(
            "images for an image processor have the shape (n, H, W, C), (n, C, H, W) or "
            f"(n, H, W); got {tuple(X.shape)}"
        )
    if n_channels is not None and X.shape[1] == 1:
        X = X.expand(-1, n_channels, -1, -1)
    return X


def _channel_axis(shape: tuple[int, ...], n_channels: int | None) -> int:
    """Axis of the channels, the first or last of an image's; the wanted number decides."""
    for possible in ({n_channels}, {1, n_channels}, {1, 2, 3, 4}):
        axes = [axis for axis in (1, 3) if shape[axis] in possible]
        if len(axes) == 1:
            return axes[0]
        if axes:
            break
    raise ValueError(
        f"which axis of images of shape {shape} holds the channels cannot be seen: wanted "
        "(n, H, W, C) or (n, C, H, W) with 1 to 4 channels, and H and W of more than that"
    )


def process(processor: Any, images: torch.Tensor) -> dict[str, torch.Tensor]:
    """Prepare images as the processor does.

    Parameters
    ----------
    processor : object
        Callable, or with a ``preprocess``, that gives ``pixel_values``.
    images : tensor of shape (B, C, H, W)
        On the CPU.

    Returns
    -------
    dict of tensors with B rows
        All that the processor gives, ``pixel_values`` first.

    Raises
    ------
    ValueError
        The processor gives no ``pixel_values``.
    """
    # channels last is what every processor knows
    arrays = list(images.permute(0, 2, 3, 1).contiguous().numpy())
    wanted = {"return_tensors": "pt", "input_data_format": "channels_last"}
    parameters = inspect.signature(getattr(processor, "preprocess", processor)).parameters
    any_name = hasattr(processor, "preprocess") and any(
        parameter.kind == inspect.Parameter.VAR_KEYWORD for parameter in parameters.values()
    )
    options = {name: value for name, value in wanted.items() if any_name or name in parameters}
    answer = (processor if callable(processor) else processor.preprocess)(arrays, **options)
    if not hasattr(answer, "keys") or "pixel_values" not in answer:
        raise ValueError(
            f"the image processor {type(processor).__name__} answered {describe(answer)}; wanted "
            "a dict with 'pixel_values'. For another one pass a torch module that prepares its "
            "images itself"
        )
    names = sorted(answer.keys(), key=lambda name: name != "pixel_values")
    return {name: _tensor(answer[name]) for name in names}


def _tensor(values: Any) -> torch.Tensor:
    if isinstance(values, list) and values and isinstance(values[0], torch.Tensor):
        return torch.stack(values)
    return torch.as_tensor(values if isinstance(values, torch.Tensor) else np.asarray(values))


@dataclass(frozen=True, eq=False)
class Affine:
    """What a processor does to images of one shape and type: a line for each channel.

    Attributes
    ----------
    shape : tuple of int
        Shape (C, H, W) of an image.
    given : torch.dtype
        Type of its numbers.
    scale, shift : float64 tensor of shape (C,) or (1,)
        Pixels become ``scale * pixel + shift``.
    """

    shape: tuple[int, ...]
    given: torch.dtype
    scale: torch.Tensor
    shift: torch.Tensor

    def fits(self, images: torch.Tensor) -> bool:
        """Whether images are of the shape and type that this was found for."""
        return tuple(images.shape[1:]) == self.shape and images.dtype == self.given

    def __call__(
        self, images: torch.Tensor, device: torch.device, dtype: torch.dtype
    ) -> torch.Tensor:
        """Return images (B, C, H, W) as the processor would, on a device and in a type."""
        # half precision would round the pixels before they are centred
        precise = torch.float64 if dtype == torch.float64 else torch.float32
        scale, shift = (
            part.to(device=device, dtype=precise)[:, None, None]
            for part in (self.scale, self.shift)
        )
        return (images.to(device).to(precise) * scale + shift).to(dtype).contiguous()


def _declared_affine(processor: Any) -> tuple[torch.Tensor, torch.Tensor] | None:
    """Scale and shift that a processor's settings name; None where they are incomplete."""
    factor, mean, std = 1.0, 0.0, 1.0
    try:
        if getattr(processor, "do_rescale", False):
            factor = float(processor.rescale_factor)
        if getattr(processor, "do_normalize", False):
            mean, std = processor.image_mean, processor.image_std
        spread = torch.as_tensor(std, dtype=torch.float64).reshape(-1)
        centre = torch.as_tensor(mean, dtype=torch.float64).reshape(-1)
        return factor / spread, -centre / spread
    except (AttributeError, TypeError, ValueError, RuntimeError):
        return None


def noise_like(images: torch.Tensor) -> torch.Tensor:
    """Return images of noise of the same type and range."""
    low, high = (0.0, 255.0)
    if images.dtype != torch.uint8:
        low, high = float(images.min()), float(images.max())
    draws = np.random.default_rng(0).uniform(low, high, size=tuple(images.shape))
    return torch.from_numpy(draws).to(images.dtype)


def _agrees(processor: Any, affine: Affine, images: torch.Tensor) -> bool:
    """Whether a processor gives the same numbers, and nothing else."""
    try:
        answer = process(processor, images)
    except Exception:
        return False  # the processor's own error is raised where it is asked in earnest
    fast = affine(images, torch.device("cpu"), torch.float32)
    slow = answer.pop("pixel_values")
    if answer or slow.shape != fast.shape:
        return False
    return torch.allclose(slow.to(fast), fast, rtol=_TOLERANCE, atol=_TOLERANCE)


def find_affine(processor: Any, images: torch.Tensor) -> Affine | None:
    """Find out whether a processor only rescales and normalises.

    Its settings say by how much. Whether it does anything else to images of this shape, such
    as to resize, crop, pad or swap channels, is seen by asking it.

    Parameters
    ----------
    processor : object
        See `process`.
    images : tensor of shape (B, C, H, W)

    Returns
    -------
    Affine or None
        None where the processor itself has to be asked.
    """
    named = _declared_affine(processor)
    if named is None or any(len(part) not in (1, images.shape[1]) for part in named):
        return None
    affine = Affine(tuple(images.shape[1:]), images.dtype, *named)
    given = images[:2].cpu()
    # smooth or blank images might not show that they were resized or quantised
    probes = (given, noise_like(given)) if torch.isfinite(given).all() else (given,)
    return affine if all(_agrees(processor, affine, probe) for probe in probes) else None


def crops(processor: Any, images: torch.Tensor) -> bool:
    """Find out whether a processor cuts off the edges of images.

    Settings have many names (``do_center_crop``, ``crop_pct``), and with some of them images of
    the right proportions stay whole. So it is asked for images whose pixels tell their place.

    Parameters
    ----------
    processor : object
        See `process`.
    images : tensor of shape (B, C, H, W)
        Of the size and type in question.

    Returns
    -------
    bool
        False, too, where the processor gives no images, or none that tell.
    """
    height, width = images.shape[2:]
    highest = 1.0 if images.is_floating_point() and float(images.max()) <= 1.0 else 255.0
    probes = torch.zeros((4, *images.shape[1:]))
    probes[1] = 1.0
    probes[2] = torch.linspace(0.0, 1.0, height)[:, None]
    probes[3] = torch.linspace(0.0, 1.0, width)
    try:
        # whole numbers: what resizes bytes takes no others beyond 1
        given = probes if highest == 1.0 else (probes * highest).round()
        pixels = process(processor, given.to(images.dtype))["pixel_values"]
    except Exception:
        return False  # the processor's own error is raised where it is asked in earnest
    if pixels.ndim != 4 or len(pixels) != 4:
        return False
    dark, light, down, across = pixels.double()
    tells = (light - dark).abs() > _TOLERANCE
    if not tells.any():
        return False
    places = [((ramp - dark) / (light - dark))[tells] for ramp in (down, across)]
    return any(
        _is_cut(place, side, n)
        for place, side, n in zip(places, (height, width), pixels.shape[2:], strict=True)
    )


def _is_cut(places: torch.Tensor, side: int, n: int) -> bool:
    """Whether places from 0 to 1 leave out an end of a side that became n pixels."""
    if side == 1:
        return False
    # the first pixel's middle where the whole was resized, and what rounding may add to it
    first = max(side / n - 1, 0) / 2 / (side - 1)
    slack = _MARGIN + 0.5 / n
    return float(places.min()) > first + slack or float(places.max()) < 1 - first - slack
