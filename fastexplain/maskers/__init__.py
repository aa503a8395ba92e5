"""Maskers: what a feature is, and what removing it puts in its place."""

from fastexplain.maskers._image import ImageMasker
from fastexplain.maskers._tabular import TabularMasker
from fastexplain.maskers._text import TextMasker

__all__ = ["ImageMasker", "Masker", "TabularMasker", "TextMasker"]

#: any of them
Masker = TabularMasker | ImageMasker | TextMasker
