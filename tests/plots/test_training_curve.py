"""Curves of training."""

from __future__ import annotations

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest

from fastexplain.plots import training_curve


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def history(**kwargs) -> dict[str, list[float]]:
    given = {
        "loss": [0.9, 0.5, 0.4, 0.35],
        "fit": [0.7, 0.4, 0.3, 0.3],
        "level": [0.2, 0.1, 0.1, 0.05],
        "step": [50.0, 100.0, 150.0, 200.0],
        "score": [0.1, 0.6, 0.8, 0.7],
        "seconds": [1.0, 2.0, 3.0, 3725.0],
    }
    return given | kwargs


class Fitted:
    _score_name = "rank correlation"

    def __init__(self, history):
        self.history_ = history


def test_losses_parts_and_score():
    losses, score = training_curve(history())
    lines = {line.get_label(): line.get_ydata().tolist() for line in losses.get_lines()[:3]}
    assert lines == {key: history()[key] for key in ("fit", "level", "loss")}
    assert score.get_lines()[0].get_ydata().tolist() == history()["score"]
    assert {text.get_text() for text in losses.get_legend().get_texts()} == set(lines)
    assert score.get_xlabel() == "step (1 h 2 min in all)"
    assert losses.figure is score.figure and losses.get_position().y0 > score.get_position().y0


def test_best_step_is_marked_in_both():
    for panel in training_curve(history()):
        verticals = [line for line in panel.get_lines() if set(line.get_xdata()) == {150.0}]
        assert verticals
    assert "best 0.8 at step 150" in panel.get_title("right")
    tie = training_curve(history(score=[0.1, 0.8, 0.8, np.nan]))[1]
    assert "step 100" in tie.get_title("right")  # the first of equals is kept


def test_explainers_and_dicts():
    _, of_explainer = training_curve(Fitted(history()))
    _, of_dict = training_curve(history())
    assert of_explainer.get_ylabel() == "held-out rank correlation"
    assert of_dict.get_ylabel() == "held-out score"


def test_given_axes_get_a_twin():
    figure, ax = plt.subplots(figsize=(4, 3))
    losses, score = training_curve(history(), ax=ax)
    assert losses is ax and score is not ax and score.figure is figure
    assert ax.get_xlabel().startswith("step") and score.get_ylabel() == "held-out score"
    assert tuple(figure.get_size_inches()) == (4, 3)
    figure.canvas.draw()


def test_scale_of_the_losses():
    assert training_curve(history())[0].get_yscale() == "linear"
    assert training_curve(history(loss=[9.0, 1.0, 0.1, 0.01]))[0].get_yscale() == "log"
    assert training_curve(history(fit=[-9.0, 1.0, 0.1, 0.01]))[0].get_yscale() == "linear"


def test_a_loss_of_one_part_is_drawn_once():
    given = history(fit=history()["loss"])
    del given["level"], given["seconds"]
    losses, score = training_curve(given)
    assert len(losses.get_lines()) == 2 and losses.get_legend() is None  # and the best step
    assert score.get_xlabel() == "step"


def test_short_and_missing():
    one = {key: values[:1] for key, values in history().items()}
    training_curve(one)[0].figure.canvas.draw()
    blank = training_curve(history(score=[np.nan] * 4))[1]
    assert not blank.get_title("right")


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (object(), TypeError, "no history_.*Call fit"),
        ({"step": [1]}, ValueError, r"no \['loss', 'score'\]"),
        ({"step": [], "loss": [], "score": []}, ValueError, "empty"),
        ({"step": [1, 2], "loss": [1], "score": [1]}, ValueError, "differ in length"),
        (Fitted({"step": [1]}), ValueError, "no"),
    ],
)
def test_what_is_no_history(given, error, message):
    with pytest.raises(error, match=message):
        training_curve(given)
