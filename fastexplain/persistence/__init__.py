"""Explainers as folders of JSON and safetensors: nothing in them runs when they are loaded.

``config.json`` describes the explainer; a file of safetensors holds its weights. Each carries a
digest. `fastexplain.load` reads them.
"""

from fastexplain.persistence._check import check_savable
from fastexplain.persistence._errors import LoadError, NoExplainerError
from fastexplain.persistence._fields import Fields
from fastexplain.persistence._load import load
from fastexplain.persistence._networks import (
    WeightsError,
    check_finite,
    check_shape,
    fill_network,
    weights_of,
)
from fastexplain.persistence._params import params_of
from fastexplain.persistence._save import save_state
from fastexplain.persistence._tables import decode_table, encode_table
from fastexplain.persistence._values import Unsaved, decode_value, encode_value

__all__ = [
    "Fields",
    "LoadError",
    "NoExplainerError",
    "Unsaved",
    "WeightsError",
    "check_finite",
    "check_savable",
    "check_shape",
    "decode_table",
    "decode_value",
    "encode_table",
    "encode_value",
    "fill_network",
    "load",
    "params_of",
    "save_state",
    "weights_of",
]
