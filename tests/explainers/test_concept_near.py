"""Concept sets go on from sets near their ranking's own prefixes."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from fastexplain import ConceptSetExplainer, ImageMasker
from fastexplain.explainers import _concept_near, _concept_sets, _concept_start
from fastexplain.explainers._coalition_pool import coalitions_of, ends_of, in_units
from fastexplain.explainers._concept_near import better_than_random, ranking_scores
from fastexplain.objectives import log_odds_of

pytestmark = pytest.mark.filterwarnings("ignore:The explainer agrees poorly")

SETTINGS: dict[str, Any] = {
    "masker": ImageMasker(patch_size=2),
    "n_queries": 20_000,
    "hidden_dim": 16,
    "n_blocks": 0,
    "max_steps": 150,
    "batch_size": 16,
    "random_state": 0,
}


class Bright(nn.Module):
    """Two classes; the brighter the red, the more it speaks for the first."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logit = 12 * (x[:, 0].mean(dim=(1, 2)) - 0.15)
        return torch.stack([torch.sigmoid(logit), torch.sigmoid(-logit)], dim=1)


class Sum(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 100 + 30 * x[:, :1].mean(dim=(2, 3))


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).random((100, 3, 8, 8), dtype=np.float32) ** 2


def test_coalitions_of_chances_gain_log_odds(images: np.ndarray) -> None:
    explainer = ConceptSetExplainer(**SETTINGS | {"max_steps": 2}).fit(images[:40], Bright())
    samples = explainer.masker_.wrap(images[40:50])
    given = explainer, samples, 6
    by_odds = coalitions_of(*given, np.random.default_rng(0), True, True)
    plain = coalitions_of(*given, np.random.default_rng(0), True)
    assert torch.equal(by_odds["masks"], plain["masks"])
    masked = explainer._masked
    answers = masked.values(samples, plain["masks"].numpy()).double()
    none = torch.from_numpy(np.array(explainer._own_bases(samples)))
    np.testing.assert_allclose(plain["gains"], answers - none[:, None], atol=1e-6)
    expected = log_odds_of(answers) - log_odds_of(none)[:, None]
    np.testing.assert_allclose(by_odds["gains"], expected, atol=1e-5)


