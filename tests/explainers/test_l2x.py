"""L2X: it finds the features that tell, row by row."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from sklearn.linear_model import LinearRegression

import fastexplain
from fastexplain import L2XExplainer

pytestmark = pytest.mark.filterwarnings("ignore:The explainer agrees poorly")


def quick(**params):
    settings = {"n_queries": 3000, "hidden_dim": 16, "n_blocks": 1, "max_steps": 40}
    return L2XExplainer(**(settings | {"batch_size": 64, "random_state": 0} | params))


def switching(n=3000):
    """The last feature says which of two pairs the answer depends on."""
    X = np.random.default_rng(0).normal(size=(n, 5))

    def model(rows):
        first = rows[:, 4] > 0
        return np.where(first, rows[:, 0] + rows[:, 1], rows[:, 2] + rows[:, 3])

    return X, model


@pytest.mark.parametrize(
    "kind", ["regression", pytest.param("classification", marks=pytest.mark.slow)]
)
def test_it_selects_what_the_answer_depends_on(kind):
    X, score = switching()

    def probabilities(rows):
        p = 1.0 / (1.0 + np.exp(-2.0 * score(rows)))
        return np.column_stack([1 - p, p])

    model = score if kind == "regression" else probabilities
    explainer = quick(
        n_selected=3, max_steps=500, hidden_dim=64, n_queries=20_000, learning_rate=3e-3
    ).fit(X, model)
    values = explainer.explain(X[:400], target=0).values
    first = X[:400, 4] > 0
    other = X[:400, 4] < 0
    assert values[first][:, :2].mean() > 1.5 * values[first][:, 2:4].mean()
    assert values[other][:, 2:4].mean() > 1.5 * values[other][:, :2].mean()
    assert explainer.best_score_ > 0.6


def test_values_are_chances(numbers, classifier):
    X = numbers[0].copy()
    X[::3, 1] = 0.0
    explainer = quick(baseline="zero").fit(X, classifier)
    values = explainer.explain(X, target="all").values
    np.testing.assert_allclose(values.sum(axis=1), 1.0)
    assert (values >= 0).all()
    np.testing.assert_array_equal(values[:, :, 0], values[:, :, 2])
    assert (values[::3, 1] == 0.0).all()
    # a row of nothing but the baseline has nothing to choose from
    assert (explainer.explain(np.zeros((1, 5)), target="all").values == 0.0).all()
    assert explainer.n_selected_ == 2


def test_the_model_is_asked_for_whole_rows_once(numbers, classifier):
    X = numbers[0]
    asked = []

    def model(rows):
        asked.append(np.array(rows))
        return classifier.predict_proba(rows)

    explainer = quick(n_queries=150, max_steps=20, patience=1).fit(X, model)
    assert explainer.n_model_queries_ == sum(map(len, asked[1:]))  # one look at the outputs' kind


def test_every_parameter_matters(numbers, classifier):
    X = numbers[0]
    first, again = (quick().fit(X, classifier).explain(X[:9]).values for _ in range(2))
    np.testing.assert_array_equal(first, again)
    others = {
        "n_selected": 4,
        "temperature": 2.0,
        "baseline": "zero",
        "n_queries": 1000,
        "hidden_dim": 8,
        "n_blocks": 2,
        "max_steps": 20,
        "batch_size": 32,
        "learning_rate": 1e-2,
        "weight_decay": 10.0,
        "validation_fraction": 0.4,
        "random_state": 1,
    }
    for name, value in others.items():
        changed = quick(**{name: value}).fit(X, classifier).explain(X[:9]).values
        assert not np.array_equal(first, changed), name


def test_marginal_baseline_and_groups(numbers, classifier):
    X = numbers[0]
    explainer = quick(baseline="marginal", groups={"pair": [0, 1]}).fit(X, classifier)
    assert explainer.explain(X[:5]).values.shape == (5, 4)


def test_saved_pickled_and_taken_up(numbers, classifier, tmp_path, monkeypatch):
    X = numbers[0]
    explainer = quick().fit(X, classifier)
    values = explainer.explain(X[:9], target=0).values
    explainer.save(tmp_path / "l2x")
    loaded = fastexplain.load(tmp_path / "l2x")
    np.testing.assert_array_equal(loaded.explain(X[:9], target=0).values, values)
    assert loaded.n_selected_ == explainer.n_selected_
    again = pickle.loads(pickle.dumps(explainer))
    np.testing.assert_array_equal(again.explain(X[:9], target=0).values, values)

    # an interrupted run that is taken up ends as one that was not
    from fastexplain.training import TargetPool

    given, batch = [], TargetPool.batch

    def interrupted(self, module, generator):
        given.append(1)
        if len(given) == 25:
            raise KeyboardInterrupt
        return batch(self, module, generator)

    monkeypatch.setattr(TargetPool, "batch", interrupted)
    with pytest.warns(UserWarning, match="interrupted"):
        quick(checkpoint=tmp_path / "run").fit(X, classifier)
    monkeypatch.undo()
    resumed = quick(checkpoint=tmp_path / "run").fit(X, classifier)
    np.testing.assert_allclose(resumed.explain(X[:9], target=0).values, values, rtol=1e-6)


@pytest.mark.parametrize(
    ("params", "match"),
    [
        ({"n_selected": 6}, "more than the 5"),
        ({"n_selected": 0}, "n_selected"),
        ({"temperature": 0.0}, "temperature"),
        ({"temperature": "cold"}, "temperature"),
    ],
)
def test_bad_parameters(params, match, numbers, classifier):
    with pytest.raises(ValueError, match=match):
        quick(**params).fit(numbers[0], classifier)


def test_a_constant_model(numbers):
    explainer = quick().fit(numbers[0], LinearRegression().fit(numbers[0], np.zeros(200)))
    assert np.isfinite(explainer.explain(numbers[0]).values).all()
    assert torch.isfinite(torch.tensor(explainer.history_["loss"])).all()
