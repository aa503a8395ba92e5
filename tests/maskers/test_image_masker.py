"""Patches and superpixels against pixel by pixel masking, for every order of axes and fill."""

import json
import pickle
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from fastexplain.images import as_images
from fastexplain.maskers._image import ImageMasker


@dataclass
class Form:
    """What a masker has to know of a model."""

    torch_module: bool = False
    device: torch.device | None = None
    dtype: torch.dtype | None = None
    takes: str = "rows"


ARRAYS = Form()
TENSORS = Form(True, torch.device("cpu"), torch.float32)
FILLS = ["zero", "mean", "blur", "noise", 7, "each"]


def make_images(rng, n, size, n_channels, channels, dtype):
    """Images as a user would give them; some areas hold one value, zero."""
    pixels = rng.random((n, *size, n_channels)) * 255
    pixels[:, : size[0] // 2, : size[1] // 2] = 0
    pixels = pixels.astype(dtype)
    if channels == "none":
        return pixels[..., 0]
    return np.ascontiguousarray(np.moveaxis(pixels, 3, 1)) if channels == "first" else pixels


def pixel(array, channels, i, row, column):
    """The channels of one pixel, as a view."""
    if channels == "first":
        return array[i, :, row, column]
    return array[i, row, column] if channels == "last" else array[i, row, column, None]


def slow_masked(images, fills, labels, masks, channels):
    """Masked images (n * T, ...) pixel by pixel."""
    n, n_masks = len(images), masks.shape[1]
    out = np.repeat(images, n_masks, axis=0)
    for i in range(n):
        players = labels if labels.ndim == 2 else labels[i]
        for t in range(n_masks):
            mask = masks[i if len(masks) > 1 else 0, t]
            for row in range(players.shape[0]):
                for column in range(players.shape[1]):
                    player = players[row, column]
                    if player >= 0 and not mask[player]:
                        fill = pixel(fills, channels, i if len(fills) > 1 else 0, row, column)
                        pixel(out, channels, i * n_masks + t, row, column)[:] = fill
    return out


def rows_of_image(image):
    """Superpixels whose number depends on the image: runs of rows; the last row has none."""
    bounds = int(image.sum()) % 3 + 1
    labels = np.repeat(np.arange(image.shape[0])[:, None] % (bounds + 1), image.shape[1], axis=1)
    labels = labels * 10 + 5
    labels[-1] = -3
    return labels


@st.composite
def cases(draw):
    size = draw(st.tuples(st.integers(2, 9), st.integers(2, 9)))
    channels = draw(st.sampled_from(["first", "last", "none"]))
    n_channels = 1 if channels == "none" else draw(st.integers(1, 5))
    dtype = draw(st.sampled_from(["uint8", "int16", "float16", "float32", "float64"]))
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    images = make_images(rng, draw(st.integers(1, 3)), size, n_channels, channels, dtype)
    fill = draw(st.sampled_from(FILLS))
    fill = list(range(3, 3 + n_channels)) if fill == "each" else fill
    settings = {"fill": fill, "channels": channels}
    players = draw(st.sampled_from(["default", "patch", "pair", "array", "function"]))
    if players == "patch":
        settings["patch_size"] = draw(st.integers(1, min(size)))
    elif players == "pair":
        settings["patch_size"] = tuple(draw(st.integers(1, side)) for side in size)
    elif players == "array":
        settings["segments"] = rng.integers(-1, 4, size) * 3
        settings["segments"][0, 0] = 6
    elif players == "function":
        settings["segments"] = rows_of_image
    return images, ImageMasker(**settings), rng


@settings(max_examples=80, deadline=None)
@given(cases())
def test_masking_pixel_by_pixel(case):
    images, masker, rng = case
    masker.fit(images, np.random.default_rng(1))
    samples = masker.wrap(images)
    labels, fills, n = masker.labels(samples), masker.fills(samples), len(images)
    assert fills.dtype == images.dtype and labels.max() < masker.n_players
    arrays, tensors = masker.inputs(samples, ARRAYS), masker.inputs(samples, TENSORS)
    for n_blocks in (1, n):
        masks = rng.random((n_blocks, 3, masker.n_players)) < 0.5
        wanted = slow_masked(images, fills, labels, masks, masker.channels_)
        found = arrays(masks, slice(0, n))
        assert found.dtype == images.dtype
        np.testing.assert_array_equal(found, wanted)
        found = tensors(masks, slice(0, n))
        assert found.dtype == torch.float32
        np.testing.assert_array_equal(found.numpy(), wanted.astype("float32"))
    # one sample of several, with its own masks
    last = arrays(masks[-1:], slice(n - 1, n))
    np.testing.assert_array_equal(last, wanted[-3:])


@settings(max_examples=80, deadline=None)
@given(cases())
def test_identities(case):
    images, masker, _ = case
    masker.fit(images, np.random.default_rng(1))
    samples, n_players = masker.wrap(images), masker.n_players
    inputs, everything = masker.inputs(samples, ARRAYS), slice(0, len(images))
    fills, labels = masker.fills(samples), masker.labels(samples)
    full = np.ones((1, 1, n_players), dtype=bool)
    np.testing.assert_array_equal(inputs(full, everything), images)
    empty = inputs(~full, everything)
    if labels.min() >= 0:
        np.testing.assert_array_equal(empty, np.broadcast_to(fills, images.shape))
    if masker.fixed_empty_:
        assert (empty == empty[:1]).all()
    # a player is null where its removal alone changes nothing
    alone = np.ones((1, n_players, n_players), dtype=bool)
    alone[0, np.arange(n_players), np.arange(n_players)] = False
    removed = inputs(alone, everything).reshape(len(images), n_players, -1)
    unchanged = (removed == images.reshape(len(images), 1, -1)).all(axis=2)
    np.testing.assert_array_equal(masker.null_players(samples), unchanged)
    # what a player changes is all its own: the changes of all are those of the empty mask
    changed = (removed != images.reshape(len(images), 1, -1)).sum(axis=(1, 2))
    np.testing.assert_array_equal(changed, (empty != images).reshape(len(images), -1).sum(axis=1))
    np.testing.assert_array_equal(masker.layout(samples).segments, labels)
    assert masker.layout(samples).channels == masker.channels_


@pytest.mark.parametrize(
    ("size", "patch_size", "grid", "patch"),
    [
        ((32, 32), None, (8, 8), (4, 4)),
        ((28, 28), None, (7, 7), (4, 4)),
        ((9, 30), None, (5, 8), (2, 4)),
        ((224, 112), None, (14, 7), (16, 16)),
        ((111, 225), None, (8, 15), (14, 16)),
        ((5, 7), 3, (2, 3), (3, 3)),
        ((5, 7), (5, 1), (1, 7), (5, 1)),
        ((5, 7), np.int64(2), (3, 4), (2, 2)),
    ],
)
def test_grid(size, patch_size, grid, patch):
    images = np.zeros((1, *size, 3))
    masker = ImageMasker(patch_size).fit(images)
    assert masker.grid_ == grid and masker.n_players == grid[0] * grid[1]
    names = [f"r{i}c{j}" for i in range(grid[0]) for j in range(grid[1])]
    assert masker.feature_names_ == names
    labels = masker.labels(images)
    for row in range(size[0]):
        for column in range(size[1]):
            assert names[labels[row, column]] == f"r{row // patch[0]}c{column // patch[1]}"


def test_segments_are_numbered_in_order():
    segments = np.array([[9, 9, -1], [4, 20, -5]])
    masker = ImageMasker(segments=segments, channels="none").fit(np.zeros((2, 2, 3)))
    np.testing.assert_array_equal(masker.labels(np.zeros((1, 2, 3))), [[1, 1, -1], [0, 2, -1]])
    assert masker.feature_names_ == ["segment 0", "segment 1", "segment 2"]
    assert masker.grid_ is None and not masker.fixed_empty_


@pytest.mark.parametrize("channels", ["first", "last", "none"])
def test_function_sees_the_image_with_channels_last(channels):
    seen = []

    def segment(image):
        seen.append(image.copy())
        image[:] = 0  # its own copy
        return np.arange(image.shape[0] * image.shape[1]).reshape(image.shape[:2])

    images = make_images(np.random.default_rng(0), 3, (4, 6), 3, channels, "uint8")
    masker = ImageMasker(segments=segment, channels=channels)
    samples = masker.wrap(images)
    masker.fit(samples)
    masker.layout(samples.take(np.array([2, 0])))
    masker.null_players(samples)
    # once an image
    assert len(seen) == 3 and images.max() > 0
    for image, whole in zip(seen, as_images(images, channels).pixels(), strict=True):
        assert image.dtype == np.uint8
        np.testing.assert_array_equal(image, whole[..., 0] if channels == "none" else whole)


def test_number_of_superpixels_may_vary():
    def segment(image):
        return np.arange(image.size).reshape(image.shape) % int(image[0, 0])

    images = np.full((3, 5, 5), 2.0)
    images[1] = 5.0
    masker = ImageMasker(segments=segment, fill=1.0, channels="none").fit(images)
    assert masker.n_players == 5 and not masker.fixed_empty_
    null = masker.null_players(images)
    np.testing.assert_array_equal(null.sum(axis=1), [3, 0, 3])
    assert null[0, 2:].all()
    images[2] = 6.0
    with pytest.raises(ValueError, match="6 superpixels for image 2, but at most 5.*fix their"):
        masker.inputs(images, ARRAYS)


def test_superpixels_are_found_by_the_maskers_own_function():
    images = np.random.default_rng(0).random((2, 6, 6))
    whole = ImageMasker(segments=lambda image: np.zeros((6, 6), dtype=int)).fit(images)
    each = ImageMasker(segments=lambda image: np.arange(36).reshape(6, 6)).fit(images)
    assert each.labels(whole.wrap(images)).max() == 35
    # and neither matters to segments of the user's own, nor to patches
    half = ImageMasker(segments=np.repeat([[0], [1]], 3, axis=0).repeat(6, axis=1))
    assert half.fit(each.wrap(images)).n_players == 2
    assert ImageMasker(3).fit(each.wrap(images)).n_players == 4


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("channels", ["first", "last", "none"])
def test_constant_fills(channels, dtype):
    n_channels = 1 if channels == "none" else 3
    images = make_images(np.random.default_rng(0), 6, (5, 7), n_channels, channels, dtype)
    pixels = as_images(images, channels).pixels().astype(float)

    def filled(fill):
        masker = ImageMasker(fill=fill, channels=channels).fit(images)
        assert masker.fixed_empty_
        fills = as_images(masker.fills(images), channels).pixels()
        assert fills.shape == (1, 5, 7, n_channels) and (fills == fills[0, 0, 0]).all()
        return fills[0, 0, 0]

    np.testing.assert_array_equal(filled("zero"), np.zeros(n_channels))
    mean = pixels.mean(axis=(0, 1, 2))
    np.testing.assert_allclose(filled("mean"), np.rint(mean) if dtype == "uint8" else mean, 1e-6)
    np.testing.assert_array_equal(filled(9), np.full(n_channels, 9))
    each = np.arange(n_channels) + 2.0
    np.testing.assert_array_equal(filled(each), each)
    np.testing.assert_array_equal(filled(tuple(each)), each)


def test_mean_is_of_the_images_of_fit():
    masker = ImageMasker(fill="mean").fit(np.full((2, 8, 8), 3.0))
    assert masker.fills(np.zeros((4, 8, 8))).max() == 3.0


@pytest.mark.parametrize("size", [(16, 24), (3, 5)])
def test_blur(size):
    images = np.random.default_rng(0).random((3, *size, 2))
    masker = ImageMasker((3, 5), fill="blur", channels="last").fit(images)
    assert not masker.fixed_empty_
    wanted = gaussian_filter(images, (0, 1.5, 2.5, 0), mode="nearest", radius=(0, 5, 8, 0))
    np.testing.assert_allclose(masker.fills(images), wanted, atol=1e-12)
    # bytes are rounded
    whole = (images * 255).astype("uint8")
    fills = ImageMasker((3, 5), fill="blur", channels="last").fit(whole).fills(whole)
    wanted = gaussian_filter(
        whole.astype(float), (0, 1.5, 2.5, 0), mode="nearest", radius=(0, 5, 8, 0)
    )
    assert fills.dtype == np.uint8 and np.abs(fills - wanted).max() < 0.5 + 1e-9


def test_blur_of_segments_is_as_wide_as_they_are():
    images = np.random.default_rng(0).random((2, 16, 16))
    segments = np.arange(16)[:, None] // 4 * 4 + np.arange(16) // 4
    fills = [
        ImageMasker(**players, fill="blur").fit(images).fills(images)
        for players in ({"patch_size": 4}, {"segments": segments})
    ]
    np.testing.assert_allclose(*fills)


def test_areas_of_one_colour_are_null_under_blur():
    images = np.full((1, 32, 32), 0.3, dtype="float32")
    images[0, :4, :4] = 0.9
    null = ImageMasker(fill="blur").fit(images).null_players(images)[0].reshape(8, 8)
    assert not null[:2, :2].any() and null[4:, 4:].all()


def test_noise_has_the_moments_of_fit():
    rng = np.random.default_rng(0)
    images = rng.normal([1.0, -5.0], [0.5, 3.0], (40, 16, 16, 2))
    masker = ImageMasker(fill="noise").fit(images, rng)
    fills = masker.fills(images)
    np.testing.assert_allclose(fills.mean(axis=(0, 1, 2)), [1, -5], atol=0.1)
    np.testing.assert_allclose(fills.std(axis=(0, 1, 2)), [0.5, 3], rtol=0.05)


@pytest.mark.parametrize("channels", ["first", "last", "none"])
def test_noise_is_the_images_own(channels):
    rng = np.random.default_rng(0)
    images = make_images(rng, 5, (6, 7), 1 if channels == "none" else 3, channels, "uint8")
    masker = ImageMasker(fill="noise", channels=channels).fit(images, np.random.default_rng(3))
    fills = masker.fills(images)
    order = np.array([3, 1, 1, 4])
    np.testing.assert_array_equal(masker.fills(images[order]), fills[order])
    np.testing.assert_array_equal(masker.fills(images[2:3]), fills[2:3])
    assert (fills[0] != fills[1]).any()
    # again by the same seed, and not by another
    again = ImageMasker(fill="noise", channels=channels).fit(images, np.random.default_rng(3))
    np.testing.assert_array_equal(again.fills(images), fills)
    other = ImageMasker(fill="noise", channels=channels).fit(images, np.random.default_rng(4))
    assert (other.fills(images) != fills).any()


@pytest.mark.parametrize("players", [None, rows_of_image])
@pytest.mark.parametrize("fill", ["blur", "noise"])
def test_fill_is_the_same_in_chunks(fill, players, monkeypatch):
    images = np.random.default_rng(0).random((7, 9, 8, 3))
    masker = ImageMasker(segments=players, fill=fill).fit(images)
    fills, null = masker.fills(images), masker.null_players(images)
    monkeypatch.setattr("fastexplain.maskers._image.CHUNK_CELLS", 2 * 9 * 8 * 3)
    parts = ImageMasker(segments=players, fill=fill).fit(images)
    if fill == "noise":
        np.testing.assert_allclose(parts.fill_, masker.fill_)
        np.testing.assert_allclose(parts.deviation_, masker.deviation_)
    np.testing.assert_array_equal(masker.fills(images), fills)
    np.testing.assert_array_equal(masker.null_players(images), null)


def test_threads_share_a_masker():
    images = np.random.default_rng(0).random((32, 3, 12, 12)).astype("float32")
    masker = ImageMasker(fill="noise").fit(images)
    masks = np.random.default_rng(1).random((32, 4, masker.n_players)) < 0.5

    def work(start):
        samples = masker.wrap(images[start : start + 8])
        return masker.inputs(samples, TENSORS)(masks[start : start + 8], slice(0, 8))

    before = pickle.dumps(masker)
    with ThreadPoolExecutor(4) as pool:
        parts = list(pool.map(work, [0, 8, 16, 24] * 3))
    whole = masker.inputs(masker.wrap(images), TENSORS)(masks, slice(0, 32))
    for k in range(3):
        torch.testing.assert_close(torch.cat(parts[4 * k : 4 * k + 4]), whole, rtol=0, atol=0)
    # nothing of a call is kept
    assert pickle.dumps(masker) == before


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, None])
@pytest.mark.parametrize("own", ["uint8", "uint16", "float32", "float64"])
def test_tensors_are_of_the_modules_type(own, dtype):
    images = (np.random.default_rng(0).random((3, 2, 8, 8)) * 255).astype(own)
    masker = ImageMasker(4).fit(images)
    form = Form(True, None, dtype)
    masks = np.random.default_rng(1).random((3, 2, 4)) < 0.5
    found = masker.inputs(images, form)(masks, slice(0, 3))
    wanted = masker.inputs(images, ARRAYS)(masks, slice(0, 3))
    # a module without a type of its own has the images' double precision
    dtype = dtype or (torch.float64 if own == "float64" else torch.float32)
    assert found.dtype == dtype
    torch.testing.assert_close(found, torch.from_numpy(wanted).to(dtype), rtol=0, atol=0)
    whole = masker.whole(images, form)
    torch.testing.assert_close(whole, torch.from_numpy(images).to(dtype), rtol=0, atol=0)


