"""
Adult census: the raw table
===========================

Fourteen columns of text, numbers and missing cells into a ColumnTransformer and gradient
boosting. The table is read from the folder named by ``FASTEXPLAIN_DATA`` (UCI's own files in
``adult/``) or fetched from OpenML. Run as ``python examples/adult_census.py``; it takes a
minute or two.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))
from _tasks import adult

from fastexplain import ExactExplainer, FEXExplainer
from fastexplain.metrics import rank_correlation

task = adult("hgb")
print(task.X_train.dtypes.to_string())
print(f"accuracy {task.accuracy:.3f}")

explainer = FEXExplainer(verbose=1, random_state=0)
start = time.perf_counter()
explainer.fit(task.X_train, task.model)
print(f"fitted in {time.perf_counter() - start:.0f} s, {explainer.n_model_queries_:,} queries")

rows = task.X_test.sample(200, random_state=0)
explanation = explainer.explain(rows)
exact = ExactExplainer().fit(task.X_train, task.model).explain(rows)
agreement = rank_correlation(explanation.values, exact.values).mean()
print(f"rank correlation with the exact attribution of 200 held-out rows: {agreement:.3f}")

start = time.perf_counter()
everyone = explainer.explain(task.X_test, target=">50K")
seconds = time.perf_counter() - start
print(f"explained {len(task.X_test):,} rows in {seconds:.2f} s")
print(everyone.to_frame().describe().loc[["mean", "std"]].T)
