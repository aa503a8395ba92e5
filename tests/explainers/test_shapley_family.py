"""FastSHAP, supervised and CoRTX explainers: their values, identities, parameters and files."""

from __future__ import annotations

import pickle
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import make_classification, make_friedman1
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression

import fastexplain
from fastexplain import (
    CoRTXExplainer,
    ExactExplainer,
    FastSHAPExplainer,
    SupervisedExplainer,
    TabularMasker,
)
from fastexplain.explainers._cortx import choose_positive
from fastexplain.explainers._label_losses import coalition_weight, precision
from fastexplain.labels import ExactShapley, KernelShapley
from fastexplain.metrics import rank_accuracy

FAMILY = (FastSHAPExplainer, SupervisedExplainer, CoRTXExplainer)
LABELLED = (SupervisedExplainer, CoRTXExplainer)


def quick(kind: Any, **params: Any) -> Any:
    settings: dict[str, Any] = {
        "n_queries": 20_000,
        "hidden_dim": 16,
        "n_blocks": 1,
        "max_steps": 60,
        "batch_size": 64,
        "learning_rate": 1e-2,
        "random_state": 0,
    }
    if kind is CoRTXExplainer:
        settings |= {"contrastive_steps": 5, "contrastive_batch_size": 64, "n_positives": 4}
    return kind(**(settings | params))


pytestmark = pytest.mark.filterwarnings("ignore:The explainer agrees poorly")


@pytest.mark.parametrize("kind", FAMILY)
def test_values_come_near_those_of_enumeration(kind):
    X, y = make_friedman1(600, 6, random_state=0)
    model = HistGradientBoostingRegressor(max_iter=30, random_state=0).fit(X, y)
    explainer = quick(kind, n_queries=150_000, max_steps=800, hidden_dim=64).fit(X, model)
    truth = ExactExplainer("shapley").fit(X, model).explain(X[:100], target=0).values
    found = explainer.explain(X[:100], target=0).values
    explained = 1 - ((found - truth) ** 2).sum() / (truth**2).sum()
    assert explained > 0.93
    assert explainer.best_score_ == pytest.approx(explained, abs=0.1)
    assert explainer.score(X[:50]) > 0.9


@pytest.mark.parametrize("kind", FAMILY)
def test_a_linear_models_values_are_its_terms(kind):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 4))
    model = LinearRegression().fit(X, X @ [3.0, -2.0, 1.0, 0.0])
    found = quick(kind, n_queries=60_000, max_steps=600).fit(X, model).explain(X[:60]).values
    terms = (X[:60] - X.mean(axis=0)) * model.coef_
    assert np.abs(found - terms).mean() < 0.1


@pytest.mark.parametrize("kind", FAMILY)
def test_values_add_up_and_null_players_have_none(kind, numbers, classifier):
    X = numbers[0].copy()
    X[::2, 1] = 0.0
    X[::3, [0, 4]] = 0.0
    explainer = quick(kind, baseline="zero").fit(X, classifier)
    explanation = explainer.explain(X, target="all")
    assert explanation.values.shape == (200, 5, 3)
    total = classifier.predict_proba(X) - explainer.base_values_
    np.testing.assert_allclose(explanation.values.sum(axis=1), total, atol=1e-6)
    assert not explanation.values[::2, 1].any() and not explanation.values[::3, [0, 4]].any()
    plain = clone(explainer).set_params(normalize=None).fit(X, classifier)
    raw = plain.explain(X, target="all")
    assert np.abs(raw.values.sum(axis=1) - total).max() > 1e-4
    assert not raw.values[::2, 1].any()
    assert raw.efficiency_gap is None


@pytest.mark.parametrize("kind", FAMILY)
def test_the_gap_is_what_was_missing_before_the_correction(kind, numbers, classifier):
    explainer = quick(kind).fit(numbers[0], classifier)
    X = numbers[0][:20]
    corrected = explainer.explain(X, target=1)
    explainer.normalize = None
    raw = explainer.explain(X, target=1)
    total = classifier.predict_proba(X)[:, 1] - explainer.base_values_[1]
    np.testing.assert_allclose(corrected.efficiency_gap, total - raw.values.sum(axis=1), atol=1e-6)
    np.testing.assert_allclose(
        corrected.values - raw.values,
        np.repeat(corrected.efficiency_gap[:, None] / 5, 5, 1),
        atol=1e-6,
    )


