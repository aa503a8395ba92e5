"""What every picture says: score, caution, outputs with their predictions, base values."""

from __future__ import annotations

import matplotlib

matplotlib.use("Agg")

import re

import matplotlib.pyplot as plt
import numpy as np
import pytest

from fastexplain.explanation import Explanation
from fastexplain.layouts import ImageLayout, TextLayout
from fastexplain.plots import _shap
from fastexplain.plots._own import adds_up

pytestmark = pytest.mark.filterwarnings("ignore")
SCORE = "held-out rank correlation 0.91"
CAUTION = "no training step was made"
TEXTS = ["A <fine> film, $5 well spent", "Dull.", "Neither good nor bad"]


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def make(kind: str = "table", n_outputs: int | None = None, **kwargs) -> Explanation:
    """Three rows: of a table, images or texts; the last explains another output."""
    rng = np.random.default_rng(0)
    shape = (3, 6) if n_outputs is None else (3, 6, n_outputs)
    names = ["cat", "dog", "fox"][: n_outputs or 3]
    told = {
        "base_values": 0.4,
        "output_names": names,
        "predictions": np.array([[0.93, 0.05, 0.02], [0.6, 0.3, 0.1], [0.1, 0.2, 0.7]])[
            :, : len(names)
        ],
        "efficiency_gap": 0.0,
        "method": "Shapley",
        "score": 0.914,
        "score_name": "rank correlation",
        "caution": CAUTION,
        "unit": 1.0,
    }
    if n_outputs is None:
        told["target"] = [0, 0, 2]
    if kind == "images":
        segments = np.repeat(np.repeat(np.arange(6).reshape(2, 3), 4, axis=0), 4, axis=1)
        told |= {"data": rng.random((3, 8, 12)), "layout": ImageLayout(segments, "none")}
    elif kind == "texts":
        spans = tuple(np.array([m.span() for m in re.finditer(r"\w+", t)]) for t in TEXTS)
        told |= {"data": TEXTS, "layout": TextLayout(spans)}
    else:
        told["data"] = rng.normal(size=(3, 6))
    return Explanation(rng.normal(size=shape) * 0.1, **(told | kwargs))


def words(drawn) -> str:
    """All that is written in a figure, lines joined."""
    ax = np.ravel(drawn)[0]
    ax.figure.canvas.draw()
    found = [text.get_text() for text in ax.figure.findobj(matplotlib.text.Text)]
    return " | ".join(" ".join(text.split()) for text in found)


PICTURES = {
    **{
        f"{name} of {backend}": lambda e, name=name, backend=backend, **kwargs: getattr(
            e.plot, name
        )(backend=backend, **kwargs)
        for name in ("bar", "beeswarm", "waterfall")
        for backend in ("own", "shap")
    },
    "bar of a row": lambda e, **kwargs: e[0].plot.bar(backend="own", **kwargs),
    "bar of a row by shap": lambda e, **kwargs: e[0].plot.bar(backend="shap", **kwargs),
    "image": lambda e, **kwargs: (e if not kwargs else e[:1]).plot.image(**kwargs),
    "text_figure": lambda e, **kwargs: e.plot.text_figure(**kwargs),
}


def explained(picture: str, **kwargs) -> Explanation:
    kind = {"image": "images", "text_figure": "texts"}.get(picture, "table")
    return make(kind, **kwargs)


@pytest.mark.parametrize("picture", list(PICTURES))
def test_score_and_caution_are_in_every_picture(picture):
    told = words(PICTURES[picture](explained(picture)))
    assert SCORE in told and f"Caution: {CAUTION}" in told
    plain = words(PICTURES[picture](explained(picture, score=None, caution=None)))
    assert "held-out" not in plain and "Caution" not in plain


@pytest.mark.parametrize("picture", [p for p in PICTURES if p != "waterfall of shap"])
@pytest.mark.parametrize("layout", [None, "constrained"])
def test_they_are_in_given_axes_and_inside_the_figure(picture, layout):
    figure, ax = plt.subplots(figsize=(5, 4), layout=layout)
    drawn = PICTURES[picture](explained(picture), ax=ax)
    assert drawn is ax and tuple(figure.get_size_inches()) == (5, 4)
    told = words(ax)
    assert SCORE in told and f"Caution: {CAUTION}" in told
    for text in figure.findobj(matplotlib.text.Text):
        if text.get_text().startswith(("Caution", "held-out")):
            box = text.get_window_extent()
            assert box.y1 <= figure.bbox.y1 + 1 and box.y0 >= ax.get_window_extent().y1


@pytest.mark.parametrize("kind", ["table", "images", "texts"])
def test_html_tells_both(kind):
    explanation = make(kind)
    shown = [explanation._repr_html_()]
    if kind == "texts":
        shown.append(explanation.plot.text().html)
    for html in shown:
        assert SCORE in html and CAUTION in html
        assert "cat 0.93" in html and "fox 0.70" in html


