"""Corners that users of images and texts have met."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from tiny_models import bert, vit, word_tokenizer
from torch import nn

import fastexplain
from fastexplain import (
    ConceptSetExplainer,
    FEXExplainer,
    ImageMasker,
    RISEExplainer,
    TextMasker,
)
from fastexplain.attribution import minimal_prefixes, minimum_sets
from fastexplain.masked_model import MaskedModel
from fastexplain.networks._grids import channels_first, grid_cells, image_cells, player_states
from fastexplain.predictors import make_predictor

transformers = pytest.importorskip("transformers")

pytestmark = pytest.mark.filterwarnings("ignore:The explainer agrees poorly")

SMALL: dict[str, Any] = {
    "output": "logits",
    "n_queries": 1500,
    "hidden_dim": 16,
    "n_blocks": 0,
    "max_steps": 6,
    "batch_size": 8,
    "random_state": 0,
}


class Net(nn.Module):
    def __init__(self, wraps: str | None = None) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.stem = nn.Conv2d(3, 4, 3, 2, 1)
            self.head = nn.Linear(4, 3)
            nn.init.normal_(self.head.weight, std=2.0)
        self.wraps = wraps

    def forward(self, x: torch.Tensor) -> Any:
        logits = self.head(torch.relu(self.stem(x)).mean(dim=(2, 3)))
        return logits if self.wraps is None else {self.wraps: logits}


def images(n: int = 24, shape: tuple[int, ...] = (3, 8, 8)) -> np.ndarray:
    return np.random.default_rng(0).random((n, *shape)).astype(np.float32)


def test_samples_to_know_a_model_by_are_such_as_its_processor_takes() -> None:
    """A processor that resizes by PIL refuses numbers outside [0, 1]."""
    processor = transformers.ViTImageProcessor(size={"height": 8, "width": 8}, do_rescale=False)
    X = images(24, (3, 10, 10))
    explainer = FEXExplainer(masker=ImageMasker(patch_size=5), **SMALL)
    explainer.fit(X, (vit(), processor))
    made = explainer._reader.fingerprint_samples().native
    assert X.min() <= made.min() and made.max() <= X.max()


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("network", ["unet", "copy"])
def test_networks_are_trained_whatever_the_caller_s_mode(mode: Any, network: str) -> None:
    X, model = images(), Net().eval()
    explainer = FEXExplainer(masker=ImageMasker(patch_size=4), network=network, **SMALL)
    expected = explainer.fit(X, model).explain(X[:3]).values
    with mode():
        found = explainer.fit(X, model).explain(X[:3]).values
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("shape", [(8, 8), (8, 8, 3)])
def test_images_that_the_model_does_not_take(shape: tuple[int, ...]) -> None:
    with pytest.raises(RuntimeError) as caught:
        FEXExplainer(masker=ImageMasker(patch_size=4), **SMALL).fit(images(24, shape), Net())
    assert any("a colour model and grey images" in note for note in caught.value.__notes__)


def test_sets_take_samples_as_users_have_them() -> None:
    X = images(6)
    rise = RISEExplainer(20, masker=ImageMasker(patch_size=4), output="logits", random_state=0)
    masked = rise.fit(X, Net().eval()).masked_model_
    values, target = rise.explain(X).values, rise.explain(X).target
    wrapped = masked.masker.wrap(X)
    for found, again in (
        (minimum_sets(masked, X, target, 0.1), minimum_sets(masked, wrapped, target, 0.1)),
        (
            minimal_prefixes(masked, X, values, target, 0.1),
            minimal_prefixes(masked, wrapped, values, target, 0.1),
        ),
    ):
        np.testing.assert_array_equal(found.masks, again.masks)


@pytest.mark.parametrize("epsilon", ["a", [0.1], None, 0.0, -1, float("nan"), True])
def test_epsilons_that_are_none(epsilon: Any) -> None:
    X = images(6)
    explainer = ConceptSetExplainer(masker=ImageMasker(patch_size=4), **SMALL)
    explainer.fit(X, Net().eval())
    with pytest.raises(ValueError, match="epsilon must be a number above 0"):
        explainer.minimal_sets(X, epsilon=epsilon)


def test_a_copy_needs_a_module_when_it_is_loaded(tmp_path: Any) -> None:
    X, model = images(), Net().eval()
    explainer = FEXExplainer(masker=ImageMasker(patch_size=4), network="copy", **SMALL)
    explainer.fit(X, model).save(tmp_path / "a")

    def function(x: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return model(torch.from_numpy(np.array(x))).softmax(dim=1).numpy()

    with pytest.raises(ValueError, match="Attach the module itself"):
        fastexplain.load(tmp_path / "a", model=function)


def test_answers_that_name_their_logits() -> None:
    X = torch.from_numpy(images(4))
    plain = make_predictor(Net().eval(), X, output="logits")(X)
    assert torch.equal(make_predictor(Net("logits").eval(), X, output="logits")(X), plain)
    with pytest.raises(ValueError, match=r"dict.*keys \['scores'\]"):
        make_predictor(Net("scores").eval(), X)


@pytest.mark.parametrize(
    ("function", "kind"),
    [("sigmoid", "multilabel"), ("softmax", "classification"), ("none", "regression")],
)
def test_what_a_pipeline_makes_of_scores(function: str, kind: str) -> None:
    tokenizer, model = word_tokenizer(), bert(n_labels=2)
    pipe = transformers.pipeline(
        "text-classification", model=model, tokenizer=tokenizer, function_to_apply=function
    )
    texts = ["good film", "bad film"]
    masker = TextMasker(tokenizer).fit(texts)
    samples = masker.wrap(texts)
    predictor = make_predictor(pipe, masker.whole(samples, make_stub(model)))
    assert predictor.kind == kind
    found = MaskedModel(predictor, masker).outputs(samples).numpy()
    for row, scores in zip(found, pipe(texts, top_k=None), strict=True):
        by_label = {score["label"]: score["score"] for score in scores}
        expected = [by_label[f"LABEL_{k}"] for k in range(2)]
        np.testing.assert_allclose(row, expected, atol=1e-5)


def test_texts_longer_than_the_model_whose_tokenizer_sets_no_limit() -> None:
    tokenizer, model = word_tokenizer(), bert(positions=24)
    tokenizer.model_max_length = int(1e30)
    texts = ["good film"] * 10 + ["bad film " * 30]
    with pytest.raises(ValueError, match=r"62 tokens.*24 positions.*max_length="):
        FEXExplainer(masker=TextMasker(tokenizer), **SMALL).fit(texts, (model, tokenizer))
    masker = TextMasker(tokenizer, max_length=24)
    with pytest.warns(UserWarning, match="cut"):
        FEXExplainer(masker=masker, **SMALL).fit(texts, (model, tokenizer))


def make_stub(module: Any) -> Any:
    """What a masker needs to know of a model of tokens."""
    from types import SimpleNamespace

    return SimpleNamespace(
        torch_module=True, takes="tokens", device=None, dtype=None, module=module
    )


class Windows(Net):
    """A layer of it has windows where images should be."""

    def __init__(self) -> None:
        super().__init__()
        self.windows = nn.Identity()

    def forward(self, x: torch.Tensor) -> Any:
        self.windows(x.repeat(4, 1, 1, 1))
        return super().forward(x)


@pytest.mark.parametrize("network", ["copy", "hidden"])
def test_modules_that_cannot_be_listened_to(network: str) -> None:
    X = images()
    scripted = torch.jit.trace(Net().eval(), torch.from_numpy(X[:2]))
    explainer = FEXExplainer(masker=ImageMasker(patch_size=4), network=network, **SMALL)
    with pytest.raises(ValueError, match="scripted module"):
        explainer.fit(X, scripted)


def test_layers_that_answer_for_windows() -> None:
    explainer = FEXExplainer(masker=ImageMasker(patch_size=4), network=["windows"], **SMALL)
    with pytest.raises(ValueError, match="first axis must be theirs"):
        explainer.fit(images(), Windows().eval())


class ChannelsLast(Net):
    """The same states with channels first and last."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Identity(), nn.Identity()

    def forward(self, x: torch.Tensor) -> Any:
        states = self.first(torch.relu(self.stem(x)))
        return self.head(self.last(states.movedim(1, 3)).mean(dim=(1, 2)))


