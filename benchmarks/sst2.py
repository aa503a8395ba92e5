"""SST-2 and movie reviews: concept sets and FEX of a BERT; Figure 3 of both papers.

    FASTEXPLAIN_DATA=/data python benchmarks/sst2.py [--runs ...] [--reviews 15] [--part val]

The target is MiniLM fine-tuned on SST-2 (``_texts.py``), served in bfloat16. With ``--reviews 15``,
the small setting, all takes 16 minutes of one core. Two tables and a figure come of it:

- SST-2: comprehensiveness (higher is better), sufficiency (lower) and perturbation AUC of the
  predicted class of sentences of dev, and the smallest prefix of tokens that keeps the
  prediction within 0.1.
- ERASER's movie reviews, Figure 3 of the FEX paper and of the concept set paper: token F1 of the
  10, 20, ..., 80 most important tokens against the words that people marked, at random, for
  RISE with 100 masks, Grad-CAM of the last hidden state, and learned explainers. Those called
  "movies" are fitted on sentences of the training reviews (the FEX paper: on the reviews), the
  others on training sentences of SST-2. ``results/<name>_f1.png`` draws the curves.

A review is cut at the model's 512 tokens and explained for the class predicted of it, in one
piece, as in the papers, or sentence by sentence, as the target and the explainers have learned
to read; either way once more with each token's value replaced by the mean over its
neighbourhood, since people mark phrases. All methods are read in all four ways. What is done was
chosen on ``--part val``. Each run's row is saved as soon as it is there; runs that are saved with
the same parameters are not made again.
"""

from __future__ import annotations

import argparse
import copy
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from _report import RESULTS, print_table, save, saved_rows
from _rivals import grad_cam
from _texts import marked_reviews, movies, rationale_of_players, sentences, sst2, sst2_target

from fastexplain import (
    ConceptSetExplainer,
    CoRTXExplainer,
    FastSHAPExplainer,
    FEXExplainer,
    RISEExplainer,
    TextMasker,
)
from fastexplain.attribution import minimal_prefixes
from fastexplain.labels import KernelShapley
from fastexplain.metrics import (
    comprehensiveness,
    perturbation_auc,
    sufficiency,
    token_f1_curve,
)

SMALL: dict[str, Any] = {
    "hidden_dim": 128,
    "n_blocks": 1,
    "batch_size": 32,
    "max_steps": 2000,
}
FEX: dict[str, Any] = {"network": "hidden", "n_masks": 48}
SETS: dict[str, Any] = {"network": "hidden"}
KERNEL: dict[str, Any] = {"network": "hidden", "label_source": "kernel", "n_labels": 200}
# what learns, its parameters, and the texts that it is fitted on
RUNS: dict[str, tuple[Any, dict[str, Any], str]] = {
    "FEX": (FEXExplainer, FEX, "sst2"),
    "FEX movies": (FEXExplainer, FEX, "movies"),
    "concept sets": (ConceptSetExplainer, SETS, "sst2"),
    "concept sets movies": (ConceptSetExplainer, SETS, "movies"),
    "FEX transformer": (FEXExplainer, FEX | {"network": "transformer"}, "sst2"),
    "concept sets, Eq. 20": (ConceptSetExplainer, {"network": "hidden_classes"}, "sst2"),
    "FastSHAP": (FastSHAPExplainer, {"network": "hidden", "n_masks": 16}, "sst2"),
    "CoRTX": (CoRTXExplainer, KERNEL, "sst2"),
}
LINES: dict[str, dict[str, Any]] = {
    "random": {"ls": ":"},
    "Grad-CAM": {"ls": "--", "marker": "x"},
    "RISE 100": {"ls": "-.", "marker": "^"},
}
RIVALS = ("random", "Grad-CAM", "RISE 100", "KernelSHAP 256")
# Figure 3's; the others take as long again
DEFAULT = [*RIVALS[:3], *list(RUNS)[:4]]
COUNTS = (10, 20, 30, 40, 50, 60, 70, 80)
READINGS = {
    "whole": "whole reviews",
    "smooth": "whole, neighbours averaged",
    "sentences": "by sentences",
    "sentences smooth": "by sentences, neighbours averaged",
}
RADIUS = 2  # neighbours on each side; 1 to 5 were about as good
# values that are shares of what all masks score: to compare sentences, they are weighted by the
# probability that each gives the class
RELATIVE = ("FEX", "FEX movies", "FEX transformer", "RISE 100")

Attribute = Callable[[Any, np.ndarray], np.ndarray]  # of texts and classes, zero is no effect


