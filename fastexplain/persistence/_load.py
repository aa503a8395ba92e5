"""Loading a saved explainer: what its files say is checked before anything is made of it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from fastexplain.persistence._errors import LoadError
from fastexplain.persistence._fields import Fields, shown
from fastexplain.persistence._files import CONFIG
from fastexplain.persistence._networks import WeightsError
from fastexplain.persistence._read import COPY_ANEW, read_folder

__all__ = ["load"]

_KNOWN = (
    "CoRTXExplainer",
    "ConceptSetExplainer",
    "FEXExplainer",
    "FastSHAPExplainer",
    "L2XExplainer",
    "SupervisedExplainer",
)


def load(path: str | os.PathLike[str], model: Any = None) -> Any:
    """Load a saved explainer.

    Nothing in the folder is run. Both files carry digests; the description is checked key by
    key, within bounds, before memory is taken for anything that it tells; weights are finite and
    of the shapes that the description makes.

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
    LoadError
        If the folder holds no saved explainer (this one is a FileNotFoundError, too), one of
        another format, or a damaged one. ``fastexplain.persistence.LoadError`` is an OSError and
        a ValueError; it names the file, and says what to do.

    Warns
    -----
    UserWarning
        For parameters that no folder holds, such as functions and random states, and for a
        ``device`` that is not here.

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
    folder = Path(path)
    config, tensors, weights_path = read_folder(folder)
    name = config["explainer"]
    try:
        explainer = _class_of(name)._from_state(_sections(config), tensors)
    except WeightsError as error:
        raise LoadError(weights_path, f"is damaged ({error})", COPY_ANEW) from error
    except ImportError as error:
        cure = "Install what is missing."
        raise LoadError(folder / CONFIG, f"cannot be loaded here ({error})", cure) from error
    except (Warning, MemoryError):
        # warnings that the user has made errors, and too little memory, are no damage
        raise
    except Exception as error:
        # whatever a value leads to that nobody has thought of: what is not as `save` writes it
        # is damage, and no half of an explainer is handed out
        why = str(error) if isinstance(error, ValueError) else repr(error)
        raise LoadError(folder / CONFIG, f"is damaged ({why:.500})", COPY_ANEW) from error
    if model is not None:
        explainer.attach_model(model)
    return explainer


def _class_of(name: Any) -> Any:
    from fastexplain import explainers

    if name not in _KNOWN:
        raise ValueError(f"it describes a {shown(name)}, which is not known here")
    return getattr(explainers, name)


def _sections(config: dict[str, Any]) -> Fields:
    """The parts of a description that a class of explainers reads."""
    fields = Fields(config, "config")
    for key in ("format", "explainer"):
        fields.value(key)
    fields.text("fastexplain")
    return fields
