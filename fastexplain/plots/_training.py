"""How a learned explainer's training went."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from fastexplain._explanation_scale import BLUE, RED
from fastexplain._extras import optional_import

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["training_curve"]

_NOT_LOSSES = ("step", "score", "seconds")
_PARTS = ["#7f7f7f", "#e08214", "#5aae61", "#8073ac", "#35978f", "#bf812d"]
_GREY = "#999999"


def training_curve(
    explainer_or_history: Any, *, ax: Axes | None = None, show: bool = False
) -> tuple[Axes, Axes]:
    """Losses and the held-out score over the steps of training.

    Parameters
    ----------
    explainer_or_history : explainer or dict of lists
        A fitted explainer that learns, or its ``history_``: the keys ``"step"``, ``"loss"``
        and ``"score"``, and parts of the loss by other names.
    ax : matplotlib Axes, optional
        Where to draw, with an axis for the score on its right. Default: a new figure of two
        panels, losses above the score.
    show : bool
        Whether to call ``matplotlib.pyplot.show``.

    Returns
    -------
    losses, score : matplotlib Axes
        The step whose network was kept, which is the one with the best score, is marked.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> history = {"step": [50, 100, 150], "loss": [0.9, 0.4, 0.3], "score": [0.5, 0.8, 0.7]}
    >>> losses, score = training_curve(history)
    >>> score.get_ylabel()
    'held-out score'
    """
    history, name = _history(explainer_or_history)
    pyplot = optional_import("matplotlib.pyplot", "plots", "training_curve")
    if ax is None:
        figure, (losses, score) = pyplot.subplots(
            2, 1, sharex=True, figsize=(7, 4.8), layout="constrained"
        )
        figure.align_ylabels([losses, score])
    else:
        losses, score = ax, ax.twinx()
        losses.yaxis.label.set_color(BLUE)
        score.yaxis.label.set_color(RED)
    steps = np.asarray(history["step"], dtype=float)
    style = {"marker": "o", "markersize": 3} if len(steps) <= 30 else {}

    parts = [key for key in history if key not in (*_NOT_LOSSES, "loss")]
    total = np.asarray(history["loss"], dtype=float)
    drawn = [total]
    for part, colour in zip(parts, _PARTS * (1 + len(parts) // len(_PARTS)), strict=False):
        values = np.asarray(history[part], dtype=float)
        if len(parts) == 1 and np.allclose(values, total, equal_nan=True):
            continue  # the loss under its own name
        drawn.append(values)
        losses.plot(steps, values, color=colour, lw=1.1, label=part, **style)
    losses.plot(steps, total, color=BLUE, lw=1.8, label="loss", **style)
    if _spans_decades(np.concatenate(drawn)):
        losses.set_yscale("log")
    losses.set_ylabel("training loss")
    if len(drawn) > 1:
        losses.legend(frameon=False, fontsize=8, ncols=3)

    scores = np.asarray(history["score"], dtype=float)
    score.plot(steps, scores, color=RED, lw=1.8, **style)
    score.set_ylabel(name)
    seconds = history.get("seconds")
    score_or_loss = score if ax is None else losses
    score_or_loss.set_xlabel("step" + (f" ({_time(seconds[-1])} in all)" if seconds else ""))
    if np.isfinite(scores).any():
        _mark_best(losses, score, steps, scores)
    for panel in (losses, score):
        panel.spines["top"].set_visible(False)
        if ax is None:
            panel.spines["right"].set_visible(False)
            panel.grid(axis="y", lw=0.5, alpha=0.4)
    if show:
        pyplot.show()
    return losses, score


def _history(given: Any) -> tuple[Mapping[str, Any], str]:
    """Return the history and what its score is called."""
    history = given if isinstance(given, Mapping) else getattr(given, "history_", None)
    if history is None:
        raise TypeError(
            f"training_curve needs a fitted explainer that learns, or its history_; this "
            f"{type(given).__name__} has no history_. Call fit first, if it has one."
        )
    missing = [key for key in ("step", "loss", "score") if key not in history]
    if missing:
        raise ValueError(f"the history has no {missing}; its keys are {list(history)}")
    lengths = {key: len(values) for key, values in history.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"the lists of the history differ in length: {lengths}")
    if not lengths["step"]:
        raise ValueError("the history is empty: training ended before its first validation")
    return history, _score_label(given)


def _score_label(given: Any) -> str:
    name = getattr(given, "_score_name", "score")
    # broken, because the panel is lower than some names are long
    return textwrap.fill(f"held-out {name}", 26)


def _spans_decades(values: np.ndarray) -> bool:
    """Whether a linear axis would flatten most of the curve."""
    values = values[np.isfinite(values)]
    return bool(len(values) and values.min() > 0 and values.max() > 50 * values.min())


def _mark_best(losses: Axes, score: Axes, steps: np.ndarray, scores: np.ndarray) -> None:
    best = int(np.nanargmax(scores))
    for panel in {losses, score}:
        panel.axvline(steps[best], color=_GREY, lw=0.8, ls="--", zorder=0)
    score.plot(steps[best], scores[best], "o", color=RED, markersize=6)
    # above the panel, where no curve can run through it
    score.set_title(
        f"best {scores[best]:.3g} at step {steps[best]:.0f}", loc="right", fontsize=8, pad=3
    )


def _time(seconds: float) -> str:
    minutes, rest = divmod(round(float(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min" + f" {rest} s" * bool(rest) if minutes else f"{rest} s"
