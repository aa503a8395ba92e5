"""Images of several sizes: resized by the masker as Pillow does, or by the processor's rule."""

from __future__ import annotations

import json
import pickle
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from fastexplain import ExactExplainer, FEXExplainer, ImageMasker, load
from fastexplain.maskers._image_sizes import check_size, size_of_processor, sizes_differ

Image = pytest.importorskip("PIL.Image")

RNG = np.random.default_rng(0)
FILTERS = ["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"]


def pixels(height: int, width: int, *channels: int) -> np.ndarray:
    return RNG.integers(0, 256, (height, width, *channels), dtype=np.uint8)


def brightness(X: Any) -> np.ndarray:
    score = np.asarray(X, dtype=float).reshape(len(X), -1).mean(axis=1) / 256
    return np.column_stack([1 - score, score])


@pytest.mark.parametrize("resample", FILTERS)
@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_pictures_are_resized_as_pillow_does(resample: str, mode: str) -> None:
    n = len(mode)
    arrays = [pixels(*size, *([n] if n > 1 else [])) for size in ((10, 14), (8, 12), (30, 9))]
    pictures = [Image.fromarray(array) for array in arrays]
    how = Image.Resampling[resample.upper()]
    masker = ImageMasker(size=(8, 12), resample=resample).fit(pictures)
    found = masker.wrap(pictures).native
    expected = [np.asarray(picture.resize((12, 8), how)) for picture in pictures]
    np.testing.assert_array_equal(found, np.stack(expected))
    # what has the size already stays as it is
    np.testing.assert_array_equal(found[1], arrays[1])


@pytest.mark.parametrize("order", ["first", "last", "none"])
@pytest.mark.parametrize("dtype", ["uint8", "int16", "int64", "float16", "float32", "float64"])
def test_arrays_are_resized_plane_by_plane(order: str, dtype: str) -> None:
    size = (6, 8)
    parts = [pixels(h, w, 3).astype(dtype) for h, w in ((9, 7), (6, 8), (12, 16))]
    slow = []
    for part in parts:
        planes = [Image.fromarray(part[..., c].astype("float32")) for c in range(3)]
        if dtype == "uint8":
            planes = [Image.fromarray(part[..., c]) for c in range(3)]
        found = np.stack([np.asarray(p.resize((8, 6), Image.Resampling.BICUBIC)) for p in planes])
        if dtype.startswith("int"):
            found = np.rint(found)
        slow.append(np.moveaxis(found, 0, 2).astype(dtype))
    if order == "first":
        parts, slow = ([np.moveaxis(one, 2, 0) for one in many] for many in (parts, slow))
    elif order == "none":
        parts, slow = ([one[..., 0] for one in many] for many in (parts, slow))
    masker = ImageMasker(size=size, resample="bicubic").fit(parts)
    images = masker.wrap(parts)
    assert images.native.dtype == dtype and images.channels == masker.channels_ == order
    np.testing.assert_array_equal(images.native, np.stack(slow))
    # one array of another size is resized, too, and so are tensors
    np.testing.assert_array_equal(masker.wrap(parts[0][None]).native[0], slow[0])
    tensors = [torch.from_numpy(part.copy()) for part in parts]
    np.testing.assert_array_equal(masker.wrap(tensors).native, np.stack(slow))
    whole = masker.wrap(images)
    assert whole is images


def test_numbers_beyond_the_type_are_cut() -> None:
    edges = np.zeros((9, 9), dtype=np.int16)
    edges[:, 5:] = np.iinfo(np.int16).max
    found = ImageMasker(size=(4, 13), resample="lanczos").fit([edges]).wrap([edges]).native
    assert found.min() >= -0.2 * 2**15 and found.max() == np.iinfo(np.int16).max


def test_explanations_show_the_resized_images() -> None:
    pictures = [Image.fromarray(pixels(h, w, 3)) for h, w in ((20, 30), (16, 16), (40, 10))]
    masker = ImageMasker(patch_size=8, size=(16, 16))
    explainer = ExactExplainer("shapley", masker=masker).fit(pictures, brightness)
    explanation, answers = explainer.explain(pictures, 1, return_prediction=True)
    assert explanation.data.shape == (3, 16, 16, 3)
    resized = np.stack([np.asarray(p.resize((16, 16), 2)) for p in pictures])
    np.testing.assert_array_equal(explanation.data, resized)
    np.testing.assert_allclose(answers, brightness(resized))
    np.testing.assert_allclose(
        explanation.values.sum(axis=1) + explanation.base_values, answers[:, 1]
    )


