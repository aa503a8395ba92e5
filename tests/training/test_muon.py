"""Muon for matrices, AdamW for the rest, against torch's own optimisers."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fastexplain.networks._players import Pretrained
from fastexplain.training._muon import MuonAdamW, orthogonal
from fastexplain.training._trainer import _groups


def _steps(optimizer, weights, gradients):
    for step in gradients:
        for weight, gradient in zip(weights, step, strict=True):
            weight.grad = gradient.clone()
        optimizer.step()


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="torch has it since 2.9")
@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_matrices_and_others_step_as_with_torchs_own(decay):
    g = torch.Generator().manual_seed(0)
    shapes = [(24, 40), (40, 17), (24,), (8, 3)]
    start = [torch.randn(shape, generator=g) for shape in shapes]
    gradients = [[torch.randn(shape, generator=g) for shape in shapes] for _ in range(4)]
    ours, theirs = ([torch.nn.Parameter(w.clone()) for w in start] for _ in range(2))
    groups = [{"params": ours[2:]}, {"params": ours[:2], "matrices": True}]
    _steps(MuonAdamW(groups, lr=0.01, weight_decay=decay), ours, gradients)
    rule = {"weight_decay": decay, "adjust_lr_fn": "match_rms_adamw"}
    _steps(torch.optim.Muon(theirs[:2], lr=0.01, **rule), theirs[:2], [s[:2] for s in gradients])
    adam = torch.optim.AdamW(theirs[2:], lr=0.01, weight_decay=decay)
    _steps(adam, theirs[2:], [s[2:] for s in gradients])
    for a, b, begun in zip(ours, theirs, start, strict=True):
        # bfloat16 within: the order of sums is told by its last digit
        assert (a - b).norm() < 0.04 * (b - begun).norm()


def test_convolutions_step_as_matrices_of_a_row_a_channel():
    g = torch.Generator().manual_seed(0)
    start, gradient = (torch.randn(24, 5, 3, 3, generator=g) for _ in range(2))
    flat = torch.nn.Parameter(start.flatten(1).clone())
    last = torch.nn.Parameter(start.clone(memory_format=torch.channels_last))
    for weight in (flat, last):
        optimizer = MuonAdamW([{"params": [weight], "matrices": True}], lr=0.1)
        _steps(optimizer, [weight], [[gradient.reshape(weight.shape)]])
    torch.testing.assert_close(last.flatten(1), flat)
    assert not torch.equal(flat, start.flatten(1))


@settings(max_examples=25, deadline=None)
@given(rows=st.integers(1, 40), columns=st.integers(1, 40), seed=st.integers(0, 100))
def test_singular_values_come_near_one_whatever_they_were(rows, columns, seed):
    rng = np.random.default_rng(seed)
    n = min(rows, columns)
    left = np.linalg.qr(rng.normal(size=(rows, n)))[0]
    right = np.linalg.qr(rng.normal(size=(columns, n)))[0]
    sizes = 10.0 ** rng.uniform(-1.5, 0, size=n)
    matrix = torch.from_numpy((left * sizes) @ right.T)
    found = torch.linalg.svdvals(orthogonal(matrix))[:n]
    assert 0.3 < float(found.min()) and float(found.max()) < 1.3
    # turned, not replaced: the same directions
    assert np.trace(left.T @ orthogonal(matrix).numpy() @ right) > 0.3 * n


def test_its_state_is_restored():
    g = torch.Generator().manual_seed(0)
    start = [torch.randn(16, 20, generator=g), torch.randn(5, generator=g)]
    gradients = [[torch.randn(w.shape, generator=g) for w in start] for _ in range(4)]

    def make(weights):
        groups = [{"params": weights[1:]}, {"params": weights[:1], "matrices": True}]
        return MuonAdamW(groups, lr=0.01)

    whole = [torch.nn.Parameter(w.clone()) for w in start]
    _steps(make(whole), whole, gradients)
    parts = [torch.nn.Parameter(w.clone()) for w in start]
    first = make(parts)
    _steps(first, parts, gradients[:2])
    second = make(parts)
    second.load_state_dict(first.state_dict())
    _steps(second, parts, gradients[2:])
    for a, b in zip(whole, parts, strict=True):
        assert torch.equal(a, b)


class Net(torch.nn.Module):
    """A copy of something, and a head on it."""

    def __init__(self, frozen=False):
        super().__init__()
        copy = torch.nn.Sequential(
            torch.nn.Embedding(40, 20),
            torch.nn.Conv2d(4, 20, 3),
            torch.nn.Conv2d(20, 8, 3),
            torch.nn.Linear(20, 30),
            torch.nn.BatchNorm1d(30),
        )
        copy.register_parameter("table", torch.nn.Parameter(torch.zeros(49, 16)))
        copy.requires_grad_(not frozen)
        self.copy, self.head = Pretrained(copy), torch.nn.Linear(30, 30)


def test_muon_moves_the_layers_of_a_copy_that_trains_on_and_nothing_else():
    net = Net()
    plain, small, turned = _groups(net, 0.1)
    body = net.copy.module
    assert turned["matrices"] and turned["weight_decay"] == 0.1
    assert {id(p) for p in turned["params"]} == {id(body[1].weight), id(body[3].weight)}
    rest = [body[0].weight, body[2].weight, body.table, net.head.weight]
    assert {id(p) for p in plain["params"]} == {id(p) for p in rest}
    assert all(p.ndim == 1 for p in small["params"]) and small["weight_decay"] == 0.0
    count = sum(len(group["params"]) for group in (plain, small, turned))
    assert count == len(list(net.parameters()))


def test_a_frozen_copy_leaves_muon_nothing():
    net = Net(frozen=True)
    groups = _groups(net, 0.1)
    assert groups[2]["params"] == []
    assert {id(p) for group in groups for p in group["params"]} == {
        id(p) for p in net.head.parameters()
    }
