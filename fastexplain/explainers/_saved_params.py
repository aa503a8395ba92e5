"""Parameters of explainers in saved folders: which are known, and which values they may have."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import torch

from fastexplain._warnings import warn_user
from fastexplain.maskers._state import plain_baseline, plain_groups
from fastexplain.persistence import Fields, Unsaved, encode_value, params_of
from fastexplain.persistence._fields import shown
from fastexplain.persistence._params import is_baseline, is_number, is_whole
from fastexplain.predictors._meaning import CHOICES

__all__ = ["check_params", "params_from", "params_state"]

#: parameters whose values may be what no folder holds, and what is done then
_MAY_BE_UNSAVED = {
    "random_state": "It is None now, and draws anew: give it again by set_params(random_state=...)",
    "label_source": "It is 'auto' now: give it again by set_params(label_source=...) before fit",
    "select": (
        "Give it again by explainer.set_params(select=...), and then the model by "
        "attach_model(model)"
    ),
}
_NETWORKS = ("auto", "unet", "vit", "copy", "transformer", "hidden", "hidden_classes")


def params_state(explainer: Any) -> dict[str, Any]:
    """An explainer's parameters as JSON.

    Raises
    ------
    TypeError
        Names a parameter whose value has no form in JSON.
    """
    found: dict[str, Any] = {}
    for name, value in explainer.get_params(deep=False).items():
        if name == "masker":
            # the fitted one has all of it
            found[name] = value is not None
        elif name == "removal":
            # trained, it is a part of what was fitted
            found[name] = "baseline" if explainer.removal_ is None else "surrogate"
        else:
            found[name] = _encoded(name, value)
    return found


def check_params(explainer: Any) -> None:
    """Raise TypeError if a parameter's value cannot be saved, before anything is fitted."""
    for name, value in explainer.get_params(deep=False).items():
        if name not in ("masker", "removal"):
            _encoded(name, value)


def _encoded(name: str, value: Any) -> Any:
    if name == "groups":
        value = plain_groups(value)
    elif name == "baseline":
        value = plain_baseline(value)
    try:
        return encode_value(value)
    except TypeError as error:
        if name in _MAY_BE_UNSAVED:
            return encode_value(Unsaved(shown(value)))
        raise TypeError(
            f"{name}= holds {error}, which no saved explainer can hold: give plain values, lists, "
            "mappings, arrays or frames."
        ) from error


def params_from(kind: Any, fields: Fields) -> dict[str, Any]:
    """Parameters that ``params_state`` has written; "masker" tells whether one was given.

    Raises
    ------
    ValueError
        For parameters or values that are not known.
    """
    found = params_of(kind, fields, frozenset({"masker"}))
    found["masker"] = fields.flag("masker")
    for name, value in found.items():
        if isinstance(value, Unsaved):
            if name not in _MAY_BE_UNSAVED:
                raise ValueError(f"params.{name} was not saved")
            text = f"{name}= was {value.text}, which could not be saved. {_MAY_BE_UNSAVED[name]}."
            warn_user(text)
            found[name] = inspect.signature(kind).parameters[name].default
        elif name in _CHECKS and not _CHECKS[name](value):
            raise ValueError(f"params.{name} is not known: {shown(value)}")
    found["device"] = _device_here(found["device"])
    return found


def _device_here(device: Any) -> Any:
    """The device, or "auto" where it is one that is not here."""
    if not isinstance(device, str) or len(device) > 16:
        raise ValueError(f"params.device is not known: {shown(device)}")
    name, _, index = device.partition(":")
    number = int(index) if index.isdigit() else 0
    if name == "cuda" and number >= torch.cuda.device_count():
        warn_user(
            f"The explainer was saved with device={device!r}, which is not here; it has "
            "device='auto' now, which is the CPU where there is no CUDA device."
        )
        return "auto"
    return device


def _is_path(value: Any) -> bool:
    return value is None or (isinstance(value, str) and "\0" not in value)


def _is_network(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(isinstance(name, str) for name in value)
    return value in _NETWORKS


def _are_names(value: Any) -> bool:
    """Whether values are names or positions of columns or outputs, or None."""
    plain = isinstance(value, list | tuple | set | frozenset) or hasattr(value, "__array__")
    return value is None or plain


# of parameters that explainers look at only while they fit, or not at all
_CHECKS: dict[str, Callable[[Any], bool]] = {
    "baseline": is_baseline,
    "groups": lambda v: v is None or isinstance(v, Mapping),
    "categorical": _are_names,
    "removal": lambda v: v in ("baseline", "surrogate"),
    "network": _is_network,
    "output": lambda v: isinstance(v, str) and v in CHOICES,
    "output_names": _are_names,
    "select": lambda v: v is None or isinstance(v, str) or is_whole(v),
    "validation_fraction": lambda v: 0 <= v < 1,
    "lambda_kl": lambda v: v is None or is_number(v),
    "model_batch_size": lambda v: v is None or is_whole(v, 1),
    "n_jobs": lambda v: v is None or is_whole(v),
    "verbose": lambda v: v >= 0,
    "random_state": lambda v: v is None or is_whole(v),
    "checkpoint": _is_path,
    "label_cache": _is_path,
}
