"""What every explainer does alike: check X, take the model, answer as an Explanation."""

from __future__ import annotations

import time
from typing import Any, Self

import numpy as np
import torch
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_array, check_is_fitted, validate_data

from fastexplain._warnings import warn_user
from fastexplain.explainers._cast_checks import warn_if_cast
from fastexplain.explainers._model_checks import (
    check_model,
    warn_if_no_effect,
)
from fastexplain.explainers._samples import (
    check_not_empty,
    described,
    fresh_masker,
    make_masker,
    named,
    plain_samples,
    probe_of,
    same_classes,
)
from fastexplain.explainers._targets import (
    ALL,
    PREDICTED,
    Mode,
    mode_of,
    output_labels,
    resolve_target,
)
from fastexplain.explainers._time_limits import FitTime
from fastexplain.explanation import Explanation
from fastexplain.masked_model import MaskedModel
from fastexplain.metrics import rank_correlation
from fastexplain.predictors import Predictor, make_predictor, parts_of
from fastexplain.predictors._categorical import categorical_columns
from fastexplain.predictors._make import probe_size, read_predictor
from fastexplain.predictors._matrix import spread_positions
from fastexplain.predictors._parts import refuse_wrappers
from fastexplain.removal import SurrogateRemoval
from fastexplain.tables import Table

__all__ = ["BaseExplainer", "agreement"]

#: samples that tell what a model answers, and whether it heeds them
PROBE_ROWS = 64
_SPREAD_ROWS = 4096


