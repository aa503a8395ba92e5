"""Speed of learned Shapley values beside the bare network and shap.TreeExplainer.

    python benchmarks/shapley_speed.py [--threads 1] [--rounds 5]

XGBoost of 300 trees of depth 6 on 12 numbers; FastSHAPExplainer as its learned explainer, with
and without values that add up to the model's outputs (``normalize``), which costs the model's
own answer of each row. All in one process, alternating; the medians count. The explainer's
training is short: speed does not depend on it.
"""

from __future__ import annotations

import argparse
from statistics import median
from typing import Any

import numpy as np
import shap
import torch
import xgboost
from _report import print_table, save, seconds
from sklearn.datasets import make_classification

from fastexplain import FastSHAPExplainer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=65_536)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    X, y = make_classification(args.rows, 12, n_informative=8, random_state=0)
    X = X.astype(np.float32)
    model = xgboost.XGBClassifier(
        n_estimators=300, max_depth=6, n_jobs=args.threads, random_state=0
    ).fit(X[:20_000], y[:20_000])
    settings: dict[str, Any] = {"n_queries": 200_000, "max_steps": 50, "random_state": 0}
    explainer = FastSHAPExplainer(**settings).fit(X[:5000], model)
    bare = FastSHAPExplainer(**settings, normalize=None).fit(X[:5000], model)
    inputs = bare._encode(bare._check_rows(X))

    def forward() -> None:
        with torch.inference_mode():
            for start in range(0, len(X), 8192):
                rows = slice(start, start + 8192)
                bare._network(inputs["x"][rows], inputs["null"][rows])

    tree = shap.TreeExplainer(model)
    background = shap.TreeExplainer(model, X[:100], feature_perturbation="interventional")
    calls: dict[str, tuple[Any, int]] = {
        "bare network": (forward, len(X)),
        "explain, normalize=None": (lambda: bare.explain(X, target=1), len(X)),
        "explain": (lambda: explainer.explain(X, target=1), len(X)),
        "bare model": (lambda: model.predict_proba(X), len(X)),
        "TreeExplainer, path-dependent": (lambda: tree.shap_values(X[:1000]), 1000),
        "TreeExplainer, 100 background rows": (lambda: background.shap_values(X[:200]), 200),
    }
    times: dict[str, list[float]] = {name: [] for name in calls}
    for call, _ in calls.values():
        call()
    for _ in range(args.rounds):
        for name, (call, _) in calls.items():
            times[name].append(seconds(call))
    rows = []
    base = calls["bare network"][1] / median(times["bare network"])
    for name, (_, n) in calls.items():
        speed = n / median(times[name])
        rows.append({"what": name, "rows_s": speed, "of the bare network": speed / base})
    # the same rounds, so that other work on the machine counts in both
    pairs = zip(times["bare network"], times["explain, normalize=None"], strict=True)
    ratio = median(a / b for a, b in pairs)
    print_table(rows, list(rows[0]))
    print(f"explain at {ratio:.2f} of the bare network's throughput")
    save("shapley_speed", vars(args) | {"ratio": ratio}, rows)


if __name__ == "__main__":
    main()
