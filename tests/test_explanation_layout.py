"""Explanations of images and texts: what they carry, and what becomes of it."""

from __future__ import annotations

import pickle
import re
import struct
import zlib

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest

from fastexplain._explanation_images import displayable, grey, png
from fastexplain._explanation_layout import tokens
from fastexplain._explanation_scale import Scale
from fastexplain.explanation import Explanation
from fastexplain.layouts import ImageLayout, TextLayout

OUTPUTS = ["cat", "dog", "fox"]
TEXTS = ["A <fine> film", "dull", "so-so & long, very long"]
SHAPES = {"first": (5, 3, 4, 6), "last": (5, 4, 6, 3), "none": (5, 4, 6)}


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def segments(own: bool = False) -> np.ndarray:
    """Six patches of 2 x 2 in images of 4 x 6; with ``own`` another order for each of 5."""
    shared = np.repeat(np.repeat(np.arange(6).reshape(2, 3), 2, axis=0), 2, axis=1)
    return np.stack([(shared + i) % 6 for i in range(5)]) if own else shared


def images(channels: str = "last", own: bool = False, **kwargs) -> Explanation:
    """All three outputs of five images of six patches."""
    rng = np.random.default_rng(0)
    given = {
        "base_values": rng.normal(size=(5, 3)),
        "data": rng.integers(0, 256, SHAPES[channels]).astype(np.uint8),
        "output_names": OUTPUTS,
        "method": "Shapley",
        "layout": ImageLayout(segments(own), channels),
    }
    return Explanation(rng.normal(size=(5, 6, 3)), **(given | kwargs))


def spans_of(texts: list[str]) -> tuple[np.ndarray, ...]:
    return tuple(np.array([m.span() for m in re.finditer(r"\w+", t)]) for t in texts)


def texts(**kwargs) -> Explanation:
    """All three outputs of three texts of 3, 1 and 5 words."""
    spans = spans_of(TEXTS)
    values = np.random.default_rng(0).normal(size=(3, 5, 3))
    for row, span in enumerate(spans):
        values[row, len(span) :] = 0.0
    given = {
        "base_values": 0.25,
        "data": TEXTS,
        "output_names": OUTPUTS,
        "method": "Shapley",
        "layout": TextLayout(spans),
    }
    return Explanation(values, **(given | kwargs))


# ---------------------------------------------------------------- carried along


@pytest.mark.parametrize("channels", ["first", "last", "none"])
@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize(
    "rows", [slice(1, 4), [3, 0], np.array([True, False, True, False, True]), range(2), 2]
)
def test_rows_of_images_keep_their_segments(channels, own, rows):
    whole = images(channels, own)
    part = whole[rows]
    index = np.atleast_1d(np.arange(5)[rows if not isinstance(rows, range) else list(rows)])
    expected = segments(own)[index] if own else segments()
    assert np.array_equal(part.layout.segments, expected)
    assert part.layout.channels == channels
    assert np.array_equal(part.data, whole.data[rows])
    assert part.values.shape == whole.values[rows].shape


@pytest.mark.parametrize("rows", [slice(1, 3), [2, 0], np.array([True, False, True]), 1, -1])
def test_rows_of_texts_keep_their_spans(rows):
    whole = texts()
    part = whole[rows]
    index = np.atleast_1d(np.arange(3)[rows])
    assert len(part.layout.spans) == len(index)
    for spans, i in zip(part.layout.spans, index, strict=True):
        assert np.array_equal(spans, whole.layout.spans[i])
    assert np.array_equal(part.data, whole.data[rows])


@pytest.mark.parametrize("make", [images, texts])
def test_outputs_keep_the_layout_and_features_drop_it(make):
    explanation = make()
    for kept in (explanation[..., "dog"], explanation[..., ["dog", "cat"]], explanation.centered):
        assert kept.layout is explanation.layout
    assert explanation[:, :].layout is not None
    n_features = explanation.shape[1]
    assert explanation[:, list(range(n_features))].layout is not None  # all of them, in order
    for dropped in (explanation[:, :2], explanation[:, 0], explanation[:, ::-1]):
        assert dropped.layout is None
        assert len(dropped.data) == len(explanation)
    assert Explanation([[1.0]], base_values=0).layout is None


