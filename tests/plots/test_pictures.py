"""Pictures of explanations of images and texts."""

from __future__ import annotations

import matplotlib

matplotlib.use("Agg")

import re
import sys

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.patches import FancyBboxPatch, PathPatch

from fastexplain.explanation import Explanation
from fastexplain.layouts import ImageLayout, TextLayout
from fastexplain.plots._style import Ruler
from fastexplain.plots._text import _atoms, _lines

SENTENCE = "The acting was <b>superb</b>, but at $12 a ticket & no plot?"


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def segments() -> np.ndarray:
    """Four patches of images of 8 x 6, and a border that is nobody's."""
    patches = np.repeat(np.repeat(np.arange(4).reshape(2, 2), 4, axis=0), 3, axis=1)
    patches[0] = -1
    return patches


def images(n: int = 3, n_outputs: int = 2, data=None, channels: str = "last", **kwargs):
    rng = np.random.default_rng(0)
    given = {
        "base_values": 0.0,
        "data": rng.random((n, 8, 6, 3)) if data is None else data,
        "output_names": [f"class {k}" for k in range(n_outputs)],
        "method": "Shapley",
        "layout": ImageLayout(segments(), channels),
    }
    return Explanation(rng.normal(size=(n, 4, n_outputs)), **(given | kwargs))


def texts(data=(SENTENCE, "Fine."), **kwargs) -> Explanation:
    data = list(data)
    spans = tuple(np.array([m.span() for m in re.finditer(r"\w+", t)]) for t in data)
    width = max(map(len, spans))
    values = np.random.default_rng(0).normal(size=(len(data), width))
    given = {
        "base_values": 0.0,
        "data": data,
        "output_names": ["no", "yes"],
        "target": np.arange(len(data)) % 2,
        "method": "Shapley",
        "layout": TextLayout(spans),
        "feature_names": [f"word {i}" for i in range(width)],
    }
    return Explanation(values, **(given | kwargs))


def overlay(ax):
    """Values that lie on the grey image."""
    below, above = ax.get_images()
    return above


def titles(axes) -> list[str]:
    return [ax.get_title() for ax in np.ravel(axes)]


# ---------------------------------------------------------------- images


def test_a_row_for_each_image_and_a_column_for_each_output():
    explanation = images()
    axes = explanation.plot.image()
    assert axes.shape == (3, 3) and len(axes[0, 0].figure.axes) == 10  # and the colour bar
    assert titles(axes[0]) == ["", "class 0", "class 1"] and not any(titles(axes[1:]))
    maps = explanation.layout.to_pixels(explanation.values[..., 1], outside=np.nan)
    for row in range(3):
        assert np.array_equal(axes[row, 0].get_images()[0].get_array(), explanation.data[row])
        shown = overlay(axes[row, 2]).get_array().filled(np.nan)
        assert np.array_equal(shown, maps[row], equal_nan=True)
        assert axes[row, 0].get_ylabel() == f"image {row}"


def test_one_symmetric_scale():
    explanation = images()
    axes = explanation.plot.image()
    limits = {overlay(ax).get_clim() for ax in axes[:, 1:].ravel()}
    ((low, high),) = limits
    assert low == -high and high <= np.abs(explanation.values).max()
    bar = axes[0, 0].figure.axes[-1]
    labels = [label.get_text() for label in bar.get_xticklabels()]
    assert len(labels) == 3 and labels[1] == "0" and f"{high:.3g}" in labels[2]
    assert bar.get_xlabel() == "attribution"


def test_colours_are_transparent_at_no_effect():
    explanation = images(neutral_values=0.5)
    axes = explanation.plot.image(alpha=0.5)
    drawn = overlay(axes[0, 1])
    expected = explanation.layout.to_pixels(explanation.values[..., 0] - 0.5, outside=np.nan)
    shown = drawn.get_array().filled(np.nan)
    assert shown == pytest.approx(expected[0], nan_ok=True)
    high = drawn.get_clim()[1]
    colours = drawn.cmap(drawn.norm([-high, 0.0, high]))
    assert colours[:, 3] == pytest.approx([0.5, 0.0, 0.5], abs=0.01)
    assert colours[0, 2] > colours[0, 0] and colours[2, 0] > colours[2, 2]  # blue, red
    assert drawn.cmap.get_bad()[3] == 0  # pixels of no player
    assert "without effect" in axes[0, 0].figure.axes[-1].get_xlabel()


