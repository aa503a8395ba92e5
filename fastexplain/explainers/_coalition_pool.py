"""What random coalitions gain: the pool that Shapley values, and first ideas of sets, come from."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from fastexplain.attribution import kernel_coalitions, kernel_weights
from fastexplain.attribution._groups import active_groups, active_positions
from fastexplain.attribution._scores import prediction_scores
from fastexplain.objectives import log_odds_of, size_curves

__all__ = ["coalition_pool", "coalitions_of", "ends_of", "in_units", "usual_share"]


def coalition_pool(
    explainer: Any,
    samples: Any,
    n_masks: int,
    seed: list[int],
    started: float,
    checkpoint: Any = None,
    scored: bool = False,
    time_share: float = 0.5,
) -> dict[str, torch.Tensor]:
    """Coalitions of all samples, their sizes even, with gains that are free of size curves.

    Parameters
    ----------
    explainer : LearnedExplainer
        In ``fit``.
    samples : Table, Images or Texts
    n_masks : int
        Even.
    seed : list of int
        Of the coalitions, with the number of the chunk behind.
    started : float
        ``time.monotonic()`` when fit began.
    checkpoint : Checkpoint, optional
    scored : bool, default=False
        As in ``coalitions_of``.
    time_share : float, default=0.5
        Of ``max_time``, at most.

    Returns
    -------
    dict of tensors
        Those of ``coalitions_of``.
    """

    def make(part: Any, chunk: int) -> dict[str, torch.Tensor]:
        rng = np.random.default_rng([*seed, chunk])
        return coalitions_of(explainer, part, n_masks, rng, True, scored)

    pool = explainer._collect(samples, make, started, checkpoint, time_share)
    names = ("gains", "masks", "null", "total", "weights")
    # in place: the pool is most of what memory there is
    pool["gains"] -= size_curves(*(pool[name] for name in names))
    return pool


def usual_share(pool: dict[str, torch.Tensor]) -> torch.Tensor:
    """Usual size of a player's even share of the total, for each output: (K,)."""
    count = (~pool["null"]).sum(dim=1, keepdim=True).clamp(min=1)
    return (pool["total"] / count).square().mean(dim=0).sqrt()


def coalitions_of(
    explainer: Any,
    part: Any,
    n_masks: int,
    rng: np.random.Generator,
    even_sizes: bool = False,
    scored: bool = False,
) -> dict[str, torch.Tensor]:
    """Coalitions of each sample, what they gain over the empty one, and what they count for.

    Parameters
    ----------
    explainer : LearnedExplainer
        In ``fit``.
    part : Table, Images or Texts
        n samples.
    n_masks : int
        Coalitions a sample, T.
    rng : numpy.random.Generator
    even_sizes : bool, default=False
        Sizes equally often, and "weights" beside; as the Shapley kernel has them otherwise.
    scored : bool, default=False
        What is gained is f in [0, 1], in the units of ``in_units``.

    Returns
    -------
    dict of tensors
        What the network reads, "masks" (n, T, N), "gains" (n, T, K), "total" (n, K).
    """
    inputs = explainer._encode(part)
    outputs = inputs.pop("outputs", None)
    null = inputs["null"].numpy()
    n, n_players = null.shape
    masks = np.zeros((n, n_masks, n_players), dtype=bool)
    for a, rows in active_groups(null, dict.fromkeys(range(n_players + 1), n)):
        place = np.broadcast_to(active_positions(null[rows], a)[:, None], (len(rows), 1, a))
        drawn = kernel_coalitions(len(rows), a, n_masks, rng, even_sizes)
        some = np.zeros((len(rows), n_masks, n_players), dtype=bool)
        np.put_along_axis(some, place.repeat(n_masks, axis=1), drawn, axis=2)
        masks[rows] = some
    if outputs is None:
        outputs = explainer._masked.outputs(part)
    if scored:
        known = outputs.cpu().float()
        answers = explainer._asker(known)(part, np.arange(n), masks).cpu()
        gained = in_units(answers.double(), explainer._spread)
        bases, full = ends_of(explainer, part, known)
    else:
        gained = explainer._masked.values(part, masks).cpu().double()
        full, bases = outputs.cpu().double(), torch.tensor(explainer._own_bases(part))
    given = {
        "masks": torch.from_numpy(masks),
        "gains": (gained - bases[:, None]).float(),
        "total": (full - bases).float(),
    }
    if even_sizes:
        weights = kernel_weights(masks.sum(axis=2), (~null).sum(axis=1))
        given["weights"] = torch.from_numpy(weights).float()
    return inputs | given


def in_units(score: torch.Tensor, spread: torch.Tensor | None) -> torch.Tensor:
    """Log-odds of chances, which neither end squeezes; closeness of real-valued outputs as it is.

    Parameters
    ----------
    score : tensor
        f in [0, 1].
    spread : tensor or None
        The explainer's; None of chances.
    """
    return log_odds_of(score) if spread is None else score


def ends_of(
    explainer: Any, samples: Any, outputs: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Without players and with all of them, (n, K) each, in the units of ``in_units``."""
    none, full = torch.tensor(explainer._own_bases(samples)), outputs.double()
    spread = explainer._spread
    if spread is not None:
        none = prediction_scores(none[:, None], full, spread.double())[:, 0]
        full = torch.ones_like(full)
    return in_units(none, spread), in_units(full, spread)
