"""Descriptions tampered with, digests made anew: refused, or bounded in what they cost."""

from __future__ import annotations

import copy
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from folders import (
    CASES,
    agree,
    case,
    config_of,
    edit,
    edit_weights,
    fitted,
    places,
    put,
    weights_path,
    write_config,
)

import fastexplain
from fastexplain import ImageMasker
from fastexplain.persistence import LoadError
from fastexplain.persistence._limits import PLAIN_PIXELS

#: what stands in the place of each value of a description, one after the other
VALUES = [
    KeyError,
    None,
    True,
    0,
    -1,
    7,
    2**20,
    10**9,
    10**30,
    1.5,
    1e308,
    "",
    "U1000000000",
    [],
    [1],
    {},
    {"a": 1},
]
#: memory that a folder of some kilobytes may ask for beyond what explainers take anyway
MOST_BYTES = 300_000_000


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Saved explainers by the names of cases."""
    root = tmp_path_factory.mktemp("folders")

    def folder(name: str) -> Path:
        path = root / name.replace(" ", "-")
        if not path.exists():
            fitted(name).save(path)
        return path

    return folder


def peak() -> int:
    """Most memory that this process has taken so far, in bytes."""
    resource = pytest.importorskip("resource")
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def outcome(folder: Path) -> str:
    """ "refused" by an error that names the folder, or "loaded"."""
    try:
        fastexplain.load(folder)
    except LoadError as error:
        assert str(folder) in str(error) and str(error).endswith(error.cure)
        return "refused"
    return "loaded"


def tampered(config: Any, every: int) -> Iterator[Any]:
    """Descriptions with one place changed; of long lists the first two items."""
    count = 0
    for place in places(config):
        if any(isinstance(key, int) and key > 1 for key in place):
            continue
        for value in VALUES:
            count += 1
            if count % every == 0:
                changed = copy.deepcopy(config)
                put(changed, place, value)
                yield changed


def sweep(name: str, folder: Path, tmp_path: Path, every: int) -> None:
    shutil.copytree(folder, tmp_path / "tampered")
    before = peak()
    config, found = config_of(folder), set()
    for changed in tampered(config, every):
        write_config(tmp_path / "tampered", changed)
        found.add(outcome(tmp_path / "tampered"))
    assert found == {"refused", "loaded"}
    assert peak() - before < MOST_BYTES


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", CASES)
def test_some_values_in_the_place_of_every_other(
    folders: Callable[[str], Path], tmp_path: Path, name: str
) -> None:
    sweep(name, folders(name), tmp_path, every=41)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", CASES)
def test_many_values_in_the_place_of_every_other(
    folders: Callable[[str], Path], tmp_path: Path, name: str
) -> None:
    sweep(name, folders(name), tmp_path, every=5)


# -- sections ----------------------------------------------------------------------------------
SECTIONS = ["weights", "params", "masker", "schema", "reader", "removal", "outputs", "fit"]


@pytest.mark.parametrize("section", SECTIONS)
@pytest.mark.parametrize("value", [KeyError, None, [], {}, 5, "text", 1e308, True])
def test_sections_that_are_none(saved: Path, section: str, value: Any) -> None:
    if section == "removal" and value is None:
        pytest.skip("there is none")
    edit(saved, lambda config: put(config, (section,), value))
    assert outcome(saved) == "refused"


def test_keys_that_are_not_known(saved: Path) -> None:
    config = config_of(saved)
    objects = [()] + [p for p in places(config) if isinstance(_at(config, p), dict)]
    for place in objects:
        if any(isinstance(key, int) and key > 0 for key in place):
            continue
        changed = copy.deepcopy(config)
        _at(changed, place)["unheard_of"] = 1
        write_config(saved, changed)
        assert outcome(saved) == "refused", place


def _at(value: Any, place: tuple[Any, ...]) -> Any:
    for key in place:
        value = value[key]
    return value


@pytest.mark.parametrize(
    ("name", "place", "value"),
    [
        ("FEX", ("outputs", "names"), ["0"]),
        ("FEX", ("outputs", "names"), ["0", "1", "2"]),
        ("FEX", ("outputs", "base_values"), [0.5]),
        ("FEX", ("outputs", "classes", "array", "cells"), [0]),
        ("FEX", ("outputs", "classes", "array", "cells"), [1, 1]),
        ("FEX", ("outputs", "classes"), None),
        (
            "FEX",
            ("outputs", "classes"),
            {"array": {"dtype": "<i8", "shape": [3], "cells": [0, 1, 2]}},
        ),
        ("FEX", ("outputs", "kind"), "regression"),
        ("FEX", ("outputs", "output"), "margin"),
        ("FEX", ("outputs", "best_scores"), [0.5]),
        ("FEX", ("masker", "feature_names"), ["x0", "x1", "x2"]),
        ("FEX", ("masker", "feature_names"), ["x1", "x0", "x2", "x3"]),
        ("FEX", ("masker", "column_names"), ["x1", "x0", "x2", "x3"]),
        ("FEX", ("masker", "families"), [["number"]] * 3),
        ("FEX", ("masker", "families"), [["text"]] * 4),
        ("FEX", ("masker", "categorical"), [4]),
        ("FEX", ("masker", "categorical"), [1, 0]),
        ("FEX", ("masker", "params", "categorical"), {"list": [0]}),
        ("FEX", ("masker", "params", "groups"), {"map": [["pair", {"list": [0, 1]}]]}),
        ("FEX", ("masker", "params", "baseline"), "median"),
        ("FEX", ("masker", "background", "array", "shape"), [4, 1]),
        ("FEX", ("schema", "n_features"), 3),
        ("FEX", ("schema", "container"), "pandas"),
        ("FEX", ("reader", "encoder"), []),
        ("FEX", ("reader", "encoder", 0, "edges"), [1.0, 1.0]),
        ("FEX", ("reader", "encoder", 0, "scale"), 0.0),
        ("FEX", ("reader", "encoder", 0, "categories"), ["a"]),
        ("FEX", ("reader", "inert"), []),
        ("FEX", ("reader", "inert", 0, 3), [5]),
        ("FEX", ("reader", "kind"), "image"),
        ("FEX", ("reader", "n_blocks"), 2),
        ("FEX", ("params", "objective"), "best"),
        ("FEX", ("params", "clip"), "wide"),
        ("FEX", ("params", "output"), "guess"),
        ("FEX", ("params", "device"), "tpu"),
        ("FEX", ("params", "network"), "lstm"),
        ("FEX", ("params", "validation_fraction"), 1.5),
        ("FEX", ("fit", "stopped_by"), "aliens"),
        ("FEX", ("fit", "history", "step"), {}),
        ("FEX", ("fit", "history", "score"), []),
        ("regression", ("outputs", "kind"), "classification"),
        ("FastSHAP of pandas", ("reader", "encoder", 2, "categories"), ["low", "low"]),
        ("FastSHAP of pandas", ("reader", "encoder", 2, "categories"), ["low"]),
        ("FastSHAP of pandas", ("schema", "named"), 1),
        ("surrogate", ("removal",), None),
        ("surrogate", ("removal", "kind"), "regression"),
        ("surrogate", ("removal", "encoder"), []),
        ("surrogate", ("removal", "params", "n_blocks"), 10**9),
        ("surrogate", ("removal", "params", "hidden_dim"), 20_000),
        ("surrogate", ("masker", "removes_to_baseline"), True),
        ("L2X", ("fit", "measures"), {}),
        ("L2X", ("fit", "measures", "n_selected_"), -1),
        ("L2X", ("fit", "measures", "n_selected_"), "all"),
        ("ranking", ("params", "n_head_layers"), 10**9),
        ("ranking", ("params", "task"), "attribution"),
        ("concept sets", ("masker", "shape_"), [8, 16]),
        ("concept sets", ("reader", "shape"), [3, 8, 8]),
        ("concept sets", ("reader", "dtype"), "<i8"),
        ("concept sets", ("reader", "channels"), "first"),
        ("concept sets", ("masker", "params", "fill"), 0.5),
        ("concept sets", ("masker", "noise_seed_"), 1),
        ("transformer of images", ("masker", "params", "patch_size"), 4),
        ("transformer of images", ("masker", "noise_seed_"), None),
        ("texts", ("masker", "params", "unit"), "letter"),
        ("texts", ("schema", "n_features"), 1),
        ("tokens", ("masker", "tokenizer"), None),
        ("tokens", ("masker", "tokenizer", "padding_side"), "top"),
        ("tokens", ("masker", "tokenizer", "json"), "{}"),
        ("tokens", ("masker", "tokenizer", "json"), "[" * 100_000),
        ("tokens", ("reader", "length"), 10**9),
        ("hidden", ("reader", "activations"), True),
        ("hidden", ("reader", "tokens"), [0, 1]),
        ("copy", ("reader", "size"), 10**6),
        ("copy", ("reader", "images", "width"), 10**4),
        ("copy", ("reader", "images", "n_blocks"), 10**4),
        ("copy", ("reader", "finer"), {"conv": {"__class__": [1, 1]}}),
        ("copy", ("reader", "finer"), {"conv": {"stride": [0, 1], "padding": [0, 0]}}),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_what_does_not_agree(
    folders: Callable[[str], Path], tmp_path: Path, name: str, place: Any, value: Any
) -> None:
    shutil.copytree(folders(name), tmp_path / "tampered")
    edit(tmp_path / "tampered", lambda config: put(config, place, value))
    assert outcome(tmp_path / "tampered") == "refused"


def test_tokenizers_that_pad_are_refused(folders: Callable[[str], Path], tmp_path: Path) -> None:
    shutil.copytree(folders("tokens"), tmp_path / "tampered")

    def pad(config: Any) -> None:
        saved = config["masker"]["tokenizer"]
        text = json.loads(saved["json"])
        text["padding"] = {
            "strategy": {"Fixed": 10**9},
            "direction": "Right",
            "pad_to_multiple_of": None,
            "pad_id": 0,
            "pad_type_id": 0,
            "pad_token": "[PAD]",
        }
        saved["json"] = json.dumps(text)

    edit(tmp_path / "tampered", pad)
    assert outcome(tmp_path / "tampered") == "refused"


# -- memory ------------------------------------------------------------------------------------
def grown(work: Callable[[], Any]) -> int:
    """Bytes of memory that a call takes at its peak, in a process of its own."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        before = peak()
        try:
            work()
        except Exception:
            pass
        os.write(write, str(peak() - before).encode())
        os._exit(0)
    os.waitpid(pid, 0)
    os.close(write)
    with os.fdopen(read) as file:
        return int(file.read())


