"""Folders that are missing, damaged or of another format: one error, which names the file."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from folders import X, agree, config_of, edit, edit_weights, fitted, weights_path, write_config

import fastexplain
from fastexplain.persistence import LoadError, NoExplainerError

NAMES = ("config.json", "weights.safetensors")


def refused(folder: Path, name: str, *words: str) -> LoadError:
    """The error of loading, which names the file and says what to do."""
    with pytest.raises(LoadError) as caught:
        fastexplain.load(folder)
    error, text = caught.value, str(caught.value)
    assert str(folder / name) in text and error.path in (folder, folder / name)
    assert text.endswith(error.cure) and error.cure.endswith(".")
    for word in words:
        assert word in text
    return error


def test_errors_are_of_one_kind() -> None:
    error = LoadError("a/config.json", "is damaged", "Copy the folder anew.")
    assert isinstance(error, OSError) and isinstance(error, ValueError)
    assert str(error) == "a/config.json is damaged. Copy the folder anew."
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), again.path) == (LoadError, str(error), Path("a/config.json"))
    missing = NoExplainerError("a", "is not there", "Look elsewhere.")
    assert isinstance(missing, FileNotFoundError) and isinstance(missing, LoadError)
    assert str(missing) == "a is not there. Look elsewhere."
    assert type(pickle.loads(pickle.dumps(missing))) is NoExplainerError


# -- what is missing ---------------------------------------------------------------------------
@pytest.mark.parametrize("name", NAMES)
def test_missing_files(saved: Path, name: str) -> None:
    (saved / name).unlink()
    error = refused(saved, "", "holds no saved explainer", name, "is missing")
    assert isinstance(error, FileNotFoundError)


def test_no_such_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "nowhere", tmp_path, tmp_path / "file", tmp_path / "file" / "in"):
        with pytest.raises(FileNotFoundError, match="holds no saved explainer"):
            fastexplain.load(path)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_no_regular_file(saved: Path, name: str) -> None:
    (saved / name).unlink()
    (saved / name).symlink_to("/dev/zero")
    refused(saved, name, "no regular file")
    (saved / name).unlink()
    if hasattr(os, "mkfifo"):
        os.mkfifo(saved / name)
        refused(saved, name, "no regular file")
        (saved / name).unlink()
    (saved / name).mkdir()
    refused(saved, name)


# -- bytes -------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe\x00", b"[1, 2]", b"null", b"{}"])
def test_files_of_something_else(saved: Path, name: str, content: bytes) -> None:
    (saved / name).write_bytes(content)
    refused(saved, name, "damaged")


@pytest.mark.parametrize("name", NAMES)
def test_flips_in_every_part_of_a_file(saved: Path, name: str) -> None:
    whole = (saved / name).read_bytes()
    for place in np.linspace(0, len(whole) - 1, 60).astype(int):
        damaged = bytearray(whole)
        damaged[place] ^= 0x41
        (saved / name).write_bytes(bytes(damaged))
        if name == "config.json" and json.loads(whole) == _json(bytes(damaged)):
            continue  # white space
        refused(saved, name)


def _json(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        return None


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.999])
def test_files_that_are_cut_or_longer(saved: Path, name: str, share: float) -> None:
    whole = (saved / name).read_bytes()
    (saved / name).write_bytes(whole[: int(share * len(whole))])
    refused(saved, name, "damaged")
    (saved / name).write_bytes(whole + b"x")
    refused(saved, name)


def test_weights_of_another_fit(saved: Path, tmp_path: Path) -> None:
    fitted("regression").save(tmp_path / "other")
    shutil.copy(weights_path(tmp_path / "other"), saved)
    refused(saved, "weights.safetensors", "damaged")
    agree(saved)
    refused(saved, "weights.safetensors", "damaged")


def test_damage_is_told_at_once(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that nobody writes to is looked at three times, and no more."""
    looks = []
    monkeypatch.setattr(time, "sleep", looks.append)
    (saved / "weights.safetensors").write_bytes(b"")
    refused(saved, "weights.safetensors")
    assert len(looks) == 2


# -- the description ---------------------------------------------------------------------------
def test_what_is_changed_by_hand_is_told_by_the_digest(saved: Path) -> None:
    edit(saved, lambda config: config["params"].update(max_steps=21), digest=False)
    refused(saved, "config.json", "digest")
    edit(saved, lambda config: config.pop("digest"), digest=False)
    refused(saved, "config.json", "digest")


