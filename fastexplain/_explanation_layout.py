"""Where the features of an explanation lie in its images or texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from fastexplain.explanation import Explanation

__all__ = [
    "as_samples",
    "check_layout",
    "concat_layouts",
    "layout_kind",
    "player_counts",
    "player_texts",
    "tokens",
]


def layout_kind(layout: Any) -> Literal["images", "texts", "none"]:
    """Which kind of samples a layout is of."""
    if hasattr(layout, "to_pixels"):
        return "images"
    return "texts" if hasattr(layout, "spans") else "none"


def as_samples(data: Any, single: bool, layout: Any) -> Any:
    """Give images and texts their axis of samples, and texts their one column."""
    which = layout_kind(layout)
    if data is None or which == "none":
        return data
    if which == "texts":
        texts = np.asarray([data] if isinstance(data, str) else data, dtype=object)
        return texts.reshape(len(texts), 1) if texts.ndim == 1 else texts
    array = np.asarray(data)
    n_axes = 3 if layout.channels == "none" else 4
    return array[None] if single and array.ndim == n_axes - 1 else array


def check_layout(layout: Any, n_rows: int, n_features: int, data: Any) -> None:
    """Say what is wrong with a layout of ``n_rows`` samples with ``n_features`` players."""
    which = layout_kind(layout)
    if which == "none":
        if layout is None:
            return
        raise TypeError(
            f"layout must be an ImageLayout or a TextLayout, not {type(layout).__name__}"
        )
    if which == "texts":
        lengths = [len(spans) for spans in layout.spans]
        if len(lengths) != n_rows:
            raise ValueError(f"layout has {len(lengths)} texts for {n_rows} rows of values")
        if max(lengths, default=0) > n_features:
            raise ValueError(
                f"layout has a text of {max(lengths)} players for values of {n_features} features"
            )
        if data is not None and tuple(np.shape(data)) != (n_rows, 1):
            raise ValueError(
                f"data of {n_rows} texts must have shape ({n_rows}, 1), not {np.shape(data)}"
            )
        for row, spans in enumerate(layout.spans if data is not None else ()):
            if len(spans) and spans.max() > len(str(data[row, 0])):
                raise ValueError(f"layout has players beyond the end of text {row}")
        return
    segments = layout.segments
    if segments.ndim == 3 and len(segments) != n_rows:
        raise ValueError(f"layout has {len(segments)} images for {n_rows} rows of values")
    if segments.size and segments.max() >= n_features:
        raise ValueError(
            f"layout has a player {segments.max()} for values of {n_features} features"
        )
    if data is not None:
        n_axes = 3 if layout.channels == "none" else 4
        first = 2 if layout.channels == "first" else 1
        shape = np.shape(data)
        if len(shape) != n_axes or shape[first : first + 2] != segments.shape[-2:]:
            height, width = segments.shape[-2:]
            raise ValueError(
                f"data of shape {shape} are not images of {height} x {width} pixels with "
                f"channels={layout.channels!r}, as the layout has them"
            )


def concat_layouts(layouts: Sequence[Any], lengths: Sequence[int]) -> Any:
    """Layouts below each other; ``lengths`` says of how many rows each is."""
    kinds = {layout_kind(layout) for layout in layouts}
    if len(kinds) > 1:
        raise ValueError(
            "only some of the explanations have a layout, or their layouts are of different kinds"
        )
    first = layouts[0]
    if kinds == {"none"}:
        return None
    if kinds == {"texts"}:
        return replace(first, spans=tuple(spans for layout in layouts for spans in layout.spans))
    if len({layout.channels for layout in layouts}) > 1:
        raise ValueError("the layouts of the explanations have their channels on different axes")
    parts = [layout.segments for layout in layouts]
    if len({part.shape[-2:] for part in parts}) > 1:
        raise ValueError("the layouts of the explanations are of images of different sizes")
    shared = parts[0].ndim == 2
    if shared and all(part.ndim == 2 and np.array_equal(part, parts[0]) for part in parts):
        return first
    blocks = [
        np.broadcast_to(part, (length, *part.shape[-2:]))
        for part, length in zip(parts, lengths, strict=True)
    ]
    return replace(first, segments=np.concatenate(blocks))


def tokens(text: str, spans: np.ndarray) -> list[str]:
    """Return each player's characters with all up to the next one's.

    Players that lie one after the other give parts that joined are the text.

    Examples
    --------
    >>> tokens(" a fine day", np.array([[1, 2], [3, 7], [8, 11]]))
    [' a ', 'fine ', 'day']
    """
    spans = np.asarray(spans, dtype=np.intp).reshape(-1, 2)
    starts, ends = spans[:, 0], spans[:, 1]
    if not len(spans) or (starts[1:] < ends[:-1]).any():
        return [text[start:end] for start, end in spans]
    starts, ends = starts.copy(), np.append(starts[1:], len(text))
    starts[0] = 0
    return [text[start:end] for start, end in zip(starts, ends, strict=True)]


def player_texts(explanation: Explanation, row: int = 0) -> list[str] | None:
    """What each feature of a row reads, empty for one the text does not have; None if no text."""
    if layout_kind(explanation._layout) != "texts" or explanation._data is None:
        return None
    text, spans = explanation._data[row, 0], explanation._layout.spans[row]  # type: ignore
    found = [text[start:end] for start, end in spans]
    return found + [""] * (explanation._values.shape[1] - len(found))


def player_counts(explanation: Explanation) -> np.ndarray:
    """How many players each row has, (n,), at least 1: features that a slice left out count."""
    layout: Any = explanation._layout
    n = len(explanation._values)
    counts = np.full(n, explanation._n_players)
    which = layout_kind(layout)
    if which == "texts":
        counts = np.array([len(spans) for spans in layout.spans], dtype=int)
    elif which == "images" and layout.segments.size:
        counts = np.broadcast_to(layout.segments.max(axis=(-2, -1)) + 1, (n,))
    return np.maximum(counts, 1)
