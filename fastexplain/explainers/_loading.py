"""Learned explainers read from folders: parts that are checked one by one, and then together."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import nn

from fastexplain.explainers._base import BaseExplainer
from fastexplain.explainers._samples import fresh_masker
from fastexplain.explainers._saved_outputs import (
    OUTPUT_ATTRIBUTES,
    Measure,
    attributes_from,
    decode_floats,
    history_from,
    outputs_from,
)
from fastexplain.explainers._saved_params import params_from
from fastexplain.maskers._state import masker_from_state
from fastexplain.persistence import (
    Fields,
    WeightsError,
    check_finite,
    check_shape,
    fill_network,
)
from fastexplain.persistence._limits import MOST_SHARES, PLAIN_PIXELS
from fastexplain.persistence._networks import check_outline
from fastexplain.readers import Reader, reader_from_state
from fastexplain.readers._image import ImageReader
from fastexplain.removal import SurrogateRemoval
from fastexplain.schema import Schema
from fastexplain.training import fabric_for

__all__ = ["COPY", "LoadedState", "check_shares"]

_STOPPED_BY = ("max_steps", "patience", "queries", "max_time", "interrupt")
# counts of steps and queries
_MOST = 2**53
# check samples that a loaded network answers
_ASKED = 4
#: in names of weights of a copy of the user's model, which may hold what is not finite
COPY = ".trunk.copy."


class LoadedState(BaseExplainer):
    """Loading of explainers that hold a network and a reader."""

    device: str
    n_head_layers: int
    _network: Any
    # weights of a network that can only be made once the model is attached
    _waiting: dict[str, torch.Tensor]
    _reader: Reader
    history_: dict[str, list[float]]
    n_iter_: int
    best_score_: float
    stopped_by_: str
    n_model_queries_: int
    _fingerprint: torch.Tensor
    #: fitted attributes of a class's own that are saved
    _measures: ClassVar[Mapping[str, Measure]] = MappingProxyType({})

    @classmethod
    def _from_state(cls, fields: Fields, weights: dict[str, torch.Tensor]) -> Self:
        params = params_from(cls, fields.section("params"))
        given = params.pop("masker")
        self = cls(**params)
        validate: Any = self._validate_parameters  # type: ignore[attr-defined]
        validate()
        if not given:
            _check_masker_params(fields)
        parts = {
            name: _split(weights, f"{name}.") for name in ("masker", "reader", "removal", "network")
        }
        self.masker_ = masker_from_state(fields.value("masker"), parts["masker"])
        if given:
            # what was fitted holds the user's own parameters
            self.masker = fresh_masker(self.masker_, None)
        self._schema = self._schema_from(fields.section("schema"))
        self._set_outputs(fields.section("outputs"), weights)
        self._set_removal(fields, parts["removal"])
        self._reader = reader_from_state(
            fields.value("reader"), parts["reader"], self.masker_, self._schema
        )
        self._set_fit(fields.section("fit"))
        fields.close()
        for name in ("masker", "reader"):
            if parts[name]:
                raise WeightsError(f"it has {min(parts[name])!r} of the {name}, not known here")
        if weights:
            raise WeightsError(f"it has {min(weights)!r}, which is not known here")
        self._model, self._masked = None, None  # type: ignore[assignment]
        own = parts["network"]
        check_finite({name: tensor for name, tensor in own.items() if COPY not in name})
        if self._reader.needs_model:
            # a copy of the model has the model's own layers
            self._check_waiting(own)
            self._network, self._waiting = None, own
        else:
            check_shares(self._reader, self.masker_)
            self._take_weights(own, "the description")
            self._check_answers()
        return self

    def _take_weights(
        self, weights: dict[str, torch.Tensor], owner: str, outline: bool = True
    ) -> None:
        reader: Any = self._reader
        n_layers = int(reader.n_blocks) + int(self.n_head_layers)
        network = fill_network(self._build_network, weights, n_layers, owner, outline)
        self._network = network.to(fabric_for(self.device, "32-true").device).eval()

    @torch.inference_mode()
    def _check_answers(self) -> None:
        """Raise where the network answers the check samples with what is not finite.

        Finite weights may be so large that nothing comes of them. Networks that read a model's
        states answer nothing without it; and of what may take much memory nothing is asked.
        """
        reader: Any = self._reader
        # a text's players share its tokens out among each other
        texts = self._schema is None and not isinstance(reader, ImageReader)
        size = reader.numbers() * (self.masker_.n_players // 64 + 1 if texts else 1)
        if reader.gives_outputs or size > PLAIN_PIXELS:
            return
        inputs = reader.encode(reader.fingerprint_samples().take(slice(0, _ASKED)), None)
        device = next(self._network.parameters()).device
        answers = self._network(inputs["x"].to(device), inputs["null"].to(device))
        if not bool(torch.isfinite(answers).all()):
            raise WeightsError("the network's answers to the check samples are not finite")

    def _check_waiting(self, weights: dict[str, torch.Tensor]) -> None:
        """Compare with the description what is not the model's own of a copy with heads on it."""
        reader: Any = copy.copy(self._reader)
        reader.call, reader.finer = _NoModel(), {}
        # made of parameters that no copy of an explainer shares: nobody else sees this
        kept, self._reader = self._reader, reader
        n_layers = int(reader.n_blocks) + int(self.n_head_layers)
        try:
            check_outline(self._build_network, weights, n_layers, "the description", COPY)
        finally:
            self._reader = kept

    # -- sections --------------------------------------------------------------------------
    def _schema_from(self, fields: Fields) -> Schema | None:
        schema: Schema | None = getattr(self.masker_, "schema_", None)
        n = self.masker_.n_players if schema is None else len(schema.names)
        self.n_features_in_ = fields.whole("n_features", n, n)
        if schema is not None:
            fields.text("container", (schema.kind,))
            if fields.flag("named"):
                self.feature_names_in_ = np.asarray(schema.names, dtype=object)
        fields.close()
        return schema

    def _set_outputs(self, fields: Fields, weights: dict[str, torch.Tensor]) -> None:
        """Take what the model's outputs are, and what is known of them."""
        found = outputs_from(fields, weights)
        for name in OUTPUT_ATTRIBUTES:
            if name in found:
                setattr(self, name, found[name])
        n_outputs = len(self.output_names_)
        self._fingerprint = check_shape(weights, "fingerprint", (None, n_outputs))
        self._spread = None
        if "spread" in weights:
            self._spread = check_shape(weights, "spread", (n_outputs,))
            if bool((self._spread <= 0).any()):
                raise WeightsError("the outputs' spread is not above 0")
        if (self._spread is None) != (self.kind_ != "regression"):
            raise WeightsError("there is a spread of outputs of regressors alone")

    def _set_removal(self, fields: Fields, weights: dict[str, torch.Tensor]) -> None:
        self.removal_ = None
        if not fields.missing("removal"):
            if self._schema is None:
                raise ValueError("there is a surrogate, which is for tables")
            config = fields.value("removal")
            self.removal_ = SurrogateRemoval.from_config(config, weights, self.masker_)
            if (self.removal_._kind, len(self.removal_._center)) != (
                self.kind_,
                len(self.output_names_),
            ):
                raise ValueError("the surrogate is one of other outputs")
        elif weights:
            raise WeightsError("there are weights of a surrogate, and no surrogate")
        if self.masker_.removes_to_baseline_ != (self.removal_ is None):
            raise ValueError("masker.removes_to_baseline and the surrogate do not fit")

    def _set_fit(self, fields: Fields) -> None:
        """Take what training has left behind."""
        self.history_ = history_from(fields.section("history"))
        self.n_iter_ = fields.whole("n_iter", 0, _MOST)
        self.best_score_ = decode_floats([fields.value("best_score")])[0]
        self.stopped_by_ = fields.text("stopped_by", _STOPPED_BY)
        self.n_model_queries_ = fields.whole("n_model_queries", 0, _MOST)
        measures = fields.section("measures")
        attributes_from(self, measures, self._measures)
        measures.close()
        fields.close()

    def _build_network(self) -> nn.Module:
        """The network as ``explain`` uses it, with weights yet to come."""
        raise NotImplementedError


