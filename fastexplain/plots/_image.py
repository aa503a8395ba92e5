"""Images beside their attributions: a row for each image, a column for each output."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fastexplain._explanation_images import displayable, grey, per_pixel
from fastexplain._explanation_index import select
from fastexplain._explanation_scale import Scales
from fastexplain._explanation_words import name_and_value, output_name, short, target_text
from fastexplain._extras import optional_import
from fastexplain.plots._head import head_of
from fastexplain.plots._style import (
    Ruler,
    check_pictures,
    colour_bar,
    colour_map,
    norm,
    shown_rows,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap

    from fastexplain.explanation import Explanation

__all__ = ["image"]

_MOST_OUTPUTS = 8
_TITLE, _SMALL = 10, 8


@dataclass
class _Shown:
    """What is drawn: images, the values at their pixels, and what is written beside them."""

    explanation: Explanation
    images: np.ndarray  # (n, H, W) or (n, H, W, 3), in [0, 1]
    maps: np.ndarray  # (n, H, W, k)
    labels: list[str]  # of the rows
    titles: list[list[tuple[str, str]]]  # name and value: of the columns, or row by row
    scales: Scales
    notes: list[str]


def _outputs(explanation: Explanation, outputs: Any, rows: np.ndarray) -> np.ndarray:
    """Positions of the outputs to draw."""
    n_outputs = explanation._values.shape[2]
    if "output" not in explanation.dims:
        if outputs is not None:
            raise ValueError(
                "one output a row is explained here, so there are no outputs to choose from; "
                'explain with target="all" to have them'
            )
        return np.arange(1)
    if outputs is not None:
        chosen = np.arange(n_outputs)[
            select(outputs, n_outputs, "output", explanation.output_names).kept
        ]
        if not len(chosen) or len(chosen) > _MOST_OUTPUTS:
            raise ValueError(f"outputs must choose 1 to {_MOST_OUTPUTS} outputs, not {len(chosen)}")
        return chosen
    if n_outputs <= _MOST_OUTPUTS:
        return np.arange(n_outputs)
    # of many classes those that the images say something about
    sizes = np.nan_to_num(np.abs(explanation.centered._values[rows])).max(axis=(0, 1))
    return np.sort(np.argsort(-sizes, kind="stable")[:_MOST_OUTPUTS])


def _titles(
    explanation: Explanation, rows: np.ndarray, outputs: np.ndarray
) -> list[list[tuple[str, str]]]:
    """Names of the columns; of each row, with values, where rows differ in what they say."""
    every = [[name_and_value(explanation, int(row), int(k)) for k in outputs] for row in rows]
    if any(value for line in every for _, value in line):
        return every
    if "output" in explanation.dims:
        return [[(short(output_name(explanation, int(k))), "") for k in outputs]]
    if explanation._target is None:
        return [[("attributions", "")]]
    return every if target_text(explanation) == "target per row" else every[:1]


def _shown(explanation: Explanation, rows: Any, outputs: Any, max_rows: int) -> _Shown:
    """Choose what is drawn of an explanation."""
    check_pictures(explanation, "images")
    single = "row" not in explanation.dims
    positions, n_chosen = shown_rows(explanation, rows, max_rows)
    columns = _outputs(explanation, outputs, positions)
    part = explanation.centered
    part = part if single else part[positions]
    part = part[..., columns] if "output" in part.dims else part
    maps = per_pixel(part, outside=np.nan)
    layout: Any = explanation._layout
    images = displayable(np.asarray(explanation._data)[positions], layout.channels)
    notes = [explanation.method]
    if n_chosen > len(positions):
        notes.append(f"first {len(positions)} of {n_chosen} images")
    n_outputs = explanation._values.shape[2]
    if len(columns) < n_outputs and outputs is None:
        notes.append(f"the {len(columns)} of {n_outputs} outputs with the largest values")
    return _Shown(
        explanation,
        images,
        maps,
        [] if single else [f"image {row}" for row in positions],
        _titles(explanation, positions, columns),
        Scales.of(explanation, list(maps), positions, columns),
        notes,
    )


def image(
    explanation: Explanation,
    rows: Any,
    outputs: Any,
    columns: int,
    cmap: str | Colormap | None,
    alpha: float,
    max_rows: int,
    ax: Axes | None,
) -> Any:
    """See ``Plots.image``."""
    pyplot = optional_import("matplotlib.pyplot", "plots", "Explanation.plot")
    if columns < 1:
        raise ValueError(f"columns must be at least 1, not {columns}")
    shown = _shown(explanation, rows, outputs, max_rows)
    colours = colour_map(shown.scales.common, cmap, alpha)
    if ax is None:
        return _figure(pyplot, shown, min(columns, len(shown.images)), colours)
    if shown.maps.shape[0] * shown.maps.shape[3] != 1:
        raise ValueError(
            f"ax holds one image and one output, not {shown.maps.shape[0]} x "
            f"{shown.maps.shape[3]}; choose them by rows= and outputs="
        )
    _overlay(ax, shown, 0, 0, colours)
    figure: Any = ax.figure
    width = ax.get_window_extent().width / figure.dpi
    name = Ruler(_TITLE).named(*shown.titles[0][0], width, 3)
    ax.set_title(name, fontsize=_TITLE, parse_math=False)
    head_of(explanation, width).draw_on(ax, 8 + 12.5 * (name.count("\n") + 1))
    cax = ax.inset_axes((0.15, -0.09, 0.7, 0.035))
    colour_bar(cax, shown.scales.common, colours)
    return ax


def _bare(ax: Axes) -> None:
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[:].set_visible(False)


def _picture(ax: Axes, shown: _Shown, row: int) -> None:
    ax.imshow(shown.images[row], cmap="gray", vmin=0, vmax=1)
    _bare(ax)


def _overlay(ax: Axes, shown: _Shown, row: int, column: int, colours: Any) -> None:
    ax.imshow(grey(shown.images[row]), cmap="gray", vmin=0, vmax=1)
    ax.imshow(
        shown.maps[row, :, :, column],
        cmap=colours,
        norm=norm(shown.scales.each[row][column]),
        interpolation="nearest",
    )
    _bare(ax)


def _figure(pyplot: Any, shown: _Shown, blocks: int, colours: Any) -> np.ndarray:
    """Place everything by inches: no image is squeezed by a title, and none by the bar."""
    n, height, width, k = shown.maps.shape
    n_lines = -(-n // blocks)
    # one image is large, many are small; all shapes have about the same area
    widest = 12.0 / (blocks * (k + 1))
    stretch = float(np.clip(np.sqrt(width / height), 0.4, 2.5))
    cell_w = max(min(widest, 2.6 * stretch), 0.8)
    cell_w = min(cell_w, 6.0 * width / height)
    cell_h = cell_w * height / width
    gap, block_gap, edge = 0.08, 0.3, 0.15
    labelled = bool(shown.labels) and cell_h > 0.5  # as high as the label is long
    label_w = 0.22 if labelled else 0.0
    block_w = label_w + (k + 1) * cell_w + k * gap
    grid_w = blocks * block_w + (blocks - 1) * block_gap

    ruler = Ruler(_TITLE)
    titles = [[ruler.named(*pair, 0.96 * cell_w, 2) for pair in line] for line in shown.titles]
    n_title_lines = 1 + max(title.count("\n") for line in titles for title in line)
    title_h = 0.08 + 0.17 * n_title_lines
    every = len(titles) > 1  # a title above each overlay, not above each column
    limit_h = 0.2 if shown.scales.own else 0.0  # below each overlay
    line_h = cell_h + limit_h + (title_h if every else 0.0)
    head = head_of(shown.explanation, max(grid_w, 3.2), *shown.notes)
    bar_h = 0.62

    total_w = max(grid_w, 3.2) + 2 * edge
    top = edge + head.height + (0.0 if every else title_h)
    total_h = top + n_lines * line_h + (n_lines - 1) * gap + bar_h + edge
    figure = pyplot.figure(figsize=(total_w, total_h))
    head.draw(figure, edge)

    def place(x: float, y: float, w: float, h: float) -> Any:
        """Axes with their upper left corner at (x, y) from the figure's."""
        return figure.add_axes((x / total_w, 1.0 - (y + h) / total_h, w / total_w, h / total_h))

    axes = np.empty((n, k + 1), dtype=object)
    left = (total_w - grid_w) / 2
    for row in range(n):
        line, block = divmod(row, blocks)
        x = left + block * (block_w + block_gap) + label_w
        y = top + line * (line_h + gap) + (title_h if every else 0.0)
        axes[row, 0] = place(x, y, cell_w, cell_h)
        _picture(axes[row, 0], shown, row)
        if labelled:
            axes[row, 0].set_ylabel(shown.labels[row], fontsize=_SMALL, labelpad=3, alpha=0.7)
        for column in range(k):
            ax = place(x + (column + 1) * (cell_w + gap), y, cell_w, cell_h)
            axes[row, column + 1] = ax
            _overlay(ax, shown, row, column, colours)
            if every or line == 0:
                title = titles[row if every else 0][column]
                ax.set_title(title, fontsize=_TITLE, pad=4, parse_math=False)
            if limit_h:
                span = shown.scales.each[row][column].span
                ax.set_xlabel(span, fontsize=_SMALL, labelpad=3, alpha=0.7)
    bar_w = min(3.2, total_w - 2 * edge - 0.6)
    cax = place((total_w - bar_w) / 2, total_h - edge - bar_h + 0.16, bar_w, 0.09)
    colour_bar(cax, shown.scales.common, colours)
    return axes
