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

_FORMAT = 2
_KNOWN = (
    "CoRTXExplainer",
    "ConceptSetExplainer",
    "FEXExplainer",
    "FastSHAPExplainer",
    "L2XExplainer",
    "SupervisedExplainer",
)
# label sources that a folder may name
_SOURCES = ("ExactShapley", "KernelShapley", "PermutationShapley")
_SECTIONS = {
    "params": dict,
    "masker": dict,
    "schema": dict,
    "reader": dict,
    "outputs": dict,
    "fit": dict,
}
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
    if folder.exists() and not _may_replace(folder):
        raise FileExistsError(
            f"{folder} exists and holds something other than a saved explainer, which would be "
            "lost; give another path, or delete it."
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        header = {"format": _FORMAT, "fastexplain": __version__}
        text = json.dumps(header | config, indent=1)
        (draft / _CONFIG).write_text(text, encoding="utf-8")
        contiguous = {name: t.detach().cpu().contiguous().clone() for name, t in weights.items()}
        save_file(contiguous, draft / _WEIGHTS)
        draft.chmod(0o755)
        if folder.exists():
            _exchange(draft, folder)
        else:
            os.replace(draft, folder)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise


def _exchange(draft: Path, folder: Path) -> None:
    """Put ``draft`` in the place of ``folder``, or leave ``folder`` where it is."""
    aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}-old-", dir=folder.parent))
    try:
        os.replace(folder, aside / "old")
        try:
            os.replace(draft, folder)
        except BaseException:
            os.replace(aside / "old", folder)
            raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _may_replace(folder: Path) -> bool:
    """Whether a folder is empty, or holds a saved explainer and nothing else."""
    if not folder.is_dir():
        return False
    found = {entry.name for entry in folder.iterdir()}
    if not found:
        return True
    # other libraries call their files config.json, too
    return found <= {_CONFIG, _WEIGHTS} and _is_ours(folder)


def _is_ours(folder: Path) -> bool:
    try:
        config = json.loads((folder / _CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(config, dict) and {"format", "fastexplain", "explainer"} <= config.keys()


def load(path: str | os.PathLike[str], model: Any = None) -> Any:
    """Load a saved explainer.

    Parameters
    ----------
    path : path-like
        Folder written by ``explainer.save``.
    model : object, optional
        The model that was explained, to be attached: needed for ``target="predicted"``,
        ``score``, and values that add up to its outputs. A model whose answers differ from those
        at ``fit`` raises a warning.

    Returns
    -------
    explainer
        Of the class that was saved, on the CPU or, where there is one and ``device`` allows, a
        CUDA device.

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
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from fastexplain import explainers

    folder = Path(path)
    for name in (_CONFIG, _WEIGHTS):
        if not (folder / name).is_file():
            raise FileNotFoundError(f"{folder} holds no saved explainer ({name} is missing).")
    try:
        config = json.loads((folder / _CONFIG).read_text(encoding="utf-8"))
        weights = load_file(folder / _WEIGHTS)
    except (ValueError, SafetensorError) as error:
        raise ValueError(_damaged(folder, error)) from error
    if not isinstance(config, dict) or "explainer" not in config:
        raise ValueError(_damaged(folder, f"{_CONFIG} does not describe an explainer"))
    if config.get("format") != _FORMAT:
        raise ValueError(
            f"{folder} was written in format {config.get('format')} by fastexplain "
            f"{config.get('fastexplain')}; this is {__version__}, which reads format {_FORMAT}. "
            "Load it with that version, or fit and save again with this one."
        )
    wrong = [k for k, kind in _SECTIONS.items() if not isinstance(config.get(k), kind)]
    if wrong:
        raise ValueError(_damaged(folder, f"{_CONFIG} lacks {wrong[0]!r}"))
    kind = getattr(explainers, config["explainer"], None) if config["explainer"] in _KNOWN else None
    if kind is None:
        raise ValueError(f"{folder} holds a {config['explainer']!r}, which is not known here.")
    try:
        explainer = kind._from_state(config, weights)
    except (AttributeError, IndexError, KeyError, TypeError) as error:
        raise ValueError(_damaged(folder, repr(error))) from error
    if model is not None:
        explainer.attach_model(model)
    return explainer


def _damaged(folder: Path, why: object) -> str:
    return f"The saved explainer in {folder} is damaged ({why}); save it again, or copy it anew."


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
    if isinstance(value, tuple):
        return {"__tuple__": [encode_value(v) for v in value]}
    if isinstance(value, list):
        return {"__list__": [encode_value(v) for v in value]}
    if isinstance(value, np.generic):
        return encode_value(value.item())
    if isinstance(value, float):
        return {"__float__": value.hex()}
    if value is None or isinstance(value, bool | int | str):
        return value
    if type(value).__name__ in _SOURCES and hasattr(value, "get_params"):
        params = {k: encode_value(v) for k, v in value.get_params().items()}
        return {"__source__": [type(value).__name__, params]}
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
    if "__tuple__" in value:
        return tuple(decode_value(v) for v in value["__tuple__"])
    if "__map__" in value:
        return {decode_value(k): decode_value(v) for k, v in value["__map__"]}
    if "__source__" in value and value["__source__"][0] in _SOURCES:
        from fastexplain import labels

        name, params = value["__source__"]
        return getattr(labels, name)(**{k: decode_value(v) for k, v in params.items()})
    if "__table__" in value:
        return decode_table(value["__table__"]).native
    warnings.warn(f"A parameter could not be saved and is None now: {value}", stacklevel=3)
    return None
