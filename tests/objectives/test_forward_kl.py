import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fastexplain.objectives import forward_kl_loss


def pieces(seed=0, B=4, K=2, N=5):
    g = torch.Generator().manual_seed(seed)
    mean = torch.rand((B, K, N), generator=g) * 0.8 + 0.1
    neutral = torch.rand((B, K), generator=g) * 0.5 + 0.25
    null = torch.rand((B, N), generator=g) < 0.3
    return mean, neutral, null


def loss(deviation, level, mean, neutral, null, variance=None):
    K = mean.shape[1]
    variance = torch.zeros_like(neutral) if variance is None else variance
    unit, scale = torch.full((K, 1), 0.01), torch.ones(K)
    return forward_kl_loss(deviation, level, unit, scale, mean, neutral, variance, null)[0]


def optimum(mean, neutral, null):
    level = torch.logit(neutral)
    return (torch.logit(mean) - level[:, :, None]).masked_fill(null[:, None], 0.0), level


@given(st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_definition_1_is_the_optimum(seed):
    mean, neutral, null = pieces(seed)
    deviation, level = (t.clone().requires_grad_() for t in optimum(mean, neutral, null))
    best = loss(deviation, level, mean, neutral, null)
    best.backward()
    assert abs(best.item()) < 1e-2  # the optimum's own entropy is taken off, up to float32
    # of the order of float32's resolution, multiplied by the largest weight (1 / unit**2)
    assert deviation.grad.abs().max() < 1e-3
    assert level.grad.abs().max() < 1e-4
    g = torch.Generator().manual_seed(seed)
    nudge = 0.2 * torch.randn(deviation.shape, generator=g) * (~null)[:, None]
    if (~null).any():
        worse = loss(deviation.detach() + nudge, level.detach(), mean, neutral, null)
        assert worse > best


def test_gradient_is_the_forward_kl_gradient_times_the_weights():
    """Against a sum over all masks: d/dl_i of -sum_m p(m) log q(m) is q_i - E_p[m_i]."""
    rng = np.random.default_rng(0)
    N = 4
    masks = ((np.arange(2**N)[:, None] >> np.arange(N)) & 1).astype(float)
    p = rng.random(2**N)
    p[0] = 0.0
    p /= p.sum()
    logits = torch.tensor(rng.normal(size=N), requires_grad=True)
    m = torch.tensor(masks)
    log_q = (m * logits - torch.nn.functional.softplus(logits)).sum(1)
    (-(torch.tensor(p) * log_q).sum()).backward()
    expected = logits.grad.numpy()

    mean = torch.tensor(p @ masks).reshape(1, 1, N)
    neutral = torch.tensor([[0.5]], dtype=torch.float64)  # level 0: deviations are the logits
    deviation = logits.detach().reshape(1, 1, N).clone().requires_grad_()
    null = torch.zeros((1, N), dtype=torch.bool)
    loss(deviation, torch.zeros((1, 1), dtype=torch.float64), mean, neutral, null).backward()
    rate = torch.sigmoid(logits.detach()).numpy()
    size = logits.detach().numpy() ** 2 + 0.01**2
    weights = 1.0 / (rate * (1 - rate) * size)
    np.testing.assert_allclose(deviation.grad.numpy()[0, 0], weights * expected / N, rtol=1e-6)


def test_null_players_and_noise_carry_no_weight():
    mean, neutral, null = pieces(3)
    deviation, level = optimum(mean, neutral, null)
    moved = deviation + 5.0 * null[:, None]
    a, b = (loss(d, level, mean, neutral, null) for d in (deviation, moved))
    torch.testing.assert_close(a, b)
    off = deviation + 0.3 * (~null)[:, None]
    noisy = torch.full_like(neutral, 0.05)
    assert loss(off, level, mean, neutral, null, noisy) < loss(off, level, mean, neutral, null)


def test_all_null_rows_give_a_finite_loss():
    mean, neutral, _ = pieces(4)
    null = torch.ones((4, 5), dtype=torch.bool)
    value = loss(torch.zeros_like(mean), torch.logit(neutral), mean, neutral, null)
    assert torch.isfinite(value)
