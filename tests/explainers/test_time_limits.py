"""max_time with models that are slow, by a clock that goes as the model is asked."""

from __future__ import annotations

import re
import time
import warnings
from typing import Any

import numpy as np
import pytest

from fastexplain import (
    ConceptSetExplainer,
    CoRTXExplainer,
    FastSHAPExplainer,
    FEXExplainer,
    L2XExplainer,
    SupervisedExplainer,
    SurrogateRemoval,
    TextMasker,
)
from fastexplain.explainers import _learned
from fastexplain.explainers._time_limits import FitTime, measure_speed
from fastexplain.masked_model import MaskedModel
from fastexplain.predictors import make_predictor
from fastexplain.training import Checkpoint, TargetPool, _settings

pytestmark = [
    pytest.mark.filterwarnings("ignore:The explainer agrees poorly"),
    pytest.mark.filterwarnings("ignore:.*labelled rows are held out"),
]

SMALL: dict[str, Any] = {"hidden_dim": 8, "n_blocks": 1, "max_steps": 4, "random_state": 0}
CASES: dict[str, tuple[Any, dict[str, Any]]] = {
    "FEX": (FEXExplainer, {}),
    "PPO": (FEXExplainer, {"objective": "ppo"}),
    "FastSHAP": (FastSHAPExplainer, {}),
    "CoRTX": (CoRTXExplainer, {"contrastive_steps": 4}),
    "supervised": (SupervisedExplainer, {}),
    "labels": (SupervisedExplainer, {"n_labels": 40}),
    "concept sets": (ConceptSetExplainer, {}),
    "coalitions": (ConceptSetExplainer, {"coalition_share": 0.5}),
    "L2X": (L2XExplainer, {}),
}


