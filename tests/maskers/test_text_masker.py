"""Players of texts, masked tokens against loops, masked strings, and errors."""

import json
import pickle
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from fastexplain.maskers import TextMasker
from fastexplain.maskers._text_inputs import masked_strings
from fastexplain.maskers._words import group_tokens, locate_pieces, sentence_spans, word_spans
from fastexplain.texts import Texts

transformers = pytest.importorskip("transformers")
tokenizers = pytest.importorskip("tokenizers")

TOKENS = SimpleNamespace(takes="tokens")
STRINGS = SimpleNamespace(takes="texts")
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def wordpiece(types=True, **options):
    """Lower-case pieces with [CLS] and [SEP], as BERT's are."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    words = ["good", "film", "not", "un", "##believ", "##able", *"!?.,'-", *LETTERS]
    vocabulary = {t: i for i, t in enumerate([*special, *words, *("##" + c for c in LETTERS)])}
    backend = tokenizers.Tokenizer(
        tokenizers.models.WordPiece(vocabulary, unk_token="[UNK]", max_input_chars_per_word=20)
    )
    backend.normalizer = tokenizers.normalizers.BertNormalizer(lowercase=True)
    backend.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    backend.post_processor = tokenizers.processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = ["input_ids", *(["token_type_ids"] if types else []), "attention_mask"]
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_input_names=names,
        **options,
    )


def byte_level(pre_tokenizer=True, **options):
    """Bytes as tokens, without special tokens, as GPT-2's are."""
    alphabet = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {t: i for i, t in enumerate([*alphabet, "<pad>", "he", "Ġhe"])}
    merges = [("h", "e"), ("Ġ", "he")]
    backend = tokenizers.Tokenizer(tokenizers.models.BPE(vocabulary, merges))
    if pre_tokenizer:
        backend.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    else:
        backend.normalizer = tokenizers.normalizers.ByteLevel()
    options = {"pad_token": "<pad>", "padding_side": "left"} | options
    return transformers.PreTrainedTokenizerFast(tokenizer_object=backend, **options)


class SlowTokenizer(transformers.PreTrainedTokenizer):
    """Words at white space, in lower case, and pieces of "unbelievable"."""

    vocab = {
        t: i for i, t in enumerate("[PAD] [UNK] [CLS] [SEP] [MASK] good film un ##able".split())
    }
    model_input_names = ["input_ids", "attention_mask"]

    def __init__(self, **options):
        roles = {f"{r}_token": f"[{r.upper()}]" for r in ("pad", "unk", "cls", "sep", "mask")}
        super().__init__(**(roles | options))

    @property
    def vocab_size(self):
        return len(self.vocab)

    def get_vocab(self):
        return dict(self.vocab)

    def _tokenize(self, text):
        pieces = []
        for word in text.lower().split():
            pieces += ["un", "##able"] if word == "unable" else [word]
        return pieces

    def _convert_token_to_id(self, token):
        return self.vocab.get(token, 1)

    def _convert_id_to_token(self, index):
        return list(self.vocab)[index]

    def build_inputs_with_special_tokens(self, ids, pair=None):
        return [2, *ids, 3]

    def get_special_tokens_mask(self, ids, pair=None, already_has_special_tokens=False):
        if already_has_special_tokens:
            return [int(i in (2, 3)) for i in ids]
        return [1, *([0] * len(ids)), 1]

    def num_special_tokens_to_add(self, pair=False):
        return 2


@pytest.fixture(scope="module")
def bert():
    return wordpiece()


@pytest.fixture(scope="module")
def gpt():
    return byte_level()


TEXTS = ["Good film, unbelievable!", "not  good", "Café — \U0001f600 x"]


def random_masks(shape, seed=0):
    return np.random.default_rng(seed).random(shape) < 0.5


# ---- players ----


def test_words_without_tokenizer():
    texts = TextMasker().wrap(["Don't stop, 3.5 naïve_x\n日本  ’tis \U0001f600!"])
    expected = [
        "Don't",
        "stop",
        ",",
        "3",
        ".",
        "5",
        "naïve_x",
        "日",
        "本",
        "’",
        "tis",
        "\U0001f600",
        "!",
    ]
    assert texts.tokens(0) == expected
    assert texts.ids is None
    words = TextMasker(unit="word").wrap(texts.native)
    np.testing.assert_array_equal(words.spans[0], texts.spans[0])


SENTENCES = [
    ("One. Two!  Three?", ["One.", "Two!", "Three?"]),
    ("It is 3.5 long.So what", ["It is 3.5 long.So what"]),
    ("First line\n\n second", ["First line", "second"]),
    ('He said "No." Then (left!) ...', ['He said "No."', "Then (left!)", "..."]),
    ("日本。東京！ x", ["日本。", "東京！", "x"]),
    ("  ", []),
]


