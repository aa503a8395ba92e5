"""Words of scripts that put no spaces between them, with and without a tokenizer."""

from __future__ import annotations

import builtins
import json
import pickle
import unicodedata
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastexplain import ExactExplainer, TextMasker
from fastexplain.maskers._words import word_spans

transformers = pytest.importorskip("transformers")
tokenizers = pytest.importorskip("tokenizers")

CHINESE = "这部电影很好看，我喜欢"
JAPANESE = "東京タワーへ行きました。らーめん"
THAI = "สวัสดีครับวันนี้อากาศดีมาก"
KHMER = "ខ្ញុំស្រលាញ់អ្នកណាស់"


def words(text: str, segmenter: Any = None) -> list[str]:
    return [text[start:end] for start, end in word_spans(text, segmenter)]


def tokenizer_of(pieces: list[str], pre_tokenizer: Any = None) -> Any:
    """The longest pieces that fit, one word number from white space to white space."""
    characters = sorted(set("".join(pieces) + "abcdefgo,。 "))
    table = [("<unk>", -20.0), *((c, -10.0) for c in characters), *((p, -1.0) for p in pieces)]
    scores = list({piece: score for piece, score in reversed(table)}.items())
    scores.sort(key=lambda entry: entry[0] != "<unk>")
    backend = tokenizers.Tokenizer(tokenizers.models.Unigram(scores, unk_id=0))
    backend.pre_tokenizer = pre_tokenizer or tokenizers.pre_tokenizers.WhitespaceSplit()
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=backend, unk_token="<unk>", pad_token="<pad>", mask_token="<mask>"
    )


# -- without a tokenizer ---------------------------------------------------------------------
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # Han: a character each; Hiragana: a sign each; Katakana: as long as it goes on
        (CHINESE, [*"这部电影很好看，我喜欢"]),
        (JAPANESE, [*"東京", "タワー", *"へ行きました。", "らー", *"めん"]),
        ("ABC社の2024年モデルX", ["ABC", "社", "の", "2024", "年", "モデル", "X"]),
        ("人々 ﾃﾚﾋﾞ", ["人", "々", "ﾃﾚﾋﾞ"]),
        ("か\u3099く", ["か\u3099", "く"]),
        ("辻\U000e0100本", ["辻\U000e0100", "本"]),
        ("\U00020000\U00020001", ["\U00020000", "\U00020001"]),
        # others have no rule; spaces and marks end their runs
        (THAI, [THAI]),
        ("ฉัน รัก คุณ!", ["ฉัน", "รัก", "คุณ", "!"]),
        ("ไทย中国", ["ไทย", "中", "国"]),
        ("한국어 단어", ["한국어", "단어"]),
    ],
)
def test_words_by_the_rules_of_unicode(text: str, expected: list[str]) -> None:
    assert words(text) == expected
    assert TextMasker().wrap([text]).tokens(0) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (CHINESE, ["这部", "电影", "很", "好看", "，", "我", "喜欢"]),
        ("這部電影我們去公園", ["這部", "電影", "我們", "去", "公園"]),
        ("東京タワーへ行きました。", ["東京タワーへ", "行きました", "。"]),
        (THAI, ["สวัสดี", "ครับ", "วัน", "นี้", "อากาศ", "ดี", "มาก"]),
        ("good 电影 film", ["good", "电影", "film"]),
    ],
)
def test_words_by_budoux(text: str, expected: list[str]) -> None:
    budoux = pytest.importorskip("budoux")
    found = words(text, "budoux")
    # models differ from version to version; they cut between the same characters, mostly
    assert "".join(found) == "".join(text.split())
    assert max(map(len, found)) < len(text) / 2 + 3
    parsers = {
        THAI: budoux.load_default_thai_parser,
        "這部電影我們去公園": budoux.load_default_traditional_chinese_parser,
    }
    if text in parsers:
        assert found == parsers[text]().parse(text)
    shared = set(found) & set(expected)
    assert len(shared) >= len(expected) // 2