def test_probabilities_have_one_side():
    values = np.random.default_rng(0).random((2, 4))
    explanation = images(n=2, n_outputs=1, output_names=None)
    explanation = Explanation(
        values, base_values=0, data=explanation.data, layout=explanation.layout, additive=False
    )
    drawn = overlay(explanation.plot.image()[0, 1])
    assert drawn.get_clim()[0] == 0 < drawn.get_clim()[1] <= values.max()
    assert drawn.cmap(0.0)[3] == 0
    signed = Explanation(
        values, base_values=0, neutral_values=0.5, data=explanation.data, layout=explanation.layout
    )
    low, high = overlay(signed.plot.image()[0, 1]).get_clim()
    assert low == -high


def test_colour_map_is_the_users():
    explanation = images(n=1)
    own = overlay(explanation.plot.image(cmap="PiYG")[0, 1])
    assert own.cmap(own.norm(own.get_clim()[1]))[:3] == matplotlib.colormaps["PiYG"](1.0)[:3]
    same = overlay(explanation.plot.image(cmap=matplotlib.colormaps["PiYG"])[0, 1])
    assert np.array_equal(own.cmap(np.arange(511)), same.cmap(np.arange(511)))


def test_rows_and_outputs_are_chosen():
    explanation = images(n=12, n_outputs=3)
    axes = explanation.plot.image([4, -1], outputs=["class 2", "class 0"])
    assert axes.shape == (2, 3) and titles(axes[0]) == ["", "class 2", "class 0"]
    assert [ax.get_ylabel() for ax in axes[:, 0]] == ["image 4", "image 11"]
    assert explanation.plot.image(3, outputs=1).shape == (1, 2)
    assert explanation.plot.image(slice(2, 5), outputs="class 1").shape == (3, 2)
    assert explanation.plot.image().shape == (8, 4)
    few = explanation.plot.image(max_rows=2)
    assert few.shape == (2, 4)
    assert "first 2 of 12 images" in few[0, 0].figure.texts[0].get_text()


def test_many_outputs_show_the_largest():
    values = np.random.default_rng(0).normal(size=(2, 4, 20)) * 0.1
    values[1, 2, [3, 19]] = 5.0, -5.0
    explanation = images(n=2, n_outputs=20)
    explanation._values = values
    axes = explanation.plot.image()
    shown = titles(axes[0, 1:])
    assert len(shown) == 8 and "class 3" in shown and shown[-1] == "class 19"
    assert "8 of 20 outputs" in axes[0, 0].figure.texts[0].get_text()
    with pytest.raises(ValueError, match="1 to 8 outputs, not 20"):
        explanation.plot.image(outputs=slice(None))


def test_targets_per_row_are_named():
    explanation = images(n_outputs=1, output_names=None)[..., 0]
    explanation.output_names = ["cat", "dog"]
    explanation._target = np.array([0, 1, 0])
    assert titles(explanation.plot.image()[:, 1]) == ["cat", "dog", "cat"]
    explanation._target = np.array([1, 1, 1])
    assert titles(explanation.plot.image()[:, 1]) == ["dog", "", ""]
    assert titles(explanation[0].plot.image()) == ["", "dog"]


def test_columns_stand_side_by_side():
    explanation = images(n=5)[..., 0]
    one, three = explanation.plot.image(), explanation.plot.image(columns=3)
    assert one.shape == three.shape == (5, 2)
    tops = [ax.get_position().y1 for ax in three[:, 0]]
    assert tops[0] == tops[1] == tops[2] > tops[3] == tops[4]
    assert titles(three[:, 1]) == ["class 0"] * 3 + [""] * 2
    assert three[0, 0].figure.get_figwidth() > one[0, 0].figure.get_figwidth()


@pytest.mark.parametrize(
    ("data", "channels", "shape"),
    [
        (np.full((3, 8, 6, 3), 128, np.uint8), "last", (8, 6, 3)),
        (np.full((3, 3, 8, 6), 0.5, np.float32), "first", (8, 6, 3)),
        (np.random.default_rng(0).normal(size=(3, 3, 8, 6)), "first", (8, 6, 3)),
        (np.full((3, 8, 6), 0.5), "none", (8, 6)),
        (np.full((3, 1, 8, 6), 0.5), "first", (8, 6)),
        (np.full((3, 8, 6, 4), 255, np.uint8), "last", (8, 6, 3)),
        (np.full((3, 7, 8, 6), 0.5), "first", (8, 6)),
        (np.full((3, 2, 8, 6), 0.5), "first", (8, 6)),
    ],
)
def test_all_kinds_of_images(data, channels, shape):
    axes = images(data=data, channels=channels).plot.image()
    shown = axes[0, 0].get_images()[0].get_array()
    assert shown.shape == shape and 0 <= shown.min() and shown.max() <= 1
    axes[0, 0].figure.canvas.draw()


