"""How far explanations depend on batch size, threads and process: the largest differences.

    python benchmarks/repeatability.py

A fitted explainer answers for the same 64 samples in batches of other sizes and with one and two
threads, and a fit is made twice with one seed. Saved as results/repeatability.json.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from _report import print_table, save
from sklearn.datasets import load_digits, make_classification
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression

from fastexplain import FastSHAPExplainer, FEXExplainer, ImageMasker

BATCHES = (1, 2, 3, 4, 5, 6, 7, 8, 16, 32)


def largest(found: np.ndarray, expected: np.ndarray) -> float:
    """Largest difference, in shares of the values' standard deviation."""
    return float(np.abs(found - expected).max() / expected.std())


def in_batches(explainer: Any, X: np.ndarray, size: int) -> np.ndarray:
    parts = [explainer.explain(X[k : k + size], target="all") for k in range(0, len(X), size)]
    return np.concatenate([part.values for part in parts])


def measure(make: Callable[[], Any], X: np.ndarray, model: Any) -> dict[str, float]:
    torch.set_num_threads(1)
    explainer = make().fit(X, model)
    some = X[:64]
    whole = explainer.explain(some, target="all").values
    batches = {
        f"batches of {size}": largest(in_batches(explainer, some, size), whole) for size in BATCHES
    }
    again = make().fit(X, model).explain(some, target="all").values
    torch.set_num_threads(2)
    two = explainer.explain(some, target="all").values
    fitted_by_two = make().fit(X, model).explain(some, target="all").values
    torch.set_num_threads(1)
    return batches | {
        "explain with 2 threads for 1": largest(two, whole),
        "fit again, same seed": largest(again, whole),
        "fit with 2 threads for 1": largest(fitted_by_two, whole),
    }


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    warnings.simplefilter("ignore")
    X, y = make_classification(3000, 12, n_informative=8, random_state=0)
    trees = HistGradientBoostingClassifier(random_state=0).fit(X, y)
    digits, labels = load_digits(return_X_y=True)
    images = digits.reshape(-1, 8, 8)
    linear = LogisticRegression(max_iter=2000).fit(digits, labels)
    small = {"max_steps": 300, "n_queries": 200_000, "random_state": 0}
    masker = ImageMasker(patch_size=2)
    results = {
        "FEX, table": measure(lambda: FEXExplainer(**small), X, trees),
        "FastSHAP, table": measure(lambda: FastSHAPExplainer(**small), X, trees),
        "FEX, images": measure(
            lambda: FEXExplainer(masker=masker, **(small | {"n_queries": 60_000})),
            images,
            lambda a: linear.predict_proba(a.reshape(len(a), -1)),
        ),
    }
    rows = [{"explainer": name} | found for name, found in results.items()]
    print_table(rows, list(rows[0]))
    save("repeatability", {"fit": small, "samples": 64}, rows)


if __name__ == "__main__":
    main()
