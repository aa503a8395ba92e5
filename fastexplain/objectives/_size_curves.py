"""What coalitions gain by their size alone, taken out of what a network learns from."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from fastexplain._blocks import row_blocks

__all__ = ["active_counts", "size_curves", "take_size_curves"]

# waves over the share of players that are present; all are 0 at none and at all
_WAVES = 6
# coalitions for each number that is fitted, at least: with fewer, curves would take up signal
_FEWEST = 50
_RIDGE = 1e-4
# numbers that are held at once
_CHUNK = 2**22


def size_curves(
    gains: torch.Tensor,
    sizes: torch.Tensor,
    null: torch.Tensor,
    total: torch.Tensor,
    weights: torch.Tensor,
) -> torch.Tensor:
    r"""What coalitions of a size gain beside an even share of the total, whoever is in them.

    :math:`b_k(S) = \sum_j \sin(\pi j |S| / a)\, w_{jk} \cdot (1, \Delta)`, linear in the row's
    totals :math:`\Delta`, fitted to all rows by ridge regression; by the output's own total where
    coalitions are too few for more, and 0 where they are too few for that. A model that needs
    half of a sample to tell what it sees gains little from few players and much from the next:
    all coalitions of a size are off an additive game together. Nothing that depends on a size
    alone moves the optimum of the weighted least squares, since coalitions of a size hold every
    player equally often; taken out of the gains it leaves less noise to learn through.

    Parameters
    ----------
    gains : tensor of shape (n, T, K)
        v(S) - v(none).
    sizes : int tensor of shape (n, T)
        Players in each coalition.
    null : bool tensor of shape (n, N)
    total : tensor of shape (n, K)
        v(all) - v(none).
    weights : tensor of shape (n, T)
        What each coalition counts for.

    Returns
    -------
    tensor of shape (n, T, K)
        To be subtracted from the gains; 0 for the empty and the full coalition.
    """
    curves = torch.zeros_like(gains)
    for part, found in _curves(gains, sizes, null, total, weights):
        curves[part] = found
    return curves


def take_size_curves(
    gains: torch.Tensor,
    sizes: torch.Tensor,
    null: torch.Tensor,
    total: torch.Tensor,
    weights: torch.Tensor,
) -> None:
    """Subtract ``size_curves`` from the gains in place, with no second copy of them.

    Parameters
    ----------
    gains, sizes, null, total, weights
        As of ``size_curves``.
    """
    for part, found in _curves(gains, sizes, null, total, weights):
        gains[part] -= found


def _curves(
    gains: torch.Tensor,
    sizes: torch.Tensor,
    null: torch.Tensor,
    total: torch.Tensor,
    weights: torch.Tensor,
) -> Iterator[tuple[slice, torch.Tensor]]:
    """Curves of some rows at a time; none where coalitions are too few."""
    n_rows, n_masks, n_outputs = gains.shape
    room = n_rows * n_masks / _FEWEST
    joint = room >= _WAVES * (1 + n_outputs)
    if room < 2 * _WAVES:
        return
    unit = _usual_sizes(gains, total)
    present = active_counts(null)[:, None].clamp(min=1)
    # of each output by its own total, unless all tell of all
    size = n_masks * (_WAVES * (1 + n_outputs) if joint else 2 * _WAVES * n_outputs)
    rows = row_blocks(n_rows, size, _CHUNK)
    waves = torch.arange(1, _WAVES + 1, device=gains.device, dtype=torch.float64) * torch.pi

    def shares(part: slice) -> tuple[torch.Tensor, torch.Tensor]:
        """Of the players that are present (b, T), and totals in units (b, K)."""
        return sizes[part].double() / present[part], total[part].double() / unit

    def features(share: torch.Tensor, held: torch.Tensor) -> torch.Tensor:
        """Of coalitions, (1, b, T, J (1 + K)), or (K, b, T, 2 J)."""
        curves = torch.sin(share[:, :, None] * waves)
        own = held[None] if joint else held.T[:, :, None]
        known = torch.cat([torch.ones_like(own[..., :1]), own], dim=-1)
        return torch.einsum("btj,kbz->kbtjz", curves, known).flatten(-2)

    left: torch.Tensor | float = 0.0
    right: torch.Tensor | float = 0.0
    for part in rows:
        share, held = shares(part)
        found = features(share, held)
        weighted = found * weights[part].double()[:, :, None]
        left = left + torch.einsum("kbti,kbtj->kij", weighted, found)
        rest = gains[part].double() / unit - share[:, :, None] * held[:, None]
        wanted = "kbti,btc->kic" if joint else "kbti,btk->ki"
        product = torch.einsum(wanted, weighted, rest)
        right = right + (product if joint else product[..., None])
    assert isinstance(left, torch.Tensor) and isinstance(right, torch.Tensor)
    level = _RIDGE * left.diagonal(dim1=1, dim2=2).mean(dim=1)
    eye = torch.eye(left.shape[1], device=left.device, dtype=left.dtype)
    slopes = torch.linalg.solve(left + level.clamp(min=1e-12)[:, None, None] * eye, right)
    answer = "kbti,kic->btc" if joint else "kbti,kio->btk"
    for part in rows:
        found = torch.einsum(answer, features(*shares(part)), slopes)
        yield part, (found * unit).to(gains.dtype)


def active_counts(null: torch.Tensor) -> torch.Tensor:
    """Players of each row that are not null, (n, N) to (n,).

    Some rows at a time: to sum booleans torch makes numbers of eight bytes of all of them.
    """
    return torch.cat(
        [(~null[part]).sum(dim=1) for part in row_blocks(len(null), null.shape[1], _CHUNK)]
    )


def _usual_sizes(gains: torch.Tensor, total: torch.Tensor) -> torch.Tensor:
    """Root mean square of each output's totals, or of its gains where that is larger: (K,)."""
    n_rows, n_masks, n_outputs = gains.shape
    of_total: torch.Tensor | float = 0.0
    of_gains: torch.Tensor | float = 0.0
    for part in row_blocks(n_rows, n_masks * n_outputs, _CHUNK):
        of_total = of_total + total[part].double().square().sum(dim=0)
        of_gains = of_gains + gains[part].double().square().sum(dim=(0, 1))
    assert isinstance(of_total, torch.Tensor) and isinstance(of_gains, torch.Tensor)
    # an output may gain without a total, where what is missing brings it up and the rest down
    unit = torch.maximum((of_total / n_rows).sqrt(), (of_gains / (n_rows * n_masks)).sqrt())
    return torch.where(unit > 0, unit, 1.0)
