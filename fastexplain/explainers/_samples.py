"""Tables, images and texts alike: which masker, what a model is probed with, what is shown."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np

from fastexplain.maskers import ImageMasker, TabularMasker, TextMasker
from fastexplain.predictors import parts_of
from fastexplain.readers._forms import Form
from fastexplain.readers._text import common_texts
from fastexplain.tables import Table

__all__ = [
    "check_not_empty",
    "described",
    "fresh_masker",
    "make_masker",
    "named",
    "probe_of",
    "same_classes",
]


def make_masker(X: Any, model: Any, baseline: Any, groups: Any) -> Any:
    """The masker that fits the data, where the user names none.

    Parameters
    ----------
    X : table, images or texts
    model : object
        A pipeline of texts brings its tokenizer.
    baseline, groups : object
        Of tables.
    """
    first = _first(X)
    # bytes are no texts, of which the masker tells
    if isinstance(first, str | bytes):
        _refuse_for_tables(baseline, groups, "texts")
        return TextMasker(_tokenizer_of(model), max_length=parts_of(model).max_length)
    # a picture without its list is one, too: of that the masker tells
    images = getattr(X, "ndim", 0) in (3, 4) or hasattr(first, "getbands") or hasattr(X, "getbands")
    if images or getattr(first, "ndim", 0) in (2, 3):
        _refuse_for_tables(baseline, groups, "images")
        return ImageMasker()
    return TabularMasker(baseline=baseline, groups=groups)


def _first(X: Any) -> Any:
    """The first sample of a list, or of a one-dimensional array or Series."""
    if isinstance(X, str):
        return X
    if isinstance(X, list | tuple):
        return X[0] if X else None
    if getattr(X, "ndim", 0) == 1 and len(X) and not hasattr(X, "columns"):
        return np.asarray(X, dtype=object)[0]
    return None


def _refuse_for_tables(baseline: Any, groups: Any, what: str) -> None:
    if not (isinstance(baseline, str) and baseline == "mean") or groups is not None:
        cure = "ImageMasker(fill=)" if what == "images" else "TextMasker(fill=)"
        raise ValueError(f"baseline= and groups= are for tables; {what} take masker={cure}.")


def _tokenizer_of(model: Any) -> Any:
    parts = parts_of(model)
    if parts.module is not None and parts.tokenizer is None:
        raise ValueError(
            "A torch model of texts needs its tokenizer: pass masker=TextMasker(tokenizer), or "
            "the pair (model, tokenizer) or a pipeline as the model."
        )
    return parts.tokenizer


def fresh_masker(given: Any, model: Any) -> Any:
    """A masker of the same parameters, not fitted; of texts, with the model's tokenizer."""
    if isinstance(given, type) or not (hasattr(given, "wrap") and hasattr(given, "fit")):
        raise TypeError(
            "masker must be a TabularMasker, an ImageMasker or a TextMasker, as in "
            f"masker=TextMasker(unit='word'); got {given!r}."
        )
    names = inspect.signature(type(given)).parameters
    masker = type(given)(**{name: getattr(given, name) for name in names})
    if isinstance(masker, TextMasker) and masker.tokenizer is None:
        if parts_of(model).module is not None:
            masker.tokenizer = _tokenizer_of(model)
    if isinstance(masker, TextMasker) and masker.max_length is None:
        masker.max_length = parts_of(model).max_length
    return masker


def probe_of(masker: Any, samples: Any, model: Any) -> Any:
    """Samples in the form that a model takes, to see what it answers."""
    if not isinstance(masker, TextMasker):
        return samples.copied()
    tokens = parts_of(model).module is not None
    return masker.whole(samples, Form(tokens, "tokens" if tokens else "texts"))


def plain_samples(masker: Any) -> Any:
    """A few samples such as a fitted masker of images or texts takes, none of the user's."""
    if isinstance(masker, TextMasker):
        return common_texts(masker)
    dtype = np.uint8 if masker.whole_numbers_ else np.float32
    return masker.wrap(np.zeros((2, *masker.shape_), dtype=dtype))


def check_not_empty(samples: Any) -> None:
    """Raise if there is no sample, or a table has no column."""
    counts = [(len(samples), "sample")]
    if isinstance(samples, Table):
        counts.append((samples.n_columns, "feature"))
    for n, what in counts:
        if n == 0:
            shape = getattr(samples.native, "shape", (0,))
            # the wording that scikit-learn's own checks look for
            raise ValueError(
                f"Found array with 0 {what}(s) (shape={shape}) while a minimum of 1 "
                "is required. Pass at least one row and one column."
            )


def named(X: Any, table: Table) -> Any:
    """X, for scikit-learn to look at its names, which it refuses to do where they repeat."""
    if table.kind == "numpy" or len(set(table.names)) == table.n_columns:
        return X
    return np.broadcast_to(0.0, table.native.shape)


def same_classes(known: np.ndarray | None, fitted: np.ndarray | None) -> bool:
    """Whether a model's classes are those fitted on; a bare function numbers its own."""
    if known is None or fitted is None:
        return known is fitted
    return known.tolist() in (fitted.tolist(), list(range(len(fitted))))


def described(samples: Any, masker: Any, n_players: int) -> dict[str, Any]:
    """What an ``Explanation`` shows of the samples: data, names, and where players lie."""
    names = list(masker.feature_names_)
    if isinstance(samples, Table):
        display = _joined_cells(samples, masker)
        return {"data": samples.native, "feature_names": names, "display_data": display}
    layout = masker.layout(samples)
    if samples.kind == "images":
        return {"data": samples.native, "feature_names": names, "layout": layout}
    texts = np.empty((len(samples), 1), dtype=object)
    texts[:, 0] = list(samples.native)
    tokens = np.full((len(samples), n_players), "", dtype=object)
    for i in range(len(samples)):
        own = samples.tokens(i)
        tokens[i, : len(own)] = own
    unit = names[0].rpartition(" ")[0] if names else "token"
    names += [f"{unit} {j}" for j in range(len(names), n_players)]
    return {"data": texts, "feature_names": names, "display_data": tokens, "layout": layout}


def _joined_cells(table: Table, masker: TabularMasker) -> Any:
    """Readable cells, one a player: a group of columns is shown as its values joined."""
    if masker.n_players == table.n_columns:
        return None
    cells = np.empty((len(table), masker.n_players), dtype=object)
    for player in range(masker.n_players):
        columns = np.flatnonzero(masker.player_of_column_ == player)
        parts = [np.asarray(table.column(int(j)), dtype=object) for j in columns]
        pieces = zip(*parts, strict=True)
        cells[:, player] = (
            parts[0] if len(parts) == 1 else [", ".join(map(str, values)) for values in pieces]
        )
    return cells
