"""Where Shapley labels come from: exact enumeration, kernel and permutation sampling."""

from fastexplain.labels._cache import cached_labels, labels_key
from fastexplain.labels._copies import MaskedCopies, masked_copies
from fastexplain.labels._kept_arrays import Field, cached_arrays
from fastexplain.labels._sources import (
    ExactShapley,
    KernelShapley,
    LabelSource,
    PermutationShapley,
    ShapleyLabels,
)

__all__ = [
    "ExactShapley",
    "Field",
    "KernelShapley",
    "LabelSource",
    "MaskedCopies",
    "PermutationShapley",
    "ShapleyLabels",
    "cached_arrays",
    "cached_labels",
    "labels_key",
    "masked_copies",
]
