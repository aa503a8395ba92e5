"""Methods that need the model's inside, to compare black-box explainers with."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from fastexplain.texts import Texts


class _Head(nn.Module):
    """What comes after the last hidden state of a BERT; features are channels, as of images."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model, self.maps = model, nn.Identity()

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        # captum averages over what follows the channels: tokens must come last
        states = self.maps(states).transpose(1, 2)
        return self.model.classifier(self.model.base_model.pooler(states))


def grad_cam(
    model: Any, masker: Any, texts: Texts, target: np.ndarray, size: int = 16
) -> np.ndarray:
    """Grad-CAM of a Hugging Face BERT's last hidden state, (n, N): one number a player.

    Gradients of the class's logit averaged over tokens, times the states, summed over features
    and cut at 0 (Selvaraju et al., 2017; the FEX paper's choice of layer). A player
    has the mean of its tokens. The head reads the first token, so the weights are its gradient
    over the number of tokens. Of the target here bfloat16 gives the same to 0.001 of F1; the
    model should be given in float32 all the same.
    """
    from captum.attr import LayerGradCam

    head = _Head(model)
    cam = LayerGradCam(head, head.maps)
    values = np.zeros(masker.null_players(texts).shape)
    for start in range(0, len(texts), size):
        rows = slice(start, start + size)
        some = texts.take(rows)
        ids, player = masker.encode(some).unbind(dim=2)
        with torch.no_grad():
            states = model.base_model(ids, attention_mask=(player > -2).long())[0]
        found = cam.attribute(
            states.transpose(1, 2), torch.as_tensor(target[rows]), relu_attributions=True
        )
        values[rows] = _of_players(found[:, 0].detach().numpy(), player.numpy(), values.shape[1])
    return values


def _of_players(found: np.ndarray, player: np.ndarray, n_players: int) -> np.ndarray:
    """Mean over the tokens (B, L) of each player: (B, N)."""
    row, place = np.nonzero(player >= 0)
    total, count = np.zeros((2, len(found), n_players))
    np.add.at(total, (row, player[row, place]), found[row, place])
    np.add.at(count, (row, player[row, place]), 1)
    return total / count.clip(min=1)
