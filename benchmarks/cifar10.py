"""CIFAR-10, 64 patches of 4x4: FEX Tables 2 and 4, Concept Table 1's curves, CoRTX Tables 1 and 4.

    FASTEXPLAIN_DATA=/data python benchmarks/cifar10.py [--target vit] [--share 0.15] [--runs ...]

A target is trained once (``_images.py``) and served in bfloat16, as on a small machine. Each
explainer is fitted on training images and judged on test images that neither saw, one forward
pass an image: positive and negative perturbation AUC by accuracy and by probability, inclusion
and exclusion AUC of top-1, log-odds, and the smallest prefix that keeps the prediction within
0.1. Rivals that ask the model for every image stand beside them. With ``--surrogate`` what is
explained and judged is a surrogate of the target, distilled on masked images (CoRTX Table 6).
``--share 0.15`` is the small setting: that share of each run's queries and steps, in 27 minutes of
one thread.
Rows are saved as they come; runs that are saved with the same settings are not made again.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _images import CACHE, CIFAR_CLASSES, Deployed, accuracy, cifar10, surrogate, train_target
from _report import RESULTS, print_table, save, saved_rows
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
    "learning_rate": 4e-3,
    "n_queries": 2_500_000,
}
# the best settings of the others take a share of that
HALF = COPY | {"max_steps": 2500, "n_queries": 800_000}
SETS = COPY | {"max_steps": 2000, "n_queries": 2_000_000}
# FEX Table 4, Figure 4: what is varied, each at a tenth of the queries
SMALL = COPY | {"max_steps": 800, "n_queries": 200_000, "n_masks": 16}
OWN = SMALL | {"n_blocks": 1, "batch_size": 64, "learning_rate": 1e-3, "max_steps": 1600}
# several updates on each draw: by the target's own frozen layers, which are read once an image
PPO = OWN | {"objective": "ppo", "network": "frozen"}
# explainers, their settings, and whether they explain log-odds in place of probabilities
RUNS: dict[str, tuple[Any, dict[str, Any], bool]] = {
    "FastSHAP log-odds": (FastSHAPExplainer, COPY | {"n_masks": 8}, True),
    "FastSHAP": (FastSHAPExplainer, HALF | {"n_masks": 8}, False),
    "FEX": (FEXExplainer, HALF | {"n_masks": 16}, False),
    "concept sets": (ConceptSetExplainer, SETS, False),
    "CoRTX": (CoRTXExplainer, HALF | {"label_source": "kernel", "n_labels": 100}, False),
    # g of other architectures
    "FEX small": (FEXExplainer, SMALL, False),
    "FEX frozen": (FEXExplainer, OWN | {"network": "frozen"}, False),
    "FEX unet": (FEXExplainer, OWN | {"network": "unet"}, False),
    "FEX vit": (FEXExplainer, OWN | {"network": "vit"}, False),
    # trajectories, the class term, the objective
    "FEX PPO": (FEXExplainer, PPO, False),
    "FEX PPO T=1": (FEXExplainer, PPO | {"trajectory_length": 1}, False),
    "FEX PPO T=10": (FEXExplainer, PPO | {"trajectory_length": 10}, False),
    "FEX PPO kl=0": (FEXExplainer, PPO | {"lambda_kl": 0.0}, False),
    "FEX PPO kl=0.5": (FEXExplainer, PPO | {"lambda_kl": 0.5}, False),
    "FEX reverse KL": (FEXExplainer, PPO | {"objective": "reverse_kl"}, False),
    # training images
    "FEX 1,000 images": (FEXExplainer, SMALL | {"images": 1000}, False),
    "FEX 10,000 images": (FEXExplainer, SMALL | {"images": 10_000}, False),
}
MAIN = ("FastSHAP log-odds", "FEX", "concept sets", "CoRTX")
RIVALS = ("random", "RISE 500", "KernelSHAP 512", "KernelSHAP 512 log-odds")
# steps or samples; DeepSHAP has no rules for functional ReLUs, AttLRP none for convolutions
GRADIENTS = {"Grad-CAM": 1, "Saliency": 1, "SmoothGrad": 50, "IG": 200, "GradientSHAP": 100}


# those of Figure 4, and images in it
FIGURE = ("FEX PPO kl=0", "FEX PPO", "FEX", "concept sets", "FastSHAP log-odds", "RISE 500")
SHOWN = 6
Attribute = Callable[[np.ndarray, np.ndarray], np.ndarray]


def settings_of(run: str, share: float) -> dict[str, Any]:
    """A run's settings with a share of its queries and steps."""
    own = RUNS[run][1]
    fewer = {name: max(1, round(share * own[name])) for name in ("max_steps", "n_queries")}
    return own | fewer


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


