"""Tables, images and texts alike: which masker, what a model is probed with, what is shown."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np

from fastexplain._containers import plain_container
from fastexplain._warnings import warn_user
from fastexplain.images import found_channels
from fastexplain.maskers import ImageMasker, TabularMasker, TextMasker
from fastexplain.maskers._image_sizes import size_of_processor, sizes_differ
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

# sides of grey images are hardly ever shorter
_SMALL_IMAGE = 8


def make_masker(X: Any, model: Any, baseline: Any, groups: Any, categorical: Any = None) -> Any:
    """The masker that fits the data, where the user names none.

    Parameters
    ----------
    X : table, images or texts
    model : object
        A pipeline of texts brings its tokenizer.
    baseline, groups, categorical : object
        Of tables.
    """
    for_tables = baseline, groups, categorical
    known = plain_container(X) if not hasattr(X, "getbands") else X
    first = _first(known)
    # bytes are no texts, of which the masker tells
    if isinstance(first, str | bytes):
        _refuse_for_tables(*for_tables, "texts")
        return TextMasker(_tokenizer_of(model), max_length=parts_of(model).max_length)
    # a picture without its list is one, too: of that the masker tells
    axes = getattr(known, "ndim", 0) or 1 + getattr(first, "ndim", 0)
    if axes in (3, 4) or hasattr(first, "getbands") or hasattr(known, "getbands"):
        _refuse_for_tables(*for_tables, "images")
        if axes == 3:
            _warn_of_series(known)
        return _with_size(ImageMasker(), model, X)
    return TabularMasker(baseline=baseline, groups=groups, categorical=categorical)


def _first(X: Any) -> Any:
    """The first sample of a list, or of a one-dimensional array or Series, that is not missing."""
    if isinstance(X, list | tuple):
        return next((x for x in X if x is not None and x is x), None)
    if len(getattr(X, "shape", ())) == 1 and len(X) and not hasattr(X, "columns"):
        return next((x for x in X if isinstance(x, str | bytes)), None)
    return None


def _warn_of_series(X: Any) -> None:
    """Say what is done with an array of three axes that is not clearly images."""
    first = X[0]
    if hasattr(first, "getbands"):
        return
    shape, sides = (len(X), *first.shape), tuple(first.shape)
    found_channels(shape, "auto", isinstance(X, list | tuple))  # what is one image is refused
    floating = "float" in str(first.dtype)
    if floating and (sides[0] != sides[1] or min(sides) < _SMALL_IMAGE):
        warn_user(
            f"X of shape {shape} is taken for {len(X)} grey images of {sides[0]} x {sides[1]} "
            "pixels, whose patches are the players; say masker=ImageMasker() if they are. Series "
            "or sequences of shape (n, time, features) are explained as a table: rows "
            "[x.ravel() for x in X], with groups= of columns as players, and as the model a "
            f"function that gives rows the shape ({sides[0]}, {sides[1]}) back."
        )


def _with_size(masker: ImageMasker, model: Any, X: Any) -> ImageMasker:
    """A masker that resizes images of several sizes to the one that the model's processor names."""
    if masker.size is None and sizes_differ(X):
        named_size = size_of_processor(parts_of(model).image_processor)
        if named_size is not None:
            masker.size, masker.resample = named_size
    return masker


def _refuse_for_tables(baseline: Any, groups: Any, categorical: Any, what: str) -> None:
    default = isinstance(baseline, str) and baseline == "mean"
    if not default or groups is not None or categorical is not None:
        cure = "ImageMasker(fill=)" if what == "images" else "TextMasker(fill=)"
        raise ValueError(
            f"baseline=, groups= and categorical= are for tables; {what} take masker={cure}."
        )


def _tokenizer_of(model: Any) -> Any:
    parts = parts_of(model)
    if parts.module is not None and parts.tokenizer is None:
        raise ValueError(
            "A torch model of texts needs its tokenizer: pass masker=TextMasker(tokenizer), or "
            "the pair (model, tokenizer) or a pipeline as the model."
        )
    return parts.tokenizer


def fresh_masker(given: Any, model: Any, X: Any = None) -> Any:
    """A masker of the same parameters, not fitted, with the model's tokenizer or image size."""
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
    return _with_size(masker, model, X) if isinstance(masker, ImageMasker) else masker


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
    if table.kind == "numpy":
        return table.native  # X may be rows in a container that scikit-learn does not know
    if len(set(table.names)) == table.n_columns:
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
