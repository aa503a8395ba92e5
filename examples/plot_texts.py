"""
Explain a text classifier
=========================

Which words make a review good or bad? The words that matter are known here, so that the answers
can be checked.
"""

# %%
# Texts and a model
# -----------------
# Reviews made of templates: each clause praises or blames something, and "not" turns it around.
# The label is what most clauses say. A pipeline of scikit-learn reads words and pairs of words.
import matplotlib.pyplot as plt
import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from fastexplain import ConceptSetExplainer, ExactExplainer, FEXExplainer, TextMasker
from fastexplain.metrics import comprehensiveness, rank_correlation, sufficiency, token_f1_curve

GOOD = "great superb lovely brilliant charming delicious friendly fresh".split()
BAD = "awful dull rude stale bland dreadful noisy filthy".split()
THINGS = "the soup,the service,our waiter,the music,my room,the dessert,the view".split(",")
VERBS = "was,felt,seemed,turned out".split(",")
ENDS = "last night,on a rainy day,for two people,after the concert,in the old town".split(",")


def write_review(rng):
    """A review, and how many clauses praise beyond those that blame."""
    clauses, balance = [], 0
    for _ in range(rng.integers(1, 4)):
        good, negated = rng.random() < 0.5, rng.random() < 0.35
        words = [rng.choice(THINGS), rng.choice(VERBS), "not" if negated else ""]
        words.append(rng.choice(GOOD if good else BAD))
        clauses.append(" ".join(filter(None, words)))
        balance += 1 if good != negated else -1
    text = ", ".join(clauses) + (" " + rng.choice(ENDS) if rng.random() < 0.6 else "")
    return text[0].upper() + text[1:] + ".", balance


rng = np.random.default_rng(0)
reviews = [write_review(rng) for _ in range(4000)]
texts = [text for text, balance in reviews if balance]
labels = ["good" if balance > 0 else "bad" for _, balance in reviews if balance]
train, test, y_train, y_test = texts[:2500], texts[2500:2700], labels[:2500], labels[2500:2700]

model = make_pipeline(TfidfVectorizer(ngram_range=(1, 2)), LogisticRegression(C=10.0))
model.fit(train, y_train)
print(f"accuracy on held-out reviews: {model.score(test, y_test):.3f}")

# %%
# Learn to explain it
# -------------------
# A player is a word or a punctuation mark; one that is removed is cut out of the text, which is
# what models without a mask token can take. ``fit`` asks the pipeline for texts with words
# missing and trains a small transformer. The settings are smaller than the defaults, to keep
# this page quick.
masker = TextMasker(unit="word")
small = {"hidden_dim": 32, "batch_size": 32}
explainer = FEXExplainer(masker=masker, max_steps=600, learning_rate=4e-3, random_state=0, **small)
explainer.fit(train, model)
print(f"{explainer.n_model_queries_:,} queries, held-out agreement {explainer.best_score_:.2f}")

# %%
# One forward pass for all reviews. Words in red speak for the predicted class, those in blue
# against it; point at one to see its value.
explanation = explainer.explain(test)
explanation.plot.text(range(6))

# %%
# ``text_figure`` draws one text for reports and papers. Here it is what speaks for "good" in the
# longest review: "not" speaks against it, and the praise that it turns around has lost its colour.
longest = int(np.argmax([len(text) for text in test]))
ax = explainer.explain(test, target="good").plot.text_figure(longest)

# %%
# Texts differ in length: values have as many columns as the longest text has words, and a text
# has the value of no effect at places beyond its own end.
short = int(np.argmin([len(text) for text in test]))
words = explainer.masker_.wrap(test).tokens(short)
print(words)
print(explanation.centered.values[short].round(2))

# %%
# How good is it?
# ---------------
# Against the attribution by enumeration, 2,048 coalitions at most, of short reviews:
sizes = explainer.masker_.wrap(test).sizes
brief = [text for text, size in zip(test, sizes, strict=True) if size <= 11]
exact = ExactExplainer(masker=masker).fit(train, model).explain(brief)
learned = explainer.explain(brief, target=[exact.output_names[k] for k in exact.target])
agreement = [
    rank_correlation(learned.values[[i], :n], exact.values[[i], :n])[0]
    for i, n in enumerate(explainer.masker_.wrap(brief).sizes)
]
print(f"rank correlation, {len(brief)} reviews: {np.mean(agreement):.2f}")

# %%
# Against the words that the labels were made of: F1 of the k best words and of a random order.
# And by the model alone: what it loses without the best words (comprehensiveness, higher is
# better) and with nothing but them (sufficiency, lower is better).
mattering = {*GOOD, *BAD, "not"}
tokens = explainer.masker_.wrap(test).tokens
rationales = [[word.lower() in mattering for word in tokens(i)] for i in range(len(test))]
shuffled = np.random.default_rng(0).random(explanation.shape)
masked = explainer.masked_model_
fig, ax = plt.subplots(figsize=(5, 3), layout="constrained")
for name, values in {"FEX": explanation.values, "random order": shuffled}.items():
    f1 = token_f1_curve(values, rationales, counts=range(1, 9))
    ax.plot(f1.counts, f1.curve, "o-", label=name)
    lost = comprehensiveness(masked, test, values, shares=[0.2]).mean()
    left = sufficiency(masked, test, values, shares=[0.2]).mean()
    print(f"{name:14} comprehensiveness {lost:.2f}, sufficiency {left:.2f}")
ax.set_xlabel("words taken")
ax.set_ylabel("F1 with the words that matter")
ax.legend(frameon=False)

# %%
# The fewest words that keep the prediction
# -----------------------------------------
# Values are the chance that a word is in the smallest set that keeps the prediction. Where words
# are few each of them weighs much: one of nine costs a third of what all nine cost. With a
# ``size_weight`` below 1 they are cheaper, lest nothing at all be best. ``"scan"`` tries every
# number of words, which texts as short as these can afford.
concepts = ConceptSetExplainer(
    masker=masker,
    size_weight=0.3,
    n_sets=32,
    inner_updates=2,
    max_steps=300,
    learning_rate=2e-3,
    random_state=0,
    **small,
)
concepts.fit(train, model)
sets = concepts.minimal_sets(test, epsilon=0.1, search="scan")
print(f"{sets.sizes.mean():.1f} of {sizes.mean():.1f} words on average")
for i in range(6):
    chosen = [word for j, word in enumerate(tokens(i)) if sets.masks[i, j]]
    print(f"{test[i]}\n    {concepts.output_names_[sets.target[i]]}: {' '.join(chosen)}")

# %%
# Read them with care. The model is asked about what is left of a text, and what is left may say
# something else than its writer did: without its "not", "not delicious" is praise.