@pytest.mark.parametrize("make", [images, lambda: images(own=True), texts])
def test_concat_undoes_row_slices(make):
    whole = make()
    joined = Explanation.concat([whole[:1], whole[1], whole[2:]])
    assert np.array_equal(joined.values, whole.values)
    assert np.array_equal(joined.data, whole.data)
    if isinstance(whole.layout, TextLayout):
        pairs = zip(joined.layout.spans, whole.layout.spans, strict=True)
        assert all(np.array_equal(ours, theirs) for ours, theirs in pairs)
    else:
        assert np.array_equal(joined.layout.segments, whole.layout.segments)
        assert joined.layout.channels == whole.layout.channels


def test_concat_of_different_segments():
    shared, own = images()[:2], images(own=True)[3:]
    joined = Explanation.concat([shared, own])
    expected = [segments(), segments(), *segments(True)[3:]]
    assert np.array_equal(joined.layout.segments, expected)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (lambda: images(layout=None), "only some of the explanations have a layout"),
        (lambda: images("first"), "channels on different axes"),
        (
            lambda: images("last", data=None, layout=ImageLayout(segments()[:2], "last")),
            "different sizes",
        ),
    ],
)
def test_concat_of_different_layouts(other, message):
    with pytest.raises(ValueError, match=message):
        Explanation.concat([images(), other()])


@pytest.mark.parametrize("make", [images, texts])
def test_pickle(make):
    again = pickle.loads(pickle.dumps(make()))
    assert type(again.layout) is type(make().layout)
    assert np.array_equal(again.data, make().data)


# ---------------------------------------------------------------- construction


def test_texts_become_a_column():
    expected = np.array([[text] for text in TEXTS], dtype=object)
    for data in (TEXTS, np.array(TEXTS), expected):
        kept = texts(data=data).data
        assert kept.dtype == object and np.array_equal(kept, expected)


def test_single_samples():
    image = Explanation(
        np.arange(6.0),
        base_values=0,
        data=np.zeros((4, 6)),
        layout=ImageLayout(segments(), "none"),
    )
    assert image.data.shape == (4, 6) and image.layout is not None
    text = Explanation([1.0], base_values=0, data="dull", layout=TextLayout((np.array([[0, 4]]),)))
    assert text.data.tolist() == ["dull"]
    assert text.display_data is None  # one column, and one feature that is not this column


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: images(layout=ImageLayout(segments(True)[:3], "last")), "3 images for 5 rows"),
        (lambda: images(layout=ImageLayout(segments() + 3, "last")), "player 8 for values of 6"),
        (lambda: images(layout=ImageLayout(segments(), "first")), "channels='first'"),
        (lambda: images(layout=ImageLayout(segments()[:2], "last")), "2 x 6 pixels"),
        (lambda: images(data=np.zeros((5, 4, 6))), "not images of 4 x 6"),
        (lambda: texts(layout=TextLayout(spans_of(TEXTS)[:2])), "2 texts for 3 rows"),
        (lambda: texts(layout=TextLayout(spans_of(["a b c d e f"] * 3))), "6 players"),
        (lambda: texts(layout=TextLayout(spans_of(["abcdefgh"] * 3))), "the end of text 1"),
        (lambda: texts(data=np.array([[t, t] for t in TEXTS])), r"shape \(3, 1\)"),
        (lambda: texts(data=TEXTS[:2]), "2 rows for 3"),
    ],
)
def test_what_does_not_fit_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_layouts_of_other_kinds():
    with pytest.raises(TypeError, match="ImageLayout or a TextLayout, not ndarray"):
        images(layout=segments())


# ---------------------------------------------------------------- shown


def test_repr_and_frames():
    assert repr(images()[..., 0]) == ('Explanation(5 rows x 6 features, target "cat"; Shapley)')
    assert repr(texts()) == "Explanation(3 rows x 5 features x 3 outputs; Shapley)"
    assert images().to_frame().shape == (5, 18)
    assert texts()[..., "dog"].to_frame().shape == (3, 5)


