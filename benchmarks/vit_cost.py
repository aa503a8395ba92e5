"""What an explanation of ViT-Base costs: FEX Table 3 and Concept Table 2.

    python benchmarks/vit_cost.py [--images 1000] [--device cuda]

Weights are random: they do not change the cost. Every method explains images of 224x224 in one
run, after one call that is not timed: seconds and peak memory, all images together. Methods that
ask the model hundreds of times an image explain ``--few`` images on a CPU, and their times are
given per image. Ours gives prediction and explanation from one pass: its ratio to predicting
alone is what the last column says.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np
import torch
from _report import print_table, save
from transformers import ViTConfig, ViTForImageClassification

from fastexplain import ConceptSetExplainer, ImageMasker, RISEExplainer
from fastexplain.labels import KernelShapley


def peak(device: str) -> float:
    """Most memory held so far, in MiB; of the process on a CPU."""
    if device == "cuda":
        return torch.cuda.max_memory_allocated() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def timed(call: Callable[[], Any], device: str, repeats: int = 1) -> tuple[float, float]:
    """Median seconds of calls after one that is not timed, and what memory they added (MiB)."""
    call()
    if device == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        if device == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return median(times), peak(device)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    cuda = torch.cuda.is_available()
    parser.add_argument("--images", type=int, default=1000 if cuda else 32)
    parser.add_argument("--few", type=int, default=1000 if cuda else 1, help="0 for none")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cuda" if cuda else "cpu")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    model = ViTForImageClassification(ViTConfig(num_labels=1000)).eval().to(args.device)
    images = np.random.default_rng(0).random((args.images, 3, 224, 224), dtype=np.float32)
    few = images[: args.few]
    masker = ImageMasker(patch_size=16)
    fit = {"masker": masker, "max_steps": 2, "batch_size": 2, "random_state": 0, "n_sets": 1}
    # what is learned does not change what an explanation costs
    fit |= {"coalition_share": 0.0, "n_queries": 100}
    fit |= {"device": args.device, "model_batch_size": 64 if cuda else 8}
    print(f"{args.images} images, {args.device}, {torch.get_num_threads()} threads")

    ours = {}
    for network in ("hidden", "hidden_classes", "unet"):
        explainer = ConceptSetExplainer(network=network, n_blocks=1, **fit)
        ours[network] = explainer.fit(images[:4], model)
    masked = ours["unet"].masked_model_
    samples = masked.masker.wrap(images)

    rows = []

    def row(name: str, call: Callable[[], Any], n: int, repeats: int) -> dict[str, Any]:
        seconds, memory = timed(call, args.device, repeats)
        line = {"method": name, "images": n, "seconds": seconds, "ms_image": 1e3 * seconds / n}
        line |= {"peak_MiB": memory, "ratio": seconds / n / base if rows else 1.0}
        rows.append(line)
        print_table([line], list(line))
        save("vit_cost", vars(args), rows)
        return line

    base = 1.0
    base = (
        row("prediction alone", lambda: masked.outputs(samples), args.images, args.repeats)[
            "seconds"
        ]
        / args.images
    )
    for network in ("hidden", "hidden_classes"):
        explainer = ours[network]
        row(
            f"prediction and concept sets, {network}",
            lambda: explainer.explain(images, return_prediction=True),  # noqa: B023
            args.images,
            args.repeats,
        )
    network = ours["unet"]
    # a tenth of a second: many repeats, or chance decides
    often = 20 * args.repeats
    row(
        "U-Net of its own, target given",
        lambda: network.explain(images, target=0),
        args.images,
        often,
    )
    own = network._network
    encoded = network._encode(samples)
    x, null = encoded["x"].to(args.device), encoded["null"].to(args.device)
    with torch.inference_mode():
        row("the U-Net's bare forward pass", lambda: own(x, null), args.images, often)
    if not args.few:
        return
    rise = RISEExplainer(500, masker=masker, model_batch_size=64, random_state=0)
    rise.fit(few[:1], model)
    row("RISE, 500 masks", lambda: rise.explain(few), args.few, 1)
    kernel = KernelShapley(512)
    some = masked.masker.wrap(few)
    rng = np.random.default_rng(0)
    row("KernelSHAP, 512 coalitions", lambda: kernel.labels(masked, some, rng), args.few, 1)
    # the rest of the tables' rivals ask as often: IG 200 passes forth and back, LIME 1,000
    print()
    print_table(rows, list(rows[0]))


if __name__ == "__main__":
    main()
