"""Explainers of images and texts: what they promise, whatever the model."""

from __future__ import annotations

import pickle
import random
import warnings
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from tiny_models import WORDS, bert, vit, word_tokenizer
from torch import nn

import fastexplain
from fastexplain import (
    ConceptSetExplainer,
    CoRTXExplainer,
    ExactExplainer,
    Explanation,
    FastSHAPExplainer,
    FEXExplainer,
    ImageMasker,
    L2XExplainer,
    RISEExplainer,
    SupervisedExplainer,
    TextMasker,
)
from fastexplain.attribution import attribution_targets, minimum_sets
from fastexplain.layouts import ImageLayout, TextLayout

transformers = pytest.importorskip("transformers")
tokenizers = pytest.importorskip("tokenizers")

pytestmark = pytest.mark.filterwarnings("ignore:The explainer agrees poorly")

SMALL: dict[str, Any] = {
    "n_queries": 3000,
    "hidden_dim": 16,
    "n_blocks": 1,
    "max_steps": 8,
    "batch_size": 16,
    "random_state": 0,
}
KINDS: dict[str, Any] = {
    "FEX": lambda **k: FEXExplainer(**(SMALL | {"n_masks": 16} | k)),
    "FEX ppo": lambda **k: FEXExplainer("ppo", **(SMALL | k)),
    "concepts": lambda **k: ConceptSetExplainer(**(SMALL | k)),
    "FastSHAP": lambda **k: FastSHAPExplainer(**(SMALL | {"n_masks": 8} | k)),
    "supervised": lambda **k: SupervisedExplainer(**(SMALL | {"label_source": "kernel"} | k)),
    "CoRTX": lambda **k: CoRTXExplainer(
        **(SMALL | {"label_source": "permutation", "n_positives": 3, "contrastive_steps": 3} | k)
    ),
    "ranking": lambda **k: SupervisedExplainer(task="ranking", **(SMALL | k)),
    "exact": lambda **k: ExactExplainer(**k),
    "Shapley": lambda **k: ExactExplainer("shapley", **k),
    "RISE": lambda **k: RISEExplainer(60, random_state=0, **k),
}
LEARNED = ["FEX", "FEX ppo", "concepts", "FastSHAP", "supervised", "CoRTX", "ranking"]
ADDITIVE = ["FastSHAP", "supervised", "CoRTX", "Shapley"]