@pytest.mark.parametrize("size", [(8, 6), (4, 60), (60, 4), (30, 30)])
@pytest.mark.parametrize("n_outputs", [1, 8])
def test_nothing_overlaps(size, n_outputs):
    layout = ImageLayout(np.zeros(size, int), "none")
    explanation = Explanation(
        np.random.default_rng(0).normal(size=(3, 1, n_outputs)),
        base_values=0,
        data=np.random.default_rng(0).random((3, *size)),
        output_names=[f"a class with a rather long name {k}" for k in range(n_outputs)],
        method="Shapley",
        layout=layout,
    )
    axes = explanation.plot.image()
    figure = axes[0, 0].figure
    figure.canvas.draw()
    renderer = figure.canvas.get_renderer()
    boxes = [ax.get_tightbbox(renderer) for ax in figure.axes] + [
        text.get_window_extent(renderer) for text in figure.texts
    ]
    for i, first in enumerate(boxes):
        assert figure.bbox.x0 <= first.x0 and first.x1 <= figure.bbox.x1 + 1
        assert figure.bbox.y0 <= first.y0 and first.y1 <= figure.bbox.y1 + 1
        for second in boxes[i + 1 :]:
            width = min(first.x1, second.x1) - max(first.x0, second.x0)
            height = min(first.y1, second.y1) - max(first.y0, second.y0)
            assert min(width, height) < 2
    for ax in axes.ravel():  # and no image is squeezed
        box = ax.get_window_extent()
        assert box.width / box.height == pytest.approx(size[1] / size[0], rel=0.02)


def test_image_on_given_axes():
    figure, (left, right) = plt.subplots(1, 2, figsize=(6, 3))
    explanation = images()
    assert explanation.plot.image(1, outputs="class 1", ax=left) is left
    assert left.get_title() == "class 1" and len(left.get_images()) == 2
    assert tuple(figure.get_size_inches()) == (6, 3) and not right.get_images()
    with pytest.raises(ValueError, match="one image and one output, not 3 x 2"):
        explanation.plot.image(ax=right)


def test_values_of_nothing():
    explanation = images()
    explanation._values = np.full_like(explanation._values, np.nan)
    axes = explanation.plot.image()
    axes[0, 0].figure.canvas.draw()
    explanation._values = np.zeros_like(explanation._values)
    assert overlay(explanation.plot.image()[0, 1]).get_clim() == (0, 1)