@pytest.mark.parametrize("kind", FAMILY)
def test_frames_with_text_and_gaps_work(kind, people, people_model):
    explainer = quick(kind, groups={"pay and town": ["pay", "town"]}).fit(people, people_model)
    explanation = explainer.explain(people[:9])
    assert explanation.values.shape == (9, 4)
    assert "pay and town" in explanation.feature_names
    assert np.isfinite(explanation.values).all()


@pytest.mark.parametrize("kind", FAMILY)
def test_several_background_rows_are_averaged(kind, numbers, classifier):
    X = numbers[0]
    explainer = quick(kind, masker=TabularMasker(X[:3])).fit(X, classifier)
    found = explainer.explain(X[:10], target=0)
    base = classifier.predict_proba(X[:3]).mean(axis=0)[0]
    np.testing.assert_allclose(found.base_values, base)
    np.testing.assert_allclose(
        found.values.sum(axis=1), classifier.predict_proba(X[:10])[:, 0] - base, atol=1e-6
    )


@pytest.mark.parametrize("kind", FAMILY)
def test_saved_and_pickled_explainers_explain_alike(kind, numbers, classifier, tmp_path):
    X = numbers[0]
    explainer = quick(kind).fit(X, classifier)
    expected = explainer.explain(X[:10], target="all").values
    explainer.save(tmp_path / "saved")
    loaded = fastexplain.load(tmp_path / "saved", model=classifier)
    assert type(loaded) is kind
    np.testing.assert_array_equal(loaded.explain(X[:10], target="all").values, expected)
    assert getattr(loaded, "contrast_", None) == getattr(explainer, "contrast_", None)
    pickled = pickle.loads(pickle.dumps(explainer))
    np.testing.assert_array_equal(pickled.explain(X[:10], target="all").values, expected)
    # efficiency needs the model's own outputs, and that is said
    alone = fastexplain.load(tmp_path / "saved")
    with pytest.raises(ValueError, match="normalize=None"):
        alone.explain(X[:10], target=0)
    alone.set_params(normalize=None)
    raw = alone.explain(X[:10], target="all").values
    assert 0 < np.abs(raw - expected).max() < 0.5
    assert pickle.loads(pickle.dumps(alone))._model is None


@pytest.mark.parametrize("kind", FAMILY)
def test_the_same_seed_gives_the_same_values(kind, numbers, classifier):
    X = numbers[0]
    state = torch.random.get_rng_state()
    first, second = (quick(kind).fit(X, classifier) for _ in range(2))
    other = quick(kind, random_state=1).fit(X, classifier)
    values = [e.explain(X[:5], target=0).values for e in (first, second, other)]
    np.testing.assert_array_equal(values[0], values[1])
    assert np.abs(values[0] - values[2]).max() > 0
    assert torch.equal(torch.random.get_rng_state(), state)


COMMON = {"n_blocks": 2, "hidden_dim": 8, "max_steps": 30, "batch_size": 32, "weight_decay": 1.0}
OWN: dict[Any, dict[str, Any]] = {
    FastSHAPExplainer: {"n_masks": 8, "n_queries": 5000},
    SupervisedExplainer: {"n_labels": 50, "n_copies": 2, "n_queries": 3000},
    CoRTXExplainer: {
        "n_labels": 50,
        "n_copies": 2,
        "n_masks": 0,
        "positives": "maximum",
        "n_positives": 9,
        "keep_probability": 0.8,
        "temperature": 1.0,
        "contrastive_steps": 40,
        "contrastive_batch_size": 16,
        "contrastive_learning_rate": 1e-2,
        "freeze_encoder": True,
        "n_head_layers": 3,
    },
}


@pytest.mark.parametrize("kind", FAMILY)
def test_every_parameter_changes_something(kind, numbers, classifier):
    X = numbers[0]
    found = quick(kind).fit(X, classifier).explain(X[:5], target=0).values
    for name, value in (COMMON | OWN[kind]).items():
        other = quick(kind, **{name: value}).fit(X, classifier)
        assert np.abs(found - other.explain(X[:5], target=0).values).max() > 1e-7, name


