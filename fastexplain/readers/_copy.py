"""Images read by a copy of the model itself, which is trained along with the head on it."""

from __future__ import annotations

from typing import Any, Self

import torch

from fastexplain.images import Images
from fastexplain.masked_model import MaskedModel
from fastexplain.networks import CopyTrunk, PlayerNetwork
from fastexplain.predictors._hidden import stage_layers
from fastexplain.readers._image import ImageReader

__all__ = ["CopyReader"]


class CopyReader(ImageReader):
    """Images as ``ImageReader`` has them, for networks that begin as copies of the model.

    Attributes
    ----------
    call : TorchCall or None
        How the model is asked; None until it is attached to a loaded explainer.
    layers : list of str or None
        What is read of the copy.
    size : int
        Numbers of these layers' states together.
    """

    call: Any = None
    layers: list[str] | None
    size: int

    @property
    def needs_model(self) -> bool:
        """Whether no network can be made until the model is attached."""
        return self.call is None

    @classmethod
    def copying(
        cls, masked: MaskedModel, samples: Images, layers: list[str] | None, *sizes: int
    ) -> Self:
        """Learn the images' shape, and which of the model's layers see them best.

        ``layers`` are names of submodules; None for the last ones at each size of the model's
        grids. ``sizes`` are the width of the network and its number of blocks.
        """
        if masked.predictor.module is None:
            raise ValueError(
                "network='copy' trains a copy of the model, which must be a torch module or a "
                "model of Hugging Face. Choose another network=."
            )
        self = cls.fit(masked.masker, samples, "copy", *sizes)
        some = samples.take(slice(0, 2))
        if layers is None:
            layers = stage_layers(masked.predictor, masked.masker.whole(some, masked.predictor))
        self.layers = layers
        states = masked.hidden(some, layers)[1]
        self.size = sum(s.shape[2] if s.ndim == 3 else s.shape[1] for s in states)
        self.adopt(masked.predictor)
        return self

    def adopt(self, predictor: Any) -> None:
        """Take the model whose copies networks are to be."""
        self.call = predictor.call

    def body(self, per_player: int, whole: int, n_head_layers: int = 1) -> PlayerNetwork:
        """A copy of the model, with heads on players."""
        # layers draw their first weights from torch's global generator, which is the user's
        with torch.random.fork_rng(devices=[]):
            trunk = CopyTrunk(
                self.call.copy(),
                self.layers,
                self.size,
                self.channels,
                self.dtype == "uint8",
                self._labels(),
                self.masker.n_players,
                self.width,
                self.n_blocks,
            )
            return PlayerNetwork(trunk, self.width, per_player, whole, n_head_layers)

    def state(self) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
        """Describe as JSON values and tensors."""
        config, tensors = super().state()
        return config | {"kind": "copy", "layers": self.layers, "size": self.size}, tensors

    @classmethod
    def from_state(
        cls, config: dict[str, Any], tensors: dict[str, torch.Tensor], masker: Any
    ) -> Self:
        """The inverse of ``state``, but for the model."""
        self = super().from_state(config, tensors, masker)
        self.layers, self.size = config["layers"], config["size"]
        return self

    def __getstate__(self) -> dict[str, Any]:
        """Pickles of explainers hold no model."""
        return {name: value for name, value in vars(self).items() if name != "call"}
