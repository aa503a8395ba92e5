"""Pools: every row once an epoch, made a chunk at a time, and kept."""

import time

import numpy as np
import pytest
import torch
from torch import nn

from fastexplain.tables import as_table
from fastexplain.training import TargetPool, _pool, collect


def test_pool_gives_every_row_once_an_epoch_and_seeks():
    pool = TargetPool({"x": torch.arange(12)[:, None].float()}, 4, seed=3)
    module, g = nn.Linear(1, 1), torch.Generator()
    given = [pool.batch(module, g)["x"] for _ in range(6)]
    for epoch in (given[:3], given[3:]):
        assert sorted(torch.cat(epoch).flatten().tolist()) == list(range(12))
    other = TargetPool({"x": torch.arange(12)[:, None].float()}, 4, seed=3)
    other.seek(4)
    assert torch.equal(other.batch(module, g)["x"], given[4])
    assert pool.position() == 6


def test_collect_goes_on_from_what_is_held():
    table = as_table(np.arange(3000.0)[:, None])
    asked = []

    def make(rows, chunk):
        asked.append((chunk, len(rows)))
        return {"x": torch.from_numpy(rows.native)}

    whole = collect(table, make)
    assert torch.equal(whole["x"], torch.from_numpy(table.native))
    made, asked[:] = list(asked), []
    # each a quarter of all before it
    assert made[4:8] == [(4, 4), (5, 5), (6, 6), (7, 7)]
    for held in [*np.cumsum([size for _, size in made])][::5]:
        asked[:] = []
        out = collect(table, make, held={"x": torch.from_numpy(table.native[:held])})
        assert torch.equal(out["x"], torch.from_numpy(table.native))
        assert asked == [entry for i, entry in enumerate(made) if sum_of(made[:i]) >= held]
    # not where a chunk ends, as where there were fewer rows: whole chunks are kept
    ends = np.cumsum([size for _, size in made])
    out = collect(table, make, held={"x": -torch.ones(1025, 1, dtype=torch.float64)})
    kept = int(max(end for end in ends if end <= 1025))
    assert (out["x"][:kept] == -1).all() and len(out["x"]) == 3000
    assert torch.equal(out["x"][kept:], torch.from_numpy(table.native[kept:]))
    more = {"x": -torch.ones(4000, 1, dtype=torch.float64)}
    assert torch.equal(collect(table, make, held=more)["x"], more["x"])
    short = collect(table, make, deadline=time.monotonic() - 1)
    assert len(short["x"]) == 4


def sum_of(chunks):
    return sum(size for _, size in chunks)


@pytest.mark.parametrize(("n", "most"), [(1, 8), (3, 8), (4, 8), (5, 8), (100, 8), (101, 1)])
def test_chunks_hold_all_rows_and_no_more_than_the_most(n, most):
    sizes = []

    def make(rows, chunk):
        assert chunk == len(sizes)
        sizes.append(len(rows))
        return {"x": torch.zeros(len(rows))}

    collect(as_table(np.zeros((n, 1))), make, most=most)
    assert sum(sizes) == n and max(sizes) <= most


def test_collect_saves_when_interrupted():
    saved = []

    def make(rows, chunk):
        if chunk == 5:
            raise KeyboardInterrupt
        return {"x": torch.from_numpy(rows.native)}

    with pytest.raises(KeyboardInterrupt):
        collect(
            as_table(np.zeros((2000, 1))),
            make,
            save=lambda rows, start: saved.append((rows, start)) or True,
        )
    ((rows, start),) = saved
    assert len(rows["x"]) == 20 and start == 0


def _numbers(rows, chunk):
    return {"x": torch.from_numpy(rows.native), "y": torch.from_numpy(rows.native[:, 0] < 50)}


@pytest.mark.parametrize("piece", [1, 200, 2**26])
def test_what_is_told_are_all_rows_in_order(monkeypatch, piece):
    monkeypatch.setattr(_pool, "_PIECE", piece)
    monkeypatch.setattr(_pool, "_SAVED_EVERY", -1.0)
    table, told = as_table(np.arange(100.0)[:, None]), []

    def save(rows, start):
        # what is told has memory of its own
        assert rows["x"].untyped_storage().nbytes() == rows["x"].nbytes
        assert start == sum(len(part["x"]) for part in told)
        told.append(rows)
        return True

    found = collect(table, _numbers, save=save)
    for name in found:
        assert torch.equal(torch.cat([part[name] for part in told]), found[name])


def test_rows_that_could_not_be_kept_are_told_again(monkeypatch):
    monkeypatch.setattr(_pool, "_SAVED_EVERY", -1.0)
    starts = []

    def save(rows, start):
        starts.append((start, start + len(rows["x"])))
        return len(starts) > 3

    collect(as_table(np.zeros((30, 1))), _numbers, save=save)
    assert starts[:4] == [(0, 4), (0, 8), (0, 12), (0, 16)]
    assert [a for a, _ in starts[4:]] == [b for _, b in starts[3:-1]]


def test_rows_that_end_within_a_chunk_are_told_anew():
    table, told = as_table(np.arange(100.0)[:, None]), []
    held = {name: tensor[:21] for name, tensor in _numbers(table, 0).items()}
    found = collect(table, _numbers, held=held, save=lambda *given: told.append(given) or True)
    # 21 is no end of a chunk: an earlier run had other samples
    assert [start for _, start in told] == [0] and torch.equal(told[0][0]["x"], found["x"])
    told.clear()
    held = {name: tensor[:20] for name, tensor in _numbers(table, 0).items()}
    collect(table, _numbers, held=held, save=lambda *given: told.append(given) or True)
    assert [start for _, start in told] == [20] and len(told[0][0]["x"]) == 80


def test_what_is_answered_is_kept_when_the_model_fails():
    told = []

    def make(rows, chunk):
        if chunk == 3:
            raise ConnectionError("the model has gone")
        return _numbers(rows, chunk)

    table = as_table(np.zeros((30, 1)))
    with pytest.raises(ConnectionError):
        collect(table, make, save=lambda *given: told.append(given) or True)
    assert len(told[0][0]["x"]) == 12


def test_rows_of_other_shapes_are_refused():
    def make(rows, chunk):
        return {"x": torch.zeros(len(rows), 1 + 2 * (chunk == 0))}

    with pytest.raises(ValueError, match="'x' has rows of"):
        collect(as_table(np.zeros((30, 1))), make)


def test_the_pool_is_allocated_once(monkeypatch):
    places, real = set(), _pool._put

    def put(filled, *rest):
        real(filled, *rest)
        places.add(filled["x"].data_ptr())

    monkeypatch.setattr(_pool, "_put", put)
    found = collect(as_table(np.zeros((500, 1))), _numbers)
    assert places == {found["x"].data_ptr()}