@pytest.mark.parametrize("kind", LABELLED)
def test_labels_that_are_passed_are_learned_from(kind, numbers, classifier):
    X = numbers[0]
    source = ExactExplainer("shapley").fit(X, classifier)
    labels = np.full((200, 5, 3), np.nan)
    labels[:80] = source.explain(X[:80], target="all").values
    params = {"n_masks": 0, "contrastive_steps": 0} if kind is CoRTXExplainer else {}
    explainer = quick(kind, **params).fit(X, classifier, labels=labels)
    opposite = quick(kind, normalize=None, **params).fit(X, classifier, labels=-labels)
    right = explainer.explain(X[:80], target=2).values.ravel()
    wrong = opposite.explain(X[:80], target=2).values.ravel()
    truth = labels[:80, :, 2].ravel()
    assert np.corrcoef(right, truth)[0, 1] > 0.8
    assert np.corrcoef(wrong, truth)[0, 1] < -0.5


def test_labels_of_one_class_of_two_stand_for_both():
    X, y = make_classification(120, 4, random_state=0)
    model = LogisticRegression().fit(X, y)
    both = ExactExplainer("shapley").fit(X, model).explain(X, target="all").values
    values = [
        quick(SupervisedExplainer).fit(X, model, labels=given).explain(X, target="all").values
        for given in (both, both[:, :, 1])
    ]
    np.testing.assert_allclose(values[0], values[1], atol=1e-5)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.zeros((200, 5)), "labels must have shape"),
        (np.zeros((10, 5, 3)), "labels must have shape"),
        (np.full((200, 5, 3), np.nan), "no row without NaN"),
        (np.full((200, 5, 3), np.inf), "must be finite"),
    ],
)
def test_labels_that_cannot_be_used_are_refused(labels, message, numbers, classifier):
    with pytest.raises(ValueError, match=message):
        quick(SupervisedExplainer).fit(numbers[0], classifier, labels=labels)


def test_only_the_labels_that_were_asked_for_are_made(numbers, classifier):
    asked = []
    for n_labels in (20, 40):
        explainer = quick(SupervisedExplainer, n_labels=n_labels, label_source="exact", n_copies=3)
        explainer.fit(numbers[0], classifier)
        asked.append(explainer.n_model_queries_)
    # 32 coalitions for each label, held-out ones included, and one for a held-out row's own
    assert 20 * 32 <= asked[1] - asked[0] <= 20 * 33
    share = quick(SupervisedExplainer, label_fraction=0.2, label_source="exact", n_copies=3)
    assert share.fit(numbers[0], classifier).n_model_queries_ == asked[1]


@pytest.mark.parametrize("source", ["exact", "kernel", "permutation", KernelShapley(16)])
def test_label_sources_are_interchangeable(source, numbers, classifier):
    explainer = quick(SupervisedExplainer, label_source=source, n_labels=60)
    values = explainer.fit(numbers[0], classifier).explain(numbers[0], target=0).values
    truth = ExactExplainer("shapley").fit(numbers[0], classifier).explain(numbers[0], target=0)
    assert np.corrcoef(values.ravel(), truth.values.ravel())[0, 1] > 0.7


@pytest.mark.parametrize(
    ("kind", "params", "message"),
    [
        (FastSHAPExplainer, {"normalize": "softmax"}, "normalize must be"),
        (FastSHAPExplainer, {"n_masks": 0}, "n_masks must be"),
        (SupervisedExplainer, {"label_source": "guess"}, "label_source must be"),
        (SupervisedExplainer, {"label_fraction": 0.0}, "label_fraction must be"),
        (SupervisedExplainer, {"label_fraction": 0.5, "n_labels": 5}, "not both"),
        (SupervisedExplainer, {"n_labels": 0}, "n_labels must be"),
        (SupervisedExplainer, {"n_copies": -1}, "n_copies must be"),
        (CoRTXExplainer, {"positives": "none"}, "positives must be"),
        (CoRTXExplainer, {"keep_probability": 1.0}, "keep_probability must be"),
        (CoRTXExplainer, {"temperature": 0.0}, "temperature must be"),
        (CoRTXExplainer, {"contrastive_steps": -1}, "contrastive_steps must be"),
        (CoRTXExplainer, {"contrastive_learning_rate": 0}, "contrastive_learning_rate must be"),
    ],
)
def test_bad_parameters_are_named(kind, params, message, numbers, classifier):
    with pytest.raises(ValueError, match=message):
        quick(kind, **params).fit(numbers[0], classifier)


