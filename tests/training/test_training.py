import time

import pytest
import torch
from torch import nn

from fastexplain.training import TargetPool, Trainer, TrainSettings, fabric_for


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
