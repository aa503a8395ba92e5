"""Pipelines of transformers: which are opened, and how the others are wrapped."""

from __future__ import annotations

import sys
from typing import Any

__all__ = ["OPENED_TASKS", "is_pipeline", "pipeline_task", "refuse_pipeline"]

#: pipelines that are taken apart, so that one pass gives the scores of all labels
OPENED_TASKS = ("text-classification", "image-classification")

_WRAPS = {
    "zero-shot-classification": (
        "def f(texts):\n"
        "    answers = pipe([t or ' ' for t in texts], candidate_labels=labels)\n"
        "    return [[dict(zip(a['labels'], a['scores']))[k] for k in labels] for a in answers]"
    ),
    "zero-shot-image-classification": (
        "def f(images):\n"
        "    answers = pipe([Image.fromarray(i) for i in images], candidate_labels=labels)\n"
        "    return [[{d['label']: d['score'] for d in a}[k] for k in labels] for a in answers]"
    ),
    "token-classification": (
        "def f(texts):\n"
        "    answers = pipe([t or ' ' for t in texts])\n"
        "    return [max([d['score'] for d in a if d['entity'] == label], default=0.0)"
        " for a in answers]"
    ),
    "question-answering": (
        "def f(contexts):\n"
        "    answers = pipe(question=[question] * len(contexts), context=list(contexts))\n"
        "    return [a['score'] for a in answers]"
    ),
}
_GENERATION = (
    "def f(texts):\n"
    "    # the log-probability of an answer that is fixed, given each text\n"
    "    return [log_probability(answer, text) for text in texts]"
)
_OTHER = (
    "def f(samples):\n"
    "    return [[number, ...] for each of the samples]  # one row of numbers a sample"
)
_GENERATES = ("generation", "summarization", "translation", "conversational", "image-to-text")


def is_pipeline(model: Any) -> bool:
    """Whether the model is a pipeline of transformers, which is not imported to look."""
    base = getattr(sys.modules.get("transformers.pipelines.base"), "Pipeline", None)
    return base is not None and isinstance(model, base)


def pipeline_task(model: Any) -> str:
    """Name of a pipeline's task, as transformers has it."""
    task = str(getattr(model, "task", None) or type(model).__name__)
    names = {"sentiment-analysis": "text-classification", "ner": "token-classification"}
    return names.get(task, task)


def refuse_pipeline(model: Any) -> None:
    """Raise a TypeError for a pipeline that does not classify, with the way to wrap it.

    A pipeline of another task answers entities, texts or scores of labels that come with each
    call. None of these is one row of numbers for each sample.
    """
    if not is_pipeline(model) or pipeline_task(model) in OPENED_TASKS:
        return
    task = pipeline_task(model)
    wrap = _WRAPS.get(task)
    if wrap is None:
        wrap = _GENERATION if any(word in task for word in _GENERATES) else _OTHER
    raise TypeError(
        f"a pipeline for {task} answers no row of numbers for each sample, so that it is not "
        "clear what is explained. Pass a function that says so:\n"
        f"{wrap}"
    )
