"""What the tests of explainers share: quick settings, small data, one thread."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.compose import make_column_transformer
from sklearn.datasets import make_classification
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from fastexplain import FEXExplainer


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> Iterator[None]:
    """Networks here are so small that waking a second thread costs more than it saves."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def _quick(**params: Any) -> FEXExplainer:
    settings: dict[str, Any] = {
        "n_queries": 8000,
        "n_masks": 32,
        "hidden_dim": 16,
        "n_blocks": 1,
        "max_steps": 40,
        "batch_size": 64,
        "random_state": 0,
    }
    return FEXExplainer(**(settings | params))


@pytest.fixture(scope="session")
def quick() -> Any:
    """A maker of explainers that fit in a fraction of a second."""
    return _quick


@pytest.fixture(scope="session")
def numbers() -> tuple[np.ndarray, np.ndarray]:
    """200 rows of five numbers in three classes."""
    return make_classification(200, 5, n_informative=4, n_redundant=0, n_classes=3, random_state=0)


@pytest.fixture(scope="session")
def classifier(numbers: Any) -> LogisticRegression:
    return LogisticRegression(max_iter=500).fit(*numbers)


@pytest.fixture(scope="session")
def fitted(numbers: Any, classifier: Any) -> FEXExplainer:
    """An explainer that tests must not change."""
    return _quick().fit(numbers[0], classifier)


def _people(n: int = 200) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "age": rng.integers(18, 80, n),
            "pay": np.where(rng.random(n) < 0.2, np.nan, rng.gamma(2.0, 20.0, n)),
            "town": rng.choice(["Rome", "Bonn", "Oslo"], n),
            "work": pd.Categorical(rng.choice(["none", "part", "full"], n)),
            "owner": rng.random(n) < 0.5,
        }
    )
    frame.loc[frame.index[::7], "town"] = None
    return frame


@pytest.fixture
def people() -> pd.DataFrame:
    """A frame of whole numbers, missing numbers, text with gaps, categories and booleans."""
    return _people()


@pytest.fixture(scope="session")
def people_model() -> Any:
    """A pipeline fitted on the raw frame, with text for classes."""
    frame = _people()
    score = frame["age"] / 80 + (frame["work"] == "full") + 0.5 * (frame["town"] == "Rome")
    encoder = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["town", "work"]),
        (SimpleImputer(), ["age", "pay"]),
        ("passthrough", ["owner"]),
    )
    booster = HistGradientBoostingClassifier(max_iter=10, random_state=0)
    return make_pipeline(encoder, booster).fit(frame, np.where(score > 1.2, "rich", "poor"))


@pytest.fixture(scope="session")
def people_explainer(people_model: Any) -> FEXExplainer:
    """An explainer of the frame's pipeline that tests must not change."""
    return _quick(max_steps=200).fit(_people(), people_model)
