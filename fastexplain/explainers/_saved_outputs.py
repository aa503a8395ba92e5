"""What saved folders tell of a model's outputs: names, classes, and how they were read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch

from fastexplain.persistence import (
    Fields,
    WeightsError,
    check_shape,
    decode_value,
    encode_value,
)
from fastexplain.persistence._fields import shown
from fastexplain.predictors._meaning import CHOICES, Meaning

__all__ = [
    "OUTPUT_ATTRIBUTES",
    "Measure",
    "attributes_from",
    "decode_floats",
    "encode_floats",
    "history_from",
    "outputs_from",
    "outputs_state",
]

_KINDS = ("classification", "multilabel", "regression")
#: fitted attributes that the section "outputs" and its tensors bring; absent ones are not set
OUTPUT_ATTRIBUTES = (
    "kind_",
    "output_",
    "output_reason_",
    "output_names_",
    "classes_",
    "base_values_",
    "caution_",
    # scores (K,), one an output; NaN where an output tells none
    "best_scores_",
    # sizes (K,) of a change of each output that matters
    "_unit",
)


def outputs_state(explainer: Any) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """What is known of a fitted explainer's outputs, as JSON values and tensors."""
    scores = getattr(explainer, "best_scores_", None)
    unit = getattr(explainer, "_unit", None)
    classes = getattr(explainer, "classes_", None)
    config = {
        "kind": explainer.kind_,
        "output": explainer.output_,
        "reason": explainer.output_reason_,
        "names": [str(name) for name in explainer.output_names_],
        "classes": None if classes is None else encode_value(np.asarray(classes)),
        "base_values": [float(value) for value in explainer.base_values_],
        "caution": getattr(explainer, "caution_", None),
        "best_scores": None if scores is None else encode_floats(scores),
    }
    tensors = {}
    if unit is not None:
        tensors["unit"] = torch.from_numpy(np.array(unit, dtype=np.float64))
    return config, tensors


def outputs_from(fields: Fields, weights: dict[str, torch.Tensor]) -> dict[str, Any]:
    """The inverse of ``outputs_state``, values by the attribute that has them.

    Raises
    ------
    ValueError
        If names, classes and values are not of as many outputs, or not what is written.
    """
    names = fields.texts("names")
    n = len(names)
    if not n:
        raise ValueError("outputs.names are none")
    found: dict[str, Any] = {
        "kind_": fields.text("kind", _KINDS),
        "output_names_": names,
        "base_values_": np.array(fields.numbers("base_values", length=n)),
    }
    output = found["output_"] = fields.text("output", set(CHOICES) - {"auto"})
    if Meaning(output, "identity").kind != found["kind_"]:
        raise ValueError(f"outputs.output {output!r} is not of the kind {found['kind_']!r}")
    found["output_reason_"] = fields.text("reason")
    found["caution_"] = None if fields.missing("caution") else fields.text("caution")
    _add_classes(found, fields, n, output)
    if not fields.missing("best_scores"):
        found["best_scores_"] = np.array(decode_floats(fields.items("best_scores", n)))
    if "unit" in weights:
        unit = check_shape(weights, "unit", (n,))
        if bool((unit <= 0).any()):
            raise WeightsError("the outputs' units are not above 0")
        found["_unit"] = unit.double().numpy().copy()
    fields.close()
    return found


def _add_classes(found: dict[str, Any], fields: Fields, n: int, output: str) -> None:
    """Labels of the K classes; a single raw score stands between two."""
    classes = decode_value(fields.value("classes"))
    if classes is None:
        if found["kind_"] == "classification":
            raise ValueError("outputs.classes are missing")
        return
    if not isinstance(classes, np.ndarray) or classes.ndim != 1:
        raise ValueError("outputs.classes are no list of labels")
    two = output == "margin" and n == 1 and len(classes) == 2
    if len(classes) != n and not two:
        raise ValueError(f"outputs.classes are {len(classes)}, and there are {n} outputs")
    if len(set(classes.tolist())) != len(classes):
        raise ValueError("outputs.classes have a label twice")
    found["classes_"] = classes


def encode_floats(values: Iterable[float]) -> list[Any]:
    """Floats as JSON; those that are not finite by name."""
    return [encode_value(float(value)) for value in values]


def decode_floats(values: list[Any]) -> list[float]:
    """The inverse of ``encode_floats``."""
    found = [decode_value(value) for value in values]
    for value in found:
        if type(value) not in (float, int):
            raise ValueError(f"{shown(value)} is no number")
    return [float(value) for value in found]


def history_from(fields: Fields) -> dict[str, list[float]]:
    """Losses, score, step and seconds at each validation.

    Raises
    ------
    ValueError
        If there are not as many of each, or steps do not rise.
    """
    found = {name: decode_floats(fields.items(name)) for name in fields.keys()}
    if not found:
        return found
    steps = found.get("step", [])
    if any(len(found.get(name, [])) != len(steps) for name in ("score", "seconds")):
        raise ValueError(f"{fields.where} does not tell step, score and seconds alike")
    # losses are unknown where weights were judged before they were trained
    if any(len(values) > len(steps) for values in found.values()):
        raise ValueError(f"{fields.where} has more losses than validations")
    if any(before >= after for before, after in pairwise(steps)) or min(steps, default=0) < 0:
        raise ValueError(f"{fields.where}.step does not rise")
    return found


class Measure(NamedTuple):
    """A fitted attribute of a class's own, as it is saved."""

    #: int or float
    kind: type
    least: float
    most: float
    #: whether there is one after every fit
    always: bool = True


def attributes_from(explainer: Any, fields: Fields, known: Mapping[str, Measure]) -> None:
    """Set the fitted attributes that a class says it has."""
    for name, measure in known.items():
        if name not in fields and not measure.always:
            continue
        if measure.kind is int:
            setattr(explainer, name, fields.whole(name, int(measure.least), int(measure.most)))
        else:
            setattr(explainer, name, fields.number(name, measure.least, measure.most))
