"""Fitted maskers as JSON values and tensors."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from fastexplain._table_json import decode_table, encode_table
from fastexplain.maskers._image import ImageMasker
from fastexplain.maskers._tabular import TabularMasker
from fastexplain.maskers._text import TextMasker
from fastexplain.persistence import decode_value, encode_value

__all__ = ["masker_from_state", "masker_state"]

_KINDS: dict[str, Any] = {"image": ImageMasker, "text": TextMasker}


def masker_state(masker: Any) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """Describe a fitted masker; ``masker_from_state`` is the inverse."""
    if isinstance(masker, TabularMasker):
        return _tabular_state(masker), {}
    kind = next(name for name, type_ in _KINDS.items() if isinstance(masker, type_))
    config, tensors = masker.state()
    return {"kind": kind} | config, tensors


def masker_from_state(state: dict[str, Any], tensors: dict[str, torch.Tensor]) -> Any:
    """Make a saved masker again.

    Raises
    ------
    ValueError
        For a kind of masker that this version does not know.
    """
    kind = state.get("kind", "tabular")
    if kind == "tabular":
        return _tabular_from(state)
    if kind not in _KINDS:
        raise ValueError(f"This version of fastexplain does not know maskers of {kind!r}.")
    return _KINDS[kind].from_state({k: v for k, v in state.items() if k != "kind"}, tensors)


def _tabular_state(masker: TabularMasker) -> dict[str, Any]:
    return {
        "kind": "tabular",
        "baseline": encode_value(masker.baseline),
        "groups": encode_value(masker.groups),
        "n_background": int(masker.n_background),
        "background": encode_table(masker.background_),
        "feature_names": masker.feature_names_,
        "player_of_column": [int(player) for player in masker.player_of_column_],
        "removes_to_baseline": masker.removes_to_baseline_,
    }


def _tabular_from(state: dict[str, Any]) -> TabularMasker:
    masker = TabularMasker(
        decode_value(state["baseline"]), decode_value(state["groups"]), state["n_background"]
    )
    masker.background_ = decode_table(state["background"])
    masker.feature_names_ = state["feature_names"]
    masker.player_of_column_ = np.array(state["player_of_column"], dtype=int)
    masker.removes_to_baseline_ = bool(state.get("removes_to_baseline", True))
    return masker