@pytest.mark.parametrize("which", ["compact", "maximum"])
def test_the_positive_is_the_copy_that_moves_least_or_most(which):
    rng = np.random.default_rng(0)
    masks = rng.random((6, 5, 3)) < 0.5
    answers, full = rng.normal(size=(6, 5, 2)), rng.normal(size=(6, 2))
    found = choose_positive(masks, torch.from_numpy(answers), torch.from_numpy(full), which)
    for b in range(6):
        moved = [sum(abs(answers[b, i, k] - full[b, k]) for k in range(2)) for i in range(5)]
        best = moved.index(min(moved) if which == "compact" else max(moved))
        np.testing.assert_array_equal(found[b], masks[b, best])


def test_contrast_tells_rows_apart_by_what_the_model_sees():
    X, y = make_classification(600, 6, random_state=0)
    model = LogisticRegression().fit(X, y)
    drawn, learned = (
        quick(CoRTXExplainer, contrastive_steps=steps, keep_probability=0.8, n_labels=40)
        .fit(X, model)
        .contrast_
        for steps in (1, 150)
    )
    assert learned > drawn


@pytest.mark.parametrize("kind", FAMILY)
@pytest.mark.parametrize("n_features", [1, 30])
def test_one_feature_and_many(kind, n_features):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(150, n_features))
    model = LinearRegression().fit(X, X[:, 0])
    found = quick(kind).fit(X, model).explain(X[:10])
    expected = model.predict(X[:10]) - model.predict(X.mean(axis=0, keepdims=True))
    np.testing.assert_allclose(found.values.sum(axis=1), expected, atol=1e-5)
    assert ExactShapley().enumerated == 2**20


@pytest.mark.slow
@pytest.mark.parametrize("kind", FAMILY)
def test_values_that_need_not_add_up_are_shapley_values_all_the_same(kind):
    X = np.random.default_rng(0).normal(size=(400, 2))
    params = {"baseline": "zero", "output": "regression", "n_queries": 60_000, "max_steps": 600}
    explainer = quick(kind, normalize=None, hidden_dim=64, **params)
    explainer.fit(X, lambda x: x[:, 0] * x[:, 1])
    found, truth = explainer.explain(X[:80]).values, 0.5 * X[:80].prod(axis=1)[:, None]
    assert 1 - ((found - truth) ** 2).sum() / (2 * truth**2).sum() > 0.8


@pytest.mark.slow
@pytest.mark.parametrize("kind", FAMILY)
def test_a_gap_is_small_where_the_network_is_good(kind):
    X, y = make_friedman1(400, 5, random_state=0)
    model = LinearRegression().fit(X, y)
    explainer = quick(kind, n_queries=60_000, max_steps=500).fit(X, model)
    explanation = explainer.explain(X)
    size = np.sqrt((explanation.values**2).mean())
    assert np.sqrt((explanation.efficiency_gap**2).mean()) < 0.5 * size


@pytest.mark.slow
@pytest.mark.parametrize("kind", FAMILY)
@pytest.mark.parametrize("baseline", ["mean", "marginal"])
def test_a_small_budget_buys_more_than_a_row(kind, baseline):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(600, 9))
    model = LinearRegression().fit(X, X[:, :3].sum(axis=1))
    explainer = quick(kind, n_queries=50_000, baseline=baseline, max_steps=300).fit(X, model)
    assert explainer.best_score_ > 0.5
    # the floor of every stage together: rows of pool, validation and pairs times background
    assert explainer.n_model_queries_ < 50_000 * 8


@pytest.mark.parametrize("kind", FAMILY)
def test_an_output_that_never_moves_has_no_values(kind):
    X = np.random.default_rng(0).normal(size=(100, 4))
    explainer = quick(kind, output="regression")
    explainer.fit(X, lambda x: np.stack([np.ones(len(x)), x[:, 0]], axis=1))
    values = explainer.explain(X, target="all").values
    assert np.abs(values[:, :, 0]).max() < 1e-12 < np.abs(values[:, :, 1]).max()