def test_images_that_cannot_be_drawn():
    explanation = images()
    with pytest.raises(ValueError, match="no layout.*ImageMasker"):
        explanation[:, :2].plot.image()
    with pytest.raises(ValueError, match="no layout.*TextMasker"):
        Explanation(np.ones((2, 3)), base_values=0).plot.text()
    with pytest.raises(ValueError, match=r"explanation of texts.*plot.text\(\)"):
        texts().plot.image()
    with pytest.raises(ValueError, match="does not hold the images"):
        Explanation(explanation.values, base_values=0, layout=explanation.layout).plot.image()
    with pytest.raises(ValueError, match="nothing to plot"):
        explanation[:0].plot.image()
    with pytest.raises(ValueError, match="selects no row"):
        explanation.plot.image([])
    with pytest.raises(IndexError, match="row 7 is out of range"):
        explanation.plot.image(7)
    with pytest.raises(KeyError, match="no output is named"):
        explanation.plot.image(outputs="class 7")
    with pytest.raises(ValueError, match="no outputs to choose from"):
        explanation[..., 0].plot.image(outputs=0)
    for wrong in ({"max_rows": 0}, {"alpha": 0.0}, {"alpha": 1.5}, {"columns": 0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            explanation.plot.image(**wrong)


# ---------------------------------------------------------------- texts as HTML


def spans_in(html: str) -> list[tuple[str, float, str]]:
    """Tooltip, opacity and characters of each player."""
    found = re.findall(
        r'<span title="(.*?)" style="background:rgba\(.*?,([\d.]+)\).*?>(.*?)</span>', html
    )
    return [(tip, float(opacity), text) for tip, opacity, text in found]


def test_players_are_highlighted():
    explanation = texts()
    html = explanation.plot.text().html
    players = spans_in(html)
    words = re.findall(r"\w+", SENTENCE) + ["Fine"]
    assert [text for _, _, text in players] == words
    value = explanation.values[0, 3]
    assert players[3][0] == f"word 3: {value:.4g}"
    sizes = np.r_[np.abs(explanation.values[0]), np.abs(explanation.values[1, :1])]
    opacities = np.array([opacity for _, opacity, _ in players])
    assert (np.argsort(sizes)[-3:] == np.argsort(opacities, kind="stable")[-3:]).sum() >= 2
    assert opacities.max() == pytest.approx(0.6)
    assert "linear-gradient" in html and "0 · no" in html and "1 · yes" in html
    assert html == explanation.plot.text()._repr_html_()


def test_text_is_escaped_and_complete():
    html = texts(method="<i>", output_names=["<u>", "b"]).plot.text().html
    assert "<b>superb" not in html and "<i>" not in html and "<u>" not in html
    body = html[html.index("pre-wrap") :]
    import html as escapes

    plain = escapes.unescape(re.sub(r"<[^>]*>", "", body[body.index(">") + 1 :]))
    assert plain.startswith(SENTENCE)


def test_rows_of_text():
    explanation = texts([f"text {i}" for i in range(30)])
    html = explanation.plot.text().html
    assert len(spans_in(html)) == 40 and "first 20 of 30 texts" in html
    assert len(spans_in(explanation.plot.text(3).html)) == 2
    assert "text</span> <span" in explanation.plot.text([5, 6], max_rows=1).html
    assert "5 · yes" in explanation.plot.text([5]).html
    one = explanation[4].plot.text().html
    assert len(spans_in(one)) == 2 and "target &quot;no&quot;" in one


def test_neutral_values_are_told():
    tip = spans_in(texts(neutral_values=0.5).plot.text().html)[0][0]
    value = texts().values[0, 0]
    assert tip == f"word 0: {value:.4g} ({value - 0.5:+.4g} from no effect)"


def test_one_scale_for_what_the_texts_have():
    explanation = texts()
    explanation._values[1, 1:] = 100.0  # of words that the second text does not have
    assert "100" not in explanation.plot.text().html


def test_page_is_written(tmp_path):
    shown = texts(["Grüße & Küsse"]).plot.text()
    shown.save(tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert page.startswith("<!DOCTYPE html>") and shown.html in page
    assert "save(path)" in repr(shown) and len(repr(shown)) < 100


def test_show_asks_for_a_notebook(monkeypatch):
    monkeypatch.setitem(sys.modules, "IPython.display", None)
    with pytest.raises(ImportError, match="save"):
        texts().plot.text(show=True)


def test_outputs_of_texts_must_be_chosen():
    explanation = texts()
    both = Explanation(
        np.zeros((2, explanation.shape[1], 2)),
        base_values=0.0,
        data=explanation.data,
        output_names=["no", "yes"],
        layout=explanation.layout,
    )
    for plot in (both.plot.text, both.plot.text_figure):
        with pytest.raises(ValueError, match=r'choose one to plot, such as explanation\[..., "no"'):
            plot()
    both[..., "yes"].plot.text()
    with pytest.raises(ValueError, match="max_rows"):
        explanation.plot.text(max_rows=0)
    with pytest.raises(ValueError, match=r"explanation of images.*plot.image"):
        images()[..., 0].plot.text()


# ---------------------------------------------------------------- texts as figures


def words_of(ax) -> list[PathPatch]:
    return [patch for patch in ax.patches if type(patch) is PathPatch]


def test_text_figure_draws_all_words_without_overlaps():
    explanation = texts()
    ax = explanation.plot.text_figure(width=3.0)
    assert "".join(SENTENCE.split()) == "".join(p.get_label() for p in words_of(ax))
    boxes = [patch.get_path().get_extents() for patch in words_of(ax)]
    right, left = ax.get_xlim()[1], ax.get_xlim()[0]
    assert all(left - 0.02 <= box.x0 and box.x1 <= right + 0.02 for box in boxes)
    for i, first in enumerate(boxes):
        for second in boxes[i + 1 :]:
            width = min(first.x1, second.x1) - max(first.x0, second.x0)
            height = min(first.y1, second.y1) - max(first.y0, second.y0)
            assert min(width, height) < 0.01
    backs = [patch for patch in ax.patches if isinstance(patch, FancyBboxPatch)]
    assert len(backs) == len(re.findall(r"\w+", SENTENCE))
    red = [patch.get_facecolor()[0] > patch.get_facecolor()[2] for patch in backs]
    assert red == (explanation.values[0] > 0).tolist()
    assert ax.get_title("left") == 'Shapley, target "no"'


def test_text_figure_follows_width_and_size():
    explanation = texts()
    wide, narrow = explanation.plot.text_figure(), explanation.plot.text_figure(width=2.5)
    assert wide.figure.get_figwidth() == 6.5 and narrow.figure.get_figwidth() == 2.5
    assert narrow.figure.get_figheight() > wide.figure.get_figheight()
    large = explanation.plot.text_figure(fontsize=20)
    assert large.figure.get_figheight() > wide.figure.get_figheight()
    last = explanation.plot.text_figure(-1)
    assert [patch.get_label() for patch in words_of(last)] == ["Fine", "."]
    assert last.get_title("left") == 'Shapley, target "yes"'
    assert words_of(explanation[1].plot.text_figure())[0].get_label() == "Fine"


def test_text_on_given_axes_is_made_to_fit():
    figure, axes = plt.subplots(1, 2, figsize=(5, 2))
    long = texts([SENTENCE * 3])
    assert long.plot.text_figure(ax=axes[0]) is axes[0]
    assert tuple(figure.get_size_inches()) == (5, 2)
    low = max(patch.get_path().get_extents().y1 for patch in words_of(axes[0]))
    assert low < axes[0].get_ylim()[0]
    figure.canvas.draw()


@pytest.mark.parametrize(
    "text",
    [
        "$x$ and \\frac{a}{b} _{",
        "two\n\nlines\r\nand\ttabs",
        "x" * 300,
        "one",
        "  spaces  before",
        "\x07bell",
    ],
)
def test_difficult_texts(text):
    explanation = texts([text])
    explanation.plot.text_figure(width=2.0).figure.canvas.draw()
    assert explanation.plot.text().html


def test_text_without_players_is_plain():
    explanation = Explanation(
        np.zeros((1, 2)),
        base_values=0,
        data=["only text"],
        layout=TextLayout((np.zeros((0, 2), int),)),
    )
    ax = explanation.plot.text_figure()
    assert [patch.get_label() for patch in ax.patches] == ["only", "text"]


def test_lines_keep_words_whole():
    ruler = Ruler(10)
    pieces = [("un", 0), ("believ", 1), ("able", 2), (" ", -1), ("plot", 3)]
    width = ruler.inches("unbelievable ") + 0.02
    lines = _lines(_atoms(pieces, ruler), width, ruler)
    assert ["".join(atom.text for atom in line).strip() for line in lines] == [
        "unbelievable",
        "plot",
    ]
    short = _lines(_atoms(pieces, ruler), ruler.inches("unbel"), ruler)
    joined = "".join(atom.text for line in short for atom in line)
    assert joined.replace(" ", "") == "unbelievableplot"
    assert all(sum(atom.width for atom in line) <= ruler.inches("unbel") + 1e-9 for line in short)


def test_ruler_cuts_and_wraps():
    ruler = Ruler(10)
    assert ruler.inches("long word") > ruler.inches("word") > 0
    assert ruler.cut("short", 10) == "short"
    cut = ruler.cut("a very long name", 0.5)
    assert cut.endswith("…") and ruler.inches(cut) <= 0.5
    wrapped = ruler.wrapped("one two three four five six", 0.5, 2).split("\n")
    assert len(wrapped) == 2 and all(ruler.inches(line) <= 0.5 for line in wrapped)


def test_wrong_arguments_of_text_figures():
    with pytest.raises(IndexError, match="row 2 is out of range"):
        texts().plot.text_figure(2)
    for wrong in ({"width": 0}, {"fontsize": -1}):
        with pytest.raises(ValueError, match="above zero"):
            texts().plot.text_figure(**wrong)


# ---------------------------------------------------------------- the other plots


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("backend", ["own", "shap"])
@pytest.mark.parametrize("make", [lambda: images()[..., 0], texts], ids=["images", "texts"])
def test_other_plots_show_players_as_features(backend, make):
    explanation = make()
    for plot in ("bar", "beeswarm", "waterfall"):
        ax = getattr(explanation.plot, plot)(backend=backend, max_display=3)
        ax.figure.canvas.draw()
        labels = [label.get_text() for label in ax.get_yticklabels()]
        assert any("word" in label or "feature" in label for label in labels)
    explanation[0].plot.bar(backend=backend).figure.canvas.draw()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("neutral", [None, 0.5])
def test_players_of_a_single_text_are_read(neutral):
    explanation = texts(neutral_values=neutral)
    best = int(np.argmax(np.abs(explanation.centered.values[0])))
    word = re.findall(r"\w+", SENTENCE)[best]
    for backend in ("own", "shap"):
        ax = explanation[0].plot.bar(backend=backend, max_display=3)
        ax.figure.canvas.draw()
        assert f"word {best} = {word}" in [label.get_text() for label in ax.get_yticklabels()]
