"""Tables: quantiles and categories, null flags, values that act like the baseline."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import torch

from fastexplain.masked_model import MaskedModel
from fastexplain.networks import TabularEncoder, TabularNetwork
from fastexplain.networks._encoder import quantiles_of
from fastexplain.persistence import Fields
from fastexplain.persistence._limits import MOST_BLOCKS, MOST_WIDTH
from fastexplain.readers._inert import InertValues, find_inert_values
from fastexplain.readers._reader import Encoded
from fastexplain.readers._state import decode_encoder, encode_encoder, fingerprint_rows
from fastexplain.schema import Schema
from fastexplain.tables import Table
from fastexplain.training import rows_and_mixtures

__all__ = ["TabularReader"]


class TabularReader:
    """Rows of a table as scaled quantities and category codes.

    Parameters
    ----------
    masker : TabularMasker
        Fitted.
    encoder : TabularEncoder
    inert : InertValues
        Values that the model does not tell from the baseline.
    schema : Schema
        Of the rows that the explainer was fitted on.
    width, n_blocks : int
        Of the network.
    """

    call_samples = 8192
    gives_outputs = False
    needs_model = False

    def __init__(
        self,
        masker: Any,
        encoder: TabularEncoder,
        inert: InertValues,
        schema: Schema,
        width: int,
        n_blocks: int,
    ) -> None:
        self.masker, self.encoder, self.inert, self.schema = masker, encoder, inert, schema
        self.width, self.n_blocks = width, n_blocks

    @classmethod
    def fit(
        cls,
        masked: MaskedModel,
        table: Table,
        schema: Schema,
        *,
        width: int,
        n_blocks: int,
        max_queries: int,
        seed: int,
        max_time: float | None,
        started: float,
    ) -> Self:
        """Learn the columns, and which of their values act like the baseline.

        The search for the latter takes a twentieth of ``max_queries`` and a tenth of
        ``max_time`` at most.
        """
        codes = masked.masker.categorical_
        encoder = TabularEncoder.fit(table, quantiles_of(table, codes), codes)
        if masked.removal is not None:
            # a surrogate sees values; none of them is as good as absent
            inert = InertValues.none(table.n_columns)
        else:
            rng = np.random.default_rng([seed, 5])
            deadline = None if max_time is None else started + 0.1 * float(max_time)
            inert = find_inert_values(masked, table, encoder, max_queries, rng, deadline)
        return cls(masked.masker, encoder, inert, schema, width, n_blocks)

    def encode(self, samples: Table, masked: Any = None) -> Encoded:
        """Scaled quantities and codes (n, C), and null flags (n, N)."""
        x = self.encoder.transform(samples)
        cells = self.inert.mark(self.masker.baseline_cells(samples), x)
        null = self.masker.all_of_player(cells)
        return {"x": torch.from_numpy(x), "null": torch.from_numpy(null)}

    def encode_masked(self, samples: Table, masks: np.ndarray, masked: Any = None) -> Encoded:
        """The same of masked rows; of several background rows, the first stands in."""
        cells = masks[:, None, self.masker.player_of_column_]
        made = self.masker.source(samples).masked(cells, slice(0, len(samples)))
        return self.encode(Table(made).take(slice(None, None, self.masker.n_background_)))

    def body(self, per_player: int, whole: int, n_head_layers: int = 1) -> TabularNetwork:
        """Residual MLP to (B, per_player * N + whole)."""
        n_players = self.masker.n_players
        # layers draw their first weights from torch's global generator, which is the user's
        with torch.random.fork_rng(devices=[]):
            return TabularNetwork(
                self.encoder,
                n_players,
                per_player * n_players + whole,
                self.width,
                self.n_blocks,
                n_head_layers,
            )

    def numbers(self) -> int:
        """One a column."""
        return len(self.encoder.columns)

    def mix(self, samples: Table, n_samples: int, rng: np.random.Generator) -> Table:
        """Rows some of whose players' values come from another row."""
        # mixing beyond some tens of copies of each row adds nothing new
        extra = min(n_samples, 50 * len(samples))
        return rows_and_mixtures(samples, extra, self.masker.player_of_column_, rng)

    def fingerprint_samples(self) -> Table:
        """Rows made of quantiles and categories."""
        return fingerprint_rows(self.masker, self.encoder, self.schema)

    def state(self) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
        """Describe as JSON values."""
        return {
            "kind": "tabular",
            "encoder": encode_encoder(self.encoder),
            "inert": self.inert.state(),
            "width": self.width,
            "n_blocks": self.n_blocks,
        }, {}

    @classmethod
    def from_state(cls, config: dict[str, Any], masker: Any, schema: Schema) -> Self:
        """The inverse of ``state``; raises ValueError for what that does not write."""
        fields = Fields(config, "reader")
        fields.text("kind", ("tabular",))
        n_columns = masker.background_.n_columns
        encoder = decode_encoder(fields.items("encoder", n_columns))
        inert = InertValues.from_state(fields.items("inert", n_columns))
        for column, codes in zip(encoder.columns, inert.codes, strict=True):
            if codes and (column.numeric or max(codes) >= column.n_codes):
                raise ValueError("reader.inert has codes of categories that there are not")
        width, n_blocks = (
            fields.whole("width", 1, MOST_WIDTH),
            fields.whole("n_blocks", 0, MOST_BLOCKS),
        )
        fields.close()
        return cls(masker, encoder, inert, schema, width, n_blocks)
