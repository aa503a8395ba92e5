"""Strides made dilations: the same states at the cells that were there before."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from fastexplain.networks._finer import finer, finer_layers


class Block(nn.Module):
    """A residual block whose shortcut strides as its first convolution does."""

    def __init__(self, inside, outside, stride, kernel=3):
        super().__init__()
        self.first = nn.Conv2d(inside, outside, kernel, stride, kernel // 2)
        self.second = nn.Conv2d(outside, outside, 3, 1, 1)
        self.norm = nn.BatchNorm2d(outside)
        self.short = nn.Conv2d(inside, outside, 1, stride)

    def forward(self, x):
        return torch.relu(self.norm(self.second(torch.relu(self.first(x)))) + self.short(x))


def network(strides, seed=0, kernel=3):
    torch.manual_seed(seed)
    widths = [3, *(4 + i for i in range(len(strides)))]
    blocks = [Block(a, b, s, kernel) for a, b, s in zip(widths, widths[1:], strides, strict=False)]
    return nn.Sequential(*blocks).eval()


def states_of(model, x, layers):
    def ask():
        kept, h = [], x
        with torch.no_grad():
            for i, part in enumerate(model):
                h = part(h)
                if i in layers:
                    kept.append(h)
        return kept

    return ask


@settings(max_examples=25, deadline=None)
@given(
    strides=st.lists(st.sampled_from([1, 2]), min_size=1, max_size=4),
    least=st.sampled_from([1, 2, 3, 4, 8, 16]),
    seed=st.integers(0, 20),
    kernel=st.sampled_from([3, 5]),
)
def test_maps_are_as_fine_as_players_and_states_the_same_where_they_were(
    strides, least, seed, kernel
):
    model = network(strides, seed, kernel)
    x = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(seed))
    ask = states_of(model, x, range(len(strides)))
    before = ask()
    plan = finer_layers(model, ask, (least, least))
    # nothing is left changed
    assert all(torch.equal(a, b) for a, b in zip(before, ask(), strict=True))
    coarse = [state.shape[2] < 0.7 * least for state in before]
    assert bool(plan) == any(coarse)
    finer(model, plan)
    for old, new, doubled in zip(before, ask(), coarse, strict=True):
        step = 2 if doubled else 1
        assert new.shape[2] == step * old.shape[2]
        torch.testing.assert_close(new[:, :, ::step, ::step], old, rtol=1e-3, atol=1e-4)


def test_max_pooling_is_dilated_too():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3, 1, 1), nn.MaxPool2d(3, 2, 1), nn.Conv2d(4, 5, 3, 1, 1))
    ask = states_of(model, torch.randn(1, 3, 8, 8), [2])
    before = ask()[0]
    plan = finer_layers(model, ask, (8, 8))
    assert set(plan) == {"1", "2"}
    finer(model, plan)
    assert ask()[0].shape[2:] == (8, 8)
    torch.testing.assert_close(ask()[0][:, :, ::2, ::2], before)


class Flat(nn.Module):
    """Reads a map of 4x4 alone."""

    def __init__(self):
        super().__init__()
        self.line = nn.Linear(16, 2)

    def forward(self, h):
        return self.line(h.flatten(2))


@pytest.mark.parametrize(
    "model",
    [
        nn.Sequential(nn.Conv2d(3, 4, 2, 2), nn.Conv2d(4, 4, 2, 2)),
        nn.Sequential(nn.Conv2d(3, 4, 3, 2, "valid"), nn.Conv2d(4, 4, 3, 1, "same")),
        nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), Flat()),
        nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.AvgPool2d(2)),
        nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.Upsample(scale_factor=2)),
    ],
    ids=["even windows", "paddings by name", "fixed size", "mean pooling", "up again"],
)
def test_networks_whose_states_would_differ_are_left_as_they_are(model):
    ask = states_of(model.eval(), torch.randn(1, 3, 8, 8), range(len(model)))
    before = ask()
    assert finer_layers(model, ask, (8, 8)) == {}
    assert all(torch.equal(a, b) for a, b in zip(before, ask(), strict=True))


class Checks(nn.Module):
    """Refuses maps of another size, in its own way."""

    def __init__(self, error):
        super().__init__()
        self.conv, self.error = nn.Conv2d(3, 4, 3, 2, 1), error

    def forward(self, x):
        h = self.conv(x)
        if h.shape[2] != 4:
            raise self.error("not 4x4")
        return h


class Indexed(nn.Module):
    """Calls windows in ways that are not looked into."""

    def __init__(self):
        super().__init__()
        self.conv, self.pool = nn.Conv2d(3, 4, 3, 2, 1), nn.MaxPool2d(2, return_indices=True)

    def forward(self, x):
        return self.pool(self.conv(input=x))[0]


@pytest.mark.parametrize(
    "model",
    [Checks(ValueError), Checks(AssertionError), Indexed()],
    ids=["error", "assertion", "odd calls"],
)
def test_whatever_a_model_does_at_another_size_it_is_left_as_it_is(model):
    model = nn.Sequential(model).eval()
    ask = states_of(model, torch.randn(1, 3, 8, 8), [0])
    before = ask()
    assert finer_layers(model, ask, (8, 8)) == {}
    assert all(torch.equal(a, b) for a, b in zip(before, ask(), strict=True))


def test_plans_of_other_models_are_refused():
    plan = {"1": {"stride": [1, 1]}}
    with pytest.raises(ValueError, match=r"do not belong to this model: it has no convolution '1'"):
        finer(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()), plan)


def test_layers_that_are_called_twice_are_left_alone():
    conv = nn.Conv2d(3, 3, 3, 2, 1)
    model = nn.Sequential(conv, conv)
    assert finer_layers(model, states_of(model, torch.randn(1, 3, 8, 8), [1]), (8, 8)) == {}
