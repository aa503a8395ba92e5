"""Writing a saved explainer: one file commits it, so that a crash leaves the old one or the new.

``config.json`` names the file of weights and tells its digest. A save over a saved explainer
writes the weights under the other of two names, then replaces ``config.json`` in one move, and
then removes the old weights. Whoever reads in between has the old explainer whole, or the new one.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

from fastexplain._version import __version__
from fastexplain.persistence._files import (
    CONFIG,
    DRAFT,
    SLOTS,
    digest_of,
    is_own_litter,
    locked,
    parsed,
    sync_folder,
    text_of,
    write_draft,
)

__all__ = ["FORMAT", "save_state"]

FORMAT = 3
# in the header of a file of weights, so that it is known without its config.json
_MARK = "fastexplain"


def save_state(
    path: str | os.PathLike[str], config: dict[str, Any], weights: dict[str, Any]
) -> None:
    """Write a folder so that a crash at any moment leaves what was there, or the new explainer.

    Savers of one folder, in threads or processes, take turns.

    Parameters
    ----------
    path : path-like
        Made, or replaced if it holds a saved explainer.
    config : dict
        JSON values.
    weights : dict of tensors

    Raises
    ------
    FileExistsError
        If the path holds anything else.
    """
    from safetensors.torch import save

    folder = Path(path)
    tensors = {name: t.detach().cpu().contiguous().clone() for name, t in weights.items()}
    content = save(tensors, metadata={_MARK: __version__})
    header = {"format": FORMAT, "fastexplain": __version__}
    entry = {"sha256": digest_of(content), "size": len(content)}
    _check_replaceable(folder)
    new = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with locked(folder):
            # again, now that nobody else writes
            _check_replaceable(folder)
            slot = _other_slot(folder)
            _write(folder, slot, content, header | config | {"weights": {"file": slot} | entry})
    except BaseException:
        if new:
            with contextlib.suppress(OSError):
                folder.rmdir()  # not if another saver has written to it
        raise
    if new:
        sync_folder(folder.parent)


def _write(folder: Path, slot: str, content: bytes, config: dict[str, Any]) -> None:
    """Write weights, then commit them by ``config.json``, then remove what was there before."""
    text = text_of(config | {"digest": digest_of(config)})
    _remove_litter(folder, keep=_used_slot(folder))
    try:
        os.replace(write_draft(folder, content), folder / slot)
        sync_folder(folder)
        os.replace(write_draft(folder, text), folder / CONFIG)
    except BaseException:
        _remove_litter(folder, keep=_used_slot(folder))
        raise
    sync_folder(folder)
    _remove_litter(folder, keep=slot)


def _remove_litter(folder: Path, keep: str | None) -> None:
    """Remove drafts, and weights other than those of the explainer that is there."""
    for name in os.listdir(folder):
        if name.startswith(DRAFT) or (name in SLOTS and name != keep):
            with contextlib.suppress(OSError):
                os.unlink(folder / name)


def _used_slot(folder: Path) -> str | None:
    """The file of weights that ``config.json`` names; None where there is no explainer."""
    config = _own_config(folder)
    if config is None:
        return None
    entry = config.get("weights")
    # before there were two names, there was the first
    return entry.get("file", SLOTS[0]) if isinstance(entry, dict) else SLOTS[0]


def _other_slot(folder: Path) -> str:
    return SLOTS[1] if _used_slot(folder) == SLOTS[0] else SLOTS[0]


def _check_replaceable(folder: Path) -> None:
    """Raise if a path is neither free nor an empty folder nor one with a saved explainer alone."""
    if not folder.exists() or _may_replace(folder):
        return
    raise FileExistsError(
        f"{folder} exists and holds something other than a saved explainer, which would be lost; "
        "give another path, or delete it."
    )


def _may_replace(folder: Path) -> bool:
    if not folder.is_dir():
        return False
    found = {name for name in os.listdir(folder) if not is_own_litter(name)}
    if CONFIG not in found:
        # a saver that was killed before its commit leaves weights alone
        return found <= set(SLOTS) and all(_is_marked(folder / name) for name in found)
    # other libraries call their files config.json, too
    return found <= {CONFIG, *SLOTS} and _own_config(folder) is not None


def _own_config(folder: Path) -> dict[str, Any] | None:
    """``config.json`` if it is one of a saved explainer, of whatever format."""
    try:
        config = parsed((folder / CONFIG).read_bytes())
    except (OSError, ValueError):
        return None
    return config if {"format", "fastexplain", "explainer"} <= config.keys() else None


def _is_marked(path: Path) -> bool:
    """Whether a file holds weights that this package has written."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            return _MARK in (file.metadata() or {})
    except (OSError, SafetensorError):
        return False
