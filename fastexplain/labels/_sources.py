"""Sources of Shapley labels: one interface, every query through ``MaskedModel``."""

from __future__ import annotations

import numbers
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator

from fastexplain.attribution import exact_attribution
from fastexplain.attribution._exact import MAX_ACTIVE
from fastexplain.attribution._groups import active_groups, expand_masks, scatter_players
from fastexplain.attribution._shapley import (
    ShapleyDesign,
    exact_design,
    kernel_design,
    permutation_design,
)
from fastexplain.masked_model import MaskedModel
from fastexplain.tables import Table

__all__ = [
    "ExactShapley",
    "KernelShapley",
    "LabelSource",
    "PermutationShapley",
    "ShapleyLabels",
]

# rows that share one draw of coalitions: the matrix is made once for them
_SHARED_ROWS = 64


@dataclass
class ShapleyLabels:
    """Shapley values of rows, and how far they can be trusted.

    Attributes
    ----------
    values : float64 ndarray of shape (n, N, K)
    variance : float64 ndarray of shape (n, N, K)
        Sampling variance of each value: zero where exact or where all of a row's draws agree,
        NaN where too few draws tell.
    full : float64 ndarray of shape (n, K)
        v(all), the model's outputs of the rows.
    n_queries : int ndarray of shape (n,)
        Coalitions asked for each row.
    """

    values: np.ndarray
    variance: np.ndarray
    full: np.ndarray
    n_queries: np.ndarray

    @property
    def standard_error(self) -> np.ndarray:
        """The largest standard error among a row's values, shape (n,)."""
        return np.sqrt(self.variance.max(axis=(1, 2)))


class LabelSource(BaseEstimator):
    """Base of label sources; ``labels(masked, table, rng)`` is all that users of one need."""

    @property
    def enumerated(self) -> int:
        """Most coalitions of a row that are all asked, so that its labels are exact."""
        return 0

    @property
    def most_queries(self) -> int:
        """Most queries that a row takes, as far as that is known beforehand."""
        return 2**MAX_ACTIVE

    def labels(
        self,
        masked: MaskedModel,
        table: Table,
        rng: np.random.Generator,
        null: np.ndarray | None = None,
    ) -> ShapleyLabels:
        """Find the Shapley values of every output.

        Parameters
        ----------
        masked : MaskedModel
            The game v(x, m).
        table : Table of n rows
        rng : numpy.random.Generator
            Draws coalitions.
        null : bool ndarray of shape (n, N), optional
            Players known to change nothing; default those that equal the baseline.

        Returns
        -------
        ShapleyLabels
        """
        raise NotImplementedError


class ExactShapley(LabelSource):
    """Shapley values by enumeration: ``2**a`` queries for a row of ``a`` active features.

    One more gives the row's own output. Rows with more than 20 features off the baseline raise
    ValueError.

    See Also
    --------
    KernelShapley : For more features.
    """

    @property
    def enumerated(self) -> int:
        """All that enumeration allows."""
        return 2**MAX_ACTIVE

    def labels(
        self,
        masked: MaskedModel,
        table: Table,
        rng: np.random.Generator,
        null: np.ndarray | None = None,
    ) -> ShapleyLabels:
        """Enumerate; see ``LabelSource.labels``."""
        if null is None:
            null = masked.masker.null_players(table)
        values, _ = exact_attribution(masked, table, "shapley", null=null)
        full = masked.outputs(table).cpu().double().numpy()
        queries = 2 ** (~null).sum(axis=1) + 1
        return ShapleyLabels(values, np.zeros_like(values), full, queries)


