"""What a learned explainer needs to know of the kind of data."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import torch
from torch import nn

__all__ = ["Encoded", "Reader"]

#: a batch as the network takes it: "x", and "null" flags of shape (n, N)
Encoded = dict[str, torch.Tensor]


class Reader(Protocol):
    """Turns samples into what a network reads, and makes the network that reads it."""

    #: samples in one forward pass of the network
    call_samples: int
    #: whether ``encode`` asks the model, and gives its "outputs" as well
    gives_outputs: bool

    #: whether no network can be made before a model is attached, which ``adopt`` then takes
    needs_model: bool

    def encode(self, samples: Any, masked: Any) -> Encoded:
        """Tensors "x" and "null" of n samples; ``masked`` is the ``MaskedModel`` or None."""

    def encode_masked(self, samples: Any, masks: np.ndarray, masked: Any) -> Encoded:
        """The same of samples that keep the players of ``masks``, bool (n, N), alone."""

    def body(self, per_player: int, whole: int, n_head_layers: int = 1) -> nn.Module:
        """Network from "x" and "null" to numbers of each player, and of the sample as a whole.

        Its output is (B, per_player * N + whole), or (B, per_player, N + 1) where both are
        equal and (B, per_player, N) where ``whole`` is 0; it has ``reset(generator)`` and
        ``latent(x, null)``.
        """

    def numbers(self) -> int:
        """How many numbers "x" has for one sample."""

    def mix(self, samples: Any, n_samples: int, rng: np.random.Generator) -> Any | None:
        """Draw further samples near the data; None where nothing is drawn."""

    def fingerprint_samples(self) -> Any:
        """Samples to know a model by, none of them a training sample."""

    def state(self) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
        """Describe as JSON values and tensors, for ``reader_from_state``."""
