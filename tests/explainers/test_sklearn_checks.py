"""scikit-learn's own estimator checks.

The checks call ``fit(X, y)`` with labels and never with a model, so that test-only subclasses
put a model in the labels' place. Nothing else is changed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from fastexplain import ExactExplainer, FEXExplainer, RISEExplainer


def toy_model(X: Any) -> np.ndarray:
    """Two probabilities for each row, whatever its width and values."""
    cells = np.nan_to_num(np.asarray(X, dtype=float), posinf=1.0, neginf=-1.0)
    score = 1.0 / (1.0 + np.exp(-np.tanh(cells) @ (1.0 + np.arange(cells.shape[1]))))
    return np.column_stack([1.0 - score, score])


def _is_model(y: Any) -> bool:
    return callable(y)


class FEXOnToy(FEXExplainer):
    def fit(self, X: Any, y: Any = None, *, model: Any = None) -> FEXOnToy:
        return super().fit(X, y if _is_model(y) else toy_model, model=model)


class ExactOnToy(ExactExplainer):
    def fit(self, X: Any, y: Any = None, *, model: Any = None) -> ExactOnToy:
        return super().fit(X, y if _is_model(y) else toy_model, model=model)


class RISEOnToy(RISEExplainer):
    def fit(self, X: Any, y: Any = None, *, model: Any = None) -> RISEOnToy:
        return super().fit(X, y if _is_model(y) else toy_model, model=model)


ESTIMATORS = [
    FEXOnToy(n_queries=2000, n_masks=16, hidden_dim=8, n_blocks=1, max_steps=10, random_state=0),
    ExactOnToy(),
    RISEOnToy(n_masks=20, random_state=0),
]


@pytest.mark.filterwarnings("ignore:The explainer agrees poorly")
@parametrize_with_checks(ESTIMATORS, expected_failed_checks=lambda estimator: {}, xfail_strict=True)
def test_sklearn_check(estimator: Any, check: Any) -> None:
    check(estimator)
