"""A learned explainer's fitted state as JSON values and tensors."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch

from fastexplain.maskers import TabularMasker
from fastexplain.maskers._baselines import cells_as_row, first_cell
from fastexplain.networks import TabularEncoder
from fastexplain.networks._encoder import ColumnEncoder
from fastexplain.persistence import decode_value, encode_value
from fastexplain.readers._schema import Schema
from fastexplain.tables import Table

__all__ = [
    "decode_encoder",
    "encode_encoder",
    "fingerprint_rows",
    "warn_if_changed",
]

_FINGERPRINT_ROWS = 16


def encode_encoder(encoder: TabularEncoder) -> list[dict[str, Any]]:
    """Describe the columns; edges are stored with the weights' precision to spare."""
    out = []
    for column in encoder.columns:
        categories = [encode_value(value) for value in column.categories]
        if any(isinstance(c, dict) and "__unsaved__" in c for c in categories):
            raise TypeError(
                f"Categories like {column.categories[0]!r} cannot be saved as JSON; pickle the "
                "explainer instead."
            )
        out.append(
            {
                "numeric": column.numeric,
                "center": encode_value(column.center),
                "scale": encode_value(column.scale),
                "edges": [encode_value(float(edge)) for edge in column.edges],
                "categories": categories,
            }
        )
    return out


def decode_encoder(state: list[dict[str, Any]]) -> TabularEncoder:
    """The inverse of ``encode_encoder``."""
    return TabularEncoder(
        [
            ColumnEncoder(
                numeric=column["numeric"],
                center=decode_value(column["center"]),
                scale=decode_value(column["scale"]),
                edges=np.array([decode_value(edge) for edge in column["edges"]]),
                categories=[decode_value(value) for value in column["categories"]],
            )
            for column in state
        ]
    )


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
    """Warn when a model answers otherwise than the one that was explained."""
    gap = (fingerprint.double().cpu() - answers.double().cpu()).abs()
    # relative, because outputs of regressors come in all sizes
    limit = 1e-3 * fingerprint.abs().max().clamp(min=1e-12)
    if bool((gap > limit).any()):
        warnings.warn(
            f"The attached model is not the one that was explained: its outputs differ by up to "
            f"{float(gap.max()):.3g} on the explainer's check rows. Its explanations are of the "
            "old model; fit again for the new one.",
            stacklevel=4,
        )
