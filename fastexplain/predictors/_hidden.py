"""A torch module's hidden states beside its answers, from one pass."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import numpy as np
import torch

from fastexplain.predictors._predictor import Predictor
from fastexplain.predictors._torch import TorchCall

__all__ = [
    "check_open",
    "class_weights",
    "copied",
    "hidden_states",
    "in_proportion",
    "stage_layers",
    "token_grid",
    "trained_states",
]

# hooks stand on the user's module for the time of a call: one call at a time has them
_LOCK = threading.Lock()
# a grid that still tells where something is, and grids that are read together
_FEWEST_CELLS, _MOST_STAGES = 4, 4
_TELLS_NOT = (
    "The model does not tell its last hidden state, as those of Hugging Face without a decoder "
    "do: name the layers to read, as in network=['layer3', 'layer4']."
)


def hidden_states(
    predictor: Predictor, inputs: Any, layers: list[str] | None
) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Ask a torch module, and keep what some of its layers answered on the way.

    Parameters
    ----------
    predictor : Predictor
        Of a torch module.
    inputs : tensor, ndarray or TokenBatch of B samples
    layers : list of str or None
        Names of submodules, as ``named_modules`` has them. None: the last hidden state of a
        model that tells its hidden states, as those of Hugging Face do: that of the body on
        which its head sits.

    Returns
    -------
    outputs : tensor of shape (B, K)
    states : list of tensors, of shape (B, L, d) or (B, d, h, w) each
        Of texts, shorter ones are padded with zeros to the longest, at the side of their
        padding.

    Raises
    ------
    ValueError
        For a model outside torch, unknown layers, or a model that tells no hidden states.
    """
    module = predictor.module
    if module is None:
        raise ValueError(
            "Hidden states are those of a torch module; the model is none. Choose another network=."
        )
    batches = predictor.batches(inputs)
    parts = _asked(predictor, module, layers, inputs, batches)
    found = [[state.detach() for state in states] for _, states in parts]
    if _is_plain(batches):
        return parts[0][0], found[0]
    back = torch.from_numpy(np.argsort(np.concatenate(batches)))
    outputs = torch.cat([part[0] for part in parts])
    at_left = getattr(inputs, "start", None) is not None
    states = [_joined(list(own), at_left) for own in zip(*found, strict=True)]
    return outputs[back.to(outputs.device)], [state[back.to(state.device)] for state in states]


def trained_states(
    call: TorchCall, inputs: torch.Tensor, layers: list[str] | None
) -> list[torch.Tensor]:
    """What layers of a module of one's own answer, with gradients where these are on.

    Parameters
    ----------
    call : TorchCall
        As ``TorchCall.copy`` makes it.
    inputs : tensor of B images
    layers : list of str or None

    Returns
    -------
    list of tensors, as of ``hidden_states``
    """
    parts = _asked(call.run, call.module, layers, inputs, call.batches(inputs))
    return [_joined(list(own)) for own in zip(*(states for _, states in parts), strict=True)]


def _asked(
    ask: Callable[[Any], Any],
    module: torch.nn.Module,
    layers: list[str] | None,
    inputs: Any,
    batches: list[np.ndarray],
) -> list[tuple[Any, list[torch.Tensor]]]:
    """What a module answers to each batch, and its layers on the way."""
    # one call in the order of the inputs, which need not be copied then
    plain, parts = _is_plain(batches), []
    with _LOCK, _listening(module, layers) as kept:
        for rows in batches:
            answer = ask(inputs if plain else inputs[rows])
            parts.append((answer, _found(kept, layers, len(rows))))
            kept.clear()
    return parts


def _is_plain(batches: list[np.ndarray]) -> bool:
    return len(batches) == 1 and np.array_equal(batches[0], np.arange(len(batches[0])))


def check_open(predictor: Predictor) -> None:
    """Refuse modules whose layers cannot be listened to."""
    if isinstance(predictor.module, torch.jit.ScriptModule):
        raise ValueError(
            "The model is a scripted module (torch.jit), whose layers can be neither listened to "
            "nor copied. Give the module that it was made of, or choose another network=."
        )


def copied(call: TorchCall) -> TorchCall:
    """The same call of a copy, taken while no hook of this module stands on the model."""
    with _LOCK:
        return call.copy()


