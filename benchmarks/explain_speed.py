"""Speed of ``explain`` beside the bare network's forward pass, in one process.

    python benchmarks/explain_speed.py [--threads 2]

100,000 rows of 12 numeric columns: rows a second of ``explain(X, target=1)`` and of the bare
network on encoded inputs, alternating, best of several rounds each. Then one row at a time.
"""

from __future__ import annotations

import argparse
from functools import partial

import numpy as np
import pandas as pd
import torch
from _report import print_table, save, seconds
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression

from fastexplain import FEXExplainer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    X, y = make_classification(100_000, 12, n_informative=8, random_state=0)
    model = LogisticRegression().fit(X, y)
    explainer = FEXExplainer(max_steps=200, n_queries=100_000, random_state=0).fit(X[:5000], model)
    network = explainer._network
    device = next(network.parameters()).device
    inputs = explainer._encode(explainer._check_rows(X))
    x, null = inputs["x"].to(device), inputs["null"].to(device)

    @torch.inference_mode()
    def bare() -> None:
        for start in range(0, len(x), 8192):
            network(x[start : start + 8192], null[start : start + 8192])
        if device.type == "cuda":
            torch.cuda.synchronize()

    rows = []
    for label, data in (("numpy float64", X), ("pandas", pd.DataFrame(X))):
        explainer_for = explainer
        if label == "pandas":
            names = [f"c{j}" for j in range(12)]
            data = pd.DataFrame(X, columns=names)
            fitted = LogisticRegression().fit(data, y)
            explainer_for = FEXExplainer(max_steps=200, n_queries=100_000, random_state=0)
            explainer_for.fit(data[:5000], fitted)
        own, base = [], []
        for _ in range(args.rounds):
            own.append(seconds(lambda e=explainer_for, d=data: e.explain(d, target=1)))
            base.append(seconds(bare))
        single = data[:1]
        call = partial(explainer_for.explain, single, target=1)
        one = [seconds(call) for _ in range(300)]
        rows.append(
            {
                "data": label,
                "explain_rows_s": len(X) / min(own),
                "bare_rows_s": len(X) / min(base),
                "ratio": min(base) / min(own),
                "one_row_median_ms": 1e3 * float(np.median(one)),
            }
        )
    print_table(rows, list(rows[0]))
    save("explain_speed", vars(args), rows)


if __name__ == "__main__":
    main()
