"""Networks g: encoded rows to (B, K, N)."""

from fastexplain.networks._encoder import TabularEncoder
from fastexplain.networks._policy import MaskPolicy
from fastexplain.networks._ranking import RankingNetwork
from fastexplain.networks._shapley import ShapleyNetwork
from fastexplain.networks._tabular import TabularNetwork

__all__ = ["MaskPolicy", "RankingNetwork", "ShapleyNetwork", "TabularEncoder", "TabularNetwork"]
