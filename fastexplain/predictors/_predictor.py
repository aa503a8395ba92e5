"""The predictor: one batched function from samples to a matrix of outputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from fastexplain.predictors._calls import Call
from fastexplain.predictors._links import apply_link
from fastexplain.predictors._matrix import n_rows
from fastexplain.predictors._meaning import Meaning

__all__ = ["Predictor", "build_predictor", "with_names"]


@dataclass(frozen=True, eq=False)
class Predictor:
    """A model as one batched function from samples to a matrix of outputs.

    Made by `make_predictor`. It holds a reference to the model, copies nothing of it, and
    can be pickled if the model can.

    Attributes
    ----------
    kind : {"classification", "multilabel", "regression"}
        Probabilities of classes, probabilities of independent labels, or real values: raw
        scores of classes are real values, too.
    classes : ndarray of shape (K,) or None
        Labels of the classes of probabilities and of raw scores, else None. A single raw score
        separates two classes, of which it speaks for the second.
    output_names : list of str of length K
        Names the model or its answers give; class labels, ``"label_0"`` and so on, or
        ``"output"`` otherwise.
    torch_module : bool
        Whether the model lives in torch and outputs are tensors.
    takes : {"rows", "tokens", "texts", "images"}
        What it is fed with: tables, arrays and tensors as they are; batches of token ids;
        object arrays of strings; or arrays of images that an image processor prepares.
    """

    classes: np.ndarray | None
    output_names: list[str]
    torch_module: bool
    _call: Call = field(repr=False)
    _meaning: Meaning = field(repr=False)
    _columns: int = field(repr=False)
    takes: str = "rows"

    @property
    def kind(self) -> str:
        """Whether outputs are classes, independent labels or real values."""
        return self._meaning.kind

    @property
    def n_outputs(self) -> int:
        """Number of outputs ``K``."""
        return len(self.output_names)

    @property
    def read_as(self) -> str:
        """What the answers are, as ``output=`` of `make_predictor` has it."""
        return self._meaning.output

    @property
    def reason(self) -> str:
        """How it is known what the answers are."""
        return self._meaning.reason

    @property
    def device(self) -> torch.device | None:
        """Device the torch module is on now; None for models outside torch."""
        # asked anew each time, because the user may move the module
        return getattr(self._call, "device", None)

    @property
    def dtype(self) -> torch.dtype | None:
        """Floating type the torch module computes in; None if it has none, or outside torch."""
        return getattr(self._call, "dtype", None)

    def input_dtype(self, given: np.dtype) -> torch.dtype:
        """Type in which the torch module gets rows of a table of some NumPy type.

        Parameters
        ----------
        given : numpy.dtype

        Returns
        -------
        torch.dtype
            Whole numbers as they are, if the module takes them; others in the module's own
            floating type, or in their own for a module without any.
        """
        return self.call.input_dtype(given)

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
            A float64 ndarray; of a torch module a tensor on its device, float64 if it answers
            in that and float32 otherwise.

        Raises
        ------
        ValueError
            The model answers something other than a row of numbers for each row of `X`, or
            leaves the range in which its answers are read.
        """
        if n_rows(X) == 0:
            # many models refuse an empty table, though its answer is plain
            if self.torch_module:
                return torch.empty((0, self.n_outputs), device=self.device)
            return np.empty((0, self.n_outputs))
        answers = self._call(X, self._columns)
        if not getattr(answers, "is_meta", False):
            self._meaning.check(answers, self._rounding())
        return apply_link(answers, self._meaning.link)

    def _rounding(self) -> float:
        """Relative rounding error of the type a torch module computes in."""
        dtype = self.dtype
        return 0.0 if dtype is None else torch.finfo(dtype).eps


def _default_names(meaning: Meaning, n_outputs: int) -> list[str]:
    """Return names of the outputs where the model has none."""
    classes = meaning.classes
    if classes is not None and len(classes) == n_outputs:
        return [str(label) for label in classes.tolist()]
    if classes is not None and n_outputs == 1 and len(classes) == 2:
        return [str(classes.tolist()[1])]
    if meaning.kind == "multilabel":
        return [f"label_{k}" for k in range(n_outputs)]
    if n_outputs == 1:
        return ["output"]
    return [f"output_{k}" for k in range(n_outputs)]


def _checked_classes(meaning: Meaning, n_outputs: int) -> np.ndarray | None:
    """Labels of the classes, as many as there are outputs; None for other outputs."""
    if meaning.kind != "classification" and meaning.output != "margin":
        return None
    if meaning.classes is None:
        return None if n_outputs == 1 else np.arange(n_outputs)
    classes = np.array(meaning.classes)
    if len(classes) == 1:
        raise ValueError(
            f"the model knows the single class {classes.tolist()[0]!r}, so that its answer "
            "never changes; train it on rows of at least two classes"
        )
    if classes.shape != (n_outputs,) and not (n_outputs == 1 and len(classes) == 2):
        raise ValueError(
            f"the model has {len(classes)} labels in classes_ but answered {n_outputs} "
            "columns; wanted one column for each class"
        )
    return classes


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
    classes = _checked_classes(meaning, n_outputs)
    names = _default_names(replace(meaning, classes=classes), n_outputs)
    # the names of a body whose head was replaced are not the head's
    if meaning.names is not None and len(meaning.names) == n_outputs:
        names = list(meaning.names)
    return Predictor(
        classes=classes,
        output_names=names,
        torch_module=torch_module,
        _call=call,
        _meaning=meaning,
        _columns=columns,
        takes=takes,
    )


def with_names(predictor: Predictor, names: Sequence[str] | None) -> Predictor:
    """Give a predictor's outputs the names that the user gives.

    Raises
    ------
    TypeError
        `names` is a single string.
    ValueError
        They are not one for each output, repeat, or give the model's own name of one output to
        another.
    """
    if names is None:
        return predictor
    if isinstance(names, str):
        raise TypeError(f"output_names must be a list of names, not the string {names!r}.")
    given = [str(name) for name in names]
    if len(given) != predictor.n_outputs:
        raise ValueError(
            f"output_names has {len(given)} names, but {predictor.n_outputs} outputs are "
            f"explained: {predictor.output_names}. Give one name for each."
        )
    if len(set(given)) < len(given):
        raise ValueError(f"output_names repeats a name: {given}. Give each output its own.")
    own = _own_names(predictor)
    first = len(own) - predictor.n_outputs  # a single score speaks for the second of two classes
    for place, name in enumerate(given):
        if name in own and own[first + place] != name:
            raise ValueError(
                f"output_names gives the name {name!r} to the output that the model calls "
                f"{own[first + place]!r}: its own names are {own[first:]}, in this order. Give the "
                "names in the order of the outputs, or names that the model has not."
            )
    return replace(predictor, output_names=given)


def _own_names(predictor: Predictor) -> list[str]:
    """Names that the model or its answers give, of both classes for a single score; or none."""
    meaning = predictor._meaning
    known = predictor.classes if meaning.classes is not None else None
    if meaning.names is not None and len(meaning.names) == predictor.n_outputs:
        return list(meaning.names)
    return [] if known is None else [str(label) for label in known.tolist()]
