"""CIFAR-10, 64 patches of 4x4: FEX Tables 2 and 4, Concept Table 1's curves, CoRTX Tables 1 and 4.

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
from _rivals import Gradients

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
from fastexplain.masked_model import MaskedModel
from fastexplain.metrics import (
    delta_log_odds,
    inclusion_exclusion_auc,
    log_odds,
    perturbation_auc,
)
from fastexplain.predictors import make_predictor

# the last layer at each size of the ResNet's grid, and the ViT's last states
FROZEN = {
    "resnet": [f"model.body.{i}" for i in (4, 6, 8, 10)],
    "vit": ["model.body.vit.layernorm"],
}
COPY: dict[str, Any] = {
    "network": "copy",
    "hidden_dim": 96,
    "n_blocks": 0,
    "batch_size": 128,
    "max_steps": 6000,
    "learning_rate": 2e-3,
    "n_queries": 2_500_000,
}
SMALL: dict[str, Any] = {
    "hidden_dim": 96,
    "n_blocks": 1,
    "batch_size": 64,
    "max_steps": 3000,
    "n_queries": 400_000,
}
PPO: dict[str, Any] = COPY | {"objective": "ppo", "max_steps": 1500, "n_queries": 400_000}
# explainers, their settings, and whether they explain log-odds in place of probabilities
RUNS: dict[str, tuple[Any, dict[str, Any], bool]] = {
    "FastSHAP log-odds": (FastSHAPExplainer, COPY | {"n_masks": 8}, True),
    "FastSHAP": (FastSHAPExplainer, COPY | {"n_masks": 8}, False),
    "FEX": (FEXExplainer, COPY | {"n_masks": 16}, False),
    "concept sets": (ConceptSetExplainer, COPY | {"n_queries": 1_000_000}, False),
    "CoRTX": (CoRTXExplainer, COPY | {"label_source": "kernel", "n_labels": 200}, False),
    # FEX Table 4 at a fifth of the queries: g, trajectories, the class term, training images
    "FEX frozen": (FEXExplainer, SMALL | {"network": "frozen", "n_masks": 16}, False),
    "FEX unet": (FEXExplainer, SMALL | {"network": "unet", "n_masks": 16}, False),
    "FEX vit": (FEXExplainer, SMALL | {"network": "vit", "n_masks": 16}, False),
    "FEX PPO": (FEXExplainer, PPO, False),
    "FEX PPO T=1": (FEXExplainer, PPO | {"trajectory_length": 1}, False),
    "FEX PPO T=10": (FEXExplainer, PPO | {"trajectory_length": 10}, False),
    "FEX PPO kl=0": (FEXExplainer, PPO | {"lambda_kl": 0.0}, False),
    "FEX PPO kl=0.5": (FEXExplainer, PPO | {"lambda_kl": 0.5}, False),
    "FEX reverse KL": (FEXExplainer, PPO | {"objective": "reverse_kl"}, False),
    "FEX 1,000 images": (FEXExplainer, COPY | {"n_masks": 16, "images": 1000}, False),
    "FEX 10,000 images": (FEXExplainer, COPY | {"n_masks": 16, "images": 10_000}, False),
}
MAIN = ("FastSHAP log-odds", "FastSHAP", "FEX", "concept sets", "CoRTX")
RIVALS = ("random", "RISE 500", "KernelSHAP 512", "KernelSHAP 512 log-odds")
# steps or samples; DeepSHAP has no rules for functional ReLUs, AttLRP none for convolutions
GRADIENTS = {"Grad-CAM": 1, "Saliency": 1, "SmoothGrad": 50, "IG": 200, "GradientSHAP": 100}


class Scaled(torch.nn.Module):
    """The target in single precision: images of 0 to 255 to logits."""

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        answer = self.model(x / 255)
        return getattr(answer, "logits", answer)


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
        curves = inclusion_exclusion_auc(
            *given, score="log_odds", n_steps=16, random_state=self.seed
        )
        delta = delta_log_odds(*given, n_steps=16, random_state=self.seed)
        sets = minimal_prefixes(self.masked, self.samples, values, self.target, 0.1)
        return {
            "positive": by_accuracy.positive,
            "negative": by_accuracy.negative,
            "positive_p": by_probability.positive,
            "negative_p": by_probability.negative,
            "inclusion": inside.inclusion,
            "exclusion": inside.exclusion,
            "inclusion_odds": curves.inclusion,
            "exclusion_odds": curves.exclusion,
            "inclusion_delta": delta.inclusion,
            "exclusion_delta": delta.exclusion,
            "log_odds": odds.change,
            "set_size": float(sets.sizes.mean()),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--target", default="resnet", choices=["resnet", "vit"])
    parser.add_argument(
        "--runs",
        nargs="*",
        default=[*RIVALS, *GRADIENTS, *MAIN],
        choices=[*RIVALS, *GRADIENTS, *RUNS],
    )
    parser.add_argument("--images", type=int, default=500, help="test images that are judged")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    target = train_target(args.target)
    model, odds = Deployed(target).eval(), Deployed(target, log_odds=True).eval()
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
        row["params"] = repr(RUNS[run][1]) if run in RUNS else ""
        if any(row.items() <= saved.items() for saved in rows):
            continue
        if run == "random":
            values = rng.random((len(X_test), 64))
        elif run == "RISE 500":
            values = rise.explain(X_test).values
        elif run in GRADIENTS:
            exact = Scaled(target).eval()
            layer = exact.model.body[10] if args.target == "resnet" else None
            some = torch.from_numpy(X[:50]).float()
            players = judge.masked.masker.segments_
            given = (layer, players, torch.zeros(3), some, GRADIENTS[run], args.seed)
            values = Gradients(run, exact, *given)(X_test, judge.target)
        elif run.startswith("KernelSHAP"):
            asked = judge.masked
            if run.endswith("log-odds"):
                predictor = make_predictor(odds, X[:64], output="regression")
                asked = MaskedModel(predictor, judge.masked.masker)
            found = KernelShapley(512).labels(asked, judge.samples, rng).values
            values = found[np.arange(len(found)), :, judge.target]
        else:
            kind, own, by_odds = RUNS[run]
            params = dict(own)
            n = params.pop("images", len(X))
            if params["network"] == "frozen":
                params["network"] = FROZEN[args.target]
            explainer = kind(
                masker=masker,
                output="regression" if by_odds else "probability",
                random_state=args.seed,
                **params,
            ).fit(X[:n], odds if by_odds else model)
            row |= {"fit_s": time.perf_counter() - start, "train_images": n}
            row |= {"queries": explainer.n_model_queries_, "best_score": explainer.best_score_}
            row["steps"] = explainer.n_iter_
            start = time.perf_counter()
            values = explainer.explain(X_test, target=judge.target).values
        row["explain_s"] = time.perf_counter() - start
        row |= judge(values)
        rows = [r for r in rows if (r["run"], r["seed"]) != (run, args.seed)] + [row]
        print_table([row], list(row))
        save(name, vars(args) | {"accuracy": right}, rows)
    print("\nFEX Tables 2 and 4, Concept Table 1: perturbation curves")
    curves = ["run", "positive", "negative", "positive_p", "negative_p", "set_size"]
    print_table(rows, [*curves, "log_odds", "queries", "fit_s", "explain_s"])
    print("\nCoRTX Tables 1 and 4: inclusion and exclusion of top-1, log-odds and their change")
    kinds = ("", "_odds", "_delta")
    print_table(
        rows, ["run", *(f"{side}{k}" for k in kinds for side in ("exclusion", "inclusion"))]
    )


if __name__ == "__main__":
    main()
