"""What every explainer promises, whatever it explains."""

from __future__ import annotations

import pickle
import random
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from joblib import Parallel, delayed
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from fastexplain import (
    ConceptSetExplainer,
    ExactExplainer,
    Explanation,
    FEXExplainer,
    RISEExplainer,
    TabularMasker,
)

pytestmark = pytest.mark.filterwarnings("ignore:The explainer agrees poorly")

CONCEPTS: dict[str, Any] = {"n_queries": 8000, "n_sets": 4, "hidden_dim": 16, "n_blocks": 1}
CONCEPTS |= {"max_steps": 40, "batch_size": 64, "random_state": 0}
ALL_KINDS = [
    pytest.param(lambda quick: quick(), id="FEX"),
    pytest.param(lambda quick: quick(objective="reverse_kl"), id="FEX reverse_kl"),
    pytest.param(lambda quick: quick(objective="ppo"), id="FEX ppo"),
    pytest.param(lambda quick: ExactExplainer(), id="exact"),
    pytest.param(lambda quick: ExactExplainer("shapley"), id="Shapley"),
    pytest.param(lambda quick: RISEExplainer(50, random_state=0), id="RISE"),
    pytest.param(lambda quick: ConceptSetExplainer(**CONCEPTS), id="concepts"),
]


def values_of(explainer: Any, X: Any, target: Any = "all") -> np.ndarray:
    return explainer.explain(X, target).values


# -- parameters ------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", [FEXExplainer, ExactExplainer, RISEExplainer, ConceptSetExplainer])
def test_parameters_come_back_as_given(kind: Any) -> None:
    params = kind().get_params()
    assert kind(**params).get_params() == params
    assert kind().set_params(output="logits").output == "logits"
    with pytest.raises(ValueError, match="Invalid parameter"):
        kind().set_params(no_such_parameter=1)


def test_clone_is_unfitted_and_has_the_same_parameters(fitted: Any) -> None:
    copy = clone(fitted)
    assert copy.get_params() == fitted.get_params()
    with pytest.raises(NotFittedError, match="not fitted yet"):
        copy.explain(np.zeros((1, 5)))


def test_clone_with_a_masker(quick: Any, numbers: Any, classifier: Any) -> None:
    explainer = quick(masker=TabularMasker("median", {"both": [0, 1]}))
    twin = clone(explainer).fit(numbers[0], classifier)
    assert twin.masker_.feature_names_ == ["both", "x2", "x3", "x4"]
    assert not hasattr(explainer.masker, "background_")
    assert not hasattr(twin.masker, "background_")


@pytest.mark.parametrize("make", ALL_KINDS)
def test_fit_changes_no_parameter(make: Any, quick: Any, numbers: Any, classifier: Any) -> None:
    explainer = make(quick)
    before = explainer.get_params()
    explainer.fit(numbers[0], classifier)
    assert explainer.get_params() == before


def test_all_ways_to_name_the_model_agree(quick: Any, numbers: Any, classifier: Any) -> None:
    X, y = numbers
    second = quick().fit(X, classifier)
    for other in (quick().fit(X, model=classifier), quick().fit(X, y, model=classifier)):
        np.testing.assert_array_equal(values_of(other, X), values_of(second, X))
    np.testing.assert_array_equal(
        quick().fit_transform(X, classifier), quick().fit(X, classifier).transform(X)
    )


# -- state -----------------------------------------------------------------------------------
def test_pickle_holds_no_model(fitted: Any, numbers: Any, classifier: Any) -> None:
    X = numbers[0][:6]
    data = pickle.dumps(fitted)
    assert b"sklearn.linear_model" not in data
    copy = pickle.loads(data)
    np.testing.assert_array_equal(values_of(copy, X), values_of(fitted, X))
    np.testing.assert_array_equal(values_of(copy, X, 2), values_of(fitted, X, 2))
    with pytest.raises(ValueError, match=r"pass target=.*model="):
        copy.explain(X)
    with pytest.raises(ValueError, match="attach_model"):
        copy.score(X)
    assert copy.attach_model(classifier) is copy
    np.testing.assert_array_equal(copy.explain(X).values, fitted.explain(X).values)