def _check_masker_params(fields: Fields) -> None:
    """Raise if a masker that was made of the explainer's parameters has others."""
    masker, given = fields.section("masker"), fields.section("params")
    if masker.value("kind") != "tabular":
        return
    own = masker.section("params")
    for name in ("baseline", "groups"):
        if given.value(name) != own.value(name):
            raise ValueError(f"params.{name} is not that of the masker")


def check_shares(reader: Reader, masker: Any) -> None:
    """Raise where what players have of a network's cells is more than a folder may ask for."""
    if type(reader) is not ImageReader or not reader._shared():
        return
    step = reader._stride()
    cells = -(-reader.shape[1] // step) * -(-reader.shape[2] // step)
    if cells * masker.n_players > MOST_SHARES:
        raise ValueError(
            f"{masker.n_players} players on {cells} cells of a network are more than a saved "
            "explainer may have: choose larger patches, or pickle it"
        )


class _NoModel:
    """Stands for how a model is asked, where there is none yet."""

    module = nn.Identity()

    def copy(self) -> _NoModel:
        """Itself."""
        return self


def _split(weights: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    """Take the tensors whose names begin with ``prefix`` out of ``weights``."""
    names = [name for name in weights if name.startswith(prefix)]
    return {name.removeprefix(prefix): weights.pop(name) for name in names}
