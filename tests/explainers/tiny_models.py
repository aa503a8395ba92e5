"""Models of transformers that are small enough to test with, of random weights."""

from __future__ import annotations

from typing import Any

import pytest
import torch

WORDS = "a the film book was is not very good bad dull fine so and but".split()


def vit() -> Any:
    transformers = pytest.importorskip("transformers")
    settings = transformers.ViTConfig(
        image_size=8,
        patch_size=4,
        num_channels=3,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=16,
        initializer_range=0.4,
        num_labels=3,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return transformers.ViTForImageClassification(settings).eval()


def word_tokenizer() -> Any:
    transformers = pytest.importorskip("transformers")
    tokenizers = pytest.importorskip("tokenizers")
    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    vocabulary = {token: i for i, token in enumerate([*names, *WORDS])}
    backend = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="[UNK]"))
    backend.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    backend.post_processor = tokenizers.processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    roles = {name: f"[{name[:-6].upper()}]" for name in ("pad_token", "unk_token", "mask_token")}
    names = ["input_ids", "attention_mask"]
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=backend, model_input_names=names, **roles
    )


def bert(seed: int = 0, n_labels: int = 3, positions: int = 32) -> Any:
    transformers = pytest.importorskip("transformers")
    settings = transformers.BertConfig(
        vocab_size=5 + len(WORDS),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=positions,
        initializer_range=0.4,
        num_labels=n_labels,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return transformers.BertForSequenceClassification(settings).eval()
