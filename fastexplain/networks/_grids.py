"""States of players from those of a layer's cells: of the places of an image, or of tokens."""

from __future__ import annotations

import math

import torch

from fastexplain.networks._players import shares_of
from fastexplain.predictors._hidden import in_proportion

__all__ = ["Cells", "channels_first", "grid_cells", "image_cells", "player_states", "state_size"]

#: states of each sample (B, d), of its cells (B, P, d), and each player's shares of these,
#: (B or 1, N, P)
Cells = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def state_size(states: list[torch.Tensor], size: tuple[int, int] | None = None) -> int:
    """Numbers of layers' states, together, of images of this size or of texts."""
    if size is not None:
        states = [channels_first(state, size) for state in states]
    return sum(state.shape[2] if state.ndim == 3 else state.shape[1] for state in states)


def channels_first(state: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """States (B, d, h, w) of layers that have their channels last, (B, h, w, d), as Swin's do.

    Told by the grid's proportions, which are those of the image, or of the square that the model
    may have been given. What fits both ways, or neither, is left as it is.
    """
    if state.ndim != 4:
        return state

    def fits(rows: int, columns: int) -> bool:
        return min(rows, columns) > 1 and (rows == columns or in_proportion(rows, columns, size))

    a, b, c = state.shape[1:]
    # a map of one row or column tells nothing
    return state.movedim(3, 1) if fits(a, b) and min(b, c) > 1 and not fits(b, c) else state


def player_states(layers: list[Cells]) -> torch.Tensor:
    """Mean state of each player's cells, after that of the sample.

    Parameters
    ----------
    layers : list of Cells

    Returns
    -------
    float32 tensor of shape (B, 1 + N, size + 1)
        States of all layers side by side; the last number tells whether a player is there.
    """
    found = [
        torch.cat([whole[:, None], torch.matmul(shares.to(cells.dtype), cells)], dim=1).float()
        for whole, cells, shares in layers
    ]
    present = (layers[-1][2].sum(dim=2) > 0).to(found[0])
    flags = torch.nn.functional.pad(present, (1, 0), value=1.0).expand(len(found[0]), -1)
    return torch.cat([*found, flags[:, :, None]], dim=2)


def image_cells(
    state: torch.Tensor, labels: torch.Tensor, tokens: tuple[int, int] | None, n_players: int
) -> Cells:
    """A layer's states of images whose pixels have the players ``labels``, (B or 1, H, W)."""
    size = (labels.shape[1], labels.shape[2])
    cells, special, grid = grid_cells(state, size, tokens)
    return special.mean(dim=1), cells, _shares(labels.to(state.device), grid, n_players)


def _shares(labels: torch.Tensor, grid: tuple[int, int], n_players: int) -> torch.Tensor:
    """What share of each player's pixels every cell of a grid holds.

    Parameters
    ----------
    labels : int tensor of shape (B, H, W)
        Player of each pixel, -1 for none.
    grid : (int, int)
        Rows and columns, P cells.
    n_players : int

    Returns
    -------
    tensor of shape (B, N, P)
    """
    height, width = labels.shape[1:]
    row = torch.arange(height, device=labels.device) * grid[0] // height
    column = torch.arange(width, device=labels.device) * grid[1] // width
    cell = (row[:, None] * grid[1] + column).flatten()
    return shares_of(labels.flatten(1), cell, n_players, grid[0] * grid[1])


def grid_cells(
    state: torch.Tensor, size: tuple[int, int], tokens: tuple[int, int] | None = None
) -> tuple[torch.Tensor, torch.Tensor, tuple[int, int]]:
    """States of a grid of cells (B, P, d), those of the whole (B, S, d), and the grid.

    ``state`` is (B, d, h, w), (B, h, w, d) or (B, L, d), ``size`` the height and width of the
    images, and ``tokens`` the grid that the model's tokens form, where it tells.

    Tokens beyond it, such as those of classes, come first and stand for the whole. Where the
    model does not tell, the grid is the largest one in the image's proportions; or a square, if
    that leaves one token at most and the image's proportions more: the model has then been given
    the image as a square.
    """
    if state.ndim == 4:
        state = channels_first(state, size)
        cells = state.flatten(2).transpose(1, 2)
        return cells, cells.mean(dim=1, keepdim=True), (state.shape[2], state.shape[3])
    length = state.shape[1]
    if tokens is not None and math.prod(tokens) <= length:
        rows, columns = tokens
    else:
        grids = [_grid(length, size[0] / size[1]), _grid(length, 1.0)]
        likely = [grid for grid in grids if length - math.prod(grid) <= 1]
        rows, columns = likely[0] if likely else max(grids, key=math.prod)
    n_special = length - rows * columns
    cells = state[:, n_special:]
    special = state[:, :n_special] if n_special else cells
    return cells, special, (rows, columns)


def _grid(length: int, ratio: float) -> tuple[int, int]:
    """Rows and columns of the largest grid of so many cells at most, in these proportions."""
    rows = min(length, max(1, int(math.sqrt(length * ratio) + 1e-9)))
    return rows, min(length // rows, max(1, int(rows / ratio + 1e-9)))
