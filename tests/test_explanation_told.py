"""What explanations tell of themselves: predictions, score, caution, unit."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastexplain._explanation_words import base_name, label, name_and_value, number, short, title
from fastexplain.explanation import Explanation

OUTPUTS = ["cat", "dog", "fox"]
PREDICTIONS = np.array([[0.1, 0.7, 0.2], [0.93, 0.03, 0.04], [0.2, 0.2, 0.6], [0.0, 1.0, 0.0]])


def full(**kwargs) -> Explanation:
    """All three outputs of four rows with five features."""
    given = {
        "base_values": 0.0,
        "output_names": OUTPUTS,
        "predictions": PREDICTIONS,
        "score": 0.914,
        "score_name": "rank correlation",
        "unit": [1.0, 2.0, 3.0],
        "method": "Shapley",
    }
    values = np.random.default_rng(0).normal(size=(4, 5, 3))
    return Explanation(values, **(given | kwargs))


def per_row(**kwargs) -> Explanation:
    """One output a row, of four rows with five features."""
    given = {
        "base_values": 0.0,
        "output_names": OUTPUTS,
        "target": [1, 0, 2, 1],
        "predictions": PREDICTIONS,
        "score": 0.914,
        "score_name": "rank correlation",
        "unit": 1.0,
        "method": "Shapley",
    }
    values = np.random.default_rng(0).normal(size=(4, 5))
    return Explanation(values, **(given | kwargs))


# ---------------------------------------------------------------- construction


def test_nothing_is_told_by_default():
    bare = Explanation([[1.0]], base_values=0)
    assert bare.predictions is None and bare.score is None and bare.caution is None
    assert bare.unit is None and bare.score_name == "score"
    assert repr(bare) == "Explanation(1 row x 1 feature)"


def test_predictions_are_those_of_the_explained_outputs():
    assert np.array_equal(full().predictions, PREDICTIONS)
    assert per_row().predictions.tolist() == [0.7, 0.93, 0.6, 1.0]
    own = per_row(predictions=[1.0, 2.0, 3.0, 4.0])
    assert own.predictions.tolist() == [1, 2, 3, 4]
    regressor = Explanation(np.ones((2, 3)), base_values=0, predictions=[[5.0], [6.0]])
    assert regressor.predictions.tolist() == [5, 6]
    single = Explanation(
        [1.0, 2.0], base_values=0, output_names=OUTPUTS, target=2, predictions=PREDICTIONS[0]
    )
    assert single.predictions.shape == () and float(single.predictions) == 0.2
    assert float(Explanation([1.0], base_values=0, predictions=3.5).predictions) == 3.5


def test_units_follow_the_outputs():
    assert full().unit.tolist() == [1, 2, 3] and full(unit=4).unit == 4.0
    assert per_row(unit=[1.0, 2.0, 3.0]).unit.tolist() == [1, 2, 3]
    assert per_row(unit=[1.0, 2.0, 3.0], target=2).unit == 3.0
    assert per_row(unit=0.0).unit == 0.0


@pytest.mark.parametrize("score", [np.nan, np.inf, -np.inf, None])
def test_scores_that_say_nothing(score):
    assert per_row(score=score).score is None
    assert "held-out" not in repr(per_row(score=score))


@pytest.mark.parametrize(
    ("make", "kwargs", "message"),
    [
        (full, {"predictions": PREDICTIONS[:, :2]}, r"predictions must have shape \(4, 3\)"),
        (full, {"predictions": PREDICTIONS[:, 0]}, r"predictions must have shape \(4, 3\)"),
        (per_row, {"predictions": PREDICTIONS[:3]}, r"or \(n, K\) of all outputs, not \(3, 3\)"),
        (per_row, {"predictions": PREDICTIONS[:, :2]}, "2 columns for the 3 outputs"),
        (per_row, {"predictions": PREDICTIONS, "target": None, "output_names": None}, "need targ"),
        (per_row, {"predictions": PREDICTIONS[:, :2], "output_names": None}, "none for target 2"),
        (per_row, {"score": "good"}, "score must be a number or None, not 'good'"),
        (full, {"unit": [1.0, 2.0]}, r"unit must be a number or have shape \(3,\), not \(2,\)"),
        (full, {"unit": np.ones((3, 1))}, "unit must be a number"),
        (full, {"unit": [1.0, -2.0, 1.0]}, "finite and not negative"),
        (per_row, {"unit": np.nan}, "finite and not negative"),
        (per_row, {"unit": [1.0, 2.0], "output_names": None}, "unit has 2 numbers, so none for"),
        (per_row, {"unit": [1.0, 2.0], "output_names": None, "target": None}, "needs target="),
    ],
)
def test_what_does_not_fit_is_named(make, kwargs, message):
    if kwargs.get("target", 0) is None and "predictions" not in kwargs:
        kwargs = kwargs | {"predictions": None}
    with pytest.raises(ValueError, match=message):
        make(**kwargs)


# ---------------------------------------------------------------- slices, copies, concat


def _axis(length: int):
    position = st.integers(-length, length - 1)
    return st.one_of(
        position,
        st.slices(length),
        st.lists(position, max_size=4).map(lambda items: np.array(items, dtype=int)),
    )


@settings(max_examples=100, deadline=None)
@given(rows=_axis(4), features=_axis(5), outputs=_axis(3))
def test_slices_are_numpys(rows, features, outputs):
    whole = full(caution="untrained")
    part = whole[rows, features, outputs]
    assert np.array_equal(part.predictions, PREDICTIONS[rows][..., outputs])
    assert part.score == 0.914 and part.score_name == "rank correlation"
    assert part.caution == "untrained"
    units = np.array([1.0, 2.0, 3.0])[outputs]
    if len(np.atleast_1d(part.predictions)):
        assert np.array_equal(part.unit, units)


def test_a_chosen_output_is_told_by_its_name_and_number():
    dog = full()[..., "dog"]
    assert dog.unit == 2.0 and dog.predictions.tolist() == PREDICTIONS[:, 1].tolist()
    assert label(dog, 0) == "dog 0.7"  # with a unit other than 1 it is no probability
    again = full()[..., ["fox", "dog"]]
    assert again.unit.tolist() == [3, 2] and label(again, 1, 0) == "fox 0.04"
    assert label(again[..., "fox"], 2) == "fox 0.6"
    assert float(full()[2, :, "fox"].predictions) == 0.6


def test_outputs_without_names_keep_their_number():
    part = full(output_names=None)[..., [2, 1]]
    assert part.output_names == ["output 2", "output 1"]
    assert name_and_value(part, 0, 0) == ("output 2", "0.2")
    assert full(output_names=None)[..., 2].output_names is None
    assert label(full(output_names=None)[..., 2], 0) == "output 2: 0.2"


def test_centered_pickle_and_rows_keep_all():
    whole = per_row(caution="untrained", neutral_values=0.5)
    for same in (whole.centered, pickle.loads(pickle.dumps(whole)), whole[:], whole[:, :2]):
        assert same.predictions.tolist() == whole.predictions.tolist()
        assert (same.score, same.score_name, same.caution) == (
            0.914,
            "rank correlation",
            "untrained",
        )
        assert same.unit == 1.0
    assert per_row()[[3, 0]].predictions.tolist() == [1.0, 0.7]
    assert [float(row.predictions) for row in per_row()] == [0.7, 0.93, 0.6, 1.0]


@pytest.mark.parametrize("make", [full, per_row])
def test_concat_undoes_slices(make):
    whole = make(caution="untrained")
    joined = Explanation.concat([whole[:1], whole[1], whole[2:]])
    assert np.array_equal(joined.predictions, whole.predictions)
    assert (joined.score, joined.score_name) == (whole.score, whole.score_name)
    assert joined.caution == "untrained" and np.array_equal(joined.unit, whole.unit)


def test_concat_keeps_what_holds_for_all():
    one, other = per_row(caution="a"), per_row(caution="b", score=0.2, unit=2.0, predictions=None)
    joined = Explanation.concat([one, other, one])
    assert joined.score is None and joined.unit is None and joined.caution == "a; b"
    assert joined.predictions[:4].tolist() == one.predictions.tolist()
    assert np.isnan(joined.predictions[4:8]).all()
    assert name_and_value(joined, 4) == ("dog", "")
    assert Explanation.concat([one, per_row(score_name="accuracy")]).score is None
    units = [per_row(unit=[1.0, 2.0, 3.0])[:2], per_row(unit=[1.0, 2.0, 3.0])[2:]]
    assert Explanation.concat(units).unit.tolist() == [1, 2, 3]


# ---------------------------------------------------------------- words


def test_repr_tells_score_and_caution():
    text = repr(per_row(caution="no training step was made"))
    assert "held-out rank correlation 0.91" in text and "caution: no training step" in text
    html = per_row(caution="<i>no</i> step")._repr_html_()
    assert "held-out rank correlation 0.91" in html and "<i>" not in html
    assert "&lt;i&gt;no&lt;/i&gt; step" in html and html.count("held-out") == 1
    assert "Caution" not in per_row()._repr_html_()
    assert "; held-out accuracy 0.91" in repr(per_row(score_name="held-out accuracy"))
    assert "> 0.99" in repr(per_row(score=0.9999)) and "1.00" in repr(per_row(score=1.0))


def test_tables_name_outputs_and_predictions():
    html = per_row(output_names=["<b>", "dog", "fox"])._repr_html_()
    assert "<td>dog 0.70</td>" in html and "<td>&lt;b&gt; 0.93</td>" in html
    assert "<td>cat 0.10</td>" in full(unit=1.0)._repr_html_()  # the first output is shown
    same = per_row(target=1)._repr_html_()
    assert "<td>dog 0.70</td>" in same and "<td>dog 0.03</td>" in same
    assert "<td>dog" not in per_row(target=1, predictions=None)._repr_html_()


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.93, 1.0, "cat 0.93"),
        (0.999, 1.0, "cat 1.00"),
        (0.001, 1.0, "cat 0.00"),
        (1.0, 1.0, "cat 1.00"),
        (0.0, 1.0, "cat 0.00"),
        (12.345, 1.0, "cat 12.3"),
        (0.93456, None, "cat 0.935"),
        (-1234.5, None, "cat -1.23e+03"),
        (1_700_000_123.0, 300.0, "cat 1700000123"),
        (1_700_000_123.0, None, "cat 1.7e+09"),
        (1e-7, 1e-7, "cat 1e-07"),
        (0.0, 5.0, "cat 0"),
        (np.nan, 1.0, "cat"),
        (np.inf, 1.0, "cat"),
    ],
)
def test_predictions_in_words(value, unit, text):
    one = Explanation(
        [[1.0]], base_values=0, output_names=["cat"], predictions=[[value]], unit=unit
    )
    assert label(one, 0) == text


def test_names_that_are_numbers_are_told_from_predictions():
    digits = per_row(output_names=["0", "1.5", "7"])
    assert [label(digits, row) for row in range(3)] == ["1.5: 0.70", "0: 0.93", "7: 0.60"]


def test_titles():
    assert title(per_row()) == ("Shapley, target per row", "")
    assert title(per_row(), 1) == ("Shapley, target: cat", "0.93")
    assert title(per_row()[1]) == ("Shapley, target: cat", "0.93")
    assert title(per_row(predictions=None), 1) == ('Shapley, target "cat"', "")
    regressor = Explanation([[1.0]], base_values=0, predictions=[[12.345]])
    assert title(regressor) == ("f(x) =", "12.3")
    assert title(Explanation([[1.0]], base_values=0)) == ("", "")


def test_base_values_are_no_expectation():
    assert base_name(per_row()) == "f(baseline)"
    assert base_name(per_row(method="FastSHAP, removal by a surrogate")) == "v(none)"


def test_numbers_and_names_are_short():
    assert number(12.345) == "12.3" and number(np.nan) == "nan"
    assert number(1e300, 1e-300) == number(1e300, 1e-300)  # digits end somewhere
    assert short("a\n b\t\x07c") == "a b c"
    assert short("x" * 100).endswith("…") and len(short("x" * 100)) == 60
