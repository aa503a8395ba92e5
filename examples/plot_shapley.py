"""
Shapley values, with a baseline or a surrogate
==============================================

Two learners of Shapley values on the diabetes data, and what it means to remove a feature when
features go together.
"""

# %%
# A model
# -------
# Ten measurements of 442 patients. Cholesterols ``s1`` and ``s2`` are nearly the same number.
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.linear_model import Ridge
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fastexplain import ExactExplainer, FastSHAPExplainer, SupervisedExplainer, SurrogateRemoval
from fastexplain.metrics import l2_error, rank_accuracy

X, y = load_diabetes(return_X_y=True, as_frame=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
model = make_pipeline(StandardScaler(), Ridge(alpha=10.0)).fit(X_train, y_train)
print(
    f"correlation of s1 and s2: {X['s1'].corr(X['s2']):.2f}, R2 {model.score(X_test, y_test):.2f}"
)

# %%
# Learn its Shapley values
# ------------------------
# ``SupervisedExplainer`` labels rows by enumeration and learns from the labels;
# ``FastSHAPExplainer`` learns from the answers to single coalitions. The settings are smaller
# than the defaults, to keep this page quick.
settings = {"n_queries": 300_000, "max_steps": 1000, "hidden_dim": 64, "random_state": 0}
truth = ExactExplainer("shapley").fit(X_train, model).explain(X_test)
for kind in (SupervisedExplainer, FastSHAPExplainer):
    explainer = kind(**settings).fit(X_train, model)
    found = explainer.explain(X_test)
    print(
        f"{kind.__name__}: l2-error {l2_error(found.values, truth.values).mean():.2f} of "
        f"{np.linalg.norm(truth.values, axis=1).mean():.1f}, Rank ACC "
        f"{rank_accuracy(found.values, truth.values).mean():.2f}, missing from the sum "
        f"{np.abs(found.efficiency_gap).mean():.2f} before correction"
    )

# %%
# One row
# -------
# Values add up from the baseline's prediction to the row's.
found[0].plot.waterfall()

# %%
# Remove by a surrogate
# ---------------------
# With the mean for a baseline, a row without ``s1`` but with a high ``s2`` is a patient that
# does not exist, and the model's opposite weights of the two show as large values of opposite
# sign. A surrogate predicts the model's output from the features that are left: it knows that
# the one tells the other.
removal = SurrogateRemoval(hidden_dim=64, max_steps=1500)
on_data = ExactExplainer("shapley", removal=removal, random_state=0).fit(X_train, model)
given = on_data.explain(X_test)
print(f"surrogate's error on held-out rows: {on_data.removal_.loss_:.3f} squared deviations")

names = list(X.columns)
place = np.arange(len(names))
fig, axis = plt.subplots(figsize=(7, 3.5))
axis.bar(place - 0.2, np.abs(truth.values).mean(axis=0), 0.4, label="baseline")
axis.bar(place + 0.2, np.abs(given.values).mean(axis=0), 0.4, label="surrogate")
axis.set_xticks(place, names)
axis.set_ylabel("mean |Shapley value|")
axis.legend()
fig.tight_layout()
