"""Learned explainers written to folders, and the model attached to what was loaded."""

from __future__ import annotations

from typing import Any, Self

import torch
from sklearn.utils.validation import check_is_fitted

from fastexplain.explainers._loading import COPY, LoadedState, check_shares
from fastexplain.explainers._saved_outputs import encode_floats, outputs_state
from fastexplain.explainers._saved_params import params_state
from fastexplain.maskers._state import masker_state
from fastexplain.persistence import WeightsError, check_finite, save_state, weights_of
from fastexplain.readers._state import warn_if_changed

__all__ = ["SavedState"]


class SavedState(LoadedState):
    """Saving and loading of explainers that hold a network and a reader."""

    def save(self, path: Any) -> None:
        """Save as a folder of JSON and safetensors, without the model and without pickle.

        A crash at any moment leaves what was there before, or the new explainer; whoever loads
        the folder meanwhile gets one of the two. Savers of the same folder take turns.

        Parameters
        ----------
        path : path-like
            Folder to make; a saved explainer there is replaced.

        Raises
        ------
        NotFittedError
            Before ``fit``.
        FileExistsError
            If the path holds anything but a saved explainer.
        TypeError
            If the explainer holds a function, of which ``fit`` has warned.
        ValueError
            If the network's weights are not finite.

        See Also
        --------
        fastexplain.load : Load it again.
        """
        check_is_fitted(self)
        masker, masker_tensors = masker_state(self.masker_)
        reader, reader_tensors = self._reader.state()
        check_shares(self._reader, self.masker_)
        told, told_tensors = outputs_state(self)
        config = {
            "explainer": type(self).__name__,
            "params": params_state(self),
            "masker": masker,
            "schema": self._schema_state(),
            "reader": reader,
            "removal": None if self.removal_ is None else self.removal_.config(),
            "outputs": told,
            "fit": {
                "history": {name: encode_floats(v) for name, v in self.history_.items()},
                "n_iter": int(self.n_iter_),
                "best_score": encode_floats([self.best_score_])[0],
                "stopped_by": self.stopped_by_,
                "n_model_queries": int(self.n_model_queries_),
                "measures": {
                    name: measure.kind(getattr(self, name))
                    for name, measure in self._measures.items()
                    if hasattr(self, name)
                },
            },
        }
        own = self._network_weights()
        _check_weights({name: tensor for name, tensor in own.items() if COPY not in name})
        weights = {f"network.{k}": v for k, v in own.items()} | told_tensors
        weights["fingerprint"] = self._fingerprint
        weights |= {f"masker.{k}": v for k, v in masker_tensors.items()}
        weights |= {f"reader.{k}": v for k, v in reader_tensors.items()}
        if self._spread is not None:
            weights["spread"] = self._spread
        if self.removal_ is not None:
            weights |= {f"removal.{k}": v for k, v in self.removal_.weights().items()}
        save_state(path, config, weights)

    def _network_weights(self) -> dict[str, torch.Tensor]:
        return weights_of(self._network) if self._network is not None else self._waiting

    def _schema_state(self) -> dict[str, Any]:
        """How many features there are; of tables also their container, whose masker knows more."""
        if self._schema is None:
            return {"n_features": int(self.n_features_in_)}
        return {
            "container": self._schema.kind,
            "n_features": int(self.n_features_in_),
            "named": hasattr(self, "feature_names_in_"),
        }

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
            try:
                self._take_weights(self._waiting, "this model", outline=False)
            except WeightsError as error:
                raise ValueError(
                    f"The explainer's network is a copy of another model ({error}). Attach the "
                    "model that was explained, or fit again."
                ) from error
            del self._waiting
        samples = self._reader.fingerprint_samples()
        warn_if_changed(self._fingerprint, self._masked.outputs(samples))
        return self


def _check_weights(weights: dict[str, torch.Tensor]) -> None:
    try:
        check_finite(weights)
    except WeightsError as error:
        raise ValueError(
            f"The network was not trained to finite weights ({error}); fit again, with a lower "
            "learning_rate."
        ) from error
