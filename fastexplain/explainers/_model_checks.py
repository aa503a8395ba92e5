"""What fit finds out about a model before it is explained: same answers, whole samples, effect."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from fastexplain._warnings import warn_user
from fastexplain.masked_model import MaskedModel
from fastexplain.maskers._masked_rows import numbers_of
from fastexplain.predictors._matrix import spread_positions
from fastexplain.tables import Table

__all__ = ["check_model", "rounding_of", "warn_if_cast", "warn_if_no_effect"]

# samples that are asked about twice, and with all of their players
_CHECKED = 8
# of the spread of answers: differences that are none, and of the type's rounding
_SHARE, _ROUNDINGS = 1e-4, 64
# of the spread of answers: what removing all features changes, at least
_LEAST_EFFECT = 1e-6
# of a column's spread: what a cast changes before it is told of
_LOST = 1e-3
_ROWS = 4096


def rounding_of(masked: MaskedModel, answers: np.ndarray) -> np.ndarray:
    """Size of rounding errors in answers (n, K) of a model, for each output (K,)."""
    dtype = masked.predictor.dtype or torch.float64
    return _ROUNDINGS * torch.finfo(dtype).eps * np.abs(answers).max(axis=0, initial=0.0)


def _answers(masked: MaskedModel, samples: Any) -> np.ndarray:
    return masked.outputs(samples).cpu().double().numpy()


def check_model(masked: MaskedModel, samples: Any, most: int = _CHECKED) -> bool:
    """Check that a model answers alike twice, and the same to a sample with all its players.

    Parameters
    ----------
    masked : MaskedModel
    samples : Table, Images or Texts of n samples
    most : int, default=8
        Samples that are asked about, three times each.

    Returns
    -------
    bool
        Whether the model answers the same to the same samples.

    Raises
    ------
    ValueError
        v(x, all) differs from f(x).

    Warns
    -----
    UserWarning
        The model answers at random.
    """
    few = samples.take(spread_positions(len(samples), most))
    first, second = _answers(masked, few), _answers(masked, few)
    slack = _SHARE * np.ptp(first, axis=0) + rounding_of(masked, first)
    moved = np.abs(first - second).max(axis=0)
    if (moved > slack).any():
        worst = int(np.argmax(moved - slack))
        warn_user(
            "The model answers the same samples differently from call to call, by up to "
            f"{moved[worst]:.3g} in output {masked.predictor.output_names[worst]!r}: is there "
            "dropout, sampling or noise in it? Explanations follow its mean at best. Switch the "
            "noise off (module.eval(), a fixed seed inside), or pass a function that averages "
            "several answers; more queries are no cure."
        )
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


def warn_if_cast(masked: MaskedModel, table: Any) -> None:
    """Warn where numbers lose what tells them apart on their way to a torch module."""
    predictor = masked.predictor
    if not isinstance(table, Table) or not predictor.torch_module or predictor.takes != "rows":
        return
    some = table.take(spread_positions(len(table), _ROWS))
    cells = numbers_of(some)
    dtype = predictor.input_dtype(cells.dtype)
    given = torch.from_numpy(cells)
    cast = given.to(dtype).to(given.dtype).numpy()
    lost = np.abs(np.nan_to_num(cast.astype(float) - cells.astype(float))).max(axis=0)
    spread = np.nanstd(np.where(np.isfinite(cells), cells.astype(float), np.nan), axis=0)
    changed = np.flatnonzero(lost > _LOST * np.where(spread > 0, spread, np.inf))
    if len(changed):
        j = int(changed[0])
        row = int(np.abs(np.nan_to_num(cast[:, j].astype(float) - cells[:, j])).argmax())
        names = [table.names[k] for k in changed[:10]]
        warn_user(
            f"Columns {names} lose digits on the way to the torch module, which computes in "
            f"{str(dtype).removeprefix('torch.')}: {cells[row, j].item()!r} becomes {cast[row, j].item()!r}. "
            "Use the module in double precision (module.double()), or subtract an offset from "
            "such columns before the module is trained."
        )