@pytest.mark.parametrize(
    "text",
    [
        '{"a": NaN}',
        '{"a": -Infinity}',
        '{"a": 1e999}',
        '{"a": 1, "a": 2}',
        '{"a": ' + "[" * 100_000 + "]" * 100_000 + "}",
        '{"a": ' + '{"a":' * 900 + "1" + "}" * 900 + "}",
        '{"a": ' + "9" * 100_000 + "}",
    ],
    ids=["NaN", "Infinity", "overflow", "twice", "deep", "rather deep", "digits"],
)
def test_json_that_is_none(saved: Path, text: str) -> None:
    head = json.dumps({k: config_of(saved)[k] for k in ("format", "fastexplain", "explainer")})
    (saved / "config.json").write_text(head[:-1] + ", " + text[1:])
    refused(saved, "config.json", "damaged")


@pytest.mark.parametrize(("number", "version"), [(99, "7.0"), (2, "0.1.0"), (1, "0.0.1")])
def test_other_formats(saved: Path, number: int, version: str) -> None:
    edit(saved, lambda config: config.update(format=number, fastexplain=version))
    refused(
        saved,
        "config.json",
        f"format {number} by fastexplain {version}",
        "reads format 3",
        "Load it with that version, or fit and save again with this one.",
    )


@pytest.mark.parametrize("number", [None, "3", 3.0, True, [], {}])
def test_formats_that_are_none(saved: Path, number: Any) -> None:
    edit(saved, lambda config: config.update(format=number))
    refused(saved, "config.json")


@pytest.mark.parametrize("name", ["subprocess.Popen", "ExactExplainer", ["FEXExplainer"], None, {}])
def test_unknown_explainers(saved: Path, name: Any) -> None:
    edit(saved, lambda config: config.update(explainer=name))
    refused(saved, "config.json", "not known here")


@pytest.mark.parametrize("name", ["../config.json", "/etc/passwd", "other.safetensors", None, 1])
def test_weights_are_in_the_folder(saved: Path, name: Any) -> None:
    edit(saved, lambda config: config["weights"].update(file=name))
    refused(saved, "config.json", "weights.file")


def test_parameters_of_another_version(saved: Path) -> None:
    edit(saved, lambda config: config["params"].update(a_new_one=1))
    refused(saved, "config.json", "another version", "a_new_one")
    edit(saved, lambda config: (config["params"].pop("a_new_one"), config["params"].pop("clip")))
    refused(saved, "config.json", "another version", "clip")


def test_libraries_that_are_not_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib

    fitted("FastSHAP of pandas").save(tmp_path / "saved")
    real = importlib.import_module

    def without(name: str, *rest: Any) -> Any:
        if name == "pandas":
            raise ModuleNotFoundError("No module named 'pandas'", name="pandas")
        return real(name, *rest)

    monkeypatch.setattr(importlib, "import_module", without)
    refused(tmp_path / "saved", "config.json", "pip install fastexplain[pandas]", "Install")


# -- weights -----------------------------------------------------------------------------------
def network_weight(tensors: dict[str, torch.Tensor]) -> str:
    return next(name for name in tensors if name.endswith("first.weight"))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_every_tensor_is_finite(saved: Path, tmp_path: Path, value: float) -> None:
    from safetensors.torch import load_file

    for name, tensor in load_file(weights_path(saved)).items():
        assert tensor.is_floating_point()
        folder = tmp_path / "one"
        shutil.copytree(saved, folder)

        def spoil(tensors: dict[str, torch.Tensor], name: str = name) -> None:
            tensors[name].view(-1)[-1:] = value

        edit_weights(folder, spoil)
        if tensor.numel():
            refused(folder, "weights.safetensors", "not finite")
        shutil.rmtree(folder)


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t.pop(network_weight(t)),
        lambda t: t.update({"network.more": torch.zeros(1)}),
        lambda t: t.update({"more": torch.zeros(1)}),
        lambda t: t.update({"reader.more": torch.zeros(1)}),
        lambda t: t.update({"masker.more": torch.zeros(1)}),
        lambda t: t.update({"removal.center": torch.zeros(2)}),
        lambda t: t.update({network_weight(t): t[network_weight(t)].T.contiguous()}),
        lambda t: t.update({network_weight(t): t[network_weight(t)].double()}),
        lambda t: t.update({"fingerprint": t["fingerprint"][:, :1].contiguous()}),
        lambda t: t.update({"fingerprint": t["fingerprint"][:0].contiguous()}),
        lambda t: t.update({"fingerprint": t["fingerprint"].long()}),
        lambda t: t.pop("fingerprint"),
        lambda t: t.update({"spread": torch.ones(2)}),
        lambda t: t.update({"unit": torch.zeros(2, dtype=torch.float64)}),
        lambda t: t.update({"unit": torch.ones(3, dtype=torch.float64)}),
    ],
)
def test_weights_that_do_not_fit(saved: Path, change: Any) -> None:
    edit_weights(saved, change)
    with pytest.raises(LoadError, match="damaged"):
        fastexplain.load(saved)