# -- models ----------------------------------------------------------------------------------
class Conv(nn.Module):
    def __init__(self, channels: int = 3, n_out: int = 3, seed: int = 0) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.stem = nn.Conv2d(channels, 6, 3, 2, 1)
            self.drop = nn.Dropout(0.5)
            self.head = nn.Linear(6 * 16, n_out)
            nn.init.normal_(self.head.weight, std=0.4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x[:, None] if x.ndim == 3 else x
        return self.head(self.drop(torch.relu(self.stem(x)).flatten(1)))


class Flat(nn.Module):
    """No layer of it knows of places."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(192, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(x.flatten(1))


def images(n: int = 40, seed: int = 0, shape: tuple[int, ...] = (3, 8, 8)) -> np.ndarray:
    rng = np.random.default_rng(seed)
    coarse = rng.normal(size=(n, *shape[:-2], 2, 2)).repeat(4, -1).repeat(4, -2)
    return (coarse + 0.3 * rng.normal(size=(n, *shape))).astype(np.float32)


def sentences(n: int = 40, seed: int = 0, longest: int = 6) -> list[str]:
    rng = np.random.default_rng(seed)
    made = [" ".join(rng.choice(WORDS, size=rng.integers(1, longest + 1))) for _ in range(n)]
    made[0], made[3] = " ".join(rng.choice(WORDS, size=longest)), ""
    return made


def brightness(pixels: np.ndarray) -> np.ndarray:
    """Two classes of bytes (n, H, W, 3)."""
    level = pixels.astype(float).mean(axis=3) / 255
    score = 1 / (1 + np.exp(6 * level[:, 4:, :4].mean(axis=(1, 2)) - 8 * level[:, :4].mean((1, 2))))
    return np.column_stack([1 - score, score])


@lru_cache
def case(name: str) -> SimpleNamespace:
    """Samples, a model, a masker and names of its outputs."""
    masker: Any = ImageMasker(4)
    if name == "conv":
        return SimpleNamespace(X=images(), model=Conv().eval(), masker=masker, names=list("012"))
    if name == "function":
        X = np.random.default_rng(1).integers(0, 256, size=(40, 8, 8, 3)).astype(np.uint8)
        X[5, 4:, 4:] = 0
        return SimpleNamespace(X=X, model=brightness, masker=masker, names=["0", "1"])
    if name == "ViT":
        names = [f"LABEL_{k}" for k in range(3)]
        return SimpleNamespace(X=images(), model=vit(), masker=masker, names=names)
    X = sentences()
    if name == "BERT":
        names = [f"LABEL_{k}" for k in range(3)]
        return SimpleNamespace(X=X, model=(bert(), word_tokenizer()), masker=None, names=names)
    labels = ["yes" if "good" in text or "fine" in text else "no" for text in X]
    model = make_pipeline(TfidfVectorizer(token_pattern=r"\w+"), LogisticRegression(C=50.0))
    return SimpleNamespace(X=X, model=model.fit(X, labels), masker=None, names=["no", "yes"])


CASES = ["conv", "function", "ViT", "BERT", "TF-IDF"]
IMAGES, TEXTS = CASES[:3], CASES[3:]


@lru_cache
def fitted(kind: str, name: str) -> Any:
    """An explainer that tests must not change."""
    one = case(name)
    return KINDS[kind](masker=one.masker).fit(one.X, one.model)


def outputs_of(explainer: Any, X: Any) -> np.ndarray:
    masked = explainer._masked
    return masked.outputs(explainer.masker_.wrap(X)).cpu().double().numpy()


def taken(X: Any, rows: Any) -> Any:
    return [X[i] for i in rows] if isinstance(X, list) else X[np.asarray(rows)]


# -- contracts of explain ----------------------------------------------------------------------
@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("kind", KINDS)
def test_shapes_and_what_an_explanation_holds(kind: str, name: str) -> None:
    explainer, one = fitted(kind, name), case(name)
    X = taken(one.X, range(7))
    n_players, n_out = (4 if name in IMAGES else 6), len(one.names)
    assert explainer.masker_.n_players == explainer.n_features_in_ == n_players
    assert explainer.base_values_.shape == (n_out,)
    everything = explainer.explain(X, "all")
    assert isinstance(everything, Explanation)
    assert everything.values.shape == (7, n_players, n_out)
    assert everything.base_values.shape == (7, n_out)
    assert everything.output_names == explainer.output_names_
    assert np.isfinite(everything.values).all()
    assert everything.feature_names == explainer.masker_.feature_names_
    predicted = explainer.explain(X)
    chosen = outputs_of(explainer, X).argmax(axis=1)
    assert predicted.values.shape == (7, n_players)
    np.testing.assert_array_equal(predicted.target, chosen)
    rows = np.arange(7)
    np.testing.assert_allclose(predicted.values, everything.values[rows, :, chosen], atol=1e-6)
    label = explainer.classes_[1]
    second = explainer.explain(X, label)
    np.testing.assert_allclose(second.values, everything.values[:, :, 1], atol=1e-6)
    each = explainer.explain(X, explainer.classes_[chosen])
    np.testing.assert_allclose(each.values, predicted.values, atol=1e-6)
    if name in IMAGES:
        assert isinstance(everything.layout, ImageLayout)
        np.testing.assert_array_equal(everything.data, X)
        assert everything.layout.segments.shape == (8, 8)
    else:
        assert isinstance(everything.layout, TextLayout)
        assert everything.data[:, 0].tolist() == X
        shown = everything.display_data[0].tolist()
        assert [word for word in shown if word] == X[0].split()
        spans = everything.layout.spans[2]
        assert [X[2][a:b] for a, b in spans] == X[2].split()
    if kind == "concepts" or kind.startswith("FEX") or kind in ("exact", "RISE"):
        assert (everything.values >= 0).all() and (everything.values <= 1).all()
        assert not everything.additive
    assert explainer.transform(X).shape == (7, n_players * n_out)
    np.testing.assert_allclose(
        explainer.transform(X).reshape(7, n_out, n_players).transpose(0, 2, 1),
        everything.values,
        atol=1e-6,
    )
    assert len(explainer.get_feature_names_out()) == n_players * n_out


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("kind", KINDS)
def test_explain_depends_on_the_sample_alone(kind: str, name: str) -> None:
    explainer, X = fitted(kind, name), case(name).X
    whole = explainer.explain(X, "all")
    order = np.random.default_rng(0).permutation(40)
    again = explainer.explain(taken(X, order), "all")
    # a network's float32 depends on the batch in its last digits, and ranks of equal scores may
    close = {"atol": 2e-5} if kind != "ranking" else {"atol": 0.0}
    np.testing.assert_allclose(again.values, whole.values[order], **close)
    np.testing.assert_allclose(again.base_values, whole.base_values[order], atol=1e-6)
    for rows in ([2], [7], range(10, 17)):
        part = explainer.explain(taken(X, rows), "all")
        np.testing.assert_allclose(part.values, whole.values[list(rows)], **close)
    np.testing.assert_array_equal(explainer.explain(X, "all").values, whole.values)


@pytest.mark.parametrize("name", ["conv", "BERT", "TF-IDF"])
@pytest.mark.parametrize("kind", LEARNED)
def test_explain_in_small_batches(kind: str, name: str) -> None:
    explainer, X = fitted(kind, name), case(name).X
    copy = pickle.loads(pickle.dumps(explainer)).attach_model(case(name).model)
    copy._reader.call_samples = 3
    found, whole = copy.explain(X, "all"), explainer.explain(X, "all")
    np.testing.assert_allclose(found.values, whole.values, atol=2e-5)
    np.testing.assert_allclose(copy.transform(X), explainer.transform(X), atol=2e-5)


@pytest.mark.parametrize("name", ["conv", "BERT", "TF-IDF"])
@pytest.mark.parametrize("kind", ["FEX", "concepts", "FastSHAP", "CoRTX", "Shapley", "RISE"])
def test_threads_share_one_explainer(kind: str, name: str) -> None:
    explainer, X = fitted(kind, name), case(name).X
    parts = [taken(X, range(i, i + 4)) for i in range(0, 36, 4)]
    alone = [explainer.explain(part).values for part in parts]
    with ThreadPoolExecutor(4, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        together = list(pool.map(lambda part: explainer.explain(part).values, parts))
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("kind", KINDS)
def test_predictions_come_with_the_explanation(kind: str, name: str) -> None:
    explainer, X = fitted(kind, name), taken(case(name).X, range(5))
    for target in ("predicted", "all", explainer.classes_[0]):
        explanation, outputs = explainer.explain(X, target, return_prediction=True)
        np.testing.assert_allclose(outputs, outputs_of(explainer, X), atol=1e-6)
        plain = explainer.explain(X, target)
        np.testing.assert_allclose(explanation.values, plain.values, atol=1e-6)


# -- randomness ------------------------------------------------------------------------------
def _global_states() -> Any:
    return random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()


@pytest.mark.parametrize("name", ["TF-IDF"])
@pytest.mark.parametrize("kind", KINDS)
def test_random_state_decides_and_global_generators_are_left_alone(kind: str, name: str) -> None:
    one = case(name)
    torch.manual_seed(5)
    before = _global_states()
    explainer = clone(fitted(kind, name)).fit(one.X, one.model)
    found = explainer.explain(one.X, "all").values
    assert _global_states() == before
    np.testing.assert_array_equal(found, fitted(kind, name).explain(one.X, "all").values)
    if kind not in ("exact", "Shapley"):
        other = clone(explainer).set_params(random_state=1).fit(one.X, one.model)
        assert not np.allclose(other.explain(one.X, "all").values, found)


def test_fit_changes_no_parameter_and_not_the_masker() -> None:
    one = case("conv")
    masker = ImageMasker(4)
    explainer = KINDS["concepts"](masker=masker)
    before = explainer.get_params()
    explainer.fit(one.X, one.model)
    assert explainer.get_params() == before
    assert vars(masker) == vars(ImageMasker(4))
    assert explainer.masker_ is not masker


# -- state -----------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["conv", "BERT", "TF-IDF"])
@pytest.mark.parametrize("kind", KINDS)
def test_pickles(kind: str, name: str) -> None:
    explainer, X = fitted(kind, name), case(name).X
    copy = pickle.loads(pickle.dumps(explainer))
    label = explainer.classes_[1]
    found, expected = copy.explain(X, label), explainer.explain(X, label)
    np.testing.assert_allclose(found.values, expected.values, atol=1e-6)
    if not explainer._pickles_model:
        with pytest.raises(ValueError, match="attach_model"):
            copy.explain(X)
        copy.attach_model(case(name).model)
    np.testing.assert_allclose(copy.explain(X).values, explainer.explain(X).values, atol=1e-6)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("kind", LEARNED)
@pytest.mark.filterwarnings("error:The attached model")
def test_save_load_and_attach(kind: str, name: str, tmp_path: Any) -> None:
    explainer, one = fitted(kind, name), case(name)
    explainer.save(tmp_path / "it")
    loaded = fastexplain.load(tmp_path / "it")
    assert type(loaded) is type(explainer)
    assert loaded.output_names_ == explainer.output_names_
    assert loaded.masker_.feature_names_ == explainer.masker_.feature_names_
    skip = ("masker",)
    for key, value in explainer.get_params().items():
        assert key in skip or loaded.get_params()[key] == value
    label = explainer.classes_[1]
    if not getattr(explainer, "_adds_up", bool)():
        # the mean stands in for what is left of each sample without its features
        found, expected = (e.explain(one.X, label) for e in (loaded, explainer))
        np.testing.assert_allclose(found.values, expected.values, atol=1e-6)
    loaded = fastexplain.load(tmp_path / "it", model=one.model)
    found, expected = (e.explain(one.X) for e in (loaded, explainer))
    np.testing.assert_allclose(found.values, expected.values, atol=1e-6)
    np.testing.assert_allclose(found.base_values, expected.base_values, atol=1e-6)
    # and once more from what was loaded, and fitted anew
    loaded.save(tmp_path / "again")
    assert clone(loaded).get_params(deep=False).keys() == explainer.get_params().keys()


@pytest.mark.parametrize(
    ("name", "other"),
    [("conv", lambda: Conv(seed=1).eval()), ("BERT", lambda: (bert(1), word_tokenizer()))],
)
@pytest.mark.parametrize("kind", ["FEX", "concepts", "supervised"])
def test_another_model_is_noticed(kind: str, name: str, other: Any) -> None:
    copy = pickle.loads(pickle.dumps(fitted(kind, name)))
    with pytest.warns(UserWarning, match="not the one that was explained"):
        copy.attach_model(other())
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="The attached model")
        copy.attach_model(case(name).model)


@pytest.mark.parametrize("kind", ["FEX", "concepts", "FastSHAP"])
def test_refit_on_other_data_starts_afresh(kind: str) -> None:
    X = np.random.default_rng(0).normal(size=(30, 3))
    table = KINDS[kind]().fit(X, lambda a: 1 / (1 + np.exp(-a.sum(axis=1))))
    text = case("TF-IDF")
    table.fit(text.X, text.model)
    fresh = KINDS[kind]().fit(text.X, text.model)
    assert set(vars(table)) == set(vars(fresh))
    np.testing.assert_array_equal(
        table.explain(text.X, "all").values, fresh.explain(text.X, "all").values
    )


def test_refit_of_methods_that_learn_nothing_forgets_columns() -> None:
    import pandas as pd

    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(20, 2)), columns=["a", "b"])
    explainer = RISEExplainer(10).fit(frame, lambda a: 1 / (1 + np.exp(-a.sum(axis=1))))
    text = case("TF-IDF")
    explainer.fit(text.X, text.model)
    assert not hasattr(explainer, "feature_names_in_")
    assert len(explainer.get_feature_names_out()) == 12


@pytest.mark.parametrize("name", ["conv", "BERT"])
@pytest.mark.parametrize("kind", ["FEX", "concepts", "CoRTX", "hidden"])
def test_the_model_is_left_as_it_was(kind: str, name: str) -> None:
    one = case(name)
    module: Any = Conv() if name == "conv" else bert()
    module.train()
    for part in list(module.modules())[2:4]:
        part.eval()
    parameters = list(module.parameters())
    parameters[-1].grad = torch.ones_like(parameters[-1])
    parameters[0].requires_grad_(False)
    weights = {k: v.clone() for k, v in module.state_dict().items()}
    modes = [part.training for part in module.modules()]
    grads = [parameter.requires_grad for parameter in parameters]
    model = module if name == "conv" else (module, word_tokenizer())
    network: Any = ["stem"] if name == "conv" else "hidden"
    made = KINDS["concepts"](masker=one.masker, network=network, output="logits")
    made = made if kind == "hidden" else KINDS[kind](masker=one.masker, output="logits")
    made.fit(one.X, model).explain(one.X)
    assert [part.training for part in module.modules()] == modes
    assert [parameter.requires_grad for parameter in parameters] == grads
    assert (parameters[-1].grad == 1).all() and parameters[0].grad is None
    for key, tensor in module.state_dict().items():
        torch.testing.assert_close(tensor, weights[key], rtol=0, atol=0)
    for part in module.modules():
        assert not part._forward_hooks and not part._forward_pre_hooks


def test_samples_are_left_as_they_were() -> None:
    one = case("function")
    X = one.X.copy()
    X.setflags(write=False)

    def greedy(pixels: np.ndarray) -> np.ndarray:
        out = brightness(pixels)
        pixels[:] = 0
        return out

    for kind in ("FEX", "concepts", "FastSHAP", "Shapley"):
        explainer = KINDS[kind](masker=ImageMasker(4)).fit(X, greedy)
        expected = fitted(kind, "function").explain(one.X).values
        np.testing.assert_array_equal(explainer.explain(X).values, expected)
    np.testing.assert_array_equal(X, one.X)


# -- values ----------------------------------------------------------------------------------
@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("kind", ADDITIVE)
def test_shapley_values_add_up_for_each_sample(kind: str, name: str) -> None:
    explainer, X = fitted(kind, name), case(name).X
    explanation = explainer.explain(X, "all")
    assert explanation.additive
    full = outputs_of(explainer, X)
    samples = explainer.masker_.wrap(X)
    empty = explainer._masked.empty_values(samples).cpu().double().numpy()
    np.testing.assert_allclose(explanation.base_values, empty, atol=1e-5)
    there = (~explainer.masker_.null_players(samples)).any(axis=1)
    total = explanation.base_values + explanation.values.sum(axis=1)
    np.testing.assert_allclose(total[there], full[there], atol=1e-5)
    if name in TEXTS:
        assert np.ptp(empty, axis=0).max() > 1e-3 or name == "TF-IDF"


@pytest.mark.parametrize("name", ["function", "BERT", "TF-IDF"])
@pytest.mark.parametrize("kind", KINDS)
def test_null_players_have_no_effect(kind: str, name: str) -> None:
    explainer, X = fitted(kind, name), case(name).X
    null = explainer.masker_.null_players(explainer.masker_.wrap(X))
    assert null.any() and not null.all()
    explanation = explainer.explain(X, "all")
    if kind == "ranking":
        return
    neutral = explanation.neutral_values
    neutral = np.zeros((40, len(case(name).names))) if neutral is None else neutral
    for i, j in zip(*np.nonzero(null), strict=True):
        np.testing.assert_array_equal(explanation.values[i, j], neutral[i])


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("kind", [k for k in KINDS if k != "ranking"])
def test_texts_longer_than_those_of_fit_and_empty_ones(kind: str, name: str) -> None:
    explainer = fitted(kind, name)
    texts = ["good", "a very good film but so dull and bad", "", "not fine", "a film was bad so it"]
    whole = explainer.explain(texts, "all")
    assert whole.values.shape[:2] == (5, 9)
    assert whole.feature_names == [f"token {j}" for j in range(9)]
    assert np.isfinite(whole.values).all()
    for i, text in enumerate(texts):
        alone = explainer.explain([text, "bad film"], "all")
        width = alone.values.shape[1]
        np.testing.assert_allclose(alone.values[0], whole.values[i, :width], atol=2e-5)
        np.testing.assert_allclose(alone.base_values[0], whole.base_values[i], atol=1e-6)
    neutral = whole.neutral_values
    neutral = np.zeros_like(whole.base_values) if neutral is None else neutral
    for i, text in enumerate(texts):
        for j in range(len(text.split()), 9):
            np.testing.assert_array_equal(whole.values[i, j], neutral[i])
    with pytest.raises(ValueError, match="9 features, and columns were made for 6"):
        explainer.transform(texts)
    assert np.isfinite(explainer.score(texts[:2]))
    assert whole[1].layout.spans[0].shape == (9, 2)


@pytest.mark.parametrize("kind", ["FEX", "concepts"])
def test_short_texts_in_batches_of_their_own(kind: str) -> None:
    # batches differ in how many features their longest text has
    explainer = fitted(kind, "TF-IDF")
    copy = pickle.loads(pickle.dumps(explainer)).attach_model(case("TF-IDF").model)
    texts = ["good", "bad", "fine film", "a very good film but so dull and bad"]
    whole = explainer.explain(texts, "all")
    copy._reader.call_samples = 1
    found = copy.explain(texts, "all")
    np.testing.assert_allclose(found.values, whole.values, atol=1e-5)
    # without neutral values, those of no effect are 0
    neutral = np.zeros(2) if found.neutral_values is None else found.neutral_values[0]
    np.testing.assert_array_equal(found.values[0, 1:], neutral[None].repeat(8, 0))


def test_ranks_of_longer_texts_are_refused() -> None:
    explainer = fitted("ranking", "TF-IDF")
    with pytest.raises(ValueError, match="has 9 features, and task='ranking' has learned"):
        explainer.explain(["a very good film but so dull and bad"], "yes")


def test_exact_attributions_of_a_text_do_not_depend_on_longer_ones() -> None:
    for kind in ("normalized", "empirical", "shapley"):
        one = case("TF-IDF")
        short = ExactExplainer(kind).fit(["good film", "bad"], one.model)
        long = ExactExplainer(kind).fit(one.X, one.model)
        texts = ["good film", "bad", "fine"]
        np.testing.assert_allclose(
            short.explain(texts, "all").values,
            long.explain(texts, "all").values[:, :2],
            atol=1e-12,
        )


def test_what_fex_learns_from_is_what_exact_finds() -> None:
    explainer, X = fitted("exact", "TF-IDF"), case("TF-IDF").X
    for texts in (X, X[1:4]):
        samples = explainer.masker_.wrap(texts)
        rng = np.random.default_rng(0)
        targets = attribution_targets(explainer._masked, samples, 64, rng)
        expected = explainer.explain(texts, "all")
        np.testing.assert_allclose(targets.mean.transpose(1, 2), expected.values, atol=1e-6)
        np.testing.assert_allclose(targets.neutral, expected.neutral_values, atol=1e-6)


@pytest.mark.parametrize(
    ("centered", "share"),
    [(True, 0.0), (False, 0.0), pytest.param(True, None, marks=pytest.mark.slow)],
)
def test_concept_sets_keep_what_decides(centered: bool, share: float | None) -> None:
    def model(pixels: np.ndarray) -> np.ndarray:
        score = 1 / (1 + np.exp(-6.0 * pixels[:, :4, :4].mean(axis=(1, 2))))
        return np.column_stack([1 - score, score])

    X = images(60, shape=(8, 8))
    explainer = ConceptSetExplainer(
        masker=ImageMasker(4),
        size_weight=0.3,
        hidden_dim=16,
        n_blocks=1,
        # what begins with coalitions sees late that the undecided lose nothing, whatever is kept
        max_steps=200 if share == 0.0 else 1000,
        batch_size=32,
        learning_rate=5e-3,
        centered=centered,
        coalition_share=share,
        other_share=0.0,
        random_state=0,
    ).fit(X, model)
    explanation = explainer.explain(X)
    decided = model(X).max(axis=1) > 0.9
    assert (explanation.values[decided, 0] > 0.6).mean() > 0.9
    assert explanation.values[:, 1:].max() < 0.3
    assert explanation.values[:, 1:].mean() < 0.1
    assert explainer.best_score_ > 0.8
    sets = explainer.minimal_sets(X[decided], epsilon=0.1)
    assert (sets.sizes == 1).all() and sets.masks[:, 0].all()
    best = minimum_sets(explainer._masked, explainer.masker_.wrap(X[decided]), sets.target, 0.1)
    np.testing.assert_array_equal(sets.sizes, best.sizes)


def test_concept_sets_that_are_no_better_than_nothing_are_told() -> None:
    one = case("function")

    def deep(pixels: np.ndarray) -> np.ndarray:
        return 0.02 + 0.96 * brightness(pixels)

    # size counts for more than anything could lose
    with pytest.warns(UserWarning, match=r"0\.\d\d where nothing is kept\. Lower size_weight"):
        KINDS["concepts"](masker=one.masker, size_weight=50.0).fit(one.X, deep)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="The explainer agrees poorly")
        made = KINDS["concepts"](masker=one.masker, size_weight=0.01).fit(one.X, deep)
    assert made.best_score_ > made._nothing_score


@pytest.mark.parametrize("name", CASES)
def test_minimal_sets_are_feasible(name: str) -> None:
    explainer, one = fitted("concepts", name), case(name)
    for target in ("predicted", explainer.classes_[0]):
        for search in ("bisection", "scan"):
            sets = explainer.minimal_sets(one.X, target, epsilon=0.05, search=search)
            assert (sets.drops < 0.05).all()
            samples = explainer.masker_.wrap(one.X)
            kept = explainer._masked.values(samples, sets.masks[:, None])[:, 0]
            rows = np.arange(40)
            kept = kept.cpu().double().numpy()[rows, sets.target]
            lost = np.maximum(outputs_of(explainer, one.X)[rows, sets.target] - kept, 0)
            np.testing.assert_allclose(lost, sets.drops, atol=1e-5)
            assert not (sets.masks & explainer.masker_.null_players(samples)).any()
    with pytest.raises(ValueError, match="keeps one output"):
        explainer.minimal_sets(one.X, "all")
    copy = pickle.loads(pickle.dumps(explainer))
    with pytest.raises(ValueError, match="attach_model"):
        copy.minimal_sets(one.X, explainer.classes_[0])


# -- other data and outputs --------------------------------------------------------------------
@pytest.mark.parametrize("kind", KINDS)
def test_one_image_and_grey_images(kind: str) -> None:
    X = images(1, shape=(8, 8))

    def model(pixels: np.ndarray) -> np.ndarray:
        score = 1 / (1 + np.exp(-pixels[:, :4].mean(axis=(1, 2)) - pixels[:, 4:, 4:].mean((1, 2))))
        return np.column_stack([1 - score, score])

    explainer = KINDS[kind](masker=ImageMasker(4)).fit(X, model)
    assert explainer.explain(X).values.shape == (1, 4)
    many = images(5, shape=(8, 8))
    assert np.isfinite(explainer.explain(many, "all").values).all()


@pytest.mark.parametrize("kind", KINDS)
def test_grey_images_of_a_torch_model_and_one_text(kind: str) -> None:
    X = images(20, shape=(8, 8))
    explainer = KINDS[kind](masker=ImageMasker(4), output="logits").fit(X, Conv(1).eval())
    assert explainer.explain(X).layout.channels == "none"
    assert np.isfinite(explainer.explain(X[:1]).values).all()
    text = KINDS[kind]().fit(["good film"], case("TF-IDF").model)
    assert text.explain(["good film", "bad"]).values.shape == (2, 2)


@pytest.mark.parametrize("kind", [k for k in KINDS if k != "FEX ppo"])
def test_regressors(kind: str) -> None:
    X = images(30, shape=(8, 8))
    weights = np.array([1.0, -2.0, 0.0, 0.5])

    def model(pixels: np.ndarray) -> np.ndarray:
        corners = [
            pixels[:, a : a + 4, b : b + 4].mean(axis=(1, 2)) for a in (0, 4) for b in (0, 4)
        ]
        return 3.0 + 10 * np.stack(corners, axis=1) @ weights

    explainer = KINDS[kind](masker=ImageMasker(4), output="regression").fit(X, model)
    assert explainer.kind_ == "regression" and explainer.output_names_ == ["output"]
    explanation, outputs = explainer.explain(X, return_prediction=True)
    assert explanation.values.shape == (30, 4)
    np.testing.assert_allclose(outputs[:, 0], model(X), rtol=1e-6)
    if kind in ADDITIVE:
        total = explanation.base_values + explanation.values.sum(axis=1)
        np.testing.assert_allclose(total, model(X), rtol=1e-4)
        assert np.allclose(explanation.base_values, 3.0)
    texts = case("TF-IDF").X
    ridge = make_pipeline(TfidfVectorizer(token_pattern=r"\w+"), Ridge())
    ridge.fit(texts, [len(text) for text in texts])
    of_text = KINDS[kind]().fit(texts, ridge)
    assert np.isfinite(of_text.explain(texts).values).all()


@pytest.mark.parametrize("kind", KINDS)
def test_superpixels_and_fills_of_each_image(kind: str) -> None:
    def halves(image: np.ndarray) -> np.ndarray:
        labels = np.zeros((8, 8), dtype=int)
        labels[:, 4:] = 1
        labels[6:] = 2 if image[0, 0, 0] > 0 else -1
        return labels

    X = images(20).transpose(0, 2, 3, 1)
    model = lambda a: brightness(np.clip(a * 50 + 128, 0, 255))  # noqa: E731
    masker = ImageMasker(segments=halves, fill="blur")
    explainer = KINDS[kind](masker=masker).fit(X, model)
    explanation = explainer.explain(X, "all")
    assert explanation.layout.segments.shape == (20, 8, 8)
    order = np.arange(20)[::-1]
    close = {"atol": 2e-5} if kind != "ranking" else {"atol": 0}
    again = explainer.explain(X[order], "all")
    np.testing.assert_allclose(again.values, explanation.values[order], **close)
    if kind in ADDITIVE:
        total = explanation.base_values + explanation.values.sum(axis=1)
        np.testing.assert_allclose(total, model(X), atol=1e-5)
        assert np.ptp(explanation.base_values) > 1e-3
    if hasattr(explainer, "save"):
        with pytest.raises(TypeError, match="cannot be saved"):
            explainer.save("/tmp/never-made")


@pytest.mark.parametrize("unit", ["word", "sentence"])
def test_units_of_texts(unit: str) -> None:
    texts = ["good film. so fine", "bad. dull", "the book was not bad. but. a film"]
    model = case("TF-IDF").model
    explainer = KINDS["FastSHAP"](masker=TextMasker(unit=unit)).fit(texts, model)
    explanation = explainer.explain(texts, "yes")
    assert explanation.feature_names[0] == f"{unit} 0"
    total = explanation.base_values + explanation.values.sum(axis=1)
    np.testing.assert_allclose(total, model.predict_proba(texts)[:, 1], atol=1e-6)


@pytest.mark.parametrize("fill", ["mask", "pad", "delete"])
@pytest.mark.parametrize("network", ["auto", "hidden"])
def test_fills_of_texts(fill: str, network: str) -> None:
    one = case("BERT")
    masker = TextMasker(fill=fill)
    explainer = KINDS["CoRTX"](masker=masker, network=network).fit(one.X, one.model)
    explanation = explainer.explain(one.X, "all")
    total = explanation.base_values + explanation.values.sum(axis=1)
    there = np.array([bool(text) for text in one.X])
    np.testing.assert_allclose(total[there], outputs_of(explainer, one.X)[there], atol=1e-5)
    assert explainer.masker_.tokenizer is one.model[1]


@pytest.mark.parametrize("source", ["exact", "kernel", "permutation"])
def test_labels_of_images_and_texts(source: str) -> None:
    for name in ("function", "TF-IDF"):
        one = case(name)
        made = SupervisedExplainer(
            **SMALL, masker=one.masker, label_source=source, label_fraction=0.5
        ).fit(one.X, one.model)
        assert made.explain(one.X).values.shape[0] == 40


def test_given_labels() -> None:
    one = case("function")
    labels = fitted("Shapley", "function").explain(one.X, "all").values
    labels[7] = np.nan
    made = KINDS["supervised"](masker=one.masker, max_steps=200, hidden_dim=32)
    made.fit(one.X, one.model, labels=labels)
    found = made.explain(one.X, "all").values
    keep = np.arange(40) != 7
    assert np.corrcoef(found[keep].ravel(), labels[keep].ravel())[0, 1] > 0.8


def test_processors_and_pixels_of_users() -> None:
    processor = transformers.ViTImageProcessor(size={"height": 8, "width": 8})
    X = np.random.default_rng(1).integers(0, 256, size=(20, 8, 8, 3)).astype(np.uint8)
    explainer = KINDS["concepts"](masker=ImageMasker(4), network="hidden").fit(
        X, (vit(), processor)
    )
    assert explainer.explain(X).values.shape == (20, 4)
    given = processor(list(X), return_tensors="pt")
    with torch.no_grad():
        expected = vit()(**given).logits.softmax(dim=1)
    outputs = explainer.explain(X, return_prediction=True)[1]
    np.testing.assert_allclose(outputs, expected.numpy(), atol=1e-5)


# -- the model's own hidden states -------------------------------------------------------------
HIDDEN = [
    ("ViT", "hidden"),
    ("ViT", "hidden_classes"),
    ("ViT", ["vit.layers.0", "vit.layernorm"]),
    ("BERT", "hidden"),
    ("BERT", "hidden_classes"),
    ("BERT", ["bert.embeddings", "bert.encoder.layer.1"]),
    ("conv", ["stem"]),
]
HIDDEN_CASES = [("concepts", *one) for one in HIDDEN]
HIDDEN_CASES += [("CoRTX", *one) for one in HIDDEN[1::2]]
HIDDEN_CASES += [(kind, *HIDDEN[4]) for kind in LEARNED if kind not in ("concepts", "CoRTX")]


@pytest.mark.parametrize(("kind", "name", "network"), HIDDEN_CASES)
def test_networks_on_hidden_states(kind: str, name: str, network: Any, tmp_path: Any) -> None:
    one = case(name)
    if isinstance(network, list):
        known = dict((one.model[0] if name == "BERT" else one.model).named_modules())
        network = [layer for layer in network if layer in known] or [list(known)[-3]]
    explainer = KINDS[kind](masker=one.masker, network=network).fit(one.X, one.model)
    whole, outputs = explainer.explain(one.X, "all", return_prediction=True)
    assert np.isfinite(whole.values).all()
    np.testing.assert_allclose(outputs, outputs_of(explainer, one.X), atol=1e-5)
    # states are kept in half precision
    close = {"atol": 2e-2} if kind != "ranking" else {"atol": 9}
    part = explainer.explain(taken(one.X, [5, 2, 3]), "all")
    np.testing.assert_allclose(part.values, whole.values[[5, 2, 3]], **close)
    # one pass of the model for prediction and explanation
    samples = explainer.masker_.wrap(one.X)
    before = explainer._masked.n_queries
    explainer.explain(one.X)
    needs_empty = not explainer.masker_.fixed_empty_ and hasattr(explainer, "normalize")
    assert explainer._masked.n_queries - before == len(samples) * (1 + needs_empty)
    if kind in ADDITIVE:
        there = (~explainer.masker_.null_players(samples)).any(axis=1)
        total = whole.base_values + whole.values.sum(axis=1)
        np.testing.assert_allclose(total[there], outputs[there], atol=1e-4)
    explainer.save(tmp_path / "it")
    loaded = fastexplain.load(tmp_path / "it", model=one.model)
    np.testing.assert_allclose(loaded.explain(one.X, "all").values, whole.values, **close)
    assert loaded.get_params()["network"] == network
    with pytest.raises(ValueError, match="attach"):
        fastexplain.load(tmp_path / "it").explain(one.X, explainer.classes_[0])
    pickle.dumps(explainer)


def test_hidden_states_of_longer_texts() -> None:
    one = case("BERT")
    explainer = KINDS["concepts"](network="hidden_classes").fit(one.X, one.model)
    texts = ["good", "a very good film but so dull and bad", ""]
    whole = explainer.explain(texts, "all")
    assert whole.values.shape == (3, 9, 3)
    alone = explainer.explain(texts[:1], "all").values
    np.testing.assert_allclose(alone[0], whole.values[0, : alone.shape[1]], atol=2e-3)
    assert (whole.values[0, 1:] == 0).all() and (whole.values[2] == 0).all()


# -- errors ----------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", LEARNED)
def test_networks_that_do_not_fit(kind: str) -> None:
    image, text = case("conv"), case("BERT")
    with pytest.raises(ValueError, match=r"network must be .*'unet', 'vit'.*got 'transformer'"):
        KINDS[kind](masker=image.masker, network="transformer").fit(image.X, image.model)
    with pytest.raises(ValueError, match=r"network must be .*'transformer'.*got 'unet'"):
        KINDS[kind](network="unet").fit(text.X, text.model)
    with pytest.raises(ValueError, match="no layer 'layer9'"):
        KINDS[kind](masker=image.masker, network=["layer9"]).fit(image.X, image.model)
    with pytest.raises(ValueError, match="name the layers"):
        KINDS[kind](masker=image.masker, network="hidden").fit(image.X, Flat())
    X = np.random.default_rng(0).normal(size=(20, 3))
    with pytest.raises(ValueError, match="network= is for images and texts"):
        KINDS[kind](network="unet").fit(X, lambda a: 1 / (1 + np.exp(-a.sum(axis=1))))
    for name in ("function", "TF-IDF"):
        one = case(name)
        for network in ("hidden", "hidden_classes", ["stem"]):
            with pytest.raises(ValueError, match=r"torch module.*another network="):
                KINDS[kind](masker=one.masker, network=network).fit(one.X, one.model)


@pytest.mark.parametrize("kind", [k for k in KINDS if k not in ("exact", "RISE", "Shapley")])
def test_what_is_for_tables_alone(kind: str) -> None:
    for name in ("function", "TF-IDF"):
        one = case(name)
        with pytest.raises(ValueError, match=r"removal='surrogate' is for tables.*fill="):
            KINDS[kind](masker=one.masker, removal="surrogate").fit(one.X, one.model)
        with pytest.raises(ValueError, match=r"for tables.*masker=.*fill="):
            KINDS[kind](baseline="median").fit(one.X, one.model)
        with pytest.raises(ValueError, match=r"for tables.*masker=.*fill="):
            KINDS[kind](groups={"a": [0, 1]}).fit(one.X, one.model)


@pytest.mark.parametrize("name", ["function", "TF-IDF", "BERT"])
def test_l2x_is_for_tables(name: str) -> None:
    one = case(name)
    explainer = L2XExplainer(**SMALL, masker=one.masker)
    with pytest.raises(ValueError, match=r"L2XExplainer is for tables.*ConceptSetExplainer"):
        explainer.fit(one.X, one.model)
    assert not hasattr(explainer, "masker_")


@pytest.mark.parametrize("kind", LEARNED)
def test_a_model_that_ignores_its_input(kind: str) -> None:
    def deaf(samples: Any) -> np.ndarray:
        return np.tile([0.3, 0.7], (len(samples), 1))

    for X in (case("function").X, case("TF-IDF").X, np.random.default_rng(0).normal(size=(30, 3))):
        with pytest.warns(UserWarning, match=r"(?s)changes no output.*fill=") as caught:
            explainer = KINDS[kind]().fit(X, deaf)
        mine = [w for w in caught if "changes no output" in str(w.message)]
        assert len(mine) == 1 and mine[0].filename == __file__
        assert np.isfinite(explainer.explain(X, "all").values).all()


@pytest.mark.parametrize("name", CASES)
def test_a_model_that_listens_is_no_cause_for_alarm(name: str) -> None:
    one = case(name)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="Removing all features")
        KINDS["concepts"](masker=one.masker, max_steps=2).fit(one.X, one.model)


def test_images_of_another_kind_at_explain() -> None:
    explainer = fitted("FEX", "conv")
    X = case("conv").X
    with pytest.raises(ValueError, match=r"shape \(3, 9, 8\).*fitted on images of shape"):
        explainer.explain(np.zeros((2, 3, 9, 8), dtype=np.float32))
    with pytest.raises(ValueError, match="A single image"):
        explainer.explain(X[0])
    with pytest.raises(ValueError, match=r"whole numbers.*floats"):
        explainer.explain((X * 10).astype(np.int16))
    with pytest.raises(ValueError, match=r"0 sample\(s\)"):
        explainer.explain(X[:0])
    with pytest.raises(ValueError, match="Image 1 holds NaN"):
        explainer.explain(np.where(np.arange(3)[:, None, None, None] == 1, np.nan, X[:3]))


def test_texts_of_another_kind_at_explain() -> None:
    explainer = fitted("FEX", "TF-IDF")
    with pytest.raises(TypeError, match="single text"):
        explainer.explain("good film")
    with pytest.raises(TypeError):
        explainer.explain(["good", None])
    assert explainer.explain(["", ""]).values.shape[0] == 2


def test_a_torch_model_of_texts_needs_a_tokenizer() -> None:
    with pytest.raises(ValueError, match="needs its tokenizer"):
        KINDS["FEX"]().fit(case("BERT").X, bert())


def test_targets_that_there_are_not() -> None:
    for name in ("conv", "BERT"):
        with pytest.raises(ValueError, match="not among the model's outputs"):
            fitted("concepts", name).explain(case(name).X, "nothing")


def test_parameters_of_concept_sets() -> None:
    one = case("function")
    for bad in (
        {"size_weight": 0},
        {"clip": -1.0},
        {"n_sets": 0},
        {"inner_updates": 1.5},
        {"centered": "yes"},
        {"other_share": 2.0},
    ):
        with pytest.raises(ValueError, match=next(iter(bad))):
            ConceptSetExplainer(**bad).fit(one.X, one.model)
    # most of these are Eq. 18's
    plain = partial(KINDS["concepts"], masker=one.masker, coalition_share=0.0)
    base = plain().fit(one.X, one.model).explain(one.X).values
    for change in (
        {"size_weight": 4.0},
        {"clip": 0.01, "learning_rate": 0.05},
        {"n_sets": 3},
        {"inner_updates": 1},
        {"centered": False},
        {"other_share": 1.0},
        {"network": "vit"},
        {"coalition_share": 0.9},
    ):
        other = plain(**change).fit(one.X, one.model)
        assert not np.allclose(other.explain(one.X).values, base), change


def test_checkpoints_of_images(tmp_path: Any) -> None:
    one = case("function")
    settings = {"masker": ImageMasker(4), "checkpoint": tmp_path / "run"}
    for kind in ("FEX", "concepts"):
        found = KINDS[kind](**settings).fit(one.X, one.model).explain(one.X).values
        np.testing.assert_array_equal(found, fitted(kind, "function").explain(one.X).values)
