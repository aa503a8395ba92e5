"""Explainers that learn a network: encoding, training, and the forward pass."""

from __future__ import annotations

import copy
import numbers
import os
import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Self

import joblib
import numpy as np
import torch
from scipy.special import expit
from torch import nn

from fastexplain._warnings import warn_user
from fastexplain.attribution import attribution_targets
from fastexplain.attribution._scores import prediction_scores
from fastexplain.attribution._targets import masks_needed
from fastexplain.explainers._announce import LONG_FIT, Plan, announce, tell_what_is_rare
from fastexplain.explainers._saving import SavedState
from fastexplain.explainers._time_limits import FitTime, measure_speed
from fastexplain.explainers._validators import Validator, poor_outputs
from fastexplain.metrics import rank_correlation
from fastexplain.networks import TabularEncoder
from fastexplain.persistence import check_savable
from fastexplain.readers import Reader, make_reader
from fastexplain.tables import Table
from fastexplain.training import (
    Checkpoint,
    Fitted,
    Trainer,
    TrainSettings,
    collect,
    load_fabric,
    where_to_train,
)

__all__ = ["POOL_BYTES", "LearnedExplainer", "is_number"]

#: most memory that what the network learns from may take
POOL_BYTES = 2**30
_FEWEST_ROWS = 64
_VALIDATION_ROWS = 256
_VALIDATION_MASKS = 1024
# what a checkpoint keeps: the limit that a run had, and the coalitions of each of its samples
_LIMIT, _MASKS = "max_time", "n_masks"
# of n_queries, and queries, beyond which fit says that it asked for more
_MUCH_MORE, _FEW_QUERIES = 2.0, 2000
# of max_time: what a batch of samples may ask for, and what all training samples may
_BATCH_TIME, _ASK_TIME = 0.03, 0.3
# the model's answers to whole samples, held-out ones and those to train on, and of these at least
_HELD_TIME, _OUTPUT_TIME, _FEWEST_HELD = 0.1, 0.2, 8
# and what tells one model from another
_SIGNATURE_TIME = 0.02
# and what is left of it at least, whatever was loaded before
_LEAST_LEFT = 0.1
# held-out scores below are warned of
_POOR = 0.5
# what ends a run that may be taken up again
_GOES_ON = ("interrupt", "max_time")
# coalitions of a sample, where the model is slow
_FEWEST_MASKS = 8
# rows, and images or texts, between two looks at the clock, the keyboard and the disk
_TABLE_CHUNK, _SAMPLE_CHUNK = 1024, 128


