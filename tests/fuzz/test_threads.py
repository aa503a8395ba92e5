"""Eight threads share one explainer: every call answers as it does alone."""

from __future__ import annotations

import os
import threading
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import nn

from fastexplain import (
    ConceptSetExplainer,
    CoRTXExplainer,
    ExactExplainer,
    FastSHAPExplainer,
    FEXExplainer,
    L2XExplainer,
    RISEExplainer,
    SupervisedExplainer,
    TextMasker,
)

pytestmark = pytest.mark.slow

# calls of each thread
CALLS = int(os.environ.get("FASTEXPLAIN_THREAD_CALLS", 1000))
THREADS = 8
SMALL: dict[str, Any] = {
    "hidden_dim": 8,
    "n_blocks": 1,
    "max_steps": 20,
    "n_queries": 3000,
    "random_state": 0,
}
RNG = np.random.default_rng(0)
X = RNG.normal(size=(300, 5)).astype(np.float32)
TEXTS = [" ".join(RNG.choice(list("abcdefgh"), size=RNG.integers(2, 6))) for _ in range(60)]
IMAGES = RNG.random((80, 8, 8)).astype(np.float32)


def training_module() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(5, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Dropout(0.5), nn.Linear(32, 3)
    ).train()


def count(texts: list[str]) -> np.ndarray:
    p = np.array([0.1 + 0.8 * ("a" in text) for text in texts])
    return np.column_stack([1 - p, p])


def brightness(images: np.ndarray) -> np.ndarray:
    p = images.reshape(len(images), -1)[:, ::3].mean(axis=1)
    return np.column_stack([1 - p, p])


LEARNED: dict[str, Any] = {
    "FEX": lambda **given: FEXExplainer(**SMALL, **given),
    "PPO": lambda **given: FEXExplainer("ppo", **SMALL, **given),
    "FastSHAP": lambda **given: FastSHAPExplainer(**SMALL, **given),
    "supervised": lambda **given: SupervisedExplainer(**SMALL, n_labels=40, **given),
    "ranking": lambda **given: SupervisedExplainer(**SMALL, task="ranking", n_labels=40, **given),
    "CoRTX": lambda **given: CoRTXExplainer(**SMALL, n_labels=40, contrastive_steps=5, **given),
    "L2X": lambda **given: L2XExplainer(**SMALL, **given),
    "concept sets": lambda **given: ConceptSetExplainer(**SMALL, **given),
}
OWN: dict[str, Any] = {
    "exact": lambda **given: ExactExplainer("shapley", **given),
    "RISE": lambda **given: RISEExplainer(30, random_state=0, **given),
}


def share(explainer: Any, parts: list[Any]) -> int:
    """Number of calls, by eight threads at once, that answer otherwise than alone."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = [explainer.explain(part).values for part in parts]
    wrong: list[int] = []
    barrier = threading.Barrier(THREADS)

    def work(seed: int) -> None:
        order = np.random.default_rng(seed).integers(0, len(parts), CALLS)
        barrier.wait()
        for k in order:
            try:
                same = np.array_equal(explainer.explain(parts[k]).values, expected[k])
            except Exception:
                same = False
            if not same:
                wrong.append(int(k))

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(THREADS)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return len(wrong)


@pytest.mark.parametrize("model", ["module in training", "estimator"])
@pytest.mark.parametrize("name", [*LEARNED, *OWN])
def test_tables(name: str, model: str) -> None:
    torch.set_num_threads(1)
    make = (LEARNED | OWN)[name]
    given: Any = LogisticRegression().fit(X, (X[:, 0] > 0) + 1 * (X[:, 1] > 1))
    output = "auto"
    if model == "module in training":
        given, output = training_module(), "logits"
        before = {key: value.clone() for key, value in given.state_dict().items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        explainer = make(output=output).fit(X, given)
    assert share(explainer, [X[k : k + 3] for k in range(40)]) == 0
    if model == "module in training":
        assert all(part.training for part in given.modules())
        assert all(torch.equal(value, before[k]) for k, value in given.state_dict().items())


@pytest.mark.parametrize("kind", ["texts", "images"])
@pytest.mark.parametrize("name", ["FEX", "FastSHAP", "concept sets", "exact", "RISE"])
def test_texts_and_images(name: str, kind: str) -> None:
    torch.set_num_threads(1)
    make = (LEARNED | OWN)[name]
    samples: Any = TEXTS if kind == "texts" else IMAGES
    masker = TextMasker(unit="word") if kind == "texts" else None
    if kind == "images":
        from fastexplain import ImageMasker

        masker = ImageMasker(patch_size=4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        explainer = make(masker=masker).fit(samples, count if kind == "texts" else brightness)
    assert share(explainer, [samples[k : k + 2] for k in range(20)]) == 0
