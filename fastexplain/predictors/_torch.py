"""Torch modules: called in evaluation mode, without gradients, on their own device.

The module is left exactly as it was found: its mode, its gradients and its device.
"""

from __future__ import annotations

import copy
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import numpy as np
import torch

from fastexplain.predictors._answers import Select, part_of, settled
from fastexplain.predictors._config import label_names, meaning_of_logits
from fastexplain.predictors._matrix import (
    ask,
    check_shape,
    describe,
    n_rows,
    native_numbers,
    to_numeric,
)
from fastexplain.predictors._meaning import declared, guessed
from fastexplain.predictors._predictor import Predictor, build_predictor

__all__ = ["Answers", "TorchCall", "main_tensor", "read_call", "read_torch"]

# Modules that a call holds in evaluation mode, and how many calls do: the first one sets the
# mode and the last one restores it, so that threads may share a module in training.
_held: weakref.WeakKeyDictionary[torch.nn.Module, int] = weakref.WeakKeyDictionary()
_held_guard = threading.Lock()


@contextmanager
def _evaluation_mode(module: torch.nn.Module) -> Iterator[None]:
    """Put every submodule into evaluation mode and restore each one's own mode after.

    A module that is in evaluation mode throughout is not touched. The flags are set one by
    one: ``module.train()`` may be overridden to do more than set flags, and would forget the
    layers that were frozen in evaluation mode.
    """
    mine = []
    with _held_guard:
        for part in module.modules():
            if part in _held:
                _held[part] += 1
                mine.append(part)
            elif part.training:
                part.training = False
                _held[part] = 1
                mine.append(part)
    try:
        yield
    finally:
        with _held_guard:
            for part in mine:
                _held[part] -= 1
                if not _held[part]:
                    del _held[part]
                    part.training = True


def _to_tensor(X: Any) -> torch.Tensor:
    """Tensor of a numeric table in its own type; a copy, as a module may work in place."""
    values = native_numbers(to_numeric(X))
    if values is None:
        raise TypeError(
            f"a torch module needs numeric columns; got {describe(X)} with others. Encode them "
            "first, or pass a function that does so as the model"
        )
    return torch.from_numpy(values)


def main_tensor(answer: Any, rows: int, select: Select = None) -> tuple[torch.Tensor, bool]:
    """Tensor that holds the predictions in a module's answer, and whether it is named logits."""
    # answers with named parts, as in language models, call the predictions logits
    logits = getattr(answer, "logits", None)
    found = answer
    if select is not None or not isinstance(logits, torch.Tensor):
        found = part_of(answer, rows, select)
    else:
        found = logits
    if not isinstance(found, torch.Tensor):
        keys = f" with keys {sorted(map(str, found))}" if isinstance(found, dict) else ""
        raise ValueError(
            f"the torch module answered {describe(found)}{keys}; wanted a tensor, an object with "
            ".logits, or a tuple, list or dict with one tensor that has a row for each sample. "
            "Say with select= which part is explained, or wrap the module"
        )
    if found.layout is not torch.strided or found.is_complex():
        raise ValueError(
            f"the torch module answered {describe(found)} with the layout {found.layout}; "
            "wanted a dense real tensor of shape (rows,) or (rows, outputs)"
        )
    return found.detach(), found is logits or (isinstance(answer, dict) and select == "logits")


@dataclass(frozen=True, eq=False)
class Answers:
    """What a module answered to the parts of a batch.

    Attributes
    ----------
    parts : list of (object, int)
        Each answer, and for how many samples it is.
    order : int tensor of shape (B,) or None
        Place of each sample among those of the parts; None where they are in order.
    """

    parts: list[tuple[Any, int]]
    order: torch.Tensor | None = None

    def joined(self, select: Select, columns: int | None) -> tuple[torch.Tensor, bool]:
        """Return the predictions of shape (B, C), and whether the module calls them logits."""
        found = [main_tensor(answer, rows, select) for answer, rows in self.parts]
        rows = [count for _, count in self.parts]
        # one sample's answer may lack its first axis: a larger part tells what that was
        largest = max(range(len(rows)), key=rows.__getitem__)
        _, columns = check_shape(tuple(found[largest][0].shape), rows[largest], columns)
        shaped = [
            answer.reshape(check_shape(tuple(answer.shape), count, columns))
            for (answer, _), count in zip(found, rows, strict=True)
        ]
        answers = shaped[0] if len(shaped) == 1 else torch.cat(shaped)
        if self.order is not None:
            answers = answers[self.order.to(answers.device)]
        return answers, found[0][1]

    def settled(self, select: Select) -> Select:
        """Return which part of such answers is explained; None for answers without parts."""
        answer, rows = self.parts[0]
        if select is None and isinstance(getattr(answer, "logits", None), torch.Tensor):
            return None
        return settled(answer, rows, select)


