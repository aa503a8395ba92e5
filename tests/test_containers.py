"""What is no table, images or texts: errors that name it and the cure; and what works."""

from __future__ import annotations

import io
from array import array
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from scipy.sparse import csr_matrix
from torch.utils.data import DataLoader, Dataset, TensorDataset

from fastexplain import ExactExplainer, ImageMasker, TextMasker
from fastexplain._containers import plain_container
from fastexplain.images import as_images
from fastexplain.tables import as_table
from fastexplain.texts import as_strings


def probabilities(X: Any) -> np.ndarray:
    score = np.linspace(0.2, 0.8, len(X))
    return np.column_stack([1 - score, score])


def row_sums(X: Any) -> np.ndarray:
    return np.asarray(X, dtype=float).reshape(len(X), -1).sum(axis=1)


class Labelled:
    """As xarray has them: numbers with named axes."""

    dims, coords = ("time", "place"), {}  # noqa: RUF012

    def __array__(self, *args: Any, **kwargs: Any) -> np.ndarray:
        return np.zeros((4, 3))


class Foreign:
    """A table of another library."""

    columns = ["a"]  # noqa: RUF012

    def to_pandas(self) -> pd.DataFrame:
        raise AssertionError("what is not asked for is not converted")


class Squares(Dataset):
    def __len__(self) -> int:
        return 3

    def __getitem__(self, i: int) -> int:
        return i * i


frame = pd.DataFrame({"a": [1.0, 2.0], "b": ["x", "y"]})

#: name of what it is: the thing, and what the error says
STRANGERS: dict[str, tuple[Any, str]] = {
    "volumes": (np.zeros((4, 1, 8, 8, 8)), "5 axes.*volumes"),
    "video tensor": (torch.zeros(2, 5, 3, 8, 8), "5 axes.*videos"),
    "nested to 5": ([[[[[0.0]]]]], "5 axes"),
    "pairs": ([("a", "b")] * 4, "pairs of a question.*one part while the other is fixed"),
    "triples": ([("a", "b", "c")] * 4, "tuples of texts"),
    "dicts": ([{"text": "a"}] * 4, r"list of dicts.*DataFrame.*row\['text'\]"),
    "dicts of numbers": ([{"a": 1}], r"list of dicts.*pandas.DataFrame\(X\)\."),
    "columns": ({"a": [1, 2], "b": [3, 4]}, r"dict of columns \('a', 'b'\).*DataFrame\(X\)"),
    "dict row": ({"a": 1, "b": "x"}, r"dict, one row.*DataFrame\(\[X\]\)"),
    "dict of tables": ({"train": frame}, r"dict of tables.*X\['train'\]"),
    "encoding": ({"input_ids": [[1]]}, r"token ids.*\(model, tokenizer\)"),
    "loader": (DataLoader([1, 2]), "DataLoader, an iterable of batches.*concatenate"),
    "dataset": (TensorDataset(torch.zeros(4, 3)), "TensorDataset, a dataset"),
    "own dataset": (Squares(), "Squares, a dataset"),
    "generator": ((i for i in range(3)), r"generator.*list\(X\)"),
    "map": (map(str, [1]), r"map.*list\(X\)"),
    "keys": ({"a": 1}.keys(), r"dict_keys.*list\(X\)"),
    "file": (io.StringIO("a\nb"), "StringIO"),
    "set": ({1, 2}, "no order"),
    "row of a frame": (frame.iloc[0], r"Series.*df.iloc\[\[i\]\].*to_frame\(\).T"),
    "numbers of a frame": (pd.Series({"a": 1.0, "b": 2.0}), r"to_frame\(\).T"),
    "polars column": (pl.Series([1.0, 2.0]), r"df\[\[i\]\].*to_frame\(\)"),
    "none": (None, "X is None"),
    "nones": ([None, None], "nothing but missing"),
    "number": (3, "single number, 3"),
    "NumPy number": (np.float32(3), "single number"),
    "no axes": (np.array(3.0), "without any axis"),
    "tensor without axes": (torch.tensor(3.0), "without any axis"),
    "text": ("abc", r"single text.*\[text\]"),
    "bytes": (b"abc", "decode"),
    "path": (Path("a.csv"), "read_csv"),
    "paths": ([Path("a.png")], "read the files"),
    "records": (np.zeros(3, dtype=[("age", float), ("pay", int)]), "'age', 'pay'.*DataFrame"),
    "record array": (np.rec.array([(1, 2.0)], names="a,b"), "records.*DataFrame"),
    "labelled axes": (Labelled(), "named axes.*to_numpy"),
    "other table": (Foreign(), r"Foreign.*X.to_pandas\(\)"),
    "lazy frame": (pl.DataFrame({"a": [1]}).lazy(), r"LazyFrame of polars.*X.collect\(\)"),
    "sparse": (csr_matrix(np.eye(2)), r"toarray\(\)"),
    "sparse tensor": (torch.eye(3).to_sparse(), r"to_dense\(\)"),
    "one axis of a tensor": (torch.zeros(3), r"X\[None, :\]"),
    "truths": (np.array([True, False]), "bool array.*one axis"),
    "list of numbers": ([1.0, 2.0], r"single cells, 1.0, 2.0: one row is \[X\]"),
    "range": (range(3), r"one row is \[X\]"),
    "buffer": (memoryview(array("d", [1.0])), "one axis"),
    "mixed list": (["a", 3, "b"], r"entry 1 is '3' of type int.*\[X\]"),
    "mixed array": (np.array([1, "a"], dtype=object), r"of type int.*\[X\]"),
    "ragged": ([[1, 2], [3]], "row 0 has 2 cells, row 1 has 1"),
    "ragged arrays": ([np.zeros(3), np.zeros(2)], "row 0 has 3 cells, row 1 has 2"),
    "lists in cells": ([[0, [1, 2]], [1, [3]]], "several lengths in place of cells"),
    "missing row": ([[1, 2], None], "Entry 1 of X is missing"),
    "empty": ([], "empty list.*at least one"),
    "empty tuple": ((), "empty tuple"),
    "list of series": ([pd.Series([1, 2])], r"list of Series.*pandas.DataFrame\(X\)"),
    "list of frames": ([frame, frame], "pandas.concat"),
    "samples and labels": ((np.zeros((4, 3)), np.zeros(4)), r"samples alone, X\[0\]"),
    "frame and labels": ((frame, frame["a"]), r"table alone, X\[0\]"),
    "labelled samples": ([(np.zeros((3, 8, 8)), 1)], r"its label.*\[x for x, _ in X\]"),
    "batches": ([torch.zeros(2, 3, 8, 8)] * 2, "batches.*concatenate"),
    "sets": ([{1}, {2}], "list of set objects"),
    "objects": ([object()], "list of object objects"),
    "model": (torch.nn.Linear(2, 2), r"looks like a model: fit\(X, model\)"),
    "class": (pd.DataFrame, "the class DataFrame"),
}


