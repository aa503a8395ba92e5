"""
Explain a fitted pipeline
=========================

A model on a raw DataFrame, with text, numbers and missing cells, explained from end to end:
learn once, then one forward pass for any number of rows.
"""

# %%
# A table and a model
# -------------------
# A small table of loan applications with a known rule, so that we can see whether the
# explanations find it: income and debt decide, the region matters only for the young.
import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder

from fastexplain import ExactExplainer, FEXExplainer

rng = np.random.default_rng(0)
n = 3000
df = pd.DataFrame(
    {
        "income": rng.gamma(4.0, 12.0, n).round(1),
        "debt": rng.gamma(2.0, 8.0, n).round(1),
        "age": rng.integers(18, 80, n),
        "region": rng.choice(["north", "south", "west"], n),
        "employed": rng.random(n) < 0.8,
        "shoe_size": rng.normal(42, 3, n).round(),
    }
)
logit = 0.06 * (df["income"] - 45) - 0.08 * (df["debt"] - 15) + 0.8 * df["employed"]
logit += np.where((df["age"] < 30) & (df["region"] == "south"), -2.0, 0.0)
y = np.where(rng.random(n) < 1 / (1 + np.exp(-logit)), "granted", "refused")
df.loc[rng.random(n) < 0.05, "debt"] = np.nan

codes = ColumnTransformer([("codes", OrdinalEncoder(), ["region"])], remainder="passthrough")
clf = make_pipeline(codes, HistGradientBoostingClassifier(max_iter=60, random_state=0))
clf.fit(df[:2000], y[:2000])

# %%
# Learn to explain it
# -------------------
# ``fit`` asks the model about masked rows and trains a small network. The settings here are
# smaller than the defaults, to keep this page quick. ``best_score_`` says how well the
# explainer agrees with attributions of rows that it was not trained on.
explainer = FEXExplainer(n_queries=300_000, max_steps=1000, random_state=0)
explainer.fit(df[:2000], clf)
print(f"{explainer.n_model_queries_:,} queries, held-out agreement {explainer.best_score_:.3f}")

# %%
# Explain
# -------
# One forward pass. Values are E[m] of the empirical attribution, in [0, 1]; what a feature
# without effect would get is in ``neutral_values``.
explanation = explainer.explain(df[2000:], target="granted")
explanation

# %%
# Against the exact answer, by enumeration of all 64 coalitions of each row:
from fastexplain.metrics import rank_correlation

exact = ExactExplainer().fit(df[:2000], clf).explain(df[2000:2200], target="granted")
print(rank_correlation(explanation.values[:200], exact.values).mean().round(3))

# %%
# Plots
# -----
# ``to_shap()`` gives a ``shap.Explanation`` that all of shap's plots take;
# ``explanation.plot`` draws the common ones.
explanation.plot.bar()

# %%
explanation.plot.beeswarm()

# %%
explanation.plot.waterfall(3)

# %%
# The course of training:
import matplotlib.pyplot as plt

fig, ax = plt.subplots(figsize=(6, 3))
ax.plot(explainer.history_["step"], explainer.history_["score"])
ax.set(xlabel="step", ylabel="held-out rank correlation")
fig.tight_layout()

# %%
# Save, load, serve
# -----------------
# A folder of JSON and safetensors, without the model. Given a class, no model is needed.
import tempfile
from pathlib import Path

import fastexplain

folder = Path(tempfile.mkdtemp()) / "loan-explainer"
explainer.save(folder)
served = fastexplain.load(folder)
served.explain(df[2000:2003], target="refused").to_frame()
