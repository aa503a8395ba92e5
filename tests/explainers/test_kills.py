"""Fits that are left by Ctrl-C, or killed, end with the weights of those that are not."""

from __future__ import annotations

import contextlib
import json
import signal
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from fastexplain import (
    ConceptSetExplainer,
    CoRTXExplainer,
    FastSHAPExplainer,
    FEXExplainer,
    ImageMasker,
    L2XExplainer,
    SupervisedExplainer,
    SurrogateRemoval,
)
from fastexplain.training import TargetPool, Trajectories

pytestmark = [
    pytest.mark.filterwarnings("ignore:The explainer agrees poorly"),
    pytest.mark.filterwarnings("ignore:Training was interrupted"),
    pytest.mark.filterwarnings("ignore:.*of the labelled rows are held out"),
]

SMALL: dict[str, Any] = {
    "n_queries": 4000,
    "hidden_dim": 16,
    "n_blocks": 1,
    "max_steps": 24,
    "batch_size": 32,
    "random_state": 0,
    "device": "cpu",
}
TABLE = SMALL | {"output": "probability"}
IMAGES = SMALL | {"masker": ImageMasker(patch_size=2), "batch_size": 16, "network": "copy"}
# patience that ends the stage of near sets before its steps do
STAGES = {"coalition_share": 0.7, "patience": 1}
CONTRAST = {"contrastive_steps": 8, "contrastive_batch_size": 32, "n_positives": 3}
REMOVAL = {"removal": SurrogateRemoval(hidden_dim=16, max_steps=16)}

TABLES: dict[str, Callable[[Any], Any]] = {
    "FEX": lambda folder: FEXExplainer(**TABLE, checkpoint=folder),
    "FEX ppo": lambda folder: FEXExplainer("ppo", **TABLE, checkpoint=folder),
    "FEX reverse_kl": lambda folder: FEXExplainer("reverse_kl", **TABLE, checkpoint=folder),
    "FastSHAP": lambda folder: FastSHAPExplainer(**TABLE, checkpoint=folder),
    "surrogate": lambda folder: FastSHAPExplainer(**TABLE | REMOVAL, checkpoint=folder),
    "supervised": lambda folder: SupervisedExplainer(**TABLE, checkpoint=folder),
    "CoRTX": lambda folder: CoRTXExplainer(**TABLE | CONTRAST, checkpoint=folder),
    "L2X": lambda folder: L2XExplainer(**TABLE, checkpoint=folder),
    "concepts": lambda folder: ConceptSetExplainer(**TABLE, checkpoint=folder),
    "stages": lambda folder: ConceptSetExplainer(**TABLE | STAGES, checkpoint=folder),
}
PICTURES: dict[str, Callable[[Any], Any]] = {
    "images": lambda folder: ConceptSetExplainer(**IMAGES, checkpoint=folder),
    "images FEX": lambda folder: FEXExplainer("ppo", **IMAGES, checkpoint=folder),
}
EXPLAINERS = TABLES | PICTURES


