"""The predictor: one batched function from samples to a matrix of outputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch

from fastexplain.predictors._matrix import ask, n_rows, to_matrix
from fastexplain.predictors._meaning import Meaning, apply_link

__all__ = ["ArrayCall", "Call", "Method", "Predictor", "build_predictor"]


class Call(Protocol):
    """A model's raw answers as a checked matrix."""

    def __call__(self, X: Any, columns: int | None = None) -> Any:
        """Return the answers of shape (B, C), where C must be ``columns`` if it is given."""
        ...  # pragma: no cover


@dataclass(frozen=True, eq=False)
class Method:
    """A method of a model by name, so that it is found anew after pickling."""

    model: Any
    name: str

    def __call__(self, X: Any) -> Any:
        """Return ``model.name(X)``."""
        return getattr(self.model, self.name)(X)


@dataclass(frozen=True, eq=False)
class ArrayCall:
    """Raw answers of a function outside torch, as float64 matrices."""

    function: Callable[[Any], Any]

    def __call__(self, X: Any, columns: int | None = None) -> np.ndarray:
        """Return ``function(X)`` as an ndarray of shape (B, C)."""
        return to_matrix(ask(self.function, X), n_rows(X), columns)


@dataclass(frozen=True, eq=False)
class Predictor:
    """A model as one batched function from samples to a matrix of outputs.

    Made by `make_predictor`. It holds a reference to the model, copies nothing of it, and
    can be pickled if the model can.

    Attributes
    ----------
    kind : {"classification", "multilabel", "regression"}
        Probabilities of classes, probabilities of independent labels, or plain values.
    classes : ndarray of shape (K,) or None
        Labels of the classes for classification, else None.
    output_names : list of str of length K
        Class labels, ``"label_0"`` and so on, or ``"output"``.
    torch_module : bool
        Whether the model lives in torch and outputs are tensors.
    takes : {"rows", "tokens", "texts", "images"}
        What it is fed with: tables, arrays and tensors as they are; batches of token ids;
        object arrays of strings; or arrays of images that an image processor prepares.
    """

    kind: str
    classes: np.ndarray | None
    output_names: list[str]
    torch_module: bool
    _call: Call = field(repr=False)
    _link: str = field(repr=False)
    _columns: int = field(repr=False)
    takes: str = "rows"

    @property
    def n_outputs(self) -> int:
        """Number of outputs ``K``."""
        return len(self.output_names)

    @property
    def read_as(self) -> str:
        """What the answers were found to be, as ``output=`` of `make_predictor` has it."""
        if self.kind != "classification":
            return self.kind
        return "logits" if self._link in ("softmax", "sigmoid") else "probability"

    @property
    def device(self) -> torch.device | None:
        """Device the torch module is on now; None for models outside torch."""
        # asked anew each time, because the user may move the module
        return getattr(self._call, "device", None)

    @property
    def dtype(self) -> torch.dtype | None:
        """Floating type the torch module computes in; None if it has none, or outside torch."""
        return getattr(self._call, "dtype", None)

    @property
    def module(self) -> torch.nn.Module | None:
        """The torch module that answers; None for models outside torch."""
        return getattr(self._call, "module", None)

    @property
    def call(self) -> Any:
        """How the model is asked: a `TorchCall` where it lives in torch."""
        return self._call

    def batches(self, X: Any) -> list[np.ndarray]:
        """Samples of each call of the model that `X` takes.

        Parameters
        ----------
        X : as for a call, of B samples

        Returns
        -------
        list of int ndarray
            Each sample once; asking for those of one entry alone is one call, in that order.
        """
        split = getattr(self._call, "batches", None)
        return [np.arange(n_rows(X))] if split is None else split(X)

    def __call__(self, X: Any) -> np.ndarray | torch.Tensor:
        """Return the outputs of the model for a batch of samples.

        Parameters
        ----------
        X : ndarray or data frame of shape (B, p), or what ``takes`` says, of B samples
            Rows in the container the model was fitted on, or images of shape (B, ...). A
            torch module takes a tensor, too, which is used where it is if it is on the
            module's device.

        Returns
        -------
        ndarray or tensor of shape (B, K)
            A float64 ndarray, or a float32 tensor on the module's device.

        Raises
        ------
        ValueError
            The model answered something other than a row of numbers for each row of `X`.
        """
        if n_rows(X) == 0:
            # many models refuse an empty table, though its answer is plain
            if self.torch_module:
                return torch.empty((0, self.n_outputs), device=self.device)
            return np.empty((0, self.n_outputs))
        outputs = apply_link(self._call(X, self._columns), self._link)
        if isinstance(outputs, torch.Tensor):
            return outputs.to(torch.float32)
        return outputs


def _name_outputs(meaning: Meaning, n_outputs: int) -> list[str]:
    """Return names of the outputs where the model has none."""
    if meaning.kind == "multilabel":
        return [f"label_{k}" for k in range(n_outputs)]
    if n_outputs == 1:
        return ["output"]
    return [f"output_{k}" for k in range(n_outputs)]


def build_predictor(
    call: Call,
    meaning: Meaning,
    columns: int,
    *,
    torch_module: bool = False,
    takes: str = "rows",
) -> Predictor:
    """Put a model's answers and their meaning together.

    Parameters
    ----------
    call : Call
        The model's raw answers.
    meaning : Meaning
        What they mean.
    columns : int
        Number of columns ``C`` of the raw answers.
    torch_module : bool, default=False
        Whether the answers are tensors.
    takes : {"rows", "tokens", "texts", "images"}, default="rows"
        What the model is fed with.

    Returns
    -------
    Predictor

    Raises
    ------
    ValueError
        The model has another number of class labels than of outputs, or a single class.
    """
    n_outputs = 2 if meaning.link in ("complement", "sigmoid") else columns
    classes = None
    if meaning.kind == "classification":
        classes = np.arange(n_outputs) if meaning.classes is None else np.array(meaning.classes)
        if len(classes) == 1:
            raise ValueError(
                f"the model knows the single class {classes.tolist()[0]!r}, so that its answer "
                "never changes; train it on rows of at least two classes"
            )
        if classes.shape != (n_outputs,):
            raise ValueError(
                f"the model has {len(classes)} labels in classes_ but answered {n_outputs} "
                "columns; wanted one column for each class"
            )
        names = [str(label) for label in classes.tolist()]
    else:
        names = _name_outputs(meaning, n_outputs)
    # the names of a body whose head was replaced are not the head's
    if meaning.names is not None and len(meaning.names) == n_outputs:
        names = list(meaning.names)
    return Predictor(
        kind=meaning.kind,
        classes=classes,
        output_names=names,
        torch_module=torch_module,
        _call=call,
        _link=meaning.link,
        _columns=columns,
        takes=takes,
    )
