"""Saved folders to be tampered with: small explainers of every kind, and what writes files anew."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from safetensors.torch import load_file, save_file
from torch import nn

import fastexplain
from fastexplain import (
    ConceptSetExplainer,
    CoRTXExplainer,
    FastSHAPExplainer,
    FEXExplainer,
    ImageMasker,
    L2XExplainer,
    SupervisedExplainer,
    SurrogateRemoval,
    TextMasker,
)
from fastexplain.persistence._files import digest_of

SMALL: dict[str, Any] = {
    "n_queries": 3000,
    "hidden_dim": 8,
    "n_blocks": 1,
    "max_steps": 20,
    "random_state": 0,
    "device": "cpu",
}
RNG = np.random.default_rng(0)
X = RNG.normal(size=(80, 4))
IMAGES = RNG.random((40, 8, 8)).astype(np.float32)
WORDS = ["good", "bad", "soup", "day", "song"]
TEXTS = [" ".join(RNG.choice(WORDS, size=RNG.integers(2, 6))) for _ in range(40)]


def of_numbers(frame: Any) -> np.ndarray:
    """Two probabilities from the columns of numbers of a table."""
    if isinstance(frame, pd.DataFrame):
        frame = frame.select_dtypes("number").to_numpy(float, na_value=0.0)
    elif not isinstance(frame, np.ndarray):
        frame = frame.select("a").to_numpy()
    score = 1.0 / (1.0 + np.exp(-np.nan_to_num(frame.astype(float)) @ np.ones(frame.shape[1])))
    return np.column_stack([1.0 - score, score])


def brightness(images: Any) -> np.ndarray:
    score = np.asarray(images).reshape(len(images), -1)[:, ::3].mean(axis=1)
    return np.column_stack([1.0 - score, score])


def goodness(texts: Any) -> np.ndarray:
    score = np.array([0.1 + 0.8 * ("good" in text) for text in texts])
    return np.column_stack([1.0 - score, score])


def regressor(rows: Any) -> np.ndarray:
    return 1e6 + np.asarray(rows, float) @ np.arange(4.0)


def mixed_frame() -> pd.DataFrame:
    n = len(X)
    return pd.DataFrame(
        {
            "real": X[:, 0],
            "count": pd.array(RNG.integers(0, 9, n), dtype="Int64"),
            "level": pd.Categorical(RNG.choice(["low", "high"], n)),
            "town": RNG.choice(["Bonn", "Rome"], n),
            "day": pd.date_range("2024-03-28", periods=n, freq="h", tz="Europe/Paris"),
        }
    )


def polars_frame() -> Any:
    import polars as pl

    n = len(X)
    return pl.DataFrame(
        {
            "a": X[:, 0],
            "level": pl.Series(RNG.choice(["lo", "hi"], n).tolist(), dtype=pl.Enum(["lo", "hi"])),
            "day": pd.date_range("2024-01-01", periods=n).to_list(),
        }
    ).with_columns(pl.col("day").cast(pl.Date))


class Net(nn.Module):
    """A convolution that pools over the image."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.last = nn.Conv2d(1, 4, 3, padding=1), nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(torch.relu(self.conv(x)).mean(dim=(2, 3)))


def net() -> Net:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Net().eval()


class Case(NamedTuple):
    """How an explainer is made, and what it explains."""

    make: Callable[[], Any]
    samples: Any
    model: Any


def _small(kind: Any, *first: Any, **given: Any) -> Callable[[], Any]:
    return lambda: kind(*first, **(SMALL | given))


def word_tokenizer() -> Any:
    import tokenizers
    import transformers

    vocabulary = {word: i for i, word in enumerate(["[PAD]", "[UNK]", "[MASK]", *WORDS])}
    backend = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="[UNK]"))
    backend.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="[PAD]", unk_token="[UNK]", mask_token="[MASK]"
    )


