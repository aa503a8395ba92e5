"""A run that is left or killed goes on to where it would have ended."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from small_runs import closeness, fit, make_rows, quietly, same, squared, stopping_at
from torch import nn

from fastexplain.training import Checkpoint, Fitted


@pytest.fixture(scope="module")
def whole() -> tuple[dict[str, Any], Fitted]:
    """The run that nothing disturbs."""
    return fit(None)


# -- left by Ctrl-C --------------------------------------------------------------------------
@pytest.mark.parametrize("call", [1, 2, 4, 5, 9, 12])
@pytest.mark.parametrize("where", ["loss", "score", "make"])
def test_a_run_that_was_left_ends_as_one_that_was_not(
    tmp_path: Path, whole: Any, where: str, call: int
) -> None:
    real = {"loss": squared, "score": closeness, "make": make_rows}[where]
    # the last validations and chunks there are
    call = min(call, {"loss": 12, "score": 3, "make": 8}[where])
    stopping: dict[str, Any] = {where: stopping_at(real, call)}
    if where == "make":
        with pytest.raises(KeyboardInterrupt):
            fit(tmp_path / "run", **stopping)
    else:
        with pytest.warns(UserWarning, match="interrupted"):
            assert fit(tmp_path / "run", **stopping)[1].stopped_by == "interrupt"
    same(quietly(tmp_path / "run"), whole)
    assert not (tmp_path / "run").exists()


def test_an_interrupt_within_a_step_waits_for_its_end(tmp_path: Path, whole: Any) -> None:
    from fastexplain.training._muon import MuonAdamW

    real, steps = MuonAdamW.step, []

    def pressed(self: Any, closure: Any = None) -> Any:
        steps.append(1)
        if len(steps) == 6:
            os.kill(os.getpid(), signal.SIGINT)
        return real(self, closure)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(MuonAdamW, "step", pressed)
        with pytest.warns(UserWarning, match="interrupted at step 6 of 12"):
            fit(tmp_path / "run")
    same(quietly(tmp_path / "run"), whole)


def test_a_second_interrupt_while_the_state_is_saved_comes_after_it(
    tmp_path: Path, whole: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Checkpoint.save

    def pressed(self: Any, *given: Any) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        real(self, *given)

    monkeypatch.setattr(Checkpoint, "save", pressed)
    with pytest.raises(KeyboardInterrupt):
        fit(tmp_path / "run", loss=stopping_at(squared, 6))
    monkeypatch.undo()
    same(quietly(tmp_path / "run"), whole)


@pytest.mark.parametrize("call", [1, 3, 5, 8])
def test_patience_ends_a_run_that_is_taken_up_as_well(tmp_path: Path, call: int) -> None:
    def fading(module: nn.Module) -> float:
        return -float(module.get_parameter("line.weight").detach())

    patient: dict[str, Any] = {"max_steps": 40, "patience": 3}
    whole = fit(None, score=fading, **patient)
    assert whole[1].stopped_by == "patience" and whole[1].n_steps < 40
    with pytest.warns(UserWarning, match="interrupted"):
        fit(tmp_path / "run", score=stopping_at(fading, min(call, 4)), **patient)
    same(quietly(tmp_path / "run", score=fading, **patient), whole)


def test_a_run_that_had_ended_is_not_trained_on(tmp_path: Path) -> None:
    def fading(module: nn.Module) -> float:
        return -float(module.get_parameter("line.weight").detach())

    patient: dict[str, Any] = {"max_steps": 40, "patience": 3, "score": fading}
    # killed behind its last save, before the folder was cleared
    whole = fit(tmp_path / "run", stay=True, **patient)
    assert whole[1].stopped_by == "patience"
    never = stopping_at(squared, 1, AssertionError)
    same(quietly(tmp_path / "run", loss=never, **patient), whole)


# -- killed ----------------------------------------------------------------------------------
def _moments(
    in_child: Callable[..., bool], folder: Path, every: int, number: int
) -> Iterator[tuple[int, Path]]:
    """Folders of runs that were ended at every call that touches a file."""
    moment = 1
    while True:
        run = folder / str(moment)
        if not in_child(lambda run=run: fit(run), moment=moment, number=number):
            if number == signal.SIGKILL:
                assert not run.exists()
                return
            if not run.exists():
                return
        yield moment, run
        moment += every


@pytest.mark.parametrize("every", [13, pytest.param(1, marks=pytest.mark.slow)])
def test_killed_at_any_moment_it_ends_where_it_would_have(
    tmp_path: Path, whole: Any, in_child: Callable[..., bool], every: int
) -> None:
    count = 0
    for _, run in _moments(in_child, tmp_path, every, signal.SIGKILL):
        same(quietly(run), whole)
        assert not run.exists()
        count += 1
    assert count >= 60 // every


def test_killed_twice_it_ends_there_as_well(
    tmp_path: Path, whole: Any, in_child: Callable[..., bool]
) -> None:
    for moment in (19, 37, 53):
        run = tmp_path / str(moment)
        assert in_child(lambda run=run: fit(run), moment=moment)
        assert in_child(lambda run=run: fit(run), moment=17)
        same(quietly(run), whole)