class Normed(nn.Module):
    """A small network of images whose batch norms note what passes through them."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())
        self.last = nn.Linear(8, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.layers(x).mean(dim=(2, 3))).softmax(dim=1)


def _data(kind: str) -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    if kind in PICTURES:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return rng.random((48, 1, 8, 8), dtype=np.float32), Normed().eval()
    return rng.normal(size=(200, 5)), _model


def _model(X: Any) -> np.ndarray:
    return 1 / (1 + np.exp(-X[:, 0] - X[:, 1] * X[:, 2]))


def _fit(kind: str, folder: Path | None) -> Any:
    X, model = _data(kind)
    return EXPLAINERS[kind](folder).fit(X, model)


def _weights(explainer: Any) -> dict[str, torch.Tensor]:
    return explainer._network.state_dict()


_WHOLE: dict[str, Any] = {}


def _whole(kind: str) -> Any:
    """The fit that nothing disturbs."""
    if kind not in _WHOLE:
        _WHOLE[kind] = _fit(kind, None)
    return _WHOLE[kind]


def _same(found: Any, whole: Any) -> None:
    for name, tensor in _weights(whole).items():
        assert torch.equal(_weights(found)[name], tensor), name
    assert found.best_score_ == whole.best_score_
    assert (found.n_iter_, found.stopped_by_) == (whole.n_iter_, whole.stopped_by_)
    for name, column in whole.history_.items():
        assert name == "seconds" or found.history_[name] == column, name


def _taken_up(kind: str, folder: Path) -> None:
    """The next fit, which must have nothing to say of the checkpoint."""
    with warnings.catch_warnings():
        warnings.filterwarnings("error", ".*checkpoint")
        _same(_fit(kind, folder), _whole(kind))
    assert not folder.exists()


def _interrupt(monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    """Ctrl-C when the next batch but so many is asked for, of whatever stage."""
    given = []
    for kind in (TargetPool, Trajectories):

        def batch(self: Any, *args: Any, real: Any = kind.batch) -> Any:
            given.append(1)
            if len(given) > after:
                raise KeyboardInterrupt
            return real(self, *args)

        monkeypatch.setattr(kind, "batch", batch)


@pytest.mark.parametrize("after", [5, 21])
@pytest.mark.parametrize("kind", EXPLAINERS)
def test_a_fit_that_was_left_ends_with_the_weights_of_one_that_was_not(
    kind: str, after: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _interrupt(monkeypatch, after)
    with contextlib.suppress(KeyboardInterrupt):
        assert _fit(kind, tmp_path / "run").stopped_by_ == "interrupt"
    monkeypatch.undo()
    _taken_up(kind, tmp_path / "run")


@pytest.mark.parametrize("kind", ["FEX", "FEX ppo", "CoRTX", "stages"])
def test_killed_between_two_saves_it_ends_there_as_well(
    kind: str, tmp_path: Path, in_child: Callable[..., bool]
) -> None:
    folder = tmp_path / "run"
    for moment in (60, 100):
        if in_child(lambda: _fit(kind, folder), moment=moment):
            assert json.loads((folder / "run.json").read_text())["queries"] > 0
    _taken_up(kind, folder)


@pytest.mark.parametrize("lost", ["state", "earlier", "[es]", "pool", "run", "[eprs]"])
def test_stages_go_on_from_what_is_whole(
    lost: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _interrupt(monkeypatch, 21)
    assert _fit("stages", tmp_path / "run").stopped_by_ == "interrupt"
    monkeypatch.undo()
    names = {file.name.partition("-")[0] for file in (tmp_path / "run").iterdir()}
    assert {"state", "earlier", "pool", "run.json"} <= names
    for file in (tmp_path / "run").glob(f"{lost}*"):
        file.write_bytes(file.read_bytes()[:100])
    with pytest.warns(UserWarning, match="The checkpoint"):
        _same(_fit("stages", tmp_path / "run"), _whole("stages"))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("kind", "batches"),
    # the surrogate's own steps, and those without labels, come first
    [("FEX", (3, 4, 5)), ("CoRTX", (3, 10, 11)), ("surrogate", (20, 21, 22))],
)
def test_what_all_processes_asked_is_counted(
    kind: str, batches: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = [0]

    def counting(X: Any) -> np.ndarray:
        asked[0] += len(X)
        return _model(X)

    X = _data(kind)[0]
    whole = EXPLAINERS[kind](None).fit(X, counting)
    # a look at the outputs' kind is not counted
    probes, asked[0] = asked[0] - whole.n_model_queries_, 0
    for fits, after in enumerate(batches, start=1):
        with monkeypatch.context() as patched:
            _interrupt(patched, after)
            with contextlib.suppress(KeyboardInterrupt):
                left = EXPLAINERS[kind](tmp_path / "run").fit(X, counting)
                assert left.n_model_queries_ == asked[0] - fits * probes
    taken = EXPLAINERS[kind](tmp_path / "run").fit(X, counting)
    assert taken.n_model_queries_ == asked[0] - 4 * probes
    _same(taken, whole)


def test_a_fit_that_was_interrupted_after_training_is_taken_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fastexplain.explainers import _fex

    def stopping(*given: Any) -> float:
        raise KeyboardInterrupt

    monkeypatch.setattr(_fex, "choose_resolution", stopping)
    with pytest.raises(KeyboardInterrupt):
        _fit("FEX", tmp_path / "run")
    monkeypatch.undo()
    # nothing is learned anew
    _interrupt(monkeypatch, 0)
    _taken_up("FEX", tmp_path / "run")


def test_what_was_learned_by_contrast_is_not_learned_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # eight steps by contrast, and two more with two pools
    _interrupt(monkeypatch, 12)
    left = _fit("CoRTX", tmp_path / "run")
    assert left.stopped_by_ == "interrupt" and left.n_iter_ == 2
    monkeypatch.undo()
    real, given = TargetPool.batch, []

    def counting(self: Any, *args: Any) -> Any:
        given.append(1)
        return real(self, *args)

    monkeypatch.setattr(TargetPool, "batch", counting)
    taken = _fit("CoRTX", tmp_path / "run")
    assert len(given) == 2 * 22
    _same(taken, _whole("CoRTX"))
    assert taken.contrast_ == _whole("CoRTX").contrast_


def test_a_surrogate_that_was_trained_for_longer_is_no_other_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    X, model = _data("surrogate")
    _interrupt(monkeypatch, 60)
    explainer = EXPLAINERS["surrogate"](tmp_path / "run").set_params(max_steps=100)
    assert explainer.fit(X, model).stopped_by_ == "interrupt"
    monkeypatch.undo()
    real = SurrogateRemoval.distil

    def shorter(self: Any, *given: Any, **named: Any) -> Any:
        # as where max_time had ended it sooner
        return real(self.set_params(max_steps=8), *given, **named).set_params(max_steps=16)

    monkeypatch.setattr(SurrogateRemoval, "distil", shorter)
    assert explainer.fit(X, model).n_iter_ == 100
    with pytest.raises(ValueError, match="unfinished run"):
        # of another model it is
        _interrupt(monkeypatch, 60)
        explainer.fit(X, model)
        monkeypatch.undo()
        explainer.fit(X, lambda X: model(-X))


def test_a_fit_that_fails_at_once_leaves_nothing(tmp_path: Path) -> None:
    X = _data("FEX")[0]

    def failing(X: Any) -> np.ndarray:
        if (tmp_path / "run").exists():
            raise ConnectionError("the model has gone")
        return _model(X)

    with pytest.raises(ConnectionError):
        EXPLAINERS["FEX ppo"](tmp_path / "run").fit(X, failing)
    assert not (tmp_path / "run").exists()


def test_two_fits_at_a_time_are_one_too_many(tmp_path: Path) -> None:
    X = _data("FEX")[0]
    said = []

    def fitting_too(X: Any) -> np.ndarray:
        if (tmp_path / "run").exists() and not said:
            said.append("")
            with pytest.raises(RuntimeError, match="Another run is using"):
                EXPLAINERS["FEX"](tmp_path / "run").fit(_data("FEX")[0], _model)
            said.append("refused")
        return _model(X)

    found = EXPLAINERS["FEX"](tmp_path / "run").fit(X, fitting_too)
    assert said == ["", "refused"]
    _same(found, _whole("FEX"))


# -- at random -------------------------------------------------------------------------------
@pytest.mark.slow
@pytest.mark.parametrize("kind", EXPLAINERS)
def test_interrupts_at_random(kind: str, tmp_path: Path, in_child: Callable[..., bool]) -> None:
    _whole(kind)
    rng = np.random.default_rng(len(kind))
    for number in range(12):
        folder = tmp_path / str(number)
        # up to three times, each of them anywhere in what is left of the fit
        for after in rng.uniform(0.02, 1.0, size=1 + number % 3):
            in_child(partial(_fit, kind, folder), after=after, number=signal.SIGINT)
        _taken_up(kind, folder)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["FEX", "FEX ppo", "stages", "CoRTX"])
def test_forty_kills_at_random(kind: str, tmp_path: Path, in_child: Callable[..., bool]) -> None:
    _whole(kind)
    rng = np.random.default_rng(0)
    killed = 0
    for number in range(40):
        folder = tmp_path / str(number)
        for after in rng.uniform(0.02, 1.0, size=1 + number % 2):
            killed += in_child(partial(_fit, kind, folder), after=after)
        _taken_up(kind, folder)
    assert killed >= 20


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["FEX", "stages"])
def test_kills_at_every_moment(kind: str, tmp_path: Path, in_child: Callable[..., bool]) -> None:
    moment = 1
    while in_child(partial(_fit, kind, tmp_path / str(moment)), moment=moment):
        folder = tmp_path / str(moment)
        _taken_up(kind, folder)
        moment += 1
    assert moment > 50