def test_explainer_of_a_lambda_pickles(quick: Any, numbers: Any, classifier: Any) -> None:
    explainer = quick().fit(numbers[0], lambda X: classifier.predict_proba(X))
    copy = pickle.loads(pickle.dumps(explainer))
    np.testing.assert_array_equal(
        values_of(copy, numbers[0], 0), values_of(explainer, numbers[0], 0)
    )


@pytest.mark.parametrize("make", [ExactExplainer, lambda: RISEExplainer(50, random_state=0)])
def test_methods_that_ask_the_model_keep_it_in_the_pickle(
    make: Any, numbers: Any, classifier: Any
) -> None:
    explainer = make().fit(numbers[0], classifier)
    copy = pickle.loads(pickle.dumps(explainer))
    np.testing.assert_array_equal(
        copy.explain(numbers[0][:4]).values, explainer.explain(numbers[0][:4]).values
    )


def test_attach_model_refuses_other_outputs(fitted: Any, numbers: Any) -> None:
    copy = pickle.loads(pickle.dumps(fitted))
    X, y = numbers
    with pytest.raises(ValueError, match="has outputs"):
        copy.attach_model(LogisticRegression().fit(X, y > 0))
    with pytest.raises(ValueError, match="knows the classes"):
        copy.attach_model(LogisticRegression().fit(X, y + 1))
    with pytest.warns(UserWarning, match="not the one that was explained"):
        copy.attach_model(LogisticRegression(C=1e-3).fit(X, y))


def test_attach_model_reads_outputs_as_fit_did(quick: Any, numbers: Any) -> None:
    # at the baseline row alone this plain value lies in [0, 1], like a probability
    def value(X: np.ndarray) -> np.ndarray:
        return 0.5 + X[:, 0] - base

    base = numbers[0][:, 0].mean()
    explainer = quick().fit(numbers[0], value)
    copy = pickle.loads(pickle.dumps(explainer)).attach_model(value)
    assert copy.kind_ == "regression"
    np.testing.assert_array_equal(
        copy.explain(numbers[0]).values, explainer.explain(numbers[0]).values
    )


def test_refit_starts_afresh(quick: Any, numbers: Any, classifier: Any) -> None:
    X, y = numbers
    frame = pd.DataFrame(X[:, :3], columns=list("abc"))
    used = quick().fit(frame, LogisticRegression().fit(frame, y > 0))
    used.fit(X, classifier)
    fresh = quick().fit(X, classifier)
    np.testing.assert_array_equal(values_of(used, X), values_of(fresh, X))
    assert used.n_features_in_ == 5
    assert not hasattr(used, "feature_names_in_")
    assert set(vars(used)) == set(vars(fresh))
    used.fit(X, LinearRegression().fit(X, y))
    assert not hasattr(used, "classes_")
    assert used.output_names_ == ["output"]


def test_refit_keeps_settings_of_scikit_learn(quick: Any, numbers: Any, classifier: Any) -> None:
    explainer = quick().set_output(transform="pandas").fit(numbers[0], classifier)
    table = explainer.transform(numbers[0])
    assert list(table.columns) == list(explainer.get_feature_names_out())


