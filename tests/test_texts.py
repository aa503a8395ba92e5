"""Texts and token batches: taking, digests, and what is refused."""

from collections import deque

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch

from fastexplain.texts import Texts, TokenBatch, as_strings

STRINGS = ["good film", "bad", "not so good"]
SPANS = [np.array([[0, 4], [5, 9]]), np.array([[0, 3]]), np.array([[0, 3], [4, 6], [7, 11]])]
IDS = [np.array([1, 5, 6, 2]), np.array([1, 7, 2]), np.array([1, 8, 9, 5, 2])]
PLAYER = [np.array([-1, 0, 1, -1]), np.array([-1, 0, -1]), np.array([-1, 0, 1, 2, -1])]


def made(tokens=True):
    return Texts(STRINGS, SPANS, IDS, PLAYER) if tokens else Texts(STRINGS, SPANS)


@pytest.mark.parametrize(
    ("rows", "places"),
    [
        (slice(1, None), [1, 2]),
        (slice(None, None, -1), [2, 1, 0]),
        (slice(3, 5), []),
        (np.array([2, 0, 2]), [2, 0, 2]),
        ([-1], [2]),
        ([], []),
        (np.array([True, False, True]), [0, 2]),
    ],
)
@pytest.mark.parametrize("tokens", [True, False])
def test_take(rows, places, tokens):
    part = made(tokens).take(rows)
    assert type(part) is Texts
    assert len(part) == len(places)
    assert part.native == [STRINGS[i] for i in places]
    assert all(a is SPANS[i] for a, i in zip(part.spans, places, strict=True))
    if tokens:
        assert all(a is IDS[i] for a, i in zip(part.ids, places, strict=True))
        assert all(a is PLAYER[i] for a, i in zip(part.player, places, strict=True))
    else:
        assert part.ids is None
        assert part.player is None
    part.fingerprint()
    assert part.sizes.tolist() == [len(SPANS[i]) for i in places]


def test_what_a_text_costs():
    assert made().kind == "texts"
    assert made().n_columns == 256 * 5
    assert made().take([1]).n_columns == 256 * 3
    assert made(False).n_columns == 256 * (len(STRINGS[2]) // 5)
    assert made().take([]).n_columns == made(False).take([]).n_columns == 256


def test_tokens_are_stripped():
    texts = Texts([" a  b c"], [np.array([[0, 3], [3, 5], [5, 7]])])
    assert texts.tokens(0) == ["a", "b", "c"]


def test_copy_is_its_own():
    texts = Texts(list(STRINGS), SPANS)
    texts.copied()[0] = "other"
    assert texts.native == STRINGS


def test_fingerprint():
    other_spans = [np.array([[0, 4], [4, 9]]), *SPANS[1:]]
    moved = [np.array([[0, 4], [5, 9], [0, 3]]), np.zeros((0, 2), int), SPANS[2]]
    other_ids = [np.array([1, 5, 7, 2]), *IDS[1:]]
    other_player = [np.array([-1, 0, 0, -1]), *PLAYER[1:]]
    digests = [
        texts.fingerprint()
        for texts in (
            made(),
            made(False),
            Texts(["Good film", *STRINGS[1:]], SPANS, IDS, PLAYER),
            Texts(STRINGS, other_spans, IDS, PLAYER),
            Texts(STRINGS, moved, IDS, PLAYER),
            Texts(STRINGS, SPANS, other_ids, PLAYER),
            Texts(STRINGS, SPANS, IDS, other_player),
        )
    ]
    assert len(set(digests)) == len(digests)
    again = Texts(list(STRINGS), [s.copy() for s in SPANS], [i.copy() for i in IDS], PLAYER)
    assert again.fingerprint() == digests[0]
    assert made().take(slice(0, 3)).fingerprint() == digests[0]


@pytest.mark.parametrize("types", [True, False])
@pytest.mark.parametrize("rows", [slice(1, 3), np.array([2, 0]), torch.tensor([1])])
def test_token_batch(types, rows):
    ids = torch.arange(12).reshape(3, 4)
    start = torch.tensor([2, 0, 1]) if types else None
    batch = TokenBatch(ids, ids % 2, ids % 3 if types else None, start)
    assert batch.shape == (3, 4)
    assert len(batch) == 3
    part = batch[rows].to("cpu")
    assert type(part) is TokenBatch
    torch.testing.assert_close(part.ids, ids[rows])
    torch.testing.assert_close(part.attention, ids[rows] % 2)
    if types:
        torch.testing.assert_close(part.types, ids[rows] % 3)
        torch.testing.assert_close(part.start, start[rows])
    else:
        assert part.types is None and part.start is None


def test_token_batch_moves_devices():
    ids = torch.zeros((1, 2), dtype=torch.int64)
    moved = TokenBatch(ids, ids, ids, ids[:, 0]).to("meta")
    parts = (moved.ids, moved.attention, moved.types, moved.start)
    assert {part.device.type for part in parts} == {"meta"}


@pytest.mark.parametrize(
    "make",
    [
        list,
        tuple,
        np.array,
        lambda x: np.array(x, dtype=object),
        pd.Series,
        lambda x: pd.Series(x, dtype=object, index=[7, 7, 1]),
        lambda x: pd.Series(x, dtype="string"),
        lambda x: pd.Series(x, dtype="category"),
        pl.Series,
        lambda x: [np.str_(s) for s in x],
        lambda x: np.array(x, dtype=np.dtypes.StringDType()),
        lambda x: pd.Series(x, dtype=pd.StringDtype("python")),
        lambda x: pl.Series(x, dtype=pl.Categorical),
        pd.Index,
        deque,
    ],
)
def test_strings_of_any_container(make):
    strings = as_strings(make(STRINGS))
    assert strings == STRINGS
    assert {type(text) for text in strings} == {str}


@pytest.mark.parametrize(
    ("X", "error", "match"),
    [
        ("one text", TypeError, r"single text.*\[text\]"),
        (b"one text", TypeError, "bytes: decode"),
        (pd.DataFrame({"text": STRINGS}), TypeError, r"column.*X\['text'\]"),
        (np.array([STRINGS]), ValueError, r"\(1, 3\).*ravel"),
        (np.array("text"), ValueError, "one dimension"),
        ({"text": STRINGS}, TypeError, "dict of columns"),
        ((text for text in STRINGS), TypeError, r"generator.*list\(X\)"),
        (set(STRINGS), TypeError, "no order"),
        (None, TypeError, "X is None"),
        ([], ValueError, "no texts"),
        (np.array([], dtype=str), ValueError, "no texts"),
        (["a", None], TypeError, "row 1 .*None.*replace"),
        (["a", "b", float("nan")], TypeError, "row 2 .*nan.*replace"),
        (pd.Series(["a", None]), TypeError, "row 1 "),
        (pd.Series(["a", pd.NA], dtype="string"), TypeError, "row 1 .*NA"),
        ([b"a"], TypeError, "row 0 .*bytes; decode"),
        ([["a", "b"]], TypeError, "row 0 .*list"),
        (np.arange(3), TypeError, "row 0 .*int"),
        (["a", pd.NA], TypeError, "row 1 .*NA.*replace"),
        (pl.Series(["a", None]), TypeError, "row 1 .*replace"),
        (np.array(["a", None], dtype=object), TypeError, "row 1 .*replace"),
        (np.array([b"a"]), TypeError, "row 0 .*decode"),
    ],
)
def test_no_texts(X, error, match):
    with pytest.raises(error, match=match):
        as_strings(X)
