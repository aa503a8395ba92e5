"""Localisation: whether what an attribution marks is the object that people outlined."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.ndimage import distance_transform_edt

__all__ = ["Localization", "localization"]

# pixels sorted at once, so that memory does not grow with n
_CHUNK = 2**21


@dataclass(frozen=True)
class Localization:
    """Agreement of pixel maps with masks of the object; higher is better throughout.

    Attributes
    ----------
    pixel_accuracy : float
        Share of pixels on the right side of the threshold.
    mean_ap : float
        Average precision over the two classes together: of all pairs of a pixel and a class,
        ranked by the map for the object and by what it lacks to its largest value for the
        background. Of each image, then the mean. Random maps have 0.5.
    mean_iou : float
        Mean of ``foreground_iou`` and ``background_iou``.
    foreground_iou, background_iou : float
        Intersection over union, each summed over all images first.
    foreground_ap : float
        Average precision of the object's pixels alone, of each image, then the mean. Random
        maps have the object's share of the image.
    pointing_game : float
        Share of images whose largest pixel hits the object. Where several pixels are the
        largest, as within a patch, the share of them that do counts.
    """

    pixel_accuracy: float
    mean_ap: float
    mean_iou: float
    foreground_iou: float
    background_iou: float
    foreground_ap: float
    pointing_game: float


def localization(
    pixel_maps: Any, masks: Any, threshold: str | float = "mean", tolerance: float = 0
) -> Localization:
    """Compare attributions of pixels with an outlined object.

    Segmentation as a proxy for good attributions: Table 2 of the FEX paper and Table 1 of the
    concept set paper, which follow Chefer et al. (2021). As in the code of that paper,
    intersections and unions are summed over the images, and average precision takes both
    classes together; that is what a random map's 0.505 in these tables comes from.

    Parameters
    ----------
    pixel_maps : array-like of shape (n, H, W)
        Attributions of pixels. `ImageLayout.to_pixels` spreads those of players; the papers
        enlarge 14 x 14 patches bilinearly instead.
    masks : bool array-like of shape (n, H, W)
        True on the object, at least once in each image.
    threshold : "mean" or float, default="mean"
        Pixels above it are the object: each map's mean, or a number on the maps' scale. It
        bears on pixel accuracy and IoU only.
    tolerance : float, default=0
        Pixels by which the pointing game may miss the object; 15 in Zhang et al. (2016).

    Returns
    -------
    Localization

    Raises
    ------
    ValueError
        If shapes do not agree, maps hold NaN or infinity, an image has no object, or
        ``threshold`` or ``tolerance`` cannot be used.

    References
    ----------
    Chefer, H., Gur, S. & Wolf, L. (2021). Transformer Interpretability Beyond Attention
    Visualization. CVPR.

    Zhang, J., Lin, Z., Brandt, J., Shen, X. & Sclaroff, S. (2016). Top-down Neural Attention
    by Excitation Backprop. ECCV.

    Examples
    --------
    >>> import numpy as np
    >>> from fastexplain.metrics import localization
    >>> maps = np.array([[[0.9, 0.2], [0.4, 0.1]]])
    >>> found = localization(maps, np.array([[[1, 0], [0, 0]]]))
    >>> found.pixel_accuracy, found.mean_iou, found.pointing_game
    (1.0, 1.0, 1.0)
    """
    maps, masks = _checked(pixel_maps, masks)
    if threshold != "mean" and (isinstance(threshold, str) or not np.isfinite(threshold)):
        raise ValueError(f"threshold must be 'mean' or a number, got {threshold!r}.")
    if not tolerance >= 0:
        raise ValueError(f"tolerance must be a number of pixels, 0 or more, got {tolerance!r}.")
    n = len(maps)
    step = max(1, _CHUNK // maps[0].size)
    totals = np.zeros(3)
    # rows: foreground and background; columns: intersection and union
    areas = np.zeros((2, 2))
    for start in range(0, n, step):
        own = maps[start : start + step].reshape(-1, maps[0].size).astype(float)
        truth = masks[start : start + step]
        flat = truth.reshape(len(own), -1)
        above = own > _thresholds(own, threshold)
        for k, (found, right) in enumerate([(above, flat), (~above, ~flat)]):
            areas[k] += (found & right).sum(), (found | right).sum()
        totals += (
            _two_class_precision(own, flat).sum(),
            average_precision(own, flat).sum(),
            _hits(own, truth, tolerance).sum(),
        )
    # no image has any background, and none was found
    ious = np.divide(areas[:, 0], areas[:, 1], out=np.ones(2), where=areas[:, 1] > 0)
    mean_ap, foreground_ap, hits = (float(total) / n for total in totals)
    return Localization(
        pixel_accuracy=float(areas[:, 0].sum() / maps.size),
        mean_ap=mean_ap,
        mean_iou=float(ious.mean()),
        foreground_iou=float(ious[0]),
        background_iou=float(ious[1]),
        foreground_ap=foreground_ap,
        pointing_game=hits,
    )


def _checked(pixel_maps: Any, masks: Any) -> tuple[np.ndarray, np.ndarray]:
    maps, masks = np.asarray(pixel_maps), np.asarray(masks)
    if maps.ndim != 3 or maps.size == 0 or maps.shape != masks.shape:
        raise ValueError(
            f"pixel_maps and masks must both have shape (n, H, W), got {maps.shape} and "
            f"{masks.shape}."
        )
    if maps.dtype.kind not in "fiub" or not np.isfinite(maps).all():
        raise ValueError("pixel_maps must be finite numbers; they hold NaN, infinity or others.")
    if masks.dtype != bool:
        if not np.isin(masks, (0, 1)).all():
            raise ValueError("masks must be bool, True on the object; got other numbers.")
        masks = masks.astype(bool)
    empty = ~masks.any(axis=(1, 2))
    if empty.any():
        raise ValueError(f"masks[{int(empty.argmax())}] marks no object; leave the image out.")
    return maps, masks


def _thresholds(maps: np.ndarray, threshold: str | float) -> np.ndarray:
    if threshold != "mean":
        return np.full((len(maps), 1), float(threshold))
    # the mean of equal numbers may be a last digit below them; none of them is above it
    low = maps.min(axis=1, keepdims=True)
    return np.maximum(maps.mean(axis=1, keepdims=True), low)


def average_precision(scores: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Average precision of each row, as scikit-learn has it; equal scores count as one step.

    Parameters
    ----------
    scores : ndarray of shape (B, P)
    truth : bool ndarray of shape (B, P)
        True at least once in each row.

    Returns
    -------
    ndarray of shape (B,)
    """
    order = np.argsort(-scores, axis=1)
    ordered, right = (np.take_along_axis(array, order, axis=1) for array in (scores, truth))
    found = np.cumsum(right, axis=1)
    precision = found / np.arange(1, scores.shape[1] + 1)
    # each pixel counts with the precision at the last pixel of its own score
    place = np.arange(scores.shape[1])
    last = np.full(scores.shape, scores.shape[1] - 1)
    last[:, :-1] = np.where(ordered[:, :-1] != ordered[:, 1:], place[:-1], last[:, :-1])
    last = np.minimum.accumulate(last[:, ::-1], axis=1)[:, ::-1]
    return (right * np.take_along_axis(precision, last, axis=1)).sum(axis=1) / found[:, -1]


def _two_class_precision(maps: np.ndarray, truth: np.ndarray) -> np.ndarray:
    low, high = maps.min(axis=1, keepdims=True), maps.max(axis=1, keepdims=True)
    # a constant map says nothing of either class
    share = np.divide(maps - low, high - low, out=np.full(maps.shape, 0.5), where=high > low)
    return average_precision(np.hstack([share, 1 - share]), np.hstack([truth, ~truth]))


def _hits(maps: np.ndarray, truth: np.ndarray, tolerance: float) -> np.ndarray:
    """Share of each map's largest pixels that are on the object, or near enough."""
    if tolerance > 0:
        truth = np.stack([distance_transform_edt(~mask) <= tolerance for mask in truth])
    largest = maps == maps.max(axis=1, keepdims=True)
    return (largest & truth.reshape(len(maps), -1)).sum(axis=1) / largest.sum(axis=1)
