"""A program started as several processes trains one network, in every process the same."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

PROGRAM = """
import os, sys
import numpy as np
from sklearn.linear_model import LogisticRegression
from fastexplain import FEXExplainer

X = np.random.default_rng(0).normal(size=(300, 4))
model = LogisticRegression().fit(X, X[:, 0] - X[:, 1] > 0)
explainer = FEXExplainer(
    sys.argv[2], max_steps=60, n_queries=20_000, hidden_dim=16, n_blocks=1, batch_size=64,
    n_masks=16, random_state=0, device="cpu", max_time=1e6, checkpoint=sys.argv[1] + "/run",
).fit(X, model)
values = explainer.explain(X[:20], target="all").values
name = sys.argv[1] + "/" + os.environ.get("RANK", "one")
np.save(name + ".npy", values)
np.save(name + "-asked.npy", explainer.n_model_queries_)
"""


@pytest.mark.slow
@pytest.mark.parametrize("objective", ["forward_kl", "ppo"])
@pytest.mark.filterwarnings("ignore")
def test_two_processes_agree_with_one(tmp_path, objective):
    script = tmp_path / "program.py"
    script.write_text(PROGRAM)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    for command in ([*launcher, "--nproc-per-node=2"], [sys.executable]):
        run = [*command, str(script), str(tmp_path), objective]
        subprocess.run(run, check=True, env=environment, timeout=240)
    first, second, one = (np.load(tmp_path / f"{name}.npy") for name in ("0", "1", "one"))
    np.testing.assert_array_equal(first, second)
    # what both ask is counted: as much as one alone each, less what the second finds kept
    asked = [int(np.load(tmp_path / f"{name}-asked.npy")) for name in ("0", "1", "one")]
    assert asked[0] == asked[1] and asked[2] < asked[0] <= 2 * asked[2]
    # shares of a batch weigh their rows a little differently, no more; the clock plays no part
    # in so long a time
    assert np.abs(first - one).max() < 0.02
    assert not (tmp_path / "run").exists()
