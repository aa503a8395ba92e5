"""RISE against a loop over masks, and masks that follow from a sample's content alone."""

from __future__ import annotations

import itertools
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from fastexplain import ImageMasker, RISEExplainer, TextMasker
from fastexplain.explainers import _sample_masks
from fastexplain.explainers._sample_masks import SampleMasks, content_numbers
from fastexplain.images import as_images
from fastexplain.tables import as_table

RNG = np.random.default_rng(0)
ROWS = RNG.normal(size=(40, 4))


def chances(X: Any) -> np.ndarray:
    """Two classes; the last column of a row counts for nothing."""
    X = np.asarray(X, dtype=float).reshape(len(X), -1)
    score = 1.0 / (1.0 + np.exp(-X[:, 0] - X[:, 1] * X[:, 2]))
    return np.column_stack([1.0 - score, score])


def slow_rise(f: Any, x: np.ndarray, base: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """The formula, mask by mask, (N, K)."""
    total, weighted = np.zeros(2), np.zeros((len(x), 2))
    for mask in masks:
        answer = f(np.where(mask, x, base)[None])[0]
        total += answer
        weighted += np.outer(mask, answer)
    return weighted / total


@pytest.mark.parametrize("at_once", [1024, 7])
def test_rise_against_a_loop(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_sample_masks, "MASKS_AT_ONCE", at_once)
    rise = RISEExplainer(50, keep=0.3, random_state=3).fit(ROWS, chances)
    found = rise.explain(ROWS[:5], "all").values
    masks = rise._masks
    for i, number in enumerate(content_numbers(as_table(ROWS[:5]))):
        own = np.concatenate([masks.draw([number], block, 4)[0] for block in masks.blocks()])
        assert own.shape == (50, 4)
        np.testing.assert_allclose(found[i], slow_rise(chances, ROWS[i], ROWS.mean(0), own))


def test_masks_keep_players_independently_with_their_probability() -> None:
    masks = SampleMasks(seed=1, n_masks=3000, keep=0.3)
    assert len(masks.blocks()) == 3
    drawn = np.concatenate([masks.draw([5, 6], b, 4) for b in masks.blocks()], axis=1)
    assert drawn.shape == (2, 3000, 4)
    columns = np.concatenate([drawn[0], drawn[1]], axis=1).astype(float)
    # five standard errors
    np.testing.assert_allclose(columns.mean(axis=0), 0.3, atol=5 * np.sqrt(0.21 / 3000))
    correlation = np.corrcoef(columns, rowvar=False) - np.eye(8)
    assert np.abs(correlation).max() < 5 / np.sqrt(3000)
    # neither blocks nor samples repeat each other
    assert not np.array_equal(drawn[0, :1024], drawn[0, 1024:2048])
    # a player's draws do not depend on how many follow
    for block in masks.blocks():
        wide, narrow = masks.draw([5], block, 9), masks.draw([5], block, 4)
        np.testing.assert_array_equal(wide[:, :, :4], narrow)


def test_errors_of_rows_are_independent() -> None:
    """Of rows that the model takes for one, the mean error falls with their square root."""
    n = 900
    rows = np.repeat(np.array([[1.0, 2.0, 0.5, 0.0]]), n, axis=0)
    rows[:, 3] = np.arange(n)
    rise = RISEExplainer(40, baseline="zero", random_state=0).fit(rows, chances)
    found = rise.explain(rows, 1).values
    # over all masks, as likely as each other
    masks = np.array(list(itertools.product([False, True], repeat=4)))
    truth = slow_rise(chances, rows[0], np.zeros(4), masks)[:, 1]
    errors = found - truth
    one = errors.std(axis=0)
    assert (one > 0.03).all()
    # of what one error is: the ratio of means is biased by less than a twentieth
    assert (np.abs(errors.mean(axis=0)) < one * (4 / np.sqrt(n) + 0.05)).all()


# -- the same masks for the same content -----------------------------------------------------
def test_rows_are_explained_alike_in_any_company() -> None:
    rise = RISEExplainer(64, random_state=0).fit(ROWS, chances)
    together = rise.explain(ROWS, 1).values
    order = RNG.permutation(40)
    np.testing.assert_array_equal(rise.explain(ROWS[order], 1).values, together[order])
    for batch in (1, 7):
        other = RISEExplainer(64, random_state=0, model_batch_size=batch).fit(ROWS, chances)
        np.testing.assert_allclose(other.explain(ROWS, 1).values, together, atol=1e-12)
    alone = [rise.explain(row[None], 1).values[0] for row in ROWS]
    np.testing.assert_allclose(alone, together, atol=1e-12)
    twice = rise.explain(np.repeat(ROWS[:1], 3, axis=0), 1).values
    np.testing.assert_array_equal(twice, np.repeat(twice[:1], 3, axis=0))
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda i: rise.explain(ROWS[i : i + 2], 1).values, range(38)):
            assert found.shape == (2, 4)
        found = [*pool.map(lambda i: rise.explain(ROWS[i : i + 2], 1).values, range(38))]
    np.testing.assert_allclose(np.stack(found)[:, 0], together[:38], atol=1e-12)
    # another seed draws other masks
    other = RISEExplainer(64, random_state=1).fit(ROWS, chances)
    assert np.abs(other.explain(ROWS, 1).values - together).max() > 0.01


