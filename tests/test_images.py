"""Images of any order of axes, what they come in, and what is wrong with others."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fastexplain.images import Images, as_images

try:
    from PIL import Image
except ModuleNotFoundError:
    Image = None

needs_pillow = pytest.mark.skipif(Image is None, reason="needs pillow")


@pytest.mark.parametrize(
    ("shape", "said", "channels", "size", "n_channels"),
    [
        ((5, 3, 8, 9), "auto", "first", (8, 9), 3),
        ((5, 8, 9, 3), "auto", "last", (8, 9), 3),
        ((5, 1, 28, 28), "auto", "first", (28, 28), 1),
        ((5, 8, 9, 4), "auto", "last", (8, 9), 4),
        ((5, 8, 9), "auto", "none", (8, 9), 1),
        ((5, 8, 9, 7), "last", "last", (8, 9), 7),
        ((5, 12, 9, 7), "first", "first", (9, 7), 12),
        ((5, 3, 3, 3), "first", "first", (3, 3), 3),
        ((5, 3, 4, 2), "last", "last", (3, 4), 2),
        ((5, 8, 3), "none", "none", (8, 3), 1),
    ],
)
def test_channels(shape, said, channels, size, n_channels):
    array = np.random.default_rng(0).random(shape)
    images = as_images(array, said)
    assert (images.channels, images.size, images.n_channels) == (channels, size, n_channels)
    assert images.n_columns == 4 * n_channels * size[0] * size[1]
    assert images.pixels().shape == (5, *size, n_channels)
    assert np.shares_memory(images.pixels(), array)
    np.testing.assert_array_equal(images.in_order(images.pixels()), array)
    # the pixel at a place is the pixel at that place
    where = {"first": (2, 0, 1, 2), "last": (2, 1, 2, 0), "none": (2, 1, 2)}[channels]
    assert images.pixels()[2, 1, 2, 0] == array[where]


@pytest.mark.parametrize(
    ("shape", "said", "message"),
    [
        ((5, 3, 4, 4), "auto", "two axes.*channels='first'"),
        ((5, 8, 9, 7), "auto", "no axis.*channels='last'"),
        ((8, 9, 3), "auto", r"looks like one image of 3 channels.*image\[None\]"),
        ((8, 9, 1), "auto", r"image\[None\]"),
        ((3, 8, 9), "first", r"\(n, C, H, W\).*image\[None\]"),
        ((5, 8, 9, 3), "none", r"\(n, H, W\), got"),
        ((8, 9), "auto", "reshape"),
        ((2, 3, 4, 5, 6), "auto", "5 axes.*volumes"),
        ((3, 8, 9), "auto", r"one image of 3 channels or 3 grey images.*image\[None\]"),
        ((4, 8, 9), "auto", "one image of 4 channels or 4 grey.*channels='none'"),
        ((5, 0, 9), "auto", "no pixels"),
        ((5, 8, 0, 3), "last", "no pixels"),
        ((5, 8, 9, 0), "last", "no pixels"),
    ],
)
def test_shapes_in_doubt(shape, said, message):
    with pytest.raises(ValueError, match=message):
        as_images(np.zeros(shape), said)


def test_channels_must_be_known():
    with pytest.raises(ValueError, match="'auto', 'first', 'last' or 'none', got 'NCHW'"):
        as_images(np.zeros((2, 3, 8, 8)), "NCHW")
    images = as_images(np.zeros((2, 3, 8, 8)))
    assert as_images(images, "first") is images
    with pytest.raises(ValueError, match="'first', not 'last'"):
        as_images(images, "last")


def test_tensors_are_arrays():
    tensor = torch.rand(4, 3, 8, 8, requires_grad=True)
    np.testing.assert_array_equal(as_images(tensor).native, tensor.detach().numpy())
    half = torch.rand(4, 3, 8, 8).to(torch.bfloat16)
    images = as_images(half)
    assert images.native.dtype == np.float32
    np.testing.assert_array_equal(images.native, half.float().numpy())
    assert as_images(torch.zeros(5, 8, 8, dtype=torch.uint8)).native.dtype == np.uint8
    assert as_images([torch.zeros(3, 8, 8), torch.ones(3, 8, 8)]).native.max() == 1


def test_lists_of_arrays():
    parts = [np.full((8, 9, 3), i, dtype="uint8") for i in range(4)]
    images = as_images(tuple(parts))
    assert images.channels == "last" and images.native.dtype == np.uint8
    np.testing.assert_array_equal(images.native, np.stack(parts))
    with pytest.raises(ValueError, match=r"Image 4 has shape \(9, 9, 3\).*resize"):
        as_images([*parts, np.zeros((9, 9, 3), dtype="uint8")])
    with pytest.raises(ValueError, match="empty list"):
        as_images([])
    # a list of grey images is in no doubt, as an array of so many is
    assert as_images([np.zeros((8, 9))] * 3).channels == "none"
    assert as_images(np.zeros((3, 8, 9)), "none").n_channels == 1
    assert len(as_images(np.zeros((1, 8, 9)))) == 1
    assert as_images([[[0.0, 1.0, 0.0, 1.0, 2.0]]]).size == (1, 5)


@needs_pillow
def test_pillow():
    array = np.random.default_rng(0).integers(0, 256, (3, 8, 9, 3), dtype="uint8")
    images = as_images([Image.fromarray(one) for one in array])
    assert images.channels == "last"
    np.testing.assert_array_equal(images.native, array)
    grey = [Image.fromarray(one).convert("L") for one in array]
    assert as_images(grey).channels == "none"
    assert as_images([one.convert("RGBA") for one in grey]).n_channels == 4
    with pytest.raises(ValueError, match=r"palette.*convert\('RGB'\)"):
        as_images([one.convert("P") for one in grey])
    with pytest.raises(TypeError, match="bool"):
        as_images([one.convert("1") for one in grey])
    with pytest.raises(ValueError, match=r"\[image\]"):
        as_images(Image.fromarray(array[0]))
    with pytest.raises(ValueError, match="Image 1 .*one mode"):
        as_images([Image.fromarray(array[0]), grey[0]])


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((2, 8, 9), dtype=object), "object"),
        (np.zeros((2, 8, 9), dtype=complex), "complex"),
        (np.zeros((2, 8, 9), dtype=bool), "uint8"),
        (["cat.png", "dog.png"], "paths"),
        ([None, None], "missing"),
        ({"image": np.zeros((2, 8, 9))}, "dict of columns"),
        (iter([np.zeros((8, 9))]), "iterable"),
    ],
)
def test_wrong_types(array, message):
    with pytest.raises(TypeError, match=message):
        as_images(array)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_broken_pixels_are_named(bad):
    array = np.zeros((5, 8, 9, 3), dtype="float32")
    array[3, 1, 2, 0] = bad
    with pytest.raises(ValueError, match="Image 3 holds NaN or infinity"):
        as_images(array)
    # infinities of both signs cancel in no sum
    array[3, 2, 2, 0] = -bad
    with pytest.raises(ValueError, match="Image 3"):
        as_images(array)


def test_masked_pixels_are_refused():
    array = np.ma.masked_array(np.zeros((5, 8, 9, 3)), mask=False)
    assert type(as_images(array).native) is np.ndarray
    array[3, 1, 2, 0] = np.ma.masked
    for X in (array, list(array)):
        with pytest.raises(ValueError, match=r"Image 3 has masked pixels.*filled"):
            as_images(X)


def test_large_numbers_are_no_infinity():
    assert len(as_images(np.full((5, 8, 9), 1e308))) == 5


@given(st.lists(st.integers(0, 4), max_size=6), st.sampled_from(["first", "last", "none"]))
def test_take(rows, channels):
    shape = {"first": (5, 3, 4, 6), "last": (5, 4, 6, 3), "none": (5, 4, 6)}[channels]
    images = Images(np.arange(np.prod(shape)).reshape(shape), channels)
    segments = np.arange(5 * 4 * 6).reshape(5, 4, 6)
    images = images.with_segments(segments, len)
    taken = images.take(np.array(rows, dtype=int))
    np.testing.assert_array_equal(taken.native, images.native[np.array(rows, dtype=int)])
    np.testing.assert_array_equal(taken.segments, segments[np.array(rows, dtype=int)])
    assert taken.channels == channels and taken.segmented_by is len and len(taken) == len(rows)
    part = images.take(slice(1, 3))
    assert len(part) == 2 and np.shares_memory(part.native, images.native)


def test_copy_is_the_callers():
    images = as_images(np.zeros((2, 8, 9)))
    images.copied()[:] = 1
    assert images.native.max() == 0


def test_fingerprint_is_of_content():
    array = np.random.default_rng(0).random((4, 3, 8, 9))
    images = as_images(array)
    elsewhere = np.asfortranarray(array)
    assert images.fingerprint() == as_images(elsewhere).fingerprint()
    assert images.take(slice(1, 3)).fingerprint() == as_images(array[1:3].copy()).fingerprint()
    others = [array + 1e-9, array[::-1], array.astype("float32"), array[:3], array.swapaxes(2, 3)]
    prints = {as_images(other).fingerprint() for other in others}
    prints |= {images.fingerprint(), as_images(np.moveaxis(array, 1, 3)).fingerprint()}
    assert len(prints) == len(others) + 2


def test_foreign_byte_order():
    array = np.random.default_rng(0).random((2, 8, 9)).astype(">f4")
    images = as_images(array)
    assert images.native.dtype.isnative
    np.testing.assert_array_equal(images.native, array)
