"""Texts behind the same few operations as a table, and tokens as a model takes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import joblib
import numpy as np
import torch

from fastexplain._containers import plain_container

__all__ = ["Texts", "TokenBatch", "as_strings"]

# numbers that a token costs inside a model, roughly: the width of a small transformer
_NUMBERS_PER_TOKEN = 256
# characters of a token, on average, where nothing has counted the tokens
_CHARACTERS_PER_TOKEN = 5


@dataclass(eq=False)
class TokenBatch:
    """Token ids of B texts, padded to one length L.

    Parameters
    ----------
    ids : int64 tensor of shape (B, L)
    attention : int64 tensor of shape (B, L)
        1 where the model looks, 0 at padding.
    types : int64 tensor of shape (B, L), optional
        Token types, for models that take them.
    start : int64 tensor of shape (B,), optional
        Place of each text's first token, where padding stands at the left; its last one is at
        L - 1 then. Default: at 0, with padding at the right. The attention cannot tell: it
        has zeros at removed tokens, too.

    Examples
    --------
    >>> import torch
    >>> from fastexplain.texts import TokenBatch
    >>> ids = torch.tensor([[5, 6, 7], [5, 0, 0]])
    >>> batch = TokenBatch(ids, (ids > 0).long())
    >>> len(batch), batch[:1].ids.tolist()
    (2, [[5, 6, 7]])
    """

    ids: torch.Tensor
    attention: torch.Tensor
    types: torch.Tensor | None = None
    start: torch.Tensor | None = None

    @property
    def shape(self) -> torch.Size:
        """Shape (B, L)."""
        return self.ids.shape

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, rows: Any) -> TokenBatch:
        types = None if self.types is None else self.types[rows]
        start = None if self.start is None else self.start[rows]
        return TokenBatch(self.ids[rows], self.attention[rows], types, start)

    def to(self, device: torch.device | str | None) -> TokenBatch:
        """The same tokens on a device."""
        types = None if self.types is None else self.types.to(device)
        start = None if self.start is None else self.start.to(device)
        return TokenBatch(self.ids.to(device), self.attention.to(device), types, start)


class Texts:
    """Texts, the characters of their players and, with a tokenizer, their tokens.

    Made by ``TextMasker.wrap``.

    Parameters
    ----------
    native : list of n str
    spans : sequence of n int ndarrays of shape (N_i, 2)
        First character of each player, and the one after its last.
    ids : sequence of n int ndarrays of shape (L_i,), optional
        Token ids with special tokens; only with a tokenizer.
    player : sequence of n int ndarrays of shape (L_i,), optional
        Player of each token, -1 for those of none; only with a tokenizer.

    Attributes
    ----------
    kind : str
        ``"texts"``.

    Examples
    --------
    >>> import numpy as np
    >>> from fastexplain.texts import Texts
    >>> texts = Texts(["good film"], [np.array([[0, 4], [5, 9]])])
    >>> texts.tokens(0)
    ['good', 'film']
    """

    kind = "texts"

    def __init__(
        self,
        native: list[str],
        spans: Sequence[np.ndarray],
        ids: Sequence[np.ndarray] | None = None,
        player: Sequence[np.ndarray] | None = None,
    ) -> None:
        self.native = native
        self.spans = spans
        self.ids = ids
        self.player = player

    def __len__(self) -> int:
        return len(self.native)

    @property
    def sizes(self) -> np.ndarray:
        """Number of players N_i of each text, int (n,)."""
        return np.fromiter((len(span) for span in self.spans), int, len(self.spans))

    @property
    def n_columns(self) -> int:
        """Numbers that one text costs in a model: 256 for each token of the longest.

        Where there is no tokenizer, five characters count as a token.
        """
        if self.ids is not None:
            longest = max((len(own) for own in self.ids), default=0)
        else:
            longest = max((len(text) for text in self.native), default=0) // _CHARACTERS_PER_TOKEN
        return _NUMBERS_PER_TOKEN * max(longest, 1)

    def take(self, rows: Any) -> Texts:
        """Texts by position, a slice or an index array."""
        positions = range(len(self))[rows] if isinstance(rows, slice) else _positions(self, rows)
        parts = (self.spans, self.ids, self.player)
        taken = [None if part is None else [part[i] for i in positions] for part in parts]
        spans, ids, player = taken
        assert spans is not None
        return Texts([self.native[i] for i in positions], spans, ids, player)

    def tokens(self, i: int) -> list[str]:
        """What the players of text ``i`` read, in order; N_i strings."""
        text = self.native[i]
        return [text[start:end].strip() for start, end in self.spans[i].tolist()]

    def copied(self) -> list[str]:
        """The strings in a list of their own."""
        return list(self.native)

    def fingerprint(self) -> str:
        """Digest of strings, players and tokens, equal for equal content."""
        parts: list[Any] = [self.native]
        for arrays in (self.spans, self.ids, self.player):
            # thousands of small arrays take long to digest one by one
            lengths = [] if arrays is None else [len(array) for array in arrays]
            parts += [lengths, None if not lengths else np.concatenate(list(arrays or []))]
        return str(joblib.hash(parts, hash_name="sha1"))


def _positions(texts: Texts, rows: Any) -> list[int]:
    # an empty list would make an index of floats
    return [] if len(rows) == 0 else np.arange(len(texts))[np.asarray(rows)].tolist()


def as_strings(X: Any) -> list[str]:
    """A list of the strings in X, or what is wrong with them.

    Parameters
    ----------
    X : list, tuple, ndarray of shape (n,) or Series of str

    Returns
    -------
    list of n str

    Raises
    ------
    TypeError
        For a single string, a table, or an entry that is no string; the row is named. Also for
        dicts, data loaders and whatever else is no list of texts.
    ValueError
        For arrays of several dimensions, or no texts at all.

    Examples
    --------
    >>> as_strings(("good", "bad"))
    ['good', 'bad']
    """
    if hasattr(type(X), "columns"):
        raise TypeError("X is a table; pass its column of texts, as in X['text'].")
    shape = getattr(X, "shape", None)
    if shape is not None and len(shape) != 1:
        raise ValueError(
            f"Texts must have one dimension, got shape {tuple(shape)}; pass X.ravel() if there "
            "is one text a row."
        )
    method = next((m for m in ("tolist", "to_list", "to_pylist") if hasattr(X, m)), None)
    if method is not None:
        X = getattr(X, method)()
    elif not isinstance(X, list | tuple):
        X = plain_container(X)
    if not isinstance(X, list | tuple):
        raise TypeError(f"X must be a list, an array or a Series of texts, got {type(X).__name__}.")
    if not X:
        raise ValueError("X holds no texts: pass at least one.")
    for row, text in enumerate(X):
        if not isinstance(text, str):
            cure = "decode it"
            if not isinstance(text, bytes):
                missing = str(text) in ("None", "nan", "NaT", "<NA>")
                cure = "replace missing texts, as by ''" if missing else "texts alone are explained"
            raise TypeError(
                f"Every text must be a str, but row {row} is {str(text)[:40]!r} of type "
                f"{type(text).__name__}; {cure}."
            )
    # NumPy's own strings become plain ones
    return [str(text) for text in X]
