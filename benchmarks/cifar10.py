"""CIFAR-10, 64 patches of 4x4: FEX Tables 2 and 4, Figures 3 and 4; Concept Table 1's curves.

    FASTEXPLAIN_DATA=/data python benchmarks/cifar10.py [--target resnet] [--runs ...]

A target is trained once (``_images.py``) and served in bfloat16, as on a small machine. Each
explainer is fitted on training images and judged on test images that neither saw, one forward
pass an image: positive and negative perturbation AUC by accuracy and by probability, inclusion
and exclusion AUC of top-1, log-odds, and the smallest prefix that keeps the prediction within
0.1. Rivals that ask the model for every image stand beside them. Rows are saved as they come.
"""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

import numpy as np
import torch
from _images import Deployed, accuracy, cifar10, train_target
from _report import RESULTS, print_table, save

from fastexplain import (
    ConceptSetExplainer,
    CoRTXExplainer,
    FastSHAPExplainer,
    FEXExplainer,
    ImageMasker,
    RISEExplainer,
)
from fastexplain.attribution import minimal_prefixes
from fastexplain.labels import KernelShapley
from fastexplain.metrics import (
    inclusion_exclusion_auc,
    log_odds,
    perturbation_auc,
)

RESNET_LAYERS = [f"model.body.{i}" for i in (4, 6, 8, 10)]
HIDDEN = {"resnet": RESNET_LAYERS, "vit": ["model.body.vit.layernorm"]}
SMALL: dict[str, Any] = {
    "hidden_dim": 96,
    "n_blocks": 0,
    "batch_size": 64,
    "max_steps": 10_000,
    "n_queries": 1_000_000,
}
RUNS: dict[str, tuple[Any, dict[str, Any]]] = {
    "FEX": (FEXExplainer, {"n_masks": 64}),
    "FEX unet": (FEXExplainer, {"n_masks": 64, "network": "unet", "n_blocks": 1}),
    "FEX vit": (FEXExplainer, {"n_masks": 64, "network": "vit", "n_blocks": 2}),
    "FEX reverse KL": (FEXExplainer, {"objective": "reverse_kl"}),
    "FEX PPO": (FEXExplainer, {"objective": "ppo"}),
    "FEX PPO T=1": (FEXExplainer, {"objective": "ppo", "trajectory_length": 1}),
    "FEX PPO T=10": (FEXExplainer, {"objective": "ppo", "trajectory_length": 10}),
    "FEX PPO no class KL": (FEXExplainer, {"objective": "ppo", "lambda_kl": 0.0}),
    "FEX PPO class KL 0.1": (FEXExplainer, {"objective": "ppo", "lambda_kl": 0.1}),
    "FEX 1,000 images": (FEXExplainer, {"n_masks": 64, "images": 1000}),
    "FEX 4,000 images": (FEXExplainer, {"n_masks": 64, "images": 4000}),
    "concept sets": (ConceptSetExplainer, {}),
    "concept sets as printed": (ConceptSetExplainer, {"centered": False, "other_share": 0.0}),
    "FastSHAP": (FastSHAPExplainer, {"n_masks": 32}),
    "CoRTX": (CoRTXExplainer, {"label_source": "kernel", "n_labels": 200, "n_masks": 32}),
}
RIVALS = ("random", "RISE 500", "KernelSHAP 512")


class Judge:
    """Measures attributions of the test images' predicted classes."""

    def __init__(self, masked: Any, images: np.ndarray, seed: int = 0) -> None:
        self.masked, self.samples = masked, masked.masker.wrap(images)
        self.target = masked.outputs(self.samples).argmax(dim=1).numpy()
        self.seed = seed

    def __call__(self, values: np.ndarray) -> dict[str, Any]:
        given = (self.masked, self.samples, values, self.target)
        by_accuracy = perturbation_auc(*given)
        by_probability = perturbation_auc(*given, "probability")
        inside = inclusion_exclusion_auc(*given, n_steps=16, random_state=self.seed)
        odds = log_odds(*given, random_state=self.seed)
        sets = minimal_prefixes(self.masked, self.samples, values, self.target, 0.1)
        return {
            "positive": by_accuracy.positive,
            "negative": by_accuracy.negative,
            "positive_p": by_probability.positive,
            "negative_p": by_probability.negative,
            "inclusion": inside.inclusion,
            "exclusion": inside.exclusion,
            "log_odds": odds.change,
            "set_size": float(sets.sizes.mean()),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--target", default="resnet", choices=["resnet", "vit"])
    parser.add_argument("--runs", nargs="*", default=[*RIVALS, *RUNS])
    parser.add_argument("--images", type=int, default=500, help="test images that are judged")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    model = Deployed(train_target(args.target)).eval()
    X, _ = cifar10("train")
    X_test, y_test = cifar10("test")
    right = accuracy(model, X_test, y_test)
    order = np.random.default_rng(0).permutation(len(X))
    X, X_test = X[order], X_test[: args.images]
    print(f"{args.target}: accuracy {right:.3f}")
    name = f"cifar10_{args.target}"
    path = RESULTS / f"{name}.json"
    rows: list[dict[str, Any]] = json.loads(path.read_text())["rows"] if path.exists() else []

    masker = ImageMasker(patch_size=4)
    rise = RISEExplainer(500, masker=masker, random_state=args.seed).fit(X[:1000], model)
    judge = Judge(rise.masked_model_, X_test, args.seed)
    rng = np.random.default_rng(args.seed)
    for run in args.runs:
        start = time.perf_counter()
        row: dict[str, Any] = {"run": run, "seed": args.seed, "images": args.images}
        if run == "random":
            values = rng.random((len(X_test), 64))
        elif run == "RISE 500":
            values = rise.explain(X_test).values
        elif run == "KernelSHAP 512":
            found = KernelShapley(512).labels(judge.masked, judge.samples, rng).values
            values = found[np.arange(len(found)), :, judge.target]
        else:
            kind, own = RUNS[run]
            params = {"network": HIDDEN[args.target]} | SMALL | own
            n = params.pop("images", 20_000)
            explainer = kind(masker=masker, random_state=args.seed, **params).fit(X[:n], model)
            row |= {"fit_s": time.perf_counter() - start, "train_images": n}
            row |= {"queries": explainer.n_model_queries_, "best_score": explainer.best_score_}
            row["steps"] = explainer.n_iter_
            start = time.perf_counter()
            values = explainer.explain(X_test).values
        row["explain_s"] = time.perf_counter() - start
        row |= judge(values)
        rows = [r for r in rows if (r["run"], r["seed"]) != (run, args.seed)] + [row]
        print_table([row], list(row))
        save(name, vars(args) | {"accuracy": right}, rows)
    print()
    columns = ["run", "positive", "negative", "positive_p", "negative_p", "inclusion"]
    print_table(rows, [*columns, "exclusion", "log_odds", "set_size", "fit_s", "explain_s"])


if __name__ == "__main__":
    main()
