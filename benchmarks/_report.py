"""How a benchmark prints and keeps its results: rows, with settings and versions."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import sklearn
import torch

import fastexplain

RESULTS = Path(__file__).parent / "results"


def save(name: str, settings: dict[str, Any], rows: list[dict[str, Any]]) -> None:
    """Write ``results/<name>.json``."""
    machine = {
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load_average": os.getloadavg(),
        "cuda": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "scikit-learn": sklearn.__version__,
        "fastexplain": fastexplain.__version__,
    }
    RESULTS.mkdir(exist_ok=True)
    text = json.dumps({"settings": settings, "machine": machine, "rows": rows}, indent=1)
    (RESULTS / f"{name}.json").write_text(text + "\n")


def saved_rows(name: str) -> list[dict[str, Any]]:
    """Rows of ``results/<name>.json``, none where there is no such file."""
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text())["rows"] if path.exists() else []


def print_table(rows: Iterable[dict[str, Any]], columns: list[str]) -> None:
    """Print rows under a header, numbers rounded."""
    cells = [columns] + [[_text(row.get(column, "")) for column in columns] for row in rows]
    widths = [max(len(line[j]) for line in cells) for j in range(len(columns))]
    for line in cells:
        print("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)))


def _text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def mean_spread(values: Iterable[float], digits: int = 4) -> str:
    """Mean and standard deviation over seeds."""
    array = np.array(list(values), dtype=float)
    return f"{array.mean():.{digits}f} ± {array.std():.{digits}f}"


def seconds(call: Callable[[], object]) -> float:
    """Time of one call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start
