"""Explanations of images and texts as ``shap.plots.image`` and ``shap.plots.text`` read them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastexplain._explanation_images import displayable, per_pixel
from fastexplain._explanation_layout import tokens
from fastexplain._explanation_words import output_name

if TYPE_CHECKING:
    import shap

    from fastexplain.explanation import Explanation

__all__ = ["images", "texts"]


def _names(source: Explanation) -> list[str] | None:
    n_outputs = source._values.shape[2]
    return None if n_outputs == 1 else [output_name(source, k) for k in range(n_outputs)]


def _pixels_of_players(segments: np.ndarray, n_players: int) -> np.ndarray:
    """Count the pixels of each player, (1, N) or (n, N); 1 for a player that has none."""
    blocks = segments.reshape(-1, segments.shape[-2] * segments.shape[-1])
    counts = [np.bincount(block[block >= 0], minlength=n_players) for block in blocks]
    return np.maximum(np.array(counts).reshape(len(blocks), n_players), 1)


def images(module: Any, source: Explanation) -> shap.Explanation:
    """Values at the pixels, (n, H, W, 1) or (n, H, W, 1, K), beside the displayed images.

    Values that add up are shared out among a player's pixels, so that they still do.
    """
    layout: Any = source._layout
    shown = source
    if source.additive:
        shown = source._copy()
        counts = _pixels_of_players(layout.segments, source._values.shape[1])
        shown._values = source._values / counts[..., None]
    maps = per_pixel(shown)[:, :, :, None]
    base, names = source._base, _names(source)
    if names is None:
        maps, base = maps[..., 0], base[:, 0]
    data = displayable(np.asarray(source._data), layout.channels)
    data = data[..., None] if data.ndim == 3 else data
    result = module.Explanation(maps, base_values=np.array(base), data=data, output_names=names)
    return result if "row" in source.dims else result[0]


def _ragged(parts: list[Any]) -> np.ndarray:
    # numpy would make one array of rows of equal length
    array = np.empty(len(parts), dtype=object)
    for position, part in enumerate(parts):
        array[position] = part
    return array


def texts(module: Any, source: Explanation) -> shap.Explanation:
    """Values and tokens of each text's own players, (N_i,) or (N_i, K), one text beside another."""
    layout: Any = source._layout
    names = _names(source)
    values = source._values if names is not None else source._values[..., 0]
    base = source._base if names is not None else source._base[:, 0]
    words = [
        np.array(tokens(str(text), spans), dtype=object)
        for text, spans in zip(source._data[:, 0], layout.spans, strict=True)  # type: ignore
    ]
    parts = [np.array(own[: len(word)]) for own, word in zip(values, words, strict=True)]
    if "row" not in source.dims:
        first = base[0] if names is not None else float(base[0])
        return module.Explanation(parts[0], base_values=first, data=words[0], output_names=names)
    return module.Explanation(
        _ragged(parts), base_values=np.array(base), data=_ragged(words), output_names=names
    )
