"""Torch modules on batches of token ids, such as the models of Hugging Face.

Texts differ in length, and a module works on the padding as hard as on the tokens. So the
samples of a batch are sorted by length and asked in parts, each cut to its own longest.

Padding at the left moves the tokens of shorter texts to other places, and many models count
places from the first column, padding or not. They would answer by the company that a text
keeps: where padding stands at the left, texts of one length alone are asked together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from fastexplain.predictors._answers import Select
from fastexplain.predictors._config import arguments
from fastexplain.predictors._matrix import ShapeError, ask
from fastexplain.predictors._predictor import Predictor
from fastexplain.predictors._torch import Answers, TorchCall, read_call

__all__ = ["TokenCall", "attended_lengths", "length_batches", "read_tokens"]

# tokens in one call, and padding that is cheaper than another call
_CPU_TOKENS, _CPU_PADDING = 2**14, 2**9
_CUDA_TOKENS, _CUDA_PADDING = 2**17, 2**13


def attended_lengths(attention: torch.Tensor) -> np.ndarray:
    """Position after the last one attended to, at least 1.

    Parameters
    ----------
    attention : int or bool tensor of shape (B, L)
        Nonzero where the module attends to a token; it may have holes.

    Returns
    -------
    int ndarray of shape (B,)

    Examples
    --------
    >>> attended_lengths(torch.tensor([[1, 1, 0, 0], [1, 0, 1, 0], [0, 0, 0, 0]])).tolist()
    [2, 3, 1]
    """
    positions = torch.arange(1, attention.shape[1] + 1, device=attention.device)
    ends = torch.where(attention != 0, positions, 1).amax(dim=1)
    return ends.cpu().numpy()


def length_batches(lengths: np.ndarray, tokens: int, padding: int) -> list[np.ndarray]:
    """Cut samples of different lengths into batches, the longest first.

    Parameters
    ----------
    lengths : int ndarray of shape (B,)
        Length of each sample, at least 1.
    tokens : int
        Most tokens in a batch, padding included; a longer sample is a batch of its own.
    padding : int
        Most tokens of padding in a batch; 0 keeps to samples of one length.

    Returns
    -------
    list of int ndarray
        The samples of each batch.

    Examples
    --------
    >>> batches = length_batches(np.array([2, 9, 2, 8]), tokens=100, padding=3)
    >>> [batch.tolist() for batch in batches]
    [[1, 3], [0, 2]]
    """
    order = np.argsort(-lengths, kind="stable")
    sizes = lengths[order]
    batches = []
    start = 0
    while start < len(order):
        longest = int(sizes[start])
        block = sizes[start : start + max(1, tokens // longest)]
        stop = start + int(np.searchsorted(np.cumsum(longest - block), padding, side="right"))
        batches.append(order[start:stop])
        start = stop
    return batches


def _columns(batch: Any) -> tuple[np.ndarray, np.ndarray]:
    """First column of each sample, and the one after its last."""
    start = getattr(batch, "start", None)
    if start is None:
        ends = attended_lengths(batch.attention)
        return np.zeros_like(ends), ends
    starts = start.cpu().numpy()
    return starts, np.full_like(starts, batch.shape[1])


# positions that some models keep for padding
_OFFSET = 2


def _positions(module: torch.nn.Module) -> int | None:
    """How many positions a model has, where its configuration tells."""
    config = getattr(module, "config", None)
    found = (getattr(config, name, None) for name in ("max_position_embeddings", "n_positions"))
    return next((value for value in found if isinstance(value, int)), None)


@dataclass(frozen=True, eq=False)
class TokenCall(TorchCall):
    """Raw answers of a torch module for batches of token ids, as tensors on its device."""

    def _arguments(self, batch: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Arguments for the module, cut to the longest sample of the batch."""
        starts, ends = _columns(batch)
        columns = slice(int(starts.min()), int(ends.max()))
        given = {"input_ids": batch.ids, "attention_mask": batch.attention}
        if batch.types is not None:
            given["token_type_ids"] = batch.types
        # a model that writes keeps what it read for the next word, which there is none of
        return arguments(
            self.module,
            {name: value[:, columns].to(self.device) for name, value in given.items()},
            switches={"use_cache": False},
        )

    def _one(self, batch: Any) -> Any:
        args, kwargs = self._arguments(batch)
        try:
            return self.module(*args, **kwargs)
        except Exception as error:
            if len(batch) > 1 and "padding token" in str(error):
                error.add_note(
                    "The model is to know the tokenizer's padding token: "
                    "model.config.pad_token_id = tokenizer.pad_token_id."
                )
            if isinstance(error, IndexError):
                error.add_note(
                    f"The tokens' ids go up to {int(batch.ids.max())}: is the tokenizer the "
                    "model's own?"
                )
            starts, ends = _columns(batch)
            length, limit = int((ends - starts).max()), _positions(self.module)
            if limit is None or length <= limit - _OFFSET:
                raise
            raise ValueError(
                f"A text of {length} tokens is longer than the model takes, which has {limit} "
                "positions: give TextMasker(tokenizer, max_length=...) no more than these, or set "
                "tokenizer.model_max_length."
            ) from error

    def batches(self, X: Any) -> list[np.ndarray]:
        """Samples of each call of the module, those of like length together."""
        on_cuda = self.device.type == "cuda"
        padding = _CUDA_PADDING if on_cuda else _CPU_PADDING
        at_left = getattr(X, "start", None) is not None
        if at_left or "attention_mask" not in self._arguments(X[:1])[1]:
            # a module that cannot tell padding from tokens must not see any, nor one whose
            # tokens it moves, lest its answer depend on the other samples of the batch
            padding = 0
        tokens = _CUDA_TOKENS if on_cuda else _CPU_TOKENS
        starts, ends = _columns(X)
        return length_batches(ends - starts, tokens, padding)

    def raw(self, X: Any) -> Answers:
        """Return the module's answers to each batch as they come."""
        batches = self.batches(X)
        parts = [(ask(self._one, X[rows]), len(rows)) for rows in batches]
        return Answers(parts, torch.from_numpy(np.argsort(np.concatenate(batches))))


def read_tokens(
    module: torch.nn.Module,
    sample: Any,
    output: str,
    select: Select = None,
    rows: np.ndarray | None = None,
) -> tuple[Predictor, str | None]:
    """Predictor of a torch module that takes batches of token ids; see `read_call`.

    Parameters
    ----------
    module : torch.nn.Module
        The model. It gets ``input_ids``, ``attention_mask`` and ``token_type_ids`` where its
        ``forward`` has them; else the ids alone, of texts of one length at a time. Texts with
        padding at the left are asked one length at a time, too.
    sample : TokenBatch
        Samples to probe it with.
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

    Raises
    ------
    ValueError
        The model answers something for each token, as models that tag or write do.
    """
    try:
        return read_call(TokenCall(module, select), sample, output, "tokens", rows)
    except ShapeError as error:
        if len(error.shape) == 3 and error.shape[1] <= sample.shape[1]:
            raise ValueError(
                f"The model answers {error.shape[2]} numbers for each token, as models that tag "
                "tokens or write text do; one row of numbers for each text is wanted. Say with "
                "select= what is explained, such as lambda answer: answer.logits[:, 0], or pass a "
                "function of texts."
            ) from error
        raise
