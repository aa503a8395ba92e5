"""Readers: how a network reads samples. Encoding, the body that takes it, and its saved state."""

from fastexplain.readers._make import make_reader, reader_from_state
from fastexplain.readers._reader import Encoded, Reader
from fastexplain.readers._tabular import TabularReader

__all__ = ["Encoded", "Reader", "TabularReader", "make_reader", "reader_from_state"]
