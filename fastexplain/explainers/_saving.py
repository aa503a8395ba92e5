"""Learned explainers as folders: what was fitted, written and read again."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted
from torch import nn

from fastexplain.explainers._base import BaseExplainer
from fastexplain.explainers._samples import fresh_masker
from fastexplain.maskers._state import masker_from_state, masker_state
from fastexplain.persistence import decode_value, encode_value, save_state
from fastexplain.readers import Reader, reader_from_state
from fastexplain.readers._schema import Schema
from fastexplain.readers._state import warn_if_changed
from fastexplain.removal import SurrogateRemoval
from fastexplain.training import fabric_for

__all__ = ["SavedState"]


class SavedState(BaseExplainer):
    """Saving and loading of explainers that hold a network and a reader."""

    device: str
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

    def save(self, path: Any) -> None:
        """Save as a folder of JSON and safetensors, without the model and without pickle.

        Parameters
        ----------
        path : path-like
            Folder to make; a saved explainer there is replaced in one move.

        Raises
        ------
        NotFittedError
            Before ``fit``.
        FileExistsError
            If the path holds anything but a saved explainer.

        See Also
        --------
        fastexplain.load : Load it again.
        """
        check_is_fitted(self)
        masker, masker_tensors = masker_state(self.masker_)
        reader, reader_tensors = self._reader.state()
        params = {k: encode_value(v) for k, v in self.get_params(deep=False).items()}
        # what was fitted holds the user's own parameters
        params["masker"] = self.masker is not None
        if self.removal_ is not None:
            # trained, it is a part of what was fitted
            params["removal"] = "surrogate"
        config = {
            "explainer": type(self).__name__,
            "params": params,
            "masker": masker,
            "schema": self._schema_state(),
            "reader": reader,
            "removal": None if self.removal_ is None else self.removal_.config(),
            "outputs": {
                "kind": self.kind_,
                "read_as": self._read_as,
                "names": self.output_names_,
                "classes": encode_value(getattr(self, "classes_", None)),
                "classes_dtype": str(getattr(self, "classes_", np.zeros(0)).dtype),
                "base_values": [encode_value(float(v)) for v in self.base_values_],
            },
            "fit": {
                "history": self.history_,
                "n_iter": self.n_iter_,
                "best_score": self.best_score_,
                "stopped_by": self.stopped_by_,
                "n_model_queries": self.n_model_queries_,
                "measured": self._measured(),
            },
        }
        weights = {f"network.{k}": v for k, v in self._network_weights().items()}
        weights["fingerprint"] = self._fingerprint
        weights |= {f"masker.{k}": v for k, v in masker_tensors.items()}
        weights |= {f"reader.{k}": v for k, v in reader_tensors.items()}
        if self._spread is not None:
            weights["spread"] = self._spread
        if self.removal_ is not None:
            weights |= {f"removal.{k}": v for k, v in self.removal_.weights().items()}
        save_state(path, config, weights)

    @classmethod
    def _from_state(cls, config: dict[str, Any], weights: dict[str, torch.Tensor]) -> Self:
        params = dict(config["params"])
        given = params.pop("masker")
        self = cls(**{k: decode_value(v) for k, v in params.items()})
        parts = {name: _split(weights, f"{name}.") for name in ("masker", "reader", "removal")}
        self.masker_ = masker_from_state(config["masker"], parts["masker"])
        if given:
            self.masker = fresh_masker(self.masker_, None)
        self.removal_ = None
        if config.get("removal") is not None:
            self.removal_ = SurrogateRemoval.from_config(
                config["removal"], parts["removal"], self.masker_
            )
        self._schema = self._schema_from(config["schema"])
        self._reader = reader_from_state(
            config["reader"], parts["reader"], self.masker_, self._schema
        )
        outputs, fit = config["outputs"], config["fit"]
        self.kind_, self.output_names_ = outputs["kind"], outputs["names"]
        self._read_as = outputs.get("read_as")
        if outputs["classes"] is not None:
            dtype = outputs["classes_dtype"]
            self.classes_ = np.asarray(decode_value(outputs["classes"]), dtype=dtype)
        self.base_values_ = np.array([decode_value(v) for v in outputs["base_values"]])
        self.history_, self.n_iter_ = fit["history"], fit["n_iter"]
        self.best_score_, self.stopped_by_ = fit["best_score"], fit["stopped_by"]
        self.n_model_queries_ = fit["n_model_queries"]
        for name, value in fit.get("measured", {}).items():
            setattr(self, name, value)
        self._fingerprint = weights.pop("fingerprint")
        self._spread = weights.pop("spread", None)
        self._model, self._masked = None, None  # type: ignore[assignment]
        own = {k.removeprefix("network."): v for k, v in weights.items()}
        if self._reader.needs_model:
            # a copy of the model has the model's own layers
            self._network, self._waiting = None, own
        else:
            self._take_weights(own, "the configuration")
        return self

    def _take_weights(self, weights: dict[str, torch.Tensor], owner: str) -> None:
        network = self._build_network()
        try:
            network.load_state_dict(weights)
        except RuntimeError as error:
            raise ValueError(f"The weights do not belong to {owner}: {error}") from error
        self._network = network.to(fabric_for(self.device, "32-true").device).eval()

    def _network_weights(self) -> dict[str, torch.Tensor]:
        return self._network.state_dict() if self._network is not None else self._waiting

    def _schema_state(self) -> dict[str, Any]:
        """Columns of a table; of other data only how many features there are."""
        if self._schema is None:
            return {"n_features": int(self.n_features_in_)}
        return {
            "kind": self._schema.kind,
            "names": self._schema.names,
            "dtypes": self._schema.dtypes,
            "quantity": self._schema.quantity,
            "feature_names_in": [str(n) for n in getattr(self, "feature_names_in_", [])],
        }

    def _schema_from(self, state: dict[str, Any]) -> Schema | None:
        if "n_features" in state:
            self.n_features_in_ = state["n_features"]
            return None
        self.n_features_in_ = len(state["names"])
        if state["feature_names_in"]:
            self.feature_names_in_ = np.asarray(state["feature_names_in"], dtype=object)
        template = self.masker_.background_.take(slice(0, 1))
        names = state["names"]
        return Schema(state["kind"], names, state["dtypes"], state["quantity"], template)

    def _measured(self) -> dict[str, float]:
        """Fitted attributes of a subclass's own."""
        return {}

    def _build_network(self) -> nn.Module:
        """The network as ``explain`` uses it, with weights yet to come."""
        raise NotImplementedError

    def _probe_samples(self) -> Any:
        if self._schema is not None:
            return super()._probe_samples()
        return self._reader.fingerprint_samples()

    def attach_model(self, model: Any) -> Self:
        """Attach the model again after loading or unpickling.

        Parameters
        ----------
        model : object
            What was passed to ``fit``, or its like; it must have the same outputs. Other
            answers than at ``fit`` raise a warning.

        Returns
        -------
        self
        """
        super().attach_model(model)
        if self._network is None:
            reader: Any = self._reader
            reader.adopt(self._masked.predictor)
            self._take_weights(self._waiting, "this model")
            del self._waiting
        samples = self._reader.fingerprint_samples()
        warn_if_changed(self._fingerprint, self._masked.outputs(samples))
        return self


def _split(weights: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    """Take the tensors whose names begin with ``prefix`` out of ``weights``."""
    names = [name for name in weights if name.startswith(prefix)]
    return {name.removeprefix(prefix): weights.pop(name) for name in names}
