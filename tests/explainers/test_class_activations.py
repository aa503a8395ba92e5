"""Heads that compare with classes begin with class activation maps."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from tiny_models import vit
from torch import nn

from fastexplain import ConceptSetExplainer, FastSHAPExplainer, FEXExplainer, ImageMasker, load
from fastexplain.metrics import rank_correlation

pytestmark = [
    pytest.mark.filterwarnings("ignore:The explainer agrees poorly"),
    pytest.mark.filterwarnings("ignore:The model was asked for"),
]

SETTINGS: dict[str, Any] = {
    "masker": ImageMasker(4),
    "max_steps": 2,
    "n_queries": 2000,
    "hidden_dim": 32,
    "n_blocks": 0,
    "random_state": 0,
}


class Colours(nn.Module):
    """A model of many classes that look for colours, wherever they are."""

    base_model_prefix = "features"

    def __init__(self, n_classes: int = 12) -> None:
        super().__init__()
        self.config = SimpleNamespace(output_hidden_states=False)
        self.features, self.classes = nn.Conv2d(3, 8, 4, 4), nn.Linear(8, n_classes)
        generator = torch.Generator().manual_seed(3)
        with torch.no_grad():
            for part in (self.features, self.classes):
                part.weight.copy_(torch.randn(part.weight.shape, generator=generator))
                part.bias.zero_()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classes(self.features(x).mean(dim=(2, 3))).softmax(dim=1)


@pytest.mark.parametrize("cls", [FEXExplainer, ConceptSetExplainer, FastSHAPExplainer])
def test_few_images_of_many_classes(cls: Any, tmp_path: Any) -> None:
    X, model = np.random.default_rng(0).random((40, 3, 16, 16), dtype=np.float32), Colours().eval()
    with torch.no_grad():
        states = model.features(torch.from_numpy(X)).flatten(2)
        weights = model.classes.weight - model.classes.weight.mean(dim=0)
    found = {}
    for network in ("hidden_classes", "hidden"):
        explainer = cls(network=network, **SETTINGS).fit(X, model)
        assert explainer._reader.activations == (network == "hidden_classes")
        explanation = explainer.explain(X)
        chosen = weights[explanation.target]
        expected = torch.einsum("nci,nc->ni", states, chosen).numpy()
        found[network] = rank_correlation(explanation.values, expected).mean()
    assert found["hidden_classes"] > 0.8
    assert found["hidden"] < 0.6
    explainer = cls(network="hidden_classes", **SETTINGS).fit(X, model)
    explainer.save(tmp_path / "it")
    again = load(tmp_path / "it", model=model)
    np.testing.assert_allclose(again.explain(X).values, explainer.explain(X).values, atol=1e-6)


class Elsewhere(Colours):
    """Its classes read something else than the last states, of the same size."""

    def __init__(self) -> None:
        super().__init__()
        self.between = nn.Linear(8, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mean = self.features(x).mean(dim=(2, 3))
        return self.classes(torch.relu(self.between(mean))).softmax(dim=1)


def test_states_that_the_classes_do_not_read() -> None:
    X = np.random.default_rng(0).random((40, 3, 16, 16), dtype=np.float32)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Elsewhere().eval()
    explainer = FEXExplainer(network="hidden_classes", **SETTINGS).fit(X, model)
    assert not explainer._reader.activations


def test_classes_of_a_transformer_read_its_first_token() -> None:
    pytest.importorskip("transformers")
    X = np.random.default_rng(0).random((30, 3, 8, 8), dtype=np.float32)
    explainer = FEXExplainer(network="hidden_classes", **SETTINGS).fit(X, vit())
    assert explainer._reader.activations
