"""Cost of exact attributions beside the bare model's, and beside shap's ExactExplainer.

    FASTEXPLAIN_DATA=/data python benchmarks/exact_speed.py [--threads 2]

For each model: seconds of ``ExactExplainer.explain`` over seconds of the bare model on the
same distinct coalitions, built beforehand and asked in the same chunks, alternating, the
median of the rounds' ratios. Then Shapley values of the same game by shap.ExactExplainer:
rows a second of both, and the largest difference of their values.
"""

from __future__ import annotations

import argparse
from typing import Any

import _tasks
import numpy as np
import shap
import torch
from _report import print_table, save, seconds
from sklearn.linear_model import LogisticRegression

from fastexplain import ExactExplainer
from fastexplain.attribution import all_coalitions
from fastexplain.attribution._groups import active_groups, expand_masks
from fastexplain.tables import Table, as_table


def coalition_inputs(explainer: ExactExplainer, X: Any) -> list[Any]:
    """Every distinct coalition of every row, as the model takes it, in chunks."""
    masked, table = explainer.masked_model_, as_table(X)
    null = masked.masker.null_players(table)
    limit = masked.call_rows(table.n_columns)
    inputs = []
    for a, rows in active_groups(null, {a: max(1, limit >> a) for a in range(21)}):
        masks = expand_masks(all_coalitions(a), null[rows])
        part = table.take(rows)
        masks = np.broadcast_to(masks, (len(rows), *masks.shape[-2:]))
        index = np.where(masks, np.arange(len(rows))[:, None, None], len(rows))
        source = masked.masker.source(part)
        cells = source.gather(index[:, :, masked.masker.player_of_column_].reshape(-1, X.shape[1]))
        inputs.append(cells if not masked.predictor.torch_module else torch.from_numpy(cells))
    return inputs


def compare(name: str, X_train: Any, X: Any, model: Any, bare: Any, rounds: int) -> dict[str, Any]:
    explainer = ExactExplainer().fit(X_train, model)
    chunks = coalition_inputs(explainer, X)
    asked = sum(len(chunk) for chunk in chunks)

    def ask() -> None:
        for chunk in chunks:
            bare(chunk)

    explainer.explain(X, target="all")
    ask()
    pairs = [
        (seconds(lambda: explainer.explain(X, target="all")), seconds(ask)) for _ in range(rounds)
    ]
    ratios = [own / base for own, base in pairs]
    return {
        "model": name,
        "rows": len(X),
        "queries": asked,
        "ratio_median": float(np.median(ratios)),
        "ratio_min": min(ratios),
        "ratio_max": max(ratios),
    }


def against_shap(name: str, X_train: np.ndarray, X: np.ndarray, model: Any, f: Any) -> dict:
    explainer = ExactExplainer(kind="shapley").fit(X_train, model)
    baseline = explainer.masker_.background_.native.astype(X.dtype)
    rival = shap.explainers.Exact(f, shap.maskers.Independent(baseline, max_samples=1))
    own = seconds(lambda: explainer.explain(X, target=1))
    theirs = seconds(lambda: rival(X))
    gap = np.abs(explainer.explain(X, target=1).values - rival(X).values).max()
    return {
        "model": name,
        "rows": len(X),
        "own_rows_s": len(X) / own,
        "shap_rows_s": len(X) / theirs,
        "faster": theirs / own,
        "largest_difference": float(gap),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    mlp = _tasks.classification_mlp()
    logistic = LogisticRegression().fit(mlp.X_train, mlp.model(torch.tensor(mlp.X_train)).argmax(1))

    def forward(x: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            return mlp.model(x)

    X, rounds = mlp.X_test, args.rounds
    rows = [
        compare("torch MLP", mlp.X_train, X, mlp.model, forward, rounds),
        compare("logistic", mlp.X_train, X, logistic, logistic.predict_proba, rounds),
    ]
    # fitted only now: the other libraries' threads would go on competing with torch's
    for name, kind, n in (("Adult pipeline + HGB", "hgb", 1000), ("Adult XGBoost", "xgb", 3000)):
        task = _tasks.adult(kind, 12)
        asked = task.model.predict_proba
        rows.append(compare(name, task.X_train, task.X_test[:n], task.model, asked, rounds))
    print_table(rows, list(rows[0]))
    table = Table(X[:40])
    rivals = [
        against_shap(
            "torch MLP",
            mlp.X_train,
            table.native,
            mlp.model,
            lambda x: forward(torch.tensor(x, dtype=torch.float32))[:, 1].double().numpy(),
        ),
        against_shap(
            "logistic",
            mlp.X_train,
            table.native,
            logistic,
            lambda x: logistic.predict_proba(x.astype(np.float32))[:, 1],
        ),
    ]
    print()
    print_table(rivals, list(rivals[0]))
    save("exact_speed", vars(args), rows + rivals)


if __name__ == "__main__":
    main()