@pytest.mark.parametrize(("text", "sentences"), SENTENCES)
def test_sentences(text, sentences, bert):
    assert [text[a:b] for a, b in sentence_spans(text)] == sentences
    if sentences:
        assert TextMasker(unit="sentence").wrap([text]).tokens(0) == sentences
        assert TextMasker(bert, unit="sentence").wrap([text]).tokens(0) == sentences


def test_units_of_a_tokenizer(bert):
    def tokens(unit, text="Good, unbelievable film. x"):
        return TextMasker(bert, unit=unit).wrap([text]).tokens(0)

    assert tokens("token") == ["Good", ",", "un", "believ", "able", "film", ".", "x"]
    assert tokens("word") == ["Good", ",", "unbelievable", "film", ".", "x"]
    assert tokens("sentence") == ["Good, unbelievable film.", "x"]


def test_special_tokens_are_no_players(bert):
    texts = TextMasker(bert).wrap(TEXTS)
    for text, ids, player in zip(texts.native, texts.ids, texts.player, strict=True):
        own = bert(text, return_special_tokens_mask=True)
        assert ids.tolist() == own["input_ids"]
        special = np.array(own["special_tokens_mask"], dtype=bool)
        assert (player[special] == -1).all()
        np.testing.assert_array_equal(player[~special], np.arange((~special).sum()))
    # nor are those that stand in the text itself, but for the unknown token
    assert TextMasker(bert).wrap(["x [MASK] y [UNK]"]).tokens(0) == ["x", "y", "[UNK]"]


def test_bytes_of_a_character_are_one_player(gpt):
    texts = TextMasker(gpt, fill="pad").wrap(["a\U0001f600 he  日"])
    assert texts.tokens(0) == ["a", "\U0001f600", "he", "", "", "日"]
    assert texts.player[0].tolist() == [0, 1, 1, 1, 1, 2, 3, 4, 5, 5, 5]
    assert texts.spans[0].tolist() == [[0, 1], [1, 2], [3, 5], [5, 6], [6, 7], [7, 8]]


@pytest.mark.parametrize("pre_tokenizer", [True, False])
def test_words_end_at_white_space(pre_tokenizer):
    # without a pre-tokenizer, the whole text has one word number
    tokenizer = byte_level(pre_tokenizer)
    texts = TextMasker(tokenizer, unit="word", fill="delete").wrap(["he  said\nhe \U0001f600 "])
    assert texts.tokens(0) == ["he", "said", "he", "\U0001f600"]
    assert (texts.player[0] >= 0).all()


def test_groups_without_word_numbers():
    offsets = np.array([[0, 2], [2, 4], [4, 5], [5, 8], [8, 8], [9, 10]])
    player, spans = group_tokens("unab, is x", offsets, None, "word")
    assert player.tolist() == [0, 0, 0, 1, 2, 2]
    assert spans.tolist() == [[0, 5], [6, 8], [9, 10]]
    player, spans = group_tokens("unab, is x", offsets, np.array([0, 0, 1, 2, 3, 3]), "word")
    assert player.tolist() == [0, 0, 1, 2, 3, 3]
    player, spans = group_tokens("   ", np.array([[0, 1], [1, 3]]), None, "word")
    assert player.tolist() == [-1, -1]
    assert spans.shape == (0, 2)


def slow_groups(text, offsets, words, unit):
    """``group_tokens`` of tokens that do not overlap, one token after the other."""
    ends = [end for _, end in sentence_spans(text).tolist()]
    groups, waiting, last = [], [], None
    for k, (a, b) in enumerate(offsets.tolist()):
        piece = text[a:b]
        if not (piece if unit == "token" else piece.strip()):
            waiting.append(k)
            continue
        start, end = a, b
        if piece.strip():
            start += len(piece) - len(piece.lstrip())
            end = a + len(piece.rstrip())
        sentence = sum(stop <= start for stop in ends)
        if last is None or unit == "token":
            joins = False
        elif unit == "sentence":
            joins = sentence == last[1]
        else:
            between = any(c.isspace() for c in text[last[0] : start])
            joins = not between and words[k] == last[2]
        if not joins:
            groups.append([[], start, end])
        groups[-1][0] += [*waiting, k]
        groups[-1][2] = end
        waiting, last = [], (end, sentence, words[k])
    if groups:
        groups[-1][0] += waiting
    return groups