class CountedNet(nn.Module):
    """A net whose mode, weights and gradients can be looked at."""

    def __init__(self, n_out: int, seed: int = 0) -> None:
        super().__init__()
        self.layer = nn.Linear(5, n_out)
        with torch.no_grad():
            draws = np.random.default_rng(seed).normal(size=(n_out, 5))
            self.layer.weight.copy_(torch.from_numpy(draws))
        self.drop = nn.Dropout(0.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.drop(self.layer(x))


@pytest.mark.parametrize("objective", ["forward_kl", "ppo"])
@pytest.mark.parametrize("training", [False, True])
def test_fit_leaves_a_torch_model_as_it_was(
    quick: Any, numbers: Any, training: bool, objective: str
) -> None:
    X = numbers[0].astype(np.float32)
    net = CountedNet(3).train(training)
    net(torch.from_numpy(X[:4])).sum().backward()
    weights = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    gradient = net.layer.weight.grad.clone()
    explainer = quick(output="logits", objective=objective).fit(X, net)
    explainer.explain(X[:4])
    assert net.training is training
    assert net.drop.training is training
    assert all(parameter.requires_grad for parameter in net.parameters())
    torch.testing.assert_close(net.layer.weight.grad, gradient, rtol=0, atol=0)
    for name, tensor in net.state_dict().items():
        torch.testing.assert_close(tensor, weights[name], rtol=0, atol=0)


# -- randomness ------------------------------------------------------------------------------
def _global_states() -> tuple[Any, ...]:
    name, keys, *rest = np.random.get_state()
    return random.getstate(), torch.random.get_rng_state().tolist(), keys.tolist(), name, *rest


def _seed_globally(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


@pytest.mark.parametrize("make", ALL_KINDS)
def test_global_generators_are_neither_read_nor_written(
    make: Any, quick: Any, numbers: Any, classifier: Any
) -> None:
    found = []
    for seed in (1, 2):
        _seed_globally(seed)
        before = _global_states()
        explainer = make(quick).fit(numbers[0], classifier)
        found.append(explainer.explain(numbers[0][:20]).values)
        assert _global_states() == before
    np.testing.assert_array_equal(found[0], found[1])


def test_no_random_state_means_a_new_draw_each_time(
    quick: Any, numbers: Any, classifier: Any
) -> None:
    found = []
    for _ in range(2):
        _seed_globally(0)
        before = _global_states()
        explainer = quick(random_state=None).fit(numbers[0], classifier)
        found.append(values_of(explainer, numbers[0][:20]))
        assert _global_states() == before
    assert not np.array_equal(found[0], found[1])


def test_random_state_decides(quick: Any, numbers: Any, classifier: Any) -> None:
    X = numbers[0]
    one, same, other = (
        values_of(quick(random_state=seed).fit(X, classifier), X) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, same)
    assert not np.allclose(one, other)
    shared = np.random.RandomState(0)
    first = values_of(quick(random_state=shared).fit(X, classifier), X)
    assert not np.allclose(first, values_of(quick(random_state=shared).fit(X, classifier), X))


# -- explain is a function of its rows ---------------------------------------------------------
@pytest.mark.parametrize("make", ALL_KINDS)
def test_explain_depends_on_the_row_alone(
    make: Any, quick: Any, numbers: Any, classifier: Any
) -> None:
    X = numbers[0]
    explainer = make(quick).fit(X, classifier)
    values = explainer.explain(X[:50]).values
    order = np.random.default_rng(0).permutation(50)
    np.testing.assert_allclose(explainer.explain(X[order]).values, values[order], atol=1e-6)
    np.testing.assert_allclose(explainer.explain(X[7:19]).values, values[7:19], atol=1e-6)
    single = np.concatenate([explainer.explain(X[i : i + 1]).values for i in range(10)])
    np.testing.assert_allclose(single, values[:10], atol=1e-6)
    np.testing.assert_array_equal(explainer.explain(X[:50]).values, values)


def test_explain_across_its_own_batches(fitted: Any, numbers: Any) -> None:
    many = np.tile(numbers[0], (50, 1))
    values = values_of(fitted, many)
    np.testing.assert_allclose(values.reshape(50, 200, 5, 3)[17], values[:200], atol=1e-6)


def test_eight_threads_share_one_explainer(fitted: Any, numbers: Any) -> None:
    X = numbers[0]
    parts = [X[i : i + 5] for i in range(0, 200, 5)] * 3
    alone = [fitted.explain(part).values for part in parts]
    with ThreadPoolExecutor(8, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        together = list(pool.map(lambda part: fitted.explain(part).values, parts))
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other)


def test_threads_share_an_explainer_of_a_frame(people: Any, people_explainer: Any) -> None:
    parts = [people[i : i + 10] for i in range(0, 200, 10)]
    alone = [people_explainer.explain(part).values for part in parts]
    with ThreadPoolExecutor(8, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        together = list(pool.map(lambda part: people_explainer.explain(part).values, parts))
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("backend", ["threading", "loky"])
def test_joblib_workers_agree(backend: str, fitted: Any, numbers: Any) -> None:
    X = numbers[0]
    parts = Parallel(n_jobs=2, backend=backend)(
        delayed(values_of)(fitted, X[i : i + 50]) for i in range(0, 200, 50)
    )
    np.testing.assert_allclose(np.concatenate(parts), values_of(fitted, X), atol=1e-6)


def test_n_jobs_changes_nothing(quick: Any, numbers: Any, classifier: Any) -> None:
    X = numbers[0]
    one, two = (quick(n_jobs=n).fit(X, classifier) for n in (None, 2))
    np.testing.assert_allclose(values_of(one, X), values_of(two, X), atol=1e-6)


def test_memory_stays_flat_over_calls(fitted: Any, numbers: Any) -> None:
    row = numbers[0][:1]
    for _ in range(20):
        fitted.explain(row)
    tracemalloc.start()
    try:
        for _ in range(20):
            fitted.explain(row)
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(300):
            fitted.explain(row)
        assert tracemalloc.get_traced_memory()[0] - before < 50_000
    finally:
        tracemalloc.stop()


def test_memory_of_a_batch_is_little_more_than_its_answer(fitted: Any, numbers: Any) -> None:
    rows = np.tile(numbers[0], (400, 1))
    tracemalloc.start()
    try:
        explanation = fitted.explain(rows, target=0)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # values of all three classes, and the one asked for
    assert peak < 3 * 3 * explanation.values.nbytes


# -- shapes ----------------------------------------------------------------------------------
class SigmoidNet(CountedNet):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid(super().forward(x))


def _binary(X: np.ndarray, y: np.ndarray) -> Any:
    return LogisticRegression().fit(X, np.where(y > 0, "yes", "no"))


def _multilabel(X: np.ndarray, y: np.ndarray) -> Any:
    return MultiOutputClassifier(LogisticRegression()).fit(X, np.column_stack([y > 0, y > 1]))


def _regressors(X: np.ndarray, y: np.ndarray) -> Any:
    return LinearRegression().fit(X, np.column_stack([y, X[:, 0]]))


MODELS = [
    pytest.param(_binary, "yes", ["no", "yes"], id="binary"),
    pytest.param(lambda X, y: LogisticRegression().fit(X, y), 2, ["0", "1", "2"], id="multiclass"),
    pytest.param(_multilabel, "label_1", ["label_0", "label_1"], id="multilabel"),
    pytest.param(lambda X, y: LinearRegression().fit(X, y), "output", ["output"], id="regressor"),
    pytest.param(_regressors, 1, ["output_0", "output_1"], id="two outputs"),
    pytest.param(lambda X, y: SigmoidNet(1).eval(), "output", ["output"], id="one sigmoid"),
]


@pytest.mark.parametrize(("make_model", "label", "names"), MODELS)
@pytest.mark.parametrize("make", [ALL_KINDS[0], ALL_KINDS[1], *ALL_KINDS[3:]])
def test_the_shape_follows_from_the_target_alone(
    make: Any, make_model: Any, label: Any, names: list[str], quick: Any, numbers: Any
) -> None:
    X, y = numbers
    X = X.astype(np.float32)
    explainer = make(quick).fit(X, make_model(X, y))
    n, n_out = 7, len(names)
    assert explainer.output_names_ == names
    assert explainer.base_values_.shape == (n_out,)
    everything = explainer.explain(X[:n], "all")
    assert isinstance(everything, Explanation)
    assert everything.values.shape == (n, 5, n_out)
    assert everything.base_values.shape == (n, n_out)
    one = explainer.explain(X[:n], label)
    assert one.values.shape == (n, 5)
    assert one.base_values.shape == (n,)
    np.testing.assert_array_equal(
        one.values,
        everything.values[:, :, names.index(str(label))]
        if str(label) in names
        else everything.values[:, :, label],
    )
    np.testing.assert_array_equal(explainer.explain(X[:n], [label] * n).values, one.values)
    np.testing.assert_array_equal(explainer(X[:n], label).values, one.values)
    if explainer.kind_ == "regression" and n_out > 1:
        with pytest.raises(ValueError, match="pass target= one of"):
            explainer.explain(X[:n])
    else:
        assert explainer.explain(X[:n]).values.shape == (n, 5)
    assert np.isfinite(everything.values).all()
    assert np.isfinite(explainer.score(X[:n]))


def test_predicted_is_the_class_that_the_model_predicts(
    people: Any, people_model: Any, people_explainer: Any
) -> None:
    predicted = people_model.predict(people)
    explanation = people_explainer.explain(people)
    np.testing.assert_array_equal(
        explanation.values, people_explainer.explain(people, predicted).values
    )
    names = np.array(explanation.output_names)[explanation.target]
    np.testing.assert_array_equal(names, predicted)
    assert people_explainer.classes_.tolist() == ["poor", "rich"]


def test_one_label_a_row(fitted: Any, numbers: Any) -> None:
    X, y = numbers
    everything = values_of(fitted, X)
    expected = everything[np.arange(len(X)), :, y]
    for target in (y, y.tolist(), y.astype(float), pd.Series(y, index=y + 9)):
        np.testing.assert_array_equal(fitted.explain(X, target).values, expected)


# -- containers ------------------------------------------------------------------------------
def test_feature_names(quick: Any, numbers: Any, classifier: Any) -> None:
    X, y = numbers
    frame = pd.DataFrame(X, columns=list("abcde"))
    explainer = quick().fit(frame, LogisticRegression().fit(frame, y))
    assert explainer.feature_names_in_.tolist() == list("abcde")
    assert explainer.explain(frame[:2]).feature_names == list("abcde")
    names = explainer.get_feature_names_out()
    assert names.tolist() == [f"{k}_{name}" for k in range(3) for name in "abcde"]
    assert explainer.get_feature_names_out(list("abcde")).tolist() == names.tolist()
    with pytest.raises(ValueError, match="input_features is not equal"):
        explainer.get_feature_names_out(list("edcba"))
    with pytest.raises(ValueError, match="equal to number of features"):
        explainer.get_feature_names_out(["a"])
    with pytest.raises(ValueError, match="same order"):
        explainer.explain(frame[list("edcba")])


def test_transform_lists_all_outputs(fitted: Any, numbers: Any) -> None:
    X = numbers[0]
    columns = fitted.transform(X)
    assert columns.shape == (200, 15)
    np.testing.assert_array_equal(columns[:, 5:10], values_of(fitted, X, 1))
    assert len(fitted.get_feature_names_out()) == 15


def test_a_frame_reaches_the_model_unchanged(quick: Any, people: Any, people_model: Any) -> None:
    seen: list[pd.DataFrame] = []

    def model(X: pd.DataFrame) -> np.ndarray:
        seen.append(X)
        return people_model.predict_proba(X)

    explainer = quick().fit(people, model)
    explainer.explain(people[:3])
    assert all(isinstance(X, pd.DataFrame) for X in seen)
    for X in seen:
        pd.testing.assert_series_equal(X.dtypes, people.dtypes)


def test_a_raw_frame_through_a_pipeline(people: Any, people_explainer: Any) -> None:
    explanation = people_explainer.explain(people)
    assert explanation.values.shape == (200, 5)
    assert explanation.data is people
    assert np.isfinite(explanation.values).all()


def test_the_index_of_a_frame_does_not_matter(people: Any, people_explainer: Any) -> None:
    other = people.set_axis([5] * len(people), axis=0)
    np.testing.assert_array_equal(
        people_explainer.explain(other).values, people_explainer.explain(people).values
    )


def test_a_frame_as_an_array(people: Any, people_explainer: Any) -> None:
    expected = people_explainer.explain(people).values
    with pytest.warns(UserWarning, match="valid feature names"):
        found = people_explainer.explain(people.to_numpy())
    np.testing.assert_array_equal(found.values, expected)
    assert found.data.dtypes.tolist() == people.dtypes.tolist()


def test_polars(quick: Any, people: Any, people_model: Any) -> None:
    pl = pytest.importorskip("polars")
    frame = pl.DataFrame(
        {
            "age": people["age"].to_numpy(),
            "pay": people["pay"].to_list(),
            "town": [None if value != value else value for value in people["town"].to_list()],
            "work": pl.Series(people["work"].astype(str).to_list(), dtype=pl.Categorical),
            "owner": people["owner"].to_list(),
        }
    )

    def model(X: Any) -> np.ndarray:
        assert X.schema == frame.schema
        back = pd.DataFrame({name: X[name].to_list() for name in X.columns})
        return people_model.predict_proba(back)

    explainer = quick().fit(frame, model)
    values = values_of(explainer, frame)
    assert values.shape == (200, 5, 2)
    np.testing.assert_allclose(values_of(explainer, frame[5:9]), values[5:9], atol=1e-6)
    wider = frame[:9].with_columns(pl.col("age").cast(pl.Int32))
    np.testing.assert_allclose(values_of(explainer, wider), values[:9], atol=1e-6)
    with pytest.raises(ValueError, match="pass the same container"):
        explainer.explain(people)


def test_repeated_column_names(quick: Any, numbers: Any, classifier: Any) -> None:
    frame = pd.DataFrame(numbers[0], columns=["a", "b", "a", "b", "c"])
    explainer = quick().fit(frame, lambda X: classifier.predict_proba(X.to_numpy()))
    twin = quick().fit(numbers[0], classifier)
    np.testing.assert_allclose(values_of(explainer, frame), values_of(twin, numbers[0]), atol=1e-6)


def test_dates_and_nullable_columns(quick: Any) -> None:
    n = 120
    rng = np.random.default_rng(0)
    day = pd.date_range("2024-01-01", periods=n, tz="Europe/Paris")
    frame = pd.DataFrame(
        {
            "day": day[rng.permutation(n)],
            "wait": pd.to_timedelta(rng.integers(0, 9, n), unit="h"),
            "count": pd.array(rng.integers(0, 9, n), dtype="Int64"),
            "flag": pd.array(rng.random(n) < 0.5, dtype="boolean"),
        }
    )
    frame.loc[::5, ["count", "flag"]] = pd.NA
    frame.loc[::11, "day"] = pd.NaT

    def model(X: pd.DataFrame) -> np.ndarray:
        assert X.dtypes.tolist() == frame.dtypes.tolist()
        late = X["day"] > pd.Timestamp("2024-03-01", tz="Europe/Paris")
        score = late.astype(float) + X["count"].fillna(3).astype(float) / 9
        return score.to_numpy(float)

    explainer = quick(output="regression").fit(frame, model)
    values = values_of(explainer, frame)
    assert np.isfinite(values).all()
    moved = frame.assign(day=frame["day"].dt.tz_convert("Asia/Tokyo"))
    np.testing.assert_array_equal(values_of(explainer, moved), values)


def test_groups_are_one_player(quick: Any, people: Any, people_model: Any) -> None:
    explainer = quick(groups={"money": ["pay", "owner"]}).fit(people, people_model)
    explanation = explainer.explain(people)
    assert explanation.feature_names == ["age", "money", "town", "work"]
    assert explanation.values.shape == (200, 4)
    assert explanation[:, "money"].values.shape == (200,)
    assert explainer.get_feature_names_out().tolist()[:2] == ["poor_age", "poor_money"]


def test_marginal_baseline(quick: Any, people: Any, people_model: Any) -> None:
    explainer = quick(masker=TabularMasker("marginal", n_background=4)).fit(people, people_model)
    assert len(explainer.masker_.background_) == 4
    assert explainer.explain(people).values.shape == (200, 5)
    base = people_model.predict_proba(explainer.masker_.background_.native).mean(axis=0)
    np.testing.assert_allclose(explainer.base_values_, base)


# -- pipelines -------------------------------------------------------------------------------
def test_last_step_of_a_pipeline(quick: Any, numbers: Any) -> None:
    X, y = numbers
    scaled = StandardScaler().fit_transform(X)
    model = LogisticRegression().fit(scaled, y)
    expected = quick().fit(scaled, model).transform(scaled)
    by_position = make_pipeline(StandardScaler(), quick()).fit(X, model)
    np.testing.assert_allclose(by_position.transform(X), expected, atol=1e-6)
    by_name = make_pipeline(StandardScaler(), quick()).fit(X, fexexplainer__model=model)
    np.testing.assert_allclose(by_name.transform(X), expected, atol=1e-6)
    with_labels = make_pipeline(StandardScaler(), quick()).fit(X, y, fexexplainer__model=model)
    np.testing.assert_allclose(with_labels.transform(X), expected, atol=1e-6)
    assert by_name.score(X) == pytest.approx(by_position.score(X))
    out = by_name.set_output(transform="pandas").fit(X, lambda X: model.predict_proba(X.to_numpy()))
    assert out.transform(X).columns[0] == "0_x0"


# -- what fit tells ----------------------------------------------------------------------------
@pytest.mark.parametrize("make", ALL_KINDS[:3])
def test_fit_counts_queries_and_keeps_a_history(
    make: Any, quick: Any, numbers: Any, classifier: Any
) -> None:
    asked = 0

    def model(X: np.ndarray) -> np.ndarray:
        nonlocal asked
        asked += len(X)
        return classifier.predict_proba(X)

    explainer = make(quick).fit(numbers[0], model)
    probes = asked - explainer.n_model_queries_
    assert 0 <= probes <= 2 * 64
    lengths = {len(column) for column in explainer.history_.values()}
    assert len(lengths) == 1
    assert {"step", "score", "seconds", "loss"} <= explainer.history_.keys()
    # small deviations may be given as none afterwards, where that is better
    assert explainer.best_score_ >= max(explainer.history_["score"])
    assert explainer.n_iter_ == 40 or explainer.stopped_by_ != "max_steps"


def test_explaining_a_given_class_asks_the_model_nothing(
    quick: Any, numbers: Any, classifier: Any
) -> None:
    calls = 0

    def model(X: np.ndarray) -> np.ndarray:
        nonlocal calls
        calls += 1
        return classifier.predict_proba(X)

    explainer = quick().fit(numbers[0], model)
    calls = 0
    explainer.explain(numbers[0], 1)
    explainer.explain(numbers[0], "all")
    explainer.transform(numbers[0])
    assert calls == 0
    explainer.explain(numbers[0])
    assert calls == 1


def test_score_knows_the_truth(numbers: Any, classifier: Any) -> None:
    exact = ExactExplainer().fit(numbers[0], classifier)
    assert exact.score(numbers[0][:30]) == pytest.approx(1.0)


def test_null_players_share_the_neutral_value(fitted: Any, numbers: Any) -> None:
    rows = numbers[0][:4].copy()
    rows[:, [1, 3]] = fitted.masker_.background_.native[0, [1, 3]]
    explanation = fitted.explain(rows, 1)
    for j in (1, 3):
        np.testing.assert_allclose(explanation.values[:, j], explanation.neutral_values, rtol=1e-12)


def test_equal_dtypes_give_equal_answers(fitted: Any, numbers: Any) -> None:
    whole = np.round(numbers[0][:10] * 3)
    expected = values_of(fitted, whole)
    for rows in (whole.astype(int), whole.astype(np.float32), whole.tolist(), whole.astype(object)):
        np.testing.assert_allclose(values_of(fitted, rows), expected, atol=1e-6)
    np.testing.assert_allclose(values_of(fitted, torch.from_numpy(whole)), expected, atol=1e-6)
    np.testing.assert_allclose(values_of(fitted, np.asfortranarray(whole)), expected, atol=1e-6)


# -- boosters --------------------------------------------------------------------------------
@pytest.mark.parametrize("library", ["xgboost", "lightgbm"])
def test_boosters(library: str, quick: Any, numbers: Any) -> None:
    module = pytest.importorskip(library)
    X, y = numbers
    names = {
        "xgboost": ("XGBClassifier", "XGBRegressor"),
        "lightgbm": ("LGBMClassifier", "LGBMRegressor"),
    }[library]
    quiet = {} if library == "xgboost" else {"verbose": -1}
    frame = pd.DataFrame(X, columns=list("abcde"))
    for name, n_out in zip(names, (3, 1), strict=True):
        model = getattr(module, name)(n_estimators=5, n_jobs=1, **quiet).fit(frame, y)
        explainer = quick().fit(frame, model)
        assert values_of(explainer, frame).shape == (200, 5, n_out)
        copy = pickle.loads(pickle.dumps(explainer)).attach_model(model)
        np.testing.assert_array_equal(copy.explain(frame).values, explainer.explain(frame).values)


def test_the_masked_model_is_there_as_long_as_a_model_is(quick: Any, numbers: Any) -> None:
    X, y = numbers
    model = LogisticRegression().fit(X, y)
    explainer = quick().fit(X, model)
    masked = explainer.masked_model_
    np.testing.assert_allclose(
        masked.outputs(masked.masker.wrap(X[:5])).numpy(), model.predict_proba(X[:5])
    )
    alone = pickle.loads(pickle.dumps(explainer))
    with pytest.raises(ValueError, match="No model is attached"):
        _ = alone.masked_model_
    assert alone.attach_model(model).masked_model_ is not None
    with pytest.raises(NotFittedError):
        _ = quick().masked_model_
