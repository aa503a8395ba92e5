"""Warnings: at the user's line, once, and with the user's filters left alone."""

from __future__ import annotations

import ast
import threading
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastexplain
from fastexplain import FEXExplainer, TabularMasker
from fastexplain.persistence import check_savable

PACKAGE = Path(fastexplain.__file__).parent
# filters are those of the process, and threads that change them undo each other's changes
_OF_THE_PROCESS = {"catch_warnings", "simplefilter", "filterwarnings", "resetwarnings"}
#: places that may change them, as "file: name", each with its reason
ALLOWED: dict[str, str] = {}


def changes_of_filters(source: str, file: str) -> set[str]:
    """Names in code, not in texts, that change the filters of warnings."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        names = [getattr(node, "attr", None), getattr(node, "id", None)]
        if isinstance(node, ast.ImportFrom):
            names += [alias.name for alias in node.names]
        found |= {f"{file}: {name}" for name in names if name in _OF_THE_PROCESS}
        # warnings.filters itself is a list that anybody can change
        if ast.unparse(node) == "warnings.filters":
            found.add(f"{file}: filters")
    return found


def test_no_code_changes_the_filters_of_warnings() -> None:
    assert changes_of_filters("with warnings.catch_warnings(): pass", "a") == {"a: catch_warnings"}
    assert changes_of_filters("from warnings import simplefilter", "a") == {"a: simplefilter"}
    assert changes_of_filters("warnings.filters.clear()", "a") == {"a: filters"}
    assert not changes_of_filters('"""with warnings.catch_warnings(): ..."""', "a")
    found: set[str] = set()
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).as_posix()
        found |= changes_of_filters(path.read_text(encoding="utf-8"), name)
    assert found == set(ALLOWED)


def test_calls_that_overlap_leave_the_filters_alone() -> None:
    """One call begins while another is under way, and ends after it."""
    begun, ended = threading.Event(), threading.Event()

    class Slow(TabularMasker):
        def wrap(self, X: Any) -> Any:
            # the first call waits until the second has begun, the second until the first is over
            if X[0, 0] == 0:
                assert begun.wait(10)
            else:
                begun.set()
                assert ended.wait(10)
            return super().wrap(X)

    def first() -> None:
        check_savable(FEXExplainer(), Slow(), np.zeros((3, 2)))
        ended.set()

    before = list(warnings.filters)
    threads = [
        threading.Thread(target=first),
        threading.Thread(target=check_savable, args=(FEXExplainer(), Slow(), np.ones((3, 2)))),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert begun.is_set() and ended.is_set()
    assert warnings.filters == before


def test_doubt_is_told_once_where_time_is_limited() -> None:
    """With max_time the model is read twice, first with a few samples."""
    X = np.random.default_rng(0).normal(size=(60, 3))

    def doubtful(rows: Any) -> np.ndarray:
        return np.clip(0.5 + 0.1 * np.asarray(rows)[:, 0], 0.0, 1.0)

    explainer = FEXExplainer(
        hidden_dim=8, n_blocks=1, max_steps=2, n_queries=500, max_time=60, random_state=0
    )
    with pytest.warns(UserWarning) as caught:
        explainer.fit(X, doubtful)
    found = [warning for warning in caught if "one column" in str(warning.message)]
    assert len(found) == 1 and found[0].filename == __file__
