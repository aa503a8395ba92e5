import time

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from fastexplain.tables import as_table
from fastexplain.training import (
    Checkpoint,
    TargetPool,
    Trainer,
    TrainSettings,
    collect,
    fabric_for,
    mix_rows,
)


def settings(**changes):
    base = dict(
        max_steps=200,
        learning_rate=0.05,
        weight_decay=0.0,
        eval_every=20,
        patience=1000,
        device="cpu",
        precision="auto",
        verbose=0,
        seed=0,
        started=time.monotonic(),
    )
    return TrainSettings(**(base | changes))


def line(n=64):
    x = torch.linspace(-1, 1, n)[:, None]
    return TargetPool({"x": x, "y": 3 * x + 1}, 16, seed=0)


def squared(module, batch):
    loss = ((module(batch["x"]) - batch["y"]) ** 2).mean()
    return loss, {"square": loss.detach()}


def score(module):
    x = torch.tensor([[0.5]])
    with torch.no_grad():
        return -abs(module(x).item() - 2.5)


def run(**changes):
    torch.manual_seed(0)
    module = nn.Linear(1, 1)
    return module, Trainer(module, squared, line(), score, settings(**changes)).run()


def test_learns_a_line_and_keeps_history():
    module, fitted = run()
    assert abs(module.weight.item() - 3) < 0.05 and abs(module.bias.item() - 1) < 0.05
    assert fitted.stopped_by == "max_steps" and fitted.n_steps == 200
    lengths = {len(column) for column in fitted.history.values()}
    assert lengths == {10} and fitted.history["step"][-1] == 200
    assert not module.training


def test_best_network_is_restored_not_the_last():
    torch.manual_seed(0)
    module = nn.Linear(1, 1)
    seen = []

    def fading(m):
        seen.append({k: v.clone() for k, v in m.state_dict().items()})
        return -len(seen)

    fitted = Trainer(module, squared, line(), fading, settings()).run()
    assert fitted.best_step == 20
    assert all(torch.equal(seen[0][k], v) for k, v in module.state_dict().items())


def test_patience_and_time():
    assert run(patience=1, max_steps=5000, eval_every=5)[1].stopped_by in ("patience", "max_steps")
    late = settings(deadline=time.monotonic() - 1)
    module = nn.Linear(1, 1)
    assert Trainer(module, squared, line(), score, late).run().stopped_by == "max_time"


def test_the_schedule_ends_where_the_experience_does():
    class Short(TargetPool):
        most_batches = 40

        def batch(self, module, generator):
            if self.position() >= self.most_batches:
                return None
            return super().batch(module, generator)

    weights = []

    def watched(module, batch):
        weights.append(module.weight.detach().clone())
        return squared(module, batch)

    torch.manual_seed(0)
    x = torch.linspace(-1, 1, 64)[:, None]
    pool = Short({"x": x, "y": 3 * x + 1}, 16, seed=0)
    fitted = Trainer(nn.Linear(1, 1), watched, pool, score, settings(max_steps=4000)).run()
    assert (fitted.stopped_by, fitted.n_steps) == ("queries", 40)
    moved = [float((b - a).abs().sum()) for a, b in zip(weights[:-1], weights[1:], strict=True)]
    # the rate rises, and has come down to next to nothing at the end
    assert max(moved) > 10 * moved[-1] and max(moved) > 10 * moved[0]


def test_interrupt_keeps_the_best_and_says_so():
    torch.manual_seed(0)
    module, calls = nn.Linear(1, 1), []

    def stopping(m, batch):
        calls.append(1)
        if len(calls) == 50:
            raise KeyboardInterrupt
        return squared(m, batch)

    with pytest.warns(UserWarning, match="interrupted at step 49"):
        fitted = Trainer(module, stopping, line(), score, settings()).run()
    assert fitted.stopped_by == "interrupt" and fitted.best_step > 0


def test_loss_that_is_not_finite_raises():
    def broken(module, batch):
        return module(batch["x"]).sum() * float("nan"), {}

    with pytest.raises(FloatingPointError, match="learning_rate"):
        Trainer(nn.Linear(1, 1), broken, line(), score, settings()).run()


