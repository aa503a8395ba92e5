"""Input that is wrong, or as small or odd as it may be: it works, or the error says why."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression, LogisticRegression

from fastexplain import (
    ConceptSetExplainer,
    CoRTXExplainer,
    ExactExplainer,
    FastSHAPExplainer,
    FEXExplainer,
    L2XExplainer,
    RISEExplainer,
    SupervisedExplainer,
)

pytestmark = [
    pytest.mark.filterwarnings("ignore:The explainer agrees poorly"),
    # many models here say the same whatever they are asked
    pytest.mark.filterwarnings("ignore:Removing all features"),
]


def probabilities(X: np.ndarray) -> np.ndarray:
    """Two classes of rows of any width; missing cells count as zero."""
    score = 1.0 / (1.0 + np.exp(-np.nan_to_num(np.asarray(X, float)).sum(axis=1)))
    return np.column_stack([1.0 - score, score])


def draw(n: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(n, width))


KINDS = [
    FEXExplainer,
    ExactExplainer,
    RISEExplainer,
    FastSHAPExplainer,
    SupervisedExplainer,
    CoRTXExplainer,
    L2XExplainer,
    ConceptSetExplainer,
]
SMALL: dict[str, Any] = {"n_queries": 4000, "hidden_dim": 8, "n_blocks": 1, "max_steps": 5}


@pytest.fixture(
    params=["FEX", "PPO", "exact", "RISE", "FastSHAP", "supervised", "CoRTX", "L2X", "concepts"]
)
def explainer(request: Any, quick: Any) -> Any:
    made = {
        "FEX": quick,
        "PPO": lambda: quick(objective="ppo"),
        "exact": ExactExplainer,
        "RISE": lambda: RISEExplainer(20, random_state=0),
        "FastSHAP": lambda: FastSHAPExplainer(**SMALL, random_state=0),
        "supervised": lambda: SupervisedExplainer(**SMALL, random_state=0),
        "CoRTX": lambda: CoRTXExplainer(**SMALL, contrastive_steps=2, random_state=0),
        "L2X": lambda: L2XExplainer(**SMALL, random_state=0),
        "concepts": lambda: ConceptSetExplainer(**SMALL, n_sets=4, random_state=0),
    }
    return made[request.param]()


# -- unfitted --------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "call",
    [
        lambda e: e.explain(np.zeros((1, 2))),
        lambda e: e(np.zeros((1, 2))),
        lambda e: e.transform(np.zeros((1, 2))),
        lambda e: e.score(np.zeros((1, 2))),
        lambda e: e.get_feature_names_out(),
        lambda e: e.attach_model(probabilities),
    ],
)
def test_unfitted(kind: Any, call: Any) -> None:
    with pytest.raises(NotFittedError, match="Call 'fit'"):
        call(kind())


def test_unfitted_save(tmp_path: Any) -> None:
    with pytest.raises(NotFittedError, match="Call 'fit'"):
        FEXExplainer().save(tmp_path / "none")
    assert not any(tmp_path.iterdir())


# -- the model -------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "labels", [[0, 1] * 10, np.zeros(20), pd.Series([0, 1] * 10), torch.zeros(20), "yes"]
)
def test_labels_in_place_of_the_model(explainer: Any, labels: Any) -> None:
    with pytest.raises(TypeError, match="labels"):
        explainer.fit(draw(20, 3), labels)


def test_no_model(explainer: Any) -> None:
    with pytest.raises(TypeError, match=r"fit\(X, model\)"):
        explainer.fit(draw(20, 3))


def test_class_in_place_of_a_model(explainer: Any) -> None:
    with pytest.raises(TypeError, match="fitted instance"):
        explainer.fit(draw(20, 3), LogisticRegression)


def test_unfitted_model(explainer: Any) -> None:
    with pytest.raises(NotFittedError, match="LogisticRegression must be fitted"):
        explainer.fit(draw(20, 3), LogisticRegression())


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_model_that_answers_nan(explainer: Any, bad: float) -> None:
    def model(X: np.ndarray) -> np.ndarray:
        out = probabilities(X)
        out[X[:, 0] > 0] = bad
        return out

    with pytest.raises(ValueError, match=r"answered (NaN|infinity).*row"):
        explainer.fit(draw(50, 3), model)


def test_a_model_that_answers_nan_to_masked_rows_only(explainer: Any) -> None:
    X = draw(50, 3)
    base = X.mean(axis=0)

    def model(X: np.ndarray) -> np.ndarray:
        out = probabilities(X)
        out[(base == X).sum(axis=1) == 1] = np.nan
        return out

    with pytest.raises(ValueError, match=r"NaN or infinity.*row \d+ .*baseline="):
        explainer.fit(X, model).explain(X)


def test_a_model_that_always_answers_the_same(explainer: Any) -> None:
    X = draw(50, 3)
    explainer.fit(X, lambda X: np.full((len(X), 2), 0.5))
    values = explainer.explain(X, "all").values
    assert np.isfinite(values).all()
    # RISE's few masks are noise, each row's of its own: 0.11 is one standard error
    assert np.ptp(values) < (0.9 if isinstance(explainer, RISEExplainer) else 0.4)


def test_a_regressor_that_always_answers_the_same(explainer: Any) -> None:
    X = draw(50, 3)
    explainer.fit(X, LinearRegression().fit(X, np.full(50, 7.0)))
    assert np.isfinite(explainer.explain(X).values).all()


def test_outputs_of_zero(explainer: Any) -> None:
    X = draw(50, 3)
    explainer.fit(X, lambda X: np.repeat([[1.0, 0.0]], len(X), axis=0))
    assert np.isfinite(explainer.explain(X, "all").values).all()


def test_one_class(explainer: Any) -> None:
    from sklearn.dummy import DummyClassifier

    X = draw(20, 3)
    with pytest.raises(ValueError, match="single class"):
        explainer.fit(X, DummyClassifier().fit(X, np.zeros(20)))


def test_a_model_of_another_width(explainer: Any) -> None:
    X = draw(30, 3)
    with pytest.raises(ValueError, match="features"):
        explainer.fit(X[:, :2], LogisticRegression().fit(X, X[:, 0] > 0))


# -- X at fit --------------------------------------------------------------------------------
def test_empty_x(explainer: Any) -> None:
    with pytest.raises(ValueError, match=r"0 sample\(s\).*at least one row"):
        explainer.fit(np.zeros((0, 3)), probabilities)
    with pytest.raises(ValueError, match=r"0 feature\(s\)"):
        explainer.fit(np.zeros((3, 0)), probabilities)
    explainer.fit(draw(20, 3), probabilities)
    with pytest.raises(ValueError, match=r"0 sample\(s\)"):
        explainer.explain(np.zeros((0, 3)))


def test_an_all_nan_column(explainer: Any) -> None:
    X = draw(40, 3)
    X[:, 1] = np.nan
    explainer.fit(X, probabilities)
    explanation = explainer.explain(X, 1)
    assert np.isfinite(explanation.values).all()
    if not isinstance(explainer, RISEExplainer):  # which does not know null players
        # a Shapley value without effect is zero
        neutral = explanation.neutral_values
        np.testing.assert_allclose(explanation.values[:, 1], 0.0 if neutral is None else neutral)


def test_an_all_missing_column_of_text(explainer: Any) -> None:
    frame = pd.DataFrame({"a": draw(40, 1)[:, 0], "b": [None] * 40})
    explainer.fit(frame, lambda X: probabilities(X[["a"]]))
    assert np.isfinite(explainer.explain(frame, 1).values).all()


def test_one_row(explainer: Any) -> None:
    X = draw(1, 3)
    explainer.fit(X, probabilities)
    assert np.isfinite(explainer.explain(X).values).all()
    # the row is its own mean, so that nothing is to be explained there; others still work
    assert np.isfinite(explainer.explain(X + 1).values).all()


def test_one_feature(explainer: Any) -> None:
    X = draw(40, 1)
    explainer.fit(X, probabilities)
    explanation = explainer.explain(X)
    assert explanation.values.shape == (40, 1)
    assert np.isfinite(explanation.values).all()
    assert np.isfinite(explainer.score(X))


def test_zero_variance(explainer: Any) -> None:
    X = draw(40, 3)
    X[:, 2] = 5.0
    explainer.fit(X, probabilities)
    assert np.isfinite(explainer.explain(X).values).all()
    explainer.fit(np.full((40, 3), 5.0), probabilities)
    assert np.isfinite(explainer.explain(np.full((2, 3), 5.0)).values).all()


def test_extreme_values(explainer: Any) -> None:
    X = draw(40, 3)
    X[:, 0] *= 1e300
    X[3, 1], X[4, 1] = np.inf, -np.inf
    explainer.fit(X, lambda X: probabilities(np.clip(X, -3, 3)))
    assert np.isfinite(explainer.explain(X).values).all()


def test_five_thousand_features(quick: Any) -> None:
    X = draw(30, 5000).astype(np.float32)
    model = lambda X: probabilities(X[:, :3])  # noqa: E731
    explainer = quick(n_queries=1000, n_masks=16, max_steps=5).fit(X, model)
    assert explainer.explain(X[:4]).values.shape == (4, 5000)
    assert RISEExplainer(10).fit(X, model).explain(X[:2]).values.shape == (2, 5000)
    with pytest.raises(ValueError, match="5000 features.*RISEExplainer"):
        ExactExplainer().fit(X, model).explain(X[:1])


def test_a_list_of_rows(explainer: Any) -> None:
    X = draw(40, 3)
    explainer.fit(X.tolist(), probabilities)
    np.testing.assert_allclose(
        explainer.explain(X.tolist()).values, explainer.explain(X).values, atol=1e-6
    )


@pytest.mark.parametrize("make", [sparse.csr_matrix, sparse.csc_array, sparse.coo_matrix])
def test_sparse_x(explainer: Any, make: Any) -> None:
    X = draw(20, 3)
    with pytest.raises(TypeError, match=r"toarray\(\)"):
        explainer.fit(make(X), probabilities)
    explainer.fit(X, probabilities)
    with pytest.raises(TypeError, match=r"toarray\(\)"):
        explainer.explain(make(X))


@pytest.mark.parametrize(
    ("X", "match"),
    [
        (np.zeros(3), r"two axes.*X\.reshape\(1, -1\)"),
        (np.zeros((2, 1, 1, 3, 4)), "5 axes.*volumes"),
        (5.0, "single number"),
    ],
)
def test_not_two_dimensional(explainer: Any, X: Any, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        explainer.fit(X, probabilities)


def test_cells_that_cannot_be_hashed(explainer: Any) -> None:
    frame = pd.DataFrame({"a": [1.0, 2.0, 3.0], "tags": [["x"], ["y"], ["x"]]})
    with pytest.raises(TypeError, match="'tags'.*hash"):
        explainer.fit(frame, lambda X: probabilities(X[["a"]]))


# -- X at explain ----------------------------------------------------------------------------
def test_wrong_width(explainer: Any) -> None:
    explainer.fit(draw(30, 3), probabilities)
    with pytest.raises(ValueError, match="2 features.*expecting 3"):
        explainer.explain(draw(5, 2))


def test_wrong_columns(people: Any, people_explainer: Any) -> None:
    with pytest.raises(ValueError, match=r"(?s)unseen at fit time.*wage"):
        people_explainer.explain(people.rename(columns={"pay": "wage"}))
    with pytest.raises(ValueError, match="same order"):
        people_explainer.explain(people[["pay", "age", "town", "work", "owner"]])
    with pytest.raises(ValueError, match=r"(?s)seen at fit time, yet now missing.*owner"):
        people_explainer.explain(people.drop(columns="owner"))
    with pytest.raises(ValueError, match="unseen at fit time"):
        people_explainer.explain(people.assign(more=1))


def test_names_that_repeat_or_are_numbers(quick: Any) -> None:
    frame = pd.DataFrame(draw(30, 3), columns=["a", "b", "a"])
    explainer = quick().fit(frame, probabilities)
    with pytest.raises(ValueError, match="same columns in the same order"):
        explainer.explain(frame.iloc[:, [1, 0, 2]])
    numbered = frame.set_axis([3, 4, 5], axis=1)
    explainer = quick().fit(numbered, probabilities)
    with pytest.raises(ValueError, match="same columns in the same order"):
        explainer.explain(numbered[[4, 3, 5]])


def test_mixed_column_names(explainer: Any) -> None:
    frame = pd.DataFrame(draw(30, 2), columns=["a", 1])
    with pytest.raises(TypeError, match=r"X.columns = X.columns.astype\(str\)"):
        explainer.fit(frame, probabilities)


def test_text_where_numbers_were(people: Any, people_explainer: Any) -> None:
    with pytest.raises(TypeError, match=r"'age' held numbers.*convert it, or fit again"):
        people_explainer.explain(people.assign(age=people["age"].astype(str)))
    with pytest.raises(TypeError, match="'pay' held numbers"):
        people_explainer.explain(people.assign(pay="much"))


def test_text_where_numbers_were_in_an_array(quick: Any) -> None:
    explainer = quick().fit(draw(30, 3), probabilities)
    for rows in ([["a", "b", "c"]], np.array([["1", "2", "3"]]), [[1.0, 2.0, "x"]]):
        with pytest.raises(TypeError, match="held numbers"):
            explainer.explain(rows)


def test_numbers_where_categories_were(people: Any, people_explainer: Any) -> None:
    for column in ("town", "work", "owner"):
        with pytest.raises(TypeError, match=f"'{column}' held categories"):
            people_explainer.explain(people.assign(**{column: 1.5}))


def test_dates_where_numbers_were(people: Any, people_explainer: Any) -> None:
    dates = pd.date_range("2024-01-01", periods=len(people))
    with pytest.raises(TypeError, match="'age' held numbers"):
        people_explainer.explain(people.assign(age=dates))


def test_time_zones_that_do_not_fit(quick: Any) -> None:
    days = pd.date_range("2024-01-01", periods=40, tz="UTC")
    frame = pd.DataFrame({"day": days, "a": draw(40, 1)[:, 0]})
    explainer = quick().fit(frame, lambda X: probabilities(X[["a"]]))
    with pytest.raises(ValueError, match=r"'day'.*UTC"):
        explainer.explain(frame.assign(day=days.tz_localize(None)))
    with pytest.raises(TypeError, match="'day' held dates"):
        explainer.explain(frame.assign(day=1.0))


def test_unseen_text(people: Any, people_explainer: Any) -> None:
    new = people[:5].assign(town="Atlantis")
    explanation = people_explainer.explain(new)
    assert np.isfinite(explanation.values).all()


def test_unseen_category(people: Any, people_explainer: Any) -> None:
    new = people[:5].assign(work=pd.Categorical(["full", "part", "slave", "none", None]))
    with pytest.raises(ValueError, match=r"'work'.*'slave'.*Make such cells missing"):
        people_explainer.explain(new)


def test_categories_in_another_order(people: Any, people_explainer: Any) -> None:
    expected = people_explainer.explain(people).values
    order = people["work"].cat.reorder_categories(["part", "none", "full"])
    np.testing.assert_array_equal(
        people_explainer.explain(people.assign(work=order)).values, expected
    )
    text = people["work"].astype(str)
    np.testing.assert_array_equal(
        people_explainer.explain(people.assign(work=text)).values, expected
    )
    few = people[people["work"] == "full"]
    few = few.assign(work=few["work"].cat.remove_unused_categories())
    full = (people["work"] == "full").to_numpy()
    np.testing.assert_allclose(people_explainer.explain(few).values, expected[full], atol=1e-6)


def test_an_array_that_does_not_fit_the_frame(people: Any, people_explainer: Any) -> None:
    with pytest.warns(UserWarning, match="valid feature names"):
        with pytest.raises(TypeError, match="held categories"):
            people_explainer.explain(np.zeros((2, 5)))


def test_missing_values_in_a_column_of_whole_numbers(people: Any, people_explainer: Any) -> None:
    gaps = people.assign(age=people["age"].astype(float))
    gaps.loc[:3, "age"] = np.nan
    assert np.isfinite(people_explainer.explain(gaps).values).all()


# -- target ----------------------------------------------------------------------------------
@pytest.mark.parametrize("target", ["no such class", 7, None, [0, 1, 9], [None, 1, 2], 0.5])
def test_unknown_target(fitted: Any, numbers: Any, target: Any) -> None:
    with pytest.raises(ValueError, match=r"not among the model's outputs \[0, 1, 2\].*'all'"):
        fitted.explain(numbers[0][:3], target)


def test_target_of_the_wrong_length(fitted: Any, numbers: Any) -> None:
    with pytest.raises(ValueError, match="2 labels for 3 rows"):
        fitted.explain(numbers[0][:3], [0, 1])
    with pytest.raises(ValueError, match="one label, or one a row"):
        fitted.explain(numbers[0][:3], [[0], [1], [2]])


# -- failures in the middle --------------------------------------------------------------------
class Fragile:
    """A function that raises after some rows."""

    def __init__(self, rows: float, error: type[BaseException] = RuntimeError) -> None:
        self.left = rows
        self.error = error

    def __call__(self, X: np.ndarray) -> np.ndarray:
        self.left -= len(X)
        if self.left < 0:
            raise self.error("the model broke")
        return probabilities(X)


@pytest.mark.parametrize("rows", [0, 130, 1000, 3000])
@pytest.mark.parametrize("objective", ["forward_kl", "ppo"])
def test_a_model_that_raises_leaves_the_estimator_as_it_was(
    quick: Any, rows: int, objective: str
) -> None:
    X = draw(200, 5)
    explainer = quick(objective=objective)
    before = set(vars(explainer))
    with pytest.raises(RuntimeError, match="the model broke"):
        explainer.fit(X, Fragile(rows))
    assert set(vars(explainer)) == before
    with pytest.raises(NotFittedError):
        explainer.explain(X)
    explainer.fit(X, probabilities)
    values = explainer.explain(X).values
    with pytest.raises(RuntimeError, match="the model broke"):
        explainer.fit(draw(200, 4), Fragile(rows))
    np.testing.assert_array_equal(explainer.explain(X).values, values)


@pytest.mark.parametrize("make", [ExactExplainer, lambda: RISEExplainer(20, random_state=0)])
def test_a_failed_fit_of_the_other_methods(make: Any) -> None:
    X = draw(50, 5)
    explainer = make()
    with pytest.raises(RuntimeError, match="the model broke"):
        explainer.fit(X, Fragile(10))
    with pytest.raises(NotFittedError):
        explainer.explain(X)
    values = explainer.fit(X, probabilities).explain(X[:3]).values
    with pytest.raises(RuntimeError, match="the model broke"):
        explainer.fit(X[:, :2], Fragile(10))
    np.testing.assert_array_equal(explainer.explain(X[:3]).values, values)


def test_an_interrupt_during_queries_changes_nothing(quick: Any) -> None:
    X = draw(200, 5)
    explainer = quick().fit(X, probabilities)
    values = explainer.explain(X).values
    with pytest.raises(KeyboardInterrupt):
        explainer.fit(X, Fragile(4000, KeyboardInterrupt))
    np.testing.assert_array_equal(explainer.explain(X).values, values)


def test_an_interrupt_during_training_keeps_the_best_network(
    quick: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    _interrupt_after(monkeypatch, 30)
    X = draw(200, 5)
    with pytest.warns(UserWarning, match=r"interrupted at step 30 of 80.*best network"):
        explainer = quick(max_steps=80).fit(X, probabilities)
    assert explainer.stopped_by_ == "interrupt"
    assert explainer.n_iter_ == 30
    assert np.isfinite(explainer.explain(X).values).all()


def _interrupt_after(monkeypatch: pytest.MonkeyPatch, steps: int) -> None:
    """Press Ctrl-C during the step after so many."""
    from fastexplain.training import TargetPool

    given = 0
    batch = TargetPool.batch

    def interrupted(self: Any, *args: Any) -> Any:
        nonlocal given
        given += 1
        if given == steps + 1:
            raise KeyboardInterrupt
        return batch(self, *args)

    monkeypatch.setattr(TargetPool, "batch", interrupted)


def test_max_time(quick: Any) -> None:
    X = draw(200, 5)
    started = time.monotonic()
    explainer = quick(max_steps=10**6, patience=10**6, max_time=1.0).fit(X, probabilities)
    assert time.monotonic() - started < 4
    assert explainer.stopped_by_ == "max_time"
    assert np.isfinite(explainer.explain(X).values).all()


def test_max_time_with_a_slow_model(quick: Any) -> None:
    def slow(X: np.ndarray) -> np.ndarray:
        time.sleep(2e-5 * len(X))
        return probabilities(X)

    started = time.monotonic()
    quick(n_queries=10**7, max_steps=10**6, max_time=1.5).fit(draw(200, 5), slow)
    assert time.monotonic() - started < 6


# -- checkpoints -----------------------------------------------------------------------------
def test_a_resumed_run_ends_where_an_uninterrupted_one_does(
    quick: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    X = draw(200, 5)
    whole = quick(max_steps=80, checkpoint=tmp_path / "whole").fit(X, probabilities)
    explainer = quick(max_steps=80, checkpoint=tmp_path / "run")
    with monkeypatch.context() as patched, pytest.warns(UserWarning, match="interrupted"):
        _interrupt_after(patched, 35)
        explainer.fit(X, probabilities)
    assert (tmp_path / "run").exists()
    explainer.fit(X, probabilities)
    assert explainer.stopped_by_ == whole.stopped_by_
    np.testing.assert_allclose(explainer.explain(X).values, whole.explain(X).values, atol=1e-7)
    assert explainer.history_["step"] == whole.history_["step"]
    assert not (tmp_path / "run").exists()


def test_queries_of_an_interrupted_run_are_not_asked_again(quick: Any, tmp_path: Any) -> None:
    X = draw(200, 5)
    whole = quick(n_queries=200_000, checkpoint=tmp_path / "whole").fit(X, probabilities)
    explainer = quick(n_queries=200_000, checkpoint=tmp_path / "run")
    with pytest.raises(KeyboardInterrupt):
        explainer.fit(X, Fragile(150_000, KeyboardInterrupt))
    # what is held of the training rows is not asked for again
    explainer.fit(X, Fragile(120_000))
    np.testing.assert_allclose(explainer.explain(X).values, whole.explain(X).values, atol=1e-7)


def test_a_checkpoint_of_another_run(
    quick: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    X = draw(200, 5)
    with monkeypatch.context() as patched, pytest.warns(UserWarning, match="interrupted"):
        _interrupt_after(patched, 10)
        quick(checkpoint=tmp_path / "run").fit(X, probabilities)
    one_cell = X.copy()
    one_cell[1, 0] += 1e-3

    def same_on_the_rows(rows: np.ndarray) -> np.ndarray:
        known = (rows[:, None] == X).all(axis=2).any(axis=1)
        return np.where(known[:, None], probabilities(rows), probabilities(-rows))

    others = [
        (quick(checkpoint=tmp_path / "run"), one_cell, probabilities),
        (quick(checkpoint=tmp_path / "run"), X, same_on_the_rows),
        (quick(checkpoint=tmp_path / "run", hidden_dim=8), X, probabilities),
        (quick(checkpoint=tmp_path / "run", random_state=1), X, probabilities),
        (quick(checkpoint=tmp_path / "run"), X[:100], probabilities),
        (quick(checkpoint=tmp_path / "run"), X, lambda X: probabilities(-X)),
    ]
    for explainer, rows, model in others:
        with pytest.raises(ValueError, match=r"unfinished run with other.*checkpoint="):
            explainer.fit(rows, model)
    quick(checkpoint=tmp_path / "run").fit(X, probabilities)


@pytest.mark.parametrize("frame", [False, True])
def test_a_model_that_works_in_place_leaves_the_rows_alone(quick: Any, frame: bool) -> None:
    X = draw(200, 5)
    rows = pd.DataFrame(X.copy(), columns=list("abcde")) if frame else X.copy()

    def in_place(given: Any) -> np.ndarray:
        given *= 0.5
        return probabilities(np.asarray(given))

    def fresh(given: Any) -> np.ndarray:
        return probabilities(np.asarray(given) * 0.5)

    found = quick().fit(rows, in_place).explain(rows)
    np.testing.assert_array_equal(np.asarray(rows), X)
    np.testing.assert_allclose(found.values, quick().fit(rows, fresh).explain(rows).values)


def test_a_checkpoint_needs_a_seed_and_a_folder_of_its_own(quick: Any, tmp_path: Any) -> None:
    with pytest.raises(ValueError, match="random_state to be an int"):
        quick(checkpoint=tmp_path / "run", random_state=None).fit(draw(20, 3), probabilities)
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(ValueError, match="not a checkpoint"):
        quick(checkpoint=tmp_path).fit(draw(20, 3), probabilities)
    assert (tmp_path / "thesis.txt").read_text() == "mine"


# -- parameters ------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("objective", "best"),
        ("output", "numbers"),
        ("baseline", "average"),
        ("baseline", [1.0, 2.0]),
        ("groups", {"both": ["x0", "x9"]}),
        ("groups", {"one": [0, 1], "two": [1, 2]}),
        ("groups", {"none": []}),
        ("n_queries", 0),
        ("n_masks", 2.5),
        ("n_masks", True),
        ("hidden_dim", 0),
        ("n_blocks", -1),
        ("max_steps", 0),
        ("batch_size", -5),
        ("learning_rate", 0.0),
        ("learning_rate", "fast"),
        ("weight_decay", -1.0),
        ("patience", 0),
        ("validation_fraction", 1.0),
        ("validation_fraction", -0.1),
        ("trajectory_length", 0),
        ("inner_updates", 0),
        ("model_batch_size", 0),
        ("device", "abacus"),
        ("device", "cpu:first"),
        ("precision", "2-bit"),
        ("precision", "bf16-true"),
        ("precision", "64-true"),
        ("max_time", 0),
        ("max_time", "soon"),
        ("random_state", "dice"),
    ],
)
def test_bad_parameters_of_fex(quick: Any, name: str, value: Any) -> None:
    explainer = quick(**{name: value})
    with pytest.raises((ValueError, TypeError)) as caught:
        explainer.fit(draw(30, 3), probabilities)
    text = str(caught.value).lower()
    assert name.rstrip("s") in text or str(value).lower() in text or "seed" in text
    assert not hasattr(explainer, "masker_")


@pytest.mark.parametrize("wrong", [{"device": "cuda:x"}, {"precision": "half"}])
def test_where_to_train_is_checked_before_the_model_is_asked(
    quick: Any, wrong: dict[str, str]
) -> None:
    def never(X: np.ndarray) -> np.ndarray:
        raise AssertionError("The model was asked.")

    with pytest.raises(ValueError, match="device|precision"):
        quick(**wrong).fit(draw(30, 3), never)


def test_masker_and_baseline_exclude_each_other(quick: Any) -> None:
    from fastexplain import TabularMasker

    with pytest.raises(ValueError, match="to the masker, or no masker="):
        quick(masker=TabularMasker(), baseline="zero").fit(draw(30, 3), probabilities)


def test_bad_parameters_of_the_other_methods() -> None:
    X = draw(30, 3)
    with pytest.raises(ValueError, match="kind must be one of"):
        ExactExplainer("best").fit(X, probabilities)
    for keep in (0.0, 1.0, "half"):
        with pytest.raises(ValueError, match="keep must be a number between 0 and 1"):
            RISEExplainer(keep=keep).fit(X, probabilities)
    for n_masks in (0, 2.5, True):
        with pytest.raises(ValueError, match="n_masks must be a whole number"):
            RISEExplainer(n_masks).fit(X, probabilities)