def test_one_image_of_an_array_in_reverse():
    images = np.random.default_rng(0).random((1, 8, 8))[::-1]
    masker = ImageMasker(4).fit(images)
    form = Form(True, None, torch.float32)
    masks = np.ones((1, 1, 4), dtype=bool)
    for found in (masker.inputs(images, form)(masks, slice(0, 1)), masker.whole(images, form)):
        torch.testing.assert_close(found, torch.from_numpy(images.copy()).float())


def test_image_processors_take_arrays():
    images = (np.random.default_rng(0).random((3, 8, 8, 3)) * 255).astype("uint8")
    masker = ImageMasker(4).fit(images)
    form = Form(True, torch.device("cpu"), torch.float32, takes="images")
    masks = np.ones((1, 1, 4), dtype=bool)
    for found in (masker.inputs(images, form)(masks, slice(0, 3)), masker.whole(images, form)):
        assert isinstance(found, np.ndarray) and found.dtype == np.uint8
        np.testing.assert_array_equal(found, images)


@pytest.mark.parametrize("form", [ARRAYS, TENSORS])
def test_a_model_may_change_what_it_is_fed(form):
    images = np.random.default_rng(0).random((2, 8, 8)).astype("float32")
    before = images.copy()
    masker = ImageMasker(4).fit(images)
    inputs = masker.inputs(images, form)
    masks = np.ones((1, 1, 4), dtype=bool)
    inputs(masks, slice(0, 2))[:] = 5
    masker.whole(images, form)[:] = 5
    np.testing.assert_array_equal(images, before)
    np.testing.assert_array_equal(np.asarray(inputs(masks, slice(0, 2))), before)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("form", [ARRAYS, TENSORS])
