"""Rows near the data: drawn from the same throws however many are made at once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from fastexplain import _blocks
from fastexplain.tables import as_table
from fastexplain.training import mix_rows, rows_and_mixtures

FRAME = pd.DataFrame(
    {
        "a": range(50),
        "b": range(50),
        "c": list("xy") * 25,
        "d": pd.Categorical(list("pq") * 25, ["q", "p", "r"]),
        "e": pd.date_range("2020", periods=50, tz="UTC"),
    }
)
POLARS = pl.DataFrame({"a": range(50), "b": range(50), "c": list("xy") * 25, "d": [None, 1.5] * 25})
PLAYERS = np.array([0, 0, 1, 2, 3])


def _same(found: Any, expected: Any) -> None:
    if isinstance(found, np.ndarray):
        np.testing.assert_array_equal(found, expected)
    else:
        assert found.equals(expected)


@pytest.mark.parametrize("X", [FRAME, POLARS, FRAME[["a", "b"]].to_numpy()])
@pytest.mark.parametrize("draw", [mix_rows, rows_and_mixtures])
def test_blocks_of_rows_do_not_show(X: Any, draw: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    table = as_table(X)
    given = table, 400, PLAYERS[: table.n_columns]
    whole = draw(*given, np.random.default_rng(0)).native
    monkeypatch.setattr(_blocks, "MOST_NUMBERS", 30)
    _same(draw(*given, np.random.default_rng(0)).native, whole)
    if table.kind != "numpy":
        assert list(whole.dtypes) == list(X.dtypes)


def test_mixed_rows_take_cells_from_the_same_player() -> None:
    mixed = mix_rows(as_table(FRAME), 400, PLAYERS, np.random.default_rng(0)).native
    assert (mixed["a"] == mixed["b"]).all() and len(mixed) == 400
    parity = mixed["a"] % 2 == (mixed["c"] == "y")
    assert 0.75 < parity.mean() < 0.99


def test_real_rows_are_all_among_them_in_another_order() -> None:
    cells = np.random.default_rng(0).normal(size=(40, 6))
    found = rows_and_mixtures(as_table(cells), 60, np.arange(6), np.random.default_rng(1)).native
    assert found.shape == (100, 6)
    at = [int(np.flatnonzero((found == row).all(axis=1))[0]) for row in cells]
    assert len(set(at)) == 40 and sorted(at) != at
    # the others hold nothing but cells of the same column
    assert all(np.isin(found[:, j], cells[:, j]).all() for j in range(6))


def test_no_row_is_drawn_where_none_is_wanted() -> None:
    cells = np.arange(12.0).reshape(4, 3)
    found = rows_and_mixtures(as_table(cells), 0, np.arange(3), np.random.default_rng(0)).native
    np.testing.assert_array_equal(np.sort(found, axis=0), cells)
