"""What a fit says of itself before it begins: how long it takes, and what it cannot learn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fastexplain._warnings import warn_user
from fastexplain.explainers._time_limits import FitTime
from fastexplain.masked_model import MaskedModel
from fastexplain.predictors._matrix import spread_positions

__all__ = ["LONG_FIT", "Plan", "announce", "tell_what_is_rare"]

#: seconds of queries that a fit tells of without being asked
LONG_FIT = 600.0
# samples whose predictions tell which outputs are rare: at most, and seconds that they may take
_LOOKED_AT, _LOOK = 1024, 1.0
# of max_time, for these
_SHARE = 0.02
# samples an output needs that it is predicted for, at least
_FEW = 20
# samples looked at that tell nothing of what is rare, unless they are all
_TOO_FEW = 32


@dataclass(frozen=True)
class Plan:
    """What a fit is to ask.

    Attributes
    ----------
    queries : float
        As many masked samples.
    limit : str
        What sets that number.
    cure : str
        What makes it smaller.
    """

    queries: float
    limit: str
    cure: str


def announce(name: str, clock: FitTime, plan: Plan, max_steps: int, verbose: int) -> None:
    """Say how fast the model is and what the queries take.

    Parameters
    ----------
    name : str
        Of the explainer.
    clock : FitTime
        Knows the seconds of a query, as far as measured.
    plan : Plan
        What is going to be asked.
    max_steps : int
        Training steps that come after the queries.
    verbose : int
        1 prints a line.

    Warns
    -----
    UserWarning
        Without ``verbose``, where the queries alone take more than ten minutes.
    """
    rate = clock.seconds_per_query
    if rate <= 0 or clock.replaced:
        return
    queries = min(plan.queries, clock.queries(0.5))
    seconds = rate * queries
    of = "" if queries == plan.queries else f" of {plan.queries:,.0f}"
    text = (
        f"the model answers about {1 / rate:,.0f} queries a second: {queries:,.0f}{of}, by "
        f"{plan.limit}, take {_minutes(seconds)}; up to {max_steps:,} training steps come after"
    )
    if verbose:
        limit = ""
        if clock.max_time is not None:
            limit = f", within max_time= ({clock.max_time:.3g} s of it are left)"
        print(f"{name}: {text}{limit}.")
    elif clock.max_time is None and seconds > LONG_FIT:
        warn_user(
            f"This fit takes long: {text}. max_time= limits it, {plan.cure} makes it shorter, and "
            "verbose=1 shows its progress."
        )


def _minutes(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def tell_what_is_rare(
    samples: Any, masked: MaskedModel, output_names: list[str], clock: FitTime
) -> None:
    """Print which outputs are predicted for too few samples to be learned.

    Parameters
    ----------
    samples : Table, Images or Texts
    masked : MaskedModel
        Asked for up to 1,024 samples, which are not counted.
    output_names : list of str
    clock : FitTime
        Fewer are looked at where they take more than a 50th of its time, or a second without a
        limit.
    """
    n, n_outputs = len(samples), len(output_names)
    if n_outputs < 2 or masked.predictor.kind != "classification":
        return
    most = _LOOKED_AT
    if clock.seconds_per_query > 0:
        most = int(np.clip(_LOOK / clock.seconds_per_query, 1, most))
    if clock.limited:
        most = clock.few(_SHARE, 1, _LOOKED_AT)
    if most < min(n, _TOO_FEW):
        print(f"Which outputs are rare is not looked at: the model is slow, and {most} tell little")
        return
    some = samples.take(spread_positions(n, most))
    counted = masked.n_queries
    predicted = masked.outputs(some).argmax(dim=1).cpu().numpy()
    masked.n_queries = counted
    counts = np.bincount(predicted, minlength=n_outputs) * n / len(some)
    rare = np.flatnonzero(counts < _FEW)
    if len(rare):
        shown = ", ".join(f"{output_names[k]!r} ({counts[k]:.0f})" for k in rare[:5])
        by = "" if len(some) == n else f", as {len(some):,} of them tell"
        more = f" and {len(rare) - 5} more" if len(rare) > 5 else ""
        print(
            f"Of {n_outputs} outputs, {len(rare)} are predicted for fewer than {_FEW} of {n} "
            f"samples{by}: {shown}{more}. What speaks for these can hardly be learned; give "
            "samples of them."
        )