class Reviews:
    """Marked reviews, and F1 of attributions of them in each reading."""

    def __init__(self, part: str, n: int, masked: Any) -> None:
        self.masked = masked
        reviews = marked_reviews(part, masked.masker, n)
        self.samples = masked.masker.wrap([review.text for review in reviews])
        answers = masked.outputs(self.samples).float().cpu().numpy()
        self.target = answers.argmax(axis=1)
        self.accuracy = float(np.mean(self.target == [review.label for review in reviews]))
        pairs = zip(reviews, self.samples.spans, strict=True)
        self.marked = [rationale_of_players(review, spans) for review, spans in pairs]
        pieces = [sentences(review) for review in reviews]
        self.owner = np.repeat(np.arange(len(reviews)), [len(own) for own in pieces])
        self.sentences = masked.masker.wrap([text for own in pieces for text in own])
        given = masked.outputs(self.sentences).float().cpu().numpy()
        self.chance = given[np.arange(len(given)), self.target[self.owner]]

    def f1(self, attribute: Attribute, relative: bool) -> dict[str, list[float]]:
        """Curve of each reading."""
        sizes = self.samples.sizes
        whole = attribute(self.samples, self.target)
        rows = [row[:size] for row, size in zip(whole, sizes, strict=True)]
        found = attribute(self.sentences, self.target[self.owner])
        if relative:
            found = found * self.chance[:, None]
        parts = [row[:size] for row, size in zip(found, self.sentences.sizes, strict=True)]
        joined = [
            np.concatenate([parts[j] for j in np.flatnonzero(self.owner == i)])
            for i in range(len(sizes))
        ]
        readings = {
            "whole": rows,
            "smooth": [smooth(row) for row in rows],
            "sentences": joined,
            "sentences smooth": [smooth(row) for row in joined],
        }
        return {name: self._curve(rows) for name, rows in readings.items()}

    def _curve(self, rows: list[np.ndarray]) -> list[float]:
        values = np.zeros((len(rows), max(map(len, rows))))
        for row, own, marked in zip(values, rows, self.marked, strict=True):
            if len(own) != len(marked):
                raise ValueError(f"{len(own)} values of a review of {len(marked)} tokens.")
            row[: len(own)] = own
        curve = token_f1_curve(values, self.marked, counts=COUNTS).curve
        return [round(float(f), 4) for f in curve]


def smooth(row: np.ndarray) -> np.ndarray:
    """Mean of each value and its neighbours, fewer at the ends."""
    window = np.ones(2 * RADIUS + 1)
    total = np.convolve(row, window)[RADIUS : RADIUS + len(row)]
    return total / np.convolve(np.ones(len(row)), window)[RADIUS : RADIUS + len(row)]


def fit_texts(source: str, n: int) -> list[str]:
    """Training sentences of eight words or more, of SST-2 or of movie reviews."""
    if source == "movies":
        texts = [text for review in movies("train") for text in sentences(review)]
    else:
        # mostly pieces of sentences
        texts = sst2("train")[0]
    texts = [text for text in texts if len(text.split()) >= 8]
    order = np.random.default_rng(0).permutation(len(texts))[:n]
    return [texts[i] for i in order]


def settings_of(run: str, args: argparse.Namespace) -> dict[str, Any]:
    """What a run's numbers depend on, as JSON values."""
    given = {name: getattr(args, name) for name in ("texts", "reviews", "part")}
    if run in RUNS:
        given |= {"train": args.train, "queries": args.queries}
        given |= SMALL | RUNS[run][1] | {"fitted on": RUNS[run][2]}
    return given


