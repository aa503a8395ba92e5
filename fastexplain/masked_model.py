"""v(x, m): the only place that queries the model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from joblib import Parallel, delayed

from fastexplain.maskers import TabularMasker
from fastexplain.predictors import Predictor
from fastexplain.tables import Table

__all__ = ["MaskedModel"]

# rows a model call: enough to amortise a pipeline's overhead, few enough to stay in cache
_CALL_ROWS = 65536
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
        Most rows in one call of the model. Default: 65,536, fewer for wide tables.
    n_jobs : int, optional
        Workers for models outside torch, through joblib; the backend follows
        ``joblib.parallel_config``.
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
        on_queries: Callable[[int], None] | None = None,
    ) -> None:
        self.predictor = predictor
        self.masker = masker
        self.batch_size = batch_size
        self.n_jobs = n_jobs
        self.on_queries = on_queries
        self.n_queries = 0

    def call_rows(self, n_columns: int) -> int:
        """Most rows in one call of the model, for rows of this width."""
        if self.batch_size is not None:
            return max(1, int(self.batch_size))
        return int(np.clip(_CALL_BYTES // (8 * max(n_columns, 1)), 64, _CALL_ROWS))

    def outputs(self, table: Table) -> torch.Tensor:
        """Ask the model for rows as they are.

        Parameters
        ----------
        table : Table of n rows

        Returns
        -------
        tensor of shape (n, K)
            float64 for models outside torch, float32 on the model's device otherwise.

        Raises
        ------
        ValueError
            If an output is NaN or infinite; the row is named.
        """
        step = self.call_rows(table.n_columns)
        parts = [
            self._ask(table.take(slice(start, start + step)).native, np.arange(start, start + step))
            for start in range(0, len(table), step)
        ]
        return torch.cat(parts) if parts else torch.zeros((0, self.predictor.n_outputs))

    def empty_value(self) -> torch.Tensor:
        """v of the empty mask: the mean output over the background, shape (K,)."""
        return self.outputs(self.masker.background_).mean(dim=0)

    def values(self, table: Table, masks: np.ndarray) -> torch.Tensor:
        """Ask the model for masked rows, averaged over the background.

        Parameters
        ----------
        table : Table of B rows
        masks : bool ndarray of shape (B, T, N) or (T, N)
            True keeps a player. A two-dimensional array serves every row.

        Returns
        -------
        tensor of shape (B, T, K)
        """
        n_rows = len(table)
        if masks.ndim == 2:
            masks = np.broadcast_to(masks, (n_rows, *masks.shape))
        n_masks, n_background = masks.shape[1], len(self.masker.background_)
        flat = masks.reshape(n_rows * n_masks, masks.shape[2])
        source = self._source(table)
        step = max(1, self.call_rows(table.n_columns) // n_background)
        parts = []
        for start in range(0, len(flat), step):
            part = flat[start : start + step]
            rows = np.arange(start, start + len(part)) // n_masks
            parts.append(self._masked(source, part, rows, n_rows, n_background))
        if not parts:
            return torch.zeros((n_rows, n_masks, self.predictor.n_outputs))
        return torch.cat(parts).reshape(n_rows, n_masks, -1)

    def _source(self, table: Table) -> Any:
        """Where masked rows come from: tensors on the model's device, or columns."""
        if not self.predictor.torch_module:
            return self.masker.source(table)
        rows = [np.asarray(t.native, dtype=np.float32) for t in (table, self.masker.background_)]
        return tuple(torch.from_numpy(r.copy()).to(self.predictor.device) for r in rows)

    def _masked(
        self, source: Any, masks: np.ndarray, rows: np.ndarray, n_rows: int, n_background: int
    ) -> torch.Tensor:
        keep = masks[:, self.masker.player_of_column_]
        if self.predictor.torch_module:
            own, background = source
            keep_there = torch.from_numpy(keep).to(own.device)[:, None]
            own_rows = own[torch.from_numpy(rows).to(own.device)][:, None]
            inputs = torch.where(keep_there, own_rows, background)
            inputs = inputs.reshape(-1, inputs.shape[-1])
        else:
            index = np.where(keep[:, None], rows[:, None, None], n_rows + self._background_index)
            inputs = source.gather(index.reshape(-1, keep.shape[1]))
        answers = self._ask(inputs, np.repeat(rows, n_background))
        if n_background == 1:
            return answers
        return answers.reshape(len(masks), n_background, -1).mean(dim=1)

    @property
    def _background_index(self) -> np.ndarray:
        return np.arange(len(self.masker.background_))[:, None]

    def _ask(self, inputs: Any, rows: np.ndarray) -> torch.Tensor:
        """Call the model once (or once a worker) and check what it answers."""
        n = inputs.shape[0]
        if self.n_jobs not in (None, 1) and not self.predictor.torch_module:
            answers = self._ask_workers(inputs, n)
        else:
            answers = self.predictor(inputs)
        if not isinstance(answers, torch.Tensor):
            answers = torch.from_numpy(np.ascontiguousarray(answers))
        self.n_queries += n
        if self.on_queries is not None:
            self.on_queries(n)
        if not bool(torch.isfinite(answers).all()):
            bad = torch.nonzero(~torch.isfinite(answers).all(dim=1))[0].item()
            raise ValueError(
                f"The model answered NaN or infinity for an input made of row {rows[bad]} of "
                f"the batch ({answers[bad].tolist()}). If it cannot take the baseline that "
                "replaces removed features, choose another with baseline=."
            )
        return answers

    def _ask_workers(self, inputs: Any, n: int) -> np.ndarray:
        from joblib import effective_n_jobs

        edges = np.linspace(0, n, min(effective_n_jobs(self.n_jobs), n) + 1).astype(int)
        parts = [
            Table(inputs).take(slice(a, b)).native for a, b in zip(edges, edges[1:], strict=False)
        ]
        answers = Parallel(n_jobs=self.n_jobs)(delayed(self.predictor)(part) for part in parts)
        return np.concatenate(answers)
