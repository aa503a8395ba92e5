"""Networks that read images: a U-Net and a small vision transformer, pooled to players."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from fastexplain.networks._players import TransformerBlock, player_shares

__all__ = ["ImageTrunk"]

# coarser levels of the U-Net below that of the players
_LEVELS = 2


class ImageTrunk(nn.Module):
    """Features of every player of an image, and of the image.

    A stem of strided convolutions comes down to cells about as large as the players; a U-Net or
    a transformer works on the cells; each player has the mean of its cells, in proportion to
    the pixels that it has there.

    Parameters
    ----------
    kind : {"unet", "vit"}
    channels : int
        C.
    size : (int, int)
        H and W.
    stride : int
        Side of a cell, a power of two.
    width, n_blocks : int
        Features, and blocks at each level of the U-Net or of the transformer.
    center, spread : tensor of shape (C,)
        Of the training images.
    labels : int tensor of shape (H, W) or None
        Player of each pixel. None: each image's own are its last channel.
    n_players : int
    """

    center: torch.Tensor
    spread: torch.Tensor
    shares: torch.Tensor

    def __init__(
        self,
        kind: str,
        channels: int,
        size: tuple[int, int],
        stride: int,
        width: int,
        n_blocks: int,
        center: torch.Tensor,
        spread: torch.Tensor,
        labels: torch.Tensor | None,
        n_players: int,
    ) -> None:
        super().__init__()
        self.stride, self.n_players = stride, n_players
        self.cells = tuple(-(-side // stride) for side in size)
        self.own_labels = labels is None
        self.register_buffer("center", center.reshape(-1, 1, 1).float().clone())
        self.register_buffer("spread", spread.reshape(-1, 1, 1).float().clone())
        shares = torch.zeros(0) if labels is None else self._shares(labels[None])[0]
        # they follow from the masker
        self.register_buffer("shares", shares, persistent=False)
        self.stem = _stem(channels, width, stride)
        if kind == "unet":
            levels = [_level(width, side) for side in range(_LEVELS + 1) if _fits(self.cells, side)]
            self.body: nn.Module = _UNet(width, levels, n_blocks)
        else:
            self.body = _Tokens(width, self.cells[0] * self.cells[1], n_blocks)
        self.flag = nn.Embedding(2, width)

    def _shares(self, labels: torch.Tensor) -> torch.Tensor:
        """Shares (B, N, P) of cells of players from pixels' labels (B, H, W)."""
        step, (rows, columns) = self.stride, self.cells
        padding = (0, columns * step - labels.shape[2], 0, rows * step - labels.shape[1])
        padded = F.pad(labels, padding, value=-1)
        parts = padded.unflatten(1, (rows, step)).unflatten(3, (columns, step))
        return player_shares(parts.transpose(2, 3).flatten(1, 2).flatten(2), self.n_players)

    def forward(self, x: torch.Tensor, null: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Images (B, C, H, W) and flags (B, N) to features (B, N, d) and (B, d)."""
        shares = self.shares
        if self.own_labels:
            shares = self._shares(x[:, -1].long())
            x = x[:, :-1]
        x = (x.float() - self.center) / self.spread
        step, (rows, columns) = self.stride, self.cells
        x = F.pad(x, (0, columns * step - x.shape[3], 0, rows * step - x.shape[2]))
        cells = self.body(self.stem(x)).flatten(2).transpose(1, 2)
        players = torch.matmul(shares.to(cells.dtype), cells)
        return players + self.flag(null.long()), cells.mean(dim=1)


def _stem(channels: int, width: int, stride: int) -> nn.Sequential:
    """Strided convolutions from pixels to cells."""
    n = max(0, stride.bit_length() - 1)
    # normed in four groups
    sizes = [max(16, (width >> (n - 1 - i)) // 4 * 4) for i in range(n - 1)] + [width]
    layers: list[nn.Module] = []
    inside = channels
    for i, outside in enumerate(sizes):
        layers.append(nn.Conv2d(inside, outside, 3, 2 if n else 1, 1))
        if i < len(sizes) - 1:
            layers += [nn.GroupNorm(4, outside), nn.GELU()]
        inside = outside
    return nn.Sequential(*layers)


def _fits(cells: tuple[int, ...], level: int) -> bool:
    return level == 0 or min(cells) >= 2**level * 2


def _level(width: int, level: int) -> int:
    return width if level == 0 else max(8, int(width * 1.5) // 8 * 8)


class _Residual(nn.Module):
    """A wide separable convolution, then an MLP of each cell, added to what was."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.spread = nn.Conv2d(width, width, 5, 1, 2, groups=width)
        self.norm = nn.GroupNorm(1, width)
        self.inner = nn.Conv2d(width, 2 * width, 1)
        self.outer = nn.Conv2d(2 * width, width, 1)

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        return h + self.outer(F.gelu(self.inner(self.norm(self.spread(h)))))


class _UNet(nn.Module):
    """Down to coarser cells and up again, with what was on each level added."""

    def __init__(self, width: int, levels: list[int], n_blocks: int) -> None:
        super().__init__()
        self.down = nn.ModuleList()
        self.up = nn.ModuleList()
        self.blocks = nn.ModuleList([_blocks(size, n_blocks) for size in levels])
        self.back = nn.ModuleList([_blocks(size, n_blocks) for size in levels[:-1]])
        for fine, coarse in zip(levels[:-1], levels[1:], strict=True):
            self.down.append(nn.Conv2d(fine, coarse, 3, 2, 1))
            self.up.append(nn.Conv2d(coarse, fine, 1))

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        kept = []
        for i, blocks in enumerate(self.blocks):
            h = blocks(h)
            if i < len(self.down):
                kept.append(h)
                h = self.down[i](h)
        for i in reversed(range(len(self.up))):
            h = F.interpolate(self.up[i](h), size=kept[i].shape[2:], mode="nearest") + kept[i]
            h = self.back[i](h)
        return h


def _blocks(width: int, n: int) -> nn.Sequential:
    return nn.Sequential(*[_Residual(width) for _ in range(n)])


class _Tokens(nn.Module):
    """A transformer on the cells."""

    def __init__(self, width: int, n_cells: int, n_blocks: int) -> None:
        super().__init__()
        self.place = nn.Parameter(torch.zeros(n_cells, width))
        self.blocks = nn.ModuleList([TransformerBlock(width) for _ in range(n_blocks)])

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        tokens = h.flatten(2).transpose(1, 2) + self.place
        for block in self.blocks:
            tokens = block(tokens)
        return tokens.transpose(1, 2).unflatten(2, tuple(h.shape[2:]))