def draw(rows: list[dict[str, Any]], name: str, title: str) -> None:
    """Curves of each reading, as Figure 3 has them."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(2, 2, figsize=(10, 7.5), sharex=True, sharey=True)
    names = [run for run in (*RIVALS, *RUNS) if any(row["run"] == run for row in rows)]
    for axis, (reading, label) in zip(axes.flat, READINGS.items(), strict=True):
        for run in names:
            own = [row["f1"][reading] for row in rows if row["run"] == run]
            style = {"color": "0.35"} | LINES.get(run, {})
            if run in RUNS:
                style = {"color": f"C{[*RUNS].index(run)}", "ls": "-", "marker": "o"}
            axis.plot(COUNTS, np.mean(own, axis=0), label=run, markersize=4, **style)
        axis.set_title(label, fontsize=10)
        axis.grid(alpha=0.3)
    # not before all is drawn: it ends the search for the top
    axes[0, 0].set_ylim(bottom=0)
    for axis in axes[1]:
        axis.set_xlabel("tokens inserted, most important first")
    for axis in axes[:, 0]:
        axis.set_ylabel("token F1")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.suptitle(title)
    figure.legend(handles, labels, loc="lower center", ncols=4, frameon=False)
    figure.tight_layout(rect=(0, 0.03 + 0.025 * -(-len(names) // 4), 1, 1))
    figure.savefig(RESULTS / f"{name}_f1.png", dpi=110)
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", nargs="*", default=DEFAULT, choices=[*RIVALS, *RUNS])
    parser.add_argument("--texts", type=int, default=100, help="sentences of dev that are judged")
    parser.add_argument("--train", type=int, default=4000, help="texts to fit on")
    parser.add_argument("--reviews", type=int, default=40, help="reviews to explain; 0 for none")
    parser.add_argument("--part", choices=["val", "test"], default="test", help="of the reviews")
    parser.add_argument("--queries", type=int, default=40_000, help="texts asked for in fit")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--name", default="sst2", help="of the files in results/")
    parser.add_argument("--fresh", action="store_true", help="forget what is saved")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    saved = [] if args.fresh else saved_rows(args.name)
    known = [row for row in saved if row["run"] in (*RIVALS, *RUNS) and "params" in row]
    rows = [row for row in known if row["params"] == settings_of(row["run"], args)]
    done = {(row["run"], row["seed"]) for row in rows}
    runs = [run for run in args.runs if (run, args.seed) not in done]
    if runs:
        make(runs, args, rows)
    columns = ["run", "seed", "comprehensiveness", "sufficiency", "positive_p", "negative_p"]
    print(f"\nSST-2, {args.texts} sentences of dev")
    print_table(rows, [*columns, "set_size", "queries", "fit_s", "explain_s"])
    marked = [row for row in rows if row.get("f1")]
    if not marked:
        return
    for reading, label in READINGS.items():
        print(f"\nFigure 3: token F1, {args.reviews} reviews of {args.part}, {label}")
        lines = [
            {"run": row["run"], "seed": row["seed"], "mean": float(np.mean(row["f1"][reading]))}
            | dict(zip(map(str, COUNTS), row["f1"][reading], strict=True))
            for row in marked
        ]
        print_table(lines, list(lines[0]))
    draw(marked, args.name, f"Token F1, {args.reviews} movie reviews of ERASER's {args.part} set")


def make(runs: list[str], args: argparse.Namespace, rows: list[dict[str, Any]]) -> None:
    """Make runs, and save them one by one."""
    module, tokenizer = sst2_target(verbose=False)
    module.eval()
    model = (copy.deepcopy(module).to(torch.bfloat16), tokenizer)
    masker: Any = TextMasker(tokenizer)
    X_test = sst2("dev")[0][: args.texts]
    rise = RISEExplainer(100, masker=masker, random_state=args.seed)
    rise.fit(fit_texts("sst2", 200), model)
    masked = rise.masked_model_
    samples = masked.masker.wrap(X_test)
    target = masked.outputs(samples).argmax(dim=1).cpu().numpy()
    reviews = Reviews(args.part, args.reviews, masked) if args.reviews else None
    if reviews is not None:
        print(f"reviews: accuracy {reviews.accuracy:.3f}", flush=True)
    rng = np.random.default_rng(args.seed)

    def kernel(given: Any, chosen: np.ndarray) -> np.ndarray:
        values = KernelShapley(256).labels(masked, given, rng).values
        return values[np.arange(len(values)), :, chosen]

    rivals: dict[str, Attribute] = {
        "random": lambda given, chosen: rng.random(masked.masker.null_players(given).shape),
        # in float32, which costs it no queries and gradients no digits
        "Grad-CAM": lambda given, chosen: grad_cam(module, masked.masker, given, chosen),
        "RISE 100": lambda given, chosen: explained(rise, given, chosen),
        "KernelSHAP 256": kernel,
    }
    for run in runs:
        row: dict[str, Any] = {"run": run, "seed": args.seed, "params": settings_of(run, args)}
        if run in RIVALS:
            attribute = rivals[run]
        else:
            start = time.perf_counter()
            kind, own, source = RUNS[run]
            params = SMALL | own | {"n_queries": args.queries}
            explainer = kind(masker=masker, random_state=args.seed, **params)
            explainer.fit(fit_texts(source, args.train), model)
            row |= {"fit_s": time.perf_counter() - start, "queries": explainer.n_model_queries_}
            row |= {"best_score": explainer.best_score_, "steps": explainer.n_iter_}

            def attribute(given: Any, chosen: np.ndarray, by: Any = explainer) -> np.ndarray:
                return explained(by, given, chosen)

        start = time.perf_counter()
        values = attribute(samples, target)
        row["explain_s"] = time.perf_counter() - start
        given = (masked, samples, values, target)
        curves = perturbation_auc(*given, "probability", n_steps=10)
        row |= {
            "comprehensiveness": float(comprehensiveness(*given).mean()),
            "sufficiency": float(sufficiency(*given).mean()),
            "positive_p": curves.positive,
            "negative_p": curves.negative,
            "set_size": float(minimal_prefixes(*given, 0.1).sizes.mean()),
        }
        # 256 masks of each review and each sentence take too long
        if reviews is not None and run != "KernelSHAP 256":
            start = time.perf_counter()
            row["f1"] = reviews.f1(attribute, run in RELATIVE)
            row["reviews_s"] = time.perf_counter() - start
        rows.append(row)
        print_table([row], [name for name in row if name not in ("params", "f1")])
        # after each, since a run takes minutes
        save(args.name, vars(args), rows)


def explained(explainer: Any, given: Any, chosen: np.ndarray) -> np.ndarray:
    """Values above those of no effect, of the classes at these positions."""
    explanation = explainer.explain(given.native, target=explainer.classes_[chosen])
    return explanation.centered.values


if __name__ == "__main__":
    main()