@given(st.text("ab .\n\u3000!é\U0001f600", min_size=1, max_size=25), st.data())
@settings(max_examples=150, deadline=None)
def test_groups_against_a_loop(text, data):
    cuts = data.draw(st.lists(st.integers(0, len(text)), min_size=2, max_size=12).map(sorted))
    offsets = np.array([*zip(cuts[:-1], cuts[1:], strict=True)])
    words = np.cumsum(data.draw(st.lists(st.integers(0, 1), min_size=11, max_size=11)))
    for unit in ("token", "word", "sentence"):
        player, spans = group_tokens(text, offsets, words[: len(offsets)], unit)
        groups = slow_groups(text, offsets, words, unit)
        assert [np.flatnonzero(player == g).tolist() for g in range(len(groups))] == [
            members for members, _, _ in groups
        ]
        assert spans.tolist() == [[start, end] for _, start, end in groups]


# ---- tokens ----


def slow_tokens(texts, masks, rules, pad_left):
    """Ids and attention of each masked text, one token after the other."""
    fill, mask_id, pad_id = rules
    result = []
    for i in range(len(texts)):
        for mask in masks[i if len(masks) > 1 else 0]:
            ids, attention = [], []
            for token, player in zip(texts.ids[i], texts.player[i], strict=True):
                removed = player >= 0 and not mask[player]
                if removed and fill == "delete":
                    continue
                swap = {"mask": mask_id, "pad": pad_id}.get(fill)
                ids.append(swap if removed else int(token))
                attention.append(0 if removed and fill == "pad" else 1)
            if not any(attention):
                ids, attention = ids or [pad_id], attention or [0]
                attention[-1 if pad_left else 0] = 1
            result.append((ids, attention))
    length = max(len(ids) for ids, _ in result)
    if fill != "delete":
        length = max(len(own) for own in texts.ids)
    padded = []
    for ids, attention in result:
        blank = length - len(ids)
        pads = [pad_id] * blank, [0] * blank
        if pad_left:
            padded.append((pads[0] + ids, pads[1] + attention))
        else:
            padded.append((ids + pads[0], attention + pads[1]))
    return [ids for ids, _ in padded], [attention for _, attention in padded]


@pytest.mark.parametrize("fill", ["mask", "pad", "delete"])
@pytest.mark.parametrize("unit", ["token", "word", "sentence"])
@pytest.mark.parametrize("left", [False, True])
@pytest.mark.parametrize("shared", [False, True])
def test_tokens_against_a_loop(fill, unit, left, shared):
    tokenizer = wordpiece(padding_side="left" if left else "right")
    masker = TextMasker(tokenizer, unit=unit, fill=fill).fit(TEXTS)
    texts = masker.wrap([*TEXTS, "", "x. y"])
    width = masker.null_players(texts).shape[1]
    masks = random_masks((1 if shared else 3, 6, width))
    masks[:, 0], masks[:, 1] = True, False
    rows = slice(2, 5)
    batch = masker.inputs(texts, TOKENS)(masks, rows)
    ids, attention = slow_tokens(texts.take(rows), masks, (fill, 4, 0), left)
    assert batch.ids.dtype == batch.attention.dtype == torch.int64
    assert batch.ids.tolist() == ids
    assert batch.attention.tolist() == attention
    assert not batch.types.any()
    assert batch.types.shape == batch.shape == (18, len(ids[0]))
    if not left:
        assert batch.start is None
        return
    # removed tokens that keep their places are no padding between texts
    lengths = [len(own) for own in texts.take(rows).ids for _ in range(6)]
    if fill == "delete":
        lengths = batch.attention.sum(dim=1).clamp(min=1).numpy()
    np.testing.assert_array_equal(batch.start, batch.shape[1] - np.asarray(lengths))


@pytest.mark.parametrize("fill", ["pad", "delete"])
@pytest.mark.parametrize("left", [False, True])
def test_no_special_tokens_leave_one_padding_token(fill, left):
    tokenizer = byte_level(padding_side="left" if left else "right")
    masker = TextMasker(tokenizer, fill=fill).fit(["he he", "a"])
    texts = masker.wrap(["he he", "a", ""])
    masks = np.zeros((1, 3, 2), dtype=bool)
    masks[0, 1], masks[0, 2, 1] = True, True
    batch = masker.inputs(texts, TOKENS)(masks, slice(0, 3))
    expected = slow_tokens(texts, masks, (fill, None, tokenizer.pad_token_id), left)
    assert (batch.ids.tolist(), batch.attention.tolist()) == expected
    assert batch.types is None
    assert batch.attention.any(dim=1).all()
    assert batch.ids[0].tolist() == [tokenizer.pad_token_id] * batch.shape[1]
    whole = masker.whole(texts, TOKENS)
    assert whole.attention.sum(dim=1).tolist() == [2, 1, 1]
    assert not left or whole.start.tolist() == [0, 1, 1]
    alone = masker.inputs(texts, TOKENS)(masks[:, :1], slice(0, 2))
    assert alone.shape == (2, 1 if fill == "delete" else 2)


