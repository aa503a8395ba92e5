"""v(x, m): the only place that queries the model."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from joblib import Parallel, delayed, effective_n_jobs

from fastexplain.maskers import TabularMasker
from fastexplain.predictors import Predictor
from fastexplain.predictors._matrix import to_numeric
from fastexplain.tables import Table

__all__ = ["MaskedModel"]

# rows a model call: enough to amortise a pipeline's overhead; a network on the CPU has little
# of it, and activations of more rows leave the cache, or are fetched from and given back to
# the system at every call, which made a small network twice as slow
_CALL_ROWS = 65536
_CPU_NETWORK_ROWS = 16384
_CALL_BYTES = 2**26


class MaskedModel:
    """A model as a function of rows and masks.

    Parameters
    ----------
    predictor : Predictor
        The model as a batched function to ``(B, K)``.
    masker : TabularMasker
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
        masker: TabularMasker,
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
            return min(rows, _CPU_NETWORK_ROWS)
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
        # masked inputs are the package's own; these are the user's
        return self._ask(table.copied(), positions)

    def empty_value(self) -> torch.Tensor:
        """Value of the empty mask: the mean output over the background, shape (K,)."""
        if self.removal is not None:
            nothing = np.zeros((1, 1, self.masker.n_players), dtype=bool)
            return self.removal.values(self.masker.background_.take(slice(0, 1)), nothing)[0, 0]
        return self.outputs(self.masker.background_).mean(dim=0)

    def signature(self, table: Table) -> tuple[np.ndarray, str]:
        """What tells this model from another: its answers to rows and masked copies of them.

        Models that fit their training rows perfectly agree on the rows themselves. Answers are
        rounded, since other builds of a library differ in the last digits.

        Parameters
        ----------
        table : Table of n rows

        Returns
        -------
        shares : ndarray of shape (n, 4, K)
            Answers over the largest one.
        size : str
            The largest one.
        """
        masks = np.random.default_rng(0).random((len(table), 4, self.masker.n_players)) < 0.6
        masks[:, 0] = True
        answers = self.values(table, masks).cpu().double().numpy()
        size = max(float(np.abs(answers).max(initial=0.0)), 1e-300)
        return np.round(answers / size, 4) + 0.0, f"{size:.3e}"

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
        source = self._source(table)
        limit = max(1, self.call_rows(table.n_columns) // len(self.masker.background_))
        # blocks of whole rows, or of one row's masks: kept cells are then copied by
        # broadcasting, with no index for each
        row_step, mask_step = max(1, limit // max(n_masks, 1)), limit
        parts = []
        for row in range(0, n_rows if n_masks else 0, row_step):
            rows = slice(row, row + row_step)
            block = masks[rows] if len(masks) == n_rows else masks
            answers = [
                self._masked(source, block[:, start : start + mask_step], rows, positions[rows])
                for start in range(0, n_masks, mask_step)
            ]
            parts += [answers[0] if len(answers) == 1 else torch.cat(answers, dim=1)]
        if not parts:
            return self._empty().new_zeros((n_rows, n_masks, self.predictor.n_outputs))
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _without(self, table: Table, masks: np.ndarray, positions: np.ndarray) -> torch.Tensor:
        """What the surrogate answers; whole rows are the model's to answer."""
        answers = self.removal.values(table, masks).double()
        whole = np.asarray(masks.all(axis=2))
        rows = np.flatnonzero(whole.any(axis=1))
        if len(rows):
            own = self.outputs(table.take(rows), positions[rows]).cpu().double()
            row, mask = np.nonzero(whole)
            answers[row, mask] = own[np.searchsorted(rows, row)]
        return answers

    def _source(self, table: Table) -> Any:
        """Where masked rows come from: tensors on the model's device, or columns."""
        if not self.predictor.torch_module:
            return self.masker.source(table)
        if self._on_cpu():
            _keep_freed_memory()
        return tuple(self._to_tensor(part) for part in (table, self.masker.background_))

    def _to_tensor(self, table: Table) -> torch.Tensor:
        try:
            cells = np.array(to_numeric(table.native), dtype=np.float32)
        except (TypeError, ValueError) as error:
            raise TypeError(
                "A torch module needs numeric columns; got "
                f"{dict(zip(table.names, table.dtypes(), strict=True))}. Encode them first, or "
                "pass a function that does so as the model."
            ) from error
        return torch.from_numpy(cells).to(self.predictor.device)

    def _masked(
        self, source: Any, masks: np.ndarray, rows: slice, positions: np.ndarray
    ) -> torch.Tensor:
        """Ask for one block, of shape (B, T, K); ``masks`` has one row's or B rows' masks."""
        player = self.masker.player_of_column_
        keep = masks if np.array_equal(player, np.arange(masks.shape[2])) else masks[:, :, player]
        if self.predictor.torch_module:
            own, background = source
            kept = torch.from_numpy(np.ascontiguousarray(keep)).to(own.device)
            inputs = _choose(kept[:, :, None], own[rows][:, None, None], background)
            inputs = inputs.reshape(-1, inputs.shape[-1])
        else:
            inputs = source.masked(keep, rows)
        n_background = len(self.masker.background_)
        answers = self._ask(inputs, positions)
        shape = (len(positions), masks.shape[1], n_background, answers.shape[1])
        return (
            answers.reshape(shape).mean(dim=2)
            if n_background > 1
            else answers.reshape(shape[0], shape[1], shape[3])
        )

    def _empty(self) -> torch.Tensor:
        """Answer to no question, in the dtype and on the device of every answer."""
        if self.predictor.torch_module:
            return torch.zeros((0, self.predictor.n_outputs), device=self.predictor.device)
        return torch.zeros((0, self.predictor.n_outputs), dtype=torch.float64)

    def _ask(self, inputs: Any, positions: np.ndarray) -> torch.Tensor:
        """Call the model, as often as the batch size demands, and check what it answers.

        Each of the B ``positions`` names as many inputs, one after the other.
        """
        n, step = inputs.shape[0], self.call_rows(inputs.shape[1])
        if n == 0:
            return self._empty()
        parts = []
        for start in range(0, n, step):
            part = inputs
            if n > step:
                rows = slice(start, start + step)
                part = inputs[rows] if isinstance(inputs, torch.Tensor) else _take(inputs, rows)
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
        self.n_queries += n
        if self.on_queries is not None:
            self.on_queries(n)
        if isinstance(given, torch.Tensor):
            return given
        return torch.from_numpy(np.require(given, requirements=["C", "W"]))

    def _call_workers(self, inputs: Any, n: int) -> np.ndarray:
        edges = np.linspace(0, n, min(effective_n_jobs(self.n_jobs), n) + 1).astype(int)
        parts = [_take(inputs, slice(a, b)) for a, b in pairwise(edges)]
        answers = Parallel(n_jobs=self.n_jobs)(delayed(self.predictor)(part) for part in parts)
        return np.concatenate(answers)


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


def _choose(kept: torch.Tensor, own: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """``torch.where`` of float32 on their bits, which the CPU does five times as fast."""
    bits, difference = other.view(torch.int32), own.view(torch.int32) ^ other.view(torch.int32)
    return ((-kept.to(torch.int32)) & difference).bitwise_xor_(bits).view(torch.float32)


def _take(inputs: Any, rows: slice) -> Any:
    return Table(inputs).take(rows).native
