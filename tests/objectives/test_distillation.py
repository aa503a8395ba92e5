"""Distillation's divergences against loops."""

import math

import pytest
import torch

from fastexplain.objectives import as_outputs, distillation_loss

LOGITS = torch.tensor([[0.3, -1.2, 2.0], [0.0, 0.5, -0.5]], dtype=torch.float64)
OUTPUTS = torch.tensor([[0.2, 0.5, 0.3], [1.0, 0.0, 0.0]], dtype=torch.float64)


def kl(p, q):
    return sum(a * math.log(a / b) for a, b in zip(p, q, strict=True) if a > 0)


def test_classes():
    found = distillation_loss(LOGITS, OUTPUTS, "classification")
    answers = as_outputs(LOGITS, "classification")
    for i in range(2):
        assert float(answers[i].sum()) == pytest.approx(1.0)
        assert float(found[i]) == pytest.approx(kl(OUTPUTS[i].tolist(), answers[i].tolist()))


def test_labels():
    found = distillation_loss(LOGITS, OUTPUTS, "multilabel")
    for i in range(2):
        total = 0.0
        for p, q in zip(
            OUTPUTS[i].tolist(), as_outputs(LOGITS, "multilabel")[i].tolist(), strict=True
        ):
            total += kl([p, 1 - p], [q, 1 - q])
        assert float(found[i]) == pytest.approx(total / 3)


def test_numbers():
    found = distillation_loss(LOGITS, OUTPUTS, "regression")
    for i in range(2):
        squares = [(a - b) ** 2 for a, b in zip(LOGITS[i], OUTPUTS[i], strict=True)]
        assert float(found[i]) == pytest.approx(float(sum(squares)) / 3)
    assert as_outputs(LOGITS, "regression") is LOGITS


@pytest.mark.parametrize("kind", ["classification", "multilabel"])
def test_what_the_model_says_itself_costs_nothing(kind):
    outputs = as_outputs(LOGITS, kind)
    assert distillation_loss(LOGITS, outputs, kind).abs().max() < 1e-12
    assert (distillation_loss(LOGITS + torch.arange(3) * 0.1, outputs, kind) > 0).all()
