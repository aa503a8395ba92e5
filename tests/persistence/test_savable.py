"""What cannot be saved is said before the model is asked anything."""

from __future__ import annotations

import array
import enum
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from folders import IMAGES, SMALL, TEXTS, brightness, goodness, of_numbers, word_tokenizer

import fastexplain
from fastexplain import ExactExplainer, FEXExplainer, ImageMasker, TextMasker

X = np.random.default_rng(0).normal(size=(60, 3))


class Colour(enum.Enum):
    RED, BLUE = 1, 2


class Text(str):
    """A text of the user's own type."""


def never(rows: Any) -> np.ndarray:
    raise AssertionError("the model was asked")


def fit(samples: Any, model: Any = never, **given: Any) -> FEXExplainer:
    return FEXExplainer(**(SMALL | given)).fit(samples, model)


@pytest.mark.parametrize(
    "cells",
    [
        [Colour.RED, Colour.BLUE] * 30,
        [1j, 2j] * 30,
        [None] * 59 + [Colour.RED],
        [("a", 1)] * 59 + [("a", Colour.RED)],
        [Text("a"), Text("b")] * 30,
        pd.Categorical([Colour.RED, Colour.BLUE] * 30),
    ],
    ids=["enum", "complex", "the last cell", "within a tuple", "own text", "categories"],
)
def test_columns_that_cannot_be_saved(cells: Any) -> None:
    cells = cells if isinstance(cells, pd.Categorical) else pd.Series(cells, dtype=object)
    frame = pd.DataFrame({"a": X[:, 0], "odd": cells})
    with pytest.raises(TypeError, match=r"Column 'odd' holds .*(Colour|complex|Text).*astype\(str"):
        fit(frame)
    rows = np.empty((60, 2), dtype=object)
    rows[:, 0], rows[:, 1] = X[:, 0], list(cells)
    with pytest.raises(TypeError, match="Column 'x1' holds"):
        fit(rows)


def test_names_of_columns_that_cannot_be_saved() -> None:
    frame = pd.DataFrame(X, columns=[Colour.RED, "b", "c"])
    with pytest.raises(TypeError, match="names of X's columns hold .*Colour"):
        fit(frame)


def test_parameters_that_cannot_be_saved() -> None:
    with pytest.raises(TypeError, match=r"output_names= holds .*Colour"):
        fit(X, output_names=[Colour.RED, Colour.BLUE])


def test_methods_that_are_never_saved_do_not_mind() -> None:
    frame = pd.DataFrame({"a": X[:, 0], "odd": pd.Series([Colour.RED, Colour.BLUE] * 30)})
    explainer = ExactExplainer().fit(frame, lambda rows: of_numbers(rows[["a"]]))
    assert explainer.explain(frame[:2]).values.shape == (2, 2)


def told(fit: Any) -> list[str]:
    """Warnings of a call that cannot save, at the user's own line."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit()
    found = [w for w in caught if "pickled, but not saved" in str(w.message)]
    assert all(warning.filename == __file__ for warning in found)
    return [str(warning.message) for warning in found]


def quarters(image: np.ndarray) -> np.ndarray:
    rows, columns = np.indices(image.shape[:2]) // 4
    return 2 * rows + columns


def test_functions_of_maskers_are_a_use_of_their_own(tmp_path: Path) -> None:
    made: list[Any] = []
    (message,) = told(
        lambda: made.append(fit(IMAGES, brightness, masker=ImageMasker(segments=quarters)))
    )
    assert "segments= of its masker is a function" in message
    with pytest.raises(TypeError, match="segments is a function"):
        made[0].save(tmp_path / "a")
    assert not list(tmp_path.iterdir())
    masker = TextMasker(unit="word", segmenter=str.split)
    (message,) = told(lambda: fit(TEXTS, goodness, masker=masker))
    assert "segmenter= of its masker is a function" in message


def test_tokenizers_with_parts_in_python() -> None:
    tokenizers = pytest.importorskip("tokenizers")
    tokenizer = word_tokenizer()
    masker = TextMasker(tokenizer, fill="delete")
    assert not told(lambda: fit(TEXTS, goodness, masker=masker))

    class Split:
        def pre_tokenize(self, text: Any) -> None:
            text.split(lambda i, part: part.split(" ", "removed"))

    custom = tokenizers.pre_tokenizers.PreTokenizer.custom(Split())
    tokenizer.backend_tokenizer.pre_tokenizer = custom
    (message,) = told(lambda: fit(TEXTS, goodness, masker=masker))
    assert "its tokenizer has no form in JSON" in message


def test_baselines_of_other_libraries_are_rows(tmp_path: Path) -> None:
    explainer = fit(X, of_numbers, baseline=array.array("d", [0.5, 1.0, -1.0]))
    explainer.save(tmp_path / "a")
    assert fastexplain.load(tmp_path / "a").baseline == [0.5, 1.0, -1.0]
    tensor = fit(X, of_numbers, baseline=torch.tensor([0.5, 1.0, -1.0]))
    tensor.save(tmp_path / "b")
    np.testing.assert_array_equal(fastexplain.load(tmp_path / "b").baseline, [0.5, 1.0, -1.0])