def test_html_of_images():
    html = images()._repr_html_()
    assert html.count("<img ") == 4 and "1 more row<" in html and "<table" not in html
    assert "output &quot;cat&quot;, the first of 3" in html
    assert len(html) < 20_000
    per_row = images()[..., 0]
    per_row._target = np.arange(5) % 3
    assert "<figcaption" in per_row._repr_html_() and "1 · dog" in per_row._repr_html_()


def test_html_of_texts():
    html = texts()[..., 0]._repr_html_()
    assert "<fine" not in html and "fine</span>&gt;" in html
    assert html.count("<span title=") == 9
    long = "word " * 5000
    one = Explanation(
        np.ones((1, 5000)), base_values=0, data=[long], layout=TextLayout(spans_of([long]))
    )
    assert len(one._repr_html_()) < 40_000 and "&hellip;" in one._repr_html_()


@pytest.mark.parametrize(
    "odd",
    [
        images(data=None),
        images(layout=None),
        images()[:0],
        images()[0],
        images()[:, 0],
        images()[:, []],
        images(layout=ImageLayout(np.full((4, 6), -1), "last")),
        images(neutral_values=np.nan),
        images("none", data=np.full((5, 4, 6), np.nan)),
        texts(data=None),
        texts(layout=None, data=[[text] for text in TEXTS]),
        texts()[:0],
        texts()[1],
        texts()[:, 0],
        texts(layout=TextLayout(tuple(np.zeros((0, 2), int) for _ in TEXTS))),
        texts(neutral_values=np.nan),
    ],
    ids=lambda e: repr(e),
)
def test_html_never_fails(odd):
    html = odd._repr_html_()
    assert html.startswith("<div>") and html.endswith("</div>")
    assert repr(odd)


def test_names_are_escaped():
    evil = "<script>alert('x')</script>"
    for explanation in (images, texts):
        shown = explanation(output_names=[evil, "a", "b"], method=evil)
        shown.feature_names = [evil] * len(shown.feature_names)
        assert "<script" not in shown._repr_html_()
        one = shown[..., 0]
        one._target = np.arange(len(one)) % 2
        assert "<script" not in one._repr_html_()


# ---------------------------------------------------------------- pieces


@pytest.mark.parametrize(
    ("array", "channels", "expected"),
    [
        (np.array([[[0, 51], [255, 0]]], np.uint8), "none", [[0, 0.2], [1, 0]]),
        (np.array([[[0.25, 1.0]]]), "none", [[0.25, 1.0]]),
        (np.array([[[-1.0, 0.0, 3.0]]]), "none", [[0, 0.25, 1]]),
        (np.array([[[7.0, 7.0]]]), "none", [[0, 0]]),
        (np.array([[[True, False]]]), "none", [[1, 0]]),
        (np.array([[[[0.2]], [[0.6]]]]), "first", [[0.4]]),  # two channels: their mean
        (np.array([[[[0.2, 0.6, 0.1, 0.1, 0.0]]]]), "last", [[0.2]]),
        (np.array([[[[0.2, 0.4, 0.6, 0.5]]]]), "last", [[[0.6, 0.7, 0.8]]]),  # half on white
        (np.array([[[[0, 255, 0]]]], np.uint8), "last", [[[0, 1, 0]]]),
    ],
)
def test_displayable(array, channels, expected):
    shown = displayable(array, channels)
    assert shown[0] == pytest.approx(np.array(expected, dtype=float))


def test_stretched_image_by_image():
    shown = displayable(np.array([[[-1.0, 1.0]], [[0.0, 10.0]]]), "none")
    assert shown.tolist() == [[[0, 1]], [[0, 1]]]


def test_grey_keeps_the_order_of_brightness():
    image = np.array([[[0, 0, 0], [0, 0, 1], [1, 0, 0], [0, 1, 0], [1, 1, 1]]], float)
    levels = grey(image)[0]
    assert (np.diff(levels) > 0).all() and levels[-1] == pytest.approx(1.0) and levels[0] > 0.3