class LearnedExplainer(SavedState):
    """Base of explainers that train a network once and then explain by forward passes."""

    #: what ``best_score_`` is
    _score_name = "rank correlation"
    # None stands for what fits the kind of data, until fitting begins
    batch_size: Any
    max_steps: Any
    learning_rate: Any
    weight_decay: float
    patience: int
    validation_fraction: float
    max_time: float | None
    device: str
    precision: str
    verbose: int
    checkpoint: Any
    n_queries: Any
    hidden_dim: Any
    n_blocks: Any
    #: layers from the network's last block to its output
    n_head_layers: int = 1
    #: what reads the samples, of images and texts
    network: Any = "auto"
    #: what parameters that are None stand for, of tables and of images and texts
    _defaults: Mapping[str, Any] = MappingProxyType({})
    _sample_defaults: Mapping[str, Any] = MappingProxyType(
        {
            "n_queries": 1_000_000,
            "hidden_dim": 128,
            "n_blocks": 2,
            "max_steps": 3000,
            "batch_size": 64,
            "learning_rate": 1e-3,
        }
    )
    _network: Any
    _reader: Reader
    #: max_time as it was given, while ``max_time`` is what was left of it when fit began
    _whole_time: float = float("inf")
    #: that of the fit in progress, if one is asked for
    _checkpoint: Checkpoint | None = None

    def fit(self, X: Any, y: Any = None, *, model: Any = None) -> Self:
        """Learn to explain a fitted model.

        Parameters
        ----------
        X : ndarray or DataFrame of shape (n, C)
            Rows like those to be explained, as the model takes them.
        y : object
            The fitted model: ``fit(X, model)``. Labels are ignored if ``model`` is given.
        model : object, optional
            The fitted model, by name.

        Returns
        -------
        self

        Raises
        ------
        TypeError
            If no model is given.
        ValueError
            For bad parameters or data, or a model that answers NaN.
        """
        return self._fit_copy(lambda trial, started: trial._fit(X, y, model, started))

    def _fit_copy(self, fit: Callable[[Self, float], None]) -> Self:
        """Fit a copy and take its state, so that a failed fit leaves this estimator as it was.

        ``fit`` is told when the time of ``max_time`` began, which the copy has what is left of.
        """
        begun = time.monotonic()
        self._validate_parameters()
        trial = type(self)(**self.get_params(deep=False))
        try:
            # in the first fit of a process this takes seconds, which would be those of training
            load_fabric()
            started = time.monotonic()
            if self.max_time is not None:
                left = float(self.max_time) - (started - begun)
                trial.max_time = max(left, _LEAST_LEFT * float(self.max_time))
                trial._whole_time = float(self.max_time)
            # whatever mode the caller is in: networks are trained here
            with torch.inference_mode(False), torch.enable_grad():
                fit(trial, started)
            # not before: what comes after training can be interrupted, too
            if trial._checkpoint is not None and trial.stopped_by_ not in _GOES_ON:
                trial._checkpoint.finish()
        finally:
            trial.__dict__.pop("_whole_time", None)
            held = trial.__dict__.pop("_checkpoint", None)
            if held is not None:
                held.close()
        for name in [name for name in vars(self) if _is_fitted(name)]:
            delattr(self, name)
        params = self.get_params(deep=False)
        for name in vars(trial).keys() - params.keys():
            setattr(self, name, getattr(trial, name))
        return self

    def _make_masker(self, X: Any, model: Any) -> Any:
        masker = super()._make_masker(X, model)
        # before the model is asked anything
        check_savable(self, masker, X)
        return masker

    def _begin_fit(self, X: Any, y: Any, model: Any) -> Any:
        samples = super()._begin_fit(X, y, model)
        table = isinstance(samples, Table)
        for name, value in (self._defaults if table else self._sample_defaults).items():
            # this is the copy that is fitted: the user's own parameters stay as they are
            if getattr(self, name) is None:
                setattr(self, name, value)
        self._measure(samples)
        return samples

    def _make_clock(self) -> FitTime:
        clock = super()._make_clock()
        if self.checkpoint is not None and clock.max_time is not None:
            # what was chosen by it must be chosen again when a run is taken up; with another
            # limit the model's speed is found out anew
            kept = Checkpoint.kept_before(self.checkpoint, "queries_in_time")
            limit = Checkpoint.kept_before(self.checkpoint, _LIMIT)
            if kept is not None and np.isfinite(kept) and limit == self._whole_time:
                clock.seconds_per_query, clock.known = clock.max_time / kept, True
        return clock

    def _measure(self, samples: Any) -> None:
        """Find out how fast the model is, and tell what the fit will take and can learn."""
        clock, plan = self._clock, self._plan(samples)
        if self._masked.removal is not None:
            clock.replaced = True
        elif not clock.known and (
            clock.limited or clock.seconds_per_query * plan.queries > LONG_FIT
        ):
            # without a limit, few rows tell at most what many take: a second look only where
            # that would be long
            measure_speed(self._masked, samples.take(slice(0, 32)), clock, plan.queries)
        announce(type(self).__name__, clock, plan, self.max_steps, self.verbose)
        if self.verbose:
            tell_what_is_rare(samples, self._masked, self.output_names_, clock)

    def _plan(self, samples: Any) -> Plan:
        """What is going to be asked, as far as that is known before the samples are read."""
        return Plan(float(self.n_queries), "n_queries=", "n_queries=")

    def _pool_plan(self, samples: Any, n_masks: int, enumerates: bool) -> Plan:
        """``n_queries``, or as many as the memory takes what is learned from them."""
        per_row = float(n_masks)
        if enumerates:
            some = samples.take(slice(None, None, max(1, len(samples) // 256)))
            per_row = masks_needed(self.masker_.null_players(some), n_masks).mean()
        numbers = samples.n_columns if isinstance(samples, Table) else self.masker_.n_players
        most = POOL_BYTES // self._row_bytes(samples, n_masks, enumerates, 1, numbers)
        most *= max(1.0, per_row) * self.masker_.n_background_
        if most >= self.n_queries:
            return Plan(float(self.n_queries), "n_queries=", "n_queries=")
        return Plan(float(most), "what memory holds", "n_queries=")

    def _row_bytes(
        self, rows: Any, n_masks: int, enumerates: bool, per_player: int, numbers: int
    ) -> int:
        """Memory that a training sample takes, of which the network reads so many numbers."""
        n_players, n_out = self.masker_.n_players, len(self.output_names_)
        # flags of its players, v(all) - v(none), and the row
        n_bytes = 4 * (numbers + n_out) + n_players
        n_bytes += 8 * rows.n_columns if isinstance(rows, Table) else 0
        if enumerates:
            return n_bytes + 4 * n_out * (per_player * n_players + 1)
        # coalitions are kept as bits, with their answers, sizes and weights
        return n_bytes + n_masks * (n_players // 8 + 1 + 4 * n_out + 8)

    @property
    def _queries_in_time(self) -> float:
        """About as many queries as the model answers in max_time; infinite without a limit."""
        return self._clock.queries()

    def _budget(self) -> int:
        """``n_queries``, or what the model answers of them in ``max_time``."""
        return int(min(float(self.n_queries), self._queries_in_time))

    def _is_short_of_time(self) -> bool:
        """Whether the model answers fewer queries in ``max_time`` than the fit would ask."""
        return self._queries_in_time < float(self.n_queries)

    def _batch_in_time(self, queries_a_sample: int) -> int:
        """Samples of a batch whose queries take no more than a share of ``max_time``."""
        own = queries_a_sample * self.masker_.n_background_
        return self._clock.few_masked(_BATCH_TIME / own, 2, self.batch_size)

    def _masks_in_time(self, n_masks: int) -> int:
        """Coalitions of a training sample: fewer where time would buy few samples otherwise.

        A run that is taken up has as many as before, whatever time it has now.
        """
        before = None if self._checkpoint is None else self._checkpoint.kept(_MASKS)
        if isinstance(before, float | int):
            return int(before)
        own = _ASK_TIME / (_FEWEST_ROWS * self.masker_.n_background_)
        most = self._clock.few_masked(own, min(_FEWEST_MASKS, n_masks), n_masks)
        most = most - most % 2 if most < n_masks else n_masks
        if self._checkpoint is not None:
            self._checkpoint.keep(_MASKS, float(most))
        return most

    def _keep_limit(self) -> None:
        """Note what limit a run has whose answers are going to be kept."""
        known = self._checkpoint
        if known is not None and known.kept(_LIMIT) != self._whole_time:
            known.keep(_LIMIT, self._whole_time)

    def _validate_parameters(self) -> None:
        raise NotImplementedError

    def _fit(self, X: Any, y: Any, model: Any, started: float) -> None:
        raise NotImplementedError

    def _validate_training(self, *others: str) -> None:
        """Check what all learned explainers are told, and other whole numbers by name."""
        whole = ("n_queries", "hidden_dim", "max_steps", "batch_size", "patience")
        for name in (*whole, *others):
            value = getattr(self, name)
            if value is None and name in self._defaults:
                continue  # chosen by the kind of data
            if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
                raise ValueError(f"{name} must be a whole number of at least 1, got {value!r}.")
        blocks = self.n_blocks
        if blocks is not None and (not is_number(blocks, numbers.Integral) or blocks < 0):
            raise ValueError(f"n_blocks must be a whole number, 0 or more, got {self.n_blocks!r}.")
        rate = self.learning_rate
        if rate is not None and (not is_number(rate) or not rate > 0):
            raise ValueError(f"learning_rate must be above 0, got {self.learning_rate!r}.")
        if not is_number(self.weight_decay) or not self.weight_decay >= 0:
            raise ValueError(f"weight_decay must be 0 or more, got {self.weight_decay!r}.")
        if self.max_time is not None and not (is_number(self.max_time) and self.max_time > 0):
            raise ValueError(
                f"max_time must be a positive number of seconds, got {self.max_time!r}."
            )
        # before the model is asked for anything
        where_to_train(self.device, self.precision)

    def _split(self, table: Table, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Rows to train on and rows held out; one row serves as both."""
        if not 0.0 <= self.validation_fraction < 1.0:
            raise ValueError(
                f"validation_fraction must be in [0, 1), got {self.validation_fraction}."
            )
        order = np.random.default_rng([seed, 1]).permutation(len(table))
        held = min(int(np.ceil(self.validation_fraction * len(table))), _VALIDATION_ROWS)
        if held == 0 or held == len(table):
            return order, order[:_VALIDATION_ROWS]
        return order[held:], order[:held]

    def _fit_encoder(self, samples: Any, seed: int, started: float) -> None:
        """Learn how the network reads samples."""
        self._reader = make_reader(
            self._masked,
            samples,
            self._schema,
            network=self.network,
            width=self.hidden_dim,
            n_blocks=self.n_blocks,
            max_queries=self._budget(),
            seed=seed,
            max_time=self.max_time,
            started=started,
        )

    @property
    def _encoder(self) -> TabularEncoder:
        """How columns become numbers; of tables alone."""
        return self._reader.encoder  # type: ignore[attr-defined]

    def _encode(self, samples: Any) -> dict[str, Any]:
        return self._reader.encode(samples, self._masked)

    def _training_rows(
        self,
        rows: Any,
        rng: np.random.Generator,
        n_masks: int,
        budget: float | None = None,
        enumerates: bool = True,
        per_player: int = 1,
    ) -> Any:
        """As many samples as the query budget buys: real ones first, then ones drawn near them.

        ``budget`` is what is left of ``n_queries`` by default. A sample takes ``n_masks``
        queries, or, where it is enumerated, as many as it has coalitions; then ``per_player``
        numbers are kept of each player and output.
        """
        per_row = float(n_masks)
        if enumerates:
            sample = rows.take(np.sort(rng.permutation(len(rows))[:2048]))
            null = self._nulls(sample)
            per_row = masks_needed(null, n_masks).mean()
        per_row = max(1.0, per_row * self.masker_.n_background_)
        left = self.n_queries - self._masked.n_queries if budget is None else budget
        # a network learns nothing from a row or two, whatever was spent before
        wanted = int(max(left / per_row, min(len(rows), _FEWEST_ROWS)))
        n_bytes = self._row_bytes(rows, n_masks, enumerates, per_player, self._reader.numbers())
        wanted = min(wanted, max(1, POOL_BYTES // n_bytes))
        if wanted > len(rows):
            drawn = self._reader.mix(rows, wanted - len(rows), rng)
            if drawn is not None:
                return drawn
        return rows.take(rng.permutation(len(rows))[:wanted])

    def _nulls(self, samples: Any) -> np.ndarray:
        """Players without effect (n, N), as far as that is known beforehand."""
        if isinstance(samples, Table):
            return self._encode(samples)["null"].numpy()
        return self.masker_.null_players(samples)

    def _collect(
        self,
        rows: Table,
        make: Callable[[Table, int], dict[str, torch.Tensor]],
        started: float,
        checkpoint: Checkpoint | None,
        time_share: float = 0.5,
        most: int | None = None,
    ) -> dict[str, torch.Tensor]:
        """Ask the model for what the network is to learn, in a share of the time at most.

        ``most`` rows at once, where these take much memory.
        """
        from tqdm.auto import tqdm

        self._keep_limit()
        # one row at a time: of a slow model its coalitions alone take long
        hurried = self._is_short_of_time() or (self._clock.replaced and self._clock.limited)
        deadline = None if self.max_time is None else started + time_share * float(self.max_time)
        size = _TABLE_CHUNK if isinstance(rows, Table) else _SAMPLE_CHUNK
        with tqdm(total=len(rows), desc="queries", unit="row", disable=not self.verbose) as bar:
            return collect(
                rows,
                make,
                held=checkpoint.pool() if checkpoint else None,
                save=checkpoint.save_rows if checkpoint else None,
                deadline=deadline,
                progress=bar,
                most=size if most is None else min(size, most),
                first=1 if hurried else 4,
            )

    def _body(self, per_player: int, whole: int) -> Any:
        """The network up to its output; see ``Reader.body``."""
        return self._reader.body(per_player, whole, self.n_head_layers)

    def _validator(self, table: Table, seed: int) -> Any:
        """Mean rank correlation with E_p[m] on held-out rows, over all outputs."""
        rng = np.random.default_rng([seed, 2])
        size, table = self._affordable(table, _VALIDATION_MASKS)
        inputs = self._encode(table)
        # not told which values seem inert: where that is wrong, the score shall show it
        truth = attribution_targets(self._masked, table, size, rng, self._spread)
        reference = truth.mean.flatten(0, 1).numpy()
        n_outputs = truth.mean.shape[1]

        def per_output(module: nn.Module) -> np.ndarray:
            found = self._forward(module, inputs).float().reshape(reference.shape).numpy()
            return rank_correlation(found, reference).reshape(-1, n_outputs).mean(axis=0)

        return Validator(per_output)

    @torch.inference_mode()
    def _forward(self, module: nn.Module, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        """What a network answers to encoded samples, as many at once as ``explain`` takes."""
        device = next(module.parameters()).device
        parts = zip(
            inputs["x"].split(self._reader.call_samples),
            inputs["null"].split(self._reader.call_samples),
            strict=True,
        )
        return torch.cat([module(x.to(device), null.to(device)).cpu() for x, null in parts])

    def _affordable(self, table: Any, size: int) -> tuple[int, Any]:
        """Coalitions a row, and rows, of a tenth of the budget at most."""
        null = self._nulls(table)
        room = 0.1 * self._budget() / self.masker_.n_background_
        least_masks, least_rows = (8, 4) if self._is_short_of_time() else (64, 16)
        # fewer rows rather than poorer ones: noise in what is compared with lowers the score
        few = null[:_FEWEST_ROWS]
        while size > least_masks and masks_needed(few, size).sum() > room:
            size //= 2
        n = int(max(least_rows, room / masks_needed(null, size).mean()))
        if self._clock.replaced:
            # the model itself is asked for v(all)
            n = self._clock.few(_HELD_TIME, 4, n)
        return size, table.take(slice(0, n))

    def _planned_queries(self) -> float:
        """What ``fit`` was to ask for."""
        return float(self.n_queries)

    def _queries_left(self) -> int:
        """What of ``n_queries`` has not been spent, and half of it at least."""
        return max(self.n_queries - self._masked.n_queries, self.n_queries // 2)

    def _most_held(self) -> int:
        """Encoded samples that fit, with their outputs, into memory and time that may be taken."""
        numbers = self._reader.numbers() + 3 * len(self.output_names_)
        most = max(_FEWEST_ROWS, POOL_BYTES // (4 * numbers + self.masker_.n_players))
        return self._clock.few(_OUTPUT_TIME, _FEWEST_HELD, most)

    def _encoded_with_outputs(self, samples: Any) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
        """What the network reads of samples, and the model's outputs, on the CPU."""
        self._keep_limit()
        inputs = dict(self._encode(samples))
        outputs = inputs.pop("outputs", None)
        if outputs is None:
            outputs = self._masked.outputs(samples)
        # in the precision of the model: real-valued outputs may differ by little of their size
        return inputs, outputs.cpu()

    def _asker(self, outputs: torch.Tensor) -> Any:
        """Ask for f in [0, 1] of masked samples, some of those that ``outputs`` belong to."""

        def ask(part: Any, at: np.ndarray, masks: np.ndarray) -> torch.Tensor:
            answers = self._masked.values(part, masks)
            if self._spread is None:
                return answers
            full = outputs[torch.from_numpy(at)].to(answers)
            return prediction_scores(answers, full, self._spread.to(answers))

        return ask

    def _settings(
        self, max_steps: int, seed: int, started: float, most_steps: int | None = None
    ) -> TrainSettings:
        """Of a run that ends after ``max_steps``, or ``most_steps`` that the queries buy."""
        steps = max_steps if most_steps is None else min(max_steps, most_steps)
        return TrainSettings(
            max_steps=max_steps,
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay,
            eval_every=max(1, min(250, steps // 8)),
            patience=self.patience,
            device=self.device,
            precision=self.precision,
            verbose=self.verbose,
            seed=seed,
            started=started,
            deadline=None if self.max_time is None else started + float(self.max_time),
        )

    def _make_checkpoint(self, table: Table, seed: int, given_too: Any = None) -> Checkpoint | None:
        # asked with and without a checkpoint, so that both spend the same queries
        some = table.take(slice(None, None, max(1, len(table) // 32)))
        some = some.take(slice(0, self._clock.few(_SIGNATURE_TIME / 4, 1, 64)))
        asked = copy.copy(self._masked)
        if self.removal_ is not self.removal:
            # of a surrogate of this fit's own the model tells: max_time may have ended its training
            asked.removal = None
        signature = asked.signature(some)
        self._masked.n_queries = asked.n_queries
        if self.checkpoint is None:
            return None
        if not isinstance(self.random_state, int | np.integer):
            raise ValueError("checkpoint= needs random_state to be an int, to resume the same run.")
        # what changes nothing but speed, where results go, and what the model's answers tell
        skip = {"checkpoint", "label_cache", "verbose", "max_time", "device"}
        skip |= {"n_jobs", "model_batch_size", "select"}
        masker = ("masker", "baseline", "groups", "removal")
        given = self.get_params(deep=False).items()
        parts = {k: repr(v) for k, v in given if k not in skip.union(masker)}
        content = (
            parts,
            table.fingerprint(),
            self._masker_fingerprint(),
            None if self.removal_ is None else self.removal_.get_params(),
            int(seed),
            given_too,
        )
        fingerprint = str(joblib.hash(content, hash_name="sha1"))
        masked = self._masked
        self._checkpoint = Checkpoint(
            self.checkpoint, fingerprint, lambda: masked.n_queries, signature
        )
        self._checkpoint.keep("queries_in_time", self._queries_in_time)
        return self._checkpoint

    def _masker_fingerprint(self) -> Any:
        if self._schema is not None:
            return self.masker_.background_.fingerprint(), self.masker_.player_of_column_
        return type(self.masker_).__name__, self.masker_.feature_names_, self.masker_.removal

    def _train(self, trainer: Trainer) -> Fitted:
        return trainer.run()

    def _all_queries(self, stopped_by: str) -> int:
        """What this run asked for, in earlier processes of it and those that train along, too."""
        asked = self._masked.n_queries
        if self._checkpoint is not None and int(os.environ.get("RANK", 0)) == 0:
            asked += self._checkpoint.queries_before
        several = int(os.environ.get("WORLD_SIZE", 1))
        # of processes that were interrupted, some may not come here
        if several == 1 or stopped_by == "interrupt" or not torch.distributed.is_initialized():
            return asked
        of_all: list[Any] = [None] * torch.distributed.get_world_size()
        torch.distributed.all_gather_object(of_all, asked)
        return sum(of_all)

    def _finish(
        self, module: nn.Module, fitted: Fitted, validate: Validator, earlier_steps: int = 0
    ) -> None:
        """Store what was learned, and say so when it is poor.

        ``earlier_steps`` are those of stages before the one that ``fitted`` is of.
        """
        self._network = module
        self._fingerprint = self._masked.outputs(self._reader.fingerprint_samples()).cpu()
        self.history_ = fitted.history
        self.n_iter_ = fitted.n_steps
        self.best_score_ = fitted.best_score
        self.best_scores_ = np.full(len(self.output_names_), np.nan)
        if fitted.n_steps + earlier_steps > 0:
            self.best_scores_ = np.asarray(validate.per_output(module), dtype=np.float64)
        self.caution_ = self._why_nothing_was_learned(
            fitted, fitted.n_steps + earlier_steps, validate
        )
        self.stopped_by_ = fitted.stopped_by
        self.n_model_queries_ = self._all_queries(fitted.stopped_by)
        own = self._masked.n_queries
        if own > max(_MUCH_MORE * self._planned_queries(), _FEW_QUERIES):
            warn_user(
                f"The model was asked for {own:,} samples, more than n_queries="
                f"{self.n_queries}: with fewer there would have been too little to learn from."
            )
        if fitted.n_steps + earlier_steps == 0 and fitted.stopped_by == "max_time":
            warn_user(
                "No training step was made: max_time ran out while the model was asked. Raise "
                "max_time, or lower n_queries or the number of labels."
            )
            return
        poor = self._what_is_poor(fitted.best_score)
        if poor is not None and self.masker_.n_players > 1 and fitted.stopped_by != "interrupt":
            warn_user(f"The explainer agrees poorly with {poor}")

    def _what_is_poor(self, score: float) -> str | None:
        """What to warn of where a held-out score is low, and what may help."""
        cure = "Raise n_queries or max_steps, or give more rows."
        if not self._repeats:
            cure = "The model's answers vary, see above: more queries are no cure."
        if score < _POOR:
            return (
                f"held-out attributions ({self._score_name} {score:.2f}, see best_score_). {cure}"
            )
        hidden = poor_outputs(self.best_scores_, self.output_names_, _POOR)
        if not hidden:
            return None
        return (
            f"held-out attributions of the outputs {hidden} (see best_scores_), which the average "
            f"of all outputs hides ({self._score_name} {score:.2f}). {cure}"
        )

    def _why_nothing_was_learned(
        self, fitted: Fitted, n_steps: int, validate: Validator
    ) -> str | None:
        """Why values tell nothing; None where something was learned."""
        if n_steps == 0:
            return "no training step was made, the network is as it was drawn."
        if self.masker_.n_players > 1 and fitted.best_score <= validate.chance:
            return (
                f"the explainer is no better than chance ({self._score_name} "
                f"{fitted.best_score:.2f} on held-out samples)."
            )
        return None

    # -- explaining ------------------------------------------------------------------------
    def _chunks(self, samples: Any) -> list[slice]:
        n, step = len(samples), self._reader.call_samples
        return [slice(start, min(start + step, n)) for start in range(0, n, step)]

    def _encoded_outputs(
        self, samples: Any, asks: bool, start: int
    ) -> tuple[dict[str, torch.Tensor] | None, torch.Tensor | None]:
        if self._network is None:
            raise ValueError(
                "This explainer's network is a copy of the model, trained further, and no model is "
                "attached (saved explainers hold none): attach it with load(path, model=...) or "
                "attach_model(model)."
            )
        if self._reader.gives_outputs:
            # the model's own pass: what the network reads, and what the model answers
            if getattr(self, "_masked", None) is None:
                raise ValueError(
                    "This explainer reads the model's own hidden states, and no model is attached "
                    "(saved and pickled explainers hold none): attach it with load(path, "
                    "model=...) or attach_model(model)."
                )
            encoded = self._encode(samples)
            return encoded, encoded.pop("outputs")
        return super()._encoded_outputs(samples, asks, start)

    def _quality(self) -> dict[str, Any]:
        score = self.best_score_ if np.isfinite(self.best_score_) else None
        name = f"held-out {self._score_name}"
        return super()._quality() | {"score": score, "score_name": name}

    @torch.inference_mode()
    def _attribute(
        self,
        samples: Any,
        outputs: torch.Tensor | None,
        chosen: np.ndarray | None,
        encoded: dict[str, torch.Tensor] | None,
        bases: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
        device = next(self._network.parameters()).device
        inputs = self._encode(samples) if encoded is None else encoded
        inputs.pop("outputs", None)
        null = inputs["null"].to(device)
        values, common = self._read_out(inputs["x"].to(device), null, chosen)
        found = values.transpose(1, 2).double().cpu().numpy()
        return found, None if common is None else common.double().cpu().numpy(), None

    def _read_out(
        self, x: torch.Tensor, null: torch.Tensor, chosen: np.ndarray | None
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Values of encoded samples (B, K, N), or of the chosen outputs (B, 1, N).

        And what players without effect have, (B, K) or (B, 1), None for 0.
        """
        # of a thousand outputs one is asked for: the rest of the work is done for that one
        deviation, level = (picked(part, chosen) for part in self._network.deviations(x, null))
        found, common = sigmoid(deviation + level[:, :, None]), sigmoid(level)
        return torch.where(null.cpu()[:, None], common[:, :, None], found), common

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__()
        if state.get("_network") is not None:
            # a network trained on a GPU must load where there is none
            state["_network"] = copy.deepcopy(state["_network"]).cpu()
        return state

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_network")


def picked(values: torch.Tensor, chosen: np.ndarray | None) -> torch.Tensor:
    """Values (B, K, ...) of one output a sample, (B, 1, ...); all of them without ``chosen``."""
    if chosen is None:
        return values
    rows = torch.arange(len(values), device=values.device)
    return values[rows, torch.from_numpy(chosen).to(values.device)][:, None]


def sigmoid(logits: torch.Tensor) -> torch.Tensor:
    """Chances in double precision, on the CPU.

    An element's last digit depends on nothing but itself; of torch's own it depends on where in
    a vector register it lies, and one output alone would differ from the same among all.
    """
    return torch.from_numpy(expit(logits.double().cpu().numpy()))


def is_number(value: Any, kind: Any = numbers.Real) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


def _is_fitted(name: str) -> bool:
    # scikit-learn keeps settings of its own (set_output, callbacks) under private names
    return name.endswith("_") and not name.startswith("_")
