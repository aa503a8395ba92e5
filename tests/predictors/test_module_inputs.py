"""Numbers on the way to a torch module: in the type they have, or in the module's."""

import threading

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from fastexplain import ExactExplainer
from fastexplain.predictors import make_predictor

RNG = np.random.default_rng(0)


class Recorder(nn.Module):
    """Keeps the types that it is given; with a parameter of some type, or without any."""

    def __init__(self, dtype=None):
        super().__init__()
        self.seen = []
        if dtype is not None:
            self.weight = nn.Parameter(torch.ones((), dtype=dtype))

    def forward(self, x):
        self.seen.append(x.dtype)
        return x.sum(1) * getattr(self, "weight", 1)


@pytest.mark.parametrize("own", [None, torch.float32, torch.float64, torch.float16])
@pytest.mark.parametrize("given", ["f4", "f8", ">f8", "f2", "i8", "i4", ">i4", "u2", "i1", "?"])
def test_types_that_reach_the_module(own, given):
    X = RNG.integers(0, 2 if given == "?" else 9, (50, 3)).astype(given)
    module = Recorder(own)
    explainer = ExactExplainer("shapley", output="regression").fit(X, module)
    explainer.explain(X[:5])
    kind = np.dtype(given).kind
    if kind == "f":
        wanted = own or (torch.float64 if given.endswith("8") else torch.float32)
    else:
        wanted = torch.bool if kind == "b" else torch.int64
    assert set(module.seen) == {wanted}


def test_whole_numbers_become_floats_where_the_module_wants_these():
    module, X = nn.Linear(3, 1), RNG.integers(0, 9, (50, 3))
    predictor = make_predictor(module, X, output="regression")
    expected = module(torch.tensor(X).float()).detach()
    torch.testing.assert_close(predictor(X), expected)
    explainer = ExactExplainer("shapley", output="regression").fit(X, module)
    np.testing.assert_allclose(
        explainer.explain(X[:4]).values,
        (X[:4] - explainer.base_values_ * 0 - X.mean(0).round()) * module.weight.detach().numpy(),
        rtol=1e-4,
        atol=1e-5,
    )


def test_double_precision_stays():
    X = np.column_stack([1.7e9 + RNG.integers(0, 600, 200), RNG.normal(size=200)])

    class Minutes(Recorder):
        def forward(self, x):
            return torch.stack([(x[:, 0] - 1.7e9) / 60, x[:, 1]], 1) @ (self.weight * torch.ones(2))

    module = Minutes(torch.float64)
    module.forward = lambda x: ((x[:, 0] - 1.7e9) / 60 + x[:, 1]) * module.weight
    explainer = ExactExplainer("shapley", output="regression").fit(X, module)
    explanation, outputs = explainer.explain(X[:9], return_prediction=True)
    np.testing.assert_allclose(outputs[:, 0], (X[:9, 0] - 1.7e9) / 60 + X[:9, 1], rtol=1e-12)
    np.testing.assert_allclose(
        explanation.values.sum(1) + explanation.base_values, outputs[:, 0], rtol=1e-12
    )


def test_digits_that_are_lost_are_told_of():
    X = np.column_stack([1.7e9 + RNG.integers(0, 600, 200), RNG.normal(size=200)])
    module = nn.Linear(2, 1)
    with pytest.warns(UserWarning, match=r"Columns \['x0'\] lose digits.*double") as caught:
        ExactExplainer("shapley", output="regression").fit(X, module)
    assert [w.filename for w in caught if "lose digits" in str(w.message)] == [__file__]


@pytest.mark.filterwarnings("error:.*lose digits")
def test_rounding_alone_is_not_told_of():
    X = 1e3 + RNG.normal(size=(200, 2))
    ExactExplainer("shapley", output="regression").fit(X, nn.Linear(2, 1))
    frame = pd.DataFrame({"a": RNG.integers(0, 9, 200), "b": RNG.normal(size=200)})
    ExactExplainer("shapley", output="regression").fit(frame, nn.Linear(2, 1))


@pytest.mark.parametrize("codes", [np.int64, np.int32, np.uint8])
def test_codes_of_embeddings(codes):
    class Embedded(nn.Module):
        def __init__(self):
            super().__init__()
            self.e, self.o = nn.Embedding(5, 3), nn.Linear(6, 2)

        def forward(self, x):
            return self.o(self.e(x).flatten(1))

    X, module = RNG.integers(0, 5, (200, 2)).astype(codes), Embedded()
    explainer = ExactExplainer("shapley", output="margin").fit(X, module)
    explanation = explainer.explain(X[:4], target="all")
    expected = module(torch.tensor(X[:4].astype(int))).detach().numpy()
    found = explanation.values.sum(1) + explanation.base_values
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_a_module_in_training_is_shared_by_threads():
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Linear(4, 16), nn.BatchNorm1d(16), nn.Dropout(0.5), nn.Linear(16, 2)
    ).train()
    net[3].eval()  # a part that is frozen in evaluation mode stays there
    X = RNG.normal(size=(64, 4)).astype(np.float32)
    # another predictor of a part of the same module
    predictors = [make_predictor(net, X, output="margin"), make_predictor(net[:3], X[:, :4])]
    state = {name: value.clone() for name, value in net.state_dict().items()}
    expected = [predictor(X) for predictor in predictors]
    wrong, barrier = [], threading.Barrier(8)

    def work(number):
        barrier.wait()
        for _ in range(100):
            found = predictors[number % 2](X)
            if not torch.equal(found, expected[number % 2]):
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert [part.training for part in net] == [True, True, True, False] and net.training
    for name, value in net.state_dict().items():
        assert torch.equal(value, state[name])


def test_compiled_modules_are_unwrapped():
    module = nn.Sequential(nn.Linear(3, 2), nn.Softmax(1)).eval()
    X = RNG.normal(size=(20, 3)).astype(np.float32)
    predictor = make_predictor(torch.compile(module), X)
    assert predictor.module is module
    torch.testing.assert_close(predictor(X), module(torch.tensor(X)).detach())
