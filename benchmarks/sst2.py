"""SST-2 and ERASER movie reviews: FEX and concept sets of a BERT; Concept Figure 3.

    FASTEXPLAIN_DATA=/data python benchmarks/sst2.py [--runs ...] [--reviews 40]

The target is MiniLM fine-tuned on SST-2 (``_texts.py``), served in bfloat16. Explainers are
fitted on training sentences and judged on sentences of dev that neither saw: comprehensiveness
(higher is better), sufficiency (lower) and perturbation AUC of the predicted class, and the
smallest prefix of tokens that keeps the prediction within 0.1. The same explainers, fitted on
sentences, then rank the tokens of movie reviews, against the words that people marked: token F1
as tokens are inserted. Rows are saved as they come.
"""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

import numpy as np
import torch
from _report import RESULTS, print_table, save
from _texts import movies, rationale_of_players, sst2, sst2_target

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
RUNS: dict[str, tuple[Any, dict[str, Any]]] = {
    "FEX": (FEXExplainer, {"network": "hidden", "n_masks": 48}),
    "FEX transformer": (FEXExplainer, {"network": "transformer", "n_masks": 48}),
    "concept sets": (ConceptSetExplainer, {"network": "hidden"}),
    "concept sets, Eq. 20": (ConceptSetExplainer, {"network": "hidden_classes"}),
    "FastSHAP": (FastSHAPExplainer, {"network": "hidden", "n_masks": 16}),
    "CoRTX": (CoRTXExplainer, {"network": "hidden", "label_source": "kernel", "n_labels": 200}),
}
RIVALS = ("random", "RISE 100", "KernelSHAP 256")
COUNTS = (10, 20, 30, 40, 50, 60, 70, 80)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", nargs="*", default=[*RIVALS, *RUNS])
    parser.add_argument("--texts", type=int, default=200, help="sentences of dev that are judged")
    parser.add_argument("--train", type=int, default=4000, help="sentences to fit on")
    parser.add_argument("--reviews", type=int, default=40)
    parser.add_argument("--queries", type=int, default=100_000, help="texts asked for in fit")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    module, tokenizer = sst2_target(verbose=False)
    model = (module.to(torch.bfloat16).eval(), tokenizer)
    texts, _ = sst2("train")
    # the training set is mostly pieces of sentences
    sentences = [text for text in texts if len(text.split()) >= 8]
    order = np.random.default_rng(0).permutation(len(sentences))[: args.train]
    X = [sentences[i] for i in order]
    X_test = sst2("dev")[0][: args.texts]
    reviews = movies("test")[: args.reviews]
    masker = TextMasker(tokenizer)
    rise = RISEExplainer(100, masker=masker, random_state=args.seed).fit(X[:200], model)
    masked = rise.masked_model_
    samples = masked.masker.wrap(X_test)
    target = masked.outputs(samples).argmax(dim=1).cpu().numpy()
    long, marked = None, []
    if reviews:
        long = masked.masker.wrap([review.text for review in reviews])
        pairs = zip(reviews, long.spans, strict=True)
        marked = [rationale_of_players(review, spans) for review, spans in pairs]
    path = RESULTS / "sst2.json"
    rows: list[dict[str, Any]] = json.loads(path.read_text())["rows"] if path.exists() else []
    rng = np.random.default_rng(args.seed)

    def kernel(given: Any, n: int) -> np.ndarray:
        values = KernelShapley(n).labels(masked, given, rng).values
        chosen = masked.outputs(given).argmax(dim=1).cpu().numpy()
        return values[np.arange(len(values)), :, chosen]

    for run in args.runs:
        row: dict[str, Any] = {"run": run, "seed": args.seed, "texts": len(X_test)}
        start = time.perf_counter()
        attribute: Any
        if run == "random":
            attribute = lambda given: rng.random(masked.masker.null_players(given).shape)  # noqa: E731
        elif run == "RISE 100":
            attribute = lambda given: rise.explain(given.native).values  # noqa: E731
        elif run == "KernelSHAP 256":
            attribute = lambda given: kernel(given, 256)  # noqa: E731
        else:
            kind, own = RUNS[run]
            params = SMALL | own | {"n_queries": args.queries}
            explainer = kind(masker=masker, random_state=args.seed, **params).fit(X, model)
            row |= {"fit_s": time.perf_counter() - start, "queries": explainer.n_model_queries_}
            row |= {"best_score": explainer.best_score_, "steps": explainer.n_iter_}
            attribute = lambda given: explainer.explain(given.native).values  # noqa: E731, B023
        start = time.perf_counter()
        values = attribute(samples)
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
        if run != "KernelSHAP 256" and long is not None:
            start = time.perf_counter()
            curve = token_f1_curve(attribute(long), marked, counts=COUNTS)
            row |= {"token_f1": curve.mean, "reviews": len(reviews)}
            row["f1_curve"] = [round(float(f), 4) for f in curve.curve]
            row["reviews_s"] = time.perf_counter() - start
        rows = [r for r in rows if (r["run"], r["seed"]) != (run, args.seed)] + [row]
        print_table([row], list(row))
        save("sst2", vars(args), rows)
    columns = ["run", "comprehensiveness", "sufficiency", "positive_p", "negative_p", "set_size"]
    print_table(rows, [*columns, "token_f1", "fit_s", "explain_s", "reviews_s"])


if __name__ == "__main__":
    main()