@lru_cache
def case(name: str) -> Case:
    patches = ImageMasker(patch_size=4)
    channel = IMAGES[:, None]
    if name == "FEX":
        return Case(_small(FEXExplainer), X, of_numbers)
    if name == "regression":
        return Case(_small(FEXExplainer, "reverse_kl", output="regression"), X, regressor)
    if name == "FastSHAP of pandas":
        return Case(_small(FastSHAPExplainer), mixed_frame(), of_numbers)
    if name == "supervised of polars":
        return Case(_small(SupervisedExplainer, n_labels=40), polars_frame(), of_numbers)
    if name == "surrogate":
        removal = SurrogateRemoval(hidden_dim=8, n_blocks=1, max_steps=20, batch_size=32)
        return Case(_small(FEXExplainer, removal=removal), X[:40], of_numbers)
    if name == "ranking":
        make = _small(CoRTXExplainer, task="ranking", n_labels=40, contrastive_steps=5)
        return Case(make, X, of_numbers)
    if name == "L2X":
        return Case(_small(L2XExplainer, groups={"pair": [0, 1]}), X, of_numbers)
    if name == "concept sets":
        return Case(_small(ConceptSetExplainer, masker=patches), IMAGES, brightness)
    if name == "transformer of images":
        masker = ImageMasker(segments=np.arange(64).reshape(8, 8) // 16, fill="noise")
        return Case(_small(FEXExplainer, masker=masker, network="vit"), IMAGES, brightness)
    if name == "texts":
        return Case(_small(FEXExplainer, masker=TextMasker(unit="word")), TEXTS, goodness)
    if name == "tokens":
        masker = TextMasker(word_tokenizer(), fill="delete")
        return Case(_small(FEXExplainer, masker=masker), TEXTS, goodness)
    if name == "hidden":
        make = _small(FEXExplainer, masker=patches, network="hidden", output="logits")
        return Case(make, channel, net())
    make = _small(FEXExplainer, masker=patches, network="copy", output="logits")
    return Case(make, channel, net())


CASES = [
    "FEX",
    "regression",
    "FastSHAP of pandas",
    "supervised of polars",
    "surrogate",
    "ranking",
    "L2X",
    "concept sets",
    "transformer of images",
    "texts",
    "tokens",
    "hidden",
    "copy",
]


@lru_cache
def fitted(name: str) -> Any:
    """An explainer that tests must not change."""
    one = case(name)
    make = one.make()
    return make.fit(one.samples, one.model)


# -- files -------------------------------------------------------------------------------------
def config_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "config.json").read_text())


def weights_path(folder: Path) -> Path:
    return folder / config_of(folder)["weights"]["file"]


def write_config(folder: Path, config: Any, digest: bool = True) -> None:
    """Write a description, by default with the digest that it then has."""
    if digest and isinstance(config, dict):
        config = config | {"digest": digest_of(config)}
    (folder / "config.json").write_text(json.dumps(config))


def edit(folder: Path, change: Callable[[dict[str, Any]], Any], digest: bool = True) -> None:
    """Change a description in place."""
    config = config_of(folder)
    change(config)
    write_config(folder, config, digest)


def edit_weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], Any]) -> None:
    """Change tensors in place, and have both files agree on it."""
    path = weights_path(folder)
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path)
    agree(folder)


def agree(folder: Path) -> None:
    """Write the digest of the weights that are there into the description."""
    content = weights_path(folder).read_bytes()
    told = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
    edit(folder, lambda config: config["weights"].update(told))


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Ways to all that a JSON value holds."""
    inner: Any = ()
    if isinstance(value, dict):
        inner = value.items()
    elif isinstance(value, list):
        inner = enumerate(value)
    for key, part in inner:
        yield (*at, key)
        yield from places(part, (*at, key))


def put(config: Any, place: tuple[Any, ...], value: Any) -> None:
    """Put a value at a place of a JSON value; ``KeyError`` stands for nothing."""
    for key in place[:-1]:
        config = config[key]
    if value is KeyError:
        del config[place[-1]]
    else:
        config[place[-1]] = value


# -- two explainers that are told apart --------------------------------------------------------
ONE, OTHER = "FEX", "L2X"


def values_of(explainer: Any) -> np.ndarray:
    return explainer.explain(X[:5], "all").values


def same(explainer: Any, name: str) -> bool:
    return type(explainer) is type(fitted(name)) and np.array_equal(
        values_of(explainer), values_of(fitted(name))
    )


def assert_holds(folder: Path, name: str) -> None:
    """A folder holds this explainer and nothing else."""
    assert same(fastexplain.load(folder), name)
    found = sorted(os.listdir(folder))
    assert found == ["config.json", config_of(folder)["weights"]["file"]]
