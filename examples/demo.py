"""Train a model, learn to explain it, and hold the explanations against the usual methods.

Run by ``make demo``. Prints a table and writes ``demo_beeswarm.png`` into the current folder.
"""

from __future__ import annotations

import sys
import time
import warnings
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import numpy as np
import shap
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import train_test_split

from fastexplain import ExactExplainer, FEXExplainer
from fastexplain.metrics import perturbation_auc, rank_correlation

N_KERNEL = 40  # rows for the slow methods; every method is judged on these


class Counter:
    """Counts the rows that a rival asks the model for."""

    def __init__(self, model, columns):
        self.model, self.columns, self.rows = model, columns, 0

    def __call__(self, X):
        import pandas as pd

        self.rows += len(X)
        return self.model.predict_proba(pd.DataFrame(X, columns=self.columns))


def main() -> None:
    data = load_breast_cancer(as_frame=True)
    X = data.data.filter(like="worst")
    X_train, X_test, y_train, y_test = train_test_split(X, data.target, random_state=0)
    model = HistGradientBoostingClassifier(random_state=0).fit(X_train, y_train)
    print(f"Model: gradient boosting, accuracy {model.score(X_test, y_test):.3f} on held-out rows")

    explainer = FEXExplainer(verbose=1, random_state=0)
    start = time.perf_counter()
    explainer.fit(X_train, model)
    fit_seconds = time.perf_counter() - start
    print(
        f"FEXExplainer: fitted in {fit_seconds:.0f} s with {explainer.n_model_queries_:,} model "
        f"queries; agreement on held-out training rows {explainer.best_score_:.3f}\n"
    )

    rows = X_test[:N_KERNEL]
    masked = explainer.masked_model_
    target = model.predict(rows)
    exact = ExactExplainer().fit(X_train, model).explain(rows, target=target)
    shapley = ExactExplainer(kind="shapley").fit(X_train, model).explain(rows, target=target)
    pick = np.arange(len(rows)), slice(None), target

    # the wall clock of the whole test set: one forward pass, the predicted class given
    start = time.perf_counter()
    explainer.explain(X_test, target=model.predict(X_test))
    fex_seconds = (time.perf_counter() - start) / len(X_test)
    results = {
        "FEX (one forward pass)": (
            explainer.explain(rows, target=target).values,
            fex_seconds,
            0.0,
        )
    }
    background = explainer.masker_.background_.native.to_numpy()
    for name in ("KernelSHAP", "permutation Shapley"):
        counter = Counter(model, list(X.columns))
        start = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if name == "KernelSHAP":
                kernel = shap.KernelExplainer(counter, background)
                values = kernel.shap_values(
                    rows.to_numpy(), nsamples=256, l1_reg=False, silent=True
                )
            else:
                masker = shap.maskers.Independent(background)
                permutation = shap.PermutationExplainer(counter, masker, seed=0)
                values = permutation(rows.to_numpy(), max_evals=210, silent=True).values
        seconds = (time.perf_counter() - start) / len(rows)
        results[name] = np.asarray(values)[pick], seconds, counter.rows / len(rows)

    header = ("", "ms a row", "queries a row", "rho phi", "rho Shapley", "Pos. AUC", "Neg. AUC")
    print("{:24}{:>10}{:>15}{:>9}{:>13}{:>10}{:>10}".format(*header))
    results["exact phi"] = exact.values, float("nan"), 2.0 ** X.shape[1]
    results["exact Shapley"] = shapley.values, float("nan"), 2.0 ** X.shape[1]
    for name, (values, seconds, queries) in results.items():
        auc = perturbation_auc(masked, rows, values, target, kind="probability")
        print(
            f"{name:24}{1e3 * seconds:10.3f}{queries:15.0f}"
            f"{rank_correlation(values, exact.values).mean():9.3f}"
            f"{rank_correlation(values, shapley.values).mean():13.3f}"
            f"{auc.positive:10.3f}{auc.negative:10.3f}"
        )
    print(
        "\nrho: rank correlation with the exact empirical attribution (phi, what FEX learns) and "
        "with exact\nShapley values (what the others estimate). Positive AUC: lower is better; "
        "Negative AUC: higher."
    )
    slow = results["KernelSHAP"][1]
    print(f"FEX is cheaper than KernelSHAP from row {int(np.ceil(fit_seconds / slow)):,} on.")

    explanation = explainer.explain(X_test, target=1)
    ax = explanation.plot.beeswarm()
    ax.set_title(f"What makes a tumour {data.target_names[1]}: FEX, {len(X_test)} test rows")
    ax.figure.set_size_inches(9, 5)
    ax.figure.tight_layout()
    path = Path("demo_beeswarm.png").resolve()
    ax.figure.savefig(path, dpi=120)
    print(f"Wrote {path}")


if __name__ == "__main__":
    sys.exit(main())