class _SampledShapley(LabelSource):
    """Sampling in rounds, until the requested standard error or the most queries a row."""

    def __init__(
        self,
        n_queries: int = 512,
        *,
        standard_error: float | None = None,
        max_queries: int = 16_384,
    ) -> None:
        self.n_queries = n_queries
        self.standard_error = standard_error
        self.max_queries = max_queries

    @property
    def enumerated(self) -> int:
        """As many as would be drawn."""
        return int(self.n_queries)

    @property
    def most_queries(self) -> int:
        """As many as are drawn; all that may be, where a standard error is asked for."""
        return int(self.n_queries if self.standard_error is None else self.max_queries)

    def _design(self, n_active: int, size: int, rng: np.random.Generator) -> ShapleyDesign:
        raise NotImplementedError

    def labels(
        self,
        masked: MaskedModel,
        table: Table,
        rng: np.random.Generator,
        null: np.ndarray | None = None,
    ) -> ShapleyLabels:
        """Sample; see ``LabelSource.labels``."""
        self._check()
        if null is None:
            null = masked.masker.null_players(table)
        size = int(self.n_queries)
        values, variance, full, asked = self._round(masked, table, rng, null, size)
        if self.standard_error is None:
            return ShapleyLabels(values, variance, full, asked)
        # an estimate whose error is unknown is dropped for the next, known one
        unknown = np.isnan(variance).any(axis=(1, 2))
        weight = np.where(unknown, 0.0, asked)
        while True:
            found = np.sqrt(variance.max(axis=(1, 2)))
            size *= 2
            short = ~(found <= self.standard_error)
            rows = np.flatnonzero(short & (asked + size <= self.max_queries))
            if not len(rows):
                return ShapleyLabels(values, variance, full, asked)
            # each round is as large as all before it: least squares on few coalitions is
            # biased, and no average over more such rounds would mend that
            more = self._round(masked, table.take(rows), rng, null[rows], size)
            share = more[3] / (weight[rows] + more[3])
            # what is enumerated now needs no average with a sample
            share = np.where(more[1].any(axis=(1, 2)), share, 1.0)[:, None, None]
            known = np.where(weight[rows, None, None] > 0, variance[rows], 0.0)
            values[rows] += share * (more[0] - values[rows])
            variance[rows] = (1.0 - share) ** 2 * known + share**2 * more[1]
            weight[rows] += np.where(np.isnan(more[1]).any(axis=(1, 2)), 0, more[3])
            asked[rows] += more[3]

    def _check(self) -> None:
        for name in ("n_queries", "max_queries"):
            value = getattr(self, name)
            whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
            if not whole or value < 2:
                raise ValueError(f"{name} must be a whole number, 2 or more, got {value!r}.")
        wanted = self.standard_error
        if wanted is not None and self.max_queries < self.n_queries:
            raise ValueError(
                f"max_queries={self.max_queries} is less than n_queries={self.n_queries}."
            )
        if wanted is not None and not (isinstance(wanted, numbers.Real) and wanted > 0):
            raise ValueError(f"standard_error must be above 0, got {wanted!r}.")

    def _round(
        self,
        masked: MaskedModel,
        table: Table,
        rng: np.random.Generator,
        null: np.ndarray,
        size: int,
    ) -> tuple[Any, ...]:
        n, n_players = null.shape
        n_out = masked.predictor.n_outputs
        values = np.zeros((n, n_players, n_out))
        variance = np.zeros((n, n_players, n_out))
        full = np.zeros((n, n_out))
        asked = np.zeros(n, dtype=int)
        limit = masked.chunk_rows(table.n_columns)
        # no sampled design is smaller than what its estimate needs
        counts = [min(2 ** min(a, 62), max(size, 2 * a + 2)) for a in range(n_players + 1)]
        chunks = {a: max(1, min(_SHARED_ROWS, limit // c)) for a, c in enumerate(counts)}
        exact: dict[int, ShapleyDesign] = {}
        for a, rows in active_groups(null, chunks):
            design = exact.get(a)
            if design is None:
                enumerated = a < 31 and 2**a <= size
                design = exact_design(a) if enumerated else self._design(a, size, rng)
                if not len(design.members):
                    exact[a] = design
            masks = expand_masks(design.masks, null[rows])
            answers = masked.values(table.take(rows), masks, rows).cpu().double().numpy()
            found = design.values(answers)
            spread = design.variance(answers, found)
            nothing = np.zeros((len(rows), n_out))
            values[rows] = scatter_players(found, nothing, null[rows]).transpose(0, 2, 1)
            variance[rows] = scatter_players(spread, nothing, null[rows]).transpose(0, 2, 1)
            full[rows] = answers[:, -1]
            asked[rows] = len(design.masks)
        return values, variance, full, asked


class KernelShapley(_SampledShapley):
    """KernelSHAP by paired sampling, without any hidden sparsity (Covert & Lee, 2021).

    Parameters
    ----------
    n_queries : int, default=512
        Coalitions asked for each row, at least ``2 a + 2`` for ``a`` features off the
        baseline. Rows that have fewer are enumerated.
    standard_error : float, optional
        Rows are asked in further rounds, each of twice the queries, until no value's
        standard error exceeds this.
    max_queries : int, default=16384
        Most coalitions for a row then.
    """

    def _design(self, n_active: int, size: int, rng: np.random.Generator) -> ShapleyDesign:
        return kernel_design(n_active, size, rng)


class PermutationShapley(_SampledShapley):
    """Antithetic permutation sampling: random orders and their reverses (unbiased).

    Parameters
    ----------
    n_queries : int, default=512
        Coalitions asked for each row; a pair of orders takes
        ``2 (a - 1)`` of them for ``a`` features off the baseline, and one is drawn at least.
    standard_error : float, optional
        Rows are asked in further rounds, each of twice the queries, until no value's
        standard error exceeds this.
    max_queries : int, default=16384
        Most coalitions for a row then.
    """

    def _design(self, n_active: int, size: int, rng: np.random.Generator) -> ShapleyDesign:
        return permutation_design(n_active, size, rng)