def test_resume_equals_an_uninterrupted_run(tmp_path):
    def fresh():
        torch.manual_seed(0)
        return nn.Linear(1, 1)

    whole = fresh()
    Trainer(whole, squared, line(), score, settings()).run()
    broken, calls = fresh(), []

    def stopping(m, batch):
        calls.append(1)
        if len(calls) == 101:
            raise KeyboardInterrupt
        return squared(m, batch)

    with pytest.warns(UserWarning, match="interrupted"):
        Trainer(
            broken, stopping, line(), score, settings(), Checkpoint(tmp_path / "run", "a")
        ).run()
    resumed = fresh()
    again = Trainer(resumed, squared, line(), score, settings(), Checkpoint(tmp_path / "run", "a"))
    assert again.run().n_steps == 200
    torch.testing.assert_close(resumed.state_dict(), whole.state_dict())
    with pytest.raises(ValueError, match="unfinished run"):
        Checkpoint(tmp_path / "run", "b")


@pytest.mark.parametrize("call", [1, 3, 10])
def test_a_validation_that_was_interrupted_is_made_again(tmp_path, call):
    def fresh():
        torch.manual_seed(0)
        return nn.Linear(1, 1)

    whole = fresh()
    expected = Trainer(whole, squared, line(), score, settings()).run()
    calls = []

    def stopping(module):
        calls.append(1)
        if len(calls) == call:
            raise KeyboardInterrupt
        return score(module)

    given = squared, line(), stopping, settings(), Checkpoint(tmp_path / "run", "a")
    with pytest.warns(UserWarning, match="interrupted"):
        Trainer(fresh(), *given).run()
    resumed = fresh()
    again = Trainer(resumed, squared, line(), score, settings(), Checkpoint(tmp_path / "run", "a"))
    found = again.run()
    torch.testing.assert_close(resumed.state_dict(), whole.state_dict())
    for name in ("step", "score", "loss", "square"):
        assert found.history[name] == pytest.approx(expected.history[name], abs=1e-6)
    assert found.best_step == expected.best_step


def test_checkpoint_refuses_foreign_folders(tmp_path):
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(ValueError, match="not a checkpoint"):
        Checkpoint(tmp_path, "a")


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
        collect(as_table(np.zeros((2000, 1))), make, save=saved.append)
    assert len(saved[0]["x"]) == 20


def test_mixed_rows_take_cells_from_the_same_player():
    frame = pd.DataFrame({"a": range(50), "b": range(50), "c": list("xy") * 25})
    mixed = mix_rows(as_table(frame), 400, np.array([0, 0, 1]), np.random.default_rng(0)).native
    assert (mixed.dtypes == frame.dtypes).all() and len(mixed) == 400
    assert (mixed["a"] == mixed["b"]).all()
    parity = mixed["a"] % 2 == (mixed["c"] == "y")
    assert 0.75 < parity.mean() < 0.99


def test_mixed_precision_trains_weights_in_single_precision():
    def wide(precision):
        torch.manual_seed(0)
        module = nn.Linear(1, 1)
        fitted = Trainer(module, squared, line(), score, settings(precision=precision)).run()
        return module, fitted

    exact, mixed = wide("32-true")[0], wide("bf16-mixed")[0]
    assert mixed.weight.dtype == torch.float32
    assert exact.weight.item() != mixed.weight.item()
    assert abs(mixed.weight.item() - 3) < 0.1
    with pytest.raises(ValueError, match="precision='bf16-true' is not one of 'auto', '32-true'"):
        wide("bf16-true")


def test_devices_by_name():
    assert fabric_for(torch.device("cpu"), "auto").device.type == "cpu"
    assert fabric_for("cpu", "auto").device.type == "cpu"
    with pytest.raises(ValueError, match="device"):
        fabric_for("abacus", "auto")
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match="CUDA"):
            fabric_for("cuda", "auto")


def test_weights_that_training_begins_with_may_be_the_best():
    start = nn.Linear(1, 1)
    with torch.no_grad():
        start.weight.fill_(3.0)
        start.bias.fill_(1.0)
    for judged in (True, False):
        module = nn.Linear(1, 1)
        module.load_state_dict(start.state_dict())
        # learns something else than what it is judged by
        other = TargetPool({"x": torch.ones(32, 1), "y": torch.zeros(32, 1)}, 16, seed=0)
        fitted = Trainer(module, squared, other, score, settings(judge_start=judged)).run()
        kept = torch.equal(module.weight, start.weight)
        assert kept is judged
        assert (fitted.best_step == 0) is judged
    assert fitted.best_score < 0


def test_a_schedule_may_begin_after_fit_did():
    now = time.monotonic()
    late = settings(started=now - 50, deadline=now + 50)
    assert Trainer(None, None, line(), None, late)._progress(0) > 0.4
    begun = settings(started=now - 50, begun=now, deadline=now + 50)
    assert Trainer(None, None, line(), None, begun)._progress(0) < 0.1
