"""Texts without a player: explained alone as in company, by every explainer that takes texts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tiny_models import bert, word_tokenizer

import fastexplain
from fastexplain import (
    ConceptSetExplainer,
    CoRTXExplainer,
    ExactExplainer,
    FastSHAPExplainer,
    FEXExplainer,
    RISEExplainer,
    SupervisedExplainer,
    TextMasker,
)

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

SMALL: dict[str, Any] = {
    "n_queries": 1500,
    "hidden_dim": 8,
    "n_blocks": 1,
    "max_steps": 4,
    "batch_size": 16,
    "random_state": 0,
}
EXPLAINERS: dict[str, Any] = {
    "exact": ExactExplainer,
    "Shapley": lambda **k: ExactExplainer("shapley", **k),
    "RISE": lambda **k: RISEExplainer(16, random_state=0, **k),
    "FEX": lambda **k: FEXExplainer(**SMALL, **k),
    "PPO": lambda **k: FEXExplainer(objective="ppo", **SMALL, **k),
    "FastSHAP": lambda **k: FastSHAPExplainer(**SMALL, **k),
    "concepts": lambda **k: ConceptSetExplainer(n_sets=4, **SMALL, **k),
    "CoRTX": lambda **k: CoRTXExplainer(contrastive_steps=2, **SMALL, **k),
    "supervised": lambda **k: SupervisedExplainer(**SMALL, **k),
    "ranking": lambda **k: SupervisedExplainer(task="ranking", **SMALL, **k),
}
TEXTS = ["the film was good", "a bad book", "so dull", "very fine and good"] * 6


class Counts:
    """Goodness by the words of a text."""

    classes_ = np.array(["bad", "good"])

    def predict_proba(self, texts: Any) -> np.ndarray:
        p = np.array([0.3 + 0.4 * ("good" in text) + 0.02 * len(text.split()) for text in texts])
        return np.column_stack([1 - p, p])

    def predict(self, texts: Any) -> np.ndarray:
        return self.classes_[self.predict_proba(texts).argmax(axis=1)]


def model_and_options(kind: str) -> tuple[Any, dict[str, Any]]:
    if kind == "strings":
        return Counts(), {"masker": TextMasker(unit="word")}
    masker = TextMasker(word_tokenizer(), unit="word", fill="mask" if kind == "tokens" else "pad")
    return (bert(), masker.tokenizer), {"masker": masker, "output": "logits"}


@pytest.mark.parametrize("model", ["strings", "tokens"])
@pytest.mark.parametrize("name", EXPLAINERS)
def test_empty_texts_alone_and_in_company(name: str, model: str) -> None:
    fitted_model, options = model_and_options(model)
    explainer = EXPLAINERS[name](**options).fit(TEXTS, fitted_model)
    together = explainer.explain(["", "a bad book", " \n"], "all")
    alone = explainer.explain([""], "all")
    for i in (0, 2):
        np.testing.assert_allclose(together.values[i], alone.values[0], atol=1e-6)
        np.testing.assert_allclose(together.base_values[i], alone.base_values[0], atol=1e-6)
    assert np.isfinite(alone.values).all()
    assert explainer.explain([""]).values.shape == (1, 4)
    if name == "Shapley":
        # nothing is removed from nothing: its prediction is its base value
        _, outputs = explainer.explain([""], "all", return_prediction=True)
        np.testing.assert_allclose(alone.values, 0.0)
        np.testing.assert_allclose(alone.base_values, outputs, atol=1e-6)
    if name == "concepts":
        assert not explainer.minimal_sets([""]).masks.any()


@pytest.mark.parametrize("fill", ["pad", "delete"])
def test_texts_of_no_token_at_all(fill: str) -> None:
    tokenizer = word_tokenizer()
    tokenizer.backend_tokenizer.post_processor = None
    masker = TextMasker(tokenizer, unit="word", fill=fill)
    explainer = ExactExplainer("shapley", masker=masker, output="regression")
    explainer.fit(TEXTS, (bert(), tokenizer))
    values = explainer.explain(["", "so dull"], "all").values
    np.testing.assert_allclose(explainer.explain([""], "all").values[0], values[0], atol=1e-6)


def test_saved_explainers_take_empty_texts(tmp_path: Any) -> None:
    explainer = EXPLAINERS["FEX"](masker=TextMasker(unit="word")).fit(TEXTS, Counts())
    explainer.save(tmp_path / "a")
    loaded = fastexplain.load(tmp_path / "a")
    np.testing.assert_array_equal(
        loaded.explain([""], "good").values, explainer.explain([""], "good").values
    )


@pytest.mark.parametrize("name", ["exact", "FEX"])
def test_nothing_but_empty_texts_cannot_be_fitted_on(name: str) -> None:
    with pytest.raises(ValueError, match="None of the texts has a player"):
        EXPLAINERS[name](masker=TextMasker()).fit(["", " "], Counts())
