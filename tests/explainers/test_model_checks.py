"""What fit finds out about a model: noise, answers that depend on the batch, other models."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastexplain import CoRTXExplainer, ExactExplainer, FastSHAPExplainer, SupervisedExplainer
from fastexplain._same_answers import same_answers
from fastexplain.masked_model import MaskedModel
from fastexplain.maskers import TabularMasker
from fastexplain.predictors import make_predictor
from fastexplain.tables import as_table

RNG = np.random.default_rng(0)
X = RNG.normal(size=(300, 4))
WEIGHTS = np.array([1.0, -2.0, 3.0, 0.5])


def scaled_by_the_batch(rows: np.ndarray) -> np.ndarray:
    return (rows - rows.mean(axis=0)) / (rows.std(axis=0) + 1e-9) @ WEIGHTS


def ranked_in_the_batch(rows: np.ndarray) -> np.ndarray:
    return rows.argsort(axis=0).argsort(axis=0) @ WEIGHTS


def noise_by_position(rows: np.ndarray) -> np.ndarray:
    return rows @ WEIGHTS + np.random.default_rng(0).normal(size=len(rows))


def told_by_fit(model: Any, **params: Any) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        ExactExplainer(output="regression", **params).fit(X, model)
    return [str(warning.message) for warning in caught]


@pytest.mark.parametrize("model", [scaled_by_the_batch, ranked_in_the_batch, noise_by_position])
def test_answers_that_depend_on_the_batch_are_told(model: Any) -> None:
    said = told_by_fit(model)
    assert [text for text in said if "depends on the samples it is asked with" in text], said


def test_noise_is_told_as_such() -> None:
    rng = np.random.default_rng(0)
    said = told_by_fit(lambda rows: rows @ WEIGHTS + rng.normal(size=len(rows)))
    assert [text for text in said if "differently from call to call" in text], said


@pytest.mark.parametrize("n", [1, 2, 3, 300])
def test_models_that_answer_each_row_alone_are_silent(n: int) -> None:
    single = WEIGHTS.astype(np.float32)

    def in_single_precision(rows: np.ndarray) -> np.ndarray:
        # sums of another order for another batch
        return 1e4 + (rows.astype(np.float32)[:, None, :] @ single)[:, 0]

    for model in (lambda rows: rows @ WEIGHTS, in_single_precision):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            ExactExplainer(output="regression", baseline="zero").fit(X[:n], model)


def signature(model: Any) -> Any:
    masked = MaskedModel(
        make_predictor(model, X, output="regression"), TabularMasker("zero").fit(X)
    )
    return masked.signature(as_table(X[:16]))


def test_models_on_a_large_offset_are_told_apart() -> None:
    """Relative to the spread of answers: 1.7e9 +- 300 are not all the same."""
    models = [
        lambda rows: 1.7e9 + 300 * (rows @ WEIGHTS),
        lambda rows: 1.7e9 - 300 * (rows @ WEIGHTS),
        lambda rows: 1.7e9 + 300 * rows[:, 0],
        lambda rows: 1.7e9 + 600 * rows[:, 0],
        lambda rows: 1.6e9 + 300 * rows[:, 0],
    ]
    found = [signature(model) for model in models]
    for k, answers in enumerate(found):
        assert same_answers(answers, signature(models[k]))
        assert not any(same_answers(answers, other) for other in found[:k])


def test_last_digits_make_no_other_model() -> None:
    first, other = (signature(lambda rows, s=s: (rows @ WEIGHTS) * s) for s in (1.0, 1.0 + 1e-12))
    assert same_answers(first, other)


def test_fewer_rows_have_the_first_answers() -> None:
    """A run that is taken up on a busier machine may ask for fewer."""
    masked = MaskedModel(
        make_predictor(lambda rows: rows @ WEIGHTS, X, output="regression"),
        TabularMasker("zero").fit(X),
    )
    whole = masked.signature(as_table(X[:16]))
    np.testing.assert_allclose(masked.signature(as_table(X[:5])), whole[:5])


@pytest.mark.parametrize("kind", [CoRTXExplainer, SupervisedExplainer])
def test_labels_of_one_model_are_not_taken_for_anothers(kind: Any, tmp_path: Path) -> None:
    params: dict[str, Any] = {"max_steps": 5, "n_queries": 4000, "random_state": 0}
    params |= {"hidden_dim": 8, "n_blocks": 1, "label_cache": tmp_path, "output": "regression"}
    asked = []
    for sign in (1, -1, 1):

        def model(rows: np.ndarray, sign: int = sign) -> np.ndarray:
            asked[-1] += len(rows)
            return 1.7e9 + sign * 300 * (rows @ WEIGHTS)

        asked.append(0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            kind(**params).fit(X, model)
    assert asked[1] > 2000
    assert asked[2] < asked[1]


def test_right_values_of_one_player_are_not_called_chance() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        explainer = FastSHAPExplainer(
            max_steps=400, n_queries=20_000, hidden_dim=32, n_blocks=1, random_state=0
        ).fit(X, lambda rows: 300 * rows[:, 0])
    explanation = explainer.explain(X[:5])
    np.testing.assert_allclose(
        explanation.values[:, 0], 300 * (X[:5, 0] - X[:, 0].mean()), rtol=0.02, atol=1.0
    )
    assert explainer.caution_ is None


def interrupted(model: Any, folder: Path) -> list[str]:
    """A run that is left at its third step; what is said of it."""
    steps = iter(range(1000))

    def asked(rows: np.ndarray) -> np.ndarray:
        if next(steps) > 20:
            raise KeyboardInterrupt
        return model(rows)

    params = RUN | {"checkpoint": folder, "model_batch_size": 100}
    with pytest.raises(KeyboardInterrupt), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        FastSHAPExplainer(**params).fit(X, asked)
    return [file.name for file in folder.iterdir()]


RUN: dict[str, Any] = {"max_steps": 8, "n_queries": 4000, "random_state": 0, "hidden_dim": 8}
RUN |= {"n_blocks": 1, "output": "regression"}


def on_an_offset(rows: np.ndarray) -> np.ndarray:
    return 1.7e9 + 300 * (rows @ WEIGHTS)


def test_a_run_of_another_model_of_that_size_is_refused(tmp_path: Path) -> None:
    assert [name for name in interrupted(on_an_offset, tmp_path / "run") if "pool" in name]
    explainer = FastSHAPExplainer(**RUN, checkpoint=tmp_path / "run")
    with pytest.raises(ValueError, match="unfinished run with other"):
        explainer.fit(X, lambda rows: 1.7e9 - 300 * (rows @ WEIGHTS))


def test_a_run_goes_on_where_last_digits_differ(tmp_path: Path) -> None:
    """Other batches, threads and devices change them."""
    interrupted(on_an_offset, tmp_path / "run")
    asked = []

    def other(rows: np.ndarray) -> np.ndarray:
        asked.append(len(rows))
        return on_an_offset(rows) * (1 + 3e-16)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        FastSHAPExplainer(**RUN, checkpoint=tmp_path / "run").fit(X, other)
        alone = FastSHAPExplainer(**RUN).fit(X, on_an_offset)
    assert sum(asked) < alone.n_model_queries_