@pytest.mark.parametrize("picture", list(PICTURES))
def test_nothing_is_cut_off_and_lines_do_not_overlap(picture):
    drawn = PICTURES[picture](explained(picture, caution=f"{CAUTION}; " * 6))
    figure = np.ravel(drawn)[0].figure
    figure.canvas.draw()
    boxes = []
    for text in [*figure.texts, *(ax.title for ax in figure.axes)]:
        if text.get_text().strip():
            box = text.get_window_extent()
            assert box.x0 >= 0 and box.x1 <= figure.bbox.x1 + 2
            assert box.y0 >= 0 and box.y1 <= figure.bbox.y1 + 1
            boxes.append(box)
    for i, first in enumerate(boxes):
        for second in boxes[i + 1 :]:
            width = min(first.x1, second.x1) - max(first.x0, second.x0)
            height = min(first.y1, second.y1) - max(first.y0, second.y0)
            assert min(width, height) < 2


@pytest.mark.parametrize("backend", ["own", "shap"])
def test_long_labels_of_features_are_inside_the_figure(backend):
    names = [f"a feature with quite a long name, number {i}" for i in range(6)]
    ax = make(feature_names=names).plot.waterfall(backend=backend)
    ax.figure.canvas.draw()
    for axes in ax.figure.axes:
        for label in axes.get_yticklabels():
            assert label.get_window_extent().x0 >= -1
    if backend == "own":
        assert all(re.search(r"…? = -?[\d.e-]+$", t.get_text()) for t in ax.get_yticklabels())


# ---------------------------------------------------------------- titles


def test_images_name_outputs_and_predictions():
    axes = make("images").plot.image()
    assert [ax.get_title() for ax in axes[:, 1]] == ["cat 0.93", "cat 0.60", "fox 0.70"]
    every = make("images", 3).plot.image()
    assert [ax.get_title() for ax in every[0]] == ["", "cat 0.93", "dog 0.05", "fox 0.02"]
    assert every[2, 3].get_title() == "fox 0.70"
    one = make("images", 3)[:1].plot.image(outputs=["fox", "cat"])
    assert [ax.get_title() for ax in one[0]] == ["", "fox 0.02", "cat 0.93"]
    assert make("images").plot.image(2, ax=plt.figure().gca()).get_title() == "fox 0.70"
    unknown = make("images", 3, predictions=None).plot.image()
    assert [ax.get_title() for ax in unknown[0]] == ["", "cat", "dog", "fox"]
    assert not any(ax.get_title() for ax in unknown[1])


def test_a_long_name_does_not_take_the_place_of_its_number():
    names = ["an unusually long name of a class, " * 5, "dog", "fox"]
    axes = make("images", 3, output_names=names).plot.image(columns=3)
    title = axes[0, 1].get_title()
    assert title.endswith("0.93") and "…" in title and title.count("\n") <= 1
    ax = make("texts", output_names=names).plot.text_figure(width=2.0)
    assert " ".join(ax.get_title("left").split()).endswith("… 0.93")


@pytest.mark.parametrize("backend", ["own", "shap"])
def test_charts_of_a_row_name_its_output_and_prediction(backend):
    explanation = make()
    assert explanation.plot.waterfall(2, backend=backend).get_title() == "Shapley, target: fox 0.70"
    assert explanation[1].plot.bar(backend=backend).get_title() == "Shapley, target: cat 0.60"
    assert explanation.plot.bar(backend=backend).get_title() == "Shapley, target per row"
    assert make(target=1).plot.beeswarm(backend=backend).get_title() == 'Shapley, target "dog"'
    ax = make("texts").plot.text_figure(2)
    assert ax.get_title("left") == "Shapley, target: fox 0.70"


NAMES = ["<b>bold</b>", "$x^2$ $", "x" * 300]
MORE_NAMES = ["猫と犬\U0001f600", "a\nb\t\x07c", "\\frac{", "_{^$", ""]


@pytest.mark.parametrize(
    "name", NAMES + [pytest.param(name, marks=pytest.mark.slow) for name in MORE_NAMES]
)
@pytest.mark.parametrize("picture", ["bar of own", "waterfall of shap", "image", "text_figure"])
def test_odd_names_break_nothing(picture, name):
    explanation = explained(
        picture, output_names=[name, "b", "c"], method=name, caution=name or None
    )
    words(PICTURES[picture](explanation))
    shown = [explanation._repr_html_()]
    if picture == "text_figure":
        shown.append(explanation.plot.text().html)
    for html in shown:
        assert "<b>bold" not in html and "mathjax_ignore" in html


# ---------------------------------------------------------------- scales of images


def test_images_far_apart_tell_their_limits():
    explanation = make("images", unit=None)
    explanation._values = explanation._values * np.array([1.0, 1e-3, 1.0])[:, None, None]
    axes = explanation.plot.image()
    found = [ax.get_images()[1].get_clim()[1] for ax in axes[:, 1]]
    assert found[1] < 1e-2 * found[0]
    assert [ax.get_xlabel() for ax in axes[:, 1]] == [f"±{limit:.3g}" for limit in found]
    bar = axes[0, 0].figure.axes[-1]
    assert "share of each picture's limit" in bar.get_xlabel()
    assert bar.get_xticklabels()[-1].get_text().endswith("+1")
    shared = make("images").plot.image()
    assert not any(ax.get_xlabel() for ax in shared[:, 1])
    assert len({ax.get_images()[1].get_clim() for ax in shared[:, 1]}) == 1


