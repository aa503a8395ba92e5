"""Labels of masked copies against enumeration of the copies themselves."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastexplain import TabularMasker
from fastexplain.labels import ExactShapley, masked_copies
from fastexplain.masked_model import MaskedModel
from fastexplain.predictors import make_predictor
from fastexplain.tables import Table, as_table


def game(seed, n_features, groups=None, baseline="zero"):
    rng = np.random.default_rng(seed)
    weights = rng.normal(size=(n_features, 2))

    def model(x):
        return np.stack([np.tanh(x @ weights[:, 0]) + x[:, 0] * x[:, -1], x @ weights[:, 1]], 1)

    X = np.round(rng.normal(size=(6, n_features)))
    masker = TabularMasker(baseline, groups=groups).fit(X)
    return MaskedModel(make_predictor(model, X, output="regression"), masker), as_table(X)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), n_features=st.integers(1, 6), n_copies=st.integers(0, 4))
def test_copies_have_the_labels_that_enumeration_gives_them(seed, n_features, n_copies):
    masked, table = game(seed, n_features)
    made = masked_copies(masked, table, n_copies, np.random.default_rng(seed), most_removed=0.6)
    assert made.values.shape == (6, n_copies + 1, n_features, 2)
    for copy in range(n_copies + 1):
        rows = Table(np.where(made.keep[:, copy], table.native, 0.0))
        truth = ExactShapley().labels(masked, rows, np.random.default_rng(0))
        np.testing.assert_allclose(made.values[:, copy], truth.values, atol=1e-12)
        np.testing.assert_allclose(made.full[:, copy], truth.full, atol=1e-12)


def test_copies_cost_no_query_and_the_first_is_the_row():
    masked, table = game(0, 5)
    masked_copies(masked, table, 0, np.random.default_rng(0))
    alone = masked.n_queries
    made = masked_copies(masked, table, 9, np.random.default_rng(0))
    assert masked.n_queries == 2 * alone
    assert made.keep[:, 0].all() and not made.keep[:, 1:].all()


def test_groups_are_removed_together():
    masked, table = game(1, 5, groups={"ends": [0, 4]})
    made = masked_copies(masked, table, 5, np.random.default_rng(0), most_removed=0.9)
    player = masked.masker.player_of_column_
    rows = Table(np.where(made.keep[:, 3][:, player], table.native, 0.0))
    truth = ExactShapley().labels(masked, rows, np.random.default_rng(0))
    np.testing.assert_allclose(made.values[:, 3], truth.values, atol=1e-12)


def test_what_cannot_be_copied_is_said():
    masked, table = game(0, 15, baseline=np.full(15, 0.5))
    with pytest.raises(ValueError, match="14 is the most"):
        masked_copies(masked, table, 1, np.random.default_rng(0))
    masked, table = game(0, 3, baseline=np.zeros((2, 3)))
    with pytest.raises(ValueError, match="single row"):
        masked_copies(masked, table, 1, np.random.default_rng(0))