def swell(value: Any, number: int) -> None:
    """Put a number in the place of every size in a description."""
    for key, part in value.items() if isinstance(value, dict) else enumerate(value):
        if isinstance(part, dict | list):
            swell(part, number)
        elif type(part) is int and key not in ("format", "size"):
            value[key] = number


def images_of(side: int, patch: int) -> Callable[[Any], None]:
    """A description of larger images, whose parts agree with each other."""

    def change(config: Any) -> None:
        masker, reader = config["masker"], config["reader"]
        lead = [] if masker["channels_"] == "none" else [1]
        masker["shape_"], masker["params"]["patch_size"] = [*lead, side, side], patch
        (reader.get("images") or reader)["shape"] = [1, side, side]
        config["schema"]["n_features"] = (-(-side // patch)) ** 2

    return change


def longer_texts(config: Any) -> None:
    config["masker"]["n_players"] = config["schema"]["n_features"] = 2**20


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize(
    ("name", "change"),
    [
        *((name, lambda config: swell(config, 20_000)) for name in CASES),
        *((name, lambda config: swell(config, 10**9)) for name in CASES),
        ("concept sets", images_of(512, 1)),
        ("concept sets", images_of(512, 32)),
        ("concept sets", images_of(20_000, 32)),
        ("hidden", images_of(512, 1)),
        ("copy", images_of(512, 1)),
        ("copy", images_of(512, 64)),
        ("texts", longer_texts),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_small_folders_ask_for_little(
    folders: Callable[[str], Path], tmp_path: Path, name: str, change: Callable[[Any], None]
) -> None:
    """With the model attached, too, which is asked with samples made of the description."""
    shutil.copytree(folders(name), tmp_path / "tampered")
    edit(tmp_path / "tampered", change)
    model = case(name).model
    assert grown(lambda: fastexplain.load(tmp_path / "tampered", model=model)) < MOST_BYTES


@pytest.mark.parametrize("shape", [(10**6, 10**6), (0, 10**18)])
def test_weights_as_large_as_they_say(saved: Path, shape: tuple[int, int]) -> None:
    """A header that tells of more than the file holds; and of nothing, but wide."""
    content = weights_path(saved).read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    name = next(name for name in header if name.endswith("first.weight"))
    header[name]["shape"] = list(shape)
    text = json.dumps(header).encode()
    weights_path(saved).write_bytes(len(text).to_bytes(8, "little") + text + content[8 + length :])
    agree(saved)
    assert outcome(saved) == "refused"


def test_maps_of_players_of_large_images_are_in_the_file(tmp_path: Path) -> None:
    """Images of more pixels than a description may swell to are saved all the same."""
    side = 520
    assert side * side > PLAIN_PIXELS
    pixels = np.random.default_rng(0).random((2, side, side)).astype(np.float32)
    masker = ImageMasker(patch_size=130).fit(pixels)
    config, tensors = masker.state()
    assert tuple(tensors["patches_"].shape) == (side, side)
    again = ImageMasker.from_state(json.loads(json.dumps(config)), dict(tensors))
    np.testing.assert_array_equal(again.segments_, masker.segments_)
    assert again.feature_names_ == masker.feature_names_
    del tensors["patches_"]
    for wrong in (None, again.segments_[:-1], again.segments_ + 1, again.segments_ * 1.0):
        held = {} if wrong is None else {"patches_": torch.from_numpy(wrong)}
        with pytest.raises(ValueError, match="players"):
            ImageMasker.from_state(config, tensors | held)


def test_embeddings_are_as_many_as_tokens(folders: Callable[[str], Path], tmp_path: Path) -> None:
    shutil.copytree(folders("tokens"), tmp_path / "tampered")

    def add(tensors: dict[str, torch.Tensor]) -> None:
        tensors["reader.embeddings"] = torch.zeros(2, 4)

    edit_weights(tmp_path / "tampered", add)
    assert outcome(tmp_path / "tampered") == "refused"