class Clock:
    """Seconds that pass when the model is asked, and a little whenever it is looked at."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, per_row: float) -> None:
        self.now, self.per_row, self.asked = 1000.0, per_row, 0
        monkeypatch.setattr(time, "monotonic", self.look)

    def look(self) -> float:
        self.now += 1e-5
        return self.now

    def answer(self, X: Any) -> np.ndarray:
        self.asked += len(X)
        self.now += self.per_row * len(X)
        p = [0.1 + 0.8 * (len(x) % 7) / 7 if isinstance(x, str) else float(x[0] > 0) for x in X]
        return np.stack([np.asarray(p), 1.0 - np.asarray(p)], axis=1)


@pytest.mark.parametrize(("per_row", "limit"), [(1e-3, 8.0), (2e-2, 20.0), (5e-2, 30.0)])
@pytest.mark.parametrize("kind", ["table", "texts"])
@pytest.mark.parametrize("name", CASES)
def test_fit_ends_in_time_whatever_the_model_takes(
    monkeypatch: pytest.MonkeyPatch, name: str, kind: str, per_row: float, limit: float
) -> None:
    cls, own = CASES[name]
    clock = Clock(monkeypatch, per_row=per_row)
    X: Any = np.random.default_rng(0).normal(size=(200, 18))
    if kind == "texts" and cls is L2XExplainer:
        return  # of tables alone
    if kind == "texts":
        words = np.random.default_rng(0).choice(list("abcdefgh"), size=(200, 14))
        X, own = [" ".join(row) for row in words], own | {"masker": TextMasker(unit="word")}
    explainer = cls(**SMALL, **own, max_time=limit)
    begun = clock.now
    explainer.fit(X, clock.answer)
    assert clock.now - begun < 1.25 * limit
    assert explainer.n_iter_ > 0
    assert np.isfinite(explainer.explain(X[:3]).values).all()


def test_a_model_that_is_fast_is_asked_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    X, asked = np.random.default_rng(0).normal(size=(200, 18)), []
    for limit in (None, 1e6):
        clock = Clock(monkeypatch, per_row=1e-6)
        FEXExplainer(**SMALL, n_queries=20_000, max_time=limit).fit(X, clock.answer)
        asked.append(clock.asked)
    # but for finding out how fast it is
    assert 0 <= asked[1] - asked[0] <= 4 * 8192


@pytest.mark.parametrize("name", ["FEX", "FastSHAP", "concept sets", "PPO"])
def test_a_limit_that_does_not_bind_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    cls, own = CASES[name]
    X, values, told = np.random.default_rng(0).normal(size=(200, 6)), [], []
    for limit in (None, 1e6):
        clock = Clock(monkeypatch, per_row=1e-6)
        explainer = cls(**SMALL | own, n_queries=6000, max_time=limit).fit(X, clock.answer)
        values.append(explainer.explain(X[:5]).values)
        told.append(explainer.n_model_queries_)
    np.testing.assert_array_equal(values[0], values[1])
    assert told[0] == told[1]


def test_a_run_with_a_limit_goes_on_with_what_it_was_answered(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    X = np.random.default_rng(0).normal(size=(300, 8))
    settings = SMALL | {"n_queries": 30_000, "n_masks": 16, "max_steps": 40}
    settings |= {"checkpoint": tmp_path / "run"}
    clock = Clock(monkeypatch, per_row=1e-5)
    batch, given = TargetPool.batch, [0]

    def stopping(self: Any, *args: Any) -> Any:
        given[0] += 1
        if given[0] == 25:
            raise KeyboardInterrupt
        return batch(self, *args)

    monkeypatch.setattr(TargetPool, "batch", stopping)
    first = FastSHAPExplainer(**settings, max_time=100.0).fit(X, clock.answer)
    assert first.stopped_by_ == "interrupt"
    asked = clock.asked
    again = FastSHAPExplainer(**settings, max_time=200.0).fit(X, clock.answer)
    assert again.n_iter_ == 40
    # what is judged by, and what tells one model from another, is asked about again
    assert clock.asked - asked < 0.4 * asked


def test_a_surrogate_in_the_models_place_has_no_rate() -> None:
    X = np.random.default_rng(0).normal(size=(120, 4))
    explainer = FastSHAPExplainer(
        **SMALL, removal=SurrogateRemoval(max_steps=5), n_queries=5000, max_time=60.0
    ).fit(X, lambda X: 1 / (1 + np.exp(-X[:, :1])))
    assert explainer._queries_in_time == float("inf")


def in_time(masked: MaskedModel, samples: Any, seconds: float | None, planned: float) -> float:
    return measure_speed(masked, samples, FitTime(0.0, seconds), planned)


def test_rate_is_that_of_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch, per_row=1e-3)
    X = np.random.default_rng(0).normal(size=(50, 5))
    predictor = make_predictor(clock.answer, X)
    explainer = FEXExplainer(**SMALL, n_queries=1000).fit(X, clock.answer)
    masked = MaskedModel(predictor, explainer.masker_)
    samples = explainer.masker_.wrap(X)
    assert in_time(masked, samples, 30.0, 1e9) == pytest.approx(30_000, rel=0.02)
    assert in_time(masked, samples, None, 1e9) == float("inf")
    counted = masked.n_queries
    # a call that costs something by itself
    slow = Clock(monkeypatch, per_row=1e-4)
    answer = slow.answer

    def calling(X: np.ndarray) -> np.ndarray:
        slow.now += 0.5
        return answer(X)

    masked = MaskedModel(make_predictor(calling, X), explainer.masker_)
    assert in_time(masked, samples, 60.0, 1e9) == pytest.approx(600_000, rel=0.05)
    assert masked.n_queries == counted == 0
    # a first call that is slow for being the first
    late = Clock(monkeypatch, per_row=1e-3)
    first = [True]

    def warming(X: np.ndarray) -> np.ndarray:
        late.now += 3.0 * first[0]
        first[0] = False
        return Clock.answer(late, X)

    masked = MaskedModel(make_predictor(warming, X), explainer.masker_)
    first[0] = True
    assert in_time(masked, samples, 600.0, 1e6) == pytest.approx(600_000, rel=0.05)
    # no more than a few of what is planned
    asked = late.asked
    in_time(masked, samples, 1e6, 1000.0)
    assert late.asked - asked <= 400
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert in_time(masked, samples, 30.0, 1e9) == float("inf")


def test_a_run_that_is_taken_up_goes_by_the_rate_it_began_with(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    X = np.random.default_rng(0).normal(size=(200, 18))
    clock = Clock(monkeypatch, per_row=1e-3)
    answer = clock.answer

    def stopping(X: np.ndarray) -> np.ndarray:
        if clock.asked > 4000:
            raise KeyboardInterrupt
        return answer(X)

    settings = SMALL | {"max_time": 12.0, "checkpoint": tmp_path / "run", "n_queries": 100_000}
    with pytest.raises(KeyboardInterrupt):
        FEXExplainer(**settings).fit(X, stopping)
    assert Checkpoint.kept_before(tmp_path / "run", "queries_in_time") == pytest.approx(
        12_000, 0.02
    )
    clock.per_row = 1e-5
    explainer = FEXExplainer(**settings).fit(X, answer)
    assert explainer._queries_in_time == pytest.approx(12_000, 0.02)
    assert Checkpoint.kept_before(tmp_path / "run", "queries_in_time") is None


@pytest.mark.parametrize("cls", [FEXExplainer, FastSHAPExplainer, L2XExplainer])
def test_answers_are_kept_when_the_asking_is_interrupted(tmp_path: Any, cls: Any) -> None:
    X = np.random.default_rng(0).normal(size=(400, 18))
    asked, stop = [0], [float("inf")]

    def model(X: Any) -> np.ndarray:
        if asked[0] > stop[0]:
            raise KeyboardInterrupt
        asked[0] += len(X)
        p = 1 / (1 + np.exp(-X[:, 0]))
        return np.stack([p, 1 - p], axis=1)

    whole = cls(**SMALL, n_queries=20_000, checkpoint=tmp_path / "a").fit(X, model)
    total, asked[0] = asked[0], 0
    stop[0] = 0.8 * total
    explainer = cls(**SMALL, n_queries=20_000, checkpoint=tmp_path / "b")
    with pytest.raises(KeyboardInterrupt):
        explainer.fit(X, model)
    asked[0], stop[0] = 0, float("inf")
    explainer.fit(X, model)
    assert asked[0] < 0.8 * total
    np.testing.assert_array_equal(explainer.explain(X[:9]).values, whole.explain(X[:9]).values)


def test_what_is_loaded_first_leaves_time_to_train(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, loads = Clock(monkeypatch, per_row=0.01), [3.1]
    real = _settings.load_fabric

    def loading() -> Any:
        clock.now += loads.pop() if loads else 0.0
        return real()

    monkeypatch.setattr(_settings, "load_fabric", loading)
    monkeypatch.setattr(_learned, "load_fabric", loading)
    X, begun = np.random.default_rng(0).normal(size=(400, 8)), clock.now
    explainer = FastSHAPExplainer(**SMALL, max_time=6.0).fit(X, clock.answer)
    assert not loads and explainer.n_iter_ > 0 and explainer.max_time == 6.0
    assert clock.now - begun < 6.6


@pytest.mark.parametrize(
    ("per_row", "told"), [(3e-3, "takes about 1,024 queries, and max_time="), (2e-4, None)]
)
def test_exact_labels_of_held_out_rows_end_in_time(
    monkeypatch: pytest.MonkeyPatch, per_row: float, told: str | None
) -> None:
    clock = Clock(monkeypatch, per_row=per_row)
    X, begun = np.random.default_rng(0).normal(size=(200, 10)), clock.now
    settings = {"n_labels": 50, "label_source": "exact", "validation_fraction": 0.5}
    explainer = SupervisedExplainer(**SMALL | settings, max_time=5.0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        explainer.fit(X, clock.answer)
    assert clock.now - begun < 1.25 * 5.0 and explainer.n_iter_ > 0
    found = [str(w.message) for w in caught if "A label by" in str(w.message)]
    assert (told is not None) == bool(found) and all(str(told) in text for text in found)


def test_given_labels_ask_for_outputs_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch, per_row=0.02)
    X, begun = np.random.default_rng(0).normal(size=(2000, 4)), clock.now
    explainer = SupervisedExplainer(**SMALL, max_time=8.0)
    with warnings.catch_warnings():
        # these are not the model's own
        warnings.simplefilter("ignore")
        explainer.fit(X, clock.answer, labels=X)
    assert clock.now - begun < 8.0 and explainer.n_iter_ > 0


@pytest.mark.parametrize("limit", [8.0, None])
def test_a_look_at_rare_outputs_takes_little(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], limit: float | None
) -> None:
    X, asked = np.random.default_rng(0).normal(size=(1500, 5)), []
    for verbose in (0, 1):
        clock = Clock(monkeypatch, per_row=0.02)
        settings = SMALL | {"max_time": limit, "n_queries": 3000, "verbose": verbose}
        FastSHAPExplainer(**settings).fit(X, clock.answer)
        asked.append(clock.asked)
    # a 50th of 8 s, and a second
    assert asked[1] - asked[0] <= (8 if limit else 50) + 2
    assert ("not looked at" in capsys.readouterr().out) == (limit is not None)


def test_it_says_how_many_samples_tell_what_is_rare(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = Clock(monkeypatch, per_row=1e-2)
    X = np.abs(np.random.default_rng(0).normal(size=(1500, 5)))
    FastSHAPExplainer(**SMALL, n_queries=2000, verbose=1).fit(X, clock.answer)
    out = capsys.readouterr().out
    assert re.search(r"fewer than 20 of 1500 samples, as (99|100) of them tell: ", out)
    assert "by n_queries=" in out


@pytest.mark.parametrize("cls", [FastSHAPExplainer, FEXExplainer, SupervisedExplainer])
def test_a_surrogate_leaves_questions_to_the_model_in_time(
    monkeypatch: pytest.MonkeyPatch, cls: Any
) -> None:
    clock = Clock(monkeypatch, per_row=0.02)
    X, begun = np.random.default_rng(0).normal(size=(2000, 6)), clock.now
    removal = SurrogateRemoval(max_steps=5)
    explainer = cls(**SMALL, removal=removal, max_time=6.0).fit(X, clock.answer)
    assert clock.now - begun < 1.25 * 6.0 and explainer.n_iter_ > 0
    # coalitions cost the model nothing
    assert explainer._clock.few_masked(0.1, 1, 10**6) == 10**6


@pytest.mark.parametrize("name", ["PPO", "concept sets"])
def test_outputs_of_many_samples_end_in_time(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    cls, own = CASES[name]
    clock = Clock(monkeypatch, per_row=0.02)
    X, begun = np.random.default_rng(0).normal(size=(4000, 6)), clock.now
    explainer = cls(**SMALL, **own, max_time=20.0).fit(X, clock.answer)
    assert clock.now - begun < 1.25 * 20.0 and explainer.n_iter_ > 0


@pytest.mark.parametrize("cls", [FastSHAPExplainer, FEXExplainer])
@pytest.mark.parametrize("before", [None, 40.0])
def test_a_run_that_is_taken_up_keeps_another_limit(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, before: float | None, cls: Any
) -> None:
    X = np.random.default_rng(0).normal(size=(300, 10))
    clock = Clock(monkeypatch, per_row=2e-3)
    stop = [9000]

    def stopping(X: np.ndarray) -> np.ndarray:
        if clock.asked > stop[0]:
            raise KeyboardInterrupt
        return clock.answer(X)

    settings = SMALL | {"n_queries": 60_000, "checkpoint": tmp_path / "run"}
    with pytest.raises(KeyboardInterrupt):
        cls(**settings, max_time=before).fit(X, stopping)
    stop[0], begun = 10**9, clock.now
    explainer = cls(**settings, max_time=4.0).fit(X, stopping)
    assert clock.now - begun < 1.25 * 4.0 and explainer.n_iter_ > 0
    # as many as the model answers in that time, not in the time before
    assert explainer._queries_in_time == pytest.approx(2000, rel=0.1)


def test_the_time_that_few_labels_take_is_not_that_of_all_queries(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    X = np.random.default_rng(0).normal(size=(300, 5))
    few = SupervisedExplainer(**SMALL, n_labels=40)
    clock = Clock(monkeypatch, per_row=3e-4)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        few.fit(X, clock.answer)
        SupervisedExplainer(**SMALL).fit(X, clock.answer, labels=X)
    assert not [w for w in caught if "This fit takes long" in str(w.message)]
    clock.per_row = 1.0
    with pytest.warns(UserWarning, match=r"1,280, by n_labels=, take 21 min.* n_labels= makes it"):
        few.fit(X, clock.answer)


def test_plans_know_what_memory_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    X = np.random.default_rng(0).normal(size=(300, 5))
    monkeypatch.setattr(_learned, "POOL_BYTES", 2**17)
    for cls in (FastSHAPExplainer, FEXExplainer):
        clock = Clock(monkeypatch, per_row=1e-5)
        explainer = cls(**SMALL, n_queries=10**6).fit(X, clock.answer)
        plan = explainer._plan(explainer.masker_.wrap(X))
        assert plan.limit == "what memory holds" and 2000 < plan.queries < 50_000
