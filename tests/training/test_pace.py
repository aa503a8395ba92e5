"""Runs whose steps are slow: told of, or made of smaller batches where time is limited."""

from __future__ import annotations

import time
import warnings
from typing import Any

import pytest
import torch
from torch import nn

from fastexplain.training import TargetPool, Trainer, TrainSettings
from fastexplain.training._pace import Pace


class Clock:
    """Seconds that pass as rows are learned from."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now)


def settings(**given: Any) -> TrainSettings:
    usual = {
        "max_steps": 1000,
        "learning_rate": 1e-3,
        "weight_decay": 0.0,
        "eval_every": 250,
        "patience": 10,
        "device": "cpu",
        "precision": "32-true",
        "verbose": 0,
        "seed": 0,
        "started": 100.0,
    }
    return TrainSettings(**usual | given)


def run_of(per_row: float, clock: Clock, pool: TargetPool, **given: Any) -> Any:
    module = nn.Linear(3, 1)

    def loss(network: Any, batch: dict[str, torch.Tensor]) -> Any:
        clock.now += per_row * len(batch["x"])
        return network(batch["x"]).square().mean(), {}

    return Trainer(module, loss, pool, lambda network: 0.0, settings(**given)).run()


def pool(n: int = 512, batch_size: int = 64) -> TargetPool:
    return TargetPool({"x": torch.randn(n, 3)}, batch_size, seed=0)


def test_slow_steps_become_smaller_where_time_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, rows = Clock(monkeypatch), pool()
    # 64 rows take 6.4 s: of 60 s, nine steps
    fitted = run_of(0.1, clock, rows, deadline=160.0)
    assert fitted.stopped_by == "max_time"
    assert fitted.n_steps >= 40
    assert clock.now < 160.0 + 2.0
    assert 8 <= rows.batch_size <= 10


def test_steps_that_are_fast_enough_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, rows = Clock(monkeypatch), pool()
    run_of(0.001, clock, rows, deadline=160.0, max_steps=100)
    assert rows.batch_size == 64
    # without a limit, however slow
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run_of(10.0, clock, rows, max_steps=20)
    assert rows.batch_size == 64


def test_long_runs_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    with pytest.warns(UserWarning, match=r"about 17 more minutes: a step takes 1 s") as caught:
        run_of(1 / 64, clock, pool(), max_steps=1000, eval_every=2000)
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run_of(1 / 64, clock, pool(), max_steps=500)
        run_of(1 / 64, clock, pool(), max_steps=1000, verbose=1)


def test_a_try_that_is_short_decides_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)

    def attempt(few: int) -> None:
        clock.now += 0.05 * few

    assert Pace(settings(deadline=160.0), 0).before(64, attempt) is None
    assert Pace(settings(), 0).before(64, attempt) is None
    assert Pace(settings(deadline=110.0), 0).before(8, attempt) is None
    share = Pace(settings(deadline=110.0), 0).before(64, attempt)
    assert share == pytest.approx((110.0 - clock.now) / (60 * 0.05 * 64))


def test_a_try_leaves_no_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    weights = []
    for deadline in (None, 1e9):
        clock = Clock(monkeypatch)
        torch.manual_seed(0)
        module = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))

        def loss(network: Any, batch: Any, clock: Clock = clock) -> Any:
            clock.now += 1e-3
            return network(batch["x"]).square().mean(), {}

        rows = TargetPool({"x": torch.arange(300.0).reshape(100, 3) / 300}, 32, seed=0)
        Trainer(
            module, loss, rows, lambda network: 0.0, settings(max_steps=9, deadline=deadline)
        ).run()
        weights.append(module.state_dict())
    for name, value in weights[0].items():
        assert torch.equal(value, weights[1][name])
