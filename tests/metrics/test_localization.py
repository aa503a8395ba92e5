"""Localisation against scikit-learn and loops over images."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, jaccard_score

from fastexplain.metrics import _localization as module
from fastexplain.metrics import localization

RNG = np.random.default_rng(0)


def images(n=6, size=(8, 9), levels=None):
    maps = RNG.normal(size=(n, *size)) if levels is None else RNG.integers(levels, size=(n, *size))
    masks = RNG.random((n, *size)) < 0.3
    masks[:, 2, 3] = True
    return maps.astype(float), masks


@pytest.mark.parametrize("levels", [None, 5, 2])
@pytest.mark.parametrize("chunk", [1, 10**6])
def test_against_scikit_learn(monkeypatch, levels, chunk):
    monkeypatch.setattr(module, "_CHUNK", chunk)
    maps, masks = images(levels=levels)
    got = localization(maps, masks)
    above = maps > maps.mean(axis=(1, 2), keepdims=True)
    assert got.pixel_accuracy == pytest.approx((above == masks).mean())
    # summed over the images, as if all were one
    ious = [jaccard_score(masks.ravel(), above.ravel(), pos_label=label) for label in (True, False)]
    assert (got.foreground_iou, got.background_iou) == pytest.approx(tuple(ious))
    assert got.mean_iou == pytest.approx(np.mean(ious))
    own, both, hits = [], [], []
    for pixels, mask in zip(maps, masks, strict=True):
        own.append(average_precision_score(mask.ravel(), pixels.ravel()))
        share = (pixels - pixels.min()) / np.ptp(pixels)
        truth = np.concatenate([mask.ravel(), ~mask.ravel()])
        both.append(average_precision_score(truth, np.concatenate([share, 1 - share]).ravel()))
        hits.append(mask[pixels == pixels.max()].mean())
    assert got.foreground_ap == pytest.approx(np.mean(own))
    assert got.mean_ap == pytest.approx(np.mean(both))
    assert got.pointing_game == pytest.approx(np.mean(hits))


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 4), st.integers(1, 30), st.integers(1, 6), st.integers(0, 10_000))
def test_average_precision(n, n_pixels, levels, seed):
    rng = np.random.default_rng(seed)
    scores = rng.integers(levels, size=(n, n_pixels)) / 3.0
    truth = rng.random((n, n_pixels)) < 0.5
    truth[:, 0] = True
    expected = [average_precision_score(t, s) for t, s in zip(truth, scores, strict=True)]
    np.testing.assert_allclose(module.average_precision(scores, truth), expected)


def test_the_object_itself_is_perfect_and_its_negative_the_worst():
    _, masks = images()
    best, worst = localization(masks, masks), localization(~masks, masks)
    assert set(vars(best).values()) == {1.0}
    assert worst.pixel_accuracy == worst.mean_iou == worst.pointing_game == 0.0
    assert worst.foreground_ap == pytest.approx(masks.mean())


def test_random_maps_have_half_the_average_precision_whatever_the_object():
    maps = RNG.random((30, 40, 40))
    masks = np.zeros(maps.shape, bool)
    masks[:, :13, :20] = True
    got = localization(maps, masks)
    assert got.mean_ap == pytest.approx(0.5, abs=0.03)
    assert got.foreground_ap == pytest.approx(masks.mean(), abs=0.02)
    assert got.pixel_accuracy == pytest.approx(0.5, abs=0.02)


def test_threshold():
    maps, masks = images()
    got = localization(maps, masks, threshold=0.7)
    assert got.pixel_accuracy == pytest.approx(((maps > 0.7) == masks).mean())
    # ranks know no threshold
    assert got.mean_ap == localization(maps, masks).mean_ap
    scaled = localization(maps * 3 - 1, masks)
    assert vars(scaled) == pytest.approx(vars(localization(maps, masks)))


def test_constant_maps_mark_nothing():
    _, masks = images()
    # the mean of many 0.1 is not 0.1
    got = localization(np.full(masks.shape, 0.1), masks)
    assert got.pixel_accuracy == pytest.approx(1 - masks.mean())
    assert got.mean_ap == pytest.approx(0.5)
    assert got.foreground_iou == 0.0
    full = localization(np.ones((1, 2, 2)), np.ones((1, 2, 2), bool), threshold=0.5)
    assert full.mean_iou == full.background_iou == 1.0


def test_tolerance_of_the_pointing_game():
    maps, masks = np.zeros((1, 9, 9)), np.zeros((1, 9, 9), bool)
    maps[0, 4, 4], masks[0, 4, 7] = 1.0, True
    assert localization(maps, masks).pointing_game == 0.0
    assert localization(maps, masks, tolerance=2.9).pointing_game == 0.0
    assert localization(maps, masks, tolerance=3).pointing_game == 1.0


@pytest.mark.parametrize(
    ("maps", "masks", "options", "match"),
    [
        (np.zeros((2, 3, 3)), np.ones((2, 3, 4), bool), {}, "shape"),
        (np.zeros((3, 3)), np.ones((3, 3), bool), {}, "shape"),
        (np.zeros((0, 3, 3)), np.ones((0, 3, 3), bool), {}, "shape"),
        (np.full((1, 3, 3), np.nan), np.ones((1, 3, 3), bool), {}, "finite"),
        (np.full((1, 3, 3), "a"), np.ones((1, 3, 3), bool), {}, "finite"),
        (np.zeros((1, 3, 3)), np.full((1, 3, 3), 255), {}, "bool"),
        (np.zeros((1, 3, 3)), np.zeros((1, 3, 3), bool), {}, "no object"),
        (np.zeros((1, 3, 3)), np.ones((1, 3, 3), bool), {"threshold": "otsu"}, "threshold"),
        (np.zeros((1, 3, 3)), np.ones((1, 3, 3), bool), {"threshold": np.nan}, "threshold"),
        (np.zeros((1, 3, 3)), np.ones((1, 3, 3), bool), {"tolerance": -1}, "tolerance"),
    ],
)
def test_bad_input(maps, masks, options, match):
    with pytest.raises(ValueError, match=match):
        localization(maps, masks, **options)
