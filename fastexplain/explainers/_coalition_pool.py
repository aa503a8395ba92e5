"""What random coalitions gain: the pool that Shapley values, and first ideas of sets, come from."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from fastexplain._blocks import row_blocks
from fastexplain.attribution import kernel_blocks, kernel_weights
from fastexplain.attribution._groups import active_groups, active_positions
from fastexplain.attribution._scores import prediction_scores
from fastexplain.objectives import active_counts, log_odds_of, take_size_curves
from fastexplain.training import TargetPool, pack_bits

__all__ = [
    "batches_of",
    "coalition_pool",
    "coalitions_of",
    "ends_of",
    "in_units",
    "packed_coalitions_of",
    "totals_of",
    "usual_share",
]

# bytes that coalitions and their answers take at once while the model is asked
_ASKED_BYTES = 2**26


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
        Those of ``packed_coalitions_of``, but for "sizes"; ``batches_of`` unpacks them.
    """

    def make(part: Any, chunk: int) -> dict[str, torch.Tensor]:
        rng = np.random.default_rng([*seed, chunk])
        return packed_coalitions_of(explainer, part, n_masks, rng, True, scored)

    pool = explainer._collect(samples, make, started, checkpoint, time_share)
    del samples
    sizes = pool.pop("sizes")
    # in place: the pool is most of what memory there is
    take_size_curves(pool["gains"], sizes, pool["null"], pool["total"], pool["weights"])
    return pool


def batches_of(pool: dict[str, torch.Tensor], batch_size: int, seed: int) -> TargetPool:
    """Batches of packed coalitions, as numbers."""
    return TargetPool(pool, batch_size, seed, {"masks": pool["null"].shape[1]})


def usual_share(pool: dict[str, torch.Tensor]) -> torch.Tensor:
    """Usual size of a player's even share of the total, for each output: (K,)."""
    count = active_counts(pool["null"])[:, None].clamp(min=1)
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
        What the network reads, bool "masks" (n, T, N), "gains" (n, T, K), "total" (n, K).
    """
    found = packed_coalitions_of(explainer, part, n_masks, rng, even_sizes, scored)
    masks = _unpacked(found["masks"].numpy(), found["null"].shape[1])
    del found["sizes"]
    return found | {"masks": torch.from_numpy(masks)}


def packed_coalitions_of(
    explainer: Any,
    part: Any,
    n_masks: int,
    rng: np.random.Generator,
    even_sizes: bool = False,
    scored: bool = False,
) -> dict[str, torch.Tensor]:
    """The same with coalitions as bits, and their "sizes" (n, T).

    Coalitions are drawn, and the model is asked about them, some rows at a time: nothing of one
    number for each row, coalition and player is ever held.

    Parameters
    ----------
    explainer, part, n_masks, rng, even_sizes, scored
        As of ``coalitions_of``.

    Returns
    -------
    dict of tensors
        Those of ``coalitions_of``, "masks" as uint8 of shape (n, T, ceil(N / 8)), and "sizes".
    """
    inputs = explainer._encode(part)
    outputs = inputs.pop("outputs", None)
    null = inputs["null"].numpy()
    n, n_players = null.shape
    bits = np.zeros((n, n_masks, -(-n_players // 8)), dtype=np.uint8)
    sizes = np.zeros((n, n_masks), dtype=np.int32)
    for a, rows in active_groups(null, dict.fromkeys(range(n_players + 1), n)):
        for some, drawn in kernel_blocks(len(rows), a, n_masks, rng, even_sizes):
            at = rows[some]
            place = np.broadcast_to(active_positions(null[at], a)[:, None], (len(at), 1, a))
            masks = np.zeros((len(at), n_masks, n_players), dtype=bool)
            np.put_along_axis(masks, place.repeat(n_masks, axis=1), drawn, axis=2)
            bits[at], sizes[at] = pack_bits(masks), masks.sum(axis=2)
    if outputs is None:
        outputs = explainer._masked.outputs(part)
    known = outputs.cpu()
    if scored:
        bases, full = ends_of(explainer, part, known)
    else:
        full, bases = known.double(), torch.tensor(explainer._own_bases(part))
    gains = torch.empty((n, n_masks, known.shape[1]))
    n_bytes = n_masks * (n_players + 8 * known.shape[1])
    for block in row_blocks(n, n_bytes, _ASKED_BYTES):
        rows = np.arange(block.start, block.stop)
        some = part if len(rows) == n else part.take(rows)
        masks = _unpacked(bits[rows], n_players)
        if scored:
            answers = explainer._asker(known)(some, rows, masks).cpu()
            gained = in_units(answers.double(), explainer._spread)
        else:
            gained = explainer._masked.values(some, masks, rows).cpu().double()
        gains[block] = (gained - bases[rows][:, None]).float()
    given = {
        "masks": torch.from_numpy(bits),
        "sizes": torch.from_numpy(sizes),
        "gains": gains,
        "total": (full - bases).float(),
    }
    if even_sizes:
        weights = kernel_weights(sizes, (~null).sum(axis=1))
        given["weights"] = torch.from_numpy(weights).float()
    return inputs | given


def _unpacked(bits: np.ndarray, n_players: int) -> np.ndarray:
    """Bool masks (..., N)."""
    return np.unpackbits(bits, axis=-1, count=n_players, bitorder="little").view(bool)


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


def totals_of(explainer: Any, samples: Any, outputs: torch.Tensor) -> torch.Tensor:
    """What all players gain over none, (n, K), in the units of ``in_units``."""
    totals = torch.empty(outputs.shape)
    for rows in row_blocks(len(outputs), outputs.shape[1]):
        some = samples if rows.stop - rows.start == len(outputs) else samples.take(rows)
        none, full = ends_of(explainer, some, outputs[rows])
        totals[rows] = (full - none).float()
    return totals
