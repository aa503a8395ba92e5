"""ImageNet, patches of 32 or 16: the image tables of both papers, Concept 1 and FEX 2.

    FASTEXPLAIN_DATA=/data python benchmarks/imagenet.py [--target deit] [--runs ...] [--patch 16]

The target is EfficientNet-Lite0, or DeiT-tiny as a black box, served in bfloat16 (``_images.py``).
Explainers are fitted on
800 photographs, one a class at most, and judged on others: positive and negative perturbation
AUC of the predicted class, by accuracy and by probability; and pixel accuracy, mAP and mIoU of
maps, enlarged bilinearly, on Weizmann horses and on horses pasted into scenes of other classes.
Of these, pictures that the target calls a sorrel (class 339) count: elsewhere a map that leaves
the horse may be right. Methods that ask the target hundreds of times explain the first ``--few``
pictures of each kind, and every method is judged on these, too. Attributions of pixels are summed
to patches, so that all methods are judged alike. Rows are saved as they come; runs that are saved
with the same settings are not made again.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from _images import CACHE, DeitTiny, Lite0, accuracy, composites, horses, imagenet, imagenet_names
from _report import print_table, save, saved_rows
from _rivals import Gradients
from torch.nn import functional as F

from fastexplain import (
    ConceptSetExplainer,
    FastSHAPExplainer,
    FEXExplainer,
    ImageMasker,
    RISEExplainer,
)
from fastexplain.metrics import localization, perturbation_auc

SORREL, N_TRAIN = 339, 800
SMALL: dict[str, Any] = {"hidden_dim": 128, "n_blocks": 1, "batch_size": 32, "max_steps": 1000}
# activations of eight images stay in a core's cache: faster by a third than sixteen
BATCH: dict[str, Any] = {"model_batch_size": 8}
RUNS: dict[str, tuple[Any, dict[str, Any]]] = {
    "concept sets, Eq. 20": (ConceptSetExplainer, {"network": "hidden_classes", "n_sets": 4}),
    "concept sets, Eq. 19": (ConceptSetExplainer, {"network": "hidden", "n_sets": 4}),
    # a photograph of each class is too little for heads that know nothing of classes
    "FEX": (FEXExplainer, {"network": "hidden_classes", "n_masks": 32}),
    "FEX PPO": (FEXExplainer, {"network": "hidden_classes", "objective": "ppo"}),
    "FastSHAP": (FastSHAPExplainer, {"network": "hidden_classes", "n_masks": 32}),
}
# of a black box: a network of its own
BLACK: dict[str, tuple[Any, dict[str, Any]]] = {
    "concept sets": (ConceptSetExplainer, {"network": "unet", "n_sets": 4}),
    "FEX": (FEXExplainer, {"network": "unet", "n_masks": 32}),
    "FEX PPO": (FEXExplainer, {"network": "unet", "objective": "ppo"}),
    "FastSHAP": (FastSHAPExplainer, {"network": "unet", "n_masks": 32}),
}
# passes of the target an image
RIVALS = {"random": 0, "Grad-CAM": 1, "Saliency": 1, "RISE 100": 100}
RIVALS |= {"RISE 500": 500, "IG": 20, "GradientSHAP": 20}
FEW = ("RISE 500", "IG", "GradientSHAP")
# AttLRP has no rules for convolutions, nor for a script
MISSING = ("AttLRP",)
TARGETS: dict[str, Any] = {"lite0": Lite0, "deit": DeitTiny}
KINDS = ("images", "horses", "composites")
Attribute = Callable[[np.ndarray, np.ndarray], np.ndarray]


class Task:
    """Photographs to fit on, and those of each kind that are judged, with targets and masks."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.name = args.target
        self.model = TARGETS[args.target]()
        photos, labels = imagenet()
        self.accuracy = accuracy(self.model, first(photos), labels)
        order = np.random.default_rng(0).permutation(len(photos))
        train, test = order[:N_TRAIN], order[N_TRAIN:]
        self.X = first(photos[train])
        judged = first(photos[test[: args.images]])
        objects, outlines = horses()
        known = self.predicted(first(objects)) == SORREL
        objects, outlines = objects[known], outlines[known]
        print(f"accuracy {self.accuracy:.3f}; {known.mean():.2f} of the horses are sorrels to it")
        scenes = photos[test[labels[test] != SORREL]]
        pasted, pasted_outlines = composites(objects, outlines, scenes, 6 * args.horses, args.seed)
        seen = np.flatnonzero(self.predicted(first(pasted)) == SORREL)[: args.horses]
        order = np.random.default_rng(0).permutation(len(objects))[: args.horses]
        self.images = {"images": judged, "horses": first(objects[order])}
        self.images["composites"] = first(pasted[seen])
        self.masks = {"horses": outlines[order], "composites": pasted_outlines[seen]}
        self.target = {kind: self.predicted(images) for kind, images in self.images.items()}
        self.masker: Any = ImageMasker(patch_size=args.patch, fill="mean")
        # what masks and the fill are; it asks nothing before it explains
        rise = RISEExplainer(1, masker=self.masker, random_state=0, **BATCH).fit(self.X, self.model)
        self.masked = rise.masked_model_

    def predicted(self, images: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            parts = [self.model(part).argmax(1) for part in torch.from_numpy(images).split(8)]
        return torch.cat(parts).numpy()

    def judge(self, values: dict[str, np.ndarray], n: int | None) -> dict[str, Any]:
        """Measures of the first n pictures of each kind."""
        given: Any = [part["images"][:n] for part in (self.images, values, self.target)]
        found: dict[str, Any] = {"n": len(given[0])}
        for suffix, kind in (("", "accuracy"), ("_p", "probability")):
            curves = perturbation_auc(self.masked, *given, kind, n_steps=10)
            found |= {f"positive{suffix}": curves.positive, f"negative{suffix}": curves.negative}
        for kind, masks in self.masks.items():
            where = localization(self.maps(values[kind][:n]), masks[:n])
            found |= {f"{kind}_n": len(masks[:n]), f"{kind}_pixel_acc": where.pixel_accuracy}
            found |= {f"{kind}_map": where.mean_ap, f"{kind}_miou": where.mean_iou}
        return found

    def maps(self, values: np.ndarray) -> np.ndarray:
        """Attributions of patches, enlarged to pixels."""
        grid = self.masked.masker.grid_
        cells = torch.from_numpy(np.array(values, dtype=np.float64)).reshape(-1, 1, *grid)
        size = self.X.shape[2:]
        return F.interpolate(cells, size, mode="bilinear", align_corners=False)[:, 0].numpy()


def first(images: np.ndarray) -> np.ndarray:
    """Images with channels first."""
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2))


