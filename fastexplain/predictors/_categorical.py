"""Columns of numbers that a model reads as categories, where it knows: boosters and forests.

Libraries are looked up among the imported modules: whoever has a booster has imported its
library, and nobody else has to.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from typing import Any

import numpy as np

from fastexplain.predictors._bound import owner_of

__all__ = ["categorical_columns"]

# what LightGBM, XGBoost and CatBoost call the columns of arrays
_MADE_UP = re.compile(r"(Column_|f)?\d+")


def categorical_columns(model: Any, table_names: list[str]) -> list[int]:
    """Positions of the table's columns that a fitted model reads as categories.

    Known are models of LightGBM, XGBoost, CatBoost and scikit-learn's histogram gradient
    boosting, their boosters, their bound methods, and searches and pipelines around them that hand
    on the table's own columns. A pipeline that transforms columns first knows nothing of these.

    Parameters
    ----------
    model : object
        Any model.
    table_names : list of str
        Names of the table's columns. A model that was fitted on another number of columns, or on
        other names, knows nothing of them.

    Returns
    -------
    list of int
        In order; empty where the model does not say.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.ensemble import HistGradientBoostingClassifier
    >>> from fastexplain.predictors._categorical import categorical_columns
    >>> X = np.array([[0, 1.5], [1, 2.5], [2, 0.5]] * 10)
    >>> model = HistGradientBoostingClassifier(categorical_features=[0]).fit(X, X[:, 0] == 1)
    >>> categorical_columns(model.predict_proba, ["shop", "price"])
    [0]
    """
    found: set[int] = set()
    for part in _innermost(owner_of(model)):
        for read in (_of_lightgbm, _of_xgboost, _of_catboost, _of_histograms):
            found |= set(read(part, table_names))
    return sorted(found)


def _innermost(model: Any) -> Iterable[Any]:
    """The models that are handed a model's own columns; the model itself where it holds none."""
    pipeline = _class("sklearn.pipeline", "Pipeline")
    if pipeline is not None and isinstance(model, pipeline):
        *before, (_, last) = model.steps
        if any(step is not None and step != "passthrough" for _, step in before):
            return []
        return _innermost(last)
    frozen = _class("sklearn.frozen", "FrozenEstimator")
    if frozen is not None and isinstance(model, frozen):
        return _innermost(model.estimator)
    # a search's best model, and the regressor of a transformed target, see X as it is
    for name in ("best_estimator_", "regressor_"):
        if hasattr(model, name):
            return _innermost(getattr(model, name))
    parts = getattr(model, "calibrated_classifiers_", None)
    if isinstance(parts, list) and all(hasattr(part, "estimator") for part in parts):
        return [inner for part in parts for inner in _innermost(part.estimator)]
    return [model]


def _class(module: str, name: str) -> Any:
    return getattr(sys.modules.get(module), name, None)


def _fits(names: Any, n_features: int, table_names: list[str]) -> bool:
    """Whether a model was fitted on these columns; made-up names say nothing against it."""
    if n_features != len(table_names):
        return False
    if names is None or len(names) != n_features:
        return True
    own = [str(name) for name in names]
    made_up = all(_MADE_UP.fullmatch(name) for name in own)
    # LightGBM writes characters of its own in the place of some
    same = [a == b or _plain(a) == _plain(b) for a, b in zip(own, table_names, strict=True)]
    return made_up or all(same) or _are_numbered(table_names)


def _plain(name: str) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in name)


def _are_numbered(names: list[str]) -> bool:
    """Whether the table is an array, whose columns have no names of their own."""
    return names == [f"x{j}" for j in range(len(names))]


def _of_lightgbm(model: Any, table_names: list[str]) -> Iterable[int]:
    kind = _class("lightgbm", "Booster")
    if kind is None:
        return []
    booster = model if isinstance(model, kind) else _fitted(model, "booster_")
    if not isinstance(booster, kind):
        return []
    names = booster.feature_name()
    if not _fits(names, booster.num_feature(), table_names):
        return []
    # of categories the header lists the values; one tree is enough to have it
    told = booster.dump_model(num_iteration=1).get("feature_infos", {})
    return [j for j, name in enumerate(names) if told.get(name, {}).get("values")]


def _of_xgboost(model: Any, table_names: list[str]) -> Iterable[int]:
    kind = _class("xgboost", "Booster")
    if kind is None:
        return []
    booster = model if isinstance(model, kind) else _called(model, "get_booster")
    if not isinstance(booster, kind):
        return []
    types = booster.feature_types
    if types is None or not _fits(booster.feature_names, len(types), table_names):
        return []
    return [j for j, name in enumerate(types) if name == "c"]


def _of_catboost(model: Any, table_names: list[str]) -> Iterable[int]:
    indices = _called(model, "get_cat_feature_indices")
    if indices is None:
        return []
    names = getattr(model, "feature_names_", None)
    n_features = len(table_names) if names is None else len(names)
    if not _fits(names, n_features, table_names):
        return []
    return [int(j) for j in indices]


def _of_histograms(model: Any, table_names: list[str]) -> Iterable[int]:
    flags = getattr(model, "is_categorical_", None)
    if flags is None or np.ndim(flags) != 1:
        return []
    if not _fits(getattr(model, "feature_names_in_", None), len(flags), table_names):
        return []
    return np.flatnonzero(flags).tolist()


def _fitted(model: Any, name: str) -> Any:
    """An attribute that a model has once it is fitted, or None."""
    try:
        return getattr(model, name, None)
    except Exception:  # libraries have errors of their own for models that are not fitted
        return None


def _called(model: Any, name: str) -> Any:
    """What a method without arguments answers, or None."""
    method = _fitted(model, name)
    try:
        return method() if callable(method) else None
    except Exception:
        return None
