"""A layer's states of an image as a grid of cells, and what share of them each player has."""

from __future__ import annotations

import math

import torch

from fastexplain.networks._players import shares_of

__all__ = ["grid_cells", "grid_shares"]


def grid_shares(labels: torch.Tensor, grid: tuple[int, int], n_players: int) -> torch.Tensor:
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

    ``state`` is (B, d, h, w) or (B, L, d), ``size`` the height and width of the images, and
    ``tokens`` the grid that the model's tokens form, where it tells.

    Tokens beyond it, such as those of classes, come first and stand for the whole. Where the
    model does not tell, the grid is the largest one in the image's proportions; or a square, if
    that leaves one token at most and the image's proportions more: the model has then been given
    the image as a square.
    """
    if state.ndim == 4:
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
