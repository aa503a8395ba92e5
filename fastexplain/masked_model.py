"""v(x, m): the only place that queries the model."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from joblib import Parallel, delayed, effective_n_jobs

from fastexplain._same_answers import precision_of
from fastexplain.predictors import Predictor
from fastexplain.predictors._hidden import hidden_states, stage_layers
from fastexplain.tables import Table, as_table

__all__ = ["MaskedModel", "wrapped"]

# rows a model call: enough to amortise a pipeline's overhead; a network on the CPU has little
# of it, and activations of more rows leave the cache, or are fetched from and given back to
# the system at every call, which made a small network twice as slow
_CALL_ROWS = 65536
_CPU_NETWORK_ROWS = 16384
# numbers of the inputs of one call, for networks on the CPU: of more images or tokens, what
# layers answer leaves the cache, and a small convolutional network is half as fast
_CPU_NETWORK_NUMBERS = 2**21
_CALL_BYTES = 2**26
# samples whose empty values are averaged, where these differ
_EMPTY_SAMPLES = 256
# differences of so many of a type's roundings are none
_ROUNDINGS = 64


class MaskedModel:
    """A model as a function of rows and masks.

    Parameters
    ----------
    predictor : Predictor
        The model as a batched function to ``(B, K)``.
    masker : TabularMasker, ImageMasker or TextMasker
        Fitted; says what a player is and what replaces it.
    batch_size : int, optional
        Most rows in one call of the model. Default: 65,536, fewer for wide tables and for
        networks on the CPU.
    n_jobs : int, optional
        Workers for models outside torch, through joblib; the backend follows
        ``joblib.parallel_config``.
    removal : SurrogateRemoval, optional
        Trained; answers for masked rows in the model's place. Whole rows remain the model's.
    on_queries : callable, optional
        Called with the number of rows after each call of the model.

    Attributes
    ----------
    n_queries : int
        Rows that the model has been asked for so far.
    """

    def __init__(
        self,
        predictor: Predictor,
        masker: Any,
        *,
        batch_size: int | None = None,
        n_jobs: int | None = None,
        removal: Any = None,
        on_queries: Callable[[int], None] | None = None,
    ) -> None:
        self.predictor = predictor
        self.masker = masker
        self.batch_size = batch_size
        self.n_jobs = n_jobs
        self.removal = removal
        self.on_queries = on_queries
        self.n_queries = 0

    def call_rows(self, n_columns: int) -> int:
        """Most rows in one call of the model, for rows of this width."""
        rows = self.chunk_rows(n_columns)
        if self.batch_size is None and self.predictor.torch_module and self._on_cpu():
            fit = max(16, _CPU_NETWORK_NUMBERS // max(n_columns, 1))
            return min(rows, _CPU_NETWORK_ROWS, fit)
        return rows

    def _on_cpu(self) -> bool:
        return self.predictor.device is None or self.predictor.device.type == "cpu"

    def chunk_rows(self, n_columns: int) -> int:
        """Most rows whose answers should be worked on at once, in one or several calls."""
        if self.batch_size is not None:
            return max(1, int(self.batch_size))
        # a model of a thousand classes answers more than it is asked
        width = max(n_columns, self.predictor.n_outputs, 1)
        return int(np.clip(_CALL_BYTES // (8 * width), 64, _CALL_ROWS))

    def outputs(self, table: Table, positions: np.ndarray | None = None) -> torch.Tensor:
        """Ask the model for rows as they are.

        Parameters
        ----------
        table : Table of n rows
        positions : int ndarray of shape (n,), optional
            What errors call the rows; default 0 to n - 1.

        Returns
        -------
        tensor of shape (n, K)
            float64 for models outside torch, float32 on the model's device otherwise.

        Raises
        ------
        ValueError
            If an output is NaN or infinite; the row is named.
        """
        if positions is None:
            positions = np.arange(len(table))
        whole = self.masker.whole(table, self.predictor)
        return self._ask(whole, positions, table.n_columns)

    def empty_value(self, samples: Any = None, most: int = _EMPTY_SAMPLES) -> torch.Tensor:
        """Value of the empty mask, shape (K,).

        For tables the mean output over the background; where it differs by sample, the mean over
        ``most`` of them.
        """
        if samples is not None and not isinstance(samples, Table):
            few = 1 if self.masker.fixed_empty_ else most
            return self.empty_values(samples.take(slice(0, few))).mean(dim=0)
        if self.removal is not None:
            nothing = np.zeros((1, 1, self.masker.n_players), dtype=bool)
            return self.removal.values(self.masker.background_.take(slice(0, 1)), nothing)[0, 0]
        return self.outputs(self.masker.background_).mean(dim=0)

    def empty_values(self, samples: Any) -> torch.Tensor:
        """Values of samples without any player, shape (n, K), where they differ by sample."""
        nothing = np.zeros((1, self.masker.null_players(samples).shape[1]), dtype=bool)
        return self.values(samples, nothing)[:, 0]

    def signature(self, table: Table) -> np.ndarray:
        """What tells this model from another: its answers to rows and masked copies of them.

        Models that fit their training rows perfectly agree on the rows themselves. Compare
        signatures by ``same_answers``: other processors, batches and builds of a library change
        the last digits.

        Parameters
        ----------
        table : Table of n rows

        Returns
        -------
        ndarray of shape (n, 4, K)
            The first rows of a longer table have the same.
        """
        masks = np.random.default_rng(0).random((len(table), 4, self.masker.n_players)) < 0.6
        masks[:, 0] = True
        return self.values(table, masks).cpu().double().numpy()

    def rounding_of(self, answers: np.ndarray) -> np.ndarray:
        """Size of rounding errors in answers (n, K), for each output (K,)."""
        size = np.abs(answers).max(axis=0, initial=0.0)
        if self.predictor.dtype is not None:
            return _ROUNDINGS * torch.finfo(self.predictor.dtype).eps * size
        # whole numbers may be exact as well as single
        few = np.maximum(_ROUNDINGS * np.finfo(np.float64).eps, 4 * precision_of(answers))
        return few * size

    def values(
        self, table: Table, masks: np.ndarray, positions: np.ndarray | None = None
    ) -> torch.Tensor:
        """Ask the model for masked rows, averaged over the background.

        Parameters
        ----------
        table : Table of B rows
        masks : bool ndarray of shape (B, T, N) or (T, N)
            True keeps a player. A two-dimensional array serves every row.
        positions : int ndarray of shape (B,), optional
            What errors call the rows; default 0 to B - 1.

        Returns
        -------
        tensor of shape (B, T, K)
        """
        n_rows, n_masks = len(table), masks.shape[-2]
        if positions is None:
            positions = np.arange(n_rows)
        masks = masks if masks.ndim == 3 else masks[None]
        if self.removal is not None:
            return self._without(
                table, np.broadcast_to(masks, (n_rows, *masks.shape[1:])), positions
            )
        if self.predictor.torch_module and self._on_cpu():
            _keep_freed_memory()
        inputs, width = self.masker.inputs(table, self.predictor), table.n_columns
        limit = max(1, self.call_rows(width) // self.masker.n_background_)
        # blocks of whole rows, or of one row's masks: kept cells are then copied by
        # broadcasting, with no index for each
        row_step, mask_step = max(1, limit // max(n_masks, 1)), limit
        parts = []
        for row in range(0, n_rows if n_masks else 0, row_step):
            rows = slice(row, row + row_step)
            block = masks[rows] if len(masks) == n_rows else masks
            answers = []
            for start in range(0, n_masks, mask_step):
                some = block[:, start : start + mask_step]
                found = self._ask(inputs(some, rows), positions[rows], width)
                answers.append(self._averaged(found, len(positions[rows]), some.shape[1]))
            parts += [answers[0] if len(answers) == 1 else torch.cat(answers, dim=1)]
        if not parts:
            return self._empty().new_zeros((n_rows, n_masks, self.predictor.n_outputs))
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def hidden(
        self, samples: Any, layers: list[str] | None, masks: np.ndarray | None = None
    ) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Ask a torch module for outputs and for hidden states on the way to them.

        Parameters
        ----------
        samples : Images or Texts
            No more than one call should take.
        layers : list of str or None
            See ``hidden_states``.
        masks : bool ndarray of shape (n, N), optional
            Players to keep; default all.

        Returns
        -------
        outputs : tensor of shape (n, K)
        states : list of tensors with n rows
        """
        if masks is None:
            inputs = self.masker.whole(samples, self.predictor)
        else:
            rows = slice(0, len(samples))
            inputs = self.masker.inputs(samples, self.predictor)(masks[:, None], rows)
        outputs, states = hidden_states(self.predictor, inputs, layers)
        self._count(len(samples))
        if not math.isfinite(_sum(outputs)):
            _refuse_broken(outputs, np.arange(len(samples)))
        return outputs, states

    def layers(self, images: Any) -> list[str] | None:
        """Layers of a torch module that see images best; see ``stage_layers``."""
        inputs = self.masker.whole(images, self.predictor)
        self._count(len(images))
        return stage_layers(self.predictor, inputs, images.size)

    def _count(self, n: int) -> None:
        self.n_queries += n
        if self.on_queries is not None:
            self.on_queries(n)

    def _without(self, table: Table, masks: np.ndarray, positions: np.ndarray) -> torch.Tensor:
        """What the surrogate answers; whole rows are the model's to answer."""
        answers = self.removal.values(table, masks).clone()
        whole = np.asarray(masks.all(axis=2))
        rows = np.flatnonzero(whole.any(axis=1))
        if len(rows):
            own = self.outputs(table.take(rows), positions[rows]).cpu().double()
            row, mask = np.nonzero(whole)
            answers[row, mask] = own[np.searchsorted(rows, row)]
        return answers

    def _averaged(self, answers: torch.Tensor, n_rows: int, n_masks: int) -> torch.Tensor:
        """Answers to the background's rows, one after the other, as (B, T, K)."""
        n_background = self.masker.n_background_
        if n_background == 1:
            return answers.reshape(n_rows, n_masks, answers.shape[1])
        return answers.reshape(n_rows, n_masks, n_background, answers.shape[1]).mean(dim=2)

    def _empty(self) -> torch.Tensor:
        """Answer to no question, in the dtype and on the device of every answer."""
        if self.predictor.torch_module:
            return torch.zeros((0, self.predictor.n_outputs), device=self.predictor.device)
        return torch.zeros((0, self.predictor.n_outputs), dtype=torch.float64)

    def _ask(self, inputs: Any, positions: np.ndarray, width: int) -> torch.Tensor:
        """Call the model, as often as the batch size demands, and check what it answers.

        Each of the B ``positions`` names as many inputs, one after the other; ``width`` are the
        numbers that an input is made of.
        """
        n, step = inputs.shape[0], self.call_rows(width)
        if n == 0:
            return self._empty()
        parts = []
        for start in range(0, n, step):
            part = inputs
            if n > step:
                rows = slice(start, start + step)
                part = _take(inputs, rows)
            answers = self._call(part)
            # a sum is several times faster than a look at every number, and NaN or infinity
            # shows in it; where it only overflowed, the second look says so
            if not math.isfinite(_sum(answers)):
                _refuse_broken(answers, np.repeat(positions, n // len(positions))[start:])
            parts.append(answers)
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _call(self, inputs: Any) -> torch.Tensor:
        """Call the model once, or once a worker."""
        n = inputs.shape[0]
        if self.n_jobs not in (None, 1) and not self.predictor.torch_module:
            given: Any = self._call_workers(inputs, n)
        else:
            given = self.predictor(inputs)
        self._count(n)
        if isinstance(given, torch.Tensor):
            return given
        return torch.from_numpy(np.require(given, requirements=["C", "W"]))

    def _call_workers(self, inputs: Any, n: int) -> np.ndarray:
        edges = np.linspace(0, n, min(effective_n_jobs(self.n_jobs), n) + 1).astype(int)
        parts = [_take(inputs, slice(a, b)) for a, b in pairwise(edges)]
        answers = Parallel(n_jobs=self.n_jobs)(delayed(self.predictor)(part) for part in parts)
        return np.concatenate(answers)


def wrapped(masker: Any, X: Any) -> Any:
    """Samples in the container that a masker works on; those that are in it already pass."""
    if hasattr(X, "n_columns") and hasattr(X, "fingerprint"):
        return X
    wrap, conform = getattr(masker, "wrap", None), getattr(masker, "conform", None)
    samples = as_table(X) if wrap is None else wrap(X)
    # rows of a table stand beside the baseline's, in its dtypes
    return samples if conform is None else conform(samples)


def _sum(answers: torch.Tensor) -> float:
    # a model outside torch: torch's threads would keep the cores from the model's own
    outside = answers.device.type == "cpu" and answers.dtype == torch.float64
    with np.errstate(over="ignore"):
        return float(answers.numpy().sum() if outside else answers.sum())


def _refuse_broken(answers: torch.Tensor, positions: np.ndarray) -> None:
    """Raise if an answer is NaN or infinite, naming the row it was made of."""
    broken = ~torch.isfinite(answers).all(dim=1)
    if bool(broken.any()):
        bad = int(torch.nonzero(broken)[0])
        raise ValueError(
            "The model answered NaN or infinity for an input made of row "
            f"{positions[bad]} of the batch ({answers[bad].tolist()}). If it cannot take "
            "the baseline that replaces removed features, choose another with baseline=."
        )


def _keep_freed_memory() -> None:
    """Make the C library keep what one call of a network frees, for the next one.

    glibc gives the top of its heap back to the system when more is free than twice the
    largest block it ever mapped and released (up to 32 MiB), and then fetches it anew, page
    by page: half of a small network's time on the CPU. This block is never touched.
    """
    torch.empty(2**25 - 2**16, dtype=torch.uint8)


def _take(inputs: Any, rows: slice) -> Any:
    # pandas would take a bare slice for row labels under some indexes
    return inputs.iloc[rows] if hasattr(inputs, "iloc") else inputs[rows]
