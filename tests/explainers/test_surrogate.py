"""Removal by a surrogate: what it answers, and every explainer with it."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

import fastexplain
from fastexplain import (
    CoRTXExplainer,
    ExactExplainer,
    FastSHAPExplainer,
    FEXExplainer,
    RISEExplainer,
    SupervisedExplainer,
    SurrogateRemoval,
)
from fastexplain.removal import draw_masks
from fastexplain.tables import as_table

LEARNED = (FEXExplainer, FastSHAPExplainer, SupervisedExplainer, CoRTXExplainer)
SMALL = {"hidden_dim": 32, "n_blocks": 1, "max_steps": 300, "batch_size": 128}

pytestmark = pytest.mark.filterwarnings("ignore:The explainer agrees poorly")


def learner(kind, **params):
    settings = {"n_queries": 8000, "hidden_dim": 16, "n_blocks": 1, "max_steps": 60}
    if kind is CoRTXExplainer:
        settings |= {"contrastive_steps": 3, "n_positives": 4}
    return kind(**(settings | {"random_state": 0, "removal": SurrogateRemoval(**SMALL)} | params))


@pytest.mark.slow
def test_it_answers_with_the_expectation_given_what_is_kept():
    # two copies of one coin and a coin of its own: what the first tells, the second tells
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 2, (2, 2000))
    X = np.column_stack([a, a, b]).astype(float)
    model = LinearRegression().fit(X, X @ [1.0, 1.0, 2.0])
    removal = SurrogateRemoval(**(SMALL | {"max_steps": 1500, "hidden_dim": 64}))
    explainer = ExactExplainer("shapley", removal=removal, random_state=0).fit(X, model)
    rows = np.array([[1.0, 1.0, 1.0], [0.0, 0.0, 1.0]])
    masks = np.array([[m >> j & 1 for j in range(3)] for m in range(8)], dtype=bool)
    found = explainer._masked.values(as_table(rows), masks).numpy()[:, :, 0]
    expected = np.empty((2, 8))
    f = model.predict(X)
    for i, row in enumerate(rows):
        for t, mask in enumerate(masks):
            like = (X[:, mask] == row[mask]).all(axis=1)
            expected[i, t] = f[like].mean()
    np.testing.assert_allclose(found, expected, atol=0.12)
    # the features are one another's likeness, so that each has half of what both say
    values = explainer.explain(rows).values
    np.testing.assert_allclose(values[0, 0], values[0, 1], atol=0.1)
    # v(none) comes from a network in single precision, asked in batches of other sizes
    total = model.predict(rows) - explainer.base_values_
    np.testing.assert_allclose(values.sum(axis=1), total, atol=1e-6)


def test_whole_rows_are_the_models_to_answer(numbers, classifier):
    X = numbers[0]
    explainer = ExactExplainer(removal=SurrogateRemoval(**SMALL), random_state=0)
    explainer.fit(X, classifier)
    masked = explainer._masked
    before = masked.n_queries
    masks = np.random.default_rng(0).random((20, 6, 5)) < 0.5
    masks[3:9, 2] = True
    masks[~masks.all(axis=2).any(axis=1), 0, 0] = False
    answers = masked.values(as_table(X[:20]), masks).numpy()
    whole = masks.all(axis=2)
    row = np.nonzero(whole)[0]
    np.testing.assert_allclose(answers[whole], classifier.predict_proba(X[:20])[row])
    # nothing else is asked of the model
    assert masked.n_queries - before == len(np.unique(row))
    np.testing.assert_allclose(answers.sum(axis=2), 1.0, atol=1e-6)


def test_no_feature_is_null_because_of_its_value(numbers, classifier):
    X = numbers[0].copy()
    X[:, 1] = np.where(np.arange(len(X)) % 2, 0.0, X[:, 1])
    explainer = ExactExplainer(
        "shapley", baseline="zero", removal=SurrogateRemoval(**SMALL), random_state=0
    ).fit(X, classifier)
    assert not explainer.masker_.null_players(as_table(X)).any()
    assert (explainer.explain(X[1:40:2]).values[:, 1] != 0.0).any()
    # the user's own masker is left as it was
    plain = ExactExplainer("shapley", baseline="zero").fit(X, classifier)
    assert (plain.explain(X[1:40:2]).values[:, 1] == 0.0).all()


@pytest.mark.parametrize("kind", LEARNED)
def test_learned_explainers(kind, numbers, classifier, tmp_path):
    X = numbers[0]
    explainer = learner(kind).fit(X, classifier)
    explanation = explainer.explain(X[:30])
    assert "surrogate" in explanation.method
    assert np.isfinite(explanation.values).all()
    if kind is not FEXExplainer:
        rows = np.arange(30)
        total = classifier.predict_proba(X[:30])[rows, explanation.target]
        total = total - explainer.base_values_[explanation.target]
        np.testing.assert_allclose(explanation.values.sum(axis=1), total, atol=1e-6)
    explainer.save(tmp_path / "e")
    loaded = fastexplain.load(tmp_path / "e", model=classifier)
    np.testing.assert_array_equal(loaded.explain(X[:30]).values, explanation.values)
    assert loaded.score(X[:20]) == explainer.score(X[:20])
    assert loaded.removal_.loss_ == explainer.removal_.loss_
    again = pickle.loads(pickle.dumps(explainer)).attach_model(classifier)
    assert again.score(X[:20]) == explainer.score(X[:20])
    # other coalitions are learned from than a baseline's
    plain = learner(kind, removal="baseline").fit(X, classifier)
    assert plain.removal_ is None
    assert not np.allclose(plain.explain(X[:30]).values, explanation.values)


def test_explainers_share_a_trained_surrogate(numbers, classifier):
    X = numbers[0]
    first = ExactExplainer("shapley", removal=SurrogateRemoval(**SMALL), random_state=0)
    first.fit(X, classifier)
    second = RISEExplainer(removal=first.removal_, n_masks=50, random_state=0).fit(X, classifier)
    assert second.removal_ is first.removal_
    assert not hasattr(clone(first.removal_), "loss_")
    with pytest.raises(ValueError, match="other features or outputs"):
        ExactExplainer(removal=first.removal_).fit(
            X[:, :4], LinearRegression().fit(X[:, :4], X[:, 0])
        )


@pytest.mark.parametrize(
    "name",
    [
        "hidden_dim",
        "n_blocks",
        "max_steps",
        "batch_size",
        "learning_rate",
        "weight_decay",
        "validation_fraction",
    ],
)
def test_every_parameter_matters(name, numbers, classifier):
    X = numbers[0]
    other = {
        "hidden_dim": 16,
        "n_blocks": 2,
        "max_steps": 20,
        "batch_size": 64,
        "learning_rate": 1e-3,
        "weight_decay": 10.0,
        "validation_fraction": 0.3,
    }
    short = SMALL | {"max_steps": 30}
    found = [
        ExactExplainer(removal=SurrogateRemoval(**settings), random_state=0)
        .fit(X, classifier)
        .explain(X[:10])
        .values
        for settings in (short, short, short | {name: other[name]})
    ]
    np.testing.assert_array_equal(found[0], found[1])
    assert not np.array_equal(found[0], found[2])


def test_patience_ends_training(numbers, classifier):
    removal = SurrogateRemoval(**(SMALL | {"max_steps": 800, "patience": 1, "learning_rate": 0.1}))
    explainer = ExactExplainer(removal=removal, random_state=0).fit(numbers[0], classifier)
    assert explainer.removal_.n_iter_ < 800


def test_frames_with_categories_and_groups():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "city": rng.choice(["a", "b", "c"], 300),
            "x": rng.normal(size=300),
            "z": rng.normal(size=300),
        }
    )
    frame.loc[::7, "x"] = np.nan
    y = (frame["city"] == "a") ^ (frame["z"] > 0)
    model = make_pipeline(
        ColumnTransformer([("c", OneHotEncoder(), ["city"])], remainder="passthrough"),
        LogisticRegression(),
    ).fit(frame.fillna({"x": 0.0}), y)

    def predict(rows):
        return model.predict_proba(rows.fillna({"x": 0.0}))

    explainer = ExactExplainer(
        "shapley", groups={"numbers": ["x", "z"]}, removal=SurrogateRemoval(**SMALL), random_state=0
    ).fit(frame, predict)
    values = explainer.explain(frame[:20], target=1).values
    assert values.shape == (20, 2)
    np.testing.assert_allclose(
        values.sum(axis=1), predict(frame[:20])[:, 1] - explainer.base_values_[1], atol=1e-6
    )


def test_bad_removal(numbers, classifier):
    X = numbers[0]
    with pytest.raises(ValueError, match="removal must be"):
        ExactExplainer(removal="conditional").fit(X, classifier)
    bad = {"max_steps": 0, "hidden_dim": 2.5, "n_blocks": -1, "learning_rate": "fast"}
    bad |= {"weight_decay": -1.0, "validation_fraction": 1.0, "patience": True}
    for name, value in bad.items():
        with pytest.raises(ValueError, match=name):
            ExactExplainer(removal=SurrogateRemoval(**{name: value})).fit(X, classifier)


def test_masks_of_every_size():
    masks = draw_masks(7000, 6, torch.Generator().manual_seed(0))
    share = np.bincount(masks.sum(dim=1).numpy(), minlength=7) / 7000
    np.testing.assert_allclose(share, 1 / 7, atol=0.02)
    np.testing.assert_allclose(masks.float().mean(dim=0).numpy(), 0.5, atol=0.03)
