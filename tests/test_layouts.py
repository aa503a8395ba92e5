"""Values of players put where the players are, in pixels and in text."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastexplain.layouts import ImageLayout, TextLayout

shapes = st.tuples(st.integers(1, 5), st.integers(1, 5))


@given(st.data(), shapes, st.integers(1, 4), st.integers(0, 3), st.booleans())
def test_pixels_one_by_one(data, shape, n_players, n, shared):
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    segments = rng.integers(-1, n_players, shape if shared else (n, *shape))
    values = rng.random((n, n_players))
    pixels = ImageLayout(segments, "none").to_pixels(values, outside=-7.0)
    assert pixels.shape == (n, *shape)
    for i in range(n):
        for row in range(shape[0]):
            for column in range(shape[1]):
                player = (segments if shared else segments[i])[row, column]
                assert pixels[i, row, column] == (values[i, player] if player >= 0 else -7.0)


def test_pixels_keep_floats_and_take_others():
    layout = ImageLayout(np.array([[0, 1], [-1, 1]]), "first")
    assert layout.to_pixels(np.ones((1, 2), dtype="float32")).dtype == np.float32
    np.testing.assert_array_equal(layout.to_pixels([[True, False]]), [[[1, 0], [0, 0]]])
    # more players than this image has
    np.testing.assert_array_equal(layout.to_pixels([[1, 2, 9]]), [[[1, 2], [0, 2]]])


@pytest.mark.parametrize("rows", [slice(1, 3), [2, 0], np.array([1]), [], np.array([], dtype=int)])
def test_image_rows(rows):
    segments = np.arange(12).reshape(3, 2, 2)
    taken = ImageLayout(segments, "last").take(rows)
    np.testing.assert_array_equal(taken.segments, segments[rows])
    assert taken.channels == "last"
    shared = ImageLayout(segments[0], "last")
    assert shared.take(rows) is shared


@pytest.mark.parametrize(
    ("segments", "channels", "message"),
    [
        (np.zeros((2, 2)), "none", "whole numbers"),
        (np.zeros(4, dtype=int), "none", "shape"),
        (np.full((2, 2), -2), "none", "-2"),
        (np.zeros((2, 2), dtype=int), "NHWC", "channels"),
    ],
)
def test_bad_image_layouts(segments, channels, message):
    with pytest.raises(ValueError, match=message):
        ImageLayout(segments, channels)


def test_values_must_fit():
    layout = ImageLayout(np.array([[0, 1]]), "none")
    with pytest.raises(ValueError, match=r"\(n, N\)"):
        layout.to_pixels([1.0, 2.0])
    with pytest.raises(ValueError, match="1 players.*at least 2"):
        layout.to_pixels([[1.0]])
    with pytest.raises(ValueError, match=r"\(3, N\)"):
        ImageLayout(np.zeros((3, 1, 2), dtype=int), "none").to_pixels([[1.0]])


@given(
    st.text(max_size=20), st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), max_size=6)
)
def test_pieces_are_the_text(text, ends):
    spans = [sorted(min(end, len(text)) for end in pair) for pair in ends]
    pieces = TextLayout((np.array(spans, dtype=int).reshape(-1, 2),)).pieces(0, text)
    assert "".join(piece for piece, _ in pieces) == text
    assert all(piece for piece, _ in pieces)
    # every character is its player's, or nobody's
    owners = [player for piece, player in pieces for _ in piece]
    for place, owner in enumerate(owners):
        inside = [k for k, (start, stop) in enumerate(spans) if start <= place < stop]
        assert owner in inside if inside else owner == -1


def test_pieces():
    layout = TextLayout(([[0, 3], [3, 5], [7, 9]], [], [[1, 3], [2, 2], [1, 4]]))
    pieces = [("abc", 0), ("de", 1), ("fg", -1), ("hi", 2), ("j", -1)]
    assert layout.pieces(0, "abcdefghij") == pieces
    assert layout.pieces(1, "") == [] and layout.pieces(1, "ab") == [("ab", -1)]
    # of players that share characters the first has them
    assert layout.pieces(2, "abcd") == [("a", -1), ("bc", 0), ("d", 2)]
    with pytest.raises(ValueError, match="text 0 reach to character 9, but the text has 5"):
        layout.pieces(0, "short")


@pytest.mark.parametrize("rows", [slice(1, 3), [2, 0], np.array([1]), [], 1])
def test_text_rows(rows):
    layout = TextLayout(tuple(np.array([[i, i + 1]]) for i in range(3)))
    firsts = [spans[0, 0] for spans in layout.take(rows).spans]
    np.testing.assert_array_equal(firsts, np.atleast_1d(np.arange(3)[rows]))


@pytest.mark.parametrize(
    ("spans", "message"),
    [
        ([[0, 1, 2]], "text 1.*shape"),
        ([[0.0, 1.0]], "text 1.*float"),
        ([[2, 1]], "text 1.*later"),
        ([[-1, 1]], "text 1"),
    ],
)
def test_bad_spans(spans, message):
    with pytest.raises(ValueError, match=message):
        TextLayout(([[0, 1]], spans))