ANY_TEXT = st.text(
    st.one_of(
        st.sampled_from("goodfilm .,!?'’\n\t\u3000\u00a0éÀß日\U0001f600\u200d\u0301½…"),
        st.characters(exclude_categories=["Cs"]),
    ),
    max_size=30,
)


@given(st.lists(ANY_TEXT, min_size=1, max_size=4), st.integers(0, 2**32 - 1), st.data())
@settings(max_examples=60, deadline=None)
@pytest.mark.parametrize("make", [wordpiece, byte_level])
def test_identities_on_random_texts(make, cached, texts, seed, data):
    tokenizer = cached(make)
    fill = data.draw(
        st.sampled_from(["mask", "pad", "delete"] if make is wordpiece else ["pad", "delete"])
    )
    unit = data.draw(st.sampled_from(["token", "word", "sentence"]))
    masker = TextMasker(tokenizer, unit=unit, fill=fill).fit(["x"])
    samples = masker.wrap([*texts, "x"])
    null = masker.null_players(samples)
    masks = random_masks((len(samples), 3, null.shape[1]), seed)
    masks[:, 0], masks[:, 1] = True, False
    batch = masker.inputs(samples, TOKENS)(masks, slice(None))
    pad_id = tokenizer.pad_token_id
    expected = slow_tokens(
        samples, masks, (fill, tokenizer.mask_token_id, pad_id), make is byte_level
    )
    assert (batch.ids.tolist(), batch.attention.tolist()) == expected
    for i, text in enumerate(samples.native):
        # all kept: the tokenizer's own ids
        own, seen = batch.ids[3 * i], batch.attention[3 * i].bool()
        assert own[seen].tolist() == (tokenizer(text)["input_ids"] or [pad_id])
        # players are apart, in order, and inside the text
        spans = samples.spans[i]
        assert (spans[1:, 0] >= spans[:-1, 1]).all()
        assert (spans[:, 0] < spans[:, 1]).all()
        assert spans.max(initial=0) <= len(text)
        assert set(samples.player[i].tolist()) >= set(range(len(spans)))
        assert null[i].sum() == null.shape[1] - len(spans)
        # in strings, too, what is kept stays
        strings = masker.inputs(samples, STRINGS)(masks, slice(None))[3 * i : 3 * i + 3]
        assert strings[0] == text
        position = 0
        for j in np.flatnonzero(masks[i, 2, : len(spans)]):
            kept = samples.native[i][slice(*spans[j])]
            position = strings[2].index(kept, position) + len(kept)


@pytest.fixture(scope="module")
def cached():
    made = {}
    return lambda make: made.setdefault(make, make())


def test_whole_is_what_the_tokenizer_says(bert):
    masker = TextMasker(bert).fit(TEXTS)
    batch = masker.whole(masker.wrap(TEXTS), TOKENS)
    own = bert(TEXTS, padding=True, return_tensors="pt")
    torch.testing.assert_close(batch.ids, own["input_ids"])
    torch.testing.assert_close(batch.attention, own["attention_mask"])
    torch.testing.assert_close(batch.types, own["token_type_ids"])


def test_types_only_where_the_model_has_them():
    masker = TextMasker(wordpiece(types=False)).fit(TEXTS)
    assert masker.whole(masker.wrap(TEXTS), TOKENS).types is None


def test_no_rows_or_masks(bert):
    masker = TextMasker(bert).fit(TEXTS)
    texts = masker.wrap(TEXTS)
    for predictor in (TOKENS, STRINGS):
        inputs = masker.inputs(texts, predictor)
        width = masker.n_players
        assert len(inputs(np.ones((1, 2, width), bool), slice(0, 0))) == 0
        assert len(inputs(np.ones((3, 0, width), bool), slice(0, 3))) == 0


# ---- longer and shorter texts ----


def test_ragged_lengths(bert):
    masker = TextMasker(bert).fit(["x y", "x"])
    assert masker.n_players == 2
    assert masker.feature_names_ == ["token 0", "token 1"]
    assert TextMasker(unit="sentence").fit(["A. B."]).feature_names_ == ["sentence 0", "sentence 1"]
    texts = masker.wrap(["x", "a b c d", ""])
    expected = [[False, True, True, True], [False] * 4, [True] * 4]
    assert masker.null_players(texts).tolist() == expected
    assert masker.null_players(texts.take([0])).tolist() == [[False, True]]
    # players that a text does not have change nothing
    masks = np.array([[[True, False, False, False], [True, True, True, True]]])
    for predictor in (TOKENS, STRINGS):
        answers = masker.inputs(texts, predictor)(masks, slice(0, 1))
        first, second = getattr(answers, "ids", answers)
        assert np.array_equal(first, second)
        with pytest.raises(ValueError, match="masks have 2 players.*has 4"):
            masker.inputs(texts, predictor)(masks[:, :, :2], slice(0, 2))
    assert len(masker.layout(texts).spans) == 3
    np.testing.assert_array_equal(masker.layout(texts).spans[1], texts.spans[1])


