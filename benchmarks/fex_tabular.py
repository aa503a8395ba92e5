"""FEX on tables: agreement with the exact attribution, perturbation AUC, cost.

    FASTEXPLAIN_DATA=/data python benchmarks/fex_tabular.py [--tasks mlp adult ...] [--seeds 3]

For each task and seed: rho is Spearman's correlation with the exact normalised attribution of
Definition 1, mean over 200 held-out rows (of breast cancer: with 20,000 sampled masks a row);
Positive AUC is better lower, Negative AUC better higher, by accuracy (regressors: by the output)
and by the probability of the predicted class; "exact" is the same of the exact attribution.
Timings are wall clock, with torch pinned to --threads.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import _tasks
import numpy as np
import torch
from _report import mean_spread, print_table, save

from fastexplain import ExactExplainer, Explanation, FEXExplainer, RISEExplainer
from fastexplain.attribution import attribution_targets
from fastexplain.masked_model import MaskedModel
from fastexplain.maskers import TabularMasker
from fastexplain.metrics import perturbation_auc, rank_correlation
from fastexplain.predictors import make_predictor
from fastexplain.tables import as_table

TASKS: dict[str, Callable[[], _tasks.Task]] = {
    "mlp": _tasks.classification_mlp,
    "adult12-hgb": lambda: _tasks.adult("hgb", 12),
    "adult12-xgb": lambda: _tasks.adult("xgb", 12),
    "adult14-hgb": lambda: _tasks.adult("hgb", 14),
    "adult14-xgb": lambda: _tasks.adult("xgb", 14),
    "diabetes": _tasks.diabetes_regressor,
    "breast-cancer": _tasks.breast_cancer_forest,
}
COLUMNS = (
    "task method seed rho pos_auc pos_exact neg_auc neg_exact pos_probability neg_probability "
    "fit_s queries held_out"
).split()


def held_out(X: Any, n_rows: int = 200) -> Any:
    """The rows that are judged, the same for every method and seed."""
    rows = np.random.default_rng(0).permutation(len(X))[:n_rows]
    return X.iloc[rows] if hasattr(X, "iloc") else X[rows]


class Judge:
    """Exact attributions of the held-out rows, and what to compare with them."""

    def __init__(self, task: _tasks.Task, n_samples: int = 20_000) -> None:
        self.X = held_out(task.X_test)
        table = as_table(self.X)
        masker = TabularMasker().fit(task.X_train)
        predictor = make_predictor(task.model, task.X_train[:64])
        self.masked = MaskedModel(predictor, masker)
        self.regression = predictor.kind == "regression"
        outputs = self.masked.outputs(table).cpu()
        self.target = outputs.argmax(dim=1).numpy()
        rows = np.arange(len(table))
        if masker.n_players <= 20:
            exact = ExactExplainer().fit(task.X_train, task.model)
            self.truth = exact.explain(self.X).values
        else:
            rng = np.random.default_rng(1)
            sampled = attribution_targets(self.masked, table, n_samples, rng)
            self.truth = sampled.mean.numpy()[rows, self.target].astype(float)
        self.exact_auc = self.auc(self.truth)

    def auc(self, values: np.ndarray, kind: str = "") -> tuple[float, float]:
        kind = kind or ("probability" if self.regression else "accuracy")
        areas = perturbation_auc(self.masked, as_table(self.X), values, self.target, kind)
        return areas.positive, areas.negative

    def row(self, task: str, method: str, seed: int, explanation: Explanation) -> dict[str, Any]:
        positive, negative = self.auc(explanation.values)
        # accuracy ends at the share that any good order keeps; probabilities still differ then
        probabilities = self.auc(explanation.values, "probability")
        return {
            "task": task,
            "method": method,
            "seed": seed,
            "rho": float(rank_correlation(explanation.values, self.truth).mean()),
            "pos_auc": positive,
            "pos_exact": self.exact_auc[0],
            "neg_auc": negative,
            "neg_exact": self.exact_auc[1],
            "pos_probability": probabilities[0],
            "neg_probability": probabilities[1],
        }


def run_fex(task: _tasks.Task, judge: Judge, name: str, seed: int, **settings: Any) -> dict:
    explainer = FEXExplainer(random_state=seed, **settings)
    start = time.perf_counter()
    explainer.fit(task.X_train, task.model)
    seconds = time.perf_counter() - start
    row = judge.row(name, f"FEX {explainer.objective}", seed, explainer.explain(judge.X))
    row |= {"fit_s": seconds, "queries": explainer.n_model_queries_}
    return row | {"held_out": explainer.best_score_}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", nargs="+", default=list(TASKS), choices=list(TASKS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--name", default="fex_tabular", help="results/<name>.json")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    rows: list[dict[str, Any]] = []
    for name in args.tasks:
        task = TASKS[name]()
        judge = Judge(task)
        for seed in range(args.seeds):
            objectives = ["forward_kl"]
            if name == "mlp":
                objectives += ["reverse_kl", "ppo"]
            for objective in objectives:
                rows.append(run_fex(task, judge, name, seed, objective=objective))
                print_table(rows[-1:], COLUMNS)
            if name in ("mlp", "breast-cancer"):
                for n_masks in (100, 1000):
                    rise = RISEExplainer(n_masks, random_state=seed).fit(task.X_train, task.model)
                    method = f"RISE {n_masks} masks"
                    rows.append(judge.row(name, method, seed, rise.explain(judge.X)))
        save(args.name, vars(args), rows)
    print()
    print_table(rows, COLUMNS)
    print()
    for key in dict.fromkeys((row["task"], row["method"]) for row in rows):
        own = [row for row in rows if (row["task"], row["method"]) == key]
        print(
            f"{key[0]:14} {key[1]:18} rho {mean_spread(row['rho'] for row in own)}  "
            f"Positive {mean_spread(row['pos_auc'] for row in own)} "
            f"(exact {own[0]['pos_exact']:.4f})  "
            f"Negative {mean_spread(row['neg_auc'] for row in own)} "
            f"(exact {own[0]['neg_exact']:.4f})  by probability "
            f"{mean_spread(row['pos_probability'] for row in own)} "
            f"{mean_spread(row['neg_probability'] for row in own)}"
        )


if __name__ == "__main__":
    main()
