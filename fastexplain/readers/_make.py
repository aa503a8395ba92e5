"""The reader that fits the data and the network asked for; and saved ones."""

from __future__ import annotations

from typing import Any

import torch

from fastexplain.masked_model import MaskedModel
from fastexplain.readers._copy import CopyReader
from fastexplain.readers._hidden import HiddenReader
from fastexplain.readers._image import ImageReader
from fastexplain.readers._reader import Reader
from fastexplain.readers._tabular import TabularReader
from fastexplain.readers._text import TextReader
from fastexplain.tables import Table

__all__ = ["make_reader", "reader_from_state"]


def make_reader(
    masked: MaskedModel,
    samples: Any,
    schema: Any,
    *,
    network: Any,
    width: int,
    n_blocks: int,
    max_queries: int,
    seed: int,
    max_time: float | None,
    started: float,
) -> Reader:
    """Learn how the training samples are read.

    Parameters
    ----------
    masked : MaskedModel
    samples : Table, Images or Texts
    schema : Schema or None
        Of tables.
    network : str
        What reads images and texts.
    width, n_blocks : int
        Of the network.
    max_queries, seed, max_time, started
        Of the fit; see ``TabularReader.fit``.
    """
    if isinstance(samples, Table):
        if network != "auto":
            raise ValueError(
                f"network= is for images and texts; tables take 'auto', not {network!r}."
            )
        return TabularReader.fit(
            masked,
            samples,
            schema,
            width=width,
            n_blocks=n_blocks,
            max_queries=max_queries,
            seed=seed,
            max_time=max_time,
            started=started,
        )
    if isinstance(network, list | tuple) or network in ("hidden", "hidden_classes"):
        layers = None if isinstance(network, str) else [str(name) for name in network]
        if layers == []:
            raise ValueError("network=[] names no layer of the model; name one, or 'hidden'.")
        by_class = network == "hidden_classes"
        return HiddenReader.fit(masked, samples, layers, by_class, width, n_blocks)
    if network == "copy" and samples.kind == "images":
        return CopyReader.copying(masked, samples, width, n_blocks)
    known = ("unet", "vit", "copy") if samples.kind == "images" else ("transformer",)
    kind = known[0] if network == "auto" else network
    if kind not in known:
        raise ValueError(
            "network must be 'auto', 'hidden', 'hidden_classes', a list of names of the model's "
            f"layers, or for {samples.kind} one of {known}; got {network!r}."
        )
    if samples.kind == "images":
        return ImageReader.fit(masked.masker, samples, kind, width, n_blocks)
    embeddings = token_embeddings(masked.predictor)
    return TextReader.fit(masked.masker, samples, embeddings, width, n_blocks)


def token_embeddings(predictor: Any) -> torch.Tensor | None:
    """A language model's own embeddings of tokens, where it tells them."""
    find = getattr(getattr(predictor, "module", None), "get_input_embeddings", None)
    if find is None:
        return None
    try:
        weight = getattr(find(), "weight", None)
    except NotImplementedError:
        return None
    return weight.detach().cpu() if isinstance(weight, torch.Tensor) else None


def reader_from_state(
    config: dict[str, Any], tensors: dict[str, torch.Tensor], masker: Any, schema: Any
) -> Reader:
    """Make a saved reader again.

    Parameters
    ----------
    config, tensors : dict
        Of ``Reader.state``.
    masker : fitted masker
    schema : Schema or None
        Of tables.

    Raises
    ------
    ValueError
        For a kind of reader that this version does not know.
    """
    kind = config["kind"]
    if kind == "tabular":
        return TabularReader.from_state(config, masker, schema)
    if kind == "image":
        return ImageReader.from_state(config, tensors, masker)
    if kind == "copy":
        return CopyReader.from_state(config, tensors, masker)
    if kind == "text":
        return TextReader.from_state(config, tensors, masker)
    if kind == "hidden":
        return HiddenReader.from_state(config, tensors, masker)
    raise ValueError(f"This version of fastexplain does not know readers of {config['kind']!r}.")
