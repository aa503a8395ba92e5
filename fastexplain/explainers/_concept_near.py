"""Policies of concept sets, second stage: what players add to the ranking's own prefixes."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from fastexplain.explainers._coalition_pool import in_units, totals_of
from fastexplain.explainers._shapley_learned import GAP_WEIGHT
from fastexplain.networks import PolicyNumbers
from fastexplain.objectives import near_set_loss, near_sets, relative_gains
from fastexplain.training import Fitted, Trainer, Trajectories

__all__ = [
    "better_than_random",
    "deadline_of",
    "learn_from_near_sets",
    "near_batches",
    "ranking_scores",
]

# what sets of leading players count for; what is left of the others has the rest
_KEPT = 0.55
# rate beside that of random coalitions, whose values are where it begins
_RATE = 0.5
# sizes of prefixes that a ranking is judged by
_SIZES = 8
# validations of a run that ends as planned, that of its start included
_VALIDATIONS = 9


def near_batches(explainer: Any, n_samples: int, budget: float) -> int:
    """How many batches of near sets the queries buy, beside their samples' own outputs."""
    batch = min(explainer._batch_in_time(_sets_of(explainer)), n_samples)
    a_sample = (_sets_of(explainer) + 1) * explainer.masker_.n_background_
    return int(0.9 * budget / (batch * a_sample))


def _sets_of(explainer: Any) -> int:
    """Near sets of a sample: some of one size, to be told from each other, and what they leave."""
    return 2 * max(2, explainer.n_sets)