class Task:
    """The target, images to fit on, images that are judged, and how attributions are made."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.name, self.seed, self.share = args.target, args.seed, args.share
        self.target = surrogate(args.target) if args.surrogate else train_target(args.target)
        self.model = Deployed(self.target).eval()
        self.odds = Deployed(self.target, log_odds=True).eval()
        X, (X_test, y_test) = cifar10("train")[0], cifar10("test")
        self.accuracy = accuracy(self.model, X_test, y_test)
        self.X = X[np.random.default_rng(0).permutation(len(X))]
        self.X_test = X_test[: args.images]
        self.masker = ImageMasker(patch_size=4)
        rise = RISEExplainer(500, masker=self.masker, random_state=self.seed)
        self.rise = rise.fit(self.X[:1000], self.model)
        self.judge = Judge(self.rise.masked_model_, self.X_test, self.seed)

    def two_classes(self) -> np.ndarray:
        """The two likeliest classes of the images that are shown, (2, SHOWN)."""
        answers = self.judge.masked.outputs(self.judge.samples.take(slice(0, SHOWN)))
        return answers.topk(2, dim=1).indices.T.numpy()

    def prepare(self, run: str) -> tuple[Attribute, dict[str, Any]]:
        """What attributes images to classes, and what is to be told of its making."""
        rng = np.random.default_rng(self.seed)
        if run == "random":
            return lambda X, target: rng.random((len(X), 64)), {}
        if run == "RISE 500":
            return lambda X, target: self.rise.explain(X, target=target).values, {}
        if run in GRADIENTS:
            exact = Scaled(self.target).eval()
            layer = exact.model.body[10] if self.name == "resnet" else None
            some = torch.from_numpy(self.X[:50]).float()
            players = self.judge.masked.masker.segments_
            given = (layer, players, torch.zeros(3), some, GRADIENTS[run], self.seed)
            return Gradients(run, exact, *given), {}
        if run.startswith("KernelSHAP"):
            return lambda X, target: self.kernel(run, X, target, rng), {}
        return self.learned(run)

    def kernel(
        self, run: str, X: np.ndarray, target: np.ndarray, rng: np.random.Generator
    ) -> np.ndarray:
        """KernelSHAP with 512 coalitions of each image."""
        masked = self.judge.masked
        if run.endswith("log-odds"):
            predictor = make_predictor(self.odds, self.X[:64], output="regression")
            masked = MaskedModel(predictor, masked.masker)
        found = KernelShapley(512).labels(masked, masked.masker.wrap(X), rng).values
        return found[np.arange(len(found)), :, target]

    def learned(self, run: str) -> tuple[Attribute, dict[str, Any]]:
        """Fit an explainer."""
        kind, _, by_odds = RUNS[run]
        params = settings_of(run, self.share)
        n = params.pop("images", len(self.X))
        if params["network"] == "frozen":
            params["network"] = FROZEN[self.name]
        output = "regression" if by_odds else "probability"
        explainer = kind(masker=self.masker, output=output, random_state=self.seed, **params)
        start = time.perf_counter()
        explainer.fit(self.X[:n], self.odds if by_odds else self.model)
        told = {"fit_s": time.perf_counter() - start, "train_images": n}
        told |= {"queries": explainer.n_model_queries_, "best_score": explainer.best_score_}
        told["steps"] = explainer.n_iter_
        return lambda X, target: explainer.explain(X, target=target).values, told


def picture(task: Task, held: dict[str, np.ndarray], path: Path) -> None:
    """FEX Figure 4 and the papers' examples: what speaks for each of the two likeliest classes."""
    from matplotlib.figure import Figure

    images, (first, second) = task.X_test[:SHOWN], task.two_classes()
    figure = Figure(figsize=(1.1 * (1 + 2 * len(held)), 1.4 * SHOWN))
    axes = figure.subplots(SHOWN, 1 + 2 * len(held), squeeze=False)
    for i, row in enumerate(axes):
        row[0].imshow(images[i].transpose(1, 2, 0))
        for j, (run, maps) in enumerate(held.items()):
            for side, chosen in enumerate((first, second)):
                ax, values = row[1 + 2 * j + side], maps[side, i]
                share = values.argsort().argsort().reshape(8, 8) / 63
                ax.imshow(images[i].mean(axis=0), cmap="gray", alpha=0.6)
                place = (-0.5, 31.5, 31.5, -0.5)
                ax.imshow(share, cmap="autumn_r", extent=place, alpha=0.9 * share**3)
                title = f"{run}\n{CIFAR_CLASSES[chosen[i]]}" if i == 0 else CIFAR_CLASSES[chosen[i]]
                ax.set_title(title, fontsize=7)
    for ax in axes.flat:
        ax.set_axis_off()
    figure.tight_layout(pad=0.3, h_pad=0.8)
    figure.savefig(path, dpi=130)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--target", default="resnet", choices=["resnet", "vit"])
    known = [*RIVALS, *GRADIENTS, *RUNS]
    first = [*RIVALS, *GRADIENTS, *MAIN]
    parser.add_argument("--runs", nargs="*", default=first, choices=known)
    parser.add_argument("--images", type=int, default=500, help="test images that are judged")
    parser.add_argument("--surrogate", action="store_true", help="CoRTX Table 6: of a surrogate")
    parser.add_argument("--share", type=float, default=1.0, help="of queries and steps")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    task = Task(args)
    print(f"{args.target}: accuracy {task.accuracy:.3f}")
    name = f"cifar10_{args.target}" + ("_surrogate" if args.surrogate else "")
    name += "" if args.share == 1 else f"_{args.share:g}"
    rows = saved_rows(name)
    for run in args.runs:
        row: dict[str, Any] = {"run": run, "seed": args.seed, "images": args.images}
        row["params"] = repr(settings_of(run, args.share)) if run in RUNS else ""
        if any(row.items() <= saved.items() for saved in rows):
            continue
        attribute, told = task.prepare(run)
        start = time.perf_counter()
        values = attribute(task.X_test, task.judge.target)
        row |= told | {"explain_s": time.perf_counter() - start} | task.judge(values)
        shown = [attribute(task.X_test[:SHOWN], chosen) for chosen in task.two_classes()]
        np.save(CACHE / f"{name}_{run}_{args.seed}.npy", np.stack(shown))
        rows = [r for r in rows if (r["run"], r["seed"]) != (run, args.seed)] + [row]
        print_table([row], list(row))
        save(name, vars(args) | {"accuracy": task.accuracy}, rows)
    print("\nFEX Tables 2 and 4, Concept Table 1: perturbation curves")
    curves = ["run", "positive", "negative", "positive_p", "negative_p", "set_size"]
    print_table(rows, [*curves, "log_odds", "queries", "fit_s", "explain_s"])
    print("\nCoRTX Tables 1 and 4: inclusion and exclusion of top-1, log-odds and their change")
    sides = [f"{side}{k}" for k in ("", "_odds", "_delta") for side in ("exclusion", "inclusion")]
    print_table(rows, ["run", *sides])
    files = {run: CACHE / f"{name}_{run}_{args.seed}.npy" for run in FIGURE}
    held = {run: np.load(file) for run, file in files.items() if file.exists()}
    if held.keys() - set(RIVALS):
        picture(task, held, RESULTS / f"{name}.png")


if __name__ == "__main__":
    main()
