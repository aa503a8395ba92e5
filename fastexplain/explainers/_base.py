"""What every explainer does alike: check X, take the model, answer as an Explanation."""

from __future__ import annotations

import time
from typing import Any, Self

import numpy as np
import torch
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from fastexplain.explainers._inputs import Schema
from fastexplain.explainers._targets import resolve_target
from fastexplain.explanation import Explanation
from fastexplain.masked_model import MaskedModel
from fastexplain.maskers import TabularMasker
from fastexplain.metrics import rank_correlation
from fastexplain.predictors import make_predictor
from fastexplain.removal import SurrogateRemoval
from fastexplain.tables import Table, as_table

__all__ = ["BaseExplainer"]

_PROBE_ROWS = 64
_SPREAD_ROWS = 4096


class BaseExplainer(TransformerMixin, BaseEstimator):
    """Base of all explainers; subclasses give ``_explain_table`` and ``_method``."""

    _doc_link_module = "fastexplain"
    # what was learned needs no model; methods that ask one for every row are nothing without
    _pickles_model = False

    # parameters that subclasses take in __init__
    masker: TabularMasker | None
    baseline: Any
    groups: Any
    removal: Any
    output: str
    model_batch_size: int | None
    n_jobs: int | None
    random_state: Any

    # -- fitting ---------------------------------------------------------------------------
    def _begin_fit(self, X: Any, y: Any, model: Any) -> Table:
        """Check X and the model, fit the masker, and ask for the first answers."""
        started = time.monotonic()
        model = _model_of(y, model)
        table = as_table(X)
        _check_not_empty(table)
        size = self.model_batch_size
        if size is not None and (not isinstance(size, int | np.integer) or size < 1):
            raise ValueError(f"model_batch_size must be a whole number, 1 or more, got {size!r}.")
        rng = np.random.default_rng(self._seed())
        probe = table.take(slice(0, _PROBE_ROWS))
        predictor = make_predictor(model, probe.copied(), output=self.output)
        masker = self._make_masker().fit(table, rng)
        masked = self._masked_model(predictor, masker)
        removal = self._make_removal(masked, table, started)
        masked.removal, masker.removes_to_baseline_ = removal, removal is None
        base = masked.empty_value()
        spread = None
        if predictor.kind == "regression":
            some = table.take(np.sort(rng.permutation(len(table))[:_SPREAD_ROWS]))
            spread = masked.outputs(some).std(dim=0, correction=0)
            spread = torch.where(spread > 0, spread, torch.ones_like(spread)).cpu()
        schema = Schema.of(table, masker.background_.take(slice(0, 1)))
        # nothing has failed so far: only now does the estimator change
        validate_data(self, _named(X, table), skip_check_array=True, reset=True)
        self._schema, self._model, self._masked = schema, model, masked
        self.masker_ = masker
        self.removal_ = removal
        self.kind_ = predictor.kind
        if predictor.classes is not None:
            self.classes_ = np.asarray(predictor.classes)
        elif hasattr(self, "classes_"):
            del self.classes_
        self.output_names_ = list(predictor.output_names)
        self.base_values_ = base.cpu().double().numpy()
        self._spread = spread
        return table

    def _seed(self) -> int:
        """One seed for all that is drawn; a RandomState advances, an int does not."""
        limit = np.iinfo(np.int32).max
        if self.random_state is None:
            # fresh entropy: check_random_state would draw from NumPy's global generator
            return int(np.random.default_rng().integers(limit))
        if isinstance(self.random_state, np.random.Generator):
            return int(self.random_state.integers(limit))
        return int(check_random_state(self.random_state).randint(limit))

    def _make_masker(self) -> TabularMasker:
        if self.masker is None:
            return TabularMasker(baseline=self.baseline, groups=self.groups)
        default = isinstance(self.baseline, str) and self.baseline == "mean"
        if not default or self.groups is not None:
            raise ValueError("Give baseline= and groups= to the masker, or no masker=.")
        given = self.masker
        return TabularMasker(given.baseline, given.groups, given.n_background)

    def _make_removal(
        self, masked: MaskedModel, table: Table, started: float
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
            table,
            seed=self._seed(),
            started=started,
            deadline=None if limit is None else started + 0.3 * float(limit),
            device=getattr(self, "device", "auto"),
            precision=getattr(self, "precision", "auto"),
            verbose=getattr(self, "verbose", 0),
        )

    def _masked_model(self, predictor: Any, masker: TabularMasker) -> MaskedModel:
        return MaskedModel(
            predictor,
            masker,
            batch_size=self.model_batch_size,
            n_jobs=self.n_jobs,
            removal=getattr(self, "removal_", None),
        )

    # -- explaining ------------------------------------------------------------------------
    def explain(self, X: Any, target: Any = "predicted") -> Explanation:
        """Explain rows.

        Parameters
        ----------
        X : ndarray or DataFrame of shape (n, C)
            Rows in the columns that the explainer was fitted on.
        target : {"predicted", "all"}, label or array of n labels, default="predicted"
            Which output is explained: each row's predicted class (this asks the model once
            a row), a class label for all rows, one label a row, or ``"all"`` outputs.
            Regressors and multi-label models take positions or names of outputs.

        Returns
        -------
        Explanation
            Values of shape (n, N), or (n, N, K) for ``target="all"``.

        Raises
        ------
        NotFittedError
            Before ``fit``.
        ValueError
            For other columns, unknown targets, or ``"predicted"`` without a model.
        """
        table = self._check_rows(X)
        outputs = self._need_model().outputs(table) if self._asks_outputs(target) else None
        chosen = self._resolve(target, table, outputs)
        values, neutral, gap = self._attribute(table, outputs)
        base = np.broadcast_to(self.base_values_, (len(table), len(self.base_values_)))
        if chosen is not None:
            rows = np.arange(len(table))
            values, base = values[rows, :, chosen], base[rows, chosen]
            neutral = None if neutral is None else neutral[rows, chosen]
            gap = None if gap is None else gap[rows, chosen]
        masker = self.masker_
        return Explanation(
            values,
            base_values=base,
            data=table.native,
            feature_names=masker.feature_names_,
            output_names=self.output_names_,
            target=chosen,
            neutral_values=neutral,
            efficiency_gap=gap,
            method=self._method(),
            display_data=_display(table, masker),
            **self._meaning(),
        )

    def __call__(self, X: Any, target: Any = "predicted") -> Explanation:
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
        """
        table = self._check_rows(X)
        outputs = self._need_model().outputs(table) if self._asks_outputs("all") else None
        values = self._attribute(table, outputs)[0]
        return values.transpose(0, 2, 1).reshape(len(values), -1)

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
            if len(self.masker_.feature_names_) == len(names) and not self.masker_.groups:
                return self._output_columns(names)
        return self._output_columns(self.masker_.feature_names_)

    def _output_columns(self, names: list[str]) -> np.ndarray:
        if len(self.output_names_) == 1:
            return np.asarray(names, dtype=object)
        pairs = [f"{output}_{name}" for output in self.output_names_ for name in names]
        return np.asarray(pairs, dtype=object)

    def _check_rows(self, X: Any) -> Table:
        check_is_fitted(self)
        table = as_table(X)
        _check_not_empty(table)
        validate_data(self, _named(X, table), skip_check_array=True, reset=False)
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
        predicted = isinstance(target, str) and target == "predicted"
        return predicted and len(self.output_names_) > 1 and self.kind_ != "regression"

    def _resolve(
        self, target: Any, table: Table, outputs: torch.Tensor | None
    ) -> np.ndarray | None:
        predicted = isinstance(target, str) and target == "predicted"
        if not predicted:
            return resolve_target(
                target, len(table), self.kind_, getattr(self, "classes_", None), self.output_names_
            )
        if len(self.output_names_) == 1:
            return np.zeros(len(table), dtype=np.int64)
        if self.kind_ == "regression":
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
        probe = self.masker_.background_
        predictor = make_predictor(model, probe.copied(), output=self._output_for_attach())
        if len(predictor.output_names) != len(self.output_names_):
            raise ValueError(
                f"The model has outputs {list(predictor.output_names)}; the explainer was fitted "
                f"on {self.output_names_}."
            )
        fitted = getattr(self, "classes_", None)
        if not _same_classes(predictor.classes, fitted):
            raise ValueError(
                f"The model knows the classes {_listed(predictor.classes)}; the explainer was "
                f"fitted on {_listed(fitted)}. Attach a model of the same classes, or fit again."
            )
        self._model = model
        self._masked = self._masked_model(predictor, self.masker_)
        return self

    def _output_for_attach(self) -> str:
        """What the model was found to answer: the few rows at hand could be read otherwise."""
        if self.output == "auto" and self.kind_ != "classification":
            return self.kind_
        return self.output

    def score(self, X: Any, y: Any = None) -> float:
        """Held-out faithfulness: agreement with the attribution by enumeration or sampling.

        Parameters
        ----------
        X : ndarray or DataFrame of shape (n, C)
            Rows, best not those of ``fit``. The model is asked for up to 4,096 masks a row.
        y : ignored

        Returns
        -------
        float
            Mean over rows of Spearman's rank correlation, for the predicted output (all
            outputs of a regressor), with Definition 1 normalised; 1 is perfect. Rows with up
            to 12 features off the baseline are enumerated; of others it is an estimate, whose
            noise lowers it.
        """
        from fastexplain.attribution import attribution_targets

        table = self._check_rows(X)
        masked = self._need_model()
        truth = attribution_targets(masked, table, 4096, np.random.default_rng(0), self._spread)
        expected = truth.mean.numpy()
        found = self._explain_table(table)[0].transpose(0, 2, 1)
        if self.kind_ == "regression":
            n_players = expected.shape[2]
            found, expected = found.reshape(-1, n_players), expected.reshape(-1, n_players)
        else:
            rows = np.arange(len(table))
            chosen = masked.outputs(table).argmax(dim=1).cpu().numpy()
            found, expected = found[rows, chosen], expected[rows, chosen]
        return float(rank_correlation(found, expected).mean())

    # -- for subclasses --------------------------------------------------------------------
    def _attribute(
        self, table: Table, outputs: torch.Tensor | None
    ) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
        """What ``_explain_table`` gives, and the efficiency gap (n, K) where one is known."""
        return *self._explain_table(table), None

    def _meaning(self) -> dict[str, bool]:
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
        baseline = self.masker_.baseline
        if self.removal_ is not None:
            return "removal by a surrogate"
        return f"baseline {baseline}" if isinstance(baseline, str) else "baseline of the user's own"

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


def _model_of(y: Any, model: Any) -> Any:
    """The model may come second, as in ``fit(X, model)``, or by name."""
    if model is not None:
        return model
    if y is None:
        raise TypeError(
            "fit needs the fitted model to explain: fit(X, model), or fit(X, model=model)."
        )
    if isinstance(y, list | tuple) or hasattr(y, "__array__"):
        raise TypeError(
            f"fit needs the fitted model to explain as its second argument, not labels; got a "
            f"{type(y).__name__}. Call fit(X, model), or fit(X, y, model=model)."
        )
    return y


def _check_not_empty(table: Table) -> None:
    for n, what in ((len(table), "sample"), (table.n_columns, "feature")):
        if n == 0:
            # the wording that scikit-learn's own checks look for
            raise ValueError(
                f"Found array with 0 {what}(s) (shape={table.native.shape}) while a minimum of 1 "
                "is required. Pass at least one row and one column."
            )


def _named(X: Any, table: Table) -> Any:
    """X, for scikit-learn to look at its names, which it refuses to do where they repeat."""
    if table.kind == "numpy" or len(set(table.names)) == table.n_columns:
        return X
    return np.broadcast_to(0.0, table.native.shape)


def _listed(classes: np.ndarray | None) -> list[Any] | None:
    return None if classes is None else classes.tolist()


def _same_classes(known: np.ndarray | None, fitted: np.ndarray | None) -> bool:
    """Whether a model's classes are those fitted on; a bare function numbers its own."""
    if known is None or fitted is None:
        return known is fitted
    return known.tolist() in (fitted.tolist(), list(range(len(fitted))))


def _display(table: Table, masker: TabularMasker) -> Any:
    """Readable cells, one a player: a group of columns is shown as its values joined."""
    if masker.n_players == table.n_columns:
        return None
    cells = np.empty((len(table), masker.n_players), dtype=object)
    for player in range(masker.n_players):
        columns = np.flatnonzero(masker.player_of_column_ == player)
        parts = [np.asarray(table.column(int(j)), dtype=object) for j in columns]
        joined = zip(*parts, strict=True)
        cells[:, player] = (
            parts[0] if len(parts) == 1 else [", ".join(map(str, values)) for values in joined]
        )
    return cells
