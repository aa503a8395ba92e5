"""Fitted maskers of images as JSON values and tensors."""

from __future__ import annotations

import inspect
import math
from typing import Any

import numpy as np
import torch

from fastexplain.images import CHANNELS, Images
from fastexplain.maskers._image_checks import check_fill, check_players, patch_of
from fastexplain.maskers._image_sizes import check_size
from fastexplain.persistence import (
    Fields,
    WeightsError,
    check_shape,
    encode_value,
    params_of,
)
from fastexplain.persistence._limits import MOST_NUMBERS, MOST_PLAYERS, PLAIN_PIXELS

__all__ = ["image_masker_from", "image_state"]

Tensors = dict[str, torch.Tensor]


def image_state(masker: Any) -> tuple[dict[str, Any], Tensors]:
    """Describe a fitted ``ImageMasker``.

    Raises
    ------
    TypeError
        If a function finds the players.
    """
    if callable(masker.segments):
        raise TypeError(
            "segments is a function, which cannot be saved: pickle the explainer instead, or give "
            "segments as an array."
        )
    names = inspect.signature(type(masker)).parameters.keys() - {"segments", "size"}
    given = {name: getattr(masker, name) for name in sorted(names)}
    given["size"] = check_size(masker.size, masker.resample)
    config = {
        "params": {name: encode_value(value) for name, value in given.items()},
        "channels_": masker.channels_,
        "shape_": list(masker.shape_),
        "whole_numbers_": masker.whole_numbers_,
        "noise_seed_": masker.noise_seed_,
    }
    arrays = {"fill_": masker.fill_, "deviation_": masker.deviation_}
    tensors = {k: torch.from_numpy(v.copy()) for k, v in arrays.items() if v is not None}
    if masker.segments is not None:
        tensors["segments_"] = torch.from_numpy(masker.segments_.copy())
    elif math.prod(masker.shape_) > PLAIN_PIXELS:
        # what a large image asks for when it is loaded has to lie in the file
        tensors["patches_"] = torch.from_numpy(masker.segments_.astype(np.int32))
    return config, tensors


def image_masker_from(kind: Any, config: dict[str, Any], tensors: Tensors) -> Any:
    """The inverse of ``image_state``, for the class ``ImageMasker``.

    Raises
    ------
    ValueError
        For what ``image_state`` does not write; nothing large is made of it.
    """
    fields = Fields(config, "masker")
    given = params_of(kind, fields.section("params"), frozenset({"segments"}))
    segments = tensors.pop("segments_", None)
    masker = kind(segments=None if segments is None else segments.numpy().copy(), **given)
    check_players(masker.patch_size, masker.segments)
    check_fill(masker.fill)
    size = check_size(masker.size, masker.resample)
    masker.channels_ = fields.text("channels_", CHANNELS)
    n_axes = 2 if masker.channels_ == "none" else 3
    masker.shape_ = tuple(fields.wholes("shape_", 1, MOST_NUMBERS, n_axes))
    masker.whole_numbers_ = fields.flag("whole_numbers_")
    # an array of the shape that takes no memory
    like = Images(np.broadcast_to(np.uint8(0), (0, *masker.shape_)), masker.channels_)
    if masker.channels not in ("auto", masker.channels_) or size not in (None, like.size):
        raise ValueError("masker.params has other channels, or another size, than the images")
    _set_players(masker, like, segments, tensors.pop("patches_", None))
    _set_fill(masker, fields, tensors, like.n_channels)
    fields.close()
    return masker


def _set_players(
    masker: Any, like: Images, segments: torch.Tensor | None, patches: torch.Tensor | None
) -> None:
    """Settle the players, once it is seen that they are not more than the file may ask for."""
    numbers = math.prod(masker.shape_)
    held = segments if segments is not None else patches
    if held is None and numbers > PLAIN_PIXELS:
        raise ValueError(f"the players of images of shape {masker.shape_} are not in the file")
    if numbers > MOST_NUMBERS:
        raise ValueError(f"images of shape {masker.shape_} have too many numbers")
    if held is not None and (tuple(held.shape) != like.size or held.is_floating_point()):
        raise WeightsError(f"the map of players has the shape {tuple(held.shape)}")
    if segments is None:
        patch = patch_of(masker.patch_size, like.size)
        count = math.prod(-(-side // step) for side, step in zip(like.size, patch, strict=True))
        if count > MOST_PLAYERS:
            raise ValueError(f"there are {count} patches, more than {MOST_PLAYERS}")
    masker._set_players(like.size, None)
    if patches is not None and not np.array_equal(patches.numpy(), masker.segments_):
        raise WeightsError("the map of players is not that of the patches")


def _set_fill(masker: Any, fields: Fields, tensors: Tensors, n_channels: int) -> None:
    """Take the fill's statistics, as many as the fill has."""

    def statistic(name: str) -> np.ndarray:
        return check_shape(tensors, name, (n_channels,)).numpy().copy()

    masker.noise_seed_, masker.fill_, masker.deviation_ = None, None, None
    named = masker.fill if isinstance(masker.fill, str) else "numbers"
    if named != "blur":
        masker.fill_ = statistic("fill_")
    said = {"zero": 0.0, "numbers": masker.fill}.get(named)
    if said is not None and not np.all(masker.fill_ == np.asarray(said, dtype=np.float64)):
        raise ValueError("masker.params.fill is not what the file fills with")
    if named == "noise":
        masker.deviation_ = statistic("deviation_")
        masker.noise_seed_ = fields.whole("noise_seed_", 0, 2**63 - 1)
    elif not fields.missing("noise_seed_"):
        raise ValueError("there is a seed of noise, and no noise")
    whole = bool((masker.segments_ >= 0).all())
    masker.fixed_empty_ = named not in ("blur", "noise") and whole