def test_noise_is_drawn_pale():
    noise = make("images", n_outputs=None)
    noise._values = 4e-4 * np.sign(noise._values)
    drawn = noise.plot.image()[0, 1].get_images()[1]
    assert drawn.get_clim() == pytest.approx((-0.1 / 6, 0.1 / 6))
    opacities = drawn.cmap(drawn.norm(drawn.get_array()))[..., 3]
    assert 0 < opacities.max() < 0.05


# ---------------------------------------------------------------- base values


def test_waterfalls_say_what_the_base_value_is():
    for backend in ("own", "shap"):
        told = words(make().plot.waterfall(backend=backend))
        assert "f(baseline)" in told and "E[" not in told
        surrogate = make(method="FastSHAPExplainer, removal by a surrogate")
        told = words(surrogate.plot.waterfall(backend=backend))
        assert "v(none)" in told and "E[" not in told and "f(baseline)" not in told


def test_other_texts_of_shap_break_nothing(monkeypatch):
    import shap

    def other(explanation, max_display, show):
        ax = plt.gca()
        for text in ("expected value", "$\\mathbb{E}[f(X)]$", "base"):
            twin = ax.twiny()
            twin.set_xticks([0.1, 0.2, 0.3], [text, text, text])
        return ax

    monkeypatch.setattr(shap.plots, "waterfall", other)
    assert "expected value" in words(make().plot.waterfall(backend="shap"))
    figure = plt.figure()
    _shap._name_base(figure, "f(baseline)")
    figure.text(0, 0, "here $E[f(x)]$ = 3")
    _shap._name_base(figure, "f(baseline)")
    assert figure.texts[0].get_text() == "here f(baseline) = 3"


def test_labels_of_large_outputs_can_be_read():
    big = make(base_values=1.7e9, predictions=None, unit=300.0)
    big._values = big._values * 1000
    reached = 1.7e9 + big._values[0].sum()
    for backend in ("own", "shap"):
        told = words(big.plot.waterfall(backend=backend))
        assert re.search(r"f\(baseline\) (\$ = )?1700000000", told)
        assert f"{reached:.0f}" in told or f"{reached:.1f}" in told
    single = np.float32(1.7e9), big._values[0, :, 0].astype(np.float32)
    ax = Explanation(single[1], base_values=float(single[0])).plot.waterfall(backend="own")
    bars = [patch for patch in ax.patches if patch.get_width()]
    assert bars[0].get_x() + bars[0].get_width() == pytest.approx(reached, abs=0.1)


# ---------------------------------------------------------------- what adds up


def one(gap: float, values=(200.0, -100.0), **kwargs) -> Explanation:
    return Explanation(list(values), base_values=1.7e9, efficiency_gap=gap, **kwargs)


def test_what_is_missing_is_compared_with_the_values():
    assert adds_up(one(0.2)) and adds_up(one(0.0)) and adds_up(one(1e-7, values=(0.0, 0.0)))
    assert not adds_up(one(50.0)) and not adds_up(one(1.0))
    assert not adds_up(one(-3.0)) and not adds_up(one(200.0, values=(0.0, 0.0)))
    assert adds_up(one(1e-3, values=(0.0, 0.0), unit=300.0))
    assert not adds_up(one(1.0, values=(0.0, 0.0), unit=300.0))
    probability = Explanation([0.0, 0.0], base_values=0.5, efficiency_gap=3e-8, unit=1.0)
    assert adds_up(probability)


def test_a_gap_beside_a_large_output_is_drawn():
    with pytest.raises(ValueError, match="adds the values up"):
        one(50.0).plot.waterfall(backend="shap")
    ax = one(50.0).plot.waterfall()
    assert "not attributed" in [label.get_text() for label in ax.get_yticklabels()]
    unknown = one(np.nan).plot.waterfall(backend="own")
    assert "not attributed" not in [label.get_text() for label in unknown.get_yticklabels()]
    assert "f(baseline) + attributions" in unknown.get_xlabel()


def test_numbers_beside_bars_keep_off_the_labels():
    values = [[0.0794, -0.0257, 0.0251, -0.0214, 0.009, 0.0036]]
    for width in (3.2, 4.0, 8.0):
        figure, ax = plt.subplots(figsize=(width, 3))
        figure.subplots_adjust(left=0.3)
        Explanation(values, base_values=0.4).plot.waterfall(ax=ax, backend="own")
        figure.canvas.draw()
        left = ax.get_window_extent().x0
        numbers = [t for t in ax.texts if re.fullmatch(r"[+-][\d.]+", t.get_text())]
        assert len(numbers) == 6
        assert all(text.get_window_extent().x0 >= left - 2 for text in numbers)