def test_views_of_all_sorts(form):
    images = np.random.default_rng(0).random((4, 8, 9, 3)).astype("float32")
    frozen = images[::-1, :, ::-1].swapaxes(1, 2)
    frozen.flags.writeable = False
    masks = np.broadcast_to(np.arange(9) % 2 == 0, (1, 3, 9))
    for fill in ("zero", "blur"):
        masker = ImageMasker(3, fill=fill).fit(frozen)
        found = masker.inputs(frozen, form)(masks, slice(0, 4))
        wanted = masker.inputs(frozen.copy(), form)(masks.copy(), slice(0, 4))
        np.testing.assert_array_equal(np.asarray(found), np.asarray(wanted))
        np.testing.assert_array_equal(np.asarray(masker.whole(frozen, form)), frozen)
    # read-only without being a view
    fixed = images.copy()
    fixed.flags.writeable = False
    masker = ImageMasker(3).fit(fixed)
    np.testing.assert_array_equal(np.asarray(masker.whole(fixed, form)), images)
    np.testing.assert_array_equal(
        np.asarray(masker.inputs(fixed, form)(np.ones((1, 1, 9), dtype=bool), slice(0, 4))), images
    )


def test_a_network_answers_as_by_hand():
    torch.manual_seed(0)
    images = torch.rand(5, 3, 8, 8)
    module = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(144, 2)
    )
    masker = ImageMasker(4, fill=[0.1, 0.2, 0.3]).fit(images)
    masks = np.random.default_rng(0).random((5, 3, 4)) < 0.5
    with torch.no_grad():
        found = module(masker.inputs(images, TENSORS)(masks, slice(0, 5))).reshape(5, 3, 2)
        for i in range(5):
            for t in range(3):
                kept = torch.from_numpy(masks[i, t].reshape(2, 2)).repeat_interleave(4, 0)
                kept = kept.repeat_interleave(4, 1)
                fill = torch.tensor([0.1, 0.2, 0.3])[:, None, None]
                one = torch.where(kept, images[i], fill)
                torch.testing.assert_close(found[i, t], module(one[None])[0])


