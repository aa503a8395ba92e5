"""The columns that an explainer was fitted on, and later rows brought to them."""

from fastexplain.schema._schema import Schema

__all__ = ["Schema"]
