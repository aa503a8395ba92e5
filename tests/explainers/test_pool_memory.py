"""What a network learns from takes no more memory than it may, and drawing it little more."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch

from fastexplain import (
    ConceptSetExplainer,
    CoRTXExplainer,
    FastSHAPExplainer,
    FEXExplainer,
    L2XExplainer,
    SupervisedExplainer,
)
from fastexplain.explainers import _coalition_pool, _learned
from fastexplain.explainers._coalition_pool import coalitions_of, packed_coalitions_of

pytestmark = [
    pytest.mark.filterwarnings("ignore:The model was asked for"),
    pytest.mark.filterwarnings("ignore:The explainer agrees poorly"),
    pytest.mark.filterwarnings("ignore:.*of the labelled rows are held out"),
]

SMALL: dict[str, Any] = {"hidden_dim": 16, "n_blocks": 0, "max_steps": 4, "batch_size": 16}
SMALL |= {"random_state": 0, "device": "cpu", "output": "regression"}
KINDS: dict[str, tuple[Any, dict[str, Any]]] = {
    "FEX": (FEXExplainer, {"n_masks": 16}),
    "FastSHAP": (FastSHAPExplainer, {"n_masks": 8}),
    "supervised": (SupervisedExplainer, {"n_copies": 0}),
    "CoRTX": (CoRTXExplainer, {"contrastive_steps": 0, "n_copies": 0}),
    "L2X": (L2XExplainer, {}),
    "concepts": (ConceptSetExplainer, {"coalition_share": 0.6}),
}


def _bytes(pool: dict[str, torch.Tensor]) -> int:
    return sum(tensor.nbytes for tensor in pool.values())


@pytest.mark.parametrize("n_outputs", [1, 5])
@pytest.mark.parametrize("kind", KINDS)
def test_a_pool_is_as_large_as_it_may_be(
    kind: str, n_outputs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    X, w = rng.normal(size=(300, 30)), rng.normal(size=(30, n_outputs))
    cls, own = KINDS[kind]
    sizes, most = [], 2**17
    real = cls._collect

    def watched(self: Any, *given: Any, **named: Any) -> Any:
        pool = real(self, *given, **named)
        sizes.append((_bytes(pool), len(pool["x"])))
        return pool

    monkeypatch.setattr(_learned, "POOL_BYTES", most)
    monkeypatch.setattr(cls, "_collect", watched)
    cls(**SMALL | own, n_queries=400_000).fit(X, lambda X: X @ w)
    # the queries would buy more rows
    assert max(rows for _, rows in sizes) < 2000
    assert 0.3 * most < max(size for size, _ in sizes) < 1.05 * most


@pytest.mark.parametrize("scored", [False, True])
@pytest.mark.parametrize("even_sizes", [False, True])
def test_coalitions_are_the_same_however_many_are_made_at_once(
    even_sizes: bool, scored: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 11))
    # rows with players without effect have coalitions of the others
    X[rng.random(X.shape) < 0.3] = 0.0
    explainer = FEXExplainer(**SMALL, n_queries=1000, baseline="zero")
    explainer.fit(X, lambda X: np.stack([X[:, 0] * X[:, 1], X.sum(axis=1)], axis=1))
    given = explainer, explainer.masker_.wrap(X), 6
    drawn = [np.random.default_rng(3) for _ in range(3)]
    whole = coalitions_of(*given, drawn[0], even_sizes, scored)
    assert whole["masks"].dtype == torch.bool
    from fastexplain.attribution import _coalitions

    monkeypatch.setattr(_coalitions, "_DRAWN", 50)
    monkeypatch.setattr(_coalition_pool, "_ASKED_BYTES", 500)
    parts = coalitions_of(*given, drawn[1], even_sizes, scored)
    assert set(whole) == set(parts)
    for name, tensor in whole.items():
        torch.testing.assert_close(parts[name], tensor, rtol=1e-6, atol=1e-6, msg=name)
    assert torch.equal(parts["masks"], whole["masks"])
    packed = packed_coalitions_of(*given, drawn[2], even_sizes, scored)
    assert torch.equal(packed["sizes"], whole["masks"].sum(dim=2))
    assert packed["masks"].shape == (40, 6, 2) and packed["masks"].dtype == torch.uint8


PROGRAM = """
import resource
import numpy as np
from fastexplain import FastSHAPExplainer

X = np.random.default_rng(0).normal(size=(1000, 400)).astype("float32")
w = X[0].copy()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
FastSHAPExplainer(output="regression", max_steps=2, n_queries=1_000_000, random_state=0).fit(
    X, lambda X: np.asarray(X) @ w
)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)
"""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="kilobytes are Linux's unit")
def test_a_million_queries_of_wide_rows_take_little_memory() -> None:
    command = [sys.executable, "-W", "ignore", "-c", PROGRAM]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    # 30,000 rows of 400 columns, with 32 coalitions of each: 400 MB if players took bytes
    assert float(done.stdout) < 420e6