@pytest.mark.parametrize("shape", [(3, 12, 12), (3, 12, 24)])
@pytest.mark.parametrize("copies", [False, True])
def test_layers_with_channels_last_are_read_as_with_channels_first(
    shape: tuple[int, ...], copies: bool
) -> None:
    X, read = images(24, shape), []
    for layer in ("first", "last"):
        explainer = FEXExplainer(masker=ImageMasker(patch_size=4), network=[layer], **SMALL)
        explainer.fit(X, ChannelsLast().eval())
        samples = explainer.masker_.wrap(X)
        if copies:
            states = explainer._masked.hidden(samples, [layer])[1]
            labels = torch.from_numpy(explainer.masker_.labels(samples))[None]
            read.append(player_states([image_cells(states[0], labels, None, labels.max() + 1)]))
        else:
            read.append(explainer._encode(samples)["x"])
    assert read[0].shape[2] == 4 + 1
    torch.testing.assert_close(read[0], read[1])


def test_channels_that_could_be_either_are_taken_to_come_first() -> None:
    for shape in [(2, 4, 4, 4), (2, 4, 4, 5), (2, 3, 5, 7), (2, 6, 4, 4)]:
        state = torch.zeros(shape)
        assert channels_first(state, (32, 32)).shape == shape
    assert channels_first(torch.zeros(2, 4, 6, 40), (33, 50)).shape == (2, 40, 4, 6)
    # given as squares
    assert channels_first(torch.zeros(2, 7, 7, 96), (30, 90)).shape == (2, 96, 7, 7)


def test_models_that_tell_their_grid_are_believed() -> None:
    """Images that a processor squashes to a square, and tokens that are registers."""
    assert grid_cells(torch.zeros(1, 50, 4), (40, 80), (7, 7))[2] == (7, 7)
    assert grid_cells(torch.zeros(1, 325, 4), (224, 280), (16, 20))[2] == (16, 20)
    # a grid that cannot be, as of a hierarchical model's first patches
    assert grid_cells(torch.zeros(1, 49, 4), (224, 224), (56, 56))[2] == (7, 7)
    processor = transformers.ViTImageProcessor(size={"height": 8, "width": 8})
    X = (255 * images(24, (8, 16, 3))).astype(np.uint8)
    for network in ("hidden", "copy"):
        explainer = FEXExplainer(masker=ImageMasker(patch_size=4), network=network, **SMALL)
        explainer.fit(X, (vit(), processor))
        assert explainer._reader.tokens == (2, 2)
