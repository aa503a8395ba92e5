"""What a feature is, and what removing it puts in its place."""

from fastexplain.maskers._tabular import TabularMasker

__all__ = ["TabularMasker"]
