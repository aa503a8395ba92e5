"""Networks and their saved weights: shapes are compared before memory is taken."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from fastexplain.networks import ImageTrunk, TabularNetwork, TextTrunk
from fastexplain.networks._players import CosineHead
from fastexplain.networks._tabular import NumericEmbedding

__all__ = [
    "WeightsError",
    "check_finite",
    "check_outline",
    "check_shape",
    "fill_network",
    "weights_of",
]

# their buffers are columns, quantiles, channels, embeddings and classes, which the reader has
_OF_READERS = (TabularNetwork, NumericEmbedding, ImageTrunk, TextTrunk, CosineHead)

Tensors = dict[str, torch.Tensor]


class WeightsError(ValueError):
    """Weights that are not those of the description beside them."""


def weights_of(network: nn.Module) -> Tensors:
    """What a folder holds of a network: all that does not follow from its description."""
    follows = _following(network)
    return {name: t for name, t in network.state_dict().items() if name not in follows}


def _following(network: nn.Module) -> set[str]:
    """Names of buffers that a network is given by what reads the samples."""
    found = set()
    for prefix, part in network.named_modules():
        if isinstance(part, _OF_READERS):
            own = part.named_buffers(recurse=False)
            found |= {f"{prefix}.{name}" if prefix else name for name, _ in own}
    return found


def fill_network(
    build: Callable[[], nn.Module],
    weights: Tensors,
    n_layers: int,
    owner: str,
    outline: bool = True,
) -> nn.Module:
    """Make a network, and give it weights that are seen to be its own.

    Its outline, which takes no memory, is compared with the weights first, so that no
    description asks for more than the file that comes with it.

    Parameters
    ----------
    build : callable
        Makes the network.
    weights : dict of tensors
        Of ``weights_of``.
    n_layers : int
        Blocks and layers that ``build`` makes at least: each has weights of its own.
    owner : str
        What the weights are to belong to, for messages.
    outline : bool, default=True
        Whether to look at an outline first. Copies of the user's own model have none, and take
        weights of another precision than the model now has.

    Raises
    ------
    WeightsError
        If names, shapes or types are others, or numbers are not finite.
    """
    if outline:
        check_outline(build, weights, n_layers, owner)
    network = build()
    if not outline:
        _check_alike(weights, weights_of(network), owner, same_dtypes=False)
    own = network.state_dict()
    for name, tensor in weights.items():
        # a copy of the user's model may hold what is not finite, such as masks of minus infinity
        if tensor.is_floating_point() and not _finite_where(tensor, own[name]):
            raise WeightsError(f"the weights {name!r} are not finite")
    network.load_state_dict({**own, **weights})
    return network


def check_outline(
    build: Callable[[], nn.Module], weights: Tensors, n_layers: int, owner: str, without: str = ""
) -> None:
    """Compare weights with the outline of a network, for which no memory is taken.

    Parameters
    ----------
    build, weights, n_layers, owner
        See `fill_network`.
    without : str, optional
        Names that hold this are left out.

    Raises
    ------
    WeightsError
        If names, shapes or types are others.
    """
    if n_layers > len(weights):
        raise WeightsError(
            f"the weights do not belong to {owner}: there are {len(weights)} arrays, and "
            f"{n_layers} layers"
        )
    with torch.device("meta"):
        wanted = weights_of(build())
    if without:
        wanted, weights = (
            {name: tensor for name, tensor in some.items() if without not in name}
            for some in (wanted, weights)
        )
    _check_alike(weights, wanted, owner, same_dtypes=True)


def _check_alike(weights: Tensors, wanted: Tensors, owner: str, same_dtypes: bool) -> None:
    for name in sorted(wanted.keys() ^ weights.keys()):
        what = "lacks" if name in wanted else "has"
        raise WeightsError(f"the weights do not belong to {owner}: it {what} {name!r}")
    for name, tensor in weights.items():
        own = wanted[name]
        if tensor.shape != own.shape or (same_dtypes and tensor.dtype != own.dtype):
            found = f"{tuple(tensor.shape)} of {tensor.dtype}"
            raise WeightsError(
                f"the weights do not belong to {owner}: {name!r} is {found}, and should be "
                f"{tuple(own.shape)} of {own.dtype}"
            )


def _finite_where(tensor: torch.Tensor, own: torch.Tensor) -> bool:
    """Whether numbers are finite where the network's own, as made, are."""
    finite = torch.isfinite(tensor)
    return bool(finite.all()) or bool((finite | ~torch.isfinite(own.to(tensor.device))).all())


def check_finite(tensors: Tensors) -> None:
    """Raise WeightsError if a number in a tensor is NaN or infinite."""
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise WeightsError(f"the numbers {name!r} are not finite")


def check_shape(tensors: Tensors, name: str, shape: tuple[int | None, ...]) -> torch.Tensor:
    """Take a tensor of floats of some shape, None standing for any size of at least 1.

    Raises
    ------
    WeightsError
        If it is missing or another.
    """
    tensor: Any = tensors.pop(name, None)
    if tensor is None:
        raise WeightsError(f"it lacks {name!r}")
    fits = tensor.ndim == len(shape) and tensor.is_floating_point()
    sides = zip(tensor.shape, shape, strict=True) if fits else ()
    if not fits or any(side < 1 if want is None else side != want for side, want in sides):
        raise WeightsError(
            f"{name!r} has the shape {tuple(tensor.shape)} of {tensor.dtype}, wanted are floats "
            f"of shape {shape}"
        )
    check_finite({name: tensor})
    return tensor