class BaseExplainer(TransformerMixin, BaseEstimator):
    """Base of all explainers; subclasses give ``_explain_table`` and ``_method``."""

    _doc_link_module = "fastexplain"
    # whether fitting on the baseline row alone is a use and no mistake
    _may_be_baseline = False
    # what was learned needs no model; methods that ask one for every row are nothing without
    _pickles_model = False

    # parameters that subclasses take in __init__
    masker: Any
    baseline: Any
    groups: Any
    categorical: Any
    removal: Any
    output: str
    output_names: Any
    select: Any
    model_batch_size: int | None
    n_jobs: int | None
    random_state: Any

    #: what the model's answers are, as ``output=`` has it
    output_: str
    #: how that is known
    output_reason_: str
    #: why the explainer's values tell nothing, where that is so
    caution_: str | None = None
    #: size of a change of each output that matters (K,)
    _unit: np.ndarray | None = None
    #: the time of the fit that goes on
    _clock = FitTime(0.0)
    #: whether the model answers the same to the same samples
    _repeats = True

    # -- fitting ---------------------------------------------------------------------------
    def _begin_fit(self, X: Any, y: Any, model: Any) -> Any:
        """Check X and the model, fit the masker, and ask for the first answers."""
        self._clock = clock = self._make_clock()
        model = _model_of(y, model)
        masker = self._make_masker(X, model)
        samples = masker.wrap(X)
        check_not_empty(samples)
        size = self.model_batch_size
        if size is not None and (not isinstance(size, int | np.integer) or size < 1):
            raise ValueError(f"model_batch_size must be a whole number, 1 or more, got {size!r}.")
        rng = np.random.default_rng(self._seed())
        predictor = self._read_model(masker, samples, model)
        if isinstance(samples, Table):
            masker.fit(samples, rng, categorical_columns(model, samples.names))
        else:
            masker.fit(samples, rng)
        masked = self._masked_model(predictor, masker)
        removal = self._make_removal(masked, samples, clock.started)
        masked.removal, masker.removes_to_baseline_ = removal, removal is None
        warn_if_cast(masked, samples)
        repeats = check_model(masked, samples, clock.few(0.006, 2, 8))
        base = masked.empty_value(samples, clock.few(0.02, 2, 256))
        unit = np.ones(len(predictor.output_names))
        spread = None
        if predictor.kind == "regression":
            few = clock.few(0.05, 8, _SPREAD_ROWS)
            some = samples.take(np.sort(rng.permutation(len(samples))[:few]))
            spread = masked.outputs(some).double().std(dim=0, correction=0)
            spread = torch.where(spread > 0, spread, torch.ones_like(spread)).cpu()
            unit = spread.numpy()
        schema = None
        if isinstance(samples, Table):
            schema = masker.schema_
        # nothing has failed so far: only now does the estimator change
        if schema is not None:
            validate_data(self, named(X, samples), skip_check_array=True, reset=True)
        else:
            self.n_features_in_ = masker.n_players
            if hasattr(self, "feature_names_in_"):
                del self.feature_names_in_  # of a table that was fitted before
        self._schema, self._model, self._masked = schema, model, masked
        self.masker_ = masker
        self.removal_ = removal
        self.kind_ = predictor.kind
        self.output_, self.output_reason_ = predictor.read_as, predictor.reason
        if predictor.classes is not None:
            self.classes_ = np.asarray(predictor.classes)
        elif hasattr(self, "classes_"):
            del self.classes_
        self.output_names_ = list(predictor.output_names)
        self.base_values_ = base.cpu().double().numpy()
        self._spread, self._unit, self._repeats = spread, unit, repeats
        self._check_effect(samples)
        return samples

    def _make_clock(self) -> FitTime:
        """The time that this fit has, from now on."""
        limit = getattr(self, "max_time", None)
        return FitTime(time.monotonic(), None if limit is None else float(limit))

    def _read_model(self, masker: Any, samples: Any, model: Any) -> Predictor:
        """The model as a predictor, probed with samples spread over all of them."""
        options = {
            "output": self.output,
            "output_names": self.output_names,
            "select": self.select,
        }
        clock = self._clock
        few = samples.take(spread_positions(len(samples), 4))
        probe = probe_of(masker, few, model)
        if clock.limited:
            # what is in doubt is told below, of more samples
            clock.timed(len(few), lambda: read_predictor(model, probe, **options))
        some = samples.take(spread_positions(len(samples), clock.few(0.02, 4, probe_size(probe))))
        probe = probe_of(masker, some, model)
        if clock.limited:
            return make_predictor(model, probe, **options)
        return clock.timed(len(some), lambda: make_predictor(model, probe, **options))

    def _check_effect(self, samples: Any) -> None:
        """Say so where the model answers the same with all features and without any."""
        few = samples.take(spread_positions(len(samples), self._clock.few(0.02, 2, PROBE_ROWS)))
        # samples that are the baseline themselves tell nothing of the model
        if self._may_be_baseline and self.masker_.null_players(few).all():
            return
        full = self._masked.outputs(few).cpu().double().numpy()
        rounding = self._masked.rounding_of(full)
        warn_if_no_effect(full, self._own_bases(few), rounding, self._removes())

    def _seed(self) -> int:
        """One seed for all that is drawn; a RandomState advances, an int does not."""
        limit = np.iinfo(np.int32).max
        if self.random_state is None:
            # fresh entropy: check_random_state would draw from NumPy's global generator
            return int(np.random.default_rng().integers(limit))
        if isinstance(self.random_state, np.random.Generator):
            return int(self.random_state.integers(limit))
        return int(check_random_state(self.random_state).randint(limit))

    def _make_masker(self, X: Any, model: Any) -> Any:
        if self.masker is None:
            return make_masker(X, model, self.baseline, self.groups, self.categorical)
        default = isinstance(self.baseline, str) and self.baseline == "mean"
        if not default or self.groups is not None or self.categorical is not None:
            raise ValueError(
                "Give baseline=, groups= and categorical= to the masker, or no masker=."
            )
        return fresh_masker(self.masker, model, X)

    def _make_removal(
        self, masked: MaskedModel, samples: Any, started: float
    ) -> SurrogateRemoval | None:
        """The trained surrogate, or None where a baseline replaces what is removed."""
        given = self.removal
        if isinstance(given, str) and given == "baseline":
            return None
        if isinstance(given, str) and given == "surrogate":
            given = SurrogateRemoval()
        if not isinstance(given, SurrogateRemoval):
            raise ValueError(
                "removal must be 'baseline', 'surrogate' or a SurrogateRemoval, got "
                f"{self.removal!r}."
            )
        if not isinstance(samples, Table):
            raise ValueError(
                "removal='surrogate' is for tables; images and texts are removed as their masker "
                "says (fill=)."
            )
        if hasattr(given, "_network"):
            if not given.fits(masked):
                raise ValueError(
                    "The SurrogateRemoval was trained for other features or outputs; pass one "
                    "that is not trained (sklearn.base.clone(removal))."
                )
            return given
        limit = getattr(self, "max_time", None)
        return clone(given).distil(
            masked,
            samples,
            seed=self._seed(),
            started=started,
            deadline=None if limit is None else started + 0.3 * float(limit),
            device=getattr(self, "device", "auto"),
            precision=getattr(self, "precision", "auto"),
            verbose=getattr(self, "verbose", 0),
        )

    def _masked_model(self, predictor: Any, masker: Any) -> MaskedModel:
        return MaskedModel(
            predictor,
            masker,
            batch_size=self.model_batch_size,
            n_jobs=self.n_jobs,
            removal=getattr(self, "removal_", None),
        )

    # -- explaining ------------------------------------------------------------------------
    def explain(self, X: Any, target: Any = PREDICTED, *, return_prediction: bool = False) -> Any:
        """Explain samples.

        Parameters
        ----------
        X : ndarray or DataFrame of shape (n, C), images or texts
            Samples of the kind that the explainer was fitted on.
        target : {"predicted", "all"}, label or array of n labels, default="predicted"
            Which output is explained: each row's predicted class (this asks the model once
            a row), a class label for all rows, one label a row, or ``"all"`` outputs.
            Regressors and multi-label models take positions or names of outputs. Where a class
            is called "all" or "predicted", ``fastexplain.ALL`` and ``fastexplain.PREDICTED``
            are the modes.
        return_prediction : bool, default=False
            Whether to give the model's outputs, an ndarray of shape (n, K), beside the
            explanation. Explainers on a model's own hidden states have both from one pass.

        Returns
        -------
        Explanation
            Values of shape (n, N), or (n, N, K) for ``target="all"``; with
            ``return_prediction`` a pair of it and the outputs. Its ``base_values`` are the
            model's outputs for the baseline, f(baseline), not their mean over X.

        Raises
        ------
        NotFittedError
            Before ``fit``.
        ValueError
            For other columns, unknown targets, or ``"predicted"`` without a model.

        Warns
        -----
        UserWarning
            If the explainer has learned nothing (``caution_``), or if whole numbers become
            others on the way to a torch module.
        """
        samples = self._check_rows(X)
        if getattr(self, "_masked", None) is not None:
            warn_if_cast(self._masked, samples, training=False)
        self._warn_of_nothing()
        target = self._mode_or_labels(target)
        fixed = self._fixed_target(target, len(samples))
        asks = return_prediction or self._asks_outputs(target)
        parts = []
        for rows in self._chunks(samples):
            part = samples.take(rows) if rows.stop - rows.start < len(samples) else samples
            encoded, outputs = self._encoded_outputs(part, asks, rows.start)
            chosen = self._chosen(target, fixed, rows, part, outputs)
            bases = self._bases(part)
            found = self._attribute(part, outputs, chosen, encoded, bases)
            if chosen is not None:
                bases = bases[np.arange(len(part)), chosen][:, None]
            told = None if outputs is None else outputs.cpu().double().numpy()
            parts.append((*found, bases, chosen, told))
        values = widened([part[:2] for part in parts])
        rest = zip(*(part[1:] for part in parts), strict=True)
        neutral, gap, bases, chosen, outputs = map(joined, rest)
        if chosen is not None:
            values, bases = values[:, :, 0], bases[:, 0]
            neutral = None if neutral is None else neutral[:, 0]
            gap = None if gap is None else gap[:, 0]
        explanation = Explanation(
            values,
            base_values=bases,
            output_names=self.output_names_,
            target=chosen,
            neutral_values=neutral,
            efficiency_gap=gap,
            method=self._method(),
            predictions=outputs,
            unit=self._unit,
            **self._quality(),
            **described(samples, self.masker_, values.shape[1]),
            **self._meaning(),
        )
        return (explanation, outputs) if return_prediction else explanation

    def _mode_or_labels(self, target: Any) -> Any:
        """`ALL` or `PREDICTED` where the user means these; labels as they are."""
        mode = mode_of(target, getattr(self, "classes_", None), self.output_names_)
        return target if mode is None else mode

    def _chunks(self, samples: Any) -> list[slice]:
        """Samples that are explained at once; all of them by default."""
        return [slice(0, len(samples))]

    def _encoded_outputs(
        self, samples: Any, asks: bool, start: int
    ) -> tuple[dict[str, torch.Tensor] | None, torch.Tensor | None]:
        """What the network reads, where it comes with the outputs, and the model's outputs."""
        if not asks:
            return None, None
        positions = np.arange(start, start + len(samples))
        return None, self._need_model().outputs(samples, positions)

    def _fixed_target(self, target: Any, n: int) -> np.ndarray | None:
        """Positions of outputs that the user named; None for "predicted" and "all"."""
        if isinstance(target, Mode):
            return None
        labels = output_labels(getattr(self, "classes_", None), len(self.output_names_))
        return resolve_target(target, n, labels, self.output_names_)

    def _chosen(
        self,
        target: Any,
        fixed: np.ndarray | None,
        rows: slice,
        part: Any,
        outputs: torch.Tensor | None,
    ) -> np.ndarray | None:
        """Position of each sample's explained output; None for all outputs."""
        if not isinstance(target, Mode):
            assert fixed is not None
            return fixed[rows]
        return self._predicted(len(part), outputs) if target == PREDICTED else None

    def _bases(self, samples: Any) -> np.ndarray:
        """Outputs with all players removed, (n, K)."""
        return np.broadcast_to(self.base_values_, (len(samples), len(self.base_values_)))

    def _own_bases(self, samples: Any) -> np.ndarray:
        """The same, where what is left of an image or text without its players is its own."""
        if isinstance(samples, Table) or self.masker_.fixed_empty_:
            return BaseExplainer._bases(self, samples)
        return self._need_model().empty_values(samples).cpu().double().numpy()

    def __call__(self, X: Any, target: Any = PREDICTED) -> Any:
        """Same as ``explain``."""
        return self.explain(X, target)

    def transform(self, X: Any) -> np.ndarray:
        """Attributions of all outputs as columns, to use as features.

        Parameters
        ----------
        X : ndarray or DataFrame of shape (n, C)

        Returns
        -------
        ndarray of shape (n, N * K)
            For each output, its N attributions; see ``get_feature_names_out``.

        Warns
        -----
        UserWarning
            If the explainer has learned nothing (``caution_``).
        """
        if isinstance(X, np.ndarray) and X.ndim == 1 and X.dtype.kind in "biuf":
            # refused in scikit-learn's words, which its checks of transformers look for
            check_array(X, dtype=None, ensure_all_finite=False)
        samples = self._check_rows(X)
        self._warn_of_nothing()
        values = self._all_values(samples)
        n_players = self.masker_.n_players
        if values.shape[1] > n_players:
            raise ValueError(
                f"A text has {values.shape[1]} features, and columns were made for {n_players}, "
                "as many as the longest text of fit has. Shorten it, or fit on texts as long."
            )
        return values.transpose(0, 2, 1).reshape(len(values), -1)

    def _all_values(self, samples: Any) -> np.ndarray:
        """Attributions of all outputs, (n, N, K)."""
        parts = []
        for rows in self._chunks(samples):
            part = samples.take(rows)
            encoded, outputs = self._encoded_outputs(part, self._asks_outputs(ALL), rows.start)
            found = self._attribute(part, outputs, None, encoded, self._bases(part))
            parts.append(found[:2])
        return widened(parts)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Names of the columns of ``transform``.

        Parameters
        ----------
        input_features : sequence of str, optional
            Must be the names fitted on, where given.

        Returns
        -------
        ndarray of str
            ``feature`` for one output, ``output_feature`` for several.
        """
        check_is_fitted(self)
        if input_features is not None:
            names = [str(name) for name in input_features]
            fitted = list(getattr(self, "feature_names_in_", names))
            if len(names) != self.n_features_in_:
                raise ValueError("input_features should have length equal to number of features")
            if names != fitted:
                raise ValueError("input_features is not equal to feature_names_in_")
            if len(self.masker_.feature_names_) == len(names) and not self._groups():
                return self._output_columns(names)
        return self._output_columns(self.masker_.feature_names_)

    def _output_columns(self, names: list[str]) -> np.ndarray:
        if len(self.output_names_) == 1:
            return np.asarray(names, dtype=object)
        pairs = [f"{output}_{name}" for output in self.output_names_ for name in names]
        return np.asarray(pairs, dtype=object)

    def _groups(self) -> Any:
        return getattr(self.masker_, "groups", None)

    def _check_rows(self, X: Any) -> Any:
        check_is_fitted(self)
        samples = self.masker_.wrap(X)
        check_not_empty(samples)
        if self._schema is None:
            return samples
        table: Table = samples
        validate_data(self, named(X, table), skip_check_array=True, reset=False)
        if table.n_columns != len(self._schema.names):
            raise ValueError(
                f"X has {table.n_columns} features, but {type(self).__name__} is expecting "
                f"{len(self._schema.names)} features as input"
            )
        if table.kind != "numpy" and self._schema.kind == table.kind:
            if table.names != self._schema.names:
                raise ValueError(
                    f"X has columns {table.names}, the explainer was fitted on "
                    f"{self._schema.names}; pass the same columns in the same order."
                )
        return self._schema.conform(table)

    def _asks_outputs(self, target: Any) -> bool:
        """Whether the model's outputs of the rows are needed to explain them."""
        predicted = isinstance(target, Mode) and target == PREDICTED
        return predicted and len(self.output_names_) > 1 and self._are_ranked()

    def _are_ranked(self) -> bool:
        """Whether the largest of several outputs is the prediction."""
        return self.kind_ != "regression" or hasattr(self, "classes_")

    def _predicted(self, n: int, outputs: torch.Tensor | None) -> np.ndarray:
        if len(self.output_names_) == 1:
            return np.zeros(n, dtype=np.int64)
        if not self._are_ranked():
            raise ValueError(
                f"The model has {len(self.output_names_)} real-valued outputs and predicts them "
                f"all: pass target= one of {self.output_names_}, or 'all'."
            )
        assert outputs is not None
        return outputs.argmax(dim=1).cpu().numpy()

    def _need_model(self) -> MaskedModel:
        if getattr(self, "_masked", None) is None:
            raise ValueError(
                "No model is attached (saved and pickled explainers hold none): pass target= a "
                "class label or 'all', or attach one with load(path, model=...) or "
                "attach_model(model)."
            )
        return self._masked

    @property
    def masked_model_(self) -> MaskedModel:
        """The attached model as a function of samples and masks, for ``fastexplain.metrics``."""
        check_is_fitted(self)
        return self._need_model()

    def attach_model(self, model: Any) -> Self:
        """Attach the model again after loading or unpickling.

        Parameters
        ----------
        model : object
            What was passed to ``fit``, or its like; it must have the same outputs.

        Returns
        -------
        self
        """
        check_is_fitted(self)
        probe = probe_of(self.masker_, self._probe_samples(), model)
        # as it was read at fit: the few samples at hand might suggest something else
        predictor = make_predictor(model, probe, output=self.output_, select=self.select)
        if len(predictor.output_names) != len(self.output_names_):
            raise ValueError(
                f"The model has outputs {list(predictor.output_names)}; the explainer was fitted "
                f"on {self.output_names_}."
            )
        fitted = getattr(self, "classes_", None)
        if not same_classes(predictor.classes, fitted):
            raise ValueError(
                f"The model knows the classes {_listed(predictor.classes)}; the explainer was "
                f"fitted on {_listed(fitted)}. Attach a model of the same classes, or fit again."
            )
        self._model = model
        self._masked = self._masked_model(predictor, self.masker_)
        return self

    def _probe_samples(self) -> Any:
        """Samples that tell what a model answers."""
        return plain_samples(self.masker_) if self._schema is None else self.masker_.background_

    def score(self, X: Any, y: Any = None, *, per_output: bool = False) -> float | np.ndarray:
        """Held-out faithfulness: agreement with the attribution by enumeration or sampling.

        Parameters
        ----------
        X : ndarray or DataFrame of shape (n, C)
            Rows, best not those of ``fit``. The model is asked for up to 4,096 masks a row.
        y : ignored
        per_output : bool, default=False
            Whether to give one score for each output, over all rows: a rare class hides in an
            average.

        Returns
        -------
        float, or ndarray of shape (K,)
            Mean over rows of Spearman's rank correlation, for the predicted output (all
            outputs of a regressor), with Definition 1 normalised; 1 is perfect. Rows with up
            to 12 features off the baseline are enumerated; of others it is an estimate, whose
            noise lowers it.

        Warns
        -----
        UserWarning
            If the explainer has learned nothing (``caution_``).
        """
        from fastexplain.attribution import attribution_targets

        samples = self._check_rows(X)
        masked = self._need_model()
        self._warn_of_nothing()
        truth = attribution_targets(masked, samples, 4096, np.random.default_rng(0), self._spread)
        expected = truth.mean.numpy()
        found = self._all_values(samples).transpose(0, 2, 1)
        chosen = None
        if self._are_ranked() and not per_output:
            chosen = masked.outputs(samples).argmax(dim=1).cpu().numpy()
        return agreement(found, expected, chosen, per_output)

    # -- for subclasses --------------------------------------------------------------------
    def _attribute(
        self,
        samples: Any,
        outputs: torch.Tensor | None,
        chosen: np.ndarray | None,
        encoded: dict[str, torch.Tensor] | None,
        bases: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
        """Values (n, N, K), those without effect (n, K), and the efficiency gap (n, K) or None.

        With ``chosen`` of one output a sample, K is 1; ``bases`` (n, K) are of all outputs.
        """
        values, neutral = self._explain_table(samples)
        if chosen is not None:
            rows = np.arange(len(samples))
            values = values[rows, :, chosen][:, :, None]
            neutral = None if neutral is None else neutral[rows, chosen][:, None]
        return values, neutral, None

    def _warn_of_nothing(self) -> None:
        """Say so where nothing was learned."""
        if self.caution_ is not None:
            warn_user(f"These explanations tell nothing: {self.caution_}")

    def _quality(self) -> dict[str, Any]:
        """How far an explanation's values are to be trusted."""
        return {"caution": self.caution_}

    def _meaning(self) -> dict[str, Any]:
        """What an explanation has to know of its values, where it is not the usual."""
        return {}

    def _explain_table(self, table: Table) -> tuple[np.ndarray, np.ndarray | None]:
        """Values (n, N, K), and those of a feature without effect (n, K) or None."""
        raise NotImplementedError

    def _method(self) -> str:
        """Text that tells where values come from."""
        raise NotImplementedError

    def _removes(self) -> str:
        """How the text of an explanation calls what stands for removed features."""
        return "removal by a surrogate" if self.removal_ is not None else self.masker_.removal

    # -- citizenship -----------------------------------------------------------------------
    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        if not self._pickles_model and "_masked" in state:
            # the model is not part of what was learned; it may not even be picklable
            state["_model"] = state["_masked"] = None
        return state

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        tags.input_tags.string = True
        tags.target_tags.required = False
        return tags

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "base_values_")

    def __repr__(self, N_CHAR_MAX: int = 700) -> str:
        """Parameters; after ``fit`` also what the model's answers were read as, and why."""
        text = super().__repr__(N_CHAR_MAX)
        if not hasattr(self, "output_reason_"):
            return text
        removal = self._removes()
        return f"{text}  # explains {self.output_} ({self.output_reason_}); {removal}"


