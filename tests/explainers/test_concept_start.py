"""Concept sets that begin with what players add to coalitions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from fastexplain import ConceptSetExplainer, ImageMasker
from fastexplain.explainers import _concept_near, _concept_sets, _concept_start
from fastexplain.explainers._coalition_pool import coalitions_of
from fastexplain.metrics import rank_correlation
from fastexplain.networks import ConceptPolicy
from fastexplain.training import TargetPool, Trajectories

pytestmark = [
    pytest.mark.filterwarnings("ignore:The explainer agrees poorly"),
    pytest.mark.filterwarnings("ignore:Training was interrupted"),
]

SMALL: dict[str, Any] = {
    "n_queries": 6000,
    "hidden_dim": 16,
    "n_blocks": 0,
    "max_steps": 60,
    "batch_size": 16,
    "learning_rate": 5e-3,
    "random_state": 0,
}


class Bright(nn.Module):
    """Two classes; the brighter a patch's red, the more it speaks for the first."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logit = 12 * (x[:, 0].mean(dim=(1, 2)) - 0.15)
        return torch.stack([torch.sigmoid(logit), torch.sigmoid(-logit)], dim=1)


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).random((160, 3, 8, 8), dtype=np.float32) ** 2


def _fitted(images: np.ndarray, **params: Any) -> ConceptSetExplainer:
    settings = SMALL | {"masker": ImageMasker(patch_size=1)} | params
    return ConceptSetExplainer(**settings).fit(images, Bright())


def _agreement(explainer: ConceptSetExplainer, images: np.ndarray) -> float:
    patches = images[:, 0].reshape(len(images), -1)
    return float(rank_correlation(explainer.explain(images, target=0).values, patches).mean())


def test_sets_that_begin_with_coalitions_rank_sooner(images: np.ndarray) -> None:
    begun = _fitted(images[:120], coalition_share=0.9)
    half = _fitted(images[:120], coalition_share=0.5)
    plain = _fitted(images[:120], coalition_share=0.0)
    found = [_agreement(explainer, images[120:]) for explainer in (begun, half, plain)]
    assert found[0] > found[1] + 0.1 > found[2] + 0.1
    assert found[0] > 0.75
    assert begun._network.gain != 1.0 or begun._network.level != 0.0
    assert plain._network.gain == 1.0 and plain._network.level == 0.0
    # queries are those asked for, however they are shared
    for explainer in (begun, plain):
        assert explainer.n_model_queries_ < 1.4 * SMALL["n_queries"]


def test_images_begin_so_by_default_and_tables_do_not(
    images: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = []
    real = _concept_sets.begin_with_coalitions

    def listening(*given: Any) -> Any:
        told.append(given)
        return real(*given)

    monkeypatch.setattr(_concept_sets, "begin_with_coalitions", listening)
    _fitted(images[:40], max_steps=4)
    assert len(told) == 1
    rows = np.random.default_rng(0).normal(size=(60, 4))
    settings = SMALL | {"max_steps": 4}

    def model(X: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-X[:, :1] - X[:, 1:2]))

    ConceptSetExplainer(**settings).fit(rows, model)
    assert len(told) == 1
    ConceptSetExplainer(**settings, coalition_share=0.5).fit(rows, model)
    assert len(told) == 2


def test_gain_and_level_are_the_best_of_those_tried(images: np.ndarray) -> None:
    class Policy(ConceptPolicy):
        def __init__(self) -> None:
            super().__init__(nn.Linear(1, 1), 1, 1)

    seen = []

    def objective(policy: Any) -> float:
        pair = float(policy.gain), float(policy.level)
        seen.append(pair)
        return -abs(pair[0] - 2.0) - abs(pair[1] + 2.0)

    policy = Policy()
    _concept_start.choose_logits(policy, objective)
    assert (float(policy.gain), float(policy.level)) == (2.0, -2.0)
    assert len(set(seen)) == len(seen)
    assert min(level for _, level in seen) >= -6.0


