"""Special tokens written in texts, and what padding in a token's place does to the others."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from fastexplain import ExactExplainer, TextMasker
from fastexplain.masked_model import MaskedModel
from fastexplain.predictors import make_predictor

transformers = pytest.importorskip("transformers")
tokenizers = pytest.importorskip("tokenizers")

WORDS = "a the film book was is not very good bad dull fine . ! ,".split()
STRINGS = SimpleNamespace(takes="texts")
TOKENS = SimpleNamespace(takes="tokens")


def roberta_tokenizer(**options: Any) -> Any:
    """Words as tokens, with the special tokens of RoBERTa."""
    names = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    vocabulary = {token: i for i, token in enumerate([*names, *WORDS])}
    backend = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="<unk>"))
    backend.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    backend.post_processor = tokenizers.processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    roles = {"bos": 0, "pad": 1, "eos": 2, "unk": 3, "mask": 4}
    tokens = {f"{role}_token": names[i] for role, i in roles.items()}
    tokens |= {"cls_token": "<s>", "sep_token": "</s>"}
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=backend,
        model_input_names=["input_ids", "attention_mask"],
        **(tokens | options),
    )


def roberta() -> Any:
    config = transformers.RobertaConfig(
        vocab_size=5 + len(WORDS),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=40,
        initializer_range=0.4,
        num_labels=3,
        pad_token_id=1,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return transformers.RobertaForSequenceClassification(config).eval()


def masked_model(model: Any, masker: TextMasker, texts: list[str]) -> MaskedModel:
    batch = masker.whole(masker.wrap(texts), TOKENS)
    return MaskedModel(make_predictor(model, batch, output="regression"), masker)


# -- special tokens in the text --------------------------------------------------------------
@pytest.mark.parametrize("unit", ["token", "word", "sentence"])
def test_written_special_tokens_are_kept_under_every_mask(unit: str) -> None:
    tokenizer = roberta_tokenizer()
    text = "good film </s> bad book <mask> dull"
    masker = TextMasker(tokenizer, unit=unit).fit([text])
    texts = masker.wrap([text])
    expected = ["good", "film", "bad", "book", "dull"]
    if unit == "sentence":
        expected = ["good film", "bad book", "dull"]
    assert texts.tokens(0) == expected
    nothing = np.zeros((1, 1, len(expected)), dtype=bool)
    ids = masker.inputs(texts, TOKENS)(nothing, slice(0, 1)).ids[0].tolist()
    names = tokenizer.convert_ids_to_tokens(ids)
    assert names == ["<s>", *["<mask>"] * 2, "</s>", *["<mask>"] * 2, "<mask>", "<mask>", "</s>"]
    string = masker.inputs(texts, STRINGS)(nothing, slice(0, 1))[0]
    words = {"sentence": "{0} </s> {0} {0} {0}"}.get(unit, "{0} {0} </s> {0} {0} {0} {0}")
    assert string == words.format("<mask>")


def test_special_tokens_without_white_space_divide_words() -> None:
    tokenizer = roberta_tokenizer()
    texts = TextMasker(tokenizer, unit="word").fit(["good"]).wrap(["good</s>bad", "</s>", "<s>."])
    assert [texts.tokens(i) for i in range(3)] == [["good", "bad"], [], ["."]]


def test_unknown_words_are_players() -> None:
    tokenizer = roberta_tokenizer()
    masker = TextMasker(tokenizer).fit(["zebra is good"])
    assert masker.wrap(["zebra is good"]).tokens(0) == ["zebra", "is", "good"]
    # one token for what is unknown and for a text's end: only the written one is special
    both = roberta_tokenizer(unk_token="</s>", eos_token="</s>")
    both.backend_tokenizer.model = tokenizers.models.WordLevel(
        both.backend_tokenizer.get_vocab(), unk_token="</s>"
    )
    texts = TextMasker(both).fit(["good"]).wrap(["zebra </s> good"])
    assert texts.ids[0].tolist()[1:3] == [2, 2]
    assert texts.tokens(0) == ["zebra", "good"]


def test_more_special_tokens_of_a_tokenizer() -> None:
    tokenizer = roberta_tokenizer(extra_special_tokens=["<sep>"])
    tokenizer.add_tokens(["<emoji>"])
    texts = TextMasker(tokenizer).fit(["good"]).wrap(["good <sep> bad <emoji>"])
    assert texts.tokens(0) == ["good", "bad", "<emoji>"]


# -- places ----------------------------------------------------------------------------------
@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_in_a_token_s_place_keeps_the_places_of_the_others(side: str) -> None:
    """A model that counts places by ids that are no padding, against places that are said."""
    tokenizer, model = roberta_tokenizer(padding_side=side), roberta()
    strings = ["the film was not very good .", "a dull book !", "good"]
    masker = TextMasker(tokenizer, fill="pad").fit(strings)
    masked, texts = masked_model(model, masker, strings), masker.wrap(strings)
    masks = np.random.default_rng(0).random((3, 12, 7)) < 0.5
    masks[:, 0], masks[:, 1] = True, False
    found = masked.values(texts, masks)
    for i, (ids, player) in enumerate(zip(texts.ids, texts.player, strict=True)):
        for t, mask in enumerate(masks[i]):
            kept = np.array([j < 0 or mask[j] for j in player])
            with torch.no_grad():
                slow = model(
                    input_ids=torch.from_numpy(ids)[None],
                    attention_mask=torch.from_numpy(kept)[None].long(),
                    position_ids=torch.arange(len(ids))[None] + 2,
                ).logits[0]
            torch.testing.assert_close(found[i, t], slow, atol=1e-5, rtol=1e-5)


def test_nothing_of_a_removed_token_is_seen() -> None:
    tokenizer, model = roberta_tokenizer(), roberta()
    strings = ["the film was very good .", "the film was very bad ."]
    for fill in ("mask", "pad", "delete"):
        masker = TextMasker(tokenizer, fill=fill).fit(strings)
        masked, texts = masked_model(model, masker, strings), masker.wrap(strings)
        mask = np.ones((1, 6), dtype=bool)
        mask[0, 4] = False
        first, second = masked.values(texts, mask)[:, 0]
        torch.testing.assert_close(first, second, atol=0, rtol=0)


class Bag(nn.Module):
    """Looks at ids alone, and not at padding."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(5 + len(WORDS), 3, padding_idx=1)

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        return self.table(input_ids).sum(dim=1)