def stage_layers(predictor: Predictor, inputs: Any, size: tuple[int, int]) -> list[str] | None:
    """Layers of a torch module that see an image best: the last one at each size of its grid.

    Parameters
    ----------
    predictor : Predictor
        Of a torch module.
    inputs : tensor or ndarray of few images
    size : (int, int)
        Height and width of the images.

    Returns
    -------
    list of str or None
        Of the four coarsest grids of more than a few cells, the finest first; of a model whose
        last states are those of tokens, the layer that gives them. None for models that tell
        their last hidden state themselves.

    Raises
    ------
    ValueError
        If no layer answers with states of places or tokens.
    """
    module = predictor.module
    assert module is not None
    with suppress(ValueError):
        # what tells no states is looked into
        _body_of(module)
        return None
    found: dict[str, tuple[int, ...]] = {}
    here = threading.get_ident()

    def keep(name: str) -> Callable[..., None]:
        def hook(part: torch.nn.Module, args: Any, answer: Any) -> None:
            if threading.get_ident() != here or not isinstance(answer, torch.Tensor):
                return
            cells = _cells_of(answer, len(inputs), size)
            if math.prod(cells) >= _FEWEST_CELLS:
                # in the order in which they are last called
                found.pop(name, None)
                found[name] = cells

        return hook

    with _LOCK, ExitStack() as hooks:
        for name, part in module.named_modules():
            if name:
                hooks.callback(part.register_forward_hook(keep(name)).remove)
        predictor(inputs)
    if not found:
        raise ValueError(_TELLS_NOT)
    last = list(found)[-1]
    if len(found[last]) == 1:
        return [last]
    # later layers at one size replace earlier ones
    stages = {cells: name for name, cells in found.items() if len(cells) == 2}
    return list(stages.values())[-_MOST_STAGES:]


