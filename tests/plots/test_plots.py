"""Plots of explanations."""

from __future__ import annotations

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

import fastexplain.plots as plots
from fastexplain.explanation import Explanation
from fastexplain.plots._own import _ranks, _spread

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def make(n: int = 30, n_features: int = 4, **kwargs) -> Explanation:
    """Values whose sizes fall with the position of the feature; one column of text."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(n, n_features)) * np.linspace(2, 0.1, n_features)
    data = pd.DataFrame(rng.normal(size=(n, n_features))).rename(columns=lambda i: f"x{i}")
    data["x1"] = rng.choice(["a", "b", None], n)
    data.iloc[0, 0] = np.nan
    given = {
        "base_values": 0.5,
        "data": data,
        "output_names": ["no", "yes"],
        "target": 1,
        "efficiency_gap": 0.0,
        "method": "Shapley",
    }
    return Explanation(values, **(given | kwargs))


def labels(ax) -> list[str]:
    """Feature labels from the top down."""
    ax.figure.canvas.draw()
    return [label.get_text() for label in ax.get_yticklabels()][::-1]


@pytest.mark.parametrize("backend", ["own", "shap"])
@pytest.mark.parametrize("neutral", [None, 0.5])
@pytest.mark.parametrize("plot", ["bar", "beeswarm", "waterfall"])
def test_all_draw_and_return_axes(backend, neutral, plot):
    explanation = make(n_features=12, neutral_values=neutral)
    if plot == "waterfall" and backend == "shap" and neutral is not None:
        with pytest.raises(ValueError, match="adds the values up"):
            explanation.plot.waterfall(backend="shap")
        return
    ax = getattr(explanation.plot, plot)(backend=backend, max_display=5)
    ax.figure.canvas.draw()
    assert isinstance(ax, matplotlib.axes.Axes)
    if not (plot == "waterfall" and backend == "shap"):
        relative = "relative to a feature without effect" in ax.get_xlabel()
        assert relative == (neutral is not None)
        assert "SHAP" not in ax.get_xlabel()


@pytest.mark.parametrize("backend", ["own", "shap"])
def test_given_axes_are_used(backend):
    figure, axes = plt.subplots(1, 2, figsize=(5, 3))
    explanation = make()
    assert explanation.plot.bar(ax=axes[0], backend=backend) is axes[0]
    assert explanation.plot.beeswarm(ax=axes[1], backend=backend) is axes[1]
    assert explanation.plot.waterfall(ax=axes[0]) is axes[0]
    assert tuple(figure.get_size_inches()) == (5, 3)


def test_every_plot_has_a_figure_of_its_own():
    explanation = make()
    assert explanation.plot.bar().figure is not explanation.plot.bar().figure


def test_bar_orders_and_centers():
    explanation = make(n_features=6, neutral_values=0.5)
    ax = explanation.plot.bar(backend="own", max_display=3)
    size = np.abs(explanation.values - 0.5).mean(0)
    order = np.argsort(-size)[:3]
    assert labels(ax) == [f"x{i}" for i in order]
    assert [patch.get_width() for patch in ax.patches] == pytest.approx(size[order])
    assert "largest 3 of 6" in ax.get_xlabel()


def test_bar_of_a_row_has_signs_and_values():
    row = make()[1]
    for backend in ("own", "shap"):
        assert row.plot.bar(backend=backend) is not None
    ax = row.plot.bar(backend="own")
    widths = sorted(patch.get_width() for patch in ax.patches)
    assert widths == pytest.approx(sorted(row.values))
    assert all(" = " in label for label in labels(ax))


def test_waterfall_stacks_from_base_to_output():
    explanation = make(n_features=12)
    ax = explanation.plot.waterfall(3, backend="own", max_display=5)
    bars = [patch for patch in ax.patches if patch.get_width()]
    assert len(bars) == 5 and labels(ax)[-1] == "8 other features"
    assert bars[-1].get_x() == pytest.approx(0.5)  # starts at the base value
    top = bars[0].get_x() + bars[0].get_width()
    assert top == pytest.approx(0.5 + explanation.values[3].sum())
    assert "model output" in ax.get_xlabel()
    same = explanation[3].plot.waterfall(backend="own", max_display=5)
    assert labels(same) == labels(ax)
    assert labels(explanation.plot.waterfall(-1, backend="own"))


def test_waterfall_shows_what_is_not_attributed():
    explanation = make(efficiency_gap=0.7)
    ax = explanation.plot.waterfall()  # never shap's, whose sum would be false
    assert labels(ax)[-1] == "not attributed"
    top = ax.patches[0].get_x() + ax.patches[0].get_width()
    assert top == pytest.approx(0.5 + explanation.values[0].sum() + 0.7)
    unknown = make(efficiency_gap=None).plot.waterfall(backend="own")
    assert "f(baseline) + attributions" in unknown.get_xlabel()


@pytest.mark.parametrize(
    "explanation",
    [make(neutral_values=0.5), make(neutral_values=0.5).centered, make()[:, :3]],
    ids=["neutral", "centered", "part"],
)
def test_waterfall_never_stacks_what_does_not_add_up(explanation):
    ax = explanation.plot.waterfall(2)
    assert all(min(abs(p.get_x()), abs(p.get_x() + p.get_width())) < 1e-12 for p in ax.patches)
    assert "relative to a feature without effect" in ax.get_xlabel()
    with pytest.raises(ValueError, match="adds the values up"):
        explanation.plot.waterfall(backend="shap")


def test_dollars_are_no_formulas():
    explanation = make(feature_names=["$a$ _{", "b$^", "c", "d" * 100])
    for backend in ("own", "shap"):
        for plot in ("bar", "beeswarm", "waterfall"):
            getattr(explanation.plot, plot)(backend=backend).figure.canvas.draw()
    assert len(labels(explanation.plot.bar(backend="own"))[3]) <= 40


def test_outputs_must_be_chosen():
    values = np.random.default_rng(0).normal(size=(5, 3, 2))
    explanation = Explanation(values, base_values=0.0, output_names=["no", "yes"])
    for plot in ("bar", "beeswarm", "waterfall"):
        with pytest.raises(ValueError, match=r'explanation\[..., "no"\]'):
            getattr(explanation.plot, plot)()
        getattr(explanation[..., "yes"].plot, plot)()
        getattr(explanation[..., ["yes"]].plot, plot)(max_display=2)


def test_wrong_arguments():
    explanation = make()
    with pytest.raises(ValueError, match="several rows"):
        explanation[0].plot.beeswarm()
    with pytest.raises(ValueError, match="nothing to compare"):
        explanation[:, 0].plot.bar()
    with pytest.raises(ValueError, match="nothing to plot"):
        explanation[:0].plot.bar()
    with pytest.raises(IndexError, match="row 30 is out of range"):
        explanation.plot.waterfall(30)
    with pytest.raises(IndexError, match="row 1 is out of range"):
        explanation[0].plot.waterfall(1)
    with pytest.raises(ValueError, match="max_display"):
        explanation.plot.bar(max_display=0)
    with pytest.raises(ValueError, match="backend"):
        explanation.plot.bar(backend="plotly")
    with pytest.raises(ValueError, match="takes no ax"):
        explanation.plot.waterfall(ax=plt.gca(), backend="shap")


def test_without_shap_own_plots_are_drawn(monkeypatch):
    monkeypatch.setattr(plots.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setitem(__import__("sys").modules, "fastexplain.plots._shap", None)
    for plot in ("bar", "beeswarm", "waterfall"):
        assert getattr(make().plot, plot)() is not None


def test_random_state_is_left_alone():
    np.random.seed(3)
    expected = np.random.rand()
    np.random.seed(3)
    make().plot.beeswarm(backend="shap")
    assert np.random.rand() == expected


def test_degenerate_values():
    zeros = make(n=3).__class__(np.zeros((3, 2)), base_values=0.0)
    for backend in ("own", "shap"):
        zeros.plot.bar(backend=backend).figure.canvas.draw()
        zeros.plot.beeswarm(backend=backend).figure.canvas.draw()
    zeros.plot.waterfall(backend="own").figure.canvas.draw()


def test_spread_and_ranks():
    assert not _spread(np.array([0.0, 1.0]), 0.4).any()
    crowded = _spread(np.zeros(101), 0.4)
    assert np.abs(crowded).max() == pytest.approx(0.4) and len(set(crowded)) == 101
    ranks = _ranks(np.array([5.0, np.nan, 1.0, 1e9, 1.0]))
    assert ranks[2] == ranks[4] == 0 and ranks[3] == 1 and 0 < ranks[0] < 1
    assert np.isnan(ranks[1])
    assert np.isnan(_ranks(np.full(3, np.nan))).all() and set(_ranks(np.ones(3))) == {0.5}