@pytest.mark.parametrize("make", [wordpiece, SlowTokenizer])
@pytest.mark.parametrize("side", ["left", "right"])
def test_truncation_is_told(make, side):
    tokenizer = make(truncation_side=side)
    masker = TextMasker(tokenizer, max_length=4)
    strings = ["good", "good film good", "unable film film film"]
    with pytest.warns(
        UserWarning, match="2 of 3 texts have more than 4 tokens.*max_length"
    ) as seen:
        texts = masker.wrap(strings)
    assert len(seen) == 1
    assert seen[0].filename == __file__
    for i, text in enumerate(strings):
        own = tokenizer(text, truncation=True, max_length=4)["input_ids"]
        assert texts.ids[i].tolist() == own
    assert [len(t) for t in texts.spans] == [1, 2, 2]
    assert texts.tokens(1) == (["film", "good"] if side == "left" else ["good", "film"])
    # strings keep what no player stands for
    masks = np.zeros((1, 1, 2), dtype=bool)
    masker.fit(texts)
    strings = masker.inputs(texts, STRINGS)(masks, slice(1, 2))
    expected = "good [MASK] [MASK]" if side == "left" else "[MASK] [MASK] good"
    assert strings.tolist() == [expected]


def test_lengths(bert):
    long = "x " * 600
    cases = [
        ({}, None, 512),
        ({"model_max_length": 10}, None, 10),
        ({"model_max_length": 10}, 600, 600),
    ]
    for options, max_length, expected in cases:
        masker = TextMasker(wordpiece(**options), max_length=max_length)
        with pytest.warns(UserWarning, match=f"1 of 1 texts have more than {expected} "):
            assert len(masker.wrap([long]).ids[0]) == expected
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(TextMasker(bert).wrap(["x " * 510]).ids[0]) == 512
        assert len(TextMasker().wrap([long]).spans[0]) == 600


def test_empty_texts(bert):
    for masker in (TextMasker(), TextMasker(bert)):
        for X in ([""], ["", "  "], [" \t"]):
            for call in (masker.wrap, masker.fit):
                with pytest.raises(ValueError, match="None of the texts has a player"):
                    call(X)
        texts = masker.wrap(["", "x", " \n"])
        assert texts.sizes.tolist() == [0, 1, 0]
        assert masker.fit(texts).n_players == 1
        # once fitted, a text is taken alone as in company
        alone = masker.wrap([""])
        assert alone.fingerprint() == texts.take([0]).fingerprint()
        assert masker.null_players(alone).tolist() == [[True]]
        with pytest.raises(ValueError, match="None of the texts has a player"):
            masker.fit(alone)


# ---- strings ----


def test_strings_with_a_tokenizer(bert):
    texts = ["So  Unbelievable, film!"]
    masks = np.ones((1, 3, 8), dtype=bool)
    masks[0, 1, [2, 4]] = masks[0, 2, :4] = False

    def masked(**options):
        masker = TextMasker(bert, **options).fit(texts)
        return masker.inputs(masker.wrap(texts), STRINGS)(masks, slice(0, 1)).tolist()

    assert TextMasker(bert).wrap(texts).tokens(0)[:5] == ["S", "o", "Un", "believ", "able"]
    mask = "[MASK]"
    assert masked() == [
        texts[0],
        f"So  {mask}believ{mask}, film!",
        f"{mask}{mask}  {mask}{mask}able, film!",
    ]
    deleted = [texts[0], "So  believ, film!", "able, film!"]
    assert masked(fill="delete") == masked(fill="pad") == masked(mask_string="") == deleted
    assert masked(mask_string="UNK", fill="delete")[1] == "So  UNKbelievUNK, film!"