class Attending(Bag):
    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        return (self.table(input_ids) * attention_mask[:, :, None]).sum(dim=1)


@pytest.mark.parametrize(("kind", "between"), [(Bag, 1), (Attending, 4)])
def test_which_id_stands_in_a_removed_token_s_place(kind: Any, between: int) -> None:
    tokenizer = roberta_tokenizer()
    text = "the film was good"
    masker = TextMasker(tokenizer, fill="pad").fit([text])
    texts = masker.wrap([text])
    predictor = make_predictor(kind().eval(), masker.whole(texts, TOKENS), output="regression")
    masks = np.array([[[True, False, True, True]]])
    batch = masker.inputs(texts, predictor)(masks, slice(0, 1))
    assert batch.ids[0, 2] == between
    assert batch.attention[0].tolist() == [1, 1, 0, 1, 1, 1]
    # Shapley values of a sum are its terms, if removed tokens count for nothing
    explainer = ExactExplainer("shapley", masker=masker, output="regression")
    explainer.fit([text, "a book"], (kind().eval(), tokenizer))
    model = explainer._model[0]
    terms = model.table(torch.from_numpy(texts.ids[0][1:-1])).detach().numpy()
    np.testing.assert_allclose(explainer.explain([text], "all").values[0], terms, atol=1e-5)


def test_padding_behind_the_last_token_that_stays_is_padding() -> None:
    """Models that look for the last token that is no padding find it."""
    tokenizer = roberta_tokenizer()
    tokenizer.backend_tokenizer.post_processor = tokenizers.processors.TemplateProcessing(
        single="$A", special_tokens=[]
    )
    text = "the film was good"
    masker = TextMasker(tokenizer, fill="pad").fit([text])
    texts = masker.wrap([text])
    predictor = make_predictor(Attending().eval(), masker.whole(texts, TOKENS), output="regression")
    masks = np.array([[[False, True, False, False], [False] * 4]])
    batch = masker.inputs(texts, predictor)(masks, slice(0, 1))
    assert batch.ids.tolist() == [[4, tokenizer.vocab["film"], 1, 1], [1, 1, 1, 1]]
    assert batch.attention.tolist() == [[0, 1, 0, 0], [1, 0, 0, 0]]