def table(kind: str) -> Any:
    rng = np.random.default_rng(1)
    numbers, names = rng.normal(size=6), rng.choice(["Bonn", "Rome", "Oslo"], 6)
    if kind == "numpy":
        return np.column_stack([numbers, numbers[::-1]])
    if kind == "whole numbers":
        return rng.integers(0, 9, (6, 3))
    if kind == "objects":
        return np.array([[a, b] for a, b in zip(numbers, names, strict=True)], dtype=object)
    if kind == "pandas":
        town = pd.Categorical(names)
        return pd.DataFrame({"a": numbers, "b": names, "c": town, "d": numbers > 0})
    town = pl.Series(names, dtype=pl.Categorical)
    return pl.DataFrame({"a": numbers, "b": names, "c": town, "d": [None, *numbers[1:]]})


KINDS = ["numpy", "whole numbers", "objects", "pandas", "polars"]


@pytest.mark.parametrize("kind", KINDS)
def test_numbers_of_rows_follow_content_alone(kind: str) -> None:
    rows = as_table(table(kind))
    numbers = content_numbers(rows)
    assert len(set(numbers)) == 6
    for some in ([0], [5, 1], [3, 3, 0]):
        assert content_numbers(rows.take(some)) == [numbers[i] for i in some]
    again = content_numbers(as_table(table(kind)))
    assert again == numbers


@pytest.mark.slow
def test_numbers_are_the_same_in_every_process() -> None:
    """Hashes of strings that Python draws anew for each process would not be."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import test_rise as t;"
        "from fastexplain.tables import as_table;"
        "print([t.content_numbers(as_table(t.table(k))) for k in t.KINDS])"
    )
    own = str([content_numbers(as_table(table(kind))) for kind in KINDS])
    folder = __file__.rpartition("/")[0]
    for seed in ("1", "2"):
        found = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", code, folder],
            capture_output=True,
            text=True,
            env={"PYTHONHASHSEED": seed},
            check=True,
        )
        assert found.stdout.strip() == own


def test_numbers_do_not_depend_on_the_type_or_the_place_in_memory() -> None:
    whole = np.arange(12).reshape(3, 4)
    expected = content_numbers(as_table(whole))
    for other in (whole.astype(float), whole.astype("float32"), np.asfortranarray(whole)):
        assert content_numbers(as_table(other)) == expected
    zero, missing = np.array([[0.0, np.nan]]), np.array([[-0.0, -np.nan]])
    assert content_numbers(as_table(zero)) == content_numbers(as_table(missing))
    images = RNG.random((3, 8, 9)).astype("float32")
    expected = content_numbers(as_images(images, "none"))
    for other in (images.astype(float), np.asfortranarray(images)):
        assert content_numbers(as_images(other, "none")) == expected
    assert len(set(expected)) == 3


def test_images_have_masks_of_their_own() -> None:
    images = RNG.random((6, 8, 8))
    masker = ImageMasker(patch_size=4)
    rise = RISEExplainer(32, masker=masker, random_state=0).fit(images, chances)
    together = rise.explain(images, 1).values
    np.testing.assert_allclose(rise.explain(images[::-1], 1).values[::-1], together, atol=1e-12)
    lifted = rise.explain(np.concatenate([images[:1]] * 2), 1).values
    np.testing.assert_array_equal(lifted[0], lifted[1])
    numbers = content_numbers(rise.masker_.wrap(images))
    drawn = rise._masks.draw(numbers, 0, 4)
    assert not (drawn[0] == drawn[1]).all()


def words(texts: Any) -> np.ndarray:
    score = np.array([0.2 + 0.1 * (text.count("good") % 6) for text in texts])
    return np.column_stack([1 - score, score])


def test_longer_texts_share_the_draws_of_their_players() -> None:
    texts = ["good film", "a bad book", "so good", "fine \ud800"]
    rise = RISEExplainer(32, masker=TextMasker(unit="word"), random_state=0).fit(texts, words)
    long = "good " * 20
    alone = rise.explain(["good film"], 1).values[0]
    beside = rise.explain([long, "good film", ""], 1).values
    np.testing.assert_allclose(beside[1, : len(alone)], alone, atol=1e-12)
    assert beside.shape == (3, 20) and (beside[1, 2:] == 0.5).all() and (beside[2] == 0.5).all()


def test_parameters_changed_after_fit_wait_for_the_next() -> None:
    rise = RISEExplainer(32, random_state=0).fit(ROWS, chances)
    before = rise.explain(ROWS[:2], 1)
    rise.set_params(n_masks=5, keep=0.9)
    after = rise.explain(ROWS[:2], 1)
    np.testing.assert_array_equal(after.values, before.values)
    assert after.method == before.method == "RISE (32 masks), baseline mean"
    assert rise.fit(ROWS, chances).explain(ROWS[:2], 1).method == "RISE (5 masks), baseline mean"


def test_outputs_that_are_zero_under_every_mask_prefer_none() -> None:
    def certain(X: np.ndarray) -> np.ndarray:
        return np.repeat([[1.0, 0.0]], len(X), axis=0)

    with pytest.warns(UserWarning, match="changes no output"):
        rise = RISEExplainer(32, random_state=0).fit(ROWS, certain)
    values = rise.explain(ROWS[:2], "all").values
    # both are the share of masks that keep a player
    np.testing.assert_allclose(values[:, :, 0], values[:, :, 1])
