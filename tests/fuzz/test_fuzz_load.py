"""Folders tampered with at random: an error that names the file, or the explainer that was saved.

``FASTEXPLAIN_FUZZ_LOAD`` sets how many folders are tried (1,000 by default); run it with
``pytest -m slow -s tests/fuzz/test_fuzz_load.py`` to see the figures.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent.parent / "persistence"))
from folders import (
    CASES,
    agree,
    case,
    config_of,
    fitted,
    places,
    put,
    write_config,
)

import fastexplain
from fastexplain.persistence import LoadError

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

INPUTS = int(os.environ.get("FASTEXPLAIN_FUZZ_LOAD", 1000))
#: memory that all these folders may take beyond what whole ones take
MOST_BYTES = 400_000_000
FIGURES: Counter[str] = Counter()

NUMBERS = st.sampled_from([0, 1, -1, 2, 7, 255, 2**16, 20_000, 2**20, 10**9, 2**63, 10**30])
FLOATS = st.sampled_from([0.0, -0.0, 0.5, -1.0, 1e-308, 1e30, 1e308])
TEXTS = st.sampled_from(["", "x", "U1000000000", "V1000000000", "../x", "\ud800", "nan", "1e999"])
ANY = st.recursive(
    st.none() | st.booleans() | NUMBERS | FLOATS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=2),
    max_leaves=5,
)


class Change(NamedTuple):
    """One thing that is done to a folder."""

    kind: str
    #: where, as a share of all places or bytes
    at: float
    value: Any


SHARES = st.floats(0, 1, exclude_max=True)
CHANGES = st.one_of(
    st.builds(Change, st.just("put"), SHARES, ANY),
    st.builds(Change, st.just("drop"), SHARES, st.none()),
    st.builds(Change, st.just("add"), SHARES, ANY),
    st.builds(Change, st.just("scale"), SHARES, st.sampled_from([-1, 0, 2, 1000, 10**9])),
    st.builds(Change, st.just("nudge"), SHARES, st.floats(0.9, 1.1)),
    st.builds(Change, st.just("swap"), SHARES, SHARES),
    st.builds(Change, st.just("move"), SHARES, st.sampled_from(CASES)),
    st.builds(Change, st.just("flip"), SHARES, st.integers(1, 255)),
    st.builds(Change, st.just("flip weights"), SHARES, st.integers(1, 255)),
    st.builds(Change, st.just("cut"), SHARES, st.booleans()),
    st.builds(Change, st.just("more"), SHARES, st.binary(min_size=1, max_size=9)),
    st.builds(Change, st.just("weights of"), SHARES, st.sampled_from(CASES)),
    st.builds(Change, st.just("remove"), SHARES, st.booleans()),
)


def peak() -> int:
    """Most memory that this process has taken so far, in bytes."""
    resource = pytest.importorskip("resource")
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Whole(NamedTuple):
    """Saved folders, what their explainers answer, and where they are tampered with."""

    root: Path
    answers: dict[str, np.ndarray]


def answer(explainer: Any, name: str) -> np.ndarray:
    samples = case(name).samples
    some = samples[:4] if isinstance(samples, list | np.ndarray) else samples.head(4)
    return explainer.explain(some, "all").values


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Whole]:
    root = tmp_path_factory.mktemp("whole")
    answers = {}
    for name in CASES:
        fitted(name).save(root / name)
        loaded = fastexplain.load(root / name, model=case(name).model)
        answers[name] = answer(loaded, name)
        np.testing.assert_array_equal(answers[name], answer(fitted(name), name))
    yield Whole(root, answers)
    print(f"\nfolders tampered with: {sum(FIGURES.values())}")
    for kind, count in sorted(FIGURES.items()):
        print(f"  {kind}: {count}")


def chosen(config: Any, share: float, wanted: Callable[[Any], bool]) -> tuple[Any, ...] | None:
    """A place of a description whose value is wanted."""
    found = [place for place in places(config) if wanted(_at(config, place))]
    return found[int(share * len(found))] if found else None


def _at(value: Any, place: tuple[Any, ...]) -> Any:
    for key in place:
        value = value[key]
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def tamper_config(config: Any, change: Change, root: Path) -> None:
    """Change a description in place."""
    numbers = change.kind in ("scale", "nudge")
    place = chosen(config, change.at, _is_number if numbers else lambda v: True)
    if change.kind == "move":
        # a section of another explainer
        keys = list(config)
        key = keys[int(change.at * len(keys))]
        config[key] = config_of(root / change.value).get(key)
        return
    if place is None:
        return
    if change.kind == "put":
        put(config, place, change.value)
    elif change.kind == "drop":
        put(config, place, KeyError)
    elif change.kind == "scale":
        put(config, place, _at(config, place) * change.value)
    elif change.kind == "nudge":
        number = _at(config, place)
        put(config, place, type(number)(number * change.value + (isinstance(number, int))))
    elif change.kind == "add":
        target = chosen(config, change.at, lambda v: isinstance(v, dict | list)) or ()
        inner = _at(config, target)
        if isinstance(inner, list):
            inner.append(change.value)
        else:
            inner["unheard_of"] = change.value
    else:
        other = chosen(config, change.value, lambda v: True)
        assert other is not None
        if other[: len(place)] != place and place[: len(other)] != other:
            one, two = _at(config, place), _at(config, other)
            put(config, place, two)
            put(config, other, one)


def tamper_bytes(folder: Path, change: Change, root: Path) -> None:
    """Change files as they are."""
    config, weights = folder / "config.json", folder / "weights.safetensors"
    if change.kind == "remove":
        (config if change.value else weights).unlink(missing_ok=True)
        return
    if change.kind == "weights of":
        shutil.copy(root / change.value / "weights.safetensors", weights)
        return
    file = weights if change.kind == "flip weights" or change.value is True else config
    if not file.exists():
        return
    content = bytearray(file.read_bytes())
    if not content:
        return
    place = int(change.at * len(content))
    if change.kind == "cut":
        del content[place:]
    elif change.kind == "more":
        content[place:place] = change.value
    else:
        content[place] ^= change.value
    file.write_bytes(bytes(content))


def tampered(folder: Path, changes: list[Change], digests: bool, root: Path) -> None:
    """Do all changes; with ``digests``, have the files agree as far as they can be read."""
    for change in changes:
        if change.kind in ("put", "drop", "add", "scale", "nudge", "swap", "move"):
            try:
                config = config_of(folder)
            except (OSError, ValueError):
                continue
            tamper_config(config, change, root)
            write_config(folder, config, digest=False)
        else:
            tamper_bytes(folder, change, root)
    if not digests:
        return
    try:
        agree(folder)
        write_config(folder, config_of(folder))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass  # nothing that could be made to agree


def is_unchanged(folder: Path, before: Path) -> bool:
    """Whether both files say what they said."""
    try:
        same = config_of(folder) == config_of(before)
        name = "weights.safetensors"
        return same and (folder / name).read_bytes() == (before / name).read_bytes()
    except (OSError, ValueError):
        return False


def test_folders_tampered_with_at_random(whole: Whole, tmp_path_factory: Any) -> None:
    work = tmp_path_factory.mktemp("work")
    before = peak()

    @settings(
        max_examples=INPUTS,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )
    @given(st.sampled_from(CASES), st.lists(CHANGES, min_size=1, max_size=3), st.booleans())
    def fuzz(name: str, changes: list[Change], digests: bool) -> None:
        folder = work / "it"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(whole.root / name, folder)
        tampered(folder, changes, digests, whole.root)
        unchanged = is_unchanged(folder, whole.root / name)
        kept = "digests made anew" if digests else "digests as they were"
        try:
            loaded = fastexplain.load(folder)
        except LoadError as error:
            text = str(error)
            assert str(folder) in text and text.endswith(error.cure), text
            assert not unchanged
            FIGURES[f"{kept}: refused"] += 1
            return
        finally:
            assert peak() - before < MOST_BYTES
        if not digests or unchanged:
            # without new digests, whatever is loaded says what was saved
            loaded.attach_model(case(name).model)
            np.testing.assert_array_equal(answer(loaded, name), whole.answers[name])
            FIGURES[f"{kept}: loaded, explains as the original"] += 1
            return
        FIGURES[f"{kept}: {explained(loaded, name, whole.answers[name])}"] += 1

    fuzz()
    assert sum(FIGURES.values()) >= min(INPUTS, 100)


def explained(loaded: Any, name: str, wanted: np.ndarray) -> str:
    """What an explainer of a whole, but changed description does: a baseline may be another."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            loaded.attach_model(case(name).model)
            found = answer(loaded, name)
        except (ValueError, TypeError) as error:
            assert str(error)
            return "loaded, says why it cannot explain"
    if not np.isfinite(found).all():
        # forged weights that overflow, of networks that read a model's states
        assert name in ("hidden", "copy")
        return "loaded, explains nothing"
    if found.shape == wanted.shape and np.array_equal(found, wanted):
        return "loaded, explains as the original"
    return "loaded, explains by what it was changed to"


def test_the_changes_do_change_something(whole: Whole, tmp_path: Path) -> None:
    """Each kind of change, in the middle, leaves a folder that is refused or says otherwise."""
    values: dict[str, Any] = {
        "put": "x",
        "add": 1,
        "scale": 1000,
        "nudge": 1.1,
        "swap": 0.1,
        "move": "texts",
    }
    values |= {"flip": 1, "flip weights": 1, "cut": False, "more": b"}", "remove": True}
    for kind in (*values, "drop", "weights of"):
        folder = tmp_path / kind.replace(" ", "-")
        shutil.copytree(whole.root / "FEX", folder)
        value = values.get(kind, "texts" if kind == "weights of" else None)
        tampered(folder, [Change(kind, 0.5, value)], False, whole.root)
        assert not is_unchanged(folder, whole.root / "FEX"), kind
        with pytest.raises(LoadError):
            fastexplain.load(folder)
    json.loads((whole.root / "FEX" / "config.json").read_text())