@settings(max_examples=60, deadline=None)
@given(cases())
def test_the_way_of_accelerators_leads_to_the_same(case):
    images, masker, rng = case
    samples = masker.fit(images).wrap(images)
    everything = slice(0, len(images))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fastexplain.maskers._image_inputs._is_accelerator", lambda device: True)
        other = masker.inputs(samples, TENSORS)
    for n_blocks in (1, len(images)):
        masks = rng.random((n_blocks, 3, masker.n_players)) < 0.5
        found, wanted = other(masks, everything), masker.inputs(samples, TENSORS)(masks, everything)
        torch.testing.assert_close(found, wanted, rtol=0, atol=0)


def test_tensors_are_made_on_the_modules_device():
    images = np.random.default_rng(0).random((3, 2, 8, 8))
    form = Form(True, torch.device("meta"), torch.float16)  # a device without numbers
    masker = ImageMasker(4).fit(images)
    found = masker.inputs(images, form)(np.ones((1, 5, 4), dtype=bool), slice(1, 3))
    for tensor, n in ((found, 10), (masker.whole(images, form), 3)):
        assert tensor.shape == (n, 2, 8, 8)
        assert tensor.device.type == "meta" and tensor.dtype == torch.float16


@pytest.mark.parametrize("form", [ARRAYS, TENSORS])
def test_no_images_and_no_masks(form):
    images = np.random.default_rng(0).random((3, 8, 8, 3))
    for settings_ in ({"fill": "noise"}, {"segments": lambda image: np.eye(8, dtype=int)}):
        masker = ImageMasker(**settings_).fit(images)
        masks = np.ones((1, 2, masker.n_players), dtype=bool)
        inputs = masker.inputs(images, form)
        assert inputs(masks[:, :0], slice(0, 3)).shape == (0, 8, 8, 3)
        assert inputs(masks, slice(0, 0)).shape == (0, 8, 8, 3)
        none = masker.wrap(images[:0])
        assert masker.inputs(none, form)(masks, slice(0, 0)).shape == (0, 8, 8, 3)
        assert masker.null_players(none).shape == (0, masker.n_players)
        assert len(masker.fills(none)) == 0 or masker.fill == "zero"