def token_grid(predictor: Predictor, inputs: Any) -> tuple[int, int] | None:
    """Rows and columns of a model's image tokens, where its configuration tells their size.

    What else there is of tokens, for classes or as registers, comes first.
    """
    patch = getattr(getattr(predictor.module, "config", None), "patch_size", None)
    sides = (patch, patch) if isinstance(patch, int) else patch
    if not isinstance(sides, tuple | list) or len(sides) != 2:
        return None
    see = getattr(predictor.call, "seen_size", None)
    size = tuple(inputs.shape[-2:]) if see is None else see(inputs)
    return None if size is None else (size[0] // sides[0], size[1] // sides[1])


def _cells_of(answer: torch.Tensor, n: int, size: tuple[int, int]) -> tuple[int, ...]:
    """Grid (h, w) or tokens (L,) of an answer to n images; (0,) if it holds neither.

    A grid has the proportions of the image: channels may stand last, and windows or heads where
    the images should.
    """
    if answer.ndim not in (3, 4) or len(answer) != n:
        return (0,)
    if answer.ndim == 3:
        return (answer.shape[1],)
    height, width = answer.shape[2:]
    return (height, width) if in_proportion(height, width, size) else (0,)


def in_proportion(rows: int, columns: int, size: tuple[int, int]) -> bool:
    """Whether a grid has the proportions of images of a size, as far as whole cells allow."""
    return abs(rows * size[1] - columns * size[0]) <= max(size)


def _found(kept: dict[str, Any], layers: list[str] | None, n: int) -> list[torch.Tensor]:
    """States of n samples that were kept, in the order in which the layers are named."""
    names = ["last"] if layers is None else layers
    silent = [name for name in names if name not in kept]
    if silent and layers is None:
        raise ValueError(_TELLS_NOT)
    if silent:
        raise ValueError(
            f"The model's layer {silent[0]!r} was not called for these samples, or only its parts "
            "were. Name another layer in network=."
        )
    states = [_state(kept[name]) for name in names]
    for name, state in zip(names, states, strict=True):
        if len(state) != n:
            raise ValueError(
                f"The model's layer {name!r} answered {tuple(state.shape)} to {n} samples: its "
                "first axis must be theirs (windows or heads stand there?). Name another layer in "
                "network=."
            )
    return states


@contextmanager
def _listening(module: torch.nn.Module, layers: list[str] | None) -> Iterator[dict[str, Any]]:
    """Keep what layers answer, by name, as long as the context lasts."""
    kept: dict[str, Any] = {}
    handles = []
    here = threading.get_ident()

    def keep(name: str) -> Callable[..., None]:
        def hook(part: torch.nn.Module, args: Any, answer: Any) -> None:
            # another thread may call the user's module at the same time
            if threading.get_ident() == here:
                kept[name] = answer

        return hook

    def ask_for_states(part: torch.nn.Module, args: Any, kwargs: dict[str, Any]) -> Any:
        if threading.get_ident() == here:
            return args, kwargs | {"output_hidden_states": True}
        return None

    def keep_last(part: torch.nn.Module, args: Any, answer: Any) -> None:
        if threading.get_ident() == here:
            kept["last"] = _last(answer)

    try:
        body = _body_of(module) if layers is None else None
        if body is not None:
            # no more than is needed: asked for its states, a model keeps those of all layers
            handles.append(body.register_forward_hook(keep("last")))
        elif layers is None:
            handles.append(module.register_forward_pre_hook(ask_for_states, with_kwargs=True))
            handles.append(module.register_forward_hook(keep_last))
        else:
            known = dict(module.named_modules())
            for name in layers:
                if name not in known:
                    some = [n for n in known if n][:20]
                    raise ValueError(
                        f"The model has no layer {name!r}; its layers are called {some} and so on "
                        "(model.named_modules())."
                    )
                handles.append(known[name].register_forward_hook(keep(name)))
        yield kept
    finally:
        for handle in handles:
            handle.remove()


def _body_of(module: torch.nn.Module) -> torch.nn.Module | None:
    """The part of a Hugging Face model below its head, where it can be named.

    A decoder's states are not those of the tokens that went in: its model is refused.
    """
    config = getattr(module, "config", None)
    if not hasattr(config, "output_hidden_states") or getattr(config, "is_encoder_decoder", False):
        raise ValueError(_TELLS_NOT)
    body = getattr(module, getattr(module, "base_model_prefix", "") or "base_model", None)
    return body if isinstance(body, torch.nn.Module) and body is not module else None


def _last(answer: Any) -> torch.Tensor:
    states = getattr(answer, "hidden_states", None)
    if not isinstance(states, tuple | list) or not states:
        raise ValueError(
            f"The model answered {type(answer).__name__} without hidden_states; name the layers "
            "to read in network=."
        )
    return states[-1]


def _state(answer: Any) -> torch.Tensor:
    """The tensor of a layer's answer, (B, L, d) or (B, d, h, w)."""
    answer = answer[0] if isinstance(answer, tuple) and answer else answer
    answer = getattr(answer, "last_hidden_state", answer)
    if not isinstance(answer, torch.Tensor) or answer.ndim not in (3, 4):
        shape = tuple(getattr(answer, "shape", ()))
        raise ValueError(
            f"A layer answered {type(answer).__name__} of shape {shape}; wanted states of tokens "
            "(B, L, d) or of places (B, d, h, w). Name another layer in network=."
        )
    return answer


def _joined(states: list[torch.Tensor], at_left: bool = False) -> torch.Tensor:
    """States of several batches below each other, padded to the longest, at the left or right."""
    if len(states) == 1:
        return states[0]
    if states[0].ndim == 4:
        return torch.cat(states)
    longest = max(state.shape[1] for state in states)
    missing = [longest - state.shape[1] for state in states]
    sides = [(blank, 0) if at_left else (0, blank) for blank in missing]
    pad = torch.nn.functional.pad
    return torch.cat([pad(state, (0, 0, *side)) for state, side in zip(states, sides, strict=True)])


def class_weights(predictor: Predictor) -> torch.Tensor | None:
    """Weights (K, d) of a torch module's last linear layer with as many outputs as classes.

    None for other models: those whose head is none such.
    """
    module = predictor.module
    if module is None:
        return None
    heads = [
        part
        for part in module.modules()
        if isinstance(part, torch.nn.Linear) and part.out_features == predictor.n_outputs
    ]
    return heads[-1].weight.detach().float().cpu() if heads else None
