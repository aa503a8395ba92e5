"""A learned explainer's fitted state as JSON values and tensors."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from fastexplain._same_answers import changes
from fastexplain._warnings import warn_user
from fastexplain.maskers import TabularMasker
from fastexplain.maskers._baselines import cells_as_row, first_cell
from fastexplain.networks import TabularEncoder
from fastexplain.networks._encoder import ColumnEncoder
from fastexplain.persistence import Fields, decode_value, encode_value
from fastexplain.persistence._limits import MOST_TOKENS
from fastexplain.schema import Schema
from fastexplain.tables import Table

__all__ = [
    "decode_encoder",
    "encode_encoder",
    "fingerprint_rows",
    "tokens_of",
    "warn_if_changed",
]

_FINGERPRINT_ROWS = 16


def encode_encoder(encoder: TabularEncoder) -> list[dict[str, Any]]:
    """Describe the columns; floats keep all their digits."""
    return [
        {
            "numeric": column.numeric,
            "center": float(column.center),
            "scale": float(column.scale),
            "edges": [float(edge) for edge in column.edges],
            "categories": [encode_value(value) for value in column.categories],
        }
        for column in encoder.columns
    ]


def decode_encoder(state: list[Any]) -> TabularEncoder:
    """The inverse of ``encode_encoder``; raises ValueError for what that does not write."""
    return TabularEncoder(
        [_decode_column(Fields(column, f"encoder[{j}]")) for j, column in enumerate(state)]
    )


def _decode_column(fields: Fields) -> ColumnEncoder:
    edges = np.array(fields.numbers("edges"), dtype=np.float64)
    # the network divides by the gaps between them
    if not len(edges) or not (np.diff(edges) > 0).all():
        raise ValueError(f"{fields.where}.edges do not rise")
    found = ColumnEncoder(
        numeric=fields.flag("numeric"),
        center=fields.number("center"),
        scale=fields.number("scale", np.nextafter(0.0, 1.0)),
        edges=edges,
        categories=[decode_value(value) for value in fields.items("categories")],
    )
    fields.close()
    if len(found._codes) != len(found.categories) or (found.numeric and found.categories):
        raise ValueError(f"{fields.where}.categories are not those of a column")
    return found


def tokens_of(fields: Fields) -> tuple[int, int] | None:
    """Rows and columns of a model's tokens, or None, of a saved reader."""
    if fields.missing("tokens"):
        return None
    rows, columns = fields.wholes("tokens", 1, MOST_TOKENS, 2)
    return rows, columns


def fingerprint_rows(masker: TabularMasker, encoder: TabularEncoder, schema: Schema) -> Table:
    """Rows to know a model by, made of quantiles and categories: no training row is kept."""
    background = masker.background_.take(slice(0, 1))
    first = [first_cell(background, j) for j in range(background.n_columns)]
    rows = [background]
    for k in range(_FINGERPRINT_ROWS - 1):
        cells = []
        for j, column in enumerate(encoder.columns):
            cell = first[j]
            if column.numeric and schema.dtypes[j].lower().startswith(("int", "uint", "float")):
                edge = column.edges[(k * 7 + j * 3) % len(column.edges)]
                cell = edge * column.scale + column.center
                cell = cell if schema.dtypes[j].lower().startswith("float") else round(cell)
            elif column.categories:
                cell = column.categories[(k + j) % len(column.categories)]
            cells.append(cell)
        rows.append(cells_as_row(background, cells))
    return _concatenate(rows)


def _concatenate(rows: list[Table]) -> Table:
    """Tables of one container and the same dtypes, below each other."""
    natives: list[Any] = [row.native for row in rows]
    if rows[0].kind == "numpy":
        return Table(np.concatenate(natives))
    if rows[0].kind == "pandas":
        import pandas as pd

        # by number, because pandas aligns columns by name and names may repeat
        names = natives[0].columns
        numbered = [native.set_axis(range(len(names)), axis=1) for native in natives]
        frame = pd.concat(numbered, ignore_index=True)
        frame.columns = names
        return Table(frame)
    import polars as pl

    return Table(pl.concat(natives))


def warn_if_changed(fingerprint: torch.Tensor, answers: torch.Tensor) -> None:
    """Warn when a model answers otherwise than the one that was explained.

    Differences count beside the spread of each output over the check rows, whatever its size is;
    where an output does not move, beside the rounding of the numbers that it has.

    Parameters
    ----------
    fingerprint, answers : tensor of shape (n, K)
        Outputs of the check rows, at ``fit`` and now.
    """
    before, now = fingerprint.double().cpu(), answers.double().cpu()
    if before.shape != now.shape:
        raise ValueError(
            f"The attached model answers the explainer's check rows with the shape "
            f"{tuple(now.shape)}; at fit it was {tuple(before.shape)}. Attach the model that was "
            "explained, or fit again."
        )
    gap, spread, limit = changes(before.numpy(), now.numpy())
    if (gap > limit).any():
        worst = int((gap - limit).argmax())
        warn_user(
            f"The attached model is not the one that was explained: its outputs differ by up to "
            f"{float(gap[worst]):.3g} on the explainer's check rows, where they spread over "
            f"{float(spread[worst]):.3g}. Its explanations are of the old model; fit again for the "
            "new one."
        )
