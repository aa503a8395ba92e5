"""Networks g: encoded samples to (B, K, N)."""

from fastexplain.networks._concepts import ConceptPolicy, PolicyNumbers
from fastexplain.networks._copy import CopyTrunk
from fastexplain.networks._encoder import TabularEncoder
from fastexplain.networks._hidden import HiddenTrunk
from fastexplain.networks._image import ImageTrunk
from fastexplain.networks._players import PlayerNetwork
from fastexplain.networks._policy import MaskPolicy
from fastexplain.networks._ranking import RankingNetwork
from fastexplain.networks._shapley import ShapleyNetwork
from fastexplain.networks._tabular import TabularNetwork
from fastexplain.networks._text import TextTrunk

__all__ = [
    "ConceptPolicy",
    "CopyTrunk",
    "HiddenTrunk",
    "ImageTrunk",
    "MaskPolicy",
    "PlayerNetwork",
    "PolicyNumbers",
    "RankingNetwork",
    "ShapleyNetwork",
    "TabularEncoder",
    "TabularNetwork",
    "TextTrunk",
]