def test_budoux_never_cuts_before_a_mark() -> None:
    pytest.importorskip("budoux")
    for text in ("か\u3099くせいて\u3099す", "ก็ดีที่สุดนี้", "辻\U000e0100本さん"):
        for word in words(text, "budoux"):
            assert unicodedata.category(word[0])[0] != "M"


@given(st.text(st.sampled_from("中文かなカナーไทยกข์ខម ab,。\u3099\u200d!"), max_size=25))
def test_spans_are_in_order_and_leave_nothing_out(text: str) -> None:
    for segmenter in (None, "budoux", lambda t: list(t)):
        spans, position = word_spans(text, segmenter).tolist(), 0
        for start, end in spans:
            assert position <= start < end and not text[position:start].strip()
            assert text[start:end] == text[start:end].strip()
            position = end
        assert not text[position:].strip()


def test_a_function_says_what_words_are() -> None:
    text = "  New York is big, 很大。"
    phrases = ["New York", " is", "big", ",", "  ", "很大", "。"]
    masker = TextMasker(segmenter=lambda t: phrases if t == text else t.split()).fit([text])
    assert masker.wrap([text]).tokens(0) == ["New York", "is", "big", ",", "很大", "。"]
    assert masker.fit(["a b"]).wrap(["c d"]).tokens(0) == ["c", "d"]


@pytest.mark.parametrize(
    ("answer", "error", "match"),
    [
        ("a b", TypeError, "a list of words.*type str"),
        (None, TypeError, "NoneType"),
        ([1, 2], TypeError, "each a str"),
        (["a", "x"], ValueError, "the word 'x'.*'b c' comes next"),
        (["a", "b"], ValueError, "no word for 'c'"),
        (["a", "B", "c"], ValueError, "the word 'B'"),
    ],
)
def test_functions_that_find_no_words(answer: Any, error: Any, match: str) -> None:
    with pytest.raises(error, match=match):
        TextMasker(segmenter=lambda text: answer).fit(["a b c"])


# -- with a tokenizer ------------------------------------------------------------------------
def test_tokenizers_whose_words_end_at_white_space_alone() -> None:
    tokenizer = tokenizer_of(["这部", "电影", "很好看", "我喜欢"])
    masker = TextMasker(tokenizer, unit="word").fit([CHINESE])
    assert masker.wrap([CHINESE]).tokens(0) == ["这部", "电影", "很好看", "，", "我喜欢"]
    # words of other scripts stay as they are
    mixed = masker.wrap(["good 电影 food, 电影"]).tokens(0)
    assert mixed == ["good", "电影", "food,", "电影"]
    assert TextMasker(tokenizer).fit([CHINESE]).wrap(["电影"]).tokens(0) == ["电影"]


def test_tokenizers_that_divide_such_scripts_themselves() -> None:
    split = tokenizers.pre_tokenizers.Split(
        tokenizers.Regex("电影|很好看|我喜欢|这部|，"), "isolated"
    )
    tokenizer = tokenizer_of(["这", "部", "很", "好看"], split)
    masker = TextMasker(tokenizer, unit="word").fit([CHINESE])
    assert masker.wrap([CHINESE]).tokens(0) == ["这部", "电影", "很好看", "，", "我喜欢"]


def test_the_segmenter_goes_before_the_tokenizer() -> None:
    tokenizer = tokenizer_of(["这部", "电影很", "好看", *"，我喜欢"])
    segmenter = {CHINESE: ["这部电影", "很", "好看", "，", "我", "喜欢"]}.__getitem__
    masker = TextMasker(tokenizer, unit="word", segmenter=segmenter).fit([CHINESE])
    # a token that is part of two words makes them one
    assert masker.wrap([CHINESE]).tokens(0) == ["这部电影很", "好看", "，", "我", "喜欢"]
    tokenizer = tokenizer_of([*CHINESE])
    masker = TextMasker(tokenizer, unit="word", segmenter=segmenter).fit([CHINESE])
    assert masker.wrap([CHINESE]).tokens(0) == segmenter(CHINESE)
    pytest.importorskip("budoux")
    masker = TextMasker(tokenizer, unit="word", segmenter="budoux").fit([CHINESE])
    assert masker.wrap([CHINESE]).tokens(0) == words(CHINESE, "budoux")


