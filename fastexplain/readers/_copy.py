"""Images read by a copy of the model itself, which is trained along with the head on it."""

from __future__ import annotations

import math
from typing import Any, Self

import numpy as np
import torch

from fastexplain.images import Images
from fastexplain.masked_model import MaskedModel
from fastexplain.maskers._image_inputs import as_tensor
from fastexplain.networks import CopyTrunk, PlayerNetwork
from fastexplain.networks._finer import finer, finer_layers
from fastexplain.networks._grids import state_size
from fastexplain.persistence import Fields
from fastexplain.persistence._limits import MOST_STATES
from fastexplain.predictors._hidden import check_open, copied, token_grid, trained_states
from fastexplain.readers._image import ImageReader, warn_if_cropped
from fastexplain.readers._state import tokens_of

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
    tokens : (int, int) or None
        Rows and columns of the model's tokens, where it tells them.
    finer : dict
        Strides, paddings and dilations of layers whose maps would be coarser than the players.
    """

    call: Any = None
    needs_model = True
    layers: list[str] | None
    size: int
    tokens: tuple[int, int] | None
    finer: dict[str, Any]

    @classmethod
    def copying(cls, masked: MaskedModel, samples: Images, width: int, n_blocks: int) -> Self:
        """Learn the images' shape, and which of the model's layers see them best."""
        if masked.predictor.module is None:
            raise ValueError(
                "network='copy' trains a copy of the model, which must be a torch module or a "
                "model of Hugging Face. Choose another network=."
            )
        check_open(masked.predictor)
        self = cls.fit(masked.masker, samples, "copy", width, n_blocks)
        if masked.batch_size is not None:
            self.call_samples = min(self.call_samples, max(1, int(masked.batch_size)))
        some = samples.take(slice(0, 2))
        warn_if_cropped(masked, some)
        self.tokens = token_grid(masked.predictor, masked.masker.whole(some, masked.predictor))
        self.layers = masked.layers(some)
        self.adopt(masked.predictor)
        trial = copied(self.call)
        with torch.enable_grad():
            inputs = as_tensor(np.asarray(some.native)).to(trial.device)
            states = trained_states(trial, inputs, self.layers)
        if not any(state.requires_grad for state in states):
            raise ValueError(
                "network='copy' cannot train the model's copy: its forward pass keeps no "
                "gradients (torch.no_grad or inference_mode inside?). Choose another network=."
            )
        self.size = state_size(states, self.shape[1:])

        def again() -> list[torch.Tensor]:
            with torch.no_grad():
                return trained_states(trial, inputs, self.layers)

        self.finer = finer_layers(trial.module, again, self._grid())
        return self

    def _grid(self) -> tuple[int, int]:
        """Rows and columns of players, or about as many where they are no grid."""
        if self.masker.grid_ is not None:
            return self.masker.grid_
        side = math.sqrt(self.shape[1] * self.shape[2] / max(self.masker.n_players, 1))
        return max(1, int(self.shape[1] / side)), max(1, int(self.shape[2] / side))

    def adopt(self, predictor: Any) -> None:
        """Take the model whose copies networks are to be."""
        if predictor.module is None:
            raise ValueError(
                "This explainer's network is a copy of the torch module that it was fitted to; the "
                "model that is attached is none. Attach the module itself."
            )
        self.call, self.needs_model = predictor.call, False

    def body(self, per_player: int, whole: int, n_head_layers: int = 1) -> PlayerNetwork:
        """A copy of the model, with heads on players."""
        call = copied(self.call)
        finer(call.module, self.finer)
        # layers draw their first weights from torch's global generator, which is the user's
        with torch.random.fork_rng(devices=[]):
            trunk = CopyTrunk(
                call,
                self.layers,
                self.size,
                self.tokens,
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
        images, tensors = super().state()
        config = {
            "kind": "copy",
            "images": images,
            "layers": self.layers,
            "size": self.size,
            "tokens": None if self.tokens is None else list(self.tokens),
            "finer": self.finer,
        }
        return config, tensors

    @classmethod
    def from_state(
        cls, config: dict[str, Any], tensors: dict[str, torch.Tensor], masker: Any
    ) -> Self:
        """The inverse of ``state``, but for the model; raises ValueError for anything else."""
        fields = Fields(config, "reader")
        fields.text("kind", ("copy",))
        self = super().from_state(fields.value("images"), tensors, masker)
        self.layers = None if fields.missing("layers") else fields.texts("layers")
        self.size = fields.whole("size", 1, MOST_STATES)
        self.tokens = tokens_of(fields)
        finer, self.finer = fields.section("finer"), {}
        for name in finer.keys():
            layer = finer.section(name)
            self.finer[name] = {
                key: layer.wholes(key, least, 4096, 2)
                for key, least in (("stride", 1), ("padding", 0), ("dilation", 1))
            }
            layer.close()
        fields.close()
        return self

    def __getstate__(self) -> dict[str, Any]:
        """Pickles of explainers hold no model."""
        # without these, what the class says holds: no call, and the model is needed
        return {k: v for k, v in vars(self).items() if k not in ("call", "needs_model")}
