"""Torch modules: called in evaluation mode, without gradients, on their own device.

The module is left exactly as it was found: its mode, its gradients and its device.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import numpy as np
import torch

from fastexplain.predictors._config import label_names, meaning_of_logits
from fastexplain.predictors._matrix import ask, check_shape, describe, n_rows, to_numeric
from fastexplain.predictors._meaning import declared, guessed
from fastexplain.predictors._predictor import Predictor, build_predictor

__all__ = ["TorchCall", "join_answers", "main_tensor", "read_call", "read_torch"]


@contextmanager
def _evaluation_mode(module: torch.nn.Module) -> Iterator[None]:
    """Put every submodule into evaluation mode and restore each one's own mode after.

    A module that is in evaluation mode throughout is not touched, so that threads may share
    it. The flags are set one by one: ``module.train()`` may be overridden to do more than
    set flags, and would forget the layers that were frozen in evaluation mode.
    """
    training = [part for part in module.modules() if part.training]
    try:
        for part in training:
            part.training = False
        yield
    finally:
        for part in training:
            part.training = True


def _to_tensor(X: Any, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """Tensor of a numeric table, never sharing memory with it."""
    values = to_numeric(X)
    # NumPy lacks bfloat16, so that smaller types go through single precision
    through: Any = np.float64 if dtype == torch.float64 else np.float32
    if values.dtype == np.uint8:
        through = np.uint8  # images travel to the device at a quarter of the size
    try:
        # a copy, because a module may work in place, and X may be read-only or reversed
        values = np.array(values, dtype=through, order="C")
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"a torch module needs numeric columns; got {describe(X)} with others. Encode them "
            "first, or pass a function that does so as the model"
        ) from error
    return torch.from_numpy(values).to(device=device, dtype=dtype)


def main_tensor(answer: Any) -> tuple[torch.Tensor, bool]:
    """Tensor that holds the predictions in a module's answer, and whether it is named logits."""
    # answers with named parts, as in language models, call the predictions logits
    logits = answer.get("logits") if isinstance(answer, dict) else getattr(answer, "logits", None)
    if isinstance(logits, torch.Tensor):
        answer = logits
    elif isinstance(answer, tuple) and answer:
        answer = answer[0]
    if not isinstance(answer, torch.Tensor):
        keys = f" with keys {sorted(map(str, answer))}" if isinstance(answer, dict) else ""
        raise ValueError(
            f"the torch module answered {describe(answer)}{keys}; wanted a tensor, a tuple that "
            "starts with one, or an object with .logits. Wrap the module in one that returns "
            "the predictions alone"
        )
    if answer.layout is not torch.strided or answer.is_complex():
        raise ValueError(
            f"the torch module answered {describe(answer)} with the layout {answer.layout}; "
            "wanted a dense real tensor of shape (rows,) or (rows, outputs)"
        )
    return answer.detach(), answer is logits


def join_answers(
    answers: list[tuple[torch.Tensor, bool]], rows: list[int], columns: int | None
) -> tuple[torch.Tensor, bool]:
    """Join what `main_tensor` found in the answers to several parts of a batch.

    Parameters
    ----------
    answers : list of (tensor, bool)
        Answers to the parts.
    rows : list of int
        Samples in each part.
    columns : int or None
        Number of columns of earlier answers, None for the first one.

    Returns
    -------
    answer : tensor of shape (B, C)
    logits : bool
    """
    shapes = [tuple(answer.shape) for answer, _ in answers]
    # one sample's answer may lack its first axis: a larger part tells what that was
    largest = max(range(len(rows)), key=rows.__getitem__)
    _, columns = check_shape(shapes[largest], rows[largest], columns)
    parts = [
        answer.reshape(check_shape(shape, count, columns))
        for (answer, _), shape, count in zip(answers, shapes, rows, strict=True)
    ]
    return torch.cat(parts), answers[0][1]


