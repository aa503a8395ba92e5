"""Eqs. 7 to 18 of the concept paper against loops and enumeration, and its special cases."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fastexplain import RISEExplainer
from fastexplain.explainers._sample_masks import SampleMasks
from fastexplain.objectives import (
    bernoulli_log_prob,
    concept_set_loss,
    prediction_drop,
    relative_drop,
)

seeds = st.integers(0, 10_000)
COUNTS = torch.tensor([5, 4, 5])


def draw(seed, B=3, T=4, N=5):
    g = torch.Generator().manual_seed(seed)
    logits = torch.randn((B, N), generator=g, dtype=torch.float64)
    old = logits + 0.5 * torch.randn((B, N), generator=g, dtype=torch.float64)
    masks = (torch.rand((B, T, N), generator=g) < 0.5).double()
    drop = torch.rand((B, T), generator=g, dtype=torch.float64)
    return logits, old, masks, drop


def every_set(n):
    return torch.tensor(list(itertools.product([0.0, 1.0], repeat=n)), dtype=torch.float64)


# -- the pieces ------------------------------------------------------------------------------
def test_drop_eq_11():
    full = torch.tensor([0.8, 0.3])
    kept = torch.tensor([[0.5, 0.9, 0.8], [0.3, 0.0, 1.0]])
    expected = torch.tensor([[0.3, 0.0, 0.0], [0.0, 0.3, 0.0]])
    torch.testing.assert_close(prediction_drop(full, kept), expected)


@given(seeds, st.integers(1, 6))
@settings(max_examples=20, deadline=None)
def test_relative_drop_is_what_a_set_costs_beyond_the_others(seed, n_sets):
    drop = draw(seed, T=n_sets)[3]
    found = relative_drop(drop)
    for b, t in itertools.product(range(len(drop)), range(n_sets)):
        others = [float(drop[b, s]) for s in range(n_sets) if s != t]
        expected = float(drop[b, t]) - (np.mean(others) if others else 0.0)
        assert float(found[b, t]) == pytest.approx(expected)


# -- Eq. 18 ----------------------------------------------------------------------------------
def naive_eq_18(logits, old, masks, cost, counts, weight, clip):
    """One sample, one set and one player at a time."""
    total = 0.0
    for b in range(len(logits)):
        p = [1 / (1 + math.exp(-float(v))) for v in logits[b]]
        before = [1 / (1 + math.exp(-float(v))) for v in old[b]]
        lost = 0.0
        for t in range(masks.shape[1]):
            ratio = 1.0
            for i, kept in enumerate(masks[b, t].tolist()):
                now, then = (q[i] if kept else 1 - q[i] for q in (p, before))
                ratio *= now / then
            z = float(cost[b, t])
            lost += max(z * ratio, z * min(max(ratio, 1 - clip), 1 + clip))
        size = math.sqrt(sum(v**2 for v in p)) / math.sqrt(float(counts[b]))
        total += size + weight * lost / masks.shape[1]
    return total / len(logits)


@given(seeds, st.sampled_from([0.1, 0.3, 0.9]), st.sampled_from([0.2, 1.0, 5.0]), st.booleans())
@settings(max_examples=40, deadline=None)
def test_eq_18_against_a_loop(seed, clip, weight, centered):
    logits, old, masks, drop = draw(seed)
    cost = relative_drop(drop) if centered else drop
    old_log_q = bernoulli_log_prob(old, masks)
    found, parts = concept_set_loss(logits, masks, cost, old_log_q, COUNTS, weight, clip)
    expected = naive_eq_18(logits, old, masks, cost, COUNTS, weight, clip)
    assert float(found) == pytest.approx(expected)
    assert float(parts["size"] + weight * parts["lost"]) == pytest.approx(expected)


def test_keeping_everything_has_size_one_whatever_n():
    for n in (1, 3, 50):
        logits, masks = torch.full((1, n), 40.0), torch.ones((1, 2, n))
        log_q = bernoulli_log_prob(logits, masks)
        count = torch.tensor([n])
        loss, _ = concept_set_loss(logits, masks, torch.zeros(1, 2), log_q, count, 1.0, 0.3)
        assert float(loss) == pytest.approx(1.0)


def test_players_that_are_no_players_do_not_count():
    logits, old, masks, drop = draw(0)
    old_log_q = bernoulli_log_prob(old, masks)
    short = concept_set_loss(logits, masks, drop, old_log_q, torch.full((3,), 5), 1.0, 0.3)[0]
    logits, old = (torch.nn.functional.pad(v, (0, 4), value=-30.0) for v in (logits, old))
    masks = torch.nn.functional.pad(masks, (0, 4))
    wide_log_q = bernoulli_log_prob(old, masks)
    wide = concept_set_loss(logits, masks, drop, wide_log_q, torch.full((3,), 5), 1.0, 0.3)[0]
    torch.testing.assert_close(wide, short)


@pytest.mark.parametrize("seed", range(5))
def test_policies_beyond_the_clip_gain_nothing_by_going_further(seed):
    # a costly set that is already much rarer than when it was drawn, a cheap one much more
    # frequent: no gradient of what is lost
    _, _, masks, _ = draw(seed, B=1, T=1)
    for cost, away in ((1.0, -3.0), (-1.0, 3.0)):
        signs = 2.0 * masks[:, 0] - 1.0
        logits = (away * signs).requires_grad_()
        old_log_q = bernoulli_log_prob(torch.zeros_like(logits), masks)
        weight = torch.full((1, 1), cost, dtype=torch.float64)
        count = torch.tensor([5])
        loss, _ = concept_set_loss(logits, masks, weight, old_log_q, count, 1.0, 0.3)
        size, _ = concept_set_loss(logits, masks, 0 * weight, old_log_q, count, 1.0, 0.3)
        (gradient,) = torch.autograd.grad(loss, logits, retain_graph=True)
        torch.testing.assert_close(gradient, torch.autograd.grad(size, logits)[0])


# -- gradients -------------------------------------------------------------------------------
def enumerated(logits, drops, counts, weight, centered, n_drawn=1):
    """Mean gradient of Eq. 18 at ratio 1 over all draws of sets, weighted by their chance."""
    n = logits.shape[1]
    sets = every_set(n)
    chance = bernoulli_log_prob(logits.detach(), sets[None])[0].exp()
    total = torch.zeros_like(logits)
    for which in itertools.product(range(len(sets)), repeat=n_drawn):
        masks = sets[list(which)][None]
        drop = drops[list(which)][None]
        cost = relative_drop(drop) if centered else drop
        old_log_q = bernoulli_log_prob(logits.detach(), masks)
        loss, _ = concept_set_loss(logits, masks, cost, old_log_q, counts, weight, 0.3)
        total += chance[list(which)].prod() * torch.autograd.grad(loss, logits)[0]
    return total


def expected_objective(logits, drops, counts, weight):
    """Eq. 15 by enumeration, differentiable: the size, and lambda times the expected drop."""
    chance = bernoulli_log_prob(logits, every_set(logits.shape[1])[None])[0].exp()
    size = torch.sigmoid(logits).norm(dim=1) / counts.double().sqrt()
    return (size + weight * (chance * drops).sum()).sum()


@given(seeds, st.integers(1, 4), st.sampled_from([0.3, 1.0, 4.0]))
@settings(max_examples=15, deadline=None)
def test_gradient_at_ratio_one_is_that_of_eq_15(seed, n, weight):
    g = torch.Generator().manual_seed(seed)
    logits = torch.randn((1, n), generator=g, dtype=torch.float64).requires_grad_()
    drops = torch.rand(2**n, generator=g, dtype=torch.float64)
    counts = torch.tensor([n])
    (exact,) = torch.autograd.grad(expected_objective(logits, drops, counts, weight), logits)
    found = enumerated(logits, drops, counts, weight, centered=False)
    torch.testing.assert_close(found, exact)


@given(seeds, st.integers(1, 2), st.integers(2, 3))
@settings(max_examples=10, deadline=None)
def test_relative_drops_keep_the_mean_gradient(seed, n, n_drawn):
    g = torch.Generator().manual_seed(seed)
    logits = torch.randn((1, n), generator=g, dtype=torch.float64).requires_grad_()
    drops = torch.rand(2**n, generator=g, dtype=torch.float64)
    counts = torch.tensor([n])
    (exact,) = torch.autograd.grad(expected_objective(logits, drops, counts, 1.5), logits)
    found = enumerated(logits, drops, counts, 1.5, centered=True, n_drawn=n_drawn)
    torch.testing.assert_close(found, exact)


def test_relative_drops_have_less_variance():
    n, g = 6, torch.Generator().manual_seed(0)
    logits = torch.zeros((1, n), dtype=torch.float64).requires_grad_()
    sets, weights = every_set(n), torch.rand(n, generator=g, dtype=torch.float64)
    drops = 1.0 + (1 - sets) @ weights
    found = {False: [], True: []}
    for _ in range(200):
        which = torch.randint(2**n, (8,), generator=g)
        for centered, gradients in found.items():
            cost = drops[which][None]
            cost = relative_drop(cost) if centered else cost
            old_log_q = bernoulli_log_prob(logits.detach(), sets[which][None])
            loss, _ = concept_set_loss(
                logits, sets[which][None], cost, old_log_q, torch.tensor([n]), 1.0, 0.3
            )
            gradients.append(torch.autograd.grad(loss, logits)[0][0])
    plain, relative = (torch.stack(found[key]).var(dim=0).sum() for key in (False, True))
    assert relative < 0.2 * plain


# -- special cases ---------------------------------------------------------------------------
def minimised(objective, start, inside, steps=600, rate=0.1):
    """Gradient descent within a set that ``inside`` projects onto."""
    p = start.clone()
    for step in range(steps):
        p.requires_grad_()
        (gradient,) = torch.autograd.grad(objective(p), p)
        p = inside(p.detach() - rate * (1 - step / steps) * gradient)
    return p


def in_ball(p):
    p = p.clamp(min=0.0)
    return p / p.norm().clamp(min=1.0)


@pytest.mark.parametrize("seed", range(4))
def test_special_case_1_the_minimiser_has_the_direction_of_the_positive_weights(seed):
    # Eq. 9, ||p||_2 - lambda w.p, grows with the length of p where a direction pays, so that it
    # is the direction that is found: among p >= 0 of length 1 at most, that of ReLU(w)
    g = torch.Generator().manual_seed(seed)
    w = torch.randn(6, generator=g, dtype=torch.float64)
    positive = w.clamp(min=0.0)
    best = positive / positive.norm()
    start = torch.full((6,), 0.3, dtype=torch.float64)
    weight = 3.0 / float(positive.norm())

    def eq_9(p):
        return p.norm() - weight * (w * p).sum()

    found = minimised(eq_9, start, in_ball)
    torch.testing.assert_close(found, best, atol=1e-5, rtol=0)
    tried = torch.rand((5000, 6), generator=g, dtype=torch.float64)
    tried *= torch.rand((5000, 6), generator=g) < 0.6
    tried = tried[tried.any(dim=1)]
    tried /= tried.norm(dim=1, keepdim=True)
    assert (1.0 - weight * tried @ w >= eq_9(best) - 1e-12).all()
    # where nothing is worth its size, nothing is kept
    weight = 0.5 / float(positive.norm())
    assert float(minimised(eq_9, start, in_ball).norm()) < 1e-2


def test_special_case_1_the_expected_linear_drop_is_w_times_one_less_p():
    logits = torch.randn((1, 4), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    w, sets = torch.tensor([0.4, 0.1, 0.3, 0.2], dtype=torch.float64), every_set(4)
    drops = prediction_drop(torch.ones(1, dtype=torch.float64), (sets @ w)[None])[0]
    chance = bernoulli_log_prob(logits, sets[None])[0].exp()
    p = torch.sigmoid(logits)[0]
    torch.testing.assert_close((chance * drops).sum(), (w * (1 - p)).sum())


def test_special_case_2_rise_is_the_gradient_of_the_expected_output():
    # Of f(s * x) with s ~ Bernoulli(p), the derivative by p_i is E[f | s_i = 1] - E[f | s_i = 0];
    # at p = 1/2 that is 2 (RISE_i - the same map of the complements).
    n = 4
    g = torch.Generator().manual_seed(1)
    table = torch.rand(2**n, generator=g, dtype=torch.float64)
    sets = every_set(n)
    p = torch.full((n,), 0.5, dtype=torch.float64).requires_grad_()
    chance = (p * sets + (1 - p) * (1 - sets)).prod(dim=1)
    (gradient,) = torch.autograd.grad((chance * table).sum(), p)
    kept = (table[:, None] * sets).sum(dim=0) / sets.sum(dim=0)
    gone = (table[:, None] * (1 - sets)).sum(dim=0) / (1 - sets).sum(dim=0)
    torch.testing.assert_close(gradient, kept - gone)
    # the score-function gradient of our loss is minus it, times p (1 - p)
    logits = torch.zeros((1, n), dtype=torch.float64).requires_grad_()
    drops = prediction_drop(torch.ones(1, dtype=torch.float64), table[None])[0]
    found = enumerated(logits, drops, torch.tensor([n]), 1.0, centered=False)
    size = torch.autograd.grad(torch.sigmoid(logits).norm(dim=1).sum() / math.sqrt(n), logits)[0]
    torch.testing.assert_close((found - size)[0], -0.25 * gradient)


def test_special_case_2_our_rise_equals_it_up_to_a_line():
    # the explainer's masks are replaced by all of them, so that its estimate is exact
    n = 4
    weights = np.array([0.1, -0.4, 0.25, 0.3])

    def model(X):
        inside = X @ weights + 0.3 * X[:, 0] * X[:, 2]
        score = 1 / (1 + np.exp(-inside))
        return np.column_stack([1 - score, score])

    explainer = RISEExplainer(16, baseline="zero", random_state=0).fit(np.eye(n), model)

    class EverySet(SampleMasks):
        def draw(self, numbers, block, n_players):
            return np.repeat(every_set(n_players).numpy().astype(bool)[None], len(numbers), axis=0)

    explainer._masks = EverySet(0, 16, 0.5)
    x = np.array([[1.0, 2.0, -1.0, 0.5]])
    rise = explainer.explain(x, target=1).values[0]
    table = model(every_set(n).numpy() * x)[:, 1]
    sets = every_set(n).numpy()
    gradient = (table[:, None] * sets).sum(0) / 8 - (table[:, None] * (1 - sets)).sum(0) / 8
    # sum f s_i / sum f = 1/2 + (E[f | 1] - E[f | 0]) / (4 E[f])
    np.testing.assert_allclose(rise, 0.5 + gradient / (4 * table.mean()), rtol=1e-9)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("weight", [2.0, 5.0])
def test_special_case_3_continuous_masks_keep_what_is_worth_its_size(seed, weight):
    # f linear in s: sum(s) + lambda max(f(x) - f(s * x), 0) falls in s_i where lambda w_i > 1
    g = torch.Generator().manual_seed(seed)
    w = torch.rand(6, generator=g, dtype=torch.float64)
    w = torch.where((weight * w - 1).abs() < 0.1, w + 0.3 / weight, w)

    def objective(s):
        return s.sum() + weight * prediction_drop(w.sum()[None], (w * s).sum()[None, None])[0, 0]

    start = torch.full((6,), 0.5, dtype=torch.float64)
    found = minimised(objective, start, lambda s: s.clamp(0.0, 1.0))
    torch.testing.assert_close(found, (weight * w > 1).double())
