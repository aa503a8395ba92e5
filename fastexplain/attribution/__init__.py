"""Attributions defined by sums over coalitions, and their estimators."""

from fastexplain.attribution._coalitions import (
    all_coalitions,
    draw_coalitions,
    kernel_blocks,
    kernel_coalitions,
    kernel_weights,
)
from fastexplain.attribution._exact import exact_attribution
from fastexplain.attribution._feasible import FeasibleSets, minimal_prefixes, minimum_sets
from fastexplain.attribution._targets import Targets, attribution_targets

__all__ = [
    "FeasibleSets",
    "Targets",
    "all_coalitions",
    "attribution_targets",
    "draw_coalitions",
    "exact_attribution",
    "kernel_blocks",
    "kernel_coalitions",
    "kernel_weights",
    "minimal_prefixes",
    "minimum_sets",
]