@settings(max_examples=40, deadline=None)
@given(cases())
def test_saved_and_made_again(case):
    images, masker, rng = case
    masker.fit(images, rng)
    if callable(masker.segments):
        with pytest.raises(TypeError, match="pickle the explainer instead, or give .* array"):
            masker.state()
        again = pickle.loads(pickle.dumps(masker))
    else:
        config, tensors = masker.state()
        again = ImageMasker.from_state(json.loads(json.dumps(config)), tensors)
    assert again.feature_names_ == masker.feature_names_ and again.grid_ == masker.grid_
    assert again.fixed_empty_ == masker.fixed_empty_
    np.testing.assert_array_equal(again.labels(images), masker.labels(images))
    np.testing.assert_array_equal(again.fills(images), masker.fills(images))
    np.testing.assert_array_equal(again.null_players(images), masker.null_players(images))
    # what is made again can be fitted anew, to the same
    refitted = again.fit(images)
    assert refitted.feature_names_ == masker.feature_names_
    np.testing.assert_array_equal(refitted.labels(images), masker.labels(images))


def test_fitted_anew_on_others():
    masker = ImageMasker().fit(np.zeros((2, 3, 16, 16)))
    masker.fit(np.zeros((2, 24, 16), dtype="uint8"))
    assert masker.channels_ == "none" and masker.grid_ == (8, 8)
    assert masker.fills(np.zeros((1, 24, 16), dtype="uint8")).dtype == np.uint8