def test_without_a_size_all_images_must_have_one() -> None:
    pictures = [Image.fromarray(pixels(20, 30)), Image.fromarray(pixels(16, 16))]
    with pytest.raises(ValueError, match=r"Image 1 has shape .*ImageMasker\(size=\(224, 224\)\)"):
        ExactExplainer().fit(pictures, brightness)
    explainer = ExactExplainer(masker=ImageMasker(patch_size=8)).fit(pictures[1:], brightness)
    with pytest.raises(ValueError, match=r"ImageMasker\(size=\) resizes all"):
        explainer.explain(pictures[:1])
    mixed = [pictures[0], Image.fromarray(pixels(8, 8, 3))]
    with pytest.raises(ValueError, match="one mode"):
        ImageMasker(size=(8, 8)).fit(mixed)
    with pytest.raises(ValueError, match="palette"):
        ImageMasker(size=(8, 8)).fit([pictures[0].convert("P")])


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"size": 224}, r"size must be a pair.*\(height, width\), got 224"),
        ({"size": (0, 8)}, "size must be a pair"),
        ({"size": (8.0, 8)}, "size must be a pair"),
        ({"size": (8, 8, 3)}, "size must be a pair"),
        ({"size": (8, 8), "resample": "cubic"}, "resample must be one of nearest, box"),
        ({"resample": 2}, "resample must be one of"),
    ],
)
def test_options(options: Any, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        ImageMasker(**options).fit(np.zeros((5, 8, 8)))


def test_sizes_that_differ() -> None:
    grey = [np.zeros((8, 9)), np.zeros((8, 9))]
    assert not sizes_differ(grey) and not sizes_differ(np.stack(grey)) and not sizes_differ([])
    assert sizes_differ([np.zeros((8, 9)), np.zeros((9, 8))])
    assert sizes_differ([torch.zeros(3, 8, 9), torch.zeros(3, 9, 9)])
    assert sizes_differ([Image.new("L", (8, 9)), Image.new("L", (9, 8))])
    assert check_size(np.array([4, 5]), "box") == (4, 5)


def test_segmented_images_are_not_resized() -> None:
    segments = ImageMasker(segments=lambda image: np.zeros((8, 8), dtype=int))
    images = segments.fit(RNG.random((5, 8, 8))).wrap(RNG.random((5, 8, 8)))
    with pytest.raises(ValueError, match="segmented at"):
        ImageMasker(size=(4, 4)).wrap(images)


# -- the model's image processor ---------------------------------------------------------------
def processor(**options: Any) -> Any:
    transformers = pytest.importorskip("transformers")
    size = {"height": 16, "width": 24}
    return transformers.ViTImageProcessor(**({"size": size, "resample": 3} | options))


class Means(nn.Module):
    """Scores from the means of an image's corners."""

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        means = pixel_values[:, :, :8, :8].mean(dim=(1, 2, 3))
        return torch.stack([means, pixel_values.std(dim=(1, 2, 3))], dim=1)


@pytest.mark.parametrize("given", [None, ImageMasker(patch_size=8)])
def test_images_of_several_sizes_take_the_processor_s(given: Any) -> None:
    prepares, model = processor(), Means().eval()
    pictures = [Image.fromarray(pixels(h, w, 3)) for h, w in ((20, 30), (16, 24), (50, 12))]
    explainer = ExactExplainer("shapley", masker=given or ImageMasker(patch_size=8))
    if given is None:
        explainer = FEXExplainer(max_steps=2, n_queries=500, random_state=0)
    explainer.set_params(output="regression")
    explainer.fit(pictures * 4, (model, prepares))
    assert (explainer.masker_.size, explainer.masker_.resample) == ((16, 24), "bicubic")
    # the model sees what it would see of the pictures as they are
    _, answers = explainer.explain(pictures, "all", return_prediction=True)
    with torch.no_grad():
        own = model(prepares(pictures, return_tensors="pt")["pixel_values"])
    np.testing.assert_allclose(answers, own.numpy(), atol=1e-5)
    # the masker that was given is left as it was
    assert given is None or given.size is None


def test_images_of_one_size_stay_for_the_processor_to_resize() -> None:
    X = RNG.integers(0, 256, (8, 20, 30, 3), dtype=np.uint8)
    masker = ImageMasker(patch_size=10)
    explainer = ExactExplainer("shapley", masker=masker, output="regression")
    explanation = explainer.fit(X, (Means().eval(), processor())).explain(X[:2], "all")
    assert explainer.masker_.size is None and explanation.data.shape == (2, 20, 30, 3)


def test_what_a_processor_says_of_sizes() -> None:
    size = SimpleNamespace(height=8, width=9)
    assert size_of_processor(SimpleNamespace(size=size)) == ((8, 9), "bilinear")
    known = {"height": 8, "width": 9}
    assert size_of_processor(SimpleNamespace(size=known, resample=3)) == ((8, 9), "bicubic")
    for silent in (
        SimpleNamespace(size={"shortest_edge": 8}),
        SimpleNamespace(size=known, do_resize=False),
        SimpleNamespace(size=8),
        SimpleNamespace(),
        None,
    ):
        assert size_of_processor(silent) is None


# -- saving ------------------------------------------------------------------------------------
def test_size_and_filter_are_saved(tmp_path: Any) -> None:
    X = [pixels(h, w) for h, w in ((20, 30), (16, 16), (9, 12))] * 4
    masker = ImageMasker(patch_size=8, size=np.array([16, 16]), resample="box").fit(X)
    config, tensors = masker.state()
    again = ImageMasker.from_state(json.loads(json.dumps(config)), tensors)
    assert (again.size, again.resample) == ((16, 16), "box")
    for copy in (again, pickle.loads(pickle.dumps(masker))):
        np.testing.assert_array_equal(copy.wrap(X).native, masker.wrap(X).native)
    explainer = FEXExplainer(masker=masker, max_steps=2, n_queries=500, random_state=0)
    explainer.fit(X, brightness).save(tmp_path / "a")
    loaded = load(tmp_path / "a")
    np.testing.assert_array_equal(
        loaded.explain(X, target=1).values, explainer.explain(X, target=1).values
    )