@dataclass(frozen=True, eq=False)
class TorchCall:
    """Raw answers of a torch module, as tensors on its device."""

    module: torch.nn.Module

    def _place(self) -> torch.device | None:
        """Device of the first parameter or buffer; None for a module without any."""
        tensors = chain(self.module.parameters(), self.module.buffers())
        return next((tensor.device for tensor in tensors), None)

    @property
    def dtype(self) -> torch.dtype | None:
        """Type of the first floating-point parameter or buffer; None without any."""
        tensors = chain(self.module.parameters(), self.module.buffers())
        return next((tensor.dtype for tensor in tensors if tensor.is_floating_point()), None)

    @property
    def device(self) -> torch.device:
        """Device of the module; the CPU if it has neither parameters nor buffers."""
        return self._place() or torch.device("cpu")

    def _input(self, X: Any) -> torch.Tensor:
        dtype = self.dtype
        if isinstance(X, torch.Tensor) and X.dtype == torch.uint8:
            # bytes are the values of images, never indices: embeddings refuse them
            X = X.to(dtype or torch.float32)
        if not isinstance(X, torch.Tensor):
            return _to_tensor(X, dtype or torch.float32, self.device)
        # whole numbers may be indices of an embedding, so that they keep their type; and a
        # module without parameters works wherever its input is
        return X.to(
            device=self._place() or X.device,
            dtype=dtype if dtype is not None and X.is_floating_point() else X.dtype,
        )

    def _forward(self, X: Any, columns: int | None) -> tuple[torch.Tensor, bool]:
        """Return the module's answer as it came, and whether the module calls it logits."""
        return main_tensor(ask(self.module, self._input(X)))

    def batches(self, X: Any) -> list[np.ndarray]:
        """Samples of each call of the module: all at once, unless a subclass knows better."""
        return [np.arange(n_rows(X))]

    def run(self, X: Any) -> None:
        """Call the module as it is, gradients and mode included, for what its layers answer."""
        self._forward(X, None)

    def copy(self) -> TorchCall:
        """The same call of a copy of the module, in single precision, all of it to be trained."""
        try:
            module = copy.deepcopy(self.module).float().eval()
        except Exception as error:
            raise ValueError(
                f"The model cannot be copied ({error}): choose a network= that needs no copy."
            ) from error
        # who listens to the model does not mean its copies
        for part in module.modules():
            part._forward_hooks.clear()
        for parameter in module.parameters():
            parameter.requires_grad_(parameter.is_floating_point())
        return replace(self, module=module)

    def answer(self, X: Any, columns: int | None = None) -> tuple[torch.Tensor, bool]:
        """Return the module's answer of shape (B, C) in the type it came in.

        Parameters
        ----------
        X : tensor, ndarray or data frame of shape (B, ...)
            What the module takes.
        columns : int or None, default=None
            Number of columns of earlier answers, None for the first one.

        Returns
        -------
        answer : tensor of shape (B, C)
        logits : bool
            Whether the module calls the answer logits.
        """
        # no_grad rather than inference_mode: a tensor that the module keeps from this call,
        # such as a cached encoding, must stay usable in later training
        with torch.no_grad(), _evaluation_mode(self.module):
            answer, logits = self._forward(X, columns)
        return answer.reshape(check_shape(tuple(answer.shape), n_rows(X), columns)), logits

    def __call__(self, X: Any, columns: int | None = None) -> torch.Tensor:
        """Return the module's answer of shape (B, C), ready for a link."""
        answer, _ = self.answer(X, columns)
        # softmax in half precision would lose digits; double precision is kept until after it
        dtype = answer.dtype if answer.dtype == torch.float64 else torch.float32
        return answer.to(device=self._place() or answer.device, dtype=dtype)


def read_call(
    call: TorchCall, sample: Any, output: str, takes: str
) -> tuple[Predictor, str | None]:
    """Predictor of a torch module that is called in some way.

    Parameters
    ----------
    call : TorchCall
        The module and how it is called.
    sample : object
        Samples to probe it with.
    output : str
        One of `CHOICES`.
    takes : {"rows", "tokens", "images"}
        What the call takes.

    Returns
    -------
    predictor : Predictor
    doubt : str or None
        What to warn about.

    Raises
    ------
    ValueError
        The answer is no tensor of shape (B,) or (B, C), or allows more than one reading.
    """
    answer, logits = call.answer(sample)
    # sums of probabilities are only as exact as the type they were computed in
    rounding = torch.finfo(answer.dtype).eps if answer.is_floating_point() else 0.0
    values = answer.double().cpu().numpy()
    meaning = meaning_of_logits(call.module, values, output, rounding) if logits else None
    if meaning is None and output == "auto":
        meaning = guessed(values, torch_module=True, rounding=rounding)
    elif meaning is None:
        meaning = declared(values, output, rounding)
    meaning = replace(meaning, names=label_names(call.module))
    predictor = build_predictor(call, meaning, values.shape[1], torch_module=True, takes=takes)
    return predictor, meaning.doubt


def read_torch(module: torch.nn.Module, sample: Any, output: str) -> tuple[Predictor, str | None]:
    """Predictor of a torch module that takes tensors as they are; see `read_call`."""
    return read_call(TorchCall(module), sample, output, "rows")
