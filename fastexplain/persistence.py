"""Explainers as folders of JSON and safetensors: nothing in them runs when they are loaded."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from fastexplain._table_json import decode_table, encode_table
from fastexplain._version import __version__
from fastexplain.tables import Table

__all__ = ["load", "save_state"]

_FORMAT = 1
_CONFIG, _WEIGHTS = "config.json", "weights.safetensors"


def save_state(
    path: str | os.PathLike[str], config: dict[str, Any], weights: dict[str, Any]
) -> None:
    """Write a folder in one move, so that a crash leaves the old one or the new one.

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
    from safetensors.torch import save_file

    folder = Path(path)
    if folder.exists() and not (folder / _CONFIG).is_file():
        if not folder.is_dir() or any(folder.iterdir()):
            raise FileExistsError(f"{folder} exists and holds no saved explainer; not replaced.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        header = {"format": _FORMAT, "fastexplain": __version__}
        (draft / _CONFIG).write_text(json.dumps(header | config, indent=1))
        contiguous = {name: t.detach().cpu().contiguous().clone() for name, t in weights.items()}
        save_file(contiguous, draft / _WEIGHTS)
        draft.chmod(0o755)
        if folder.exists():
            old = Path(tempfile.mkdtemp(prefix=f".{folder.name}-old-", dir=folder.parent))
            os.replace(folder, old / "old")
            os.replace(draft, folder)
            shutil.rmtree(old, ignore_errors=True)
        else:
            os.replace(draft, folder)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise


def load(path: str | os.PathLike[str], model: Any = None) -> Any:
    """Load a saved explainer.

    Parameters
    ----------
    path : path-like
        Folder written by ``explainer.save``.
    model : object, optional
        The model that was explained, to be attached: needed for ``target="predicted"`` and
        ``score``. A model whose answers differ from those at ``fit`` raises a warning.

    Returns
    -------
    FEXExplainer
        On the CPU or, where there is one and ``device`` allows, a CUDA device.

    Raises
    ------
    FileNotFoundError
        If the folder holds no saved explainer.
    ValueError
        If it was written in a newer format, or its files do not belong together.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import fastexplain
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> X, y = load_iris(return_X_y=True)
    >>> model = LogisticRegression(max_iter=1000).fit(X, y)
    >>> explainer = fastexplain.FEXExplainer(max_steps=200, random_state=0).fit(X, model)
    >>> folder = Path(tempfile.mkdtemp()) / "iris"
    >>> explainer.save(folder)
    >>> fastexplain.load(folder, model=model).explain(X[:2]).values.shape
    (2, 4)
    """
    from safetensors.torch import load_file

    from fastexplain.explainers import FEXExplainer

    folder = Path(path)
    if not (folder / _CONFIG).is_file():
        raise FileNotFoundError(f"{folder} holds no saved explainer ({_CONFIG} is missing).")
    config = json.loads((folder / _CONFIG).read_text())
    if config.get("format") != _FORMAT:
        raise ValueError(
            f"{folder} was written in format {config.get('format')} by fastexplain "
            f"{config.get('fastexplain')}; this is {__version__}, which reads format {_FORMAT}."
        )
    known = {"FEXExplainer": FEXExplainer}
    if config["explainer"] not in known:
        raise ValueError(f"{folder} holds a {config['explainer']!r}, which is not known here.")
    explainer = known[config["explainer"]]._from_state(config, load_file(folder / _WEIGHTS))
    if model is not None:
        explainer.attach_model(model)
    return explainer


def encode_value(value: Any) -> Any:
    """A parameter as JSON: tables, arrays and mappings of plain values included."""
    if hasattr(value, "columns") or (isinstance(value, np.ndarray) and value.ndim == 2):
        return {"__table__": encode_table(Table(value))}
    if isinstance(value, np.ndarray):
        return {"__list__": [encode_value(v) for v in value.tolist()]}
    if hasattr(value, "index") and hasattr(value, "to_dict"):
        return encode_value(value.to_dict())
    if isinstance(value, dict):
        return {"__map__": [[encode_value(k), encode_value(v)] for k, v in value.items()]}
    if isinstance(value, list | tuple):
        return {"__list__": [encode_value(v) for v in value]}
    if isinstance(value, np.generic):
        return encode_value(value.item())
    if isinstance(value, float):
        return {"__float__": value.hex()}
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    return {"__unsaved__": repr(value)[:200]}


def decode_value(value: Any) -> Any:
    """The inverse of ``encode_value``; what could not be saved becomes None, with a warning."""
    if not isinstance(value, dict):
        return value
    if "__float__" in value:
        return float.fromhex(value["__float__"])
    if "__list__" in value:
        return [decode_value(v) for v in value["__list__"]]
    if "__map__" in value:
        return {decode_value(k): decode_value(v) for k, v in value["__map__"]}
    if "__table__" in value:
        return decode_table(value["__table__"]).native
    warnings.warn(f"A parameter could not be saved and is None now: {value}", stacklevel=3)
    return None
