"""What fit finds out about a model before it is explained: same answers, whole samples, effect."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastexplain._warnings import warn_user
from fastexplain.masked_model import MaskedModel
from fastexplain.predictors._matrix import spread_positions

__all__ = ["check_model", "warn_if_no_effect"]

# samples that are asked about twice, and with all of their players
_CHECKED = 8
# of the spread of answers: differences that are none
_SHARE = 1e-4
# of the spread of answers: what removing all features changes, at least
_LEAST_EFFECT = 1e-6


def _answers(masked: MaskedModel, samples: Any) -> np.ndarray:
    return masked.outputs(samples).cpu().double().numpy()


def _answers_in_parts(masked: MaskedModel, samples: Any) -> np.ndarray:
    """Answers to the same samples from the last to the first, in parts of 1, 2 and the rest."""
    turned = samples.take(np.arange(len(samples))[::-1].copy())
    cuts = [slice(0, 1), slice(1, 3), slice(3, None)]
    parts = [turned.take(cut) for cut in cuts if cut.start < len(samples)]
    return np.concatenate([_answers(masked, part) for part in parts])[::-1]


def check_model(masked: MaskedModel, samples: Any, most: int = _CHECKED) -> bool:
    """Check that a model answers alike twice, and the same to a sample with all its players.

    It is asked a second time in other company: in another order and in parts of other sizes.

    Parameters
    ----------
    masked : MaskedModel
    samples : Table, Images or Texts of n samples
    most : int, default=8
        Samples that are asked about, three or four times each.

    Returns
    -------
    bool
        Whether the model answers the same to the same samples, whatever they are asked with.

    Raises
    ------
    ValueError
        v(x, all) differs from f(x).

    Warns
    -----
    UserWarning
        The model answers at random, or its answer to a sample depends on the others asked with
        it.
    """
    few = samples.take(spread_positions(len(samples), most))
    first, second = _answers(masked, few), _answers_in_parts(masked, few)
    slack = _SHARE * np.ptp(first, axis=0) + masked.rounding_of(first)
    if (np.abs(first - second) > slack).any():
        _tell_of_variation(masked, first, second, _answers(masked, few), slack)
        return False
    if masked.removal is not None:
        return True
    everything = np.ones((1, masked.masker.null_players(few).shape[1]), dtype=bool)
    whole = masked.values(few, everything)[:, 0].cpu().double().numpy()
    gap = np.abs(whole - first).max(axis=0)
    if (gap > slack).any():
        row = int(np.abs(whole - first).max(axis=1).argmax())
        raise ValueError(
            "The model answers otherwise to a sample of which all features are kept than to the "
            f"sample itself: {whole[row].tolist()} and {first[row].tolist()}. Explanations would "
            "not be of its predictions. Does it depend on the container, the dtypes, the index or "
            "the order of X? Pass a function that takes X as it is given here."
        )
    return True


def _tell_of_variation(
    masked: MaskedModel, first: np.ndarray, second: np.ndarray, again: np.ndarray, slack: np.ndarray
) -> None:
    """Warn that answers vary: from call to call, or with what else is in the batch."""
    at_random = bool((np.abs(first - again) > slack).any())
    moved = np.abs(first - (again if at_random else second)).max(axis=0)
    worst = int(np.argmax(moved - slack))
    much = f"by up to {moved[worst]:.3g} in output {masked.predictor.output_names[worst]!r}"
    if at_random:
        warn_user(
            f"The model answers the same samples differently from call to call, {much}: is there "
            "dropout, sampling or noise in it? Explanations follow its mean at best. Switch the "
            "noise off (module.eval()), or pass a function that averages several answers; more "
            "queries are no cure."
        )
        return
    warn_user(
        f"What the model answers to a sample depends on the samples it is asked with, {much}: "
        "does it scale, rank or pad by the batch, or draw noise by position? Explanations ask it "
        "for other batches and are not of its predictions. Pass a function that answers each "
        "sample alone, such as with means and scales of the training data; more queries are no "
        "cure."
    )


def warn_if_no_effect(
    full: np.ndarray, bases: np.ndarray, rounding: np.ndarray, removal: str
) -> None:
    """Warn where the model answers the same with all features and without any.

    Parameters
    ----------
    full, bases : ndarray of shape (n, K)
        Outputs of samples, and of the same samples with all players removed.
    rounding : ndarray of shape (K,)
        What differences of rounding may be.
    removal : str
        What stands for removed features, in words.
    """
    # relative to what answers differ by, not to their size
    unit = np.maximum(np.ptp(full, axis=0), np.abs(full - bases).max(axis=0, initial=0.0))
    moved = np.abs(full - bases).max(axis=0, initial=0.0)
    if (moved <= np.maximum(_LEAST_EFFECT * unit, rounding)).all():
        warn_user(
            "Removing all features changes no output of the model for any of "
            f"{len(full)} samples: either the model ignores its input, or what stands for "
            f"removed features ({removal}) equals them. Explanations will tell nothing. Check "
            "the model's weights and how it prepares its input, or choose another baseline=, or "
            "fill= of the masker."
        )
