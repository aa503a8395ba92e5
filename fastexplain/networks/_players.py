"""From features of every player to the network's output: heads, pooling, fresh weights."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Self

import torch
from torch import nn
from torch.nn import functional as F

__all__ = [
    "PlayerNetwork",
    "Pretrained",
    "TransformerBlock",
    "own_parts",
    "player_shares",
    "shaped",
    "shares_of",
]


# what class activation maps begin with beside likenesses, which begin as noise of about 0.1
_SHARE = 2.0


class PlayerNetwork(nn.Module):
    """A trunk that gives features of every player and of the sample, and linear heads on them.

    Parameters
    ----------
    trunk : nn.Module
        Maps "x" and null flags (B, N) to features (B, N, d) and (B, d).
    width : int
        d.
    per_player, whole : int
        Numbers of each player, and of the sample as a whole.
    n_head_layers : int, default=1
        Layers of the heads.
    classes : tensor of shape (per_player, w), optional
        Weights of the model's last layer, for heads that compare each player with each class
        (concept paper, Eq. 20).
    activations : bool, default=False
        Whether the last w numbers of a player in "x", its flag aside, are what that layer reads:
        the heads then begin with what it would say of them.
    """

    def __init__(
        self,
        trunk: nn.Module,
        width: int,
        per_player: int,
        whole: int,
        n_head_layers: int = 1,
        classes: torch.Tensor | None = None,
        activations: bool = False,
    ) -> None:
        super().__init__()
        self.trunk = trunk
        self.per_player, self.whole = per_player, whole
        self.last = nn.ModuleDict()
        if per_player and classes is not None:
            self.last["players"] = CosineHead(width, classes, activations)
        elif per_player:
            self.last["players"] = _layers(width, per_player, n_head_layers)
        if whole:
            self.last["whole"] = _layers(width, whole, n_head_layers)
        self.reset()

    def reset(self, generator: torch.Generator | None = None) -> None:
        """Draw all weights that are trained anew."""
        draw_weights(self, generator)
        for head in self.last.values():
            # outputs begin near zero: every feature starts as one without effect
            final = [m for m in head.modules() if isinstance(m, nn.Linear)][-1]
            if not isinstance(head, CosineHead):
                final.weight.data.mul_(0.1)

    def latent(self, x: torch.Tensor, null: torch.Tensor) -> torch.Tensor:
        """Features of the samples, (B, d)."""
        return self.trunk(x, null)[1]

    def forward(self, x: torch.Tensor, null: torch.Tensor) -> torch.Tensor:
        """(B, per_player, N), (B, whole), or both side by side as (B, per_player, N + 1)."""
        players, sample = self.trunk(x, null)
        if not self.per_player:
            return self.last["whole"](sample)
        head = self.last["players"]
        out = head(players, x) if isinstance(head, CosineHead) else head(players)
        out = out.transpose(1, 2)
        if not self.whole:
            return out
        return torch.cat([out, self.last["whole"](sample)[:, :, None]], dim=2)


class Pretrained(nn.Module):
    """Holds a module whose weights are where training begins: they are not drawn anew.

    In training its batch norms see batches, and nothing else of it differs from evaluation:
    dropout would draw from torch's global generator.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module
        self.eval()

    def train(self, mode: bool = True) -> Self:
        """Set the mode of batch norms that are to be trained."""
        super().train(False)
        self.training = mode
        # not so where all of it is frozen
        mode = mode and any(weight.requires_grad for weight in self.module.parameters())
        for part in self.module.modules():
            if isinstance(part, nn.modules.batchnorm._BatchNorm):
                part.training = mode
        return self


def own_parts(module: nn.Module) -> Iterator[nn.Module]:
    """Parts of a network, itself included, but those within ``Pretrained`` ones."""
    yield module
    if not isinstance(module, Pretrained):
        for part in module.children():
            yield from own_parts(part)


