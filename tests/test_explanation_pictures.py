"""How values become colours, and pixels become images that can be shown."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastexplain._explanation_images import displayable
from fastexplain._explanation_scale import Scale, Scales
from fastexplain.explanation import Explanation
from fastexplain.layouts import ImageLayout, TextLayout

SEGMENTS = np.arange(16).reshape(4, 4)


def images(sizes=(1.0, 1.0, 1.0), n_outputs: int | None = None, **kwargs) -> Explanation:
    """Images of 4 x 4 patches whose values have the given sizes."""
    rng = np.random.default_rng(0)
    shape = (len(sizes), 16) + (() if n_outputs is None else (n_outputs,))
    signs = rng.choice([-1.0, 1.0], shape)
    values = signs * np.reshape(sizes, (-1,) + (1,) * (len(shape) - 1))
    given = {
        "base_values": 0.0,
        "data": rng.random((len(sizes), 4, 4)),
        "layout": ImageLayout(SEGMENTS, "none"),
    }
    return Explanation(values, **(given | kwargs))


def limit(explanation: Explanation) -> float:
    return Scale.of(explanation, explanation.centered.values).limit


# ---------------------------------------------------------------- floors


def test_noise_is_pale_where_the_unit_is_known():
    noise = images([4e-4] * 3)
    assert limit(noise) == pytest.approx(4e-4)  # nothing is known of what matters
    told = images([4e-4] * 3, unit=1.0)
    assert limit(told) == pytest.approx(0.1 / 16)
    assert np.abs(Scale.of(told, told.values).strength(told.values)).max() < 0.1
    # what matters is drawn in full
    assert limit(images([0.5] * 3, unit=1.0)) == pytest.approx(0.5)
    large = images([4.0] * 3, unit=300.0)
    assert limit(large) == 4.0 and limit(images([1.0] * 3, unit=300.0)) == pytest.approx(30 / 16)


def test_values_of_nothing_have_a_limit():
    assert limit(images([0.0] * 3)) == 1.0
    assert limit(images([0.0] * 3, unit=0.0)) == 1.0
    assert limit(images([0.0] * 3, unit=2.0)) == pytest.approx(0.2 / 16)


def test_attributions_in_the_unit_interval_are_shares_of_one():
    values = 0.5 + 4e-4 * np.random.default_rng(0).choice([-1, 1], (3, 10))
    fex = Explanation(values, base_values=0, neutral_values=0.5, unit=300.0)
    assert limit(fex) == pytest.approx(0.01)
    assert Scale.of(fex.centered, fex.centered.values).limit == pytest.approx(0.01)
    chances = Explanation(np.full((3, 10), 4e-4), base_values=0, additive=False, unit=300.0)
    assert limit(chances) == pytest.approx(0.01)
    ranks = Explanation(np.arange(1.0, 11)[None], base_values=0, additive=False, unit=1e9)
    assert limit(ranks) <= 10.0  # ranks are no changes of an output


def test_floor_of_a_part_is_that_of_the_whole():
    whole = Explanation(np.full((3, 10), -1e-5), base_values=0, unit=1.0)
    for part in (whole, whole[1], whole[:, :2], whole[:, 3]):
        assert limit(part) == pytest.approx(0.01)


def test_floor_follows_the_explained_output():
    values = np.full((2, 10, 3), -1e-9)
    units = [1.0, 20.0, 300.0]
    explanation = Explanation(values, base_values=0, unit=units)
    assert [limit(explanation[..., k]) for k in range(3)] == pytest.approx([0.01, 0.2, 3.0])
    only = Scale.of(explanation, values[..., 2], outputs=np.array([2]))
    assert only.limit == pytest.approx(3.0)
    rows = Explanation(values[..., 0], base_values=0, unit=units, target=[0, 2])
    found = [Scale.of(rows, values[i, :, 0], np.array([i])).limit for i in range(2)]
    assert found == pytest.approx([0.01, 3.0])


def test_floor_counts_the_players_of_the_row():
    texts = ["one", "a b c d"]
    spans = tuple(np.array([m.span() for m in re.finditer(r"\w+", text)]) for text in texts)
    explanation = Explanation(
        np.full((2, 4), 1e-6), base_values=0, data=texts, layout=TextLayout(spans), unit=1.0
    )
    found = [Scale.of(explanation, np.zeros(1), np.array([row])).limit for row in range(2)]
    assert found == pytest.approx([0.1, 0.025])
    own = np.stack([np.zeros((4, 4), int), SEGMENTS])
    few = images([1e-6] * 2, unit=1.0, layout=ImageLayout(own, "none"))
    found = [Scale.of(few, np.zeros(1), np.array([row])).limit for row in range(2)]
    assert found == pytest.approx([0.1, 0.1 / 16])


def test_tables_have_the_same_floor():
    def strongest(explanation):
        found = re.findall(r"rgba\(\d+,\d+,\d+,([\d.]+)\)", explanation._repr_html_())
        return max(map(float, found))

    assert strongest(Explanation(np.full((2, 5), -4e-4), base_values=0)) == 0.6
    assert strongest(Explanation(np.full((2, 5), -4e-4), base_values=0, unit=1.0)) < 0.02


# ---------------------------------------------------------------- scales of one figure


def scales(explanation: Explanation) -> Scales:
    values = explanation.centered._values
    return Scales.of(explanation, list(values), np.arange(len(values)), np.arange(values.shape[2]))


def test_one_scale_as_long_as_all_can_be_seen():
    found = scales(images([1.0, 0.2, 0.5]))
    assert not found.own and {one.limit for line in found.each for one in line} == {1.0}
    assert found.common.limit == 1.0 and found.common.label == "attribution"
    assert not scales(images([1.0, 0.0, 0.5])).own  # without any effect it stays blank
    assert not scales(images([0.05])).own


def test_images_far_apart_have_their_own():
    found = scales(images([1.0, 0.05, 30.0]))
    assert found.own and [line[0].limit for line in found.each] == pytest.approx([1, 0.05, 30])
    assert found.common.limit == 1.0 and "share of each picture's limit" in found.common.label
    assert found.each[1][0].span == "±0.05"
    sided = Explanation([[0.5, 0.1], [0.01, 0.02]], base_values=0, additive=False)
    assert scales(sided).each[0][0].span.startswith("0 to 0.")
    assert scales(sided).common.low == 0.0


def test_noise_beside_an_effect_stays_pale():
    found = scales(images([1.0, 4e-4], unit=1.0))
    assert found.own and found.each[1][0].limit == pytest.approx(0.1 / 16)


def test_outputs_of_one_image_share_its_scale():
    values = np.ones((2, 4, 2)) * [[[1.0, 0.01]], [[0.01, 0.001]]]
    explanation = Explanation(-values, base_values=0)
    found = scales(explanation)
    assert found.own and [[one.limit for one in line] for line in found.each] == [
        pytest.approx([1.0, 1.0]),
        pytest.approx([0.01, 0.01]),
    ]


def test_outputs_of_other_units_have_their_own():
    values = -np.ones((2, 4, 2)) * [1.0, 1000.0]
    assert not scales(Explanation(values, base_values=0)).own
    found = scales(Explanation(values, base_values=0, unit=[1.0, 1000.0]))
    assert found.own
    assert [[one.limit for one in line] for line in found.each] == [[1.0, 1000.0]] * 2
    assert not scales(Explanation(values, base_values=0, unit=[1.0, 5.0])).own


def test_thumbnails_tell_their_limits():
    html = images([1.0, 0.05, 1.0])._repr_html_()
    assert "0 · ±1<" in html and "1 · ±0.05<" in html and "share of each picture" in html
    html = images([1.0, 0.5])._repr_html_()
    assert "±" not in html and "+1 &nbsp;attribution" in html


def test_thumbnails_name_outputs_and_predictions():
    html = images(
        output_names=["<b>cat</b>", "dog"],
        target=[0, 1, 0],
        predictions=[0.9, 0.8, 0.2],
        unit=1.0,
        score=0.5,
        caution="untrained",
    )._repr_html_()
    assert "0 · &lt;b&gt;cat&lt;/b&gt; 0.90<" in html and "1 · dog 0.80<" in html
    assert "<b>cat" not in html and "held-out score 0.50" in html and "untrained" in html


# ---------------------------------------------------------------- pixels


def batches():
    pixels = st.floats(0.0, 1.0, width=32)
    image = st.lists(pixels, min_size=6, max_size=6).map(lambda p: np.array(p).reshape(2, 3))
    spans = st.tuples(
        st.sampled_from([0.0, -1.0, 1000.0, -3e4]), st.sampled_from([1.0, 255.0, 4.0])
    )
    one = st.tuples(image, spans).map(lambda it: it[1][0] + it[1][1] * it[0])
    return st.lists(one, min_size=1, max_size=4).map(np.stack)


@settings(max_examples=200, deadline=None)
@given(batches())
def test_an_image_looks_the_same_alone_and_beside_others(batch):
    shown = displayable(batch, "none")
    assert shown.shape == batch.shape and shown.min() >= 0 and shown.max() <= 1
    for image, alone in zip(batch, shown, strict=True):
        assert np.array_equal(displayable(image[None], "none")[0], alone)
        order = np.argsort(image, axis=None)
        assert (np.diff(alone.ravel()[order]) >= 0).all()  # brighter pixels stay brighter


def test_offsets_of_one_image_leave_the_others_alone():
    plain = np.random.default_rng(0).random((4, 4))
    batch = np.stack([plain, 1000 + 255 * plain, 255 * plain, plain * 0.2 + 0.3, plain * 6 - 3])
    batch[2, 0, 0] = 255.0
    shown = displayable(batch, "none")
    stretched = (plain - plain.min()) / np.ptp(plain)
    assert np.array_equal(shown[0], plain) and np.allclose(shown[3], 0.2 * plain + 0.3)
    assert np.allclose(shown[1], stretched) and np.allclose(shown[4], stretched)
    assert np.allclose(shown[2].ravel()[1:], plain.ravel()[1:])


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (np.array([[0, 65535]], np.uint16), [[0, 1]]),
        (np.array([[1000, 1100, 1200]], np.uint16), [[0, 0.5, 1]]),
        (np.array([[-1024, 3072, 1024]], np.int16), [[0, 1, 0.5]]),
        (np.array([[0, 51, 255]], np.int64), [[0, 0.2, 1]]),
        (np.array([[0.0, 51.0, 255.0]], np.float32), [[0, 0.2, 1]]),
        (np.array([[51.0, 204.0]]), [[0.2, 0.8]]),
        (np.array([[0.0, 8.0, 16.0]]), [[0, 0.5, 1]]),
        (np.array([[0.25, np.nan, 1.0]]), [[0.25, 0, 1]]),
        (np.array([[1000.0, np.nan, 1255.0]]), [[0, 0, 1]]),
        (np.array([[np.nan, np.inf, -np.inf]]), [[0, 0, 0]]),
        (np.array([[-1e308, 1e308, 0.0]]), [[0, 1, 0.5]]),
        (np.array([[-0.004, 0.5, 1.005]]), [[0, 0.5, 1]]),
        (np.array([[0, 1]], bool), [[0, 1]]),
        (np.array([[0, 1, 255]], ">u2"), [[0, 1 / 255, 1]]),
    ],
)
def test_pixels_of_many_kinds(image, expected):
    assert np.allclose(displayable(image[None], "none")[0], expected, atol=1e-6)


def test_channels_that_are_stretched_are_no_opacity():
    colours = np.array([[[[0.2, 0.4, 0.6, 0.5]]]])
    both = np.concatenate([colours, 1000 * colours])
    shown = displayable(both, "last")
    assert shown.shape == (2, 1, 1, 3)
    assert np.array_equal(shown[:1], displayable(colours, "last"))
    assert len(set(shown[1].ravel())) == 1  # grey
