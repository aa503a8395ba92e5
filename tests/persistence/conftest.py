"""What the tests of saving share: one thread, and a folder to be damaged."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from folders import fitted


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A saved explainer to be damaged."""
    fitted("FEX").save(tmp_path / "saved")
    return tmp_path / "saved"
