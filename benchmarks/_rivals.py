"""Methods that need the model's inside, to compare black-box explainers with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from fastexplain.texts import Texts


class Gradients:
    """Captum's methods on images, summed to players.

    Parameters
    ----------
    run : {"Grad-CAM", "Saliency", "SmoothGrad", "IG", "GradientSHAP"}
    logits : nn.Module or callable
        Images (B, C, H, W) in single precision to logits.
    layer : nn.Module
        Of Grad-CAM.
    players : int ndarray of shape (H, W)
        Player of each pixel.
    fill : tensor of shape (C,)
        What IG begins with.
    background : tensor of shape (m, C, H, W)
        What GradientSHAP begins with.
    n : int
        Steps of IG, samples of SmoothGrad and GradientSHAP.
    seed : int
    """

    def __init__(
        self,
        run: str,
        logits: Any,
        layer: nn.Module,
        players: np.ndarray,
        fill: torch.Tensor,
        background: torch.Tensor,
        n: int,
        seed: int,
    ) -> None:
        from captum.attr import (
            GradientShap,
            IntegratedGradients,
            LayerGradCam,
            NoiseTunnel,
            Saliency,
        )

        self.players, self.n_players = torch.from_numpy(players).flatten(), int(players.max()) + 1
        self.run, self.seed = run, seed
        # a tenth of the range of the images, as in the paper of SmoothGrad
        noise = 0.1 * float(background.max() - background.min())
        baseline = fill.reshape(1, -1, 1, 1)
        methods: dict[str, Callable[..., torch.Tensor]] = {
            "Grad-CAM": LayerGradCam(logits, layer).attribute,
            "Saliency": Saliency(logits).attribute,
            "SmoothGrad": lambda x, target: NoiseTunnel(Saliency(logits)).attribute(
                x, target=target, nt_samples=n, stdevs=noise
            ),
            "IG": lambda x, target: IntegratedGradients(logits).attribute(
                x, baseline.expand_as(x), target, n_steps=n, internal_batch_size=8
            ),
            "GradientSHAP": lambda x, target: GradientShap(logits).attribute(
                x, background, n_samples=n, target=target
            ),
        }
        self.attribute = methods[run]

    def __call__(self, X: np.ndarray, target: np.ndarray) -> np.ndarray:
        """Attributions (n, N) of images to their targets."""
        parts = []
        torch.manual_seed(self.seed)
        step = 1 if self.run in ("GradientSHAP", "SmoothGrad") else 8
        for start in range(0, len(X), step):
            x = torch.from_numpy(X[start : start + step]).float().requires_grad_()
            part = self.attribute(x, target=torch.from_numpy(target[start : start + step]))
            if part.shape[2:] != x.shape[2:]:
                part = F.interpolate(part, x.shape[2:], mode="bilinear", align_corners=False)
            pixels = part.detach().double().sum(dim=1).flatten(1)
            sums = torch.zeros(len(x), self.n_players, dtype=torch.float64)
            parts.append(sums.index_add_(1, self.players, pixels))
        return torch.cat(parts).numpy()


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
