"""Sets drawn from the current policy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from fastexplain.objectives import bernoulli_log_prob
from fastexplain.tables import as_table
from fastexplain.training import Checkpoint, Trajectories

N, K = 4, 2


class Policy(nn.Module):
    """Logits that are the samples' own cells, for both outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(()))

    def forward(self, x: torch.Tensor, null: torch.Tensor) -> torch.Tensor:
        return (self.gain * x)[:, None].expand(-1, K, -1)


def _made(**changes: Any) -> tuple[Trajectories, np.ndarray]:
    cells = np.random.default_rng(0).normal(size=(30, N)).astype(np.float32)
    x = torch.from_numpy(cells)

    def ask(samples: Any, rows: np.ndarray, masks: np.ndarray) -> torch.Tensor:
        inside = (masks * cells[rows][:, None]).sum(axis=2)
        return torch.from_numpy(np.stack([inside, -inside], axis=2))

    settings: dict[str, Any] = {
        "random_share": 0.0,
        "trajectory_length": 6,
        "inner_updates": 2,
        "batch_size": 8,
        "max_queries": 1000,
        "seed": 0,
    }
    given = (as_table(cells), x, torch.zeros((30, N), dtype=torch.bool))
    outputs = torch.stack([x.sum(dim=1), -x.sum(dim=1)], dim=1)
    trajectories = Trajectories(
        *given,
        outputs,
        ask,
        lambda module, x, null: (module(x, null), None),
        lambda score, *_: {"score": score},
        **settings | changes,
    )
    return trajectories, cells


def _first(trajectories: Trajectories) -> dict[str, torch.Tensor]:
    batch = trajectories.batch(Policy(), torch.Generator().manual_seed(0))
    assert batch is not None
    return batch


def test_sets_are_bernoulli_with_their_log_probabilities() -> None:
    batch = _first(_made()[0])
    logits = batch["x"]
    torch.testing.assert_close(batch["old_log_q"], bernoulli_log_prob(logits, batch["masks"]))
    assert batch["masks"].shape == (8, 6, N)
    # what the model answers of the predicted output
    assert torch.equal(batch["target"], batch["outputs"].argmax(dim=1))
    sign = 1.0 - 2.0 * batch["target"].float()
    inside = (batch["masks"] * batch["x"][:, None]).sum(dim=2)
    torch.testing.assert_close(batch["score"], sign[:, None] * inside)
    many = _made(trajectory_length=4000)[0]
    drawn = _first(many)
    chance = torch.sigmoid(drawn["x"])
    torch.testing.assert_close(drawn["masks"].mean(dim=1), chance, atol=0.05, rtol=0.0)


def test_other_sets_may_be_drawn_and_have_no_probabilities() -> None:
    seen = []

    def draw(logits: Any, null: Any, n_sets: int, generator: Any) -> tuple[torch.Tensor, None]:
        seen.append((logits, null, n_sets))
        return (torch.arange(N) < 1).float().expand(len(logits), n_sets, N), None

    batch = _first(_made(draw=draw)[0])
    assert "old_log_q" not in batch
    assert batch["masks"][:, :, 0].all() and not batch["masks"][:, :, 1:].any()
    ((logits, null, n_sets),) = seen
    assert torch.equal(logits, batch["x"]) and not null.any() and n_sets == 6


def test_batches_hold_what_is_given_beside_their_samples() -> None:
    made, cells = _made(beside={"double": torch.arange(30)})
    batch = _first(made)
    np.testing.assert_array_equal(batch["x"], cells[batch["double"]])


@pytest.mark.parametrize(("set_queries", "batches"), [(1, 40), (5, 8), (100, 2)])
def test_a_set_costs_what_it_takes(set_queries: int, batches: int) -> None:
    made, _ = _made(set_queries=set_queries)
    # 1,000 queries, 8 samples and 6 sets: 20 draws, two updates on each
    assert made.most_batches == batches
    given, generator = 0, torch.Generator().manual_seed(0)
    while made.batch(Policy(), generator) is not None:
        given += 1
    assert given == batches


def test_an_earlier_stage_has_its_own_state_in_the_same_folder(tmp_path: Path) -> None:
    module, made = nn.Linear(1, 1), _made()[0]
    rest = torch.optim.SGD(module.parameters(), 0.1), torch.Generator(), made
    fitted: Any = type("Fitted", (), {})()
    checkpoint = Checkpoint(tmp_path / "run", "a")
    checkpoint.earlier().save(7, module, *rest, fitted, {})
    checkpoint.close()
    again = Checkpoint(tmp_path / "run", "a")
    assert again.earlier().holds_run() and not again.holds_run()
    state = again.earlier().resume(module, *rest)
    assert state is not None and state[0] == 7
    assert again.resume(module, *rest) is None
    again.save(9, module, *rest, fitted, {})
    again.close()
    last = Checkpoint(tmp_path / "run", "a")
    assert last.holds_run() and last.earlier().holds_run()
    last.finish()
    last.close()
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("given", [1, 2, 3, 4])
def test_the_same_trajectories_are_given_where_it_goes_on(given: int) -> None:
    drawn, policy = _made(inner_updates=3)[0], Policy()
    generator = torch.Generator().manual_seed(0)
    for _ in range(given):
        drawn.batch(policy, generator)
    position, state = drawn.position(), generator.get_state()
    expected = [drawn.batch(policy, generator) for _ in range(4)]
    again, other = _made(inner_updates=3)[0], torch.Generator()
    other.set_state(state)
    again.seek(position)
    for batch in expected:
        found = again.batch(policy, other)
        assert found is not None and batch is not None
        for name, tensor in batch.items():
            assert torch.equal(found[name], tensor), name
    # those that are used up need not be kept
    assert (position["current"] is None) == (given == 3)


def test_a_smaller_batch_is_that_of_the_updates_still_due() -> None:
    made, generator = _made(inner_updates=4)[0], torch.Generator().manual_seed(0)
    whole = made.batch(Policy(), generator)
    made.shrink(0.5)
    rest = made.batch(Policy(), generator)
    assert whole is not None and rest is not None
    assert all(len(tensor) == 4 for tensor in rest.values())
    assert torch.equal(rest["masks"], whole["masks"][:4])
    sizes = [len(made.batch(Policy(), generator)["x"]) for _ in range(4)]  # type: ignore[index]
    assert sizes == [4, 4, 4, 4]