def slow_string(text, spans, mask, replacement):
    """One masked text, character by character; the first white space of a gap stays."""
    owner = [-1] * len(text)
    for player, (start, end) in enumerate(spans):
        owner[start:end] = [player] * (end - start)
    if replacement:
        parts = []
        for place, player in enumerate(owner):
            if player < 0 or mask[player]:
                parts.append(text[place])
            elif place == spans[player][0]:
                parts.append(replacement)
        return "".join(parts)
    solid = [p for p, c in enumerate(text) if owner[p] >= 0 or not c.isspace()]
    if not solid:
        return text
    result, gap, seen, settled = text[: solid[0]], "", False, False
    for place in range(solid[0], solid[-1] + 1):
        if place not in solid:
            if not settled:
                gap += text[place]
            continue
        settled = bool(gap)
        if owner[place] < 0 or mask[owner[place]]:
            result += (gap if seen else "") + text[place]
            gap, seen, settled = "", True, False
        elif not seen:
            gap, settled = "", False
    return result + text[solid[-1] + 1 :]


@given(st.text("ab  \n,é\U0001f600", max_size=25), st.data())
@settings(max_examples=200, deadline=None)
def test_strings_against_a_loop(text, data):
    # players: some of the words, so that characters of no player lie between
    words = word_spans(text)
    chosen = data.draw(st.lists(st.booleans(), min_size=len(words), max_size=len(words)))
    spans = words[np.array(chosen, dtype=bool)]
    masks = random_masks((4, len(spans) + 1), data.draw(st.integers(0, 99)))
    for replacement in ("", "?"):
        assert masked_strings(text, spans, masks, replacement) == [
            slow_string(text, spans.tolist(), mask, replacement) for mask in masks
        ]


def test_deletion_is_tidy():
    def deleted(text, *removed):
        spans = word_spans(text)
        masks = np.ones((1, len(spans)), dtype=bool)
        masks[0, list(removed)] = False
        return masked_strings(text, spans, masks, "")[0]

    assert deleted("a good film", 1) == "a film"
    assert deleted("a good film", 0) == "good film"
    assert deleted("a good film", 2) == "a good"
    assert deleted("a good film", 0, 1, 2) == ""
    assert deleted("a good, film", 1, 2) == "a film"
    assert deleted("a\n\ngood film", 1) == "a\n\nfilm"
    assert deleted("so good!", 1) == "so !"


def test_strings_of_a_pipeline():
    strings = ["a good film", "bad film", "good", "so bad"]
    model = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(strings, [1, 0, 1, 0])
    masker = TextMasker().fit(strings)
    texts = masker.wrap(strings)
    inputs = masker.inputs(texts, STRINGS)
    masks = np.array([[[True, True, True], [True, False, True], [False, False, False]]])
    found = inputs(masks, slice(0, 2))
    assert found.dtype == object
    assert found.tolist() == ["a good film", "a film", "", "bad film", "bad", ""]
    assert model.predict_proba(found).shape == (6, 2)
    whole = masker.whole(texts, STRINGS)
    assert whole.dtype == object
    assert whole.tolist() == strings
    assert not masker.fixed_empty_
    assert masker.removes_to_baseline_
    assert masker.n_background_ == 1


# ---- tokenizers without offsets ----


def test_slow_tokenizer():
    tokenizer = SlowTokenizer()
    masker = TextMasker(tokenizer)
    texts = masker.wrap(["Good  Ünable, film", "good foo-bar film"])
    # unknown words reach to the next white space, as no other reading fits
    assert texts.tokens(1) == ["good", "foo-bar", "film"]
    assert texts.ids[1].tolist() == [2, 5, 1, 6, 3]
    texts = masker.wrap(["Good Unable film"])
    assert texts.tokens(0) == ["Good", "Un", "able", "film"]
    assert TextMasker(tokenizer, unit="word").wrap(texts.native).tokens(0) == [
        "Good",
        "Unable",
        "film",
    ]
    masks = np.array([[[True, False, False, True]]])
    batch = masker.fit(texts).inputs(texts, TOKENS)(masks, slice(0, 1))
    assert batch.ids.tolist() == [[2, 5, 4, 4, 6, 3]]
    with pytest.raises(TypeError, match="SlowTokenizer cannot be saved.*pickle"):
        masker.state()
    copy = pickle.loads(pickle.dumps(masker))
    assert copy.wrap(["good film"]).tokens(0) == ["good", "film"]


def test_pieces_are_found_or_refused():
    assert locate_pieces("Café ½x", ["cafe", "1⁄2", "X"]).tolist() == [[0, 4], [5, 6], [6, 7]]
    assert locate_pieces("a,b c", ["a", ",b", None]).tolist() == [[0, 1], [1, 3], [4, 5]]
    assert locate_pieces("a,b c", [None, "c"]).tolist() == [[0, 3], [4, 5]]
    assert locate_pieces("foo, b", [None, ",", "b"]).tolist() == [[0, 3], [3, 4], [5, 6]]
    assert locate_pieces(" a", ["", "a"]).tolist() == [[0, 0], [1, 2]]
    for text, pieces in [
        ("good film", ["film"]),
        ("good", ["bad"]),
        ("a b", ["a"]),
        ("a", ["a", None]),
    ]:
        with pytest.raises(ValueError, match="token"):
            locate_pieces(text, pieces)


