"""Each formula against a loop that follows the paper's printed line."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fastexplain.objectives import (
    PPOCoefficients,
    advantage,
    bernoulli_entropy,
    bernoulli_log_prob,
    class_kl,
    mask_reward,
    ppo_clip,
    ppo_loss,
    reverse_kl_reward,
)

seeds = st.integers(0, 10_000)


def draw(seed, B=3, T=4, N=5, K=3):
    g = torch.Generator().manual_seed(seed)
    logits = torch.randn((B, K, N), generator=g, dtype=torch.float64)
    masks = (torch.rand((B, T, N), generator=g) < 0.5).double()
    score = torch.rand((B, T), generator=g, dtype=torch.float64)
    return logits, masks, score


@given(seeds)
@settings(max_examples=20, deadline=None)
def test_log_prob_and_entropy_against_all_masks(seed):
    logits = draw(seed)[0][:, 0]
    every = torch.tensor(list(itertools.product([0.0, 1.0], repeat=5)), dtype=torch.float64)
    log_q = bernoulli_log_prob(logits, every.expand(3, -1, -1))
    np.testing.assert_allclose(log_q.exp().sum(1), 1.0)
    np.testing.assert_allclose(bernoulli_entropy(logits), -(log_q.exp() * log_q).sum(1))


def test_reward_eq_9():
    masks = torch.tensor([[[1.0, 1, 0], [0, 0, 0], [1, 1, 1]]])
    reward = mask_reward(torch.tensor([[0.8, 0.9, 0.6]]), masks)
    torch.testing.assert_close(reward, torch.tensor([[0.4, 0.0, 0.2]]))


def test_advantage_eq_18():
    adv = advantage(torch.tensor([[1.0, 3.0]]), torch.tensor([2.0]))
    torch.testing.assert_close(adv, torch.tensor([[-0.5, 0.5]]))


@given(seeds, st.sampled_from([0.1, 0.2, 0.5]))
@settings(max_examples=20, deadline=None)
def test_clip_eqs_20_to_22(seed, clip):
    g = torch.Generator().manual_seed(seed)
    log_q, old, adv = (torch.randn((3, 4), generator=g, dtype=torch.float64) for _ in range(3))
    total = 0.0
    for b in range(3):
        for t in range(4):
            ratio = math.exp(log_q[b, t] - old[b, t])
            bounded = min(max(ratio, 1 - clip), 1 + clip)
            total += min(ratio * adv[b, t].item(), bounded * adv[b, t].item())
    assert ppo_clip(log_q, old, adv, clip).item() == pytest.approx(total / 3)


@given(seeds)
@settings(max_examples=20, deadline=None)
def test_class_kl_eq_24(seed):
    logits, _, _ = draw(seed)
    f = torch.softmax(logits[:, :, 0] * 2, dim=1)
    total = 0.0
    for b in range(3):
        means = [np.mean(np.log(1 / (1 + np.exp(-logits[b, k].numpy())))) for k in range(3)]
        shares = np.exp(means) / np.exp(means).sum()
        total += sum(shares[k] * np.log(shares[k] / f[b, k].item()) for k in range(3))
    assert class_kl(logits, f).item() == pytest.approx(total / 3, rel=1e-5)
    assert class_kl(logits, f) >= 0


@given(seeds)
@settings(max_examples=15, deadline=None)
def test_policy_gradient_is_eq_13_on_policy(seed):
    """With the drawing policy itself the clipped surrogate's gradient is Eq. 13."""
    logits, masks, score = draw(seed)
    logits = logits[:, 0].requires_grad_()
    adv = advantage(mask_reward(score, masks), torch.full((3,), 0.2, dtype=torch.float64))
    log_q = bernoulli_log_prob(logits, masks)
    grad = torch.autograd.grad(ppo_clip(log_q, log_q.detach(), adv, 0.2), logits)[0]
    expected = torch.zeros_like(grad)
    for b in range(3):
        for t in range(4):
            expected[b] += adv[b, t] * (masks[b, t] - torch.sigmoid(logits[b]))
    torch.testing.assert_close(grad, (expected / 3).detach())


def test_reverse_kl_reward_is_minus_kl_in_expectation():
    rng = np.random.default_rng(0)
    masks = torch.tensor(list(itertools.product([0.0, 1.0], repeat=4))[1:], dtype=torch.float64)
    c = torch.tensor(rng.random(15)) + 0.1
    logits = torch.tensor(rng.normal(size=(1, 4)))
    log_q = bernoulli_log_prob(logits, masks[None])[0]
    q = log_q.exp()
    p = c / c.sum()
    found = (q * reverse_kl_reward(c, log_q)).sum()
    kl = (q * (log_q - p.log())).sum()
    torch.testing.assert_close(found, -kl + q.sum() * c.sum().log())


def test_loss_eq_25_adds_up_and_each_coefficient_counts():
    logits, masks, score = draw(1)
    value = torch.rand((3, 3), dtype=torch.float64)
    target = torch.tensor([0, 2, 1])
    own = logits[torch.arange(3), target]
    old = bernoulli_log_prob(own, masks) + 0.1
    reward = mask_reward(score, masks)
    adv = advantage(reward, value[torch.arange(3), target])
    f = torch.softmax(logits[:, :, 1], dim=1)
    args = (logits, value, target, masks, reward, old, adv)
    base = dict(entropy=0.3, value=0.5, kl=0.7, clip=0.2)
    total, parts = ppo_loss(*args, f, PPOCoefficients(**base))
    by_hand = (
        -parts["ppo"] - 0.3 * parts["entropy"] + 0.5 * parts["value"] + 0.7 * parts["class_kl"]
    )
    torch.testing.assert_close(total, by_hand)
    for name, other in [("entropy", 0.0), ("value", 0.0), ("kl", 0.0), ("clip", 0.01)]:
        changed, _ = ppo_loss(*args, f, PPOCoefficients(**(base | {name: other})))
        assert not torch.isclose(changed, total)