def test_channels_are_remembered():
    masker = ImageMasker(2, channels="last").fit(np.zeros((2, 4, 4, 3)))
    assert masker.wrap(np.zeros((5, 4, 4, 3))).channels == "last"


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (np.zeros((2, 3, 9, 8)), r"\(3, 9, 8\).*fitted on images of shape \(3, 8, 8\)"),
        (np.zeros((2, 1, 8, 8)), r"\(1, 8, 8\).*\(3, 8, 8\)"),
        (np.zeros((3, 8, 8)), r"image\[None\]"),
        (np.zeros((2, 3, 8, 8), dtype="uint8"), "whole numbers .uint8.*fitted on floats"),
        (as_images(np.zeros((2, 8, 8, 3))), "'last', not 'first'"),
        (np.full((2, 3, 8, 8), np.nan), "Image 0"),
    ],
)
def test_images_unlike_those_of_fit(X, message):
    masker = ImageMasker(4).fit(np.zeros((2, 3, 8, 8)))
    for method in (masker.wrap, masker.null_players, masker.layout, masker.fills):
        with pytest.raises(ValueError, match=message):
            method(X)


@pytest.mark.parametrize(
    ("settings_", "error", "message"),
    [
        ({"patch_size": 0}, ValueError, "patch_size must be"),
        ({"patch_size": True}, ValueError, "patch_size must be"),
        ({"patch_size": 2.5}, ValueError, "patch_size must be"),
        ({"patch_size": (1, 2, 3)}, ValueError, "patch_size must be"),
        ({"patch_size": "4"}, ValueError, "patch_size must be"),
        ({"patch_size": 9}, ValueError, "larger than the images of 8 x 8"),
        ({"patch_size": 4, "segments": np.zeros((8, 8), dtype=int)}, ValueError, "not both"),
        ({"segments": np.zeros((8, 8))}, TypeError, "segments must be whole numbers.*float64"),
        ({"segments": "slic"}, TypeError, "segments must be whole numbers"),
        ({"segments": np.zeros((2, 8, 8), dtype=int)}, ValueError, "An array serves all"),
        ({"segments": np.zeros((4, 8), dtype=int)}, ValueError, r"\(4, 8\).*\(8, 8\)"),
        ({"segments": np.full((8, 8), -1)}, ValueError, "no player"),
        ({"segments": lambda image: np.full((8, 8), -1)}, ValueError, "no player"),
        ({"segments": lambda image: image[..., 0]}, TypeError, "segments of image 0"),
        ({"segments": lambda image: np.zeros(8, dtype=int)}, ValueError, "segments of image 0"),
        ({"fill": "median"}, ValueError, "'median'"),
        ({"fill": np.nan}, ValueError, "finite number"),
        ({"fill": None}, ValueError, "finite number"),
        ({"fill": True}, ValueError, "finite number"),
        ({"fill": [1.0, 2.0]}, ValueError, "2 numbers, but the images have 3 channels"),
        ({"fill": np.zeros((1, 3))}, ValueError, "finite number"),
        ({"channels": "NCHW"}, ValueError, "channels must be"),
        ({"channels": "none"}, ValueError, r"\(n, H, W\)"),
    ],
)
def test_bad_settings(settings_, error, message):
    masker = ImageMasker(**settings_)
    with pytest.raises(error, match=message):
        masker.fit(np.zeros((2, 8, 8, 3)))


@pytest.mark.parametrize("fill", [0.5, 256, -1, [0, 0, 300]])
def test_fill_must_be_a_pixel(fill):
    with pytest.raises(ValueError, match="cannot be a pixel of uint8"):
        ImageMasker(fill=fill).fit(np.zeros((2, 8, 8, 3), dtype="uint8"))
    assert ImageMasker(fill=fill).fit(np.zeros((2, 8, 8, 3)))


def test_no_images_to_fit_on():
    with pytest.raises(ValueError, match="no images to fit on"):
        ImageMasker().fit(np.zeros((0, 8, 8, 3)))


def test_removal_in_words():
    assert ImageMasker(fill="blur").removal == "fill blur"
    assert ImageMasker(fill=np.array([1, 2])).removal == "fill [1, 2]"
