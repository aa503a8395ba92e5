"""The result of explaining rows: attributions with what they belong to.

Values, names and data are sliced together, leave as tables or as ``shap.Explanation``, and
draw themselves. The module needs NumPy alone; what needs more imports it when asked.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastexplain import _explanation_data as tables
from fastexplain._explanation_checks import (
    checked_names,
    checked_predictions,
    checked_score,
    checked_target,
    checked_unit,
    floats,
    per_output,
    value_unit,
)
from fastexplain._explanation_layout import as_samples, check_layout
from fastexplain._explanation_take import take

if TYPE_CHECKING:
    import pandas as pd
    import shap

    from fastexplain.layouts import ImageLayout, TextLayout
    from fastexplain.plots import Plots

__all__ = ["Explanation"]

_DIMS = ("row", "feature", "output")


class Explanation:
    """Attributions of N features for n rows, of one output a row or of all K outputs.

    Parameters
    ----------
    values : array-like of shape (n, N), (n, N, K) or (N,)
        Attributions: of one output a row, of all K outputs, or a single row.
    base_values : float or array-like of shape (n,), (n, K) or ()
        Output of the model with all features removed, f(baseline); the mean over them where
        the baseline is several rows. This is not the mean output over the data, E[f(X)], by
        which shap's pictures name it. One number stands for all.
    data : ndarray, DataFrame (pandas or polars) of n rows, optional
        What was explained, for display. With a ``layout`` of images an array (n, C, H, W),
        (n, H, W, C) or (n, H, W); with one of texts n strings, kept as an array (n, 1).
    feature_names : sequence of str, optional
        Names of the N features. Default: the columns of ``data``, or ``feature 0``, ...
    output_names : sequence of str, optional
        Names of all the outputs of the model. Names that are not strings become strings.
    target : int or array-like of int of shape (n,), optional
        Position of each row's explained output. None with values of shape (n, N, K).
    neutral_values : array-like of shape (n,) or (n, K), optional
        The value a feature *without effect* has in that row. None means 0, as for Shapley
        values; attributions in [0, 1] have some level near 0.5.
    efficiency_gap : array-like of shape (n,) or (n, K), optional
        Model output minus base value minus sum of the attributions as they were found.
    method : str
        How the values were found; for display.
    display_data : ndarray or DataFrame of shape (n, N), optional
        One readable value for each row and feature. Needed where a feature is a group of
        columns; without it ``data`` is taken, if it has N columns.
    additive : bool, optional
        Whether ``base_values`` plus the sum of ``values`` is meant to be the model output.
        Default: True when ``neutral_values`` is None.
    gap_is_spread : bool, default=False
        Whether ``values`` are corrected by the efficiency gap, and now add up.
    layout : ImageLayout or TextLayout, optional
        Where the features lie in images or texts; ``plot.image`` and ``plot.text`` need it.
    predictions : array-like of shape (n, K), (n,) or (K,), optional
        Outputs of the model for the rows; NaN where unknown. With one output a row, (n, K)
        are those of all the outputs in ``output_names``, of which each row's ``target`` is
        kept, and (n,) those of the explained outputs. Pictures show them.
    score : float, optional
        Held-out faithfulness of the explainer that gave the values, such as its
        ``best_score_``. Pictures show it. Numbers that are not finite count as None.
    score_name : str, default="score"
        What ``score`` measures, such as ``"rank correlation"``.
    caution : str, optional
        Why the values should not be trusted, such as "no training step was made". Every
        picture shows it.
    unit : float or array-like of shape (K,), optional
        The size of a change of an output that matters, of each output in ``output_names`` or
        of all: 1 for probabilities, the spread of the outputs elsewhere. Pictures draw values
        pale that are far below it.

    Attributes
    ----------
    values : ndarray of shape (n, N) or (n, N, K)
    base_values, neutral_values, efficiency_gap, predictions : ndarray of shape (n,) or (n, K)
    target : ndarray of int of shape (n,), or None
    unit : float or ndarray of shape (K,), or None
    score : float or None
    score_name : str
    caution : str or None
    dims : tuple of str
        Names of the axes of ``values``, out of ``"row"``, ``"feature"``, ``"output"``.

    Notes
    -----
    ``explanation[rows, features, outputs]`` takes positions, slices, masks and lists of them,
    and names for features and outputs. Axes are indexed independently of each other: two
    lists select a block. An integer or a name drops its axis, a list keeps it. Integers are
    always positions, even where the classes of a model are called 0 and 1: write ``"1"`` for
    the class of that name. Slices share memory with the explanation they are taken from where
    NumPy allows.

    Once an output is selected, the values have shape (n, N) and ``target`` says which output
    it was.

    A selection of features has no ``layout``, which is one of all features.

    Examples
    --------
    >>> import numpy as np
    >>> explanation = Explanation(
    ...     np.arange(12.0).reshape(2, 3, 2),
    ...     base_values=0.5,
    ...     feature_names=["age", "sex", "fare"],
    ...     output_names=["died", "survived"],
    ...     method="Shapley",
    ... )
    >>> explanation
    Explanation(2 rows x 3 features x 2 outputs; Shapley)
    >>> explanation[..., "survived"]
    Explanation(2 rows x 3 features, target "survived"; Shapley)
    >>> explanation[:, ["age", "fare"], "survived"].values
    array([[ 1.,  5.],
           [ 7., 11.]])
    >>> explanation[0, "age"].values
    array([0., 1.])
    """

    def __init__(
        self,
        values: Any,
        *,
        base_values: Any,
        data: Any = None,
        feature_names: Sequence[str] | None = None,
        output_names: Sequence[str] | None = None,
        target: Any = None,
        neutral_values: Any = None,
        efficiency_gap: Any = None,
        method: str = "",
        display_data: Any = None,
        additive: bool | None = None,
        gap_is_spread: bool = False,
        layout: ImageLayout | TextLayout | None = None,
        predictions: Any = None,
        score: float | None = None,
        score_name: str = "score",
        caution: str | None = None,
        unit: Any = None,
    ) -> None:
        values = floats(values)
        if values.ndim not in (1, 2, 3):
            raise ValueError(
                "values must have shape (n, N), (n, N, K) or (N,) for a single row, "
                f"not {values.shape}"
            )
        single = values.ndim == 1
        if base_values is None:
            raise ValueError("base_values must be given: the output with all features removed")
        # every axis is always there inside; `dims` says which of them the user sees
        self.dims: tuple[str, ...] = _DIMS[1:2] if single else _DIMS[: values.ndim]
        self._values = values.reshape((1,) * single + values.shape + (1,) * (values.ndim < 3))
        n, n_features, n_outputs = self._values.shape
        self._base: np.ndarray = per_output(self, base_values, "base_values")  # type: ignore
        self._neutral = per_output(self, neutral_values, "neutral_values")
        self._gap = per_output(self, efficiency_gap, "efficiency_gap")

        self._data = tables.as_table(as_samples(data, single, layout), n, single)
        check_layout(layout, n, n_features, self._data)
        self._layout = layout
        display = tables.as_table(display_data, n, single, "display_data")
        if display is not None and tuple(display.shape) != (n, n_features):
            raise ValueError(
                f"display_data must have shape ({n}, {n_features}), not {tuple(display.shape)}"
            )
        # a later slice may happen to have as many features as the data have columns, so the
        # question whether columns are features is settled here, once
        self._columns_are_features = (
            display is None
            and layout is None
            and self._data is not None
            and tuple(self._data.shape) == (n, n_features)
        )
        self._display = self._data if self._columns_are_features else display

        if feature_names is None:
            named = tables.column_names(self._display)
            feature_names = named or [f"feature {i}" for i in range(n_features)]
        self.feature_names: list[str] = checked_names(feature_names, n_features, "feature_names")
        self.output_names: list[str] | None = None
        if output_names is not None:
            length = n_outputs if "output" in self.dims else None
            self.output_names = checked_names(output_names, length, "output_names")
        self._target = checked_target(self, target)
        self._predictions = checked_predictions(self, predictions)
        self._unit = checked_unit(self, unit)
        self.method = str(method)
        self.additive = neutral_values is None if additive is None else bool(additive)
        self.gap_is_spread = bool(gap_is_spread)
        self.score = checked_score(score)
        self.score_name = str(score_name)
        self.caution = str(caution) if caution else None
        # a slice has fewer features, and centred values lie elsewhere, so both are settled here
        self._n_players = n_features
        self._value_unit = value_unit(self)

    def _copy(self) -> Explanation:
        """Return another explanation of the same arrays, to be changed by whoever asked."""
        new = object.__new__(type(self))
        new.__dict__.update(self.__dict__)
        return new

    def _visible(self, shape: tuple[int, ...], axes: tuple[str, ...]) -> tuple[int, ...]:
        return tuple(size for size, axis in zip(shape, axes, strict=True) if axis in self.dims)

    def _shown(self, array: np.ndarray | None, axes: tuple[str, ...]) -> Any:
        if array is None:
            return None
        return array.reshape(self._visible(array.shape, axes))

    @property
    def values(self) -> np.ndarray:
        """Attributions; one axis for each of ``dims``."""
        return self._shown(self._values, _DIMS)

    @property
    def base_values(self) -> np.ndarray:
        """Output of the model with all features removed, f(baseline), (n,) or (n, K)."""
        return self._shown(self._base, ("row", "output"))

    @property
    def neutral_values(self) -> np.ndarray | None:
        """The value a feature without effect has, (n,) or (n, K); None means 0."""
        return self._shown(self._neutral, ("row", "output"))

    @property
    def efficiency_gap(self) -> np.ndarray | None:
        """Output minus base value minus sum of attributions, (n,) or (n, K), or None.

        Before any correction: it tells how far a learned explainer was off, also where
        ``gap_is_spread`` says that the values have been made to add up since.
        """
        return self._shown(self._gap, ("row", "output"))

    @property
    def predictions(self) -> np.ndarray | None:
        """Outputs of the model for the rows, (n,) of the explained ones or (n, K), or None."""
        return self._shown(self._predictions, ("row", "output"))

    @property
    def unit(self) -> float | np.ndarray | None:
        """The size of a change of an output that matters, or None.

        A float where one output is explained, or one number stands for all; else (K,), one
        for each of ``output_names``.
        """
        if self._unit is None or self._unit.ndim == 0:
            return None if self._unit is None else float(self._unit)
        targets = set() if self._target is None else set(self._target.tolist())
        return float(self._unit[targets.pop()]) if len(targets) == 1 else self._unit

    def _units(self) -> np.ndarray | None:
        """``unit`` of each row's outputs, (n, K), with K = 1 for one target a row."""
        n, _, n_outputs = self._values.shape
        if self._unit is None:
            return None
        if self._unit.ndim == 0 or "output" in self.dims:
            return np.broadcast_to(self._unit, (n, n_outputs))
        return self._unit[self._target][:, None]

    @property
    def _missing(self) -> np.ndarray | None:
        """What the values as they are lack to the output, (n, K)."""
        return self._gap if self._gap is None or not self.gap_is_spread else 0.0 * self._gap

    @property
    def target(self) -> np.ndarray | None:
        """Position in ``output_names`` of each row's explained output; None for all outputs."""
        return self._shown(self._target, ("row",))

    @property
    def data(self) -> Any:
        """What was explained; a table keeps its kind (a single row is a table of one row)."""
        feature_shown = not self._columns_are_features or "feature" in self.dims
        return self._shown_table(self._data, feature_shown)

    @property
    def display_data(self) -> Any:
        """A readable value for each row and feature, or None."""
        return self._shown_table(self._display, "feature" in self.dims)

    @property
    def layout(self) -> ImageLayout | TextLayout | None:
        """Where the features lie in the images or texts of the rows, or None."""
        return self._layout

    def _shown_table(self, table: Any, with_columns: bool) -> Any:
        if isinstance(table, np.ndarray):
            table = table if with_columns else table[:, 0]
            table = table if "row" in self.dims else table[0]
        return table

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of ``values``."""
        return self._visible(self._values.shape, _DIMS)

    @property
    def ndim(self) -> int:
        """Number of axes of ``values``."""
        return len(self.dims)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """``values``, for ``np.asarray(explanation)``."""
        if copy is None:
            return np.asarray(self.values, dtype=dtype)
        return np.array(self.values, dtype=dtype, copy=copy)

    def __len__(self) -> int:
        """Length of the first axis: the rows."""
        if not self.dims:
            raise TypeError("a single attribution has no length")
        return self.shape[0]

    def __iter__(self) -> Iterator[Explanation]:
        """Explanations along the first axis: of each row."""
        for position in range(len(self)):
            yield self[position]

    def __getitem__(self, key: Any) -> Explanation:
        """Select rows, features and outputs; see the notes of the class."""
        return take(self, key)

    @property
    def centered(self) -> Explanation:
        """The explanation with ``neutral_values`` subtracted: zero is "no effect".

        Signs and the order of magnitudes can then be read as from Shapley values. Sums
        cannot: centered attributions still do not add up to the model output.

        Examples
        --------
        >>> explanation = Explanation([[0.75, 0.5]], base_values=0.1, neutral_values=[0.5])
        >>> explanation.centered.values
        array([[0.25, 0.  ]])
        """
        new = self._copy()
        if self._neutral is not None:
            new._values = self._values - self._neutral[:, None]
            new._neutral = None
        return new

    @staticmethod
    def concat(explanations: Sequence[Explanation]) -> Explanation:
        """Put explanations of the same features, outputs and method below each other.

        ``score`` and ``unit`` are kept where all have the same, cautions are joined, and
        ``predictions`` are NaN where one has none.

        Examples
        --------
        >>> first = Explanation([[1.0, 2.0]], base_values=0.0)
        >>> second = Explanation([[3.0, 4.0]], base_values=0.0)
        >>> Explanation.concat([first, second]).values
        array([[1., 2.],
               [3., 4.]])
        """
        from fastexplain._explanation_export import concat

        return concat(explanations)

    def to_shap(self, center: bool = True) -> shap.Explanation:
        """Convert to ``shap.Explanation``, for shap's plots.

        Parameters
        ----------
        center : bool
            Subtract ``neutral_values`` first (the default), because shap's plots take zero
            for "no effect". False gives the raw values.

        Returns
        -------
        shap.Explanation
            Its ``data`` are numbers, as the plots need them to colour and place points:
            categories are coded, a missing one as one more category, and ``display_data``
            holds the readable values. Values of a single output, (n, N, 1), become (n, N).
            ``output_names`` is set for several outputs only.

            Images are given as ``shap.plots.image`` reads them: values at the pixels,
            (n, H, W, 1) or (n, H, W, 1, K), and ``data`` as displayed, in [0, 1]. Values that add
            up are shared out among the pixels of their patch and still do; of others each pixel
            has its patch's value. Texts are given as ``shap.plots.text`` reads them: of each
            text the values and the characters of its own players.

        Notes
        -----
        Shap's waterfall, force and decision plots add the values up to the model output. That
        holds for Shapley values only (``additive``); for others use ``plot.waterfall``, which
        does not.

        ``base_values`` are f(baseline), the output with all features removed. Shap's plots
        call them E[f(X)] or the expected value, which they are not: the mean output over data
        is another number. ``plot.waterfall`` writes "f(baseline)" in its place.

        Examples
        --------
        >>> explanation = Explanation([[0.75, 0.5]], base_values=0.1, neutral_values=[0.5])
        >>> explanation.to_shap().values
        array([[0.25, 0.  ]])
        """
        from fastexplain._explanation_export import to_shap

        return to_shap(self, center)

    def to_frame(self) -> pd.DataFrame:
        """Values as a pandas DataFrame of n rows, with the data's index if these have one.

        Returns
        -------
        DataFrame
            A column for each feature; for all outputs for each (output, feature), a
            ``MultiIndex``.

        Examples
        --------
        >>> names = ["age", "fare"]
        >>> frame = Explanation([[1.0, 2.0]], base_values=0.0, feature_names=names).to_frame()
        >>> list(frame.columns), frame.shape
        (['age', 'fare'], (1, 2))
        """
        from fastexplain._explanation_export import to_frame

        return to_frame(self)

    @property
    def plot(self) -> Plots:
        """Plots of the values: ``plot.bar()``, ``plot.beeswarm()``, ``plot.waterfall(row)``.

        Of images ``plot.image()``, of texts ``plot.text()`` and ``plot.text_figure(row)``.
        """
        from fastexplain.plots import Plots

        return Plots(self)

    def __repr__(self) -> str:
        from fastexplain._explanation_html import summary

        return f"Explanation({summary(self)})"

    def _repr_html_(self) -> str:
        from fastexplain._explanation_html import html

        return html(self)
