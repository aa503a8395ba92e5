"""The model randomisation check."""

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from torch import nn

from fastexplain.metrics import randomization_check, randomize

RNG = np.random.default_rng(0)


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(40, 40), nn.Linear(40, 40)
        self.second.weight = self.first.weight
        self.norm, self.dropout = nn.BatchNorm1d(40), nn.Dropout()

    def forward(self, x):
        return self.dropout(self.norm(self.second(self.first(x))))


@pytest.fixture
def model():
    torch.manual_seed(0)
    return Tied().eval()


def test_permuted_parameters_hold_the_same_numbers(model):
    before = {name: value.clone() for name, value in model.state_dict().items()}
    other = randomize(model, 3)
    assert not other.training and other.second.weight is other.first.weight
    for name, value in other.state_dict().items():
        assert torch.equal(value.flatten().sort()[0], before[name].flatten().sort()[0])
        assert torch.equal(model.state_dict()[name], before[name])
    assert not torch.equal(other.first.weight, before["first.weight"])
    assert not torch.equal(other.second.bias, before["second.bias"])
    x = torch.randn(5, 40)
    assert not torch.allclose(other(x), model(x))
    assert other.first.weight.requires_grad


def test_normal_parameters_have_the_same_moments(model):
    with torch.no_grad():
        model.first.weight.add_(0.5)
    other = randomize(model, 3, how="normal").first.weight
    assert other.mean().item() == pytest.approx(0.5, abs=0.01)
    assert other.std().item() == pytest.approx(model.first.weight.std().item(), rel=0.05)
    assert not torch.equal(other.flatten().sort()[0], model.first.weight.flatten().sort()[0])
    # a constant has no deviation
    assert torch.equal(randomize(model, 3, how="normal").norm.weight, model.norm.weight)


def test_generator(model):
    weights = [randomize(model, seed).first.weight for seed in (1, 1, 2)]
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])
    generator = torch.Generator().manual_seed(1)
    state = torch.random.get_rng_state()
    first, second = (randomize(model, generator).first.weight for _ in range(2))
    assert torch.equal(first, weights[0]) and not torch.equal(first, second)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_whole_numbers_and_empty_parameters():
    module = nn.Module()
    module.steps = nn.Parameter(torch.arange(50), requires_grad=False)
    module.none = nn.Parameter(torch.zeros(0))
    assert torch.equal(randomize(module, how="normal").steps, module.steps)
    assert torch.equal(randomize(module).steps.sort()[0], module.steps)


def test_buffers(model):
    model.norm.running_mean = torch.randn(40)
    kept, changed = randomize(model), randomize(model, buffers=True)
    assert torch.equal(kept.norm.running_mean, model.norm.running_mean)
    assert not torch.equal(changed.norm.running_mean, model.norm.running_mean)
    assert torch.equal(changed.norm.num_batches_tracked, model.norm.num_batches_tracked)
    # the weights of a module that was saved for inference
    module = nn.Module()
    module.register_buffer("weight", torch.randn(40))
    assert not torch.equal(randomize(module, buffers=True).weight, module.weight)
    with pytest.raises(ValueError, match="no parameters"):
        randomize(module)


def test_bad_models(model):
    with pytest.raises(TypeError, match="torch module"):
        randomize(lambda x: x)
    with pytest.raises(ValueError, match="how"):
        randomize(model, how="zero")


def test_check_is_the_mean_correlation():
    a, b = RNG.normal(size=(2, 8, 6))
    expected = np.mean([spearmanr(p, q).statistic for p, q in zip(a, b, strict=True)])
    assert randomization_check(a, b) == pytest.approx(expected)
    assert randomization_check(a, a) == pytest.approx(1.0)
    assert randomization_check(a, -a) == pytest.approx(-1.0)
    assert randomization_check(a, -a, absolute=True) == pytest.approx(1.0)


def test_check_compares_only_the_players_of_each_text():
    a, b = RNG.normal(size=(2, 5, 6))
    counts = np.array([6, 3, 1, 0, 3])
    expected = np.mean(
        [spearmanr(a[i, :k], b[i, :k]).statistic for i, k in [(0, 6), (1, 3), (4, 3)]]
    )
    assert randomization_check(a, b, counts) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("a", "b", "counts", "match"),
    [
        (np.zeros((2, 3)), np.zeros((2, 4)), None, "shape"),
        (np.zeros(3), np.zeros(3), None, "shape"),
        (np.zeros((2, 3)), np.full((2, 3), np.nan), None, "NaN"),
        (np.zeros((2, 3)), np.zeros((2, 3)), [1], "counts"),
        (np.zeros((2, 3)), np.zeros((2, 3)), [1, 4], "counts"),
        (np.zeros((2, 3)), np.zeros((2, 3)), [1, 0], "two players"),
        (np.zeros((0, 3)), np.zeros((0, 3)), None, "two players"),
    ],
)
def test_bad_check(a, b, counts, match):
    with pytest.raises(ValueError, match=match):
        randomization_check(a, b, counts)
