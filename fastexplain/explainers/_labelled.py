"""Labels for a network: which rows, how exact, and the copies that come with them."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import torch
from torch import nn

from fastexplain._warnings import warn_user
from fastexplain.attribution._targets import masks_needed
from fastexplain.explainers._announce import Plan
from fastexplain.explainers._coalition_pool import batches_of
from fastexplain.explainers._label_losses import (
    LabelsAndCoalitions,
    coalition_weight,
    precision,
    rank_labels,
)
from fastexplain.explainers._learned import POOL_BYTES, picked
from fastexplain.explainers._shapley_learned import (
    ShapleyLearner,
    typical_size,
)
from fastexplain.explainers._validators import Validator
from fastexplain.labels import (
    ExactShapley,
    Field,
    KernelShapley,
    LabelSource,
    PermutationShapley,
    cached_arrays,
    labels_key,
    masked_copies,
)
from fastexplain.labels._copies import MAX_COPIED
from fastexplain.metrics import rank_accuracy
from fastexplain.networks import RankingNetwork
from fastexplain.networks._ranking import MAX_RANKED, decode_ranking
from fastexplain.tables import Table
from fastexplain.training import PoolPair, TargetPool, collect

__all__ = ["LabelLearner"]

# rows that training sees at most thanks to copies, and copies of a row
_COPIED_ROWS = 200_000
_MOST_COPIES = 60
# coalitions of a row, where the source is left to the explainer
_FEWEST, _MOST = 128, 4096
_TASKS = ("attribution", "ranking")
# held-out labels below which their score says little
_FEW_HELD = 8
# of the queries that time allows, what labels may take
_LABEL_TIME = 0.3
# of max_time: until when held-out rows are labelled, and what one label may take
_HELD_TIME, _ONE_LABEL = 0.2, 0.15
# scores of rows ranked at once: each has the square of its features, for each output
_SCORES = 2**24
_SOURCES = {"exact": ExactShapley, "kernel": KernelShapley, "permutation": PermutationShapley}
# times that coalitions without labels are seen at most: what is particular to a draw of few is
# learned by heart in more, and harms what the labels teach
_PASSES = 20
# that labels of a chunk and their errors take while they are made
_CHUNK_BYTES = 2**29
#: stands for a label's unknown error, so that tensors hold no NaN
_UNKNOWN = -1.0


class LabelLearner(ShapleyLearner):
    """Base of explainers that learn from Shapley labels of some rows."""

    #: of the query budget, where the number of labels is left open
    _label_share = 0.85
    _labels_given = False
    task: str
    label_source: Any
    label_fraction: float | None
    n_labels: int | None
    n_copies: int | None
    label_cache: Any

    def fit(self, X: Any, y: Any = None, *, model: Any = None, labels: Any = None) -> Self:
        """Learn to explain a fitted model.

        Parameters
        ----------
        X : ndarray or DataFrame of shape (n, C)
            Rows like those to be explained, as the model takes them.
        y : object
            The fitted model: ``fit(X, model)``. Class labels are ignored if ``model`` is given.
        model : object, optional
            The fitted model, by name.
        labels : array-like of shape (n, N, K) or (n, N), optional
            Shapley values of the rows under the same baseline, NaN in rows without; none are
            made then. Without the last axis: of a single output, or the second of two classes.

        Returns
        -------
        self

        Raises
        ------
        TypeError
            If no model is given.
        ValueError
            For bad parameters, data or labels, or a model that answers NaN.
        """
        return self._fit_copy(lambda trial, started: trial._fit(X, y, model, started, labels))

    def _fit(self, X: Any, y: Any, model: Any, started: float, labels: Any = None) -> None:
        self._labels_given = labels is not None
        table = self._begin_fit(X, y, model)
        del self._labels_given
        seed = self._seed()
        given = None if labels is None else self._check_labels(labels, len(table))
        chosen = self._labelled_rows(len(table), given, seed)
        self._fit_encoder(table, seed, started)
        checkpoint = self._make_checkpoint(table, seed, given)
        learn, held = self._split(table.take(chosen), seed)
        train, held = chosen[learn], chosen[held]
        if given is None:
            made = self._label(table, train, held, seed, started, checkpoint)
            pool, validate, n_rows, n_held = made
        else:
            # labels are there, what they add up to is asked for
            train = train[: self._clock.few(_LABEL_TIME, 8, len(train))]
            few = held[: self._clock.few(_LABEL_TIME / 3, 4, len(held))]
            pool, n_rows, n_held = self._given(table, train, given), len(train), len(few)
            some = self._given(table, few, given)
            validate = self._validate_on(some, some["labels"], some["total"])
        if n_held < _FEW_HELD:
            warn_user(
                f"{n_held} of the labelled rows are held out to judge the explainer by, too few "
                "for best_score_ to tell much: give more labels, or look at score(X)."
            )
        scale = typical_size(pool["labels"], pool["null"])
        module = self._fresh_network(seed, scale)
        self._prepare(module, table, seed, started)

        # held-out rows are held out of this, too
        rest = np.setdiff1d(np.arange(len(table)), held)
        weight = coalition_weight(n_rows * precision(pool, scale))
        free = None
        if self.task == "attribution":
            free = self._unlabelled(table.take(rest if len(rest) else held), seed, started)
        loss = self._loss(module, 0.0 if free is None else weight)
        experience: Any = TargetPool(pool, self.batch_size, seed)
        if free is not None:
            n_free = len(free["x"])
            size = int(np.clip(_PASSES * n_free / self.max_steps, 1, self.batch_size))
            experience = PoolPair(experience, batches_of(free, size, seed))
        fitted = self._run(experience, module, loss, validate, seed, started, checkpoint)
        self._finish(module, fitted, validate)

    def _loss(self, module: Any, weight: float) -> Any:
        if self.task == "ranking":
            return rank_labels
        return LabelsAndCoalitions(self, module, weight)

    def _prepare(self, module: Any, table: Any, seed: int, started: float) -> None:
        """What a subclass does to the network before it sees labels."""

    def _unlabelled(self, table: Any, seed: int, started: float) -> dict[str, torch.Tensor] | None:
        """Coalitions of rows without labels to learn from beside them, or None."""
        return None

    # -- the ranking task ------------------------------------------------------------------
    def _adds_up(self) -> bool:
        return self.task == "attribution" and super()._adds_up()

    def _meaning(self) -> dict[str, bool]:
        return {"additive": False} if self.task == "ranking" else super()._meaning()

    @property
    def _score_name(self) -> str:  # type: ignore[override]
        return "Rank ACC" if self.task == "ranking" else ShapleyLearner._score_name

    def _build_network(self) -> nn.Module:
        if self.task == "attribution":
            return super()._build_network()
        n_players, n_out = self.masker_.n_players, len(self.output_names_)
        if n_players > MAX_RANKED:
            raise ValueError(
                f"task='ranking' takes {MAX_RANKED} features at most, got {n_players}: rank the "
                "values of task='attribution', or group columns by groups=."
            )
        body = self._body(n_out * RankingNetwork.rank(n_players), 0)
        return RankingNetwork(body, n_out, n_players)

    def _fresh_network(self, seed: int, scale: torch.Tensor) -> Any:
        if self.task == "attribution":
            return super()._fresh_network(seed, scale)
        module: Any = self._build_network()
        generator = torch.Generator().manual_seed(seed)
        module.body.reset(generator)
        module.reset_places(generator)
        return module

    def _chunks(self, samples: Any) -> list[slice]:
        if self.task == "attribution":
            return super()._chunks(samples)
        size = len(self.output_names_) * self.masker_.n_players**2
        step = int(np.clip(_SCORES // size, 1, self._reader.call_samples))
        return [slice(a, min(a + step, len(samples))) for a in range(0, len(samples), step)]

    @torch.inference_mode()
    def _attribute(
        self,
        samples: Any,
        outputs: torch.Tensor | None,
        chosen: np.ndarray | None,
        encoded: dict[str, torch.Tensor] | None,
        bases: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
        if self.task == "attribution":
            return super()._attribute(samples, outputs, chosen, encoded, bases)
        device = next(self._network.parameters()).device
        inputs = self._encode(samples) if encoded is None else encoded
        null = inputs["null"].to(device)
        if null.shape[1] > self.masker_.n_players:
            raise ValueError(
                f"A text has {null.shape[1]} features, and task='ranking' has learned places for "
                f"{self.masker_.n_players}, as many as the longest text of fit has. Shorten it, or "
                "fit on texts as long."
            )
        ranks = decode_ranking(self._network(inputs["x"].to(device), null), null)
        return picked(ranks, chosen).transpose(1, 2).cpu().double().numpy(), None, None

    def _validate_on(
        self, inputs: dict[str, torch.Tensor], labels: torch.Tensor, total: torch.Tensor
    ) -> Any:
        """Rank ACC over all outputs, for ``task="ranking"``."""
        if self.task == "attribution":
            return super()._validate_on(inputs, labels, total)
        truth, n_outputs = labels.flatten(0, 1).numpy(), labels.shape[1]

        def per_output(module: nn.Module) -> np.ndarray:
            ranks = decode_ranking(self._forward(module, inputs), inputs["null"])
            scores = rank_accuracy(ranks.flatten(0, 1).numpy(), truth)
            return scores.reshape(-1, n_outputs).mean(axis=0)

        # any order has each place right as often as one of all features
        return Validator(per_output, chance=1.0 / max(self.masker_.n_players, 1))

    def _method(self) -> str:
        return super()._method() + (", ranks" if self.task == "ranking" else "")

    # -- which rows ------------------------------------------------------------------------
    def _labelled_rows(self, n: int, given: np.ndarray | None, seed: int) -> np.ndarray:
        """Positions of the rows whose labels may be used, held-out ones included."""
        order = np.random.default_rng([seed, 7]).permutation(n)
        if given is not None:
            told = ~np.isnan(given).any(axis=(1, 2))
            if not told.any():
                raise ValueError("labels= has no row without NaN.")
            order = order[told[order]]
        count = len(order)
        if self.label_fraction is not None:
            count = int(np.ceil(self.label_fraction * n))
        if self.n_labels is not None:
            count = self.n_labels
        return order[: max(1, min(count, len(order)))]

    def _limited(self) -> bool:
        return self.label_fraction is not None or self.n_labels is not None

    def _planned_queries(self) -> float:
        # a number of labels was asked for, whatever they take
        return float("inf") if self._limited() else super()._planned_queries()

    def _plan(self, samples: Any) -> Plan:
        n = len(samples)
        if self._labels_given:
            # v(all) of the rows with labels
            return Plan(float(n), "labels=", "giving labels= of fewer rows")
        if not self._limited():
            return super()._plan(samples)
        name = "n_labels=" if self.n_labels is not None else "label_fraction="
        count = n if self.n_labels is None else min(self.n_labels, n)
        if self.label_fraction is not None:
            count = min(int(np.ceil(self.label_fraction * n)), n)
        some = samples.take(slice(None, None, max(1, n // 256)))
        source = self.label_source
        if source != "auto" and not isinstance(source, LabelSource):
            source = _SOURCES[source]()
        size = source.most_queries if isinstance(source, LabelSource) else _MOST
        one = masks_needed(self.masker_.null_players(some), size).mean()
        return Plan(float(count * one * self.masker_.n_background_ + self._beside()), name, name)

    def _beside(self) -> float:
        """Queries beside those of labels."""
        return 0.0

    def _check_labels(self, labels: Any, n: int) -> np.ndarray:
        """Labels as (n, N, K); of one class of two, the other's follow."""
        array = np.asarray(labels, dtype=np.float64)
        n_players, n_out = self.masker_.n_players, len(self.output_names_)
        if array.ndim == 2 and n_out == 2 and self.kind_ == "classification":
            array = np.stack([-array, array], axis=2)
        elif array.ndim == 2 and n_out == 1:
            array = array[:, :, None]
        if array.shape != (n, n_players, n_out):
            raise ValueError(
                f"labels must have shape {(n, n_players, n_out)} (rows, features, outputs), or "
                f"without the last for a single output or for the second of two classes; got "
                f"{np.shape(labels)}."
            )
        if np.isinf(array).any():
            raise ValueError("labels must be finite, or NaN in rows without a label.")
        return array

    def _given(self, table: Any, rows: np.ndarray, given: np.ndarray) -> dict[str, torch.Tensor]:
        part = table.take(rows)
        labels = torch.from_numpy(given[rows].swapaxes(1, 2)).float()
        full = self._masked.outputs(part, rows).cpu().double().numpy()
        total = self._totals(full, part)
        self._compare_sums(labels, total)
        more = {"labels": labels, "variance": torch.zeros_like(labels)}
        return self._encode(part) | more | {"total": total}

    def _compare_sums(self, labels: torch.Tensor, total: torch.Tensor) -> None:
        """Warn if labels do not add up to what the model says they must."""
        gap = ((labels.sum(dim=2) - total) ** 2).mean().sqrt()
        size = (total**2).mean().sqrt()
        if self.task == "attribution" and float(gap) > 0.1 * float(size):
            warn_user(
                "The sums of labels= differ from v(all) - v(none) by "
                f"{float(gap):.3g} in the root mean square, and these are {float(size):.3g}: are "
                "they Shapley values of this model and output, under this baseline?"
            )

    # -- making labels ---------------------------------------------------------------------
    def _label(
        self,
        table: Any,
        train: np.ndarray,
        held: np.ndarray,
        seed: int,
        started: float,
        checkpoint: Any,
    ) -> tuple[dict[str, torch.Tensor], Any, int, int]:
        """Labels to train on, a validator, and how many rows were labelled, and held out."""
        n_held, null = len(held), self._nulls(table.take(train))
        source = self._source(null)
        rows = table.take(train)
        if self._limited():
            # nothing but the labels that were paid for: the held-out ones are among them
            inputs = self._held_labels(table.take(held), source, seed)
            n_held = len(inputs["labels"])
            validate = self._validate_on(inputs, inputs.pop("labels"), inputs.pop("total"))
        else:
            validate = self._validator(table.take(held), seed)
            rows = self._training_rows(
                rows,
                np.random.default_rng([seed, 3]),
                source.most_queries,
                self._label_share * self.n_queries,
                per_player=2,
            )
        copies = self.n_copies
        if copies is None:
            numbers = null.shape[1] * (2 * len(self.output_names_) + 2)
            most = min(_COPIED_ROWS, POOL_BYTES // (4 * numbers))
            copies = int(np.clip(most // max(len(rows), 1), 1, _MOST_COPIES))
        few = (~null).sum(axis=1) <= MAX_COPIED
        single = (
            self._schema is not None and self.removal_ is None and self.masker_.n_background_ == 1
        )
        if not single or not few.any():
            # what is left of a row is an input of its own under a single-row baseline alone
            copies = 0

        def make(part: Any, chunk: int) -> dict[str, torch.Tensor]:
            if self.label_cache is None:
                return self._label_chunk(part, source, copies, [seed, 4, chunk])
            null, reader = self._nulls(part), self._reader.state()[0]
            key = labels_key(source, self._masked, part, null, seed, chunk, copies, reader)
            model = self._masked.signature(part)

            def arrays() -> dict[str, np.ndarray]:
                made = self._label_chunk(part, source, copies, [seed, 4, chunk])
                return {name: tensor.numpy() for name, tensor in made.items()}

            fields = _label_fields(len(part), copies, null.shape[1], len(self.output_names_))
            found = cached_arrays(self.label_cache, key, fields, arrays, model)
            return {name: torch.from_numpy(array) for name, array in found.items()}

        cells = null.shape[1] * len(self.output_names_) * (1 + copies)
        most = max(1, _CHUNK_BYTES // (16 * cells))
        pool = self._collect(rows, make, started, checkpoint, most=most)
        used = pool.pop("used")
        flat = {}
        for name in list(pool):
            # one after the other: two whole pools would take twice the memory
            tensor = pool.pop(name).flatten(0, 1)
            flat[name] = tensor if bool(used.all()) else tensor[used.flatten()]
        return flat, validate, len(used), n_held

    def _held_labels(self, samples: Any, source: LabelSource, seed: int) -> dict[str, torch.Tensor]:
        """What the network reads of held-out samples, their labels and totals, as time allows."""

        def make(part: Any, chunk: int) -> dict[str, torch.Tensor]:
            found = source.labels(self._masked, part, np.random.default_rng([seed, 2, chunk]))
            labels = torch.from_numpy(found.values.swapaxes(1, 2)).float()
            total = self._totals(found.full, part)
            return {**self._encode(part), "labels": labels, "total": total}

        deadline = self._clock.deadline(_HELD_TIME)
        return collect(samples, make, deadline=deadline, first=1 if self._clock.limited else 4)

    def _source(self, null: np.ndarray) -> LabelSource:
        """The source that was asked for, or what is affordable."""
        source = self.label_source
        if source != "auto" and not isinstance(source, LabelSource):
            source = _SOURCES[source]()
        if isinstance(source, LabelSource):
            one = masks_needed(null, source.most_queries).mean() * self.masker_.n_background_
            if one <= _ONE_LABEL * self._queries_in_time:
                return source
            warn_user(
                f"A label by {source} takes about {one:,.0f} queries, and max_time= leaves "
                f"{self._queries_in_time:,.0f} for all: labels are estimates by fewer. Raise "
                "max_time, or take label_source='auto'."
            )
        # rather more rows than more exact labels, where both cannot be had
        size = _MOST
        # a number of labels that was asked for is made, as far as time allows
        budget = self._queries_in_time * _LABEL_TIME
        if not self._limited():
            budget = min(budget, float(self.n_queries))
        if budget < float("inf"):
            hurried = self._is_short_of_time()
            fewest = 2 * null.shape[1] + 2 if hurried else max(_FEWEST, 4 * null.shape[1])
            affordable = budget / max(len(null), 1) / self.masker_.n_background_
            while size > fewest and masks_needed(null, size).mean() > 2 * affordable:
                size //= 2
        return KernelShapley(size)

    def _label_chunk(
        self, part: Any, source: LabelSource, copies: int, draws: list[int]
    ) -> dict[str, torch.Tensor]:
        """Labels of rows and of ``copies`` masked copies of each, as (n, 1 + copies, ...)."""
        rng = np.random.default_rng(draws)
        inputs = self._encode(part)
        null = inputs["null"].numpy()
        n, n_players = null.shape
        n_out = len(self.output_names_)
        values = np.zeros((n, 1 + copies, n_players, n_out), dtype=np.float32)
        variance = np.zeros_like(values)
        full = np.zeros((n, 1 + copies, n_out))
        keep = np.ones((n, 1 + copies, n_players), dtype=bool)
        used = np.zeros((n, 1 + copies), dtype=bool)
        used[:, 0] = True
        n_active = (~null).sum(axis=1)
        copied = (n_active <= MAX_COPIED) & (2.0**n_active <= source.enumerated)
        if copies == 0:
            copied[:] = False
        rows = np.flatnonzero(copied)
        if len(rows):
            made = masked_copies(self._masked, part.take(rows), copies, rng, null[rows])
            values[rows], full[rows], keep[rows] = made.values, made.full, made.keep
            used[rows] = True
        rows = np.flatnonzero(~copied)
        if len(rows):
            found = source.labels(self._masked, part.take(rows), rng, null[rows])
            values[rows, 0], full[rows, 0] = found.values, found.full
            variance[rows, 0] = np.nan_to_num(found.variance, nan=_UNKNOWN)
        if copies:
            cells = keep[:, :, self.masker_.player_of_column_]
            masked_rows = self.masker_.source(part).masked(cells, slice(0, n))
            encoded = self._encode(Table(masked_rows))
            inputs = {k: v.unflatten(0, (n, 1 + copies)) for k, v in encoded.items()}
        else:
            inputs = {k: v[:, None] for k, v in inputs.items()}
        return inputs | {
            "labels": torch.from_numpy(values.swapaxes(2, 3)).float(),
            "variance": torch.from_numpy(variance.swapaxes(2, 3)).float(),
            "total": self._totals(full, part),
            "used": torch.from_numpy(used),
        }

    def _validate_parameters(self) -> None:
        super()._validate_parameters()
        if self.task not in _TASKS:
            raise ValueError(f"task must be one of {_TASKS}, got {self.task!r}.")
        known = ("auto", *_SOURCES)
        if not isinstance(self.label_source, LabelSource) and self.label_source not in known:
            raise ValueError(
                f"label_source must be one of {known} or of fastexplain.labels, got "
                f"{self.label_source!r}."
            )
        if self.label_fraction is not None and self.n_labels is not None:
            raise ValueError("Give label_fraction= or n_labels=, not both.")
        if self.label_fraction is not None and not 0 < self.label_fraction <= 1:
            raise ValueError(f"label_fraction must be in (0, 1], got {self.label_fraction!r}.")
        self._validate_training(*(["n_labels"] if self.n_labels is not None else []))
        copies = self.n_copies
        whole = isinstance(copies, int | np.integer) and not isinstance(copies, bool)
        if copies is not None and not (whole and copies >= 0):
            raise ValueError(f"n_copies must be a whole number, 0 or more, got {copies!r}.")


def _label_fields(n: int, copies: int, n_players: int, n_out: int) -> dict[str, Field]:
    """What is kept of labelled rows and their copies where label_cache= names a folder."""
    rows = n, 1 + copies
    return {
        # as the network reads them, missing cells included
        "x": Field(rows, None, nan=True, more=True),
        "null": Field((*rows, n_players), "bool"),
        "labels": Field((*rows, n_out, n_players), "float32"),
        "variance": Field((*rows, n_out, n_players), "float32"),
        "total": Field((*rows, n_out), "float32"),
        "used": Field(rows, "bool"),
    }