# -- what is told ----------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("texts", "options", "match"),
    [
        ([THAI] * 3 + ["ok"], {}, "3 of 4 texts.*dictionary.*budoux.*segmenter=function"),
        ([KHMER], {"segmenter": "budoux"}, "needs a dictionary"),
        (["_".join("ab" * 20)] * 4, {}, "4 of 4 texts of 30 characters.*one or two players"),
        (["Good film " * 40] * 4, {"unit": "sentence"}, "of 200 characters.*sentence"),
    ],
)
def test_coarse_players_are_told_of(texts: list[str], options: Any, match: str) -> None:
    with pytest.warns(UserWarning, match=match) as caught:
        TextMasker(**options).fit(texts)
    assert len(caught) == 1 and caught[0].filename == __file__


def test_coarse_players_of_a_tokenizer_are_told_of() -> None:
    tokenizer = tokenizer_of(["สวัสดี", "ครับ"])
    with pytest.warns(UserWarning, match="needs a dictionary"):
        TextMasker(tokenizer, unit="word").fit([THAI])


@pytest.mark.parametrize(
    ("texts", "options"),
    [
        ([THAI], {"segmenter": "budoux"}),
        ([THAI], {"segmenter": lambda text: list(text)}),
        ([THAI], {"unit": "sentence"}),
        ([CHINESE, JAPANESE], {}),
        (["ok", "good"] * 5, {}),
        (["a very long text, of which no word is long at all"] * 5, {}),
        (["Donaudampfschifffahrtsgesellschaft", *["ok"] * 19], {}),
    ],
)
def test_fine_players_are_not_told_of(texts: list[str], options: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        TextMasker(**options).fit(texts)


def test_warnings_of_fit_are_at_the_user_s_line() -> None:
    def model(texts: list[str]) -> np.ndarray:
        p = np.array([0.2 + 0.6 * ("ดี" in text) for text in texts])
        return np.column_stack([1 - p, p])

    with pytest.warns(UserWarning, match="needs a dictionary") as caught:
        ExactExplainer(masker=TextMasker(unit="word"), output="probability").fit([THAI] * 4, model)
    assert [w.filename for w in caught if "dictionary" in str(w.message)] == [__file__]


# -- options, saving -------------------------------------------------------------------------
@pytest.mark.parametrize("segmenter", ["jieba", 3, ["budoux"]])
def test_segmenters_that_are_none(segmenter: Any) -> None:
    with pytest.raises(ValueError, match=r"None, 'budoux' or a function"):
        TextMasker(segmenter=segmenter).fit(["a b"])


def test_a_library_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def gone(name: str, *rest: Any) -> Any:
        if name == "budoux":
            raise ModuleNotFoundError("no budoux", name="budoux")
        return real(name, *rest)

    monkeypatch.setattr("importlib.import_module", lambda name: gone(name))
    with pytest.raises(ImportError, match=r"fastexplain\[segment\]"):
        TextMasker(segmenter="budoux").fit(["a b"])


def test_segmenters_are_saved_by_name() -> None:
    pytest.importorskip("budoux")
    masker = TextMasker(unit="word", segmenter="budoux").fit([THAI])
    config, tensors = masker.state()
    again = TextMasker.from_state(json.loads(json.dumps(config)), tensors)
    assert again.segmenter == "budoux"
    for copy in (again, pickle.loads(pickle.dumps(masker))):
        assert copy.wrap([THAI]).tokens(0) == masker.wrap([THAI]).tokens(0)
    with pytest.raises(TypeError, match="segmenter is a function.*pickle"):
        TextMasker(segmenter=str.split).fit(["a b"]).state()


def test_numbers_for_a_network_follow_the_segmenter() -> None:
    masker = TextMasker(unit="sentence", segmenter=lambda t: [c for c in t if c.strip()])
    code = masker.fit(["ab. c"]).encode(["ab. c"])
    assert code[0, :, 1].tolist() == [0, 0, 0, 1]
