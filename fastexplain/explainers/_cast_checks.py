"""Numbers that a torch module gets as others: told in fit, and again for the rows explained."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch

from fastexplain._casts import changed
from fastexplain._cells import cells_of
from fastexplain._warnings import warn_user
from fastexplain.masked_model import MaskedModel
from fastexplain.maskers._masked_rows import numbers_of
from fastexplain.predictors._matrix import spread_positions
from fastexplain.tables import Table

__all__ = ["warn_if_cast"]

# of a column's spread: what a cast changes of fractions before it is told of
_LOST = 1e-3
# rows that tell a column's spread, and those that are looked at together
_ROWS, _BLOCK = 4096, 2**16
# whole numbers up to here are floats of their own: all larger floats are whole
_EXACT = 2.0**53
_NUMPY = {torch.float16: np.float16, torch.float32: np.float32, torch.float64: np.float64}


class _Change(NamedTuple):
    """A cell that the module gets as another number."""

    given: int | float
    sent: float
    # whether double precision holds the numbers of the column
    fits_double: bool


def warn_if_cast(masked: MaskedModel, table: Any, training: bool = True) -> None:
    """Warn where numbers lose what tells them apart on their way to a torch module.

    Whole numbers may be identifiers: any change of one is told of. A column is one of whole
    numbers if the explainer was fitted on integers there, or if all of its cells are whole and
    below 2**53. Of other columns, only training rows are looked at: changes of more than a
    thousandth of the column's spread are told of.

    Parameters
    ----------
    masked : MaskedModel
    table : Table, Images or Texts
        Training rows, or those that are explained.
    training : bool, default=True
    """
    predictor = masked.predictor
    if not isinstance(table, Table) or not predictor.torch_module or predictor.takes != "rows":
        return
    dtype = _dtype_sent(masked, table)
    found: dict[int, _Change] = {}
    if dtype.is_floating_point:
        background = masked.masker.background_
        integers = [_holds_integers(background.column(j)) for j in range(table.n_columns)]
        for part in (background, table):
            found.update(_changed_whole(part, dtype, integers))
        if training:
            found = _changed_fractions(table, dtype) | found
    if found:
        _tell(table, dtype, found)


def _dtype_sent(masked: MaskedModel, table: Table) -> torch.dtype:
    """Type in which the module gets rows that are masked."""
    own = numbers_of(table.take(slice(0, _BLOCK))).dtype
    background = numbers_of(masked.masker.background_).dtype
    return masked.predictor.input_dtype(np.result_type(own, background))


def _changed_whole(
    table: Table, dtype: torch.dtype, integers: list[bool]
) -> Iterator[tuple[int, _Change]]:
    """Columns of whole numbers of which a cell changes, and one such cell of each."""
    # all whole numbers up to here are held
    most = 2.0 / torch.finfo(dtype).eps
    for j in np.flatnonzero(_largest(table) > most).tolist():
        cells = _numbers(table, j)
        cells = cells[np.isfinite(cells)]
        if cells.dtype.kind == "f" and not integers[j]:
            if np.abs(cells).max(initial=0.0) > _EXACT or (cells != np.floor(cells)).any():
                continue
        lost = _lost(cells, dtype)
        if lost.any():
            cell = cells[lost.argmax()]
            sent = torch.tensor(float(cell), dtype=torch.float64).to(dtype).item()
            exact = not changed(cells, np.dtype(np.float64)).any()
            yield j, _Change(cell.item(), sent, exact)


def _largest(table: Table) -> np.ndarray:
    """Size of the largest number of each column (C,)."""
    matrix = table.matrix()
    if matrix is None or matrix.dtype.kind not in "biuf":
        return np.array([_size(_numbers(table, j)) for j in range(table.n_columns)])
    parts = [_size(matrix[i : i + _BLOCK]) for i in range(0, len(matrix), _BLOCK)]
    return np.max(parts, axis=0)


def _size(cells: np.ndarray) -> np.ndarray:
    """Size of the largest number of each column of cells (n,) or (n, C); 0 where there is none."""
    if cells.dtype.kind == "b" or not len(cells):
        return np.zeros(cells.shape[1:])
    # of a number and a NaN, these take the number
    low, high = np.fmin.reduce(cells, axis=0), np.fmax.reduce(cells, axis=0)
    return np.nan_to_num(np.maximum(-low.astype(np.float64), high.astype(np.float64)))


def _numbers(table: Table, j: int) -> np.ndarray:
    """The numbers of a column in its own type, missing ones left out where that has none."""
    column = table.column(j)
    if table.kind == "polars":
        column = column.drop_nulls()
    elif not isinstance(column.dtype, np.dtype):
        column = column.dropna()
    cells = cells_of(column)
    return cells if cells.dtype.kind in "biuf" else cells.astype(np.float64)


def _lost(cells: np.ndarray, dtype: torch.dtype) -> np.ndarray:
    """Which numbers a floating type of torch does not hold."""
    lost = changed(cells, np.dtype(_NUMPY.get(dtype, np.float32)))
    if dtype not in _NUMPY:
        single = torch.from_numpy(cells.astype(np.float32))
        lost |= (single.to(dtype).float() != single).numpy()
    return lost


def _changed_fractions(table: Table, dtype: torch.dtype) -> dict[int, _Change]:
    """Columns that lose much of their spread, and the cell of each that changes most."""
    cells = numbers_of(table.take(spread_positions(len(table), _ROWS)))
    given = torch.from_numpy(cells)
    cast = given.to(dtype).to(given.dtype).numpy()
    with np.errstate(invalid="ignore"):
        lost = np.abs(np.nan_to_num(cast.astype(float) - cells.astype(float)))
    finite = np.isfinite(cells)
    count = np.maximum(finite.sum(axis=0), 1)
    numbers = np.where(finite, cells.astype(float), 0.0)
    centred = np.where(finite, numbers - numbers.sum(axis=0) / count, 0.0)
    spread = np.sqrt((centred**2).sum(axis=0) / count)
    columns = np.flatnonzero(lost.max(axis=0) > _LOST * np.where(spread > 0, spread, np.inf))
    rows = lost.argmax(axis=0)
    return {
        j: _Change(cells[rows[j], j].item(), cast[rows[j], j].item(), True)
        for j in columns.tolist()
    }


def _holds_integers(column: Any) -> bool:
    """Whether the dtype of a column is one of whole numbers."""
    dtype = column.dtype
    if hasattr(dtype, "is_integer"):
        return bool(dtype.is_integer())
    return getattr(dtype, "kind", "O") in "iu"


def _tell(table: Table, dtype: torch.dtype, found: dict[int, _Change]) -> None:
    """Warn of changed columns, with a cure that holds their numbers."""
    columns = sorted(found)
    change = found[columns[0]]
    names = [table.names[k] for k in columns[:10]]
    more = f" and {len(columns) - 10} more" if len(columns) > 10 else ""
    renumber = (
        "number such values anew from 0 on (pandas.factorize) or subtract an offset before the "
        "module is trained."
    )
    cure = f"Use the module in double precision (module.double()), or {renumber}"
    if not all(change.fits_double for change in found.values()):
        cure = f"Double precision does not hold them either: {renumber}"
    warn_user(
        f"Columns {names}{more} lose digits on the way to the torch module, which computes in "
        f"{str(dtype).removeprefix('torch.')}: {change.given!r} becomes {change.sent!r}. If they "
        f"are identifiers, the model is asked about others. {cure}"
    )
