"""Convolutional networks that keep their maps as fine as the players are, by dilation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

__all__ = ["finer", "finer_layers"]

Sizes = dict[str, tuple[tuple[int, int], tuple[int, int]]]
#: of layers by name: stride, padding and dilation that they are to have
Plan = dict[str, dict[str, list[int]]]

_WINDOWS = (nn.Conv2d, nn.MaxPool2d)
# rows of a map beside rows of players that are enough
_ENOUGH = 0.7
# of states that are to be the same
_TOLERANCE = 1e-3


def finer(module: nn.Module, plan: Plan) -> None:
    """Give layers the strides, paddings and dilations of a plan.

    Raises
    ------
    ValueError
        If the module has no such layers: it is not the one that the plan was made for.
    """
    parts = dict(module.named_modules())
    for name, settings in plan.items():
        layer = parts.get(name)
        if not isinstance(layer, _WINDOWS):
            raise ValueError(
                f"The weights do not belong to this model: it has no convolution {name!r}."
            )
        for setting, value in settings.items():
            setattr(layer, setting, tuple(value))


def finer_layers(
    module: nn.Module, states: Callable[[], list[torch.Tensor]], least: tuple[int, int]
) -> Plan:
    """How maps that are coarser than players become twice as fine: strides become dilations.

    A layer that would make its map much coarser than the players moves by smaller steps instead,
    and windows after it are dilated as much (a trous): at every second cell they see what they
    saw, with the same weights, and between these what they would have seen of the image moved
    by half a cell. So weights that were trained stay right, and neighbouring players that shared
    a cell no longer share what is told of them. Such a map costs four times what it did.

    Parameters
    ----------
    module : nn.Module
        It is changed, and changed back.
    states : callable
        Asks the module for states of its layers, (B, d, h, w) or others.
    least : (int, int)
        Rows and columns of players.

    Returns
    -------
    dict
        Empty where all maps are fine enough, or where the network is not one of convolutions
        whose states come out the same at the cells that they had.
    """
    before, sizes = _listened(module, states)
    plan = _planned(module, sizes, least)
    if not plan:
        return {}
    kept: Plan = {
        name: {key: list(_pair(getattr(module.get_submodule(name), key))) for key in settings}
        for name, settings in plan.items()
    }
    finer(module, plan)
    try:
        after = states()
    except Exception:
        # whatever the model raises at maps of another size, it is left as it is
        after = []
    finally:
        finer(module, kept)
    return plan if len(after) == len(before) and all(map(_same, before, after)) else {}


def _listened(
    module: nn.Module, states: Callable[[], list[torch.Tensor]]
) -> tuple[list[torch.Tensor], Sizes]:
    """States, and height and width of what windows take and give.

    No sizes where a window is used in a way that changing it might not be right for.
    """
    sizes: Sizes = {}
    odd: set[str] = set()

    def keep(name: str) -> Callable[..., None]:
        def hook(part: nn.Module, args: Any, answer: Any) -> None:
            plain = len(args) == 1 and isinstance(answer, torch.Tensor)
            if name in sizes or not plain:
                odd.add(name)
                return
            sizes[name] = (_size(args[0]), _size(answer))

        return hook

    parts = [(n, p) for n, p in module.named_modules() if isinstance(p, _WINDOWS)]
    hooks = [part.register_forward_hook(keep(name)) for name, part in parts]
    try:
        found = states()
    finally:
        for hook in hooks:
            hook.remove()
    return found, {} if odd else sizes


def _size(x: torch.Tensor) -> tuple[int, int]:
    return x.shape[-2], x.shape[-1]


def _planned(module: nn.Module, sizes: Sizes, least: tuple[int, int]) -> Plan:
    """Settings of layers that are to change; none where the images themselves are too coarse."""

    def rate(size: tuple[int, int], side: int) -> int:
        return 2 if size[side] < _ENOUGH * least[side] else 1

    if not sizes or any(max(t[s] for t, _ in sizes.values()) < least[s] for s in (0, 1)):
        return {}
    plan: Plan = {}
    moved = False
    for name, (taken, given) in sizes.items():
        layer = module.get_submodule(name)
        own = {key: _pair(getattr(layer, key)) for key in ("stride", "padding", "dilation")}
        if own["padding"] is None:
            return {}
        kernel = _pair(layer.kernel_size)
        new: dict[str, list[int]] = {"stride": [], "padding": [], "dilation": []}
        for side in (0, 1):
            before, after = rate(taken, side), rate(given, side)
            step, rest = divmod(own["stride"][side] * before, after)
            if rest:
                return {}
            wide = kernel[side] > 1
            new["stride"].append(step)
            new["padding"].append(own["padding"][side] * (before if wide else 1))
            new["dilation"].append(own["dilation"][side] * (before if wide else 1))
        if any(tuple(new[key]) != own[key] for key in own):
            plan[name] = new
            moved |= tuple(new["stride"]) != own["stride"]
    return plan if moved else {}


def _pair(value: Any) -> Any:
    """Both sides' setting; None for paddings that are told by a word."""
    if isinstance(value, str):
        return None
    return (value, value) if isinstance(value, int) else tuple(value)


def _same(before: torch.Tensor, after: torch.Tensor) -> bool:
    """Whether states are those that they were, at cells that stay."""
    if before.ndim == 4 and after.ndim == 4:
        for side in (2, 3):
            step, rest = divmod(after.shape[side], before.shape[side])
            if rest or not step:
                return False
            cells = torch.arange(0, after.shape[side], step, device=after.device)
            after = after.index_select(side, cells)
    if before.shape != after.shape:
        return False
    error = (before - after).abs().max()
    return bool(error <= _TOLERANCE * before.abs().max().clamp(min=1e-6))
