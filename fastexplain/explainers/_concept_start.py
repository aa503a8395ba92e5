"""Where policies of concept sets begin: with what players add to coalitions."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn

from fastexplain.explainers._coalition_pool import coalition_pool, coalitions_of, usual_share
from fastexplain.explainers._concept_near import (
    deadline_of,
    learn_from_near_sets,
    near_batches,
)
from fastexplain.explainers._shapley_learned import LEAST_SCALE, coalition_fit
from fastexplain.networks import PolicyNumbers
from fastexplain.training import Fitted, TargetPool, Trainer

__all__ = ["begin_with_coalitions", "choose_logits"]

# coalitions of each sample
_COALITIONS = 8
# of coalition_share of max_time: until when random ones are asked about, and learned from
_TIME_ASKED, _TIME_LEARNED = 0.22, 0.45
# of queries: what near sets have
_NEAR_SHARE = 0.55
# of the usual value: gains and thresholds of logits that are tried
_GAINS = (0.25, 0.5, 1.0, 2.0, 4.0)
_THRESHOLDS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
# logits of players without effect are no lower: beyond, all chances would be alike
_FARTHEST = 6.0


def begin_with_coalitions(
    explainer: Any,
    policy: Any,
    rows: Any,
    held: Any,
    objective: Any,
    budget: float,
    max_steps: int,
    seed: int,
    started: float,
    checkpoint: Any,
) -> Fitted:
    r"""Teach a policy's body what players add to coalitions, and set gain and level of logits.

    Sets drawn from a policy that knows nothing lose nearly all of a prediction whichever players
    they hold, and Eq. 18 has little to go by. Under an additive game with values
    :math:`\phi` the optimum of Eq. 15 is known: :math:`p \propto \phi^+`. So the body first
    learns :math:`\phi` in units of its usual size, by FastSHAP's least squares on random
    coalitions, then by ``learn_from_near_sets``, both on log-odds where outputs are chances; the
    logits are :math:`a (\phi - t)`, with a and t the best of a few by Eq. 15 on held-out samples.

    Parameters
    ----------
    explainer : ConceptSetExplainer
        In ``fit``.
    policy : ConceptPolicy
        Its body is trained, its gain and level are set.
    rows, held : Table, Images or Texts
        Samples to learn from, and to judge by.
    objective : callable
        Scores a policy by Eq. 15, higher is better.
    budget : float
        Queries.
    max_steps : int
    seed : int
    started : float
        ``time.monotonic()`` when fit began.
    checkpoint : Checkpoint or None
        Keeps what the model answers of random coalitions, whose steps are made again when a run
        is taken up there, and the state of the steps on near sets.

    Returns
    -------
    Fitted
        Of the steps that came last.
    """
    near = None if checkpoint is None else checkpoint.earlier()
    few = _NEAR_SHARE * budget
    # what near sets have no queries for is left to random coalitions
    near_steps = min(round(_NEAR_SHARE * max_steps), near_batches(explainer, len(rows), few))
    if near is not None and near.holds_run():
        # the unit that the weights were left in: what was asked then, and no more
        held_pool = checkpoint.pool()
        assert held_pool is not None  # it is written before any step
        scale = _unit(held_pool)
        del held_pool
    else:
        rng = np.random.default_rng([seed, 11])
        given = rows, rng, _COALITIONS + 1, budget - few
        samples = explainer._training_rows(*given, enumerates=False)
        asked = explainer, samples, _COALITIONS, [seed, 12], started, checkpoint
        time_share = explainer._share() * _TIME_ASKED
        pool = coalition_pool(*asked, scored=True, time_share=time_share)
        scale = _unit(pool)
        first = max(1, max_steps - near_steps)
        fitted = _learn(explainer, policy, pool, scale, held, first, seed, started)
        if fitted.stopped_by == "interrupt" or near_steps == 0:
            choose_logits(policy, objective)
            return fitted
        del pool
    left = explainer, policy, rows, held, scale, few, near_steps
    fitted = learn_from_near_sets(*left, seed, started, near)
    choose_logits(policy, objective)
    return fitted


def _unit(pool: dict[str, torch.Tensor]) -> torch.Tensor:
    """Usual size of values of each output, none beyond reach of the largest."""
    scale = usual_share(pool)
    return scale.clamp(min=max(LEAST_SCALE * float(scale.max()), 1e-12))


def _learn(
    explainer: Any,
    policy: Any,
    pool: dict[str, torch.Tensor],
    scale: torch.Tensor,
    held: Any,
    max_steps: int,
    seed: int,
    started: float,
) -> Fitted:
    """Steps on random coalitions."""
    rng = np.random.default_rng([seed, 13])
    judged = coalitions_of(explainer, held, 4 * _COALITIONS, rng, True, True)

    def cost(module: Any, batch: dict[str, torch.Tensor]) -> Any:
        size = scale.to(batch["total"])
        return coalition_fit(module(batch["x"], batch["null"]) * size[:, None], batch, size)

    def validate(module: nn.Module) -> float:
        device = next(module.parameters()).device
        lost = []
        with torch.inference_mode():
            for part in explainer._chunks(held):
                batch = {name: tensor[part].to(device) for name, tensor in judged.items()}
                lost += [float(cost(module, batch)[0])] * len(batch["x"])
        return -sum(lost) / max(len(lost), 1)

    # the schedule is that of the steps: what was asked before is no part of it
    settings = explainer._settings(max_steps, seed, started)
    deadline = deadline_of(explainer, started, _TIME_LEARNED)
    settings = replace(settings, begun=time.monotonic(), deadline=deadline)
    experience = TargetPool(pool, explainer.batch_size, seed)
    return Trainer(PolicyNumbers(policy), cost, experience, validate, settings).run()


def choose_logits(policy: Any, objective: Any) -> None:
    """Set gain and level of a policy's logits to the best of those tried."""
    tried = []
    for gain in _GAINS:
        for threshold in _THRESHOLDS:
            if gain * threshold > _FARTHEST:
                continue
            policy.gain.fill_(gain)
            policy.level.fill_(-gain * threshold)
            tried.append((objective(policy), gain, threshold))
    # several processes that train together take what the first of them found
    found = [max(t for t in tried if t[0] == t[0])]
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.broadcast_object_list(found)
    _, gain, threshold = found[0]
    policy.gain.fill_(gain)
    policy.level.fill_(-gain * threshold)