@pytest.mark.parametrize("name", STRANGERS)
def test_strangers_are_named_with_their_cure(name: str) -> None:
    X, match = STRANGERS[name]
    with pytest.raises((TypeError, ValueError), match=match) as caught:
        ExactExplainer(output="probability").fit(X, probabilities)
    # what scikit-learn says of arrays of one axis helps nobody with these
    assert "reshape your data" not in str(caught.value).lower()


@pytest.mark.parametrize("name", STRANGERS)
def test_strangers_are_refused_later_and_by_every_masker(name: str) -> None:
    X, _ = STRANGERS[name]
    if name in ("generator", "map"):
        pytest.skip("read once")
    table = ExactExplainer(output="regression").fit(np.eye(3), row_sums)
    for call in (table.explain, as_table):
        with pytest.raises((TypeError, ValueError)) as caught:
            call(X)
        assert "reshape your data" not in str(caught.value).lower()
    for masker in (TextMasker(), ImageMasker()):
        with pytest.raises((TypeError, ValueError)):
            masker.wrap(X)


def test_arrays_of_one_axis() -> None:
    explainer = ExactExplainer().fit(np.eye(3), probabilities)
    for X in (np.zeros(3), np.zeros(3, dtype=int)):
        for call in (lambda X: ExactExplainer().fit(X, probabilities), explainer.explain):
            with pytest.raises(ValueError, match=r"one row is \[X\]"):
                call(X)
        # scikit-learn's checks of transformers look for its own words
        with pytest.raises(ValueError, match="Reshape your data"):
            explainer.transform(X)


def test_what_a_table_is_not() -> None:
    explainer = ExactExplainer(output="regression").fit(np.eye(3), row_sums)
    for X, match in (
        (np.zeros((2, 3, 3)), "3 axes.*flatten it"),
        (torch.zeros(2, 3, 3, 3), "4 axes"),
        ([np.zeros((3, 3))] * 2, "flatten each"),
        ([[[1.0], [2.0]]], "3 axes"),
        (["a", "b"], "list of texts, but a table"),
        (np.array(["a", "b"]), "array of texts, but a table"),
        (pd.Series(["a", "b"]), "Series"),
    ):
        with pytest.raises((TypeError, ValueError), match=match):
            explainer.explain(X)