def test_slow_tokenizer_that_rewrites():
    class Rewriting(SlowTokenizer):
        def _tokenize(self, text):
            return ["film"] * len(text.split())

    with pytest.raises(ValueError, match="could not be found in 'good'.*fast tokenizer"):
        TextMasker(Rewriting()).wrap(["good"])


# ---- numbers for a network ----


def test_encode_with_a_tokenizer(bert):
    masker = TextMasker(bert, unit="word")
    code = masker.encode(["un x", "unbelievable"])
    assert code.dtype == torch.int64
    assert code[0].tolist() == [[2, -1], [8, 0], [bert.vocab["x"], 1], [3, -1], [0, -2]]
    assert code[1, :, 1].tolist() == [-1, 0, 0, 0, -1]
    assert masker.vocabulary_size == len(bert)
    torch.testing.assert_close(masker.encode(masker.wrap(["un x"]))[0], code[0, :4])
    # added tokens may leave holes
    holes = wordpiece()
    holes.add_tokens(["abc"])
    assert TextMasker(holes).vocabulary_size == len(bert) + 1


def test_encode_without_a_tokenizer():
    masker = TextMasker(unit="sentence")
    code = masker.encode(["Good. Not good!", "film", ""])
    assert code.shape == (3, 5, 2)
    good, dot = code[0, 0, 0].item(), code[0, 1, 0].item()
    assert code[0, :, 0].tolist()[3:] == [good, code[0, 4, 0].item()]
    assert code[0, :, 1].tolist() == [0, 0, 1, 1, 1]
    assert code[1, :, 1].tolist() == [0, -2, -2, -2, -2]
    assert (code[2] == torch.tensor([0, -2])).all()
    assert masker.vocabulary_size == 2**15 + 2
    assert len({good, dot, code[0, 2, 0].item()}) == 3
    words = TextMasker().encode([f"w{i}" for i in range(2000)])[:, 0, 0]
    assert words.min() >= 2
    assert words.max() < 2**15 + 2
    assert len(words.unique()) > 1900
    assert TextMasker().encode(["Good. Not good!"])[0, :, 1].tolist() == [0, 1, 2, 3, 4]
    # texts that no codec takes
    assert TextMasker().encode(["a\ud800"]).shape == (1, 2, 2)


def test_hashes_do_not_depend_on_the_process():
    # crc32 as gzip and PNG define it
    assert TextMasker().encode(["123456789", "Film", "FILM"])[:, 0, 0].tolist() == [
        0xCBF43926 % 2**15 + 2,
        *[zlib.crc32(b"film") % 2**15 + 2] * 2,
    ]


# ---- saving, copying, threads ----


@pytest.mark.parametrize("make", [None, wordpiece, byte_level])
def test_saved_and_pickled(make):
    tokenizer = None if make is None else make()
    options = {"fill": "delete", "unit": "word", "mask_string": "?"}
    if make is not None:
        options["max_length"] = 6
        tokenizer("x", truncation=True, padding="max_length", max_length=9)
    masker = TextMasker(tokenizer, **options).fit(["x y z"])
    config, tensors = masker.state()
    assert tensors == {}
    again = TextMasker.from_state(json.loads(json.dumps(config)), tensors)
    for copy in (again, pickle.loads(pickle.dumps(masker)), clone(masker, safe=False)):
        assert [getattr(copy, name) for name in options] == list(options.values())
    for copy in (again, pickle.loads(pickle.dumps(masker))):
        assert copy.feature_names_ == masker.feature_names_
        if make is None:
            continue
        with pytest.warns(UserWarning, match="1 of 3 .* 6 tokens"):
            texts = copy.wrap(["he", "a", "x " * 9])
            own = masker.wrap(texts.native)
        assert texts.fingerprint() == own.fingerprint()
        batch = copy.whole(texts, TOKENS)
        assert (batch.types is None) == (make is byte_level)
        for name in ("mask_token", "pad_token", "model_max_length", "padding_side"):
            assert getattr(copy.tokenizer, name) == getattr(tokenizer, name)
    given = wordpiece()
    if make is not None:
        assert TextMasker.from_state(config, tensors, tokenizer=given).tokenizer is given
        config["tokenizer"]["json"] = "{}"
        with pytest.raises(ValueError, match="cannot read the saved tokenizer"):
            TextMasker.from_state(config, tensors)


