"""What coalitions gain by their size alone, taken out of what a network learns from."""

from __future__ import annotations

import torch

__all__ = ["size_curves"]

# waves over the share of players that are present; all are 0 at none and at all
_WAVES = 6
# coalitions for each number that is fitted, at least: with fewer, curves would take up signal
_FEWEST = 50
_RIDGE = 1e-4
# numbers that are held at once
_CHUNK = 2**22


def size_curves(
    gains: torch.Tensor,
    masks: torch.Tensor,
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
    masks : bool tensor of shape (n, T, N)
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
    n_rows, n_masks, n_outputs = gains.shape
    room = n_rows * n_masks / _FEWEST
    joint = room >= _WAVES * (1 + n_outputs)
    if room < 2 * _WAVES:
        return torch.zeros_like(gains)
    # an output may gain without a total, where what is missing brings it up and the rest down
    unit = total.double().square().mean(dim=0).sqrt()
    unit = torch.maximum(unit, gains.double().square().mean(dim=(0, 1)).sqrt())
    unit = torch.where(unit > 0, unit, 1.0)
    held = total.double() / unit
    present = (~null).sum(dim=1, keepdim=True).clamp(min=1)
    share = masks.sum(dim=2).double() / present
    # of each output by its own total, unless all tell of all
    size = n_masks * (_WAVES * (1 + n_outputs) if joint else 2 * _WAVES * n_outputs)
    step = max(1, _CHUNK // size)
    rows = [slice(start, start + step) for start in range(0, n_rows, step)]
    waves = torch.arange(1, _WAVES + 1, device=gains.device, dtype=torch.float64) * torch.pi

    def features(part: slice) -> torch.Tensor:
        """Of coalitions, (1, b, T, J (1 + K)), or (K, b, T, 2 J)."""
        curves = torch.sin(share[part][:, :, None] * waves)
        own = held[part][None] if joint else held[part].T[:, :, None]
        known = torch.cat([torch.ones_like(own[..., :1]), own], dim=-1)
        return torch.einsum("btj,kbz->kbtjz", curves, known).flatten(-2)

    left: torch.Tensor | float = 0.0
    right: torch.Tensor | float = 0.0
    for part in rows:
        found = features(part)
        weighted = found * weights[part].double()[:, :, None]
        left = left + torch.einsum("kbti,kbtj->kij", weighted, found)
        rest = gains[part].double() / unit - share[part][:, :, None] * held[part][:, None]
        wanted = "kbti,btc->kic" if joint else "kbti,btk->ki"
        product = torch.einsum(wanted, weighted, rest)
        right = right + (product if joint else product[..., None])
    assert isinstance(left, torch.Tensor) and isinstance(right, torch.Tensor)
    level = _RIDGE * left.diagonal(dim1=1, dim2=2).mean(dim=1)
    eye = torch.eye(left.shape[1], device=left.device, dtype=left.dtype)
    slopes = torch.linalg.solve(left + level.clamp(min=1e-12)[:, None, None] * eye, right)
    curves = torch.empty_like(gains)
    for part in rows:
        answer = "kbti,kic->btc" if joint else "kbti,kio->btk"
        curves[part] = (torch.einsum(answer, features(part), slopes) * unit).to(gains.dtype)
    return curves
