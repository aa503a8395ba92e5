"""The network for tables: embeddings of categories and numbers, then a residual MLP."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from fastexplain.networks._encoder import TabularEncoder

__all__ = ["NumericEmbedding", "ResidualBlock", "TabularNetwork"]


class NumericEmbedding(nn.Module):
    """Quantile embeddings of numbers: where between two quantiles, and beyond which.

    Each number becomes, for every interval between neighbouring quantiles, the fraction of
    it that lies below the number (piecewise linear), whether it lies above each quantile
    (so that the steps of trees are one weight away), its scaled value, and a missing flag.

    Parameters
    ----------
    edges : list of ndarray
        Distinct, sorted quantiles of each column, scaled like the inputs.
    """

    left: torch.Tensor
    inverse_width: torch.Tensor
    step: torch.Tensor
    column: torch.Tensor
    owner: torch.Tensor

    def __init__(self, edges: list[np.ndarray]) -> None:
        super().__init__()
        left = np.concatenate([e[:-1] for e in edges]) if edges else np.zeros(0)
        width = np.concatenate([np.diff(e) for e in edges]) if edges else np.zeros(0)
        column = np.repeat(np.arange(len(edges)), [len(e) - 1 for e in edges])
        self.register_buffer("left", torch.from_numpy(left).float())
        self.register_buffer("inverse_width", torch.from_numpy(1.0 / width).float())
        # a step half-way to the next quantile, where no cell of the data lies
        step = torch.from_numpy(left + 0.5 * width).float()
        self.register_buffer("step", step)
        self.register_buffer("column", torch.from_numpy(column))
        self.out_features = 2 * len(column) + 2 * len(edges)
        # the column of each feature; follows from the edges and is not saved
        each = np.arange(len(edges))
        owner = torch.from_numpy(np.concatenate([column, column, each, each]))
        self.register_buffer("owner", owner, persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Embed numbers of shape (B, C) as (B, out_features)."""
        missing = torch.isnan(x)
        x = torch.where(missing, torch.zeros((), dtype=x.dtype, device=x.device), x)
        wide = x[:, self.column]
        linear = ((wide - self.left) * self.inverse_width).clamp_(0.0, 1.0)
        # a missing number stands at the mean, like any other; the flag tells them apart
        above = (wide > self.step).to(x.dtype)
        tail = torch.sign(x) * torch.log1p(x.abs())
        return torch.cat([linear, above, tail, missing.to(x.dtype)], dim=1)


class ResidualBlock(nn.Module):
    """``h + W2 gelu(W1 norm(h))``."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.inner = nn.Linear(width, width)
        self.outer = nn.Linear(width, width)

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        """Keep the shape (B, width)."""
        return h + self.outer(F.gelu(self.inner(self.norm(h))))


class TabularNetwork(nn.Module):
    """Residual MLP on encoded rows and null-player flags.

    Parameters
    ----------
    encoder : TabularEncoder
        Gives the columns' kinds, quantiles and categories.
    n_players : int
        Number of null-player flags, N.
    out_features : int
        Size of the output.
    width, n_blocks : int
        Size of the hidden layers and number of residual blocks.
    n_head_layers : int, default=1
        Layers from the last block to the output.
    """

    numeric: torch.Tensor
    categorical: torch.Tensor
    offsets: torch.Tensor

    def __init__(
        self,
        encoder: TabularEncoder,
        n_players: int,
        out_features: int,
        width: int,
        n_blocks: int,
        n_head_layers: int = 1,
    ) -> None:
        super().__init__()
        columns = encoder.columns
        numeric = [j for j, c in enumerate(columns) if c.numeric]
        categorical = [j for j, c in enumerate(columns) if not c.numeric]
        self.register_buffer("numeric", torch.tensor(numeric, dtype=torch.long))
        self.register_buffer("categorical", torch.tensor(categorical, dtype=torch.long))
        sizes = [columns[j].n_codes for j in categorical]
        offsets = np.concatenate([[0], np.cumsum(sizes)[:-1]]) if sizes else np.zeros(0)
        self.register_buffer("offsets", torch.from_numpy(offsets.astype(np.int64)))
        self.embed_numbers = NumericEmbedding([columns[j].edges for j in numeric])
        self.embed_categories = nn.Embedding(max(sum(sizes), 1), width)
        self.first = nn.Linear(self.embed_numbers.out_features + n_players, width)
        self.blocks = nn.ModuleList([ResidualBlock(width) for _ in range(n_blocks)])
        self.norm = nn.LayerNorm(width)
        # saved networks of one layer know it by this name
        self.last: nn.Module = nn.Linear(width, out_features)
        if n_head_layers > 1:
            hidden = [
                m for _ in range(n_head_layers - 1) for m in (nn.Linear(width, width), nn.GELU())
            ]
            self.last = nn.Sequential(*hidden, self.last)
        self.reset()

    def reset(self, generator: torch.Generator | None = None) -> None:
        """Draw all weights anew from a generator."""
        head = [layer for layer in self.last.modules() if isinstance(layer, nn.Linear)]
        layers = [self.first, head[-1], *head[:-1]]
        for block in self.blocks:
            assert isinstance(block, ResidualBlock)
            layers += [block.inner, block.outer]
        with torch.no_grad():
            self.embed_categories.weight.normal_(0.0, 0.3, generator=generator)
            for layer in layers:
                bound = 1.0 / max(layer.in_features, 1) ** 0.5
                # outputs begin near zero: every feature starts as one without effect
                bound *= 0.1 if layer is head[-1] else 1.0
                layer.weight.uniform_(-bound, bound, generator=generator)
                layer.bias.zero_()

    def forward(
        self,
        x: torch.Tensor,
        null: torch.Tensor,
        keep: torch.Tensor | None = None,
        absent: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Map encoded rows (B, C) and flags (B, N) to (B, out_features); see ``latent``."""
        return self.last(self.latent(x, null, keep, absent))

    def latent(
        self,
        x: torch.Tensor,
        null: torch.Tensor,
        keep: torch.Tensor | None = None,
        absent: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """What the last layer starts from, shape (B, width).

        With ``keep`` (B, C), in [0, 1], cells count in that proportion, and those of
        ``absent``, encoded rows (B, C), in what is left of it; without ``absent`` nothing does,
        and the flags should tell.
        """
        h = self._cells(x, null, keep)
        if keep is not None and absent is not None:
            h = h + self._cells(absent, None, 1.0 - keep)
        for block in self.blocks:
            h = block(h)
        return self.norm(h)

    def _cells(
        self, x: torch.Tensor, flags: torch.Tensor | None, keep: torch.Tensor | None
    ) -> torch.Tensor:
        """The first layer; without flags its share of cells alone."""
        numbers = self.embed_numbers(x[:, self.numeric])
        if keep is not None:
            keep = keep.to(x.dtype)
            numbers = numbers * keep[:, self.numeric[self.embed_numbers.owner]]
        if flags is None:
            h = F.linear(numbers, self.first.weight[:, : numbers.shape[1]])
        else:
            h = self.first(torch.cat([numbers, flags.to(x.dtype)], dim=1))
        if self.categorical.numel():
            codes = x[:, self.categorical].long() + self.offsets
            cells = self.embed_categories(codes)
            if keep is not None:
                cells = cells * keep[:, self.categorical, None]
            h = h + cells.sum(dim=1)
        return h