@dataclass(frozen=True, eq=False)
class TorchCall:
    """Raw answers of a torch module, as tensors on its device.

    Attributes
    ----------
    module : torch.nn.Module
    select : str, int, callable or None
        Which part of an answer of several parts is explained.
    keeps_whole : bool
        Whether whole numbers reach the module as such, as embeddings want them, and not in its
        floating type.
    """

    module: torch.nn.Module
    select: Select = None
    keeps_whole: bool = True

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

    def input_dtype(self, given: np.dtype) -> torch.dtype:
        """Type in which the module gets rows of a table of some NumPy type."""
        if given.kind == "f" or not self.keeps_whole:
            return self.dtype or (torch.float64 if given.itemsize >= 8 else torch.float32)
        return torch.bool if given.kind == "b" else torch.int64

    def _input(self, X: Any) -> torch.Tensor:
        dtype = self.dtype
        if isinstance(X, torch.Tensor):
            # whole numbers may be indices of an embedding, so that they keep their type; bytes
            # are the values of images, never indices: embeddings refuse them
            keep = not X.is_floating_point() and X.dtype != torch.uint8
            wanted = X.dtype if keep or dtype is None else dtype
            wanted = torch.float32 if wanted == torch.uint8 else wanted
        elif getattr(X, "ndim", 2) > 2:
            # images: pixels are values, whatever their type
            X = _to_tensor(X)
            wanted = dtype or (X.dtype if X.dtype == torch.float64 else torch.float32)
        else:
            X = _to_tensor(X)
            wanted = self.input_dtype(X.numpy().dtype)
        # a module without parameters works wherever its input is
        return X.to(device=self._place() or X.device, dtype=wanted)

    def raw(self, X: Any) -> Answers:
        """Return the module's answers as they come."""
        return Answers([(ask(self.module, self._input(X)), n_rows(X))])

    def batches(self, X: Any) -> list[np.ndarray]:
        """Samples of each call of the module: all at once, unless a subclass knows better."""
        return [np.arange(n_rows(X))]

    def run(self, X: Any) -> None:
        """Call the module as it is, gradients and mode included, for what its layers answer."""
        self.raw(X)

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

    def ask(self, X: Any) -> Answers:
        """Return the answers of the module in evaluation mode, without gradients."""
        # no_grad rather than inference_mode: a tensor that the module keeps from this call,
        # such as a cached encoding, must stay usable in later training
        with torch.no_grad(), _evaluation_mode(self.module):
            return self.raw(X)

    def __call__(self, X: Any, columns: int | None = None) -> torch.Tensor:
        """Return the module's answer of shape (B, C), ready for a link."""
        answer, _ = self.ask(X).joined(self.select, columns)
        # softmax in half precision would lose digits; double precision stays
        dtype = answer.dtype if answer.dtype == torch.float64 else torch.float32
        return answer.to(device=self._place() or answer.device, dtype=dtype)


def read_call(
    call: TorchCall, sample: Any, output: str, takes: str, rows: np.ndarray | None = None
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
    rows : int ndarray, optional
        Positions of the samples in ``X``, for messages.

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
    call, answers = _asked(call, sample)
    call = replace(call, select=answers.settled(call.select))
    answer, logits = answers.joined(call.select, None)
    # sums of probabilities are only as exact as the type they were computed in
    rounding = torch.finfo(answer.dtype).eps if answer.is_floating_point() else 0.0
    values = answer.double().cpu().numpy()
    meaning = meaning_of_logits(call.module, values, output, rounding) if logits else None
    if meaning is None and output == "auto":
        meaning = guessed(values, torch_module=True, rounding=rounding, rows=rows)
    elif meaning is None:
        meaning = declared(values, output, rounding)
    meaning = replace(meaning, names=label_names(call.module))
    predictor = build_predictor(call, meaning, values.shape[1], torch_module=True, takes=takes)
    return predictor, meaning.doubt


def _asked(call: TorchCall, sample: Any) -> tuple[TorchCall, Answers]:
    """Ask for the sample's answers, and find out how the module wants whole numbers.

    They reach it as they are, or in its floating type where it takes no others. Bytes are tried
    the other way round: they are most often values.
    """
    if isinstance(sample, torch.Tensor):
        call = replace(call, keeps_whole=sample.dtype != torch.uint8)
        return call, call.ask(sample)
    dtype = getattr(sample, "dtype", None)
    if call.dtype is None or (isinstance(dtype, np.dtype) and dtype.kind not in "biu"):
        return call, call.ask(sample)
    bytes_first = dtype == np.uint8
    first, second = (replace(call, keeps_whole=whole != bytes_first) for whole in (True, False))
    try:
        return first, first.ask(sample)
    except (RuntimeError, TypeError, IndexError) as error:
        try:
            return second, second.ask(sample)
        except (RuntimeError, TypeError, IndexError):
            # the first error is about the numbers as the user gave them
            raise error from None


def read_torch(
    module: torch.nn.Module,
    sample: Any,
    output: str,
    select: Select = None,
    rows: np.ndarray | None = None,
) -> tuple[Predictor, str | None]:
    """Predictor of a torch module that takes tensors as they are; see `read_call`."""
    return read_call(TorchCall(module, select), sample, output, "rows", rows)
