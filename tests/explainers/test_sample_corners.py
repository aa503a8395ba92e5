"""Corners that users of images and texts have met."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
import torch
from tiny_models import bert, vit, word_tokenizer
from torch import nn

import fastexplain
from fastexplain import (
    ConceptSetExplainer,
    ExactExplainer,
    FastSHAPExplainer,
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
tokenizers = pytest.importorskip("tokenizers")

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
    # one part with a row for each sample needs no name
    assert torch.equal(make_predictor(Net("scores").eval(), X, output="logits")(X), plain)


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


def superpixels(image: np.ndarray) -> np.ndarray:
    """As many as the image is bright: another number of each, and of most of its copies."""
    bins = 2 + int(6 * float(np.mean(image)))
    return (np.arange(image.shape[1]) * bins // image.shape[1])[None].repeat(image.shape[0], 0)


@pytest.mark.parametrize("cls", [FEXExplainer, ConceptSetExplainer, FastSHAPExplainer])
def test_copies_keep_the_superpixels_of_their_images(cls: Any) -> None:
    X = images() * np.linspace(0.5, 1.5, 24, dtype=np.float32)[:, None, None, None]
    calls = [0]

    def counted(image: np.ndarray) -> np.ndarray:
        calls[0] += 1
        return superpixels(image)

    masker = ImageMasker(segments=counted, fill="mean")
    explainer = cls(masker=masker, **SMALL | {"n_queries": 20_000})
    explainer.fit(X, Net().eval())
    # those of fit, and no copy's
    assert calls[0] <= 2 * len(X)
    own = explainer.masker_.wrap(X)
    mixed = explainer._reader.mix(own, 40, np.random.default_rng(0))
    assert len(mixed) > len(X)
    known = {
        image.tobytes(): labels for image, labels in zip(own.native, own.segments, strict=True)
    }
    for image, labels in zip(mixed.native, mixed.segments, strict=True):
        if image.tobytes() in known:
            np.testing.assert_array_equal(labels, known[image.tobytes()])
    assert sum(image.tobytes() in known for image in mixed.native) >= len(X)
    assert mixed.segments.max() < explainer.masker_.n_players


@pytest.mark.parametrize("cls", [RISEExplainer, ExactExplainer])
@pytest.mark.parametrize("kind", ["images", "texts"])
def test_per_sample_explainers_take_their_model_again(cls: Any, kind: str) -> None:
    if kind == "images":
        X: Any = images(6)
        explainer = cls(masker=ImageMasker(patch_size=4), output="logits")
        model: Any = Net().eval()
    else:
        X, model = ["the film was good", "a bad book"] * 3, (bert(), word_tokenizer())
        explainer = cls(masker=TextMasker(unit="word"))
    explainer.set_params(**({"random_state": 0} if cls is RISEExplainer else {}))
    explainer.fit(X, model)
    again = pickle.loads(pickle.dumps(explainer)).attach_model(model)
    np.testing.assert_array_equal(again.explain(X).values, explainer.explain(X).values)


@pytest.mark.parametrize("cls", [RISEExplainer, ExactExplainer])
def test_per_sample_explainers_tell_of_a_model_that_ignores_its_input(cls: Any) -> None:
    def constant(X: np.ndarray) -> np.ndarray:
        return np.tile([0.7, 0.1, 0.2], (len(X), 1))

    with pytest.warns(UserWarning, match="Removing all features changes no output") as caught:
        cls(masker=ImageMasker(patch_size=4)).fit(images(6), constant)
    assert caught[0].filename == __file__


@pytest.mark.filterwarnings("error:Removing all features")
@pytest.mark.parametrize("cls", [RISEExplainer, ExactExplainer])
def test_rows_that_are_the_baseline_say_nothing_of_the_model(cls: Any) -> None:
    explainer = cls().fit(np.zeros((3, 4)), lambda X: X.sum(axis=1))
    assert np.abs(explainer.explain(np.ones((1, 4)), target="all").values).max() > 0


def test_models_that_answer_blank_images_in_doubt_are_read_as_at_fit() -> None:
    net = Net().eval()
    with torch.no_grad():
        net.stem.bias.zero_()
        net.head.bias.zero_()  # all logits of black are 0
    X = images(12)
    explainer = RISEExplainer(8, masker=ImageMasker(patch_size=4), random_state=0).fit(X, net)
    assert explainer.output_ == "logits"
    again = pickle.loads(pickle.dumps(explainer)).attach_model(net)
    np.testing.assert_array_equal(again.explain(X).values, explainer.explain(X).values)


def test_pipelines_tell_how_long_texts_may_be() -> None:
    tokenizer, model = word_tokenizer(), bert(n_labels=2)
    options = {"model": model, "tokenizer": tokenizer, "truncation": True, "max_length": 6}
    pipe = transformers.pipeline("text-classification", **options)
    texts = ["the film was good", "a bad book", "the film was very very good and fine and dull"]
    for masker in (None, TextMasker(unit="token")):
        rise = RISEExplainer(8, masker=masker, random_state=0)
        with pytest.warns(UserWarning, match="1 of 3 texts have more than 6 tokens"):
            rise.fit(texts, pipe)
            _, chances = rise.explain(texts, return_prediction=True)
        assert rise.masker_.max_length == 6
        scores = [answer["score"] for answer in pipe(texts)]
        np.testing.assert_allclose(chances.max(axis=1), scores, atol=1e-6)
    # what the user says goes first
    rise = RISEExplainer(8, masker=TextMasker(max_length=9), random_state=0)
    assert rise.fit(texts[:2], pipe).masker_.max_length == 9


def test_names_of_several_outputs_are_refused_as_targets() -> None:
    model = bert(n_labels=3)
    model.config.id2label = {0: "a", 1: "b", 2: "a"}
    explainer = RISEExplainer(8, masker=TextMasker(unit="word"), random_state=0)
    explainer.fit(["the film was good", "a bad book"], (model, word_tokenizer()))
    with pytest.raises(ValueError, match=r"target 'a' names the outputs \[0, 2\]"):
        explainer.explain(["the film"], target="a")
    assert explainer.explain(["the film"], target="b").target.tolist() == [1]
    assert explainer.explain(["the film"], target=2).target.tolist() == [2]
    with pytest.raises(ValueError, match="among the model's outputs .*'b'"):
        explainer.explain(["the film"], target="c")


@pytest.mark.parametrize("wrong", ["word", TextMasker, 3])
def test_what_is_no_masker(wrong: Any) -> None:
    with pytest.raises(TypeError, match="masker must be a TabularMasker, an ImageMasker or"):
        RISEExplainer(8, masker=wrong).fit(["the film was good"], (bert(), word_tokenizer()))


def test_texts_without_a_token_left_are_alike_on_both_sides() -> None:
    """With padding at the left the single padding token stands at the first place, too."""
    answers = []
    for side in ("right", "left"):
        tokenizer = word_tokenizer()
        tokenizer.padding_side = side
        tokenizer.backend_tokenizer.post_processor = tokenizers.processors.TemplateProcessing(
            single="$A", special_tokens=[]
        )
        masker = TextMasker(tokenizer, unit="word", fill="pad").fit(["the film was good"])
        predictor = make_predictor(bert(), ragged_batch(masker))
        masked = MaskedModel(predictor, masker)
        texts = masker.wrap(["the film was good", "a bad book"])
        inputs = masker.inputs(texts, predictor)(np.zeros((1, 1, 4), dtype=bool), slice(0, 2))
        answers.append(masked.values(texts, np.zeros((2, 1, 4), dtype=bool)))
        left = inputs.start is not None
        assert inputs.attention.sum(dim=1).tolist() == [1, 1]
        if left:
            assert inputs.start.tolist() == [inputs.shape[1] - 1] * 2
    torch.testing.assert_close(answers[0], answers[1])


def ragged_batch(masker: Any) -> Any:
    from fastexplain.readers._forms import Form

    return masker.whole(masker.wrap(["the film was good", "a bad"]), Form(True, "tokens"))


def test_what_is_no_list_of_samples() -> None:
    pil = pytest.importorskip("PIL.Image")
    picture = pil.fromarray(np.zeros((8, 8, 3), dtype=np.uint8))
    with pytest.raises((TypeError, ValueError), match=r"\[image\]"):
        RISEExplainer(4).fit(picture, Net().eval())
    with pytest.raises(TypeError, match="bytes"):
        RISEExplainer(4).fit([b"the film", b"was good"], lambda texts: np.ones(len(texts)))


class ByteTokenizer:
    """The least of a slow tokenizer whose tokens are bytes, as ByT5's are."""

    is_fast = False
    pad_token_id, mask_token_id, unk_token = 0, 1, None

    def __call__(self, texts: Any, **options: Any) -> dict[str, Any]:
        ids = [[b + 3 for b in text.encode()] for text in texts]
        return {"input_ids": ids, "special_tokens_mask": [[0] * len(own) for own in ids]}

    def convert_ids_to_tokens(self, ids: list[int]) -> list[str]:
        return [chr(i - 3) for i in ids]

    def convert_tokens_to_string(self, tokens: list[str]) -> str:
        return bytes(ord(token) for token in tokens).decode(errors="ignore")

    def get_vocab(self) -> dict[str, int]:
        return {chr(i): i + 3 for i in range(256)}


@pytest.mark.parametrize("text", ["café au lait", "naïve €5", "“quoted” 👍 ok", "日本語", "plain"])
def test_tokenizers_of_bytes(text: str) -> None:
    # each Han character is a word
    words = [*text] if text == "日本語" else text.split()
    for unit, expected in (("token", [c for c in text if c != " "]), ("word", words)):
        masker = TextMasker(ByteTokenizer(), unit=unit, fill="pad").fit([text])
        found = [token for token in masker.wrap([text]).tokens(0) if token]
        assert found == expected
