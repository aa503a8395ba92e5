"""Torch modules: called in evaluation mode, without gradients, on their own device.

The module is left exactly as it was found: its mode, its gradients and its device.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import torch

from fastexplain.predictors._matrix import ask, check_shape, describe, n_rows, to_numeric
from fastexplain.predictors._meaning import declared, guessed
from fastexplain.predictors._predictor import Predictor, build_predictor

__all__ = ["TorchCall", "read_torch"]


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
    through = np.float64 if dtype == torch.float64 else np.float32
    try:
        # a copy, because a module may work in place, and X may be read-only or reversed
        values = np.array(values, dtype=through, order="C")
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"a torch module needs numeric columns; got {describe(X)} with others. Encode them "
            "first, or pass a function that does so as the model"
        ) from error
    return torch.from_numpy(values).to(device=device, dtype=dtype)


def _main_tensor(answer: Any) -> torch.Tensor:
    """Tensor that holds the predictions in a module's answer."""
    # answers with named parts, as in language models, call the predictions logits
    named = getattr(answer, "logits", None)
    if isinstance(named, torch.Tensor):
        answer = named
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
    return answer


@dataclass(frozen=True, eq=False)
class TorchCall:
    """Raw answers of a torch module, as tensors on its device."""

    module: torch.nn.Module

    def _place(self) -> torch.device | None:
        """Device of the first parameter or buffer; None for a module without any."""
        tensors = chain(self.module.parameters(), self.module.buffers())
        return next((tensor.device for tensor in tensors), None)

    def _dtype(self) -> torch.dtype | None:
        """Type of the first floating-point parameter or buffer; None without any."""
        tensors = chain(self.module.parameters(), self.module.buffers())
        return next((tensor.dtype for tensor in tensors if tensor.is_floating_point()), None)

    @property
    def device(self) -> torch.device:
        """Device of the module; the CPU if it has neither parameters nor buffers."""
        return self._place() or torch.device("cpu")

    def _input(self, X: Any) -> torch.Tensor:
        dtype = self._dtype()
        if not isinstance(X, torch.Tensor):
            return _to_tensor(X, dtype or torch.float32, self.device)
        # whole numbers may be indices of an embedding, so that they keep their type; and a
        # module without parameters works wherever its input is
        return X.to(
            device=self._place() or X.device,
            dtype=dtype if dtype is not None and X.is_floating_point() else X.dtype,
        )

    def answer(self, X: Any, columns: int | None = None) -> torch.Tensor:
        """Return the module's answer of shape (B, C) in the type it came in."""
        inputs = self._input(X)
        # no_grad rather than inference_mode: a tensor that the module keeps from this call,
        # such as a cached encoding, must stay usable in later training
        with torch.no_grad(), _evaluation_mode(self.module):
            answer = _main_tensor(ask(self.module, inputs)).detach()
        return answer.reshape(check_shape(tuple(answer.shape), n_rows(X), columns))

    def __call__(self, X: Any, columns: int | None = None) -> torch.Tensor:
        """Return the module's answer of shape (B, C), ready for a link."""
        answer = self.answer(X, columns)
        # softmax in half precision would lose digits; double precision is kept until after it
        dtype = answer.dtype if answer.dtype == torch.float64 else torch.float32
        return answer.to(device=self._place() or answer.device, dtype=dtype)


def read_torch(module: torch.nn.Module, sample: Any, output: str) -> tuple[Predictor, str | None]:
    """Predictor of a torch module.

    Parameters
    ----------
    module : torch.nn.Module
        The model.
    sample : tensor, ndarray or data frame of shape (B, p)
        Rows to probe it with.
    output : str
        One of `CHOICES`.

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
    call = TorchCall(module)
    answer = call.answer(sample)
    # sums of probabilities are only as exact as the type they were computed in
    rounding = torch.finfo(answer.dtype).eps if answer.is_floating_point() else 0.0
    values = answer.double().cpu().numpy()
    if output == "auto":
        meaning = guessed(values, torch_module=True, rounding=rounding)
    else:
        meaning = declared(values, output, rounding)
    return build_predictor(call, meaning, values.shape[1], torch_module=True), meaning.doubt
