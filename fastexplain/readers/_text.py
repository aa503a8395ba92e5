"""Texts: token ids, and the player that each token belongs to."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import torch
from torch.nn import functional as F

from fastexplain.maskers._tokenizers import longest_input
from fastexplain.networks import PlayerNetwork, TextTrunk
from fastexplain.persistence import Fields, WeightsError, check_shape
from fastexplain.persistence._limits import MOST_BLOCKS, MOST_TOKENS, MOST_WIDTH
from fastexplain.readers._reader import Encoded
from fastexplain.texts import Texts

__all__ = ["TextReader", "common_texts"]

# tokens that pass through the network at once in explain
_CALL_TOKENS = 2**14
_ABSENT = -2


class TextReader:
    """Texts as (n, L, 2): ids of tokens, and their players.

    Parameters
    ----------
    masker : TextMasker
        Fitted.
    length : int
        Tokens of the longest text of fit; shorter ones are padded to it.
    embeddings : tensor of shape (V, e) or None
        The model's own embeddings of tokens, where they could be found.
    width, n_blocks : int
        Of the network.
    """

    gives_outputs = False
    needs_model = False

    def __init__(
        self,
        masker: Any,
        length: int,
        embeddings: torch.Tensor | None,
        width: int,
        n_blocks: int,
    ) -> None:
        self.masker, self.length, self.embeddings = masker, length, embeddings
        self.width, self.n_blocks = width, n_blocks
        self.call_samples = int(np.clip(_CALL_TOKENS // max(length, 1), 1, 1024))

    @classmethod
    def fit(
        cls,
        masker: Any,
        texts: Texts,
        embeddings: torch.Tensor | None,
        width: int,
        n_blocks: int,
    ) -> Self:
        """Learn how long texts are."""
        if embeddings is not None and len(embeddings) < masker.vocabulary_size:
            embeddings = None
        return cls(masker, masker.encode(texts).shape[1], embeddings, width, n_blocks)

    def encode(self, samples: Texts, masked: Any = None) -> Encoded:
        """Tokens (n, L, 2), and flags (n, N) of players that a text does not have."""
        x = self.masker.encode(samples)
        missing = self.length - x.shape[1]
        if missing > 0:
            padding = torch.tensor([0, _ABSENT]).expand(len(x), missing, 2)
            x = torch.cat([x, padding], dim=1)
        return {"x": x, "null": torch.from_numpy(self.masker.null_players(samples))}

    def encode_masked(self, samples: Texts, masks: np.ndarray, masked: Any = None) -> Encoded:
        """The same of masked texts: removed tokens have the mask token's id, or 1."""
        encoded = self.encode(samples)
        x, null = encoded["x"].clone(), encoded["null"]
        keep = F.pad(torch.from_numpy(masks), (0, 1), value=True)
        # the last column stands for tokens without a player
        player = torch.where(x[:, :, 1] < 0, masks.shape[1], x[:, :, 1])
        mask_id = getattr(self.masker.tokenizer, "mask_token_id", None)
        removed = 1 if mask_id is None else mask_id
        x[:, :, 0] = torch.where(keep.gather(1, player), x[:, :, 0], removed)
        return {"x": x, "null": null | ~torch.from_numpy(masks)}

    def body(self, per_player: int, whole: int, n_head_layers: int = 1) -> PlayerNetwork:
        """A small transformer, with heads on players."""
        # layers draw their first weights from torch's global generator, which is the user's
        with torch.random.fork_rng(devices=[]):
            trunk = TextTrunk(
                self.masker.vocabulary_size, self.width, self.n_blocks, self.embeddings
            )
            return PlayerNetwork(trunk, self.width, per_player, whole, n_head_layers)

    def numbers(self) -> int:
        """Two whole numbers of eight bytes a token."""
        return 4 * self.length

    def mix(self, samples: Texts, n_samples: int, rng: np.random.Generator) -> None:
        """Mixtures of texts are no texts: none is drawn."""
        return None

    def fingerprint_samples(self) -> Texts:
        """Sentences of common words."""
        return common_texts(self.masker)

    def state(self) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
        """Describe as JSON values, and the embeddings as a tensor."""
        config = {
            "kind": "text",
            "length": self.length,
            "width": self.width,
            "n_blocks": self.n_blocks,
        }
        return config, {} if self.embeddings is None else {"embeddings": self.embeddings}

    @classmethod
    def from_state(
        cls, config: dict[str, Any], tensors: dict[str, torch.Tensor], masker: Any
    ) -> Self:
        """The inverse of ``state``; raises ValueError for what that does not write."""
        fields = Fields(config, "reader")
        fields.text("kind", ("text",))
        most = MOST_TOKENS
        if masker.tokenizer is not None:
            most = min(most, longest_input(masker.tokenizer, masker.max_length))
        length = fields.whole("length", 1, most)
        width, n_blocks = (
            fields.whole("width", 1, MOST_WIDTH),
            fields.whole("n_blocks", 0, MOST_BLOCKS),
        )
        fields.close()
        embeddings = None
        if "embeddings" in tensors:
            embeddings = check_shape(tensors, "embeddings", (None, None))
            if len(embeddings) < masker.vocabulary_size:
                raise WeightsError("there are fewer embeddings than the tokenizer has tokens")
        return cls(masker, length, embeddings, width, n_blocks)


def common_texts(masker: Any) -> Texts:
    """Texts to know a model by; of tokens, where the tokenizer drops all of English."""
    subjects = ["the film", "this book", "my order", "the new system"]
    verdicts = ["is very good", "was not bad at all", "is terrible and slow", "works as expected"]
    sentences = [f"{subject} {verdict}." for subject in subjects for verdict in verdicts]
    # that they are cut to max_length is nobody's loss
    texts, _ = masker._read(sentences)
    if not texts.sizes.any():
        tokens = sorted(masker.tokenizer.get_vocab())[:64]
        texts, _ = masker._read([" ".join(tokens[k:]) for k in range(0, len(tokens), 4)])
    return texts