def gradients(run: str, task: Task, seed: int) -> Gradients:
    """One of captum's methods on logits in single precision."""
    model, masker = TARGETS[task.name](torch.float32), task.masked.masker
    some = np.random.default_rng(seed).permutation(len(task.X))[:50]
    background = torch.from_numpy(task.X[some]).float()
    fill = torch.from_numpy(masker.fill_).float().round()
    layer = getattr(model, "features", None)
    return Gradients(
        run, model.logits, layer, masker.segments_, fill, background, RIVALS[run], seed
    )


def prepare(run: str, task: Task, args: argparse.Namespace) -> tuple[Attribute, dict[str, Any]]:
    """What attributes images to targets, and what is to be told of its making."""
    rng = np.random.default_rng(args.seed)
    if run == "random":
        return lambda X, target: rng.random((len(X), task.masked.masker.n_players)), {}
    if run.startswith("RISE"):
        rise = RISEExplainer(RIVALS[run], masker=task.masker, random_state=args.seed, **BATCH)
        rise.fit(task.X, task.model)
        return lambda X, target: rise.explain(X, target=target).values, {}
    if run in RIVALS:
        return gradients(run, task, args.seed), {}
    kind = own_runs(args)[run][0]
    start = time.perf_counter()
    explainer = kind(masker=task.masker, random_state=args.seed, **params_of(run, args), **BATCH)
    with warnings.catch_warnings():
        # best_score is in the row
        warnings.filterwarnings("ignore", "The explainer agrees poorly")
        explainer.fit(task.X, task.model)
    told = {"fit_s": time.perf_counter() - start, "queries": explainer.n_model_queries_}
    told |= {"steps": explainer.n_iter_, "best_score": explainer.best_score_}
    return lambda X, target: explainer.explain(X, target=target).values, told


