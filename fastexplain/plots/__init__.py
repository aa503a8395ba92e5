"""Plots of explanations, through ``explanation.plot``.

Shap's plots are used where shap is installed and their reading holds; plain ones of this
package elsewhere. Importing this package imports neither shap nor matplotlib.
"""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from fastexplain._extras import optional_import
from fastexplain.plots._pictures import PicturePlots, one_output
from fastexplain.plots._text import HighlightedText
from fastexplain.plots._training import training_curve

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["HighlightedText", "Plots", "training_curve"]

Backend = Literal["auto", "shap", "own"]


class Plots(PicturePlots):
    """Plots of one explanation; made by ``explanation.plot``.

    They draw on ``ax``, or on a new figure, and return the axes. Values are shown relative to a
    feature without effect, so that red is above and blue below it. Every picture shows the
    ``score`` of the explanation and its ``caution``, where there is one; pictures of single rows
    show what the model predicts, where the explanation holds ``predictions``.

    Parameters
    ----------
    explanation : Explanation
        Values of one output a row; of all outputs for :meth:`image`.
    """

    def bar(
        self,
        *,
        max_display: int = 10,
        ax: Axes | None = None,
        show: bool = False,
        backend: Backend = "auto",
    ) -> Axes:
        """Mean absolute attribution of each feature; of a single row its attributions.

        Parameters
        ----------
        max_display : int
            The number of features shown, the largest first.
        ax : matplotlib Axes, optional
            Where to draw. Default: a new figure.
        show : bool
            Whether to call ``matplotlib.pyplot.show``.
        backend : {"auto", "shap", "own"}
            Whose plot to draw. ``"auto"`` takes shap's where installed.

        Returns
        -------
        matplotlib Axes

        Examples
        --------
        >>> import matplotlib
        >>> matplotlib.use("Agg")
        >>> from fastexplain.explanation import Explanation
        >>> explanation = Explanation([[0.3, -0.1]], base_values=0.5, feature_names=["age", "sex"])
        >>> ax = explanation.plot.bar(backend="own")
        >>> [label.get_text() for label in ax.get_yticklabels()]
        ['sex', 'age']
        """
        explanation = one_output(self._explanation)
        _check_display(max_display)
        if _with_shap(backend):
            from fastexplain.plots import _shap as drawn
        else:
            from fastexplain.plots import _own as drawn  # type: ignore[no-redef]
        return _finish(drawn.bar(explanation, max_display, _axes(ax)), show)

    def beeswarm(
        self,
        *,
        max_display: int = 10,
        ax: Axes | None = None,
        show: bool = False,
        backend: Backend = "auto",
    ) -> Axes:
        """One point for each row and feature, coloured by the feature's value.

        Parameters
        ----------
        max_display, ax, show, backend
            As for :meth:`bar`.

        Returns
        -------
        matplotlib Axes
        """
        explanation = one_output(self._explanation, several=True)
        _check_display(max_display)
        if _with_shap(backend):
            from fastexplain.plots import _shap as drawn
        else:
            from fastexplain.plots import _own as drawn  # type: ignore[no-redef]
        return _finish(drawn.beeswarm(explanation, max_display, _axes(ax)), show)

    def waterfall(
        self,
        row: int = 0,
        *,
        max_display: int = 10,
        ax: Axes | None = None,
        show: bool = False,
        backend: Backend = "auto",
    ) -> Axes:
        """Attributions of one row, largest first.

        Shapley values are stacked from f(baseline), the output with all features removed, to
        the model output; with removal by a surrogate from v(none). Attributions that
        do not add up to it, which is all others and a part of the features, are drawn side by
        side from the value of a feature without effect.

        Parameters
        ----------
        row : int
            Position of the row.
        max_display, ax, show, backend
            As for :meth:`bar`. Shap's plot stacks and fills a figure of its own, so
            ``"auto"`` takes it only for values that add up and when ``ax`` is None. Its
            "E[f(X)]" is replaced by what the base value is.

        Returns
        -------
        matplotlib Axes
        """
        explanation = one_output(self._explanation)
        _check_display(max_display)
        n = len(explanation._values)
        if not -n <= row < n:
            raise IndexError(f"row {row} is out of range: there are {n}")
        single = explanation[int(row)] if "row" in explanation.dims else explanation

        from fastexplain.plots import _own

        stacks = single.additive and _own.adds_up(single)
        if backend == "shap" and not stacks:
            raise ValueError(
                "shap's waterfall adds the values up to the model output, which these do not; "
                'use backend="own"'
            )
        if backend == "shap" and ax is not None:
            raise ValueError("shap's waterfall takes no ax")
        if stacks and ax is None and _with_shap(backend):
            from fastexplain.plots import _shap

            return _finish(_shap.waterfall(single, max_display, _axes(None)), show)
        return _finish(_own.waterfall(single, max_display, _axes(ax)), show)


def _check_display(max_display: int) -> None:
    if max_display < 1:
        raise ValueError(f"max_display must be at least 1, not {max_display}")


def _with_shap(backend: str) -> bool:
    if backend not in ("auto", "shap", "own"):
        raise ValueError(f'backend must be "auto", "shap" or "own", not {backend!r}')
    if backend == "auto":
        return importlib.util.find_spec("shap") is not None
    return backend == "shap"


def _axes(ax: Axes | None) -> tuple[Axes, bool]:
    """Axes to draw on, and whether their figure is ours to size."""
    pyplot = optional_import("matplotlib.pyplot", "plots", "Explanation.plot")
    return (pyplot.figure().gca(), True) if ax is None else (ax, False)


def _finish(ax: Any, show: bool) -> Any:
    if show:
        optional_import("matplotlib.pyplot", "plots", "Explanation.plot").show()
    return ax


def largest(values: np.ndarray, max_display: int) -> np.ndarray:
    """Positions of the features with the largest mean magnitude, of ``values`` (n, N)."""
    size = np.abs(values).mean(axis=0)
    return np.argsort(-size, kind="stable")[:max_display]
