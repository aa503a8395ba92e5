"""A network that begins as a copy of the model: g of the architecture of f (FEX, section 4)."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from fastexplain.networks._grids import image_cells, player_states
from fastexplain.networks._hidden import HiddenTrunk
from fastexplain.networks._players import Pretrained
from fastexplain.predictors._hidden import trained_states

__all__ = ["CopyTrunk"]


class CopyTrunk(nn.Module):
    """Features of every player from layers of a copy of the model, which is trained along.

    Parameters
    ----------
    call : TorchCall
        Of the copy, which is this trunk's own.
    layers : list of str or None
        What is read of it; see ``hidden_states``.
    size : int
        Numbers of all these layers' states together, for one cell.
    tokens : (int, int) or None
        Rows and columns of the model's tokens, where it tells them.
    channels : {"first", "last", "none"}
        Where the model takes the channels of images.
    whole_numbers : bool
        Whether it takes single bytes.
    labels : int tensor of shape (H, W) or None
        Player of each pixel. None: each image's own are its last channel.
    n_players, width, n_blocks : int
        See ``HiddenTrunk``.
    """

    labels: torch.Tensor

    def __init__(
        self,
        call: Any,
        layers: list[str] | None,
        size: int,
        tokens: tuple[int, int] | None,
        channels: str,
        whole_numbers: bool,
        labels: torch.Tensor | None,
        n_players: int,
        width: int,
        n_blocks: int,
    ) -> None:
        super().__init__()
        self.copy = Pretrained(call.module)
        self.call, self.layers, self.tokens = call, layers, tokens
        self.channels, self.whole_numbers = channels, whole_numbers
        self.own_labels, self.n_players = labels is None, n_players
        fixed = torch.zeros(0) if labels is None else labels[None]
        # they follow from the masker
        self.register_buffer("labels", fixed, persistent=False)
        self.head = HiddenTrunk(size, width, n_blocks)

    def forward(self, x: torch.Tensor, null: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Images (B, C, H, W) and flags (B, N) to features (B, N, d) and (B, d)."""
        return self.head(self.states(x), null)

    def states(self, x: torch.Tensor) -> torch.Tensor:
        """States of the images and of their players, (B, 1 + N, size + 1), as hidden ones are."""
        if self.training and len(x) == 1:
            # a batch norm learns nothing from one image, and may refuse it
            self.copy.eval()
        labels = self.labels
        if self.own_labels:
            labels, x = x[:, -1].long(), x[:, :-1]
        states = trained_states(self.call, self._as_taken(x), self.layers)
        return player_states(
            [image_cells(state.float(), labels, self.tokens, self.n_players) for state in states]
        )

    def _as_taken(self, x: torch.Tensor) -> torch.Tensor:
        """Images in the model's own order of axes and type."""
        if self.whole_numbers:
            x = x.to(torch.uint8)
        if self.channels == "last":
            return x.movedim(1, 3).contiguous()
        return x[:, 0] if self.channels == "none" else x
