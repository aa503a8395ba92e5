"""Texts of unequal length behind the interface that the metrics ask through."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch


class Words:
    """Texts as arrays of the weights of their words."""

    n_columns = 4

    def __init__(self, texts):
        self.texts = texts

    def __len__(self):
        return len(self.texts)

    def take(self, rows):
        assert isinstance(rows, np.ndarray)
        return Words([self.texts[i] for i in rows])

    def fingerprint(self):
        return "words"


class RaggedMasker:
    n_players = 3  # the longest text that it was fitted on

    def wrap(self, X):
        return Words(X)

    def player_counts(self, samples):
        return np.array([len(text) for text in samples.texts])

    def null_players(self, samples):
        counts = self.player_counts(samples)
        return np.arange(counts.max()) >= counts[:, None]


class RaggedModel:
    """Class 1 with the probability that the words' weights add up to, of two classes."""

    def __init__(self, limit=1000):
        self.masker, self.predictor = RaggedMasker(), SimpleNamespace(n_outputs=2)
        self.limit, self.asked, self.largest = limit, 0, 0

    def chunk_rows(self, n_columns):
        return self.limit // n_columns

    def answer(self, kept):
        p = 1 / (1 + np.exp(-np.sum(kept)))
        return [1 - p, p]

    def outputs(self, samples, positions=None):
        return torch.tensor([self.answer(text) for text in samples.texts])

    def values(self, samples, masks, positions=None):
        assert masks.dtype == bool and len(samples) == len(positions)
        masks = np.broadcast_to(masks, (len(samples), *masks.shape[-2:]))
        self.asked += masks[:, :, 0].size
        self.largest = max(self.largest, masks[:, :, 0].size)
        return torch.tensor(
            [
                [self.answer(text[mask[: len(text)]]) for mask in own]
                for text, own in zip(samples.texts, masks, strict=True)
            ]
        )


@pytest.fixture
def ragged():
    """A model of texts, six texts, their attributions and explained outputs."""
    rng = np.random.default_rng(5)
    texts = [rng.normal(size=n) for n in (3, 7, 1, 0, 12, 7)]
    values = np.zeros((6, 14))  # wider than the longest text
    for row, text in zip(values, texts, strict=True):
        row[: len(text)] = text + rng.normal(size=len(text)) / 2
    target = np.array([1, 0, 1, 1, 0, 1])
    return SimpleNamespace(make=RaggedModel, texts=texts, values=values, target=target)
