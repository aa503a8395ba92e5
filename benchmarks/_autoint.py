"""The CoRTX authors' Adult: their split, AutoInt and exact Shapley values."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch


class Probability(torch.nn.Module):
    """The authors' model answers one logit; its probability is explained."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.logit = torch.jit.load(str(path)).eval()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid(self.logit(x))


@dataclass
class Task:
    """Rows, the model, and what the authors' labels say of the test rows."""

    X: np.ndarray
    X_test: np.ndarray
    model: torch.nn.Module
    truth: np.ndarray
    ranked: np.ndarray
    unseen: np.ndarray

    def predict(self, x: np.ndarray) -> np.ndarray:
        """The model as a NumPy function, for other libraries."""
        with torch.inference_mode():
            return self.model(torch.as_tensor(x, dtype=torch.float32))[:, 0].double().numpy()


def load() -> Task:
    """Read ``cortx_adult`` of the folder that FASTEXPLAIN_DATA names."""
    if "FASTEXPLAIN_DATA" not in os.environ:
        raise SystemExit(
            "Set FASTEXPLAIN_DATA to a folder that holds cortx_adult/ (the CoRTX authors' Adult "
            "data, labels and AutoInt); it has no public source in these formats."
        )
    folder = Path(os.environ["FASTEXPLAIN_DATA"]) / "cortx_adult"
    data = np.load(folder / "cortx_adult.npz")
    X, X_test = (data[name].astype(np.float32) for name in ("X_train", "X_test"))
    labels = data["shapley_test"]
    seen = {row.tobytes() for row in X}
    unseen = np.array([row.tobytes() not in seen for row in X_test])
    # the labels hold rounding noise for features that change nothing
    truth = np.where(X_test == 0, 0.0, labels)
    return Task(X, X_test, Probability(folder / "autoint.ts").eval(), truth, labels, unseen)
