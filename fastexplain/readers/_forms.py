"""Forms of masked inputs that readers ask maskers for, where no model is asked."""

from __future__ import annotations

from dataclasses import dataclass

import torch

__all__ = ["ARRAYS", "Form"]


@dataclass(frozen=True)
class Form:
    """What a masker has to know of a model to make its inputs.

    Attributes
    ----------
    torch_module : bool
    takes : {"rows", "tokens", "texts", "images"}
    device, dtype : optional
        Of the inputs of torch modules.
    """

    torch_module: bool = False
    takes: str = "rows"
    device: torch.device | None = None
    dtype: torch.dtype | None = None


#: arrays in the user's own dtype and order of axes
ARRAYS = Form()
