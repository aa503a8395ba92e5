"""Where policies of concept sets begin: with what players add to coalitions."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn

from fastexplain.explainers._coalition_pool import (
    batches_of,
    coalition_pool,
    coalitions_of,
    usual_share,
)
from fastexplain.explainers._concept_near import (
    deadline_of,
    learn_from_near_sets,
    near_batches,
)
from fastexplain.explainers._shapley_learned import LEAST_SCALE, coalition_fit
from fastexplain.networks import PolicyNumbers
from fastexplain.training import Fitted, Trainer

__all__ = ["begin_with_coalitions", "choose_logits"]

# coalitions of each sample
_COALITIONS = 8
# of coalition_share of max_time: until when random ones are asked about, and learned from
_TIME_ASKED, _TIME_LEARNED = 0.22, 0.45
# the same where time buys no near sets
_TIME_ASKED_ALONE, _TIME_LEARNED_ALONE = 0.5, 0.85
# of queries: what near sets have
_NEAR_SHARE = 0.55
# batches of near sets that are worth a start where time is short
_FEWEST_NEAR = 20
# of the usual value: gains and thresholds of logits that are tried
_GAINS = (0.25, 0.5, 1.0, 2.0, 4.0)
_THRESHOLDS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
# logits of players without effect are no lower: beyond, all chances would be alike
_FARTHEST = 6.0
# what the checkpoint calls the unit of values
_UNIT = "unit"


def begin_with_coalitions(
    explainer: Any,
    policy: Any,
    rows: Any,
    held: Any,
    objective: Any,
    tries: int,
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
    tries : int
        How often it may be asked for gain and level.
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
        Of the steps that came last, with the policy's score by Eq. 15.
    """
    near = None if checkpoint is None else checkpoint.earlier()
    few = _NEAR_SHARE * budget
    # what near sets have no queries for is left to random coalitions
    near_steps = min(round(_NEAR_SHARE * max_steps), near_batches(explainer, len(rows), few))
    shares = _TIME_ASKED, _TIME_LEARNED
    if explainer._is_short_of_time() and near_steps < _FEWEST_NEAR:
        few, near_steps, shares = 0.0, 0, (_TIME_ASKED_ALONE, _TIME_LEARNED_ALONE)
    # the unit that the weights were left in: what was asked then, and no more
    unit = None if near is None or not near.holds_run() else near.kept(_UNIT)
    if unit is not None:
        scale = torch.tensor(unit, dtype=torch.float32)
    else:
        rng = np.random.default_rng([seed, 11])
        given = rows, rng, _COALITIONS + 1, budget - few
        samples = explainer._training_rows(*given, enumerates=False)
        asked = explainer, samples, _COALITIONS, [seed, 12], started, checkpoint
        time_share = explainer._share() * shares[0]
        pool = coalition_pool(*asked, scored=True, time_share=time_share)
        scale = _unit(pool)
        first = max(1, max_steps - near_steps)
        learned = policy, pool, scale, held, first, seed, started
        fitted = _learn(explainer, *learned, shares[1])
        if fitted.stopped_by == "interrupt" or near_steps == 0:
            return replace(fitted, best_score=choose_logits(policy, objective, tries))
        del pool, learned
        if checkpoint is not None:
            checkpoint.keep(_UNIT, scale.tolist())
    left = explainer, policy, rows, held, scale, few, near_steps
    fitted = learn_from_near_sets(*left, seed, started, near)
    return replace(fitted, best_score=choose_logits(policy, objective, tries))


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
    time_share: float,
) -> Fitted:
    """Steps on random coalitions."""
    rng = np.random.default_rng([seed, 13])
    few = explainer._clock.few_masked(0.02 / (4 * _COALITIONS), 1, len(held))
    held = held.take(slice(0, few))
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
    deadline = deadline_of(explainer, started, time_share)
    settings = replace(settings, begun=time.monotonic(), deadline=deadline)
    experience = batches_of(pool, explainer.batch_size, seed)
    return Trainer(PolicyNumbers(policy), cost, experience, validate, settings).run()


def choose_logits(policy: Any, objective: Any, tries: int = 30) -> float:
    """Set gain and level of a policy's logits to the best of ``tries`` at most; give its score."""
    pairs = [(a, t) for a in _GAINS for t in _THRESHOLDS if a * t <= _FARTHEST]
    # where few are tried, those in the middle of what is usual come first
    pairs = sorted(pairs, key=lambda pair: abs(np.log(pair[0])) + abs(np.log(pair[1])))[:tries]
    tried = []
    for gain, threshold in sorted(pairs):
        policy.gain.fill_(gain)
        policy.level.fill_(-gain * threshold)
        tried.append((objective(policy), gain, threshold))
    # several processes that train together take what the first of them found
    found = [max(t for t in tried if t[0] == t[0])]
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.broadcast_object_list(found)
    score, gain, threshold = found[0]
    policy.gain.fill_(gain)
    policy.level.fill_(-gain * threshold)
    return float(score)