def test_held_out_rows_do_not_train_by_their_coalitions(numbers, classifier):
    seen: list[np.ndarray] = []

    class Watched(CoRTXExplainer):
        def _unlabelled(self, table: Any, seed: int, started: float) -> Any:
            seen.append(np.asarray(table.native))
            return super()._unlabelled(table, seed, started)

        def _validate_on(self, inputs: Any, labels: Any, total: Any) -> Any:
            seen.append(labels.numpy())
            return super()._validate_on(inputs, labels, total)

    quick(Watched, n_labels=50).fit(numbers[0], classifier)
    labels, rows = seen
    assert len(rows) == 200 - len(labels) and len(labels) == 5


def test_an_interrupt_of_the_contrast_ends_fit(numbers, classifier, monkeypatch):
    from fastexplain.explainers import _cortx

    def interrupt(*given: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(_cortx, "info_nce_loss", interrupt)
    explainer = quick(CoRTXExplainer)
    with pytest.warns(UserWarning, match="interrupted"), pytest.raises(KeyboardInterrupt):
        explainer.fit(numbers[0], classifier)
    assert not hasattr(explainer, "base_values_")


def test_a_label_source_is_saved(numbers, classifier, tmp_path):
    source = KernelShapley(24, standard_error=0.1)
    explainer = quick(SupervisedExplainer, label_source=source).fit(numbers[0], classifier)
    explainer.save(tmp_path / "saved")
    loaded = fastexplain.load(tmp_path / "saved", model=classifier)
    assert loaded.label_source.get_params() == source.get_params()
    loaded.fit(numbers[0], classifier)


@pytest.mark.parametrize("kind", FAMILY)
def test_a_run_is_taken_up_where_it_was_left(kind, numbers, classifier, tmp_path, monkeypatch):
    from fastexplain.explainers import _shapley_learned

    X = numbers[0]
    whole = quick(kind).fit(X, classifier).explain(X[:5], target=0).values
    original = _shapley_learned.spread_gap
    left = [25]

    def stop(*given: Any) -> Any:
        left[0] -= 1
        if left[0] == 0:
            raise KeyboardInterrupt
        return original(*given)

    monkeypatch.setattr(_shapley_learned, "spread_gap", stop)
    resumed = quick(kind, checkpoint=tmp_path / "run")
    with pytest.warns(UserWarning, match="interrupted"):
        resumed.fit(X, classifier)
    assert resumed.stopped_by_ == "interrupt"
    monkeypatch.setattr(_shapley_learned, "spread_gap", original)
    resumed.fit(X, classifier)
    np.testing.assert_allclose(resumed.explain(X[:5], target=0).values, whole, atol=1e-5)


@pytest.mark.parametrize("kind", FAMILY)
def test_networks_train_on_another_device_than_they_were_made_on(kind, numbers, classifier):
    # the loss must read the scale from the network, not keep the buffer of before it moved
    explainer = quick(kind)
    explainer.fit(numbers[0], classifier)
    module = explainer._network
    before = module.scale
    module.to(torch.float64)
    assert module.scale is not before
    if kind is not FastSHAPExplainer:
        from fastexplain.explainers._label_losses import LabelsAndCoalitions

        loss = LabelsAndCoalitions(explainer, module, 0.0)
        assert not any(isinstance(v, torch.Tensor) for v in vars(loss).values())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@pytest.mark.parametrize("kind", FAMILY)
def test_cuda(kind, numbers, classifier):
    explainer = quick(kind, device="cuda").fit(numbers[0], classifier)
    assert np.isfinite(explainer.explain(numbers[0][:5], target=0).values).all()


# -- ranking ---------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", LABELLED)
def test_ranking_learns_permutations(kind, tmp_path):
    X, y = make_friedman1(600, 6, random_state=0)
    model = HistGradientBoostingRegressor(max_iter=30, random_state=0).fit(X, y)
    settings = {"n_queries": 60_000, "max_steps": 500, "hidden_dim": 64, "task": "ranking"}
    explainer = quick(kind, **settings).fit(X, model)
    found = explainer.explain(X[:100])
    truth = ExactExplainer("shapley").fit(X, model).explain(X[:100])
    np.testing.assert_array_equal(
        np.sort(found.values, axis=1), np.tile(np.arange(1.0, 7.0), (100, 1))
    )
    right = rank_accuracy(found.values, truth.values).mean()
    assert right > 0.75
    assert explainer.best_score_ == pytest.approx(right, abs=0.15)
    assert explainer.score(X[:50]) > 0.8
    assert found.efficiency_gap is None and "rank" in found.method
    assert set(explainer.history_) >= {"ranking", "score"}
    # one forward pass and no model
    explainer.save(tmp_path / "ranks")
    loaded = fastexplain.load(tmp_path / "ranks")
    np.testing.assert_array_equal(loaded.explain(X[:100]).values, found.values)


@pytest.mark.parametrize("kind", LABELLED)
def test_ranking_of_every_class(kind, numbers, classifier):
    X = numbers[0].copy()
    X[:, 2] = 0.0
    X[::2, 4] = 0.0
    explainer = quick(kind, task="ranking", baseline="zero").fit(X, classifier)
    values = explainer.explain(X, target="all").values
    np.testing.assert_array_equal(
        np.sort(values, axis=1)[:, :, 0], np.tile(np.arange(1.0, 6.0), (200, 1))
    )
    # null players tie, and ties rank by column
    assert (values[::2, 4] > values[::2, 2]).all()


@pytest.mark.parametrize("kind", LABELLED)
def test_bad_tasks(kind, numbers, classifier):
    with pytest.raises(ValueError, match="task must be one of"):
        quick(kind, task="rank").fit(numbers[0], classifier)
    wide = np.random.default_rng(0).normal(size=(40, 300))
    with pytest.raises(ValueError, match="256 features at most"):
        quick(kind, task="ranking", n_queries=2000).fit(
            wide, LinearRegression().fit(wide, wide[:, 0])
        )


def test_a_frozen_encoder_is_left_as_the_contrast_made_it(numbers, classifier, tmp_path):
    settings = {"freeze_encoder": True, "n_head_layers": 3, "weight_decay": 0.0}
    short, long = (
        quick(CoRTXExplainer, max_steps=steps, **settings).fit(numbers[0], classifier)
        for steps in (1, 40)
    )
    before, after = (dict(e._network.body.named_parameters()) for e in (short, long))
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved == {name for name in before if name.startswith("last.")}
    assert len([name for name in moved if name.endswith("weight")]) == 3
    long.save(tmp_path / "frozen")
    loaded = fastexplain.load(tmp_path / "frozen", model=classifier)
    found = [e.explain(numbers[0][:9]).values for e in (loaded, long)]
    np.testing.assert_array_equal(*found)


def test_a_waterfall_ends_at_the_models_output(numbers, classifier):
    X = numbers[0]
    for normalize in ("additive", None):
        explainer = quick(FastSHAPExplainer, normalize=normalize).fit(X, classifier)
        one = explainer.explain(X[:3], target=0)[1]
        axes = one.plot.waterfall(backend="own")
        labels = [text.get_text() for text in axes.get_yticklabels()]
        # with normalize=None nobody asked what the output is
        assert "not attributed" not in labels
        if normalize == "additive":
            output = classifier.predict_proba(X[1:2])[0, 0]
            assert f"{output:.3g}"[:4] in axes.get_xlabel()
            assert one.efficiency_gap != 0.0
            other = quick(FastSHAPExplainer, normalize=None).fit(X, classifier)
            with pytest.raises(ValueError, match="made to add up|differ"):
                fastexplain.Explanation.concat([explainer.explain(X[:2]), other.explain(X[:2])])
    plt.close("all")


def test_ranks_are_not_stacked(numbers, classifier):
    explanation = (
        quick(SupervisedExplainer, task="ranking")
        .fit(numbers[0], classifier)
        .explain(numbers[0][:3])
    )
    assert not explanation.additive
    explanation[0].plot.waterfall()
    explanation.plot.bar()
    plt.close("all")


def test_coalitions_count_less_the_more_labels_there_are():
    counts = [coalition_weight(n) for n in (0, 10, 250, 500, 1000, 100_000)]
    assert counts == pytest.approx([1.0, 1.0, 1.0, 2**-3.5, 4**-3.5, 3e-4])


def test_precision_is_the_share_of_labels_that_is_not_noise():
    variance = torch.tensor([[[0.0, 4.0]], [[12.0, -1.0]]])
    pool = {"variance": variance, "null": torch.tensor([[False, False], [False, False]])}
    # exact, as large as the noise, a third of it, unknown
    assert precision(pool, torch.tensor([2.0])) == pytest.approx((1 + 0.5 + 0.25 + 0.5) / 4)
    pool["null"][0, 1] = True
    assert precision(pool, torch.tensor([2.0])) == pytest.approx((1 + 0.25 + 0.5) / 3)


@pytest.mark.parametrize("kind", LABELLED)
@pytest.mark.parametrize("source", [ExactShapley(), KernelShapley(32)])
def test_labels_are_kept_and_taken_again(kind, source, numbers, classifier, tmp_path):
    X = numbers[0][:80]
    settings = {"label_source": source, "n_labels": 60, "n_masks": 0}
    if kind is SupervisedExplainer:
        del settings["n_masks"]
    plain = quick(kind, **settings).fit(X, classifier)
    first = quick(kind, label_cache=tmp_path / "labels", **settings).fit(X, classifier)
    files = sorted((tmp_path / "labels").iterdir())
    again = quick(kind, label_cache=tmp_path / "labels", **settings).fit(X, classifier)
    assert files and sorted((tmp_path / "labels").iterdir()) == files
    values = [e.explain(X, target="all").values for e in (plain, first, again)]
    np.testing.assert_array_equal(values[0], values[1])
    np.testing.assert_array_equal(values[0], values[2])
    # only what tells this model from another was asked again, and held-out rows
    assert again.n_model_queries_ < first.n_model_queries_
    # another model has labels of its own
    other = LogisticRegression(C=0.01).fit(*numbers)
    quick(kind, label_cache=tmp_path / "labels", **settings).fit(X, other)
    assert len(list((tmp_path / "labels").iterdir())) > len(files)
    # damaged files are made anew
    for file in files:
        file.write_bytes(b"nonsense")
    mended = quick(kind, label_cache=tmp_path / "labels", **settings).fit(X, classifier)
    np.testing.assert_array_equal(values[0], mended.explain(X, target="all").values)


@pytest.mark.parametrize("kind", FAMILY)
def test_a_finished_run_leaves_the_users_files_in_its_folder(kind, numbers, classifier, tmp_path):
    folder = tmp_path / "run"
    settings = {} if kind is FastSHAPExplainer else {"label_cache": folder / "labels"}
    quick(kind, checkpoint=folder, **settings).fit(numbers[0], classifier)
    assert not (folder / "run.json").exists()
    assert folder.exists() == bool(settings)
    if settings:
        assert list((folder / "labels").iterdir())


@pytest.mark.parametrize("factor", [2.0, -1.0, 10.0])
def test_labels_that_do_not_add_up_are_told(factor, numbers, classifier):
    X = numbers[0]
    truth = ExactExplainer("shapley").fit(X, classifier).explain(X, target="all").values
    with pytest.warns(UserWarning, match="sums of labels"):
        quick(SupervisedExplainer).fit(X, classifier, labels=factor * truth)


def test_labels_that_add_up_are_not(numbers, classifier, recwarn):
    X = numbers[0]
    truth = ExactExplainer("shapley").fit(X, classifier).explain(X, target="all").values
    quick(SupervisedExplainer).fit(X, classifier, labels=truth)
    assert not [w for w in recwarn if "sums of labels" in str(w.message)]


@pytest.mark.parametrize("kind", LABELLED)
def test_few_held_out_labels_are_told(kind, numbers, classifier):
    with pytest.warns(UserWarning, match="are held out to judge"):
        quick(kind, n_labels=3).fit(numbers[0], classifier)


@pytest.mark.parametrize("kind", ["FastSHAP", "supervised"])
def test_classes_that_hardly_move_do_not_outweigh_the_others(kind: str) -> None:
    """Of a softmax with classes at 1e-7, errors count in units of what other classes do."""
    rng = np.random.default_rng(0)
    X, weights = rng.normal(size=(300, 4)), rng.normal(size=(4, 5))

    def model(rows: np.ndarray) -> np.ndarray:
        scores = np.exp(rows @ weights - np.array([0.0, 0.0, 0.0, 16.0, 17.0]))
        return scores / scores.sum(axis=1, keepdims=True)

    settings: dict[str, Any] = {"n_queries": 8000, "hidden_dim": 32, "n_blocks": 1}
    settings |= {"max_steps": 400, "batch_size": 64, "random_state": 0}
    kinds = {"FastSHAP": FastSHAPExplainer, "supervised": SupervisedExplainer}
    explainer = kinds[kind](**settings).fit(X, model)
    assert explainer.best_score_ > 0.8
    sizes = explainer._network.scale
    assert float(sizes[3:].min()) >= 0.029 * float(sizes.max())