def test_real_valued_outputs_begin_with_closeness(images: np.ndarray) -> None:
    class Sum(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return 100 + 30 * x[:, :1].mean(dim=(2, 3))

    settings = SMALL | {"masker": ImageMasker(patch_size=1), "output": "regression"}
    explainer = ConceptSetExplainer(**settings, coalition_share=0.5).fit(images[:120], Sum())
    values = explainer.explain(images[120:], target=0).values
    assert 0 <= values.min() and values.max() <= 1
    patches = images[120:, 0].reshape(40, -1)
    assert rank_correlation(values, patches).mean() > 0.4


def _interrupt(monkeypatch: pytest.MonkeyPatch, kind: Any, after: int) -> None:
    real, given = kind.batch, []

    def interrupted(self: Any, *args: Any) -> Any:
        given.append(1)
        if len(given) > after:
            raise KeyboardInterrupt
        return real(self, *args)

    monkeypatch.setattr(kind, "batch", interrupted)


@pytest.mark.parametrize(
    ("kind", "after"), [(TargetPool, 10), (Trajectories, 3), (Trajectories, 17)]
)
def test_a_run_that_is_taken_up_ends_as_one_that_was_not_left(
    images: np.ndarray, tmp_path: Any, monkeypatch: pytest.MonkeyPatch, kind: Any, after: int
) -> None:
    few, folder = images[:60], tmp_path / "run"
    whole = _fitted(few, coalition_share=0.5)
    with monkeypatch.context() as patched:
        _interrupt(patched, kind, after)
        left = _fitted(few, coalition_share=0.5, checkpoint=folder)
        assert left.stopped_by_ == "interrupt"
        # what was learned until then explains
        assert _agreement(left, few) > 0.1
    taken = _fitted(few, coalition_share=0.5, checkpoint=folder)
    expected = whole.explain(few[:5], target=0).values
    np.testing.assert_allclose(taken.explain(few[:5], target=0).values, expected, atol=1e-5)
    assert not folder.exists()
    # the coalitions' answers were kept; what both processes asked for is counted
    assert taken.n_model_queries_ - left.n_model_queries_ < 0.8 * whole.n_model_queries_


def test_each_stage_has_a_schedule_of_its_own(
    images: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[float, float, float]] = []
    for module in (_concept_sets, _concept_start, _concept_near):
        real = module.Trainer

        def listening(*given: Any, real: Any = real) -> Any:
            trainer = real(*given)
            s = trainer.settings
            seen.append((s.begun - s.started, s.deadline - s.started, trainer._progress(0)))
            return trainer

        monkeypatch.setattr(module, "Trainer", listening)
    _fitted(images, coalition_share=0.5, max_time=20.0)
    begun, ends, progress = zip(*seen, strict=True)
    assert 0 < begun[0] <= begun[1] <= begun[2]
    # of the time that loading leaves
    assert 2.0 <= ends[-1] <= 20.0
    assert np.array(ends) / ends[-1] == pytest.approx((0.225, 0.5, 1.0))
    assert max(progress) < 0.01


def test_blurred_images_gain_over_their_own_blur(images: np.ndarray) -> None:
    masker = ImageMasker(patch_size=2, fill="blur")
    explainer = _fitted(images[:30], coalition_share=0.5, max_steps=4, masker=masker)
    samples = explainer.masker_.wrap(images[:6])
    found = coalitions_of(explainer, samples, 4, np.random.default_rng(0))
    masked = explainer.masked_model_
    none = masked.empty_values(samples).numpy()
    np.testing.assert_allclose(found["total"], masked.outputs(samples).numpy() - none, atol=1e-6)
    kept = masked.values(samples, found["masks"].numpy()).numpy()
    np.testing.assert_allclose(found["gains"], kept - none[:, None], atol=1e-6)


@pytest.mark.parametrize("share", [-0.1, 1.0, "half", True])
def test_bad_shares_are_refused(images: np.ndarray, share: Any) -> None:
    with pytest.raises(ValueError, match="coalition_share must be in"):
        _fitted(images[:20], coalition_share=share)