@pytest.mark.parametrize("fill", ["zero", "blur"])
def test_closeness_ends_at_one_and_begins_where_nothing_is_left(
    images: np.ndarray, fill: Any
) -> None:
    settings = SETTINGS | {"output": "regression", "max_steps": 2}
    settings["masker"] = ImageMasker(patch_size=2, fill=fill)
    explainer = ConceptSetExplainer(**settings).fit(images[:40], Sum())
    samples = explainer.masker_.wrap(images[40:50])
    outputs = explainer._masked.outputs(samples).cpu().float()
    nothing = np.zeros((10, 1, 16), dtype=bool)
    ask = explainer._asker(outputs)
    none, full = ends_of(explainer, samples, outputs)
    assert (full == 1).all()
    expected = ask(samples, np.arange(10), nothing)[:, 0].double()
    torch.testing.assert_close(none, expected, atol=1e-5, rtol=1e-4)
    found = coalitions_of(explainer, samples, 4, np.random.default_rng(0), True, True)
    kept = ask(samples, np.arange(10), found["masks"].numpy()).double()
    torch.testing.assert_close(found["gains"].double(), kept - none[:, None], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(found["total"].double(), full - none, atol=1e-5, rtol=1e-4)


def test_units_are_log_odds_of_chances_alone() -> None:
    score = torch.tensor([[0.2, 0.4, 0.9, 0.7]])
    torch.testing.assert_close(in_units(score, None), torch.logit(score))
    assert torch.equal(in_units(score, torch.ones(1)), score)


def test_rankings_are_scored_by_what_prefixes_keep() -> None:
    rng = np.random.default_rng(0)
    worth = torch.from_numpy(rng.random((20, 12)))
    null = torch.zeros_like(worth, dtype=torch.bool)
    asked = []

    def ask(masks: np.ndarray) -> torch.Tensor:
        asked.append(masks)
        return (torch.from_numpy(masks) * worth[:, None]).sum(dim=2) / worth.sum(1, keepdim=True)

    right, wrong = ranking_scores(worth, null, ask), ranking_scores(-worth, null, ask)
    random = ranking_scores(torch.from_numpy(rng.random((20, 12))), null, ask)
    assert right.shape == (20,)
    assert (right >= wrong).all() and right.mean() > random.mean() > wrong.mean()
    kept, left = np.split(asked[0], 2, axis=1)
    assert (kept ^ left).all()
    # every prefix holds the one before it, from a single player on
    assert (kept[:, 1:] >= kept[:, :-1]).all() and kept[:, 0].sum() == 20
    place = (-worth).argsort(dim=1).argsort(dim=1).numpy()
    assert (place[kept[:, 0]] == 0).all()
    # players that change nothing are asked about in no set
    null[:, :3] = True
    ranking_scores(worth, null, ask)
    assert not asked[-1][:, :, :3].any()


def test_near_sets_leave_no_worse_ranking_and_their_queries_are_part_of_the_budget(
    images: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = []
    real, judge = _concept_start.learn_from_near_sets, _concept_near._validator

    def keeping(*given: Any) -> Any:
        scores.append(judge(*given))
        return scores[-1]

    def listening(explainer: Any, policy: Any, *rest: Any) -> Any:
        start, asked = copy.deepcopy(policy), explainer._masked.n_queries
        fitted = real(explainer, policy, *rest)
        asked = explainer._masked.n_queries - asked
        before, after = (scores[-1](_concept_near.PolicyNumbers(p)) for p in (start, policy))
        seen.append((before, after, fitted, asked))
        return fitted

    seen: list[Any] = []
    monkeypatch.setattr(_concept_near, "_validator", keeping)
    monkeypatch.setattr(_concept_start, "learn_from_near_sets", listening)
    explainer = ConceptSetExplainer(**SETTINGS).fit(images, Bright())
    ((before, after, fitted, asked),) = seen
    assert fitted.n_steps > 0
    assert after >= before
    assert after == pytest.approx(fitted.best_score, abs=1e-6)
    # sets, their samples' own outputs and validations
    assert 0.4 * SETTINGS["n_queries"] < asked < 0.7 * SETTINGS["n_queries"]
    assert explainer.n_model_queries_ < 1.4 * SETTINGS["n_queries"]


def _told(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the near stage of the next fits gives back, and what it asked."""
    told: list[Any] = []
    real = _concept_start.learn_from_near_sets

    def listening(explainer: Any, *rest: Any) -> Any:
        asked = explainer._masked.n_queries
        fitted = real(explainer, *rest)
        told.append((fitted, explainer._masked.n_queries - asked))
        return fitted

    monkeypatch.setattr(_concept_start, "learn_from_near_sets", listening)
    return told


def _softplus(X: np.ndarray) -> np.ndarray:
    return np.stack([np.log1p(np.exp(X[:, :3].sum(axis=1))), 50 + X[:, 3]], axis=1)


def _logistic(X: np.ndarray) -> np.ndarray:
    first = 1 / (1 + np.exp(-X[:, :2].sum(axis=1)))
    return np.stack([first, 1 - first], axis=1)


@pytest.mark.parametrize("baseline", ["mean", "marginal"])
@pytest.mark.parametrize("model", [_softplus, _logistic])
@pytest.mark.parametrize("n_sets", [1, 4])
def test_tables_learn_from_near_sets_within_the_budget(
    monkeypatch: pytest.MonkeyPatch, baseline: str, model: Any, n_sets: int
) -> None:
    told = _told(monkeypatch)
    rows = np.random.default_rng(0).normal(size=(80, 5))
    settings = SETTINGS | {"masker": None, "baseline": baseline, "n_sets": n_sets}
    queries = 160_000 if baseline == "marginal" else 8000
    settings |= {"coalition_share": 0.8, "n_queries": queries}
    output = "regression" if model is _softplus else "auto"
    explainer = ConceptSetExplainer(**settings, output=output).fit(rows, model)
    ((fitted, asked),) = told
    assert fitted.n_steps > 0
    # a single set of a size would tell nothing
    assert min(fitted.history["kept"]) > 0
    assert asked < 1.25 * 0.8 * _concept_start._NEAR_SHARE * queries
    assert explainer.n_model_queries_ < 1.4 * queries


def test_more_sets_are_drawn_where_more_are_wanted(
    images: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    real = _concept_near.near_sets

    def listening(values: Any, null: Any, n_sets: int, *rest: Any) -> Any:
        seen.append(n_sets)
        return real(values, null, n_sets, *rest)

    monkeypatch.setattr(_concept_near, "near_sets", listening)
    for n_sets in (1, 3):
        ConceptSetExplainer(**SETTINGS | {"n_sets": n_sets}).fit(images[:40], Bright())
    assert set(seen) == {2, 3}


def test_steps_that_near_sets_have_no_queries_for_go_to_coalitions(
    images: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    told, steps = _told(monkeypatch), []
    real = _concept_start._learn

    def listening(*given: Any) -> Any:
        steps.append(given[5])
        return real(*given)

    monkeypatch.setattr(_concept_start, "_learn", listening)
    ConceptSetExplainer(**SETTINGS | {"n_queries": 10_000}).fit(images, Bright())
    ((fitted, _),) = told
    assert 0 < fitted.n_steps < 40
    assert fitted.n_steps + steps[0] == round(0.9 * SETTINGS["max_steps"])


def test_a_stage_without_time_asks_nothing(
    images: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = _told(monkeypatch)
    monkeypatch.setattr(_concept_near, "deadline_of", lambda explainer, started: started - 1.0)
    explainer = ConceptSetExplainer(**SETTINGS, max_time=60.0).fit(images[:40], Bright())
    ((fitted, asked),) = told
    assert (fitted.stopped_by, fitted.n_steps, asked) == ("max_time", 0, 0)
    assert explainer.n_iter_ > 0


def test_every_output_of_a_regressor_has_its_turn_as_judge() -> None:
    rows = np.random.default_rng(0).normal(size=(40, 5))
    settings = SETTINGS | {"masker": None, "max_steps": 2}
    explainer = ConceptSetExplainer(**settings, output="regression").fit(rows, _softplus)
    outputs = torch.tensor([[1.0, 50.0]] * 4)
    assert explainer._judged(outputs).tolist() == [0, 1, 0, 1]
    classes = ConceptSetExplainer(**settings).fit(rows, _logistic)
    assert classes._judged(torch.tensor([[0.2, 0.8], [0.7, 0.3]])).tolist() == [1, 0]


def test_one_step_needs_no_near_sets(images: np.ndarray) -> None:
    explainer = ConceptSetExplainer(**SETTINGS | {"max_steps": 1}).fit(images[:40], Bright())
    assert np.isfinite(explainer.explain(images[:3], target=0).values).all()


class Backwards:
    """A policy whose values are those of another one, turned round."""

    def __init__(self, module: nn.Module) -> None:
        self.module = module

    def parameters(self) -> Any:
        return self.module.parameters()

    def __call__(self, x: torch.Tensor, null: torch.Tensor) -> torch.Tensor:
        return -self.module(x, null)


def test_rankings_are_held_against_those_of_chance(images: np.ndarray) -> None:
    explainer = ConceptSetExplainer(**SETTINGS).fit(images, Bright())
    samples = explainer.masker_.wrap(images[:12])
    found = better_than_random(explainer, explainer._network, samples, 0)
    turned = better_than_random(explainer, Backwards(explainer._network), samples, 0)
    assert found > 0.02
    assert turned < -0.02
    # of one sample nothing is sure
    assert better_than_random(explainer, Backwards(explainer._network), samples.take([0]), 0) > 0
    assert explainer._better > 0


def test_fit_warns_of_rankings_worse_than_chance(
    images: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_concept_sets, "better_than_random", lambda *_: -0.1)
    explainer = ConceptSetExplainer(**SETTINGS, size_weight=0.2)
    with pytest.warns(UserWarning, match="keep less of the prediction, and leave more, than in"):
        explainer.fit(images, Bright())


def test_fit_tells_of_queries_beyond_those_that_were_planned(images: np.ndarray) -> None:
    explainer = ConceptSetExplainer(**SETTINGS | {"n_queries": 100, "max_steps": 2})
    with pytest.warns(UserWarning, match="was asked for .* samples, more than n_queries=100"):
        explainer.fit(images, Bright())
