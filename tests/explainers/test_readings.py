"""How a fitted explainer tells what the model's answers were read as; names; modes."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import LinearRegression, LogisticRegression
from torch import nn

import fastexplain
from fastexplain import ExactExplainer, FEXExplainer, RISEExplainer

X = np.random.default_rng(0).normal(size=(200, 3))
NAMES = np.where(X[:, 0] > 0, "yes", "no")
MODEL = LogisticRegression().fit(X, NAMES)
SMALL = {"max_steps": 20, "n_queries": 3000, "hidden_dim": 8, "n_blocks": 1, "random_state": 0}


def quietly(explainer, *args):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return explainer.fit(*args)


@pytest.mark.parametrize(
    "make", [ExactExplainer, lambda: RISEExplainer(20), lambda: FEXExplainer(**SMALL)]
)
def test_fitted_explainers_say_how_answers_were_read(make):
    explainer = quietly(make(), X, MODEL)
    assert explainer.output_ == "probability"
    assert explainer.output_reason_ == "LogisticRegression.predict_proba"
    assert "probability (LogisticRegression.predict_proba)" in repr(explainer)
    assert "# explains" not in repr(make())


def test_a_guess_is_said_once_at_the_users_line():
    for make in (ExactExplainer, lambda: FEXExplainer(**SMALL)):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            make().fit(X, lambda Z: 1 / (1 + np.exp(-Z[:, 0])))
        guesses = [w for w in caught if "explained as it is" in str(w.message)]
        assert [w.filename for w in guesses] == [__file__]


def test_probability_of_one_column_is_itself_whoever_asks():
    f = lambda Z: 1 / (1 + np.exp(-Z[:, 0] + Z[:, 1]))  # noqa: E731
    plain = quietly(ExactExplainer("shapley"), X, f).explain(X[:9])
    declared = quietly(ExactExplainer("shapley", output="probability"), X, f).explain(X[:9], 1)
    np.testing.assert_allclose(plain.values, declared.values)


@pytest.mark.parametrize("output", ["margin", "multilabel_logits"])
def test_new_readings_are_kept_by_save_and_load(tmp_path, output):
    torch.manual_seed(0)
    module = nn.Linear(3, 2)
    explainer = quietly(FEXExplainer(**SMALL, output=output, output_names=["a", "b"]), X, module)
    assert explainer.output_names_ == ["a", "b"]
    explainer.save(tmp_path / "e")
    loaded = fastexplain.load(tmp_path / "e", model=module)
    assert (loaded.output_, loaded.output_names_) == (output, ["a", "b"])
    assert loaded.output_reason_ == explainer.output_reason_
    for target in ("predicted", "all", "b"):
        np.testing.assert_array_equal(
            loaded.explain(X[:5], target).values, explainer.explain(X[:5], target).values
        )
    again = pickle.loads(pickle.dumps(explainer)).attach_model(module)
    np.testing.assert_array_equal(again.explain(X[:5]).values, explainer.explain(X[:5]).values)


def test_select_reaches_the_model():
    def heads(Z):
        return {"risk": 4 * Z[:, 0], "value": 5 * Z[:, 1]}

    with pytest.raises(ValueError, match="several parts"):
        ExactExplainer().fit(X, heads)
    for name, j in (("risk", 0), ("value", 1)):
        explainer = ExactExplainer("shapley", select=name).fit(X, heads)
        found = explainer.explain(X[:5]).values
        assert (np.abs(found[:, j]) > 0).all()
        assert (np.delete(found, j, axis=1) == 0).all()


def test_names_from_the_answers():
    def f(frame):
        p = 1 / (1 + np.exp(-frame["a"].to_numpy()))
        return pd.DataFrame({"down": 1 - p, "up": p})

    frame = pd.DataFrame(X, columns=list("abc"))
    explainer = ExactExplainer().fit(frame, f)
    assert explainer.output_names_ == ["down", "up"]
    assert explainer.explain(frame[:3], "up").values.shape == (3, 3)
    given = ExactExplainer(output_names=["d", "u"]).fit(frame, f)
    assert given.explain(frame[:3], target="all").output_names == ["d", "u"]


# -- modes -----------------------------------------------------------------------------------
@pytest.mark.parametrize("names", [["all", "none"], ["predicted", "missed"]])
def test_classes_called_as_a_mode(names):
    y = np.where(X[:, 0] > 0, *names)
    model = LogisticRegression().fit(X, y)
    explainer = ExactExplainer().fit(X, model)
    place = list(model.classes_).index(names[0])
    with pytest.raises(ValueError, match=rf"\['{names[0]}'\] \* len.*fastexplain\."):
        explainer.explain(X[:4], names[0])
    everything = explainer.explain(X[:4], fastexplain.ALL)
    assert everything.shape == (4, 3, 2)
    one = explainer.explain(X[:4], [names[0]] * 4)
    np.testing.assert_array_equal(one.values, everything.values[:, :, place])
    # the default is the mode
    predicted = explainer.explain(X[:4])
    np.testing.assert_array_equal(
        predicted.target, [list(model.classes_).index(c) for c in model.predict(X[:4])]
    )
    np.testing.assert_array_equal(
        explainer.explain(X[:4], fastexplain.PREDICTED).values, predicted.values
    )


def test_modes_of_other_models():
    explainer = ExactExplainer().fit(X, MODEL)
    for mode, text in ((fastexplain.ALL, "all"), (fastexplain.PREDICTED, "predicted")):
        assert mode == text
        np.testing.assert_array_equal(
            explainer.explain(X[:4], mode).values, explainer.explain(X[:4], text).values
        )


# -- the model is checked --------------------------------------------------------------------
def test_a_model_that_answers_at_random_is_told_of():
    rng = np.random.default_rng(0)

    def noisy(Z):
        p = np.clip(0.5 + 0.1 * Z[:, 0] + 0.05 * rng.normal(size=len(Z)), 0, 1)
        return np.column_stack([1 - p, p])

    with pytest.warns(UserWarning, match="differently from call to call.*no cure") as caught:
        FEXExplainer(**SMALL).fit(X, noisy)
    texts = [str(w.message) for w in caught]
    assert not any("Raise n_queries" in text for text in texts)


@pytest.mark.filterwarnings("error:.*call to call")
def test_a_model_that_repeats_itself_is_not():
    dropout = nn.Sequential(nn.Linear(3, 8), nn.Dropout(0.5), nn.Linear(8, 2)).train()
    quietly(ExactExplainer(output="logits"), X, dropout)
    quietly(ExactExplainer(), X, MODEL)


def test_a_model_that_sees_more_than_the_features_is_refused():
    frame = pd.DataFrame(X, columns=list("abc"), index=np.arange(1000, 1200))

    def by_index(rows):
        return rows["a"].to_numpy() + rows.index.to_numpy()

    with pytest.raises(ValueError, match="otherwise to a sample of which all features are kept"):
        ExactExplainer().fit(frame, by_index)


def test_outputs_of_large_size_change():
    model = LinearRegression().fit(X, 100 * X[:, 0] + 1.7e9)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        explainer = ExactExplainer("shapley").fit(X, model)
    np.testing.assert_allclose(
        explainer.explain(X[:5]).values[:, 0], 100 * (X[:5, 0] - X[:, 0].mean()), rtol=1e-4
    )


@pytest.mark.parametrize("size", [0.0, 1.0, 1.7e9])
def test_models_that_ignore_their_input_are_told_of(size):
    with pytest.warns(UserWarning, match="changes no output"):
        ExactExplainer("shapley").fit(X, lambda Z: np.full(len(Z), size))
