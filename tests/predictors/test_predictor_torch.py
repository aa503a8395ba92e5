"""Torch modules: read by their answers, called without leaving a trace."""

import pickle
from collections import namedtuple

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from fastexplain.predictors import make_predictor
from fastexplain.predictors._links import apply_link

X = np.random.default_rng(2).normal(size=(80, 3))
TENSOR = torch.tensor(X, dtype=torch.float32)
DEVICES = ["cpu"] + (["cuda"] if torch.cuda.is_available() else [])


def linear(outputs, *tail, dtype=torch.float32):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, outputs), *tail).to(dtype).eval()


class Answer(nn.Module):
    """A module that answers whatever a function makes of its input."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, X):
        return self.function(X)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.filterwarnings("error::UserWarning")
@pytest.mark.parametrize(
    ("module", "output", "kind", "link"),
    [
        (linear(3, nn.Softmax(1)), "auto", "classification", lambda v: v),
        (linear(3, nn.Softmax(1)), "probability", "classification", lambda v: v),
        (linear(3), "logits", "classification", lambda v: v.softmax(1)),
        (linear(3), "regression", "regression", lambda v: v),
        (linear(3, nn.Sigmoid()), "multilabel", "multilabel", lambda v: v),
        (
            linear(1, nn.Sigmoid()),
            "probability",
            "classification",
            lambda v: torch.hstack([1 - v, v]),
        ),
        (linear(3), "margin", "regression", lambda v: v),
        (linear(3), "multilabel_logits", "multilabel", torch.sigmoid),
        (linear(1), "regression", "regression", lambda v: v),
        (linear(1), "logits", "classification", lambda v: torch.hstack([-v, v]).sigmoid()),
        (
            linear(1, nn.Sigmoid(), nn.Flatten(0)),
            "probability",
            "classification",
            lambda v: torch.stack([1 - v, v], 1),
        ),
    ],
)
def test_module(module, output, kind, link, device):
    module.to(device)
    predictor = make_predictor(module, X, output=output)
    outputs = predictor(X)
    expected = link(module(TENSOR.to(device))).detach()
    torch.testing.assert_close(outputs, expected)
    assert outputs.shape == (80, predictor.n_outputs)
    assert (outputs.dtype, outputs.requires_grad) == (torch.float32, False)
    assert not outputs.is_inference()
    assert predictor.kind == kind
    assert predictor.torch_module is True
    assert predictor.device == outputs.device == next(module.parameters()).device
    if kind == "classification":
        np.testing.assert_array_equal(predictor.classes, np.arange(predictor.n_outputs))
    # the same rows as a tensor in place, and in a frame
    torch.testing.assert_close(predictor(TENSOR.to(device)), expected)
    torch.testing.assert_close(predictor(pd.DataFrame(X)), expected)
    torch.testing.assert_close(pickle.loads(pickle.dumps(predictor))(X), expected)
    # some modules squeeze the axis of a single row away
    torch.testing.assert_close(predictor(X[:1]), expected[:1])
    assert predictor(X[:0]).shape == (0, predictor.n_outputs)


def test_doubtful_answers_warn():
    with pytest.warns(UserWarning, match=r"softmax.*output='logits'") as caught:
        predictor = make_predictor(linear(3), X)
    assert caught[0].filename == __file__
    torch.testing.assert_close(predictor(X), linear(3)(TENSOR).softmax(1).detach())
    with pytest.warns(UserWarning, match="output='multilabel'"):
        assert make_predictor(linear(3, nn.Sigmoid()), X).kind == "multilabel"


def test_one_column_is_explained_as_it_is():
    for module in (linear(1), linear(1, nn.Sigmoid())):
        with pytest.warns(UserWarning, match="as it is.*output='regression'"):
            predictor = make_predictor(module, X)
        assert (predictor.kind, predictor.read_as) == ("regression", "regression")
        torch.testing.assert_close(predictor(X), module(TENSOR).detach())


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_input_takes_the_type_of_the_parameters(dtype):
    module = linear(40, nn.Softmax(1), dtype=dtype)
    predictor = make_predictor(module, X)  # rounded rows are still probabilities
    assert predictor.kind == "classification"
    expected = module(torch.tensor(X, dtype=dtype))
    # answers in double precision keep it, those in half precision are widened
    expected = expected if dtype == torch.float64 else expected.float()
    torch.testing.assert_close(predictor(X), expected)
    sums = predictor(TENSOR).sum(1)
    torch.testing.assert_close(sums, torch.ones_like(sums), atol=0.02, rtol=0)


def test_module_without_parameters():
    seen = []
    module = Answer(lambda X: seen.append(X) or X.softmax(1)).eval()
    make_predictor(module, X.astype(np.float32))
    assert seen[-1].dtype == torch.float32
    predictor = make_predictor(module, X.astype(np.float64))
    assert seen[-1].dtype == torch.float64  # as in X
    assert predictor.device == torch.device("cpu")
    predictor(TENSOR)
    assert seen[-1] is TENSOR  # a tensor in place is neither copied nor moved


def test_whole_numbers_stay_indices():
    module = nn.Sequential(nn.Embedding(5, 2), nn.Flatten(), nn.Linear(6, 2), nn.Softmax(1))
    indices = torch.randint(0, 5, (9, 3))
    predictor = make_predictor(module, indices)
    torch.testing.assert_close(predictor(indices), module.eval()(indices).detach())


def test_bytes_are_values_not_indices():
    module, rows = linear(2), torch.randint(0, 256, (9, 3), dtype=torch.uint8)
    predictor = make_predictor(module, rows, output="regression")
    torch.testing.assert_close(predictor(rows), module(rows.float()).detach())
    torch.testing.assert_close(predictor(rows.numpy()), predictor(rows))
    without = make_predictor(Answer(lambda X: X / 2).eval(), rows, output="regression")
    torch.testing.assert_close(without(rows), rows.float() / 2)


def test_what_a_module_takes_and_computes_in():
    predictor = make_predictor(linear(2, dtype=torch.float16), X, output="logits")
    assert (predictor.takes, predictor.dtype) == ("rows", torch.float16)
    assert make_predictor(Answer(torch.sigmoid), X, output="multilabel").dtype is None


def test_a_sigmoid_for_each_label():
    values = np.array([[-700.0, 0.0, 2.0], [3.0, -1.0, 700.0]])
    with np.errstate(over="ignore"):
        expected = 1 / (1 + np.exp(-values))
    np.testing.assert_allclose(apply_link(values, "sigmoid_each"), expected, atol=1e-12)
    outputs = apply_link(torch.tensor(values), "sigmoid_each")
    np.testing.assert_allclose(outputs.numpy(), expected, atol=1e-12)


def test_a_configuration_without_labels_tells_nothing():
    module = Answer(lambda X: namedtuple("Named", ["logits"])(X)).eval()
    module.config = {"hidden_size": 3}
    with pytest.warns(UserWarning, match="softmax"):
        make_predictor(module, X)


@pytest.mark.parametrize(
    "wrap",
    [
        namedtuple("Named", ["loss", "logits"])._make,
        lambda parts: (parts[1], parts[0]),
        lambda parts: {"loss": parts[0], "scores": parts[1]},
        lambda parts: [parts[1]],
    ],
)
def test_answers_with_parts(wrap):
    module = Answer(lambda X: wrap((X.sum(), X))).eval()
    outputs = make_predictor(module, TENSOR, output="logits")(TENSOR)
    torch.testing.assert_close(outputs, TENSOR.softmax(1))


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda X: {"a": X.sum()}, r"answered dict with keys \['a'\]"),
        (lambda X: [X.sum()], "answered list of length 1"),
        (
            lambda X: {"a": X, "b": X[:, 0]},
            r"'a' of shape \(64, 3\), 'b' of shape \(64,\).*select='a'",
        ),
        (lambda X: (X, X), r"0 of shape \(64, 3\), 1 of shape.*select=0"),
        (lambda X: X.numpy(), "answered ndarray"),
        (lambda X: (), "answered tuple"),
        (lambda X: X[:, None], r"shape \(64, 1, 3\) for 64 rows"),
        (lambda X: X[1:], r"shape \(63, 3\) for 64 rows"),
        (lambda X: X.mean(), r"shape \(\) for 64 rows"),
        (lambda X: X[:, :0], "answered 0 columns"),
        (lambda X: X.to_sparse(), "layout"),
        (lambda X: X.to(torch.complex64), "complex64"),
        (lambda X: torch.where(torch.arange(len(X))[:, None] == 3, torch.inf, X), "infinity at r"),
    ],
)
def test_answers_that_are_refused(function, message):
    with pytest.raises(ValueError, match=message):
        make_predictor(Answer(function).eval(), X)


def test_text_is_refused():
    with pytest.raises(TypeError, match="needs numeric columns"):
        make_predictor(linear(2), pd.DataFrame({"a": ["x", "y"]}))


def test_nullable_columns_are_numbers():
    frame = pd.DataFrame(X[:4], columns=list("abc")).convert_dtypes()
    frame["flag"] = True
    outputs = make_predictor(Answer(lambda X: X.sigmoid()).eval(), frame, output="multilabel")
    assert outputs(frame).shape == (4, 4)


def test_the_module_is_left_as_it_was():
    module = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 2))
    module[1].eval()  # a frozen layer inside a module in training
    module[0].weight.grad = torch.ones(4, 3)
    state = {name: value.clone() for name, value in module.state_dict().items()}
    modes = [part.training for part in module.modules()]
    predictor = make_predictor(module, X, output="logits")
    outputs = predictor(X)
    assert [part.training for part in module.modules()] == modes
    assert all(parameter.requires_grad for parameter in module.parameters())
    torch.testing.assert_close(module[0].weight.grad, torch.ones(4, 3))
    for name, value in module.state_dict().items():
        torch.testing.assert_close(value, state[name])
    torch.testing.assert_close(outputs, module.eval()(TENSOR).softmax(1).detach())


def test_the_mode_is_restored_after_an_error():
    def fail(X):
        raise RuntimeError("broken")

    module = nn.Sequential(nn.Dropout(), Answer(fail)).train()
    with pytest.raises(RuntimeError, match="broken") as caught:
        make_predictor(module, X)
    assert "asked it for 64 rows" in caught.value.__notes__[0]
    assert all(part.training for part in module.modules())


def test_modes_are_not_touched_in_evaluation():
    class Guarded(nn.Linear):
        def __setattr__(self, name, value):
            assert name != "training" or not getattr(self, "ready", False)
            super().__setattr__(name, value)

    module = Guarded(3, 2).eval()
    module.ready = True
    make_predictor(module, X, output="logits")(X)


def test_the_table_is_not_changed_by_a_module_that_works_in_place():
    table = np.ascontiguousarray(X, dtype=np.float32)
    before = table.copy()
    table.setflags(write=False)
    make_predictor(Answer(lambda X: X.zero_()).eval(), table, output="regression")(table[::-1])
    np.testing.assert_array_equal(table, before)


def test_the_device_is_followed():
    module = linear(2)
    predictor = make_predictor(module, X, output="logits")
    module.to("meta")
    assert predictor.device == torch.device("meta")
    assert predictor(X).device.type == "meta"
