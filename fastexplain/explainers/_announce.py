"""What a fit says of itself before it begins: how long it takes, and what it cannot learn."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastexplain._warnings import warn_user
from fastexplain.explainers._time_limits import FitTime
from fastexplain.masked_model import MaskedModel

__all__ = ["LONG_FIT", "announce", "tell_what_is_rare"]

#: seconds of queries that a fit tells of without being asked
LONG_FIT = 600.0
# samples whose predictions tell which outputs are rare
_LOOKED_AT = 1024
# samples an output needs that it is predicted for, at least
_FEW = 20


def announce(name: str, clock: FitTime, planned: float, max_steps: int, verbose: int) -> None:
    """Say how fast the model is and what the queries take.

    Parameters
    ----------
    name : str
        Of the explainer.
    clock : FitTime
        Knows the seconds of a query, as far as measured.
    planned : float
        ``n_queries``.
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
    if rate <= 0:
        return
    queries = min(planned, clock.queries(0.5))
    seconds = rate * queries
    text = (
        f"the model answers about {1 / rate:,.0f} queries a second: {queries:,.0f} of n_queries="
        f"{planned:,.0f} take {_minutes(seconds)}; up to {max_steps:,} training steps come after"
    )
    if verbose:
        limit = "" if clock.max_time is None else f", within max_time={clock.max_time:g} s"
        print(f"{name}: {text}{limit}.")
    elif clock.max_time is None and seconds > LONG_FIT:
        warn_user(
            f"This fit takes long: {text}. max_time= limits it, n_queries= makes it shorter, and "
            "verbose=1 shows its progress."
        )


def _minutes(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def tell_what_is_rare(samples: Any, masked: MaskedModel, output_names: list[str]) -> None:
    """Print which outputs are predicted for too few samples to be learned.

    Parameters
    ----------
    samples : Table, Images or Texts
    masked : MaskedModel
        Asked for up to 1,024 samples, which are not counted.
    output_names : list of str
    """
    n, n_outputs = len(samples), len(output_names)
    if n_outputs < 2 or masked.predictor.kind != "classification":
        return
    some = samples.take(slice(None, None, max(1, n // _LOOKED_AT)))
    counted = masked.n_queries
    predicted = masked.outputs(some).argmax(dim=1).cpu().numpy()
    masked.n_queries = counted
    counts = np.bincount(predicted, minlength=n_outputs) * n / len(some)
    rare = np.flatnonzero(counts < _FEW)
    if len(rare):
        shown = ", ".join(f"{output_names[k]!r} ({counts[k]:.0f})" for k in rare[:5])
        more = f" and {len(rare) - 5} more" if len(rare) > 5 else ""
        print(
            f"Of {n_outputs} outputs, {len(rare)} are predicted for fewer than {_FEW} of {n} "
            f"samples: {shown}{more}. What speaks for these can hardly be learned; give samples "
            "of them."
        )