ROWS = np.random.default_rng(0).normal(size=(6, 3))


@pytest.mark.parametrize(
    "make",
    [
        np.ndarray.tolist,
        lambda X: tuple(map(tuple, X.tolist())),
        lambda X: deque(X.tolist()),
        list,
        lambda X: [torch.tensor(row, requires_grad=True) for row in X],
        lambda X: [array("d", row) for row in X],
        lambda X: torch.tensor(X),
        lambda X: X.astype(object),
        lambda X: memoryview(X),
        lambda X: np.array([None, *X], dtype=object)[1:],
    ],
)
def test_rows_in_many_containers(make: Any) -> None:
    explainer = ExactExplainer("shapley", output="regression").fit(ROWS, row_sums)
    expected = explainer.explain(ROWS).values
    np.testing.assert_allclose(explainer.explain(make(ROWS)).values, expected, atol=1e-12)
    again = ExactExplainer("shapley", output="regression").fit(make(ROWS), row_sums)
    np.testing.assert_allclose(again.explain(ROWS).values, expected, atol=1e-12)


def test_rows_without_columns() -> None:
    with pytest.raises(ValueError, match=r"0 feature\(s\)"):
        ExactExplainer().fit([[], []], probabilities)


def test_images_and_texts_in_series() -> None:
    images = [np.full((8, 8), float(i)) for i in range(5)]
    column = pd.Series(images, index=range(5, 10))
    assert isinstance(plain_container(column), list)
    np.testing.assert_array_equal(as_images(column).native, np.stack(images))
    texts = pd.Series(["a b", "c"], index=[5, 6])
    assert plain_container(texts) is texts
    assert as_strings(texts) == ["a b", "c"]
    explainer = ExactExplainer(output="probability").fit(pl.Series(["a b", "c d"]), probabilities)
    assert isinstance(explainer.masker_, TextMasker)


# -- series of numbers, which look like grey images ------------------------------------------
@pytest.mark.parametrize("shape", [(20, 24, 6), (20, 5, 5), (20, 7, 30)])
@pytest.mark.parametrize("make", [np.asarray, torch.tensor, list])
def test_arrays_of_three_axes_that_are_not_clearly_images(shape: Any, make: Any) -> None:
    X = np.random.default_rng(0).random(shape)
    explainer = ExactExplainer(output="regression")
    with pytest.warns(UserWarning, match="taken for 20 grey images.*as a table") as caught:
        explainer.fit(make(X), row_sums)
    assert [w.filename for w in caught if "grey images" in str(w.message)] == [__file__]
    assert isinstance(explainer.masker_, ImageMasker)


@pytest.mark.filterwarnings("error:.*grey images")
def test_arrays_of_three_axes_that_are_images() -> None:
    rng = np.random.default_rng(0)
    for X in (
        rng.random((20, 8, 8)),
        rng.random((20, 28, 28)),
        rng.integers(0, 255, (20, 10, 6)),
        rng.integers(0, 255, (20, 6, 6), dtype=np.uint8),
    ):
        ExactExplainer(output="regression").fit(X, row_sums)
    ExactExplainer(masker=ImageMasker(), output="regression").fit(rng.random((20, 24, 6)), row_sums)


def test_series_of_few_features_are_no_image() -> None:
    with pytest.raises(ValueError, match=r"Series of shape \(n, time, features\)"):
        ExactExplainer().fit(np.random.default_rng(0).random((20, 24, 3)), row_sums)


@pytest.mark.parametrize("channels", [3, 4])
def test_one_image_is_never_taken_for_several_grey_ones(channels: int) -> None:
    X = np.random.default_rng(0).random((channels, 8, 9))
    for image in (X, torch.tensor(X)):
        with pytest.raises(ValueError, match=r"pass one image as image\[None\]"):
            ExactExplainer(output="regression").fit(image, row_sums)
    masker = ImageMasker(channels="none", patch_size=4)
    grey = ExactExplainer(masker=masker, output="regression").fit(X, row_sums)
    # where the channels are known, there is no doubt
    assert grey.explain(X).values.shape == (channels, 6)
    colour = ExactExplainer(masker=ImageMasker(patch_size=4), output="regression")
    colour.fit(X[None], row_sums)
    assert colour.explain(X[None]).values.shape == (1, 6)
    with pytest.raises(ValueError, match=r"image\[None\]"):
        colour.explain(X)


def test_one_grey_image_is_one() -> None:
    X = np.random.default_rng(0).random((1, 8, 9))
    masker = ImageMasker(patch_size=4)
    explainer = ExactExplainer(masker=masker, output="regression").fit(X, row_sums)
    assert explainer.explain(X).values.shape == (1, 6)