def learn_from_near_sets(
    explainer: Any,
    policy: Any,
    rows: Any,
    held: Any,
    scale: torch.Tensor,
    budget: float,
    max_steps: int,
    seed: int,
    started: float,
    checkpoint: Any,
) -> Fitted:
    r"""Go on from values of random coalitions with sets near the ranking that they give.

    What a player adds to a random half of the others, and what it adds to the ten players that
    lead, differ: a prediction that twenty patches settle is not moved by the next. Sets are
    drawn around the ranking as it is, so that what is learned follows it.

    Parameters
    ----------
    explainer : ConceptSetExplainer
        In ``fit``.
    policy : ConceptPolicy
        Its body gives values in units of ``scale``.
    rows, held : Table, Images or Texts
        Samples to learn from, and to judge by.
    scale : tensor of shape (K,)
        Usual size of a value.
    budget : float
        Queries.
    max_steps, seed : int
    started : float
        ``time.monotonic()`` when fit began.
    checkpoint : Checkpoint or None

    Returns
    -------
    Fitted
        Of these steps. The best ranking is kept, that of the start included.
    """
    deadline = deadline_of(explainer, started)
    if deadline is not None and time.monotonic() >= deadline:
        return Fitted(stopped_by="max_time")
    rng = np.random.default_rng([seed, 14])
    n_sets, background = _sets_of(explainer), explainer.masker_.n_background_
    # no more samples than the steps draw, and a tenth of the queries for validations
    steps = min(max_steps, max(1, near_batches(explainer, len(rows), budget)))
    batch_size = explainer._batch_in_time(n_sets)
    drawn = steps * min(batch_size, len(rows))
    samples = explainer._training_rows(rows, rng, 1, drawn * background, enumerates=False)
    samples = samples.take(slice(0, explainer._most_held()))
    few = int(0.1 * budget / (_VALIDATIONS * 2 * _SIZES * background))
    inputs, outputs = explainer._encoded_with_outputs(samples)
    spread = explainer._spread
    experience = Trajectories(
        samples,
        inputs["x"],
        inputs["null"],
        outputs.float(),
        explainer._asker(outputs),
        lambda module, x, null: (module(x, null), None),
        lambda score, *_: {"gains": relative_gains(in_units(score, spread))},
        random_share=explainer._random_share(),
        trajectory_length=n_sets,
        inner_updates=1,
        batch_size=batch_size,
        max_queries=steps * batch_size * n_sets * background,
        set_queries=background,
        seed=seed + 15,
        draw=_draw,
        beside={"total": totals_of(explainer, samples, outputs)},
    )

    def loss(module: Any, batch: dict[str, torch.Tensor]) -> Any:
        target = batch["target"]
        at = torch.arange(len(target), device=target.device), target
        unit = scale.to(target.device)[target]
        own = module(batch["x"], batch["null"])[at] * unit[:, None]
        given = batch["masks"], batch["gains"], batch["total"][at], batch["null"], unit
        return near_set_loss(own, *given, _KEPT, GAP_WEIGHT)

    settings = explainer._settings(steps, seed, started, experience.most_batches)
    settings = replace(settings, begun=time.monotonic(), deadline=deadline, judge_start=True)
    settings = replace(settings, learning_rate=_RATE * settings.learning_rate)
    least = explainer._clock.few_masked(0.02 / (2 * _SIZES), 1, 4)
    held = held.take(slice(0, max(least, few)))
    looks = explainer._clock.few_masked(0.1 / (2 * _SIZES * len(held)), 2, _VALIDATIONS)
    settings = replace(settings, eval_every=-(-steps // (looks - 1)))
    validate = _validator(explainer, held)
    return Trainer(PolicyNumbers(policy), loss, experience, validate, settings, checkpoint).run()


def deadline_of(explainer: Any, started: float, share: float = 1.0) -> float | None:
    """When a stage ends at the latest, by its share of the time that coalitions have."""
    if explainer.max_time is None:
        return None
    return started + share * explainer._share() * float(explainer.max_time)


def _draw(
    values: torch.Tensor, null: torch.Tensor, n_sets: int, generator: torch.Generator
) -> tuple[torch.Tensor, None]:
    return near_sets(values, null, n_sets // 2, generator).float(), None


def _validator(explainer: Any, samples: Any) -> Any:
    """Scores the ranking of one output of each sample by what prefixes keep."""
    judge, values_of, _ = rankings(explainer, samples)
    return lambda module: float(judge(values_of(module)).mean())


def rankings(explainer: Any, samples: Any) -> tuple[Any, Any, torch.Tensor]:
    """What scores values (n, N) of one output of each sample, what gives them, and null players."""
    inputs, outputs = explainer._encoded_with_outputs(samples)
    ask, target = explainer._asker(outputs), explainer._judged(outputs)
    rows, null = torch.arange(len(samples)), inputs["null"]

    def judge(values: torch.Tensor) -> torch.Tensor:
        return ranking_scores(
            values, null, lambda m: ask(samples, rows.numpy(), m)[rows, :, target]
        )

    def values_of(module: Any) -> torch.Tensor:
        return explainer._forward(module, inputs)[rows, target].float()

    return judge, values_of, null


def better_than_random(explainer: Any, module: Any, samples: Any, seed: int) -> float:
    """How much better the rankings may be than others drawn at random, by ``ranking_scores``.

    The mean over samples and two standard errors: below 0, they are worse, and not by chance.
    """
    judge, values_of, null = rankings(explainer, samples)
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.stack([judge(torch.rand(null.shape, generator=generator)) for _ in range(2)])
    gained = judge(values_of(module)) - drawn.mean(dim=0)
    error = gained.std(correction=1) / math.sqrt(len(gained)) if len(gained) > 1 else torch.inf
    return float(gained.mean() + 2.0 * error)


def ranking_scores(values: torch.Tensor, null: torch.Tensor, ask: Any) -> torch.Tensor:
    """What prefixes of a ranking keep, less what they leave, over sizes that lie evenly.

    Parameters
    ----------
    values : tensor of shape (n, N)
    null : bool tensor of shape (n, N)
        Players in no set.
    ask : callable
        f of sets, (n, T, N) to (n, T).

    Returns
    -------
    float64 tensor of shape (n,)
        In [-0.45, 0.55] for f in [0, 1]: what is kept counts as much more as in the loss.
    """
    place = values.masked_fill(null, float("-inf")).argsort(dim=1, descending=True).argsort(dim=1)
    count = (~null).sum(dim=1)
    share = (torch.arange(_SIZES) + 0.5) / _SIZES
    # small sets are where rankings differ
    size = (share.square() * (count[:, None] - 1)).ceil().clamp(min=1)
    kept = (place[:, None] < size[:, :, None]) & ~null[:, None]
    masks = torch.cat([kept, ~kept & ~null[:, None]], dim=1)
    halves = ask(masks.numpy()).cpu().double().unflatten(1, (2, -1)).mean(dim=2)
    return _KEPT * halves[:, 0] - (1.0 - _KEPT) * halves[:, 1]