def test_png_is_read_back():
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3))
    content = png(pixels / 255)
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", content[16:24]) == (7, 5)
    start = content.index(b"IDAT") + 4
    (length,) = struct.unpack(">I", content[start - 8 : start - 4])
    lines = np.frombuffer(zlib.decompress(content[start : start + length]), np.uint8)
    assert np.array_equal(lines.reshape(5, 22)[:, 1:].reshape(5, 7, 3), pixels)
    image = pytest.importorskip("PIL.Image")
    import io

    with image.open(io.BytesIO(content)) as opened:
        assert np.array_equal(np.asarray(opened), pixels)


def test_tokens_join_to_the_text():
    for text, spans in zip(TEXTS, spans_of(TEXTS), strict=True):
        assert "".join(tokens(text, spans)) == text
        assert len(tokens(text, spans)) == len(spans)
    assert tokens("abc", np.array([[0, 2], [0, 2], [2, 3]])) == ["ab", "ab", "c"]  # shared
    assert tokens("abc", np.zeros((0, 2), int)) == []


def test_scale_is_robust_and_symmetric():
    explanation = images()
    shown = np.concatenate([np.linspace(-1, 1, 1000), [50.0, np.nan]])
    scale = Scale.of(explanation, shown)
    assert scale.limit == pytest.approx(0.99, abs=0.01) and scale.clipped
    assert scale.low == -scale.limit
    assert scale.strength(np.array([50.0, -50.0, np.nan, 0.0])).tolist() == [1, -1, 0, 0]
    rare = Scale.of(explanation, np.r_[np.zeros(1000), 3.0])
    assert rare.limit == 3.0 and not rare.clipped
    assert Scale.of(explanation, np.zeros(3)).limit == 1.0
    positive = Explanation(np.ones((2, 3)), base_values=0, additive=False)
    assert Scale.of(positive, positive.values).low == 0.0
    assert Scale.of(positive, positive.values).label == "attribution"
    relative = Explanation(np.ones((2, 3)), base_values=0, neutral_values=0.5)
    assert not Scale.of(relative, relative.values).one_sided
    assert "without effect" in Scale.of(relative, relative.values).label


# ---------------------------------------------------------------- shap


def test_images_to_shap_add_up():
    explanation = images(own=True)
    converted = explanation.to_shap()
    assert converted.shape == (5, 4, 6, 1, 3) and converted.data.shape == (5, 4, 6, 3)
    assert converted.values.sum(axis=(1, 2, 3)) == pytest.approx(explanation.values.sum(axis=1))
    assert np.array_equal(converted.base_values, explanation.base_values)
    assert list(converted.output_names) == OUTPUTS
    # of attributions that do not add up each pixel has its player's value
    level = images(neutral_values=0.5)[..., 1]
    assert level.to_shap().values[..., 0] == pytest.approx(
        level.layout.to_pixels(level.values - 0.5)
    )
    assert level.to_shap(center=False).values[..., 0] == pytest.approx(
        level.layout.to_pixels(level.values)
    )


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("channels", ["first", "last", "none"])
def test_shap_draws_images(channels):
    import shap

    explanation = images(channels)
    single = explanation[..., "cat"]
    for each in (explanation, explanation[:2], explanation[0], single, single[1]):
        shap.plots.image(each.to_shap(), show=False)
        plt.gcf().canvas.draw()


@pytest.mark.filterwarnings("ignore")
def test_shap_shows_texts():
    import shap

    explanation = texts()
    single = explanation[..., "cat"]
    own = single.to_shap()
    assert [len(row) for row in own.values] == [3, 1, 5]
    assert ["".join(row) for row in own.data] == TEXTS
    assert single[0].to_shap().values == pytest.approx(single.values[0, :3])
    same = texts(data=["a b"] * 3, layout=TextLayout(spans_of(["a b"] * 3)))[..., 0]
    for each in (single, single[0], single[1:], explanation, explanation[0], same):
        html = shap.plots.text(each.to_shap(), display=False)
        assert "<div" in html
