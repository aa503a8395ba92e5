"""``explanation.plot`` of images and texts, and what can be drawn at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastexplain._explanation_words import output_name
from fastexplain._extras import optional_import
from fastexplain.plots import _image, _text
from fastexplain.plots._text import HighlightedText

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap

    from fastexplain.explanation import Explanation

__all__ = ["PicturePlots", "one_output"]


def one_output(explanation: Explanation, several: bool = False) -> Explanation:
    """Return the explanation if it can be drawn: with features, and one output a row.

    ``several`` asks for an axis of rows too.
    """
    n, n_features, n_outputs = explanation._values.shape
    if n_outputs > 1:
        names = [output_name(explanation, k) for k in range(n_outputs)]
        shown = ", ".join(map(repr, names[:8])) + (", ..." if n_outputs > 8 else "")
        choice = f'"{names[0]}"' if explanation.output_names else "0"
        raise ValueError(
            f"these are values of {n_outputs} outputs ({shown}); choose one to plot, "
            f"such as explanation[..., {choice}]"
        )
    if "output" in explanation.dims:
        explanation = explanation[..., 0]
    if "feature" not in explanation.dims:
        name = explanation.feature_names[0]
        raise ValueError(f'nothing to compare "{name}" with; keep it as explanation[:, [...]]')
    if not n or not n_features:
        raise ValueError(f"an explanation of shape {explanation.shape} has nothing to plot")
    if several and "row" not in explanation.dims:
        raise ValueError("this plot needs several rows, such as explanation[:100]")
    return explanation


class PicturePlots:
    """Plots of images and texts; the part of :class:`Plots` that needs a layout.

    Parameters
    ----------
    explanation : Explanation
    """

    def __init__(self, explanation: Explanation) -> None:
        self._explanation = explanation

    def image(
        self,
        rows: Any = None,
        *,
        outputs: Any = None,
        columns: int = 1,
        cmap: str | Colormap | None = None,
        alpha: float = 0.85,
        max_rows: int = 8,
        ax: Axes | None = None,
        show: bool = False,
    ) -> Any:
        """Images beside their attributions, a column for each output.

        The attributions lie as transparent colours on the image in grey: red above and blue
        below the value of no effect. Where no value is negative and none is subtracted, as for
        probabilities, the colours run from transparent at zero to red. Titles name the outputs
        and what the model predicts, where the explanation holds ``predictions``.

        One scale of colours serves the whole figure as long as the images' own limits differ
        by a factor of 10 at most. Beyond that an image would be blank beside another, so each
        has its own scale: its limit is written below it, and the bar of colours is labelled in
        shares of it. The same goes for outputs whose ``unit`` differs as much.

        Images are shown one by one, so that each looks the same alone and beside others. Bytes,
        images within [0, 1], and images within [0, 255] that reach 128 keep their colours;
        every other image, such as a normalised tensor or one with an offset, is stretched from
        its least to its largest pixel.

        Parameters
        ----------
        rows : int, slice, mask or list of int, optional
            Positions of the images to draw. Default: all.
        outputs : int, str, slice or list of them, optional
            Positions or names of the outputs to draw, 8 at most, for an explanation of all
            outputs. Default: all up to 8; of more, the 8 with the largest values.
        columns : int, default=1
            How many images with their attributions stand side by side.
        cmap : str or matplotlib Colormap, optional
            Colours from the lowest to the highest value.
        alpha : float, default=0.85
            Opacity of the colours at the end of the scale, which is the 99th percentile of the
            magnitudes shown, and ``0.1 * unit / N`` at least: N players that do next to
            nothing stay pale. Attributions in [0, 1] have the unit 1; without a known unit there
            is no such floor.
        max_rows : int, default=8
            How many images are drawn at most, the first of ``rows``.
        ax : matplotlib Axes, optional
            Where to draw the attributions of a single image and output, without the image
            beside. Default: a new figure.
        show : bool
            Whether to call ``matplotlib.pyplot.show``.

        Returns
        -------
        ndarray of matplotlib Axes of shape (images, 1 + outputs), or ``ax`` where given
            Of each row the image, then its attributions.

        Examples
        --------
        >>> import matplotlib
        >>> matplotlib.use("Agg")
        >>> import numpy as np
        >>> from fastexplain.explanation import Explanation
        >>> from fastexplain.layouts import ImageLayout
        >>> layout = ImageLayout(np.array([[0, 0, 1, 1]] * 4), "none")
        >>> explanation = Explanation(
        ...     [[0.2, -0.1]], base_values=0.5, data=np.eye(4)[None], layout=layout
        ... )
        >>> explanation.plot.image().shape
        (1, 2)
        """
        drawn = _image.image(self._explanation, rows, outputs, columns, cmap, alpha, max_rows, ax)
        if show:
            optional_import("matplotlib.pyplot", "plots", "Explanation.plot").show()
        return drawn

    def text(self, rows: Any = None, *, max_rows: int = 20, show: bool = False) -> HighlightedText:
        """Texts with a colour behind the characters of each player, for notebooks.

        Parameters
        ----------
        rows : int, slice, mask or list of int, optional
            Positions of the texts to show. Default: all.
        max_rows : int, default=20
            How many texts are shown at most, the first of ``rows``.
        show : bool
            Whether to display the texts at once, where a cell's last line would not.

        Returns
        -------
        HighlightedText
            Shown by notebooks; ``html`` is what they show, and ``save(path)`` writes a page.

        Examples
        --------
        >>> import numpy as np
        >>> from fastexplain.explanation import Explanation
        >>> from fastexplain.layouts import TextLayout
        >>> explanation = Explanation(
        ...     [[0.4, -0.2]],
        ...     base_values=0.5,
        ...     data=["fine, but slow"],
        ...     layout=TextLayout((np.array([[0, 4], [10, 14]]),)),
        ... )
        >>> "fine</span>, but <span" in explanation.plot.text().html
        True
        """
        drawn = _text.html(one_output(self._explanation), rows, max_rows)
        if show:
            drawn.show()
        return drawn

    def text_figure(
        self,
        row: int = 0,
        *,
        width: float = 6.5,
        fontsize: float = 11.0,
        ax: Axes | None = None,
        show: bool = False,
    ) -> Axes:
        """One text with a colour behind the characters of each player, for reports and papers.

        Parameters
        ----------
        row : int
            Position of the text.
        width : float, default=6.5
            Width of the new figure in inches, to which the text is wrapped. Its height
            follows from the length of the text.
        fontsize : float, default=11
            In points; less where a given ``ax`` is too small for the text.
        ax : matplotlib Axes, optional
            Where to draw, wrapped to its width as it is now. Default: a new figure.
        show : bool
            Whether to call ``matplotlib.pyplot.show``.

        Returns
        -------
        matplotlib Axes
            In inches from its upper left corner.
        """
        explanation = one_output(self._explanation)
        drawn = _text.text_figure(explanation, row, width, fontsize, ax)
        if show:
            optional_import("matplotlib.pyplot", "plots", "Explanation.plot").show()
        return drawn
