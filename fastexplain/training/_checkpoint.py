"""An interrupted run's state on disk, without pickled code."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from fastexplain.training._run import Kept, Run
from fastexplain.training._run_folder import DAMAGED, read_info
from fastexplain.training._settings import Fitted

__all__ = ["Checkpoint"]


class Checkpoint:
    """A folder that an unfinished run is saved to and taken up from.

    Killed at any moment, a run leaves its last whole state there: ``run.json`` names the files
    that count, with their digests, and is replaced in one move. Damaged files are told of and
    made anew. A disk that takes no more is told of once, and the run goes on.

    Parameters
    ----------
    path : str or path-like
        The folder; made if missing.
    fingerprint : str
        Identifies parameters and data of the run.
    queries : callable, optional
        How many samples this process has asked the model for so far.
    model : ndarray of shape (n, ..., K), optional
        The model's answers to some samples, which tell it from another.

    Raises
    ------
    ValueError
        If the folder holds an unfinished run of another fingerprint or model, or other files, or
        cannot be written.
    RuntimeError
        If another run is using the folder.

    Attributes
    ----------
    queries_before : int
        Samples that earlier processes of this run had asked for at their last commit.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        fingerprint: str,
        queries: Callable[[], int] | None = None,
        model: np.ndarray | None = None,
    ) -> None:
        self._stage = "state"
        self._run = Run(Path(path), fingerprint, queries, model)
        self.queries_before = self._run.queries_before

    @staticmethod
    def kept_before(path: str | os.PathLike[str], name: str) -> float | None:
        """What a number was when the run in a folder began; None where there is no such run."""
        try:
            info = read_info(Path(path))
            found = None if info is None else info["kept"].get(name)
            return None if found is None else float(found)
        except DAMAGED:
            return None

    def keep(self, name: str, value: Kept) -> None:
        """Hold what the run goes by, for when it is taken up."""
        self._run.kept[name] = value
        self._run.commit()

    def kept(self, name: str) -> Kept | None:
        """What the run that is taken up held by this name, or None."""
        return self._run.kept.get(name)

    def earlier(self) -> Checkpoint:
        """Where a stage of training before the last one has its state."""
        stage = copy.copy(self)
        stage._stage = "earlier"
        return stage

    def holds_run(self) -> bool:
        """Whether training had begun when the run was left, and its state is whole."""
        return self._stage in self._run.found

    def save(
        self,
        step: int,
        module: nn.Module,
        optimizer: Any,
        generator: torch.Generator,
        experience: Any,
        fitted: Any,
        best: dict[str, torch.Tensor],
        precision: Any = None,
    ) -> None:
        """Write the run's state."""
        state = {
            "step": step,
            "module": module.state_dict(),
            "optimizer": optimizer.state_dict(),
            "generator": generator.get_state(),
            "experience": experience.position(),
            "fitted": dict(vars(fitted)),
            "best": best,
            "precision": None if precision is None else precision.state_dict(),
        }
        self._run.put(self._stage, state, step)

    def resume(
        self,
        module: nn.Module,
        optimizer: Any,
        generator: torch.Generator,
        experience: Any,
        precision: Any = None,
    ) -> tuple[int, Fitted, dict[str, torch.Tensor]] | None:
        """Put a saved state back, or return None where there is none."""
        state = self._run.get(self._stage, next(module.parameters()).device)
        if state is None:
            return None
        weights = {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}
        rest = optimizer.state_dict(), generator.get_state(), experience.position()
        try:
            fitted = Fitted(**state["fitted"])
            module.load_state_dict(state["module"])
            optimizer.load_state_dict(state["optimizer"])
            generator.set_state(state["generator"].cpu())
            if precision is not None and state["precision"]:
                precision.load_state_dict(state["precision"])
            experience.seek(state["experience"])
            return int(state["step"]), fitted, state["best"]
        except (RuntimeError, *DAMAGED) as error:
            module.load_state_dict(weights)
            optimizer.load_state_dict(rest[0])
            generator.set_state(rest[1])
            experience.seek(rest[2])
            self._run.warn(f"does not fit this network ({error}); its training starts anew")
            return None

    def save_rows(self, rows: dict[str, torch.Tensor], start: int) -> bool:
        """Keep what the model answered of rows from ``start`` on, so that it is not asked again.

        Returns
        -------
        bool
            Whether it was kept.
        """
        return self._run.put_rows(rows, start)

    def pool(self) -> dict[str, torch.Tensor] | None:
        """What an unfinished run had been answered, as far as it is whole, or None."""
        return self._run.rows()

    def finish(self) -> None:
        """Remove the state of a run that has ended, and nothing else that lies in the folder."""
        self._run.finish()

    def close(self) -> None:
        """Let another run have the folder."""
        self._run.close()
