"""An interrupted run's state on disk, without pickled code."""

from __future__ import annotations

import contextlib
import copy
import json
import os
from pathlib import Path
from typing import Any

import torch
from torch import nn

__all__ = ["Checkpoint"]

_FILE = "state.pt"
_POOL = "experience.pt"
_INFO = "run.json"
_EARLIER = "earlier_"


class Checkpoint:
    """A folder that an unfinished run is saved to and taken up from.

    Parameters
    ----------
    path : str or path-like
        The folder; made if missing.
    fingerprint : str
        Identifies parameters, data and model of the run.

    Raises
    ------
    ValueError
        If the folder holds an unfinished run of another fingerprint, or other files.
    """

    def __init__(self, path: str | os.PathLike[str], fingerprint: str) -> None:
        self.folder = Path(path)
        self.fingerprint = fingerprint
        self._file = _FILE
        # of several processes that train together, one writes
        self._writes = int(os.environ.get("RANK", 0)) == 0
        info = self.folder / _INFO
        self._unfinished = False
        self._kept: dict[str, float] = {}
        if info.exists():
            held = json.loads(info.read_text())
            if held["fingerprint"] != fingerprint:
                raise ValueError(
                    f"{self.folder} holds an unfinished run with other parameters, data or "
                    "model. Fit with those to resume it, delete the folder to drop it, or give "
                    "another checkpoint=."
                )
            self._unfinished = True
        elif self.folder.exists() and any(self.folder.iterdir()):
            raise ValueError(
                f"{self.folder} exists and is not a checkpoint; give another checkpoint=."
            )

    @staticmethod
    def kept_before(path: str | os.PathLike[str], name: str) -> float | None:
        """What a number was when the run in a folder began; None where there is no such run."""
        info = Path(path) / _INFO
        if not info.exists():
            return None
        found = json.loads(info.read_text()).get("kept", {}).get(name)
        return None if found is None else float(found)

    def keep(self, name: str, value: float) -> None:
        """Hold a number that the run goes by, for when it is taken up."""
        self._kept[name] = value

    def earlier(self) -> Checkpoint:
        """Where a stage of training before the last one has its state."""
        stage = copy.copy(self)
        stage._file = _EARLIER + _FILE
        return stage

    def save(
        self,
        step: int,
        module: nn.Module,
        optimizer: Any,
        generator: torch.Generator,
        experience: Any,
        fitted: Any,
        best: dict[str, torch.Tensor],
    ) -> None:
        """Write the run's state; the file is replaced in one move, never half written."""
        state = {
            "step": step,
            "module": module.state_dict(),
            "optimizer": optimizer.state_dict(),
            "generator": generator.get_state(),
            "experience": experience.position(),
            "fitted": dict(vars(fitted)),
            "best": best,
        }
        self._write(self._file, state, step)

    def save_pool(self, pool: dict[str, torch.Tensor]) -> None:
        """Write what the model has answered so far, so that it is never asked again."""
        self._write(_POOL, pool, 0)

    def holds_run(self) -> bool:
        """Whether training had begun when the run was left."""
        return self._unfinished and (self.folder / self._file).exists()

    def pool(self) -> dict[str, torch.Tensor] | None:
        """What an unfinished run had been answered, or None."""
        return self._read(_POOL, "cpu")

    def _write(self, name: str, state: dict[str, Any], step: int) -> None:
        if not self._writes:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        draft = self.folder / (name + ".part")
        torch.save(state, draft)
        os.replace(draft, self.folder / name)
        (self.folder / _INFO).write_text(
            json.dumps({"fingerprint": self.fingerprint, "step": step, "kept": self._kept})
        )

    def _read(self, name: str, device: Any) -> dict[str, Any] | None:
        if not self._unfinished or not (self.folder / name).exists():
            return None
        # weights_only: the file can hold tensors and plain values, and runs no code
        return torch.load(self.folder / name, map_location=device, weights_only=True)

    def resume(
        self, module: nn.Module, optimizer: Any, generator: torch.Generator, experience: Any
    ) -> tuple[int, Any, dict[str, torch.Tensor]] | None:
        """Put a saved state back, or return None where there is none."""
        from fastexplain.training._trainer import Fitted

        state = self._read(self._file, next(module.parameters()).device)
        if state is None:
            return None
        module.load_state_dict(state["module"])
        optimizer.load_state_dict(state["optimizer"])
        generator.set_state(state["generator"].cpu())
        experience.seek(state["experience"])
        return state["step"], Fitted(**state["fitted"]), state["best"]

    def finish(self) -> None:
        """Remove the state of a run that has ended, and nothing else that lies in the folder."""
        if not self._writes:
            return
        for name in (_INFO, _FILE, _EARLIER + _FILE, _POOL):
            for file in (self.folder / name, self.folder / (name + ".part")):
                file.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            # fails where the user keeps something of their own there
            self.folder.rmdir()