def _model_of(y: Any, model: Any) -> Any:
    """The model may come second, as in ``fit(X, model)``, or by name."""
    refuse_wrappers(y if model is None else model)
    if model is not None:
        return model
    if y is None:
        raise TypeError(
            "fit needs the fitted model to explain: fit(X, model), or fit(X, model=model)."
        )
    # a pair of a torch module and its tokenizer or image processor is a model
    pair = isinstance(y, list | tuple) and parts_of(y).module is not None
    if not pair and (isinstance(y, list | tuple) or hasattr(y, "__array__")):
        raise TypeError(
            f"fit needs the fitted model to explain as its second argument, not labels; got a "
            f"{type(y).__name__}. Call fit(X, model), or fit(X, y, model=model)."
        )
    return y


def agreement(
    found: np.ndarray, expected: np.ndarray, chosen: np.ndarray | None, per_output: bool
) -> float | np.ndarray:
    """Mean rank correlation of values (n, K, N): of chosen outputs (n,), or of all."""
    if chosen is not None:
        rows = np.arange(len(found))
        return float(rank_correlation(found[rows, chosen], expected[rows, chosen]).mean())
    n_players = expected.shape[2]
    scores = rank_correlation(found.reshape(-1, n_players), expected.reshape(-1, n_players))
    scores = scores.reshape(len(found), -1)
    return scores.mean(axis=0) if per_output else float(scores.mean())


def joined(parts: Any) -> Any:
    """Arrays of consecutive samples below each other; None if all are None."""
    arrays = list(parts)
    if arrays[0] is None or len(arrays) == 1:
        return arrays[0]
    return np.concatenate(arrays)


def widened(parts: list[tuple[np.ndarray, np.ndarray | None]]) -> np.ndarray:
    """Values (n, N, K) of consecutive samples below each other, from parts with their neutral ones.

    Texts have as many players as the longest of their part: in narrower parts, the players that
    are not there get what stands for no effect.
    """
    most = max(values.shape[1] for values, _ in parts)
    arrays = []
    for values, neutral in parts:
        missing = np.zeros((len(values), most - values.shape[1], values.shape[2]))
        if neutral is not None:
            missing += neutral[:, None]
        arrays.append(np.concatenate([values, missing], axis=1) if missing.size else values)
    return joined(arrays)


def _listed(classes: np.ndarray | None) -> list[Any] | None:
    return None if classes is None else classes.tolist()