def params_of(run: str, args: argparse.Namespace) -> dict[str, Any]:
    """Parameters of an explainer."""
    params = SMALL | own_runs(args)[run][1] | {"n_queries": args.queries}
    # learning from sets drawn as it goes: steps end, and their size, when queries do
    drawn = params.get("n_sets", 5 if params.get("objective") == "ppo" else 0)
    if drawn:
        params["max_steps"] = max(1, 4 * args.queries // (params["batch_size"] * drawn))
    return params


def settings_of(run: str, args: argparse.Namespace) -> dict[str, Any]:
    """What a row depends on, as JSON values."""
    found = {name: getattr(args, name) for name in ("patch", "images", "few", "horses", "seed")}
    if run not in RIVALS:
        found |= params_of(run, args)
    return found


def own_runs(args: argparse.Namespace) -> dict[str, tuple[Any, dict[str, Any]]]:
    """Explainers that suit the target."""
    return BLACK if args.target == "deit" else RUNS


def values_path(run: str, args: argparse.Namespace) -> Any:
    return CACHE / f"{args.name}_{args.patch}_{run.replace(' ', '_')}_{args.seed}.npz"


def picture(task: Task, runs: list[str], args: argparse.Namespace, n: int) -> None:
    """Draw the first pictures of each kind beside the maps of all methods."""
    from matplotlib import pyplot as plt

    held = {run: values_path(run, args) for run in runs if values_path(run, args).exists()}
    maps = {run: task_maps(task, np.load(path), n) for run, path in held.items()}
    images = np.concatenate([task.images[kind][:n] for kind in KINDS]).transpose(0, 2, 3, 1)
    names = imagenet_names()
    targets = [names[k] for kind in KINDS for k in task.target[kind][:n]]
    shape = len(images), len(maps) + 1
    figure, axes = plt.subplots(*shape, figsize=(1.3 * shape[1], 1.32 * shape[0] + 0.3))
    box = {"facecolor": "black", "alpha": 0.6, "pad": 1, "linewidth": 0}
    label: dict[str, Any] = {"color": "white", "fontsize": 7, "bbox": box}
    for i, image in enumerate(images):
        axes[i, 0].imshow(image)
        axes[i, 0].text(0.02, 0.02, targets[i], **label, transform=axes[i, 0].transAxes)
        grey = image.mean(axis=2)
        for ax, found in zip(axes[i, 1:], maps.values(), strict=True):
            ax.imshow(grey, cmap="gray", vmin=0, vmax=255)
            low, high = np.percentile(found[i], (1, 99))
            share = ((found[i] - low) / max(high - low, 1e-12)).clip(0, 1)
            # what has least attribution stays grey
            ax.imshow(share, cmap="autumn_r", vmin=0, vmax=1, alpha=0.8 * share**1.5)
    for ax in axes.flat:
        ax.set_axis_off()
    for ax, title in zip(axes[0], ["", *maps], strict=True):
        ax.set_title(title.replace(", ", "\n"), fontsize=8)
    figure.tight_layout(pad=0.3)
    # of photographs that are not ours to pass on
    figure.savefig(CACHE / f"{args.name}.png", dpi=130)


def task_maps(task: Task, held: Any, n: int) -> np.ndarray:
    return np.concatenate([task.maps(held[kind][:n]) for kind in KINDS])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--target", default="lite0", choices=[*TARGETS])
    known = [*RIVALS, *dict.fromkeys([*RUNS, *BLACK])]
    parser.add_argument("--runs", nargs="*", choices=[*known, *MISSING])
    parser.add_argument("--patch", type=int, default=32, help="side of a patch; the papers' is 16")
    parser.add_argument("--images", type=int, default=100, help="photographs judged, 200 at most")
    parser.add_argument("--horses", type=int, default=40, help="horses judged, and composites")
    parser.add_argument("--few", type=int, default=20, help="of each for what asks many times")
    parser.add_argument("--queries", type=int, default=20_000, help="images asked for in fit")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--name", help="of the files; imagenet, imagenet_deit by default")
    args = parser.parse_args()
    args.name = args.name or ("imagenet" if args.target == "lite0" else f"imagenet_{args.target}")
    if args.runs is None:
        # Grad-CAM names a layer
        rivals = [run for run in RIVALS if args.target == "lite0" or run != "Grad-CAM"]
        args.runs = [*rivals, *own_runs(args)]
    torch.set_num_threads(args.threads)
    CACHE.mkdir(exist_ok=True)
    task = Task(args)
    rows = saved_rows(args.name)
    for run in args.runs:
        params = settings_of(run, args)
        if run in MISSING or any(r["run"] == run and r["params"] == params for r in rows):
            continue
        attribute, told = prepare(run, task, args)
        n = args.few if run in FEW else None
        start = time.perf_counter()
        values: Any = {k: attribute(task.images[k][:n], task.target[k][:n]) for k in KINDS}
        seconds = (time.perf_counter() - start) / sum(len(part) for part in values.values())
        np.savez(values_path(run, args), **values)
        row = {"run": run, "params": params} | told | {"explain_ms": 1e3 * seconds}
        row["few"] = task.judge(values, args.few)
        row["all"] = None if n else task.judge(values, None)
        rows.append(row)
        line = {"run": run} | told | {"explain_ms": row["explain_ms"]} | (row["all"] or row["few"])
        print_table([line], list(line))
        save(args.name, vars(args) | {"accuracy": task.accuracy}, rows)
    current = [r for r in rows if r["params"] == settings_of(r["run"], args)]
    for part, title in (("all", "All pictures"), ("few", f"The first {args.few} of each kind")):
        table = [{"run": r["run"]} | r[part] for r in current if r[part]]
        if table:
            print(f"\n{title}")
            print_table(table, list(table[0]))
    picture(task, [run for run in known if run != "random"], args, min(2, args.few))


if __name__ == "__main__":
    main()