class CosineHead(nn.Module):
    r"""Numbers of each player and class by likeness (concept paper, Eq. 20).

    :math:`\cos(f_1(h_i), f_2(W_k))` of a player's features and a class's weights in the model's
    last layer, times a learned scale, plus a learned level. With ``activations``, plus a learned
    share of :math:`\langle h_i, W_k \rangle` itself, of states about their mean and in units of
    their usual length: a class activation map, which few samples of each class suffice to mend
    but not to find.
    """

    weights: torch.Tensor

    def __init__(self, width: int, classes: torch.Tensor, activations: bool = False) -> None:
        super().__init__()
        self.activations = activations
        self.register_buffer("weights", classes.detach().clone().float())
        self.of_player = nn.Linear(width, width)
        self.of_class = nn.Linear(classes.shape[1], width)
        self.scale = nn.Parameter(torch.ones(1))
        self.level = nn.Parameter(torch.zeros(1))
        if activations:
            self.share = nn.Parameter(torch.full((1,), _SHARE))

    def forward(self, features: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """Map features (B, N, d) and what they come from, (B, 1 + N, size + 1), to (B, N, K)."""
        players = F.normalize(self.of_player(features), dim=2)
        classes = F.normalize(self.of_class(self.weights), dim=1)
        out = self.scale * (players @ classes.T) + self.level
        return out + self.share * self._activation(x[:, 1:]) if self.activations else out

    def _activation(self, x: torch.Tensor) -> torch.Tensor:
        states, there = x[:, :, -1 - self.weights.shape[1] : -1].float(), x[:, :, -1:].float()
        count = there.sum(dim=1, keepdim=True).clamp(min=1.0)
        states = (states - (states * there).sum(dim=1, keepdim=True) / count) * there
        usual = (states.square().sum(dim=(1, 2), keepdim=True) / count).sqrt()
        # what is added to all classes changes no probability
        classes = F.normalize(self.weights - self.weights.mean(dim=0), dim=1)
        return (states / usual.clamp(min=1e-12)) @ classes.T


class TransformerBlock(nn.Module):
    """Attention among tokens, then an MLP, each on what is normed and added to what was."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.n_heads = max(1, width // 32)
        if width % self.n_heads:
            self.n_heads = 1
        self.norms = nn.ModuleList([nn.LayerNorm(width), nn.LayerNorm(width)])
        self.mix = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )

    def forward(self, h: torch.Tensor, present: torch.Tensor | None = None) -> torch.Tensor:
        """Keep the shape (B, L, d); tokens that are not ``present`` (B, L) are not seen."""
        batch, length, width = h.shape
        parts = self.mix(self.norms[0](h)).reshape(batch, length, 3, self.n_heads, -1)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        seen = None if present is None else present[:, None, None]
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=seen)
        h = h + self.out(mixed.transpose(1, 2).reshape(batch, length, width))
        return h + self.mlp(self.norms[1](h))


def player_shares(labels: torch.Tensor, n_players: int) -> torch.Tensor:
    """What share of each player's parts every cell holds.

    Parameters
    ----------
    labels : int tensor of shape (B, P, S)
        Players of the S parts (pixels, tokens) of each of P cells, -1 for none.
    n_players : int

    Returns
    -------
    tensor of shape (B, N, P)
        Rows sum to 1, or to 0 for players that have no part.
    """
    _, n_cells, n_parts = labels.shape
    cell = torch.arange(n_cells, device=labels.device).repeat_interleave(n_parts)
    return shares_of(labels.flatten(1), cell, n_players, n_cells)


def shares_of(
    labels: torch.Tensor, cell: torch.Tensor, n_players: int, n_cells: int
) -> torch.Tensor:
    """The same of parts whose cells are told: labels (B, S) and cells (S,) to (B, N, P)."""
    index = torch.where(labels >= 0, labels * n_cells + cell, n_players * n_cells)
    counts = torch.zeros((len(labels), n_players * n_cells + 1), device=labels.device)
    counts.scatter_add_(1, index, torch.ones((), device=labels.device).expand(index.shape))
    counts = counts[:, :-1].unflatten(1, (n_players, n_cells))
    return counts / counts.sum(dim=2, keepdim=True).clamp(min=1.0)


def shaped(out: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
    """A body's output as (B, *shape); bodies of players give it so, with N of their own."""
    return out if out.ndim > 2 else out.unflatten(1, shape)


def _layers(width: int, outside: int, n_layers: int) -> nn.Sequential:
    hidden: list[nn.Module] = []
    for _ in range(n_layers - 1):
        hidden += [nn.Linear(width, width), nn.GELU()]
    return nn.Sequential(nn.LayerNorm(width), *hidden, nn.Linear(width, outside))


def draw_weights(module: nn.Module, generator: torch.Generator | None) -> None:
    """Draw the weights of linear, convolutional, embedding and norm layers anew."""
    with torch.no_grad():
        for part in own_parts(module):
            if isinstance(part, nn.Linear | nn.Conv2d):
                fan = part.weight[0].numel()
                bound = math.sqrt(3.0 / max(fan, 1))
                part.weight.uniform_(-bound, bound, generator=generator)
                if part.bias is not None:
                    part.bias.zero_()
            elif isinstance(part, nn.Embedding):
                part.weight.normal_(0.0, 0.02, generator=generator)
            elif isinstance(part, nn.LayerNorm | nn.GroupNorm):
                part.weight.fill_(1.0)
                part.bias.zero_()
            elif isinstance(part, CosineHead):
                part.scale.fill_(1.0)
                part.level.zero_()
                if part.activations:
                    part.share.fill_(_SHARE)
        for part in own_parts(module):
            place = getattr(part, "place", None)
            if isinstance(place, nn.Parameter):
                place.normal_(0.0, 0.02, generator=generator)
