"""Another model than the one that was explained is noticed, of whatever size its outputs are."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from folders import SMALL
from sklearn.linear_model import LinearRegression, LogisticRegression

import fastexplain
from fastexplain import FastSHAPExplainer, FEXExplainer
from fastexplain.readers._state import warn_if_changed

pytestmark = pytest.mark.filterwarnings(
    "ignore:The explainer agrees poorly", "ignore:These explanations tell nothing"
)

X = np.random.default_rng(0).normal(size=(120, 4))
Y = np.digitize(X[:, 0] + X[:, 1], [-0.5, 0.5])


def is_noticed(before: Any, now: Any) -> bool:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warn_if_changed(torch.as_tensor(before), torch.as_tensor(now))
    return any("not the one that was explained" in str(w.message) for w in caught)


def column(values: Any, dtype: Any = np.float64) -> np.ndarray:
    return np.asarray(values, dtype=dtype)[:, None]


@pytest.mark.parametrize("size", [1e-12, 1e-6, 1.0, 1e6, 1e12])
@pytest.mark.parametrize("offset", [0.0, 1e3, -1e6])
def test_differences_count_beside_the_spread(size: float, offset: float) -> None:
    answers = column(np.linspace(-size, size, 16) + offset * size)
    assert not is_noticed(answers, answers)
    assert not is_noticed(answers, answers + 1e-3 * size)
    assert is_noticed(answers, answers + 5e-3 * size)


def test_each_output_counts_by_its_own_spread() -> None:
    large, small = np.linspace(-1e6, 1e6, 16), np.linspace(-1e-3, 1e-3, 16)
    answers = np.column_stack([large, small])
    assert is_noticed(answers, np.column_stack([large, -small]))
    assert not is_noticed(answers, np.column_stack([large + 100, small]))


def test_outputs_that_do_not_move_count_by_their_rounding() -> None:
    third = column(np.full(16, 1 / 3))
    assert not is_noticed(third, np.nextafter(third, 1))
    assert is_noticed(third, third + 1e-12)
    single = column(np.full(16, 1 / 3), np.float32)
    assert not is_noticed(single, np.nextafter(single, np.float32(1)))
    assert is_noticed(single, single + np.float32(1e-5))
    # numbers of single precision that a model gives in double are single ones all the same
    assert not is_noticed(single.astype(np.float64), np.nextafter(single, np.float32(1)))
    assert not is_noticed(column(np.zeros(16)), column(np.zeros(16)))
    assert is_noticed(column(np.zeros(16)), column(np.full(16, 1e-9)))


def test_the_last_digit_of_large_numbers_is_no_other_model() -> None:
    answers = column(1.7e9 + 300 * np.linspace(-1, 1, 16), np.float32)
    assert not is_noticed(answers, np.nextafter(answers, np.float32(np.inf)))
    assert is_noticed(answers, answers + np.float32(1024))


def test_other_shapes_are_an_error() -> None:
    with pytest.raises(ValueError, match=r"shape \(16, 1\); at fit it was \(16, 2\)"):
        warn_if_changed(torch.zeros(16, 2), torch.zeros(16, 1))


def test_outputs_of_billions_that_differ_by_hundreds(tmp_path: Path) -> None:
    first = LinearRegression().fit(X, 100 * X[:, 0] + 1.7e9)
    second = LinearRegression().fit(X, -300 * X[:, 3] + 1.7e9)
    FastSHAPExplainer(**SMALL).fit(X, first).save(tmp_path / "saved")
    with pytest.warns(UserWarning, match="not the one that was explained.*fit again") as caught:
        fastexplain.load(tmp_path / "saved", model=second)
    # said at the user's own line
    assert [warning.filename for warning in caught] == [__file__]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fastexplain.load(tmp_path / "saved", model=first)


def test_another_classifier(tmp_path: Path) -> None:
    FEXExplainer(**SMALL).fit(X, LogisticRegression().fit(X, Y)).save(tmp_path / "saved")
    with pytest.warns(UserWarning, match="not the one that was explained"):
        fastexplain.load(tmp_path / "saved", model=LogisticRegression(C=1e-3).fit(X, Y))
    with pytest.raises(ValueError, match="has outputs"):
        fastexplain.load(tmp_path / "saved", model=LogisticRegression().fit(X, Y > 0))


def test_another_regressor_of_small_outputs(tmp_path: Path) -> None:
    first, second = (LinearRegression().fit(X, X[:, j] * 1e-6) for j in (0, 1))
    FEXExplainer(**SMALL).fit(X, first).save(tmp_path / "saved")
    with pytest.warns(UserWarning, match="not the one that was explained"):
        fastexplain.load(tmp_path / "saved", model=second)