def test_threads_share_a_tokenizer():
    tokenizer = wordpiece()
    maskers = [TextMasker(tokenizer, max_length=length) for length in (4, 6, 300)]
    strings = ["good film not " * k for k in range(1, 40)]

    def ids(masker):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return [own.tolist() for own in masker.wrap(strings).ids]

    expected = [ids(masker) for masker in maskers]
    with warnings.catch_warnings(), ThreadPoolExecutor(8) as pool:
        warnings.simplefilter("ignore")
        for i, found in enumerate(pool.map(ids, maskers * 8)):
            assert found == expected[i % 3]


def test_tokenizers_without_identity():
    class Unhashable(SlowTokenizer):
        __hash__ = None

    assert TextMasker(Unhashable()).wrap(["good"]).tokens(0) == ["good"]


# ---- errors ----


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"unit": "letter"}, ValueError, "unit must be one of token, word, sentence"),
        ({"fill": "UNK"}, ValueError, "fill must be one of.*mask_string="),
        ({"mask_string": 3}, TypeError, "mask_string must be a str"),
        ({"fill": "pad"}, ValueError, "needs a tokenizer.*delete"),
        ({"max_length": 5}, ValueError, "needs a tokenizer"),
        ({"max_length": 0}, ValueError, "at least 1"),
        ({"max_length": True}, ValueError, "whole number"),
        ({"max_length": 2.5}, ValueError, "whole number"),
        ({"tokenizer": "bert-base-uncased"}, TypeError, "from_pretrained.'bert-base-uncased'"),
        ({"tokenizer": transformers.PreTrainedTokenizerFast}, TypeError, "is the class"),
        ({"tokenizer": TfidfVectorizer()}, TypeError, "got TfidfVectorizer"),
        ({"tokenizer": lambda text: text.split()}, TypeError, "or None for models"),
    ],
)
def test_options(options, error, match):
    masker = TextMasker(**options)
    for call in (masker.wrap, masker.fit, masker.encode):
        with pytest.raises(error, match=match):
            call(["a text"])


def test_options_with_a_tokenizer(bert, gpt):
    with pytest.raises(TypeError, match="tokenizer_object=tokenizer"):
        TextMasker(bert.backend_tokenizer).wrap(["x"])
    with pytest.raises(ValueError, match="more than the 2 special tokens"):
        TextMasker(bert, max_length=2).wrap(["x"])
    for call in (TextMasker(gpt).fit, TextMasker(gpt).wrap):
        with pytest.raises(ValueError, match="no mask token:.*fill='pad'.*'delete'.*mask_string="):
            call(["x"])
    # one message has the whole cure where there is no pad token either
    bare = byte_level(pad_token=None)
    for call in (TextMasker(bare).fit, TextMasker(bare).wrap):
        whole = "no mask token and no pad token.*fill='pad'.*eos_token.*config.pad_token_id"
        with pytest.raises(ValueError, match=whole):
            call(["x"])
    # strings need no mask token if they have a string of their own, tokens do
    masker = TextMasker(gpt, unit="word", mask_string="?").fit(["he x"])
    texts = masker.wrap(["he x"])
    masks = np.array([[[True, False]]])
    assert masker.inputs(texts, STRINGS)(masks, slice(0, 1)).tolist() == ["he ?"]
    with pytest.raises(ValueError, match="no mask token"):
        masker.inputs(texts, TOKENS)
    with pytest.raises(ValueError, match="no pad token.*eos_token"):
        bare = TextMasker(byte_level(pad_token=None), fill="delete").fit(["x"])
        bare.whole(bare.wrap(["x"]), TOKENS)


def test_wrong_models(bert):
    masker = TextMasker().fit(["x"])
    texts = masker.wrap(["x"])
    for call in (masker.inputs, masker.whole):
        with pytest.raises(ValueError, match="pass its tokenizer"):
            call(texts, TOKENS)
        with pytest.raises(ValueError, match="takes rows, not texts"):
            call(texts, SimpleNamespace(takes="rows"))


def test_wrong_texts(bert):
    for masker in (TextMasker(), TextMasker(bert)):
        with pytest.raises(TypeError, match="single text"):
            masker.wrap("a text")
        with pytest.raises(TypeError, match="row 1"):
            masker.fit(["a", None])
    with pytest.raises(ValueError, match="Row 1 holds half of a surrogate"):
        TextMasker(bert).wrap(["a", "b\ud800"])


def test_wrapped_texts_are_taken_as_they_are(bert):
    masker = TextMasker(bert)
    texts = masker.wrap(TEXTS)
    assert isinstance(texts, Texts)
    assert masker.wrap(texts) is texts
    assert masker.fit(texts) is masker
    assert masker.n_players == texts.sizes.max()
