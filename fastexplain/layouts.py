"""Where the players of images and texts are, so that attributions can be shown in place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["ImageLayout", "TextLayout"]


@dataclass(frozen=True, eq=False)
class ImageLayout:
    """The player of each pixel.

    Parameters
    ----------
    segments : int ndarray of shape (H, W) or (n, H, W)
        Player of each pixel, -1 where there is none; shared by all images, or each image's.
    channels : {"first", "last", "none"}
        Where the images have their channels.

    Examples
    --------
    >>> layout = ImageLayout(np.array([[0, 0, 1], [0, 0, -1]]), "none")
    >>> layout.to_pixels([[0.5, 2.0]])
    array([[[0.5, 0.5, 2. ],
            [0.5, 0.5, 0. ]]])
    """

    segments: np.ndarray
    channels: str

    def __post_init__(self) -> None:
        segments = np.asarray(self.segments)
        if segments.ndim not in (2, 3) or segments.dtype.kind not in "iu":
            raise ValueError(
                "segments must be whole numbers of shape (H, W) or (n, H, W), got "
                f"{segments.dtype} of shape {segments.shape}."
            )
        if segments.size and segments.min() < -1:
            raise ValueError(f"segments must be -1 or a player, got {segments.min()}.")
        if self.channels not in ("first", "last", "none"):
            raise ValueError(f"channels must be 'first', 'last' or 'none', got {self.channels!r}.")
        object.__setattr__(self, "segments", segments)

    def take(self, rows: slice | np.ndarray | Sequence[int]) -> ImageLayout:
        """Layout of some of the images, by position."""
        if self.segments.ndim == 2:
            return self
        return ImageLayout(self.segments[rows], self.channels)

    def to_pixels(self, values: Any, outside: float = 0.0) -> np.ndarray:
        """Give every pixel the value of its player.

        Parameters
        ----------
        values : array-like of shape (n, N)
        outside : float, default=0.0
            Value of the pixels without a player.

        Returns
        -------
        ndarray of shape (n, H, W)
            Floating, in the values' own dtype if that is.
        """
        values = np.asarray(values)
        if values.dtype.kind != "f":
            values = values.astype(np.float64)
        shared = self.segments.ndim == 2
        if values.ndim != 2 or not (shared or len(values) == len(self.segments)):
            rows = "n" if shared else len(self.segments)
            raise ValueError(f"values must have shape ({rows}, N), got {values.shape}.")
        if self.segments.size and values.shape[1] <= self.segments.max():
            raise ValueError(
                f"values are of {values.shape[1]} players, but the layout has at least "
                f"{self.segments.max() + 1}."
            )
        # one more column at the end, where the index -1 finds it
        edge = np.full((len(values), 1), outside, dtype=values.dtype)
        values = np.concatenate([values, edge], axis=1)
        if shared:
            return values[:, self.segments]
        height, width = self.segments.shape[1:]
        flat = self.segments.reshape(len(values), height * width).astype(np.intp)
        return np.take_along_axis(values, flat, axis=1).reshape(self.segments.shape)


@dataclass(frozen=True, eq=False)
class TextLayout:
    """The characters of each player of each text.

    Parameters
    ----------
    spans : sequence of n int arrays of shape (N_i, 2)
        First character of each player of a text, and the one after its last.

    Examples
    --------
    >>> layout = TextLayout((np.array([[0, 4], [5, 9]]),))
    >>> layout.pieces(0, "good film!")
    [('good', 0), (' ', -1), ('film', 1), ('!', -1)]
    """

    spans: tuple[np.ndarray, ...]

    def __post_init__(self) -> None:
        object.__setattr__(
            self, "spans", tuple(_checked_spans(span, i) for i, span in enumerate(self.spans))
        )

    def take(self, rows: slice | np.ndarray | Sequence[int]) -> TextLayout:
        """Layout of some of the texts, by position."""
        places = np.atleast_1d(np.arange(len(self.spans))[rows])
        return TextLayout(tuple(self.spans[place] for place in places))

    def pieces(self, row: int, text: str) -> list[tuple[str, int]]:
        """Cut a text into consecutive pieces, one for each player and for what lies between.

        Parameters
        ----------
        row : int
            Which of the n texts it is.
        text : str
            The text itself.

        Returns
        -------
        list of (str, int)
            Pieces that make up the text when joined, each with its player, or -1. Of players
            that share characters, as byte tokens do, the first has them; a player that is left
            without any has no piece.

        Raises
        ------
        ValueError
            If the text is shorter than its players reach.
        """
        spans = self.spans[row]
        if len(spans) and spans.max() > len(text):
            raise ValueError(
                f"Players of text {row} reach to character {spans.max()}, but the text has "
                f"{len(text)}: it is not the text that the layout was made of."
            )
        pieces: list[tuple[str, int]] = []
        end = 0
        for player in np.argsort(spans[:, 0], kind="stable").tolist():
            start, stop = spans[player].tolist()
            if start > end:
                pieces.append((text[end:start], -1))
                end = start
            if stop > end:
                pieces.append((text[end:stop], player))
                end = stop
        if end < len(text):
            pieces.append((text[end:], -1))
        return pieces


def _checked_spans(span: Any, i: int) -> np.ndarray:
    span = np.asarray(span)
    if span.size == 0:
        return np.zeros((0, 2), dtype=np.int64)
    if span.ndim != 2 or span.shape[1] != 2 or span.dtype.kind not in "iu":
        raise ValueError(
            f"spans of text {i} must be whole numbers of shape (players, 2), got {span.dtype} of "
            f"shape {span.shape}."
        )
    if span.min() < 0 or (span[:, 0] > span[:, 1]).any():
        raise ValueError(f"spans of text {i} must run from a first character to a later one.")
    return span
