"""
Explain an image classifier
===========================

Which pixels make a network see a 3? Attributions in one forward pass, and the fewest pixels that
keep the prediction.
"""

# %%
# Images and a model
# ------------------
# The handwritten digits that come with scikit-learn, 8 x 8 pixels, and a small convolutional
# network. Any model will do: torch modules get tensors with the axes in your own order, other
# models get arrays.
import time

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

from fastexplain import ConceptSetExplainer, FEXExplainer, ImageMasker, RISEExplainer
from fastexplain.metrics import perturbation_auc

X, y = load_digits(return_X_y=True)
images = (X / 16).astype("float32").reshape(-1, 8, 8)
X_train, X_test, y_train, y_test = train_test_split(images, y, test_size=400, random_state=0)

torch.manual_seed(0)
model = nn.Sequential(
    nn.Unflatten(1, (1, 8)),  # (n, 8, 8) to (n, 1, 8, 8)
    nn.Conv2d(1, 16, 3, padding=1),
    nn.ReLU(),
    nn.Conv2d(16, 32, 3, stride=2, padding=1),
    nn.ReLU(),
    nn.Flatten(),
    nn.Linear(32 * 16, 10),
)
optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
inputs, labels = torch.from_numpy(X_train), torch.from_numpy(y_train)
for _ in range(15):
    for rows in torch.randperm(len(inputs)).split(64):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(inputs[rows]), labels[rows]).backward()
        optimizer.step()
model.eval()
with torch.inference_mode():
    found = model(torch.from_numpy(X_test)).argmax(dim=1).numpy()
print(f"accuracy on held-out images: {(found == y_test).mean():.3f}")

# %%
# Learn to explain it
# -------------------
# A player is a patch of pixels; here every pixel is one. Removing it paints it black, which is
# 0 and the colour of the background. ``output="logits"`` says that the network's outputs need
# a softmax. The network is smaller and trains less long than by default, to keep this page
# quick.
masker = ImageMasker(patch_size=1, fill="zero")
small = {"hidden_dim": 32, "n_blocks": 1, "batch_size": 32, "max_steps": 300}
explainer = FEXExplainer(
    masker=masker, output="logits", learning_rate=2e-3, random_state=0, **small
)
explainer.fit(X_train, model)
print(f"{explainer.n_model_queries_:,} queries, held-out agreement {explainer.best_score_:.2f}")

# %%
# One forward pass for all the test images. Red pixels speak for the predicted digit, blue ones
# against it. Black pixels change nothing when they are painted black, and have no colour.
explanation = explainer.explain(X_test)
axes = explanation.plot.image(rows=range(8), columns=4)

# %%
# With ``target="all"`` every digit has its say. The 4 itself is nearly certain, so that few pixels
# matter to it; what would make it a 7 or a 9, and what speaks against that, shows clearly.
row = int(np.flatnonzero(found == 4)[0])
everything = explainer.explain(X_test[row : row + 1], target="all")
axes = everything.plot.image(outputs=["1", "4", "7", "9"])

# %%
# How good is it?
# ---------------
# Take away the most important pixels first, and the probability should fall at once (Positive
# AUC, lower is better); take away the least important first, and it should stay (Negative AUC,
# higher is better). RISE asks the model 1,000 times for each image and is the rival; a random
# order is the floor.
some = X_test[:200]
start = time.perf_counter()
learned = explainer.explain(some)
ours = time.perf_counter() - start
rise = RISEExplainer(1000, masker=masker, output="logits", random_state=0).fit(X_train, model)
start = time.perf_counter()
sampled = rise.explain(some)
theirs = time.perf_counter() - start

masked = explainer.masked_model_
rivals = {
    "FEX, one forward pass": learned.values,
    "RISE, 1,000 queries an image": sampled.values,
    "random order": np.random.default_rng(0).random(learned.shape),
}
fig, axes = plt.subplots(1, 2, figsize=(8, 3), sharey=True, layout="constrained")
for name, values in rivals.items():
    auc = perturbation_auc(masked, some, values, learned.target, kind="probability")
    print(f"{name:30} Positive AUC {auc.positive:.3f}  Negative AUC {auc.negative:.3f}")
    style = "--" if name.startswith("RISE") else "-"
    axes[0].plot(auc.shares, auc.positive_curve, style, label=name)
    axes[1].plot(auc.shares, auc.negative_curve, style, label=name)
axes[0].set_title("most important pixels first")
axes[1].set_title("least important pixels first")
axes[0].set_ylabel("probability of the digit")
axes[0].legend(frameon=False)
for ax in axes:
    ax.set_xlabel("share of pixels removed")
print(f"{len(some)} images: {ours:.2f} s against {theirs:.2f} s")

# %%
# The fewest pixels that keep the prediction
# ------------------------------------------
# :class:`~fastexplain.ConceptSetExplainer` is trained for another question. Its values are the
# chance that a pixel belongs to the smallest set that keeps the prediction; ``minimal_sets``
# then asks the model a few times for each image to find how many of the best pixels are needed.
# With these alone the probability loses less than ``epsilon``: that is checked, not hoped for.
concepts = ConceptSetExplainer(
    masker=masker, output="logits", n_sets=32, inner_updates=2, learning_rate=2e-3,
    random_state=0, **small
)  # fmt: skip
concepts.fit(X_train, model)
sets = concepts.minimal_sets(some, epsilon=0.1)
print(f"{sets.sizes.mean():.1f} of 64 pixels on average, largest loss {sets.drops.max():.3f}")

kept = np.where(sets.masks.reshape(-1, 8, 8), some, 0.0)
fig, axes = plt.subplots(2, 8, figsize=(8, 2.5), layout="constrained")
for column in range(8):
    axes[0, column].imshow(some[column], cmap="gray", vmin=0, vmax=1)
    axes[1, column].imshow(kept[column], cmap="gray", vmin=0, vmax=1)
    axes[1, column].set_xlabel(f"{sets.sizes[column]} pixels")
    axes[0, column].set_title(concepts.output_names_[sets.target[column]])
for ax in axes.flat:
    ax.set_xticks([])
    ax.set_yticks([])
axes[0, 0].set_ylabel("image")
axes[1, 0].set_ylabel("kept")

# %%
# The same search through the other rankings shows what training for it is worth.
from fastexplain.attribution import minimal_prefixes

samples = masked.masker.wrap(some)
for name, values in rivals.items():
    other = minimal_prefixes(masked, samples, values, learned.target, epsilon=0.1)
    print(f"{name:30} {other.sizes.mean():.1f} pixels")
print(f"{'ConceptSetExplainer':30} {sets.sizes.mean():.1f} pixels")