def test_weights_of_regressors_have_a_spread(tmp_path: Path) -> None:
    fitted("regression").save(tmp_path / "saved")
    edit_weights(tmp_path / "saved", lambda tensors: tensors.pop("spread"))
    refused(tmp_path / "saved", "weights.safetensors", "spread")
    for spread in (torch.zeros(1), -torch.ones(1), torch.ones(2)):
        edit_weights(tmp_path / "saved", lambda t, spread=spread: t.update(spread=spread))
        refused(tmp_path / "saved", "weights.safetensors", "spread")


def test_copies_may_hold_what_the_model_itself_holds(tmp_path: Path) -> None:
    """A mask of minus infinity is the model's own; a weight that is not finite is damage."""
    from folders import SMALL, Net, case

    class Masked(Net):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("mask", torch.tensor([0.0, -float("inf")]))

    model = Masked().eval()
    explainer = case("copy").make().fit(case("copy").samples, model)
    explainer.save(tmp_path / "saved")
    loaded = fastexplain.load(tmp_path / "saved", model=model)
    samples = case("copy").samples[:3]
    np.testing.assert_array_equal(loaded.explain(samples).values, explainer.explain(samples).values)
    assert SMALL["max_steps"] == 20

    def spoil(tensors: dict[str, torch.Tensor]) -> None:
        name = next(name for name in tensors if name.endswith("copy.module.last.weight"))
        tensors[name][0, 0] = float("nan")

    edit_weights(tmp_path / "saved", spoil)
    with pytest.raises(ValueError, match="not finite"):
        fastexplain.load(tmp_path / "saved", model=model)


# -- hostile files -----------------------------------------------------------------------------
class Trap:
    """Says so when it is made from a file."""

    def __reduce__(self) -> Any:
        return (os.mkdir, (os.environ["FASTEXPLAIN_TEST_TRAP"],))


@pytest.mark.parametrize("name", NAMES)
def test_pickles_are_not_opened(
    saved: Path, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FASTEXPLAIN_TEST_TRAP", str(tmp_path / "sprung"))
    (saved / name).write_bytes(pickle.dumps(Trap()))
    refused(saved, name)
    if name == "weights.safetensors":
        agree(saved)
        refused(saved, name)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    ("section", "change"),
    [
        ("params", {"objective": "__import__('os').mkdir('sprung')"}),
        ("params", {"device": "cpu; import os"}),
        ("params", {"random_state": {"__reduce__": ["os.mkdir", "sprung"]}}),
        ("params", {"baseline": {"frame": {"kind": "os.system", "cells": []}}}),
        ("params", {"checkpoint": "sprung"}),
        ("params", {"masker": {"unsaved": "os.mkdir('sprung')"}}),
        ("params", {"baseline": {"unsaved": "os.mkdir('sprung')"}}),
        ("outputs", {"classes": {"source": ["os.mkdir", {"path": "sprung"}]}}),
        ("fit", {"measures": {"explain": 1}}),
        ("fit", {"measures": {"__class__": 1}}),
        ("fit", {"measures": {"n_selected_": 1}}),
    ],
)
def test_hostile_json_runs_nothing(
    saved: Path, tmp_path: Path, section: str, change: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    edit(saved, lambda config: config[section].update(change))
    if "checkpoint" in change:
        # where a fit is kept is a word of its own
        assert fastexplain.load(saved).checkpoint == "sprung"
    else:
        refused(saved, "config.json")
    assert os.listdir(tmp_path) == ["saved"]


def test_nothing_is_half_loaded(saved: Path) -> None:
    """What is written back after damage is loaded as it was."""
    config = config_of(saved)
    write_config(saved, config | {"fit": {}})
    refused(saved, "config.json", "fit")
    write_config(saved, config)
    np.testing.assert_array_equal(
        fastexplain.load(saved).explain(X[:3], 0).values, fitted("FEX").explain(X[:3], 0).values
    )
