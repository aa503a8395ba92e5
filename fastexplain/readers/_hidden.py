"""The model's own hidden states: prediction and explanation from one pass (Eqs. 19 and 20)."""

from __future__ import annotations

import math
from typing import Any, Self

import numpy as np
import torch

from fastexplain.masked_model import MaskedModel
from fastexplain.networks import HiddenTrunk, PlayerNetwork
from fastexplain.networks._grids import (
    Cells,
    grid_cells,
    image_cells,
    player_states,
    state_size,
)
from fastexplain.networks._players import player_shares
from fastexplain.persistence import Fields, check_shape
from fastexplain.persistence._limits import MOST_BLOCKS, MOST_STATES, MOST_WIDTH
from fastexplain.predictors._hidden import check_open, class_weights, token_grid
from fastexplain.readers._image import ImageReader, warn_if_cropped
from fastexplain.readers._reader import Encoded
from fastexplain.readers._state import tokens_of
from fastexplain.readers._text import common_texts

__all__ = ["HiddenReader"]

# numbers of hidden states that are held at once
_CALL_NUMBERS = 2**24
# samples, and the correlation, that tell what the classes' weights read
_READ_BY, _ALIKE = 8, 0.9
# largest number in half precision
_HALF = 65504.0


class HiddenReader:
    """States of each player, from layers of the model.

    Parameters
    ----------
    masker : ImageMasker or TextMasker
        Fitted.
    layers : list of str or None
        Names of submodules; None for the last hidden state.
    size : int
        Numbers of a player's state, of all layers together.
    classes : tensor of shape (K, w) or None
        Weights of the model's last layer, to compare players with (Eq. 20).
    images : ImageReader or None
        Knows the shape of images.
    call_samples : int
    width, n_blocks : int
        Of the network.
    """

    gives_outputs = True
    needs_model = False

    def __init__(
        self,
        masker: Any,
        layers: list[str] | None,
        size: int,
        classes: torch.Tensor | None,
        images: ImageReader | None,
        call_samples: int,
        width: int,
        n_blocks: int,
    ) -> None:
        self.masker, self.layers, self.size, self.classes = masker, layers, size, classes
        self.images, self.call_samples = images, call_samples
        self.width, self.n_blocks = width, n_blocks
        #: whether the last layer's states are what the model's last layer of weights reads
        self.activations = False
        #: rows and columns of the model's tokens, where it tells them
        self.tokens: tuple[int, int] | None = None

    @classmethod
    def fit(
        cls,
        masked: MaskedModel,
        samples: Any,
        layers: list[str] | None,
        by_class: bool,
        width: int,
        n_blocks: int,
    ) -> Self:
        """Ask for the states of two samples, to see how large they are."""
        masker = masked.masker
        check_open(masked.predictor)
        some = samples.take(_longest_two(samples))
        if layers is None and samples.kind == "images" and masked.predictor.module is not None:
            layers = masked.layers(some)
        states = masked.hidden(some, layers)[1]
        classes = class_weights(masked.predictor) if by_class else None
        if by_class and classes is None:
            raise ValueError(
                "The model's last layer was not found: it must be a torch.nn.Linear with one "
                "output a class. Choose network='hidden', which reads players without it."
            )
        images = None
        if samples.kind == "images":
            warn_if_cropped(masked, some)
            images = ImageReader.fit(masker, samples, "unet", width, n_blocks)
        numbers = sum(math.prod(s.shape[1:]) for s in states)
        most = 256 if masked.batch_size is None else min(256, int(masked.batch_size))
        call = int(np.clip(_CALL_NUMBERS // max(numbers, 1), 1, most))
        size = state_size(states, None if images is None else images.shape[1:])
        self = cls(masker, layers, size, classes, images, call, width, n_blocks)
        if images is not None:
            self.tokens = token_grid(masked.predictor, masker.whole(some, masked.predictor))
            if classes is not None:
                outputs, states = masked.hidden(samples.take(slice(0, _READ_BY)), layers)
                given = outputs, states[-1], classes, images.shape[1:], self.tokens
                self.activations = _are_read(*given)
        return self

    def encode(self, samples: Any, masked: MaskedModel) -> Encoded:
        """States (n, 1 + N, size + 1), null flags (n, N), and the model's "outputs" (n, K)."""
        return self._encode(samples, None, masked)

    def encode_masked(self, samples: Any, masks: np.ndarray, masked: MaskedModel) -> Encoded:
        """The same of masked samples."""
        return self._encode(samples, masks, masked)

    def _encode(self, samples: Any, masks: np.ndarray | None, masked: MaskedModel) -> Encoded:
        null = torch.from_numpy(self.masker.null_players(samples))
        parts, outputs = [], []
        for start in range(0, len(samples), self.call_samples):
            rows = slice(start, start + self.call_samples)
            some = samples.take(rows)
            kept = None if masks is None else masks[rows]
            answers, states = masked.hidden(some, self.layers, kept)
            # held by the thousand: half precision is enough to read from
            found = self._players(some, states, null.shape[1], kept).clamp(-_HALF, _HALF)
            parts.append(found.half().cpu())
            outputs.append(answers)
        if masks is not None:
            null = null | ~torch.from_numpy(masks)
        return {"x": torch.cat(parts), "null": null, "outputs": torch.cat(outputs)}

    def _players(
        self,
        samples: Any,
        states: list[torch.Tensor],
        n_players: int,
        kept: np.ndarray | None,
    ) -> torch.Tensor:
        """Mean state of each player's tokens or pixels, after that of the sample."""
        if self.images is None:
            return player_states([self._of_texts(samples, s, n_players, kept) for s in states])
        labels = torch.from_numpy(np.asarray(self.masker.labels(samples))).long()
        labels = labels if labels.ndim == 3 else labels[None]
        return player_states([image_cells(s, labels, self.tokens, n_players) for s in states])

    def _of_texts(
        self, samples: Any, state: torch.Tensor, n_players: int, kept: np.ndarray | None
    ) -> Cells:
        """State of the text (B, d), of its tokens (B, L, d), and shares (B, N, L)."""
        if state.ndim != 3:
            raise ValueError(
                f"A layer's states have shape {tuple(state.shape)}; of texts, wanted (B, L, d), "
                "one for each token. Name another layer in network=."
            )
        player = self.masker.token_players(samples)
        if kept is not None and self.masker.fill != "mask":
            # the model does not look at removed tokens
            player = _without_removed(player, kept)
            if self.masker.fill == "delete":
                player = _moved_together(player, self._left())
        # the model is not given columns that all texts have as padding
        length = state.shape[1]
        player = (player[:, -length:] if self._left() else player[:, :length]).to(state.device)
        # sums of many tokens go beyond half precision
        state = state.float()
        shares = player_shares(player.clamp(min=-1)[:, :, None], n_players)
        special = player == -1
        # without special tokens, all of them stand for the text
        special = torch.where(special.any(dim=1, keepdim=True), special, player > -2)
        count = special.sum(dim=1, keepdim=True).clamp(min=1)
        return (state * special[:, :, None]).sum(dim=1) / count, state, shares

    def _left(self) -> bool:
        """Whether padding stands at the left."""
        return getattr(self.masker.tokenizer, "padding_side", "right") == "left"

    def body(self, per_player: int, whole: int, n_head_layers: int = 1) -> PlayerNetwork:
        """Few layers on the states, with heads on players."""
        classes = (
            self.classes if self.classes is not None and per_player == len(self.classes) else None
        )
        # layers draw their first weights from torch's global generator, which is the user's
        with torch.random.fork_rng(devices=[]):
            trunk = HiddenTrunk(self.size, self.width, self.n_blocks)
            heads = per_player, whole, n_head_layers, classes, self.activations
            return PlayerNetwork(trunk, self.width, *heads)

    def numbers(self) -> int:
        """Half a number a state's number, of each player."""
        return (self.masker.n_players + 1) * (self.size + 1) // 2

    def mix(self, samples: Any, n_samples: int, rng: np.random.Generator) -> Any:
        """As readers of images and texts have it."""
        return None if self.images is None else self.images.mix(samples, n_samples, rng)

    def fingerprint_samples(self) -> Any:
        """As readers of images and texts have them."""
        if self.images is not None:
            return self.images.fingerprint_samples()
        return common_texts(self.masker)

    def state(self) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
        """Describe as JSON values and tensors."""
        config: dict[str, Any] = {
            "kind": "hidden",
            "layers": self.layers,
            "size": self.size,
            "call_samples": self.call_samples,
            "width": self.width,
            "n_blocks": self.n_blocks,
            "tokens": None if self.tokens is None else list(self.tokens),
            "activations": self.activations,
            "images": None,
        }
        tensors: dict[str, torch.Tensor] = {}
        if self.images is not None:
            config["images"], tensors = self.images.state()
        if self.classes is not None:
            tensors = tensors | {"classes": self.classes}
        return config, tensors

    @classmethod
    def from_state(
        cls, config: dict[str, Any], tensors: dict[str, torch.Tensor], masker: Any
    ) -> Self:
        """The inverse of ``state``; raises ValueError for what that does not write."""
        fields = Fields(config, "reader")
        fields.text("kind", ("hidden",))
        given = fields.value("images")
        if (given is None) == hasattr(masker, "shape_"):
            raise ValueError("reader.images and the masker do not fit")
        images = None if given is None else ImageReader.from_state(given, tensors, masker)
        size, classes = fields.whole("size", 1, MOST_STATES), None
        if "classes" in tensors:
            classes = check_shape(tensors, "classes", (None, None))
        self = cls(
            masker,
            None if fields.missing("layers") else fields.texts("layers"),
            size,
            classes,
            images,
            fields.whole("call_samples", 1, 2**16),
            fields.whole("width", 1, MOST_WIDTH),
            fields.whole("n_blocks", 0, MOST_BLOCKS),
        )
        self.activations = fields.flag("activations")
        if self.activations and (classes is None or classes.shape[1] > size):
            raise ValueError("reader.activations has no weights of classes that read the states")
        self.tokens = tokens_of(fields)
        fields.close()
        return self


def _are_read(
    outputs: torch.Tensor,
    state: torch.Tensor,
    classes: torch.Tensor,
    size: tuple[int, int],
    tokens: tuple[int, int] | None,
) -> bool:
    """Whether classes' weights read a layer's states: their mean, or that of special tokens.

    Then log-odds of samples differ by what the weights make of their states' difference.
    """
    cells, special, _ = grid_cells(state, size, tokens)
    if len(outputs) < 2 or cells.shape[2] != classes.shape[1]:
        return False

    def moved(numbers: torch.Tensor) -> torch.Tensor:
        # what all samples, or all classes, have in common tells nothing
        numbers = numbers.double().cpu()
        numbers = numbers - numbers.mean(dim=0)
        return (numbers - numbers.mean(dim=1, keepdim=True)).flatten()

    told = moved(outputs.double().clamp(min=1e-30).log())
    for read in (cells.float().mean(dim=1), special.float().mean(dim=1)):
        found = moved(read.cpu() @ classes.T)
        both = float(found @ told)
        alike = both / max(float(found.norm() * told.norm()), 1e-300)
        if alike > _ALIKE and 0.5 < both / max(float(found @ found), 1e-300) < 2.0:
            return True
    return False


def _longest_two(samples: Any) -> np.ndarray:
    """Rows of the two texts with most tokens, or of the first two images."""
    if samples.kind == "images" or samples.ids is None:
        return np.arange(min(2, len(samples)))
    lengths = np.array([len(own) for own in samples.ids])
    return np.argsort(-lengths, kind="stable")[:2]


def _without_removed(player: torch.Tensor, kept: np.ndarray) -> torch.Tensor:
    """Player of each token (B, L), with padding for those of removed players."""
    keep = torch.nn.functional.pad(torch.from_numpy(kept), (0, 1), value=True)
    # the last column stands for tokens without a player
    there = keep.gather(1, torch.where(player < 0, kept.shape[1], player))
    return torch.where(there, player, -2)


def _moved_together(player: torch.Tensor, left: bool) -> torch.Tensor:
    """Players of tokens (B, L) in their order, with all padding at one side."""
    there = player > -2
    order = torch.argsort((there if left else ~there).long(), dim=1, stable=True)
    return player.gather(1, order)
