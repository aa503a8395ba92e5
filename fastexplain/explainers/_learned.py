"""Explainers that learn a network: encoding, training, and the forward pass."""

from __future__ import annotations

import numbers
import time
import warnings
from collections.abc import Callable
from typing import Any, Self

import joblib
import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted
from torch import nn

from fastexplain.attribution import attribution_targets
from fastexplain.attribution._targets import masks_needed
from fastexplain.explainers._base import BaseExplainer
from fastexplain.explainers._inert import InertValues, find_inert_values
from fastexplain.explainers._inputs import Schema
from fastexplain.explainers._state import (
    decode_encoder,
    decode_masker,
    encode_encoder,
    encode_masker,
    fingerprint_rows,
    warn_if_changed,
)
from fastexplain.maskers import TabularMasker
from fastexplain.metrics import rank_correlation
from fastexplain.networks import TabularEncoder, TabularNetwork
from fastexplain.networks._encoder import quantiles_of
from fastexplain.persistence import decode_value, encode_value, save_state
from fastexplain.removal import SurrogateRemoval
from fastexplain.tables import Table
from fastexplain.training import (
    Checkpoint,
    Fitted,
    Trainer,
    TrainSettings,
    collect,
    fabric_for,
    mix_rows,
)

__all__ = ["POOL_BYTES", "LearnedExplainer", "is_number"]

_EXPLAIN_ROWS = 8192
#: most memory that what the network learns from may take
POOL_BYTES = 2**30
_FEWEST_ROWS = 64
_VALIDATION_ROWS = 256
_VALIDATION_MASKS = 1024


class LearnedExplainer(BaseExplainer):
    """Base of explainers that train a network once and then explain by forward passes."""

    #: what ``best_score_`` is
    _score_name = "rank correlation"
    batch_size: int
    max_steps: int
    learning_rate: float
    weight_decay: float
    patience: int
    validation_fraction: float
    max_time: float | None
    device: str
    precision: str
    verbose: int
    checkpoint: Any
    n_queries: int
    hidden_dim: int
    n_blocks: int
    #: layers from the network's last block to its output
    n_head_layers: int = 1
    _network: Any
    _encoder: TabularEncoder
    _inert: InertValues

    def fit(self, X: Any, y: Any = None, *, model: Any = None) -> Self:
        """Learn to explain a fitted model.

        Parameters
        ----------
        X : ndarray or DataFrame of shape (n, C)
            Rows like those to be explained, as the model takes them.
        y : object
            The fitted model: ``fit(X, model)``. Labels are ignored if ``model`` is given.
        model : object, optional
            The fitted model, by name.

        Returns
        -------
        self

        Raises
        ------
        TypeError
            If no model is given.
        ValueError
            For bad parameters or data, or a model that answers NaN.
        """
        started = time.monotonic()
        return self._fit_copy(lambda trial: trial._fit(X, y, model, started))

    def _fit_copy(self, fit: Callable[[Self], None]) -> Self:
        """Fit a copy and take its state, so that a failed fit leaves this estimator as it was."""
        self._validate_parameters()
        trial = type(self)(**self.get_params(deep=False))
        fit(trial)
        for name in [name for name in vars(self) if _is_fitted(name)]:
            delattr(self, name)
        params = self.get_params(deep=False)
        for name in vars(trial).keys() - params.keys():
            setattr(self, name, getattr(trial, name))
        return self

    def _validate_parameters(self) -> None:
        raise NotImplementedError

    def _fit(self, X: Any, y: Any, model: Any, started: float) -> None:
        raise NotImplementedError

    def _validate_training(self, *others: str) -> None:
        """Check what all learned explainers are told, and other whole numbers by name."""
        whole = ("n_queries", "hidden_dim", "max_steps", "batch_size", "patience")
        for name in (*whole, *others):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
                raise ValueError(f"{name} must be a whole number of at least 1, got {value!r}.")
        if not is_number(self.n_blocks, numbers.Integral) or self.n_blocks < 0:
            raise ValueError(f"n_blocks must be a whole number, 0 or more, got {self.n_blocks!r}.")
        if not is_number(self.learning_rate) or not self.learning_rate > 0:
            raise ValueError(f"learning_rate must be above 0, got {self.learning_rate!r}.")
        if not is_number(self.weight_decay) or not self.weight_decay >= 0:
            raise ValueError(f"weight_decay must be 0 or more, got {self.weight_decay!r}.")
        if self.max_time is not None and not (is_number(self.max_time) and self.max_time > 0):
            raise ValueError(
                f"max_time must be a positive number of seconds, got {self.max_time!r}."
            )

    def _split(self, table: Table, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Rows to train on and rows held out; one row serves as both."""
        if not 0.0 <= self.validation_fraction < 1.0:
            raise ValueError(
                f"validation_fraction must be in [0, 1), got {self.validation_fraction}."
            )
        order = np.random.default_rng([seed, 1]).permutation(len(table))
        held = min(int(np.ceil(self.validation_fraction * len(table))), _VALIDATION_ROWS)
        if held == 0 or held == len(table):
            return order, order[:_VALIDATION_ROWS]
        return order[held:], order[:held]

    def _fit_encoder(self, table: Table, seed: int, started: float) -> None:
        """Learn the columns, and which of their values act like the baseline."""
        self._encoder = TabularEncoder.fit(table, quantiles_of(table))
        if self.removal_ is not None:
            # a surrogate sees values; none of them is as good as absent
            self._inert = InertValues.none(table.n_columns)
            return
        rng = np.random.default_rng([seed, 5])
        deadline = None if self.max_time is None else started + 0.1 * float(self.max_time)
        self._inert = find_inert_values(
            self._masked, table, self._encoder, self.n_queries, rng, deadline
        )

    def _null_players(self, table: Table, x: np.ndarray) -> np.ndarray:
        """Players (n, N) that equal the baseline or act like it; ``x`` are the encoded rows."""
        cells = self._inert.mark(self.masker_.baseline_cells(table), x)
        return self.masker_.all_of_player(cells)

    def _encode(self, table: Table) -> dict[str, Any]:
        x = self._encoder.transform(table)
        null = self._null_players(table, x)
        return {"x": torch.from_numpy(x), "null": torch.from_numpy(null)}

    def _training_rows(
        self,
        rows: Table,
        rng: np.random.Generator,
        n_masks: int,
        budget: float | None = None,
        enumerates: bool = True,
    ) -> Table:
        """As many rows as the query budget buys: real ones first, then mixed ones.

        ``budget`` is what is left of ``n_queries`` by default. A row takes ``n_masks`` queries,
        or, where it is enumerated, as many as it has coalitions.
        """
        per_row = float(n_masks)
        if enumerates:
            sample = rows.take(np.sort(rng.permutation(len(rows))[:2048]))
            null = self._null_players(sample, self._encoder.transform(sample))
            per_row = masks_needed(null, n_masks).mean()
        per_row = max(1.0, per_row * len(self.masker_.background_))
        n_players, n_out = self.masker_.n_players, len(self.output_names_)
        left = self.n_queries - self._masked.n_queries if budget is None else budget
        # a network learns nothing from a row or two, whatever was spent before
        wanted = int(max(left / per_row, min(len(rows), _FEWEST_ROWS)))
        wanted = min(wanted, max(1, POOL_BYTES // (4 * n_players * (n_out + 2))))
        if wanted <= len(rows):
            return rows.take(rng.permutation(len(rows))[:wanted])
        # mixing beyond some tens of copies of each row adds nothing new
        extra = min(wanted - len(rows), 50 * len(rows))
        mixed = mix_rows(rows, extra, self.masker_.player_of_column_, rng)
        order = rng.permutation(len(rows) + extra)
        n_columns = rows.n_columns
        index = np.broadcast_to(order[:, None], (len(order), n_columns))
        return Table(rows.stack(mixed).gather(index))

    def _collect(
        self,
        rows: Table,
        make: Callable[[Table, int], dict[str, torch.Tensor]],
        started: float,
        checkpoint: Checkpoint | None,
    ) -> dict[str, torch.Tensor]:
        """Ask the model for what the network is to learn, in half of the time at most."""
        from tqdm.auto import tqdm

        deadline = None if self.max_time is None else started + 0.5 * float(self.max_time)
        with tqdm(total=len(rows), desc="queries", unit="row", disable=not self.verbose) as bar:
            return collect(
                rows,
                make,
                held=checkpoint.pool() if checkpoint else None,
                save=checkpoint.save_pool if checkpoint else None,
                deadline=deadline,
                progress=bar,
            )

    def _body(self, out_features: int) -> TabularNetwork:
        n_players = self.masker_.n_players
        # layers draw their first weights from torch's global generator, which is the user's
        with torch.random.fork_rng(devices=[]):
            return TabularNetwork(
                self._encoder,
                n_players,
                out_features,
                self.hidden_dim,
                self.n_blocks,
                self.n_head_layers,
            )

    def _validator(self, table: Table, seed: int) -> Any:
        """Mean rank correlation with E_p[m] on held-out rows, over all outputs."""
        rng = np.random.default_rng([seed, 2])
        inputs = self._encode(table)
        # not told which values seem inert: where that is wrong, the score shall show it
        truth = attribution_targets(self._masked, table, _VALIDATION_MASKS, rng, self._spread)
        reference = truth.mean.reshape(-1, self.masker_.n_players).numpy()

        def validate(module: nn.Module) -> float:
            device = next(module.parameters()).device
            with torch.inference_mode():
                logits = module(inputs["x"].to(device), inputs["null"].to(device))
            found = logits.float().cpu().reshape(reference.shape).numpy()
            return float(rank_correlation(found, reference).mean())

        return validate

    def _settings(self, max_steps: int, seed: int, started: float) -> TrainSettings:
        return TrainSettings(
            max_steps=max_steps,
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay,
            eval_every=max(1, min(250, max_steps // 8)),
            patience=self.patience,
            device=self.device,
            precision=self.precision,
            verbose=self.verbose,
            seed=seed,
            started=started,
            deadline=None if self.max_time is None else started + float(self.max_time),
        )

    def _make_checkpoint(self, table: Table, seed: int, given_too: Any = None) -> Checkpoint | None:
        # asked with and without a checkpoint, so that both spend the same queries
        some = table.take(slice(None, None, max(1, len(table) // 32)))
        signature = self._masked.signature(some)
        if self.checkpoint is None:
            return None
        if not isinstance(self.random_state, int | np.integer):
            raise ValueError("checkpoint= needs random_state to be an int, to resume the same run.")
        skip = ("checkpoint", "verbose", "max_time", "n_jobs", "model_batch_size", "device")
        masker = ("masker", "baseline", "groups", "removal")
        given = self.get_params(deep=False).items()
        parts = {k: repr(v) for k, v in given if k not in (*skip, *masker)}
        content = (
            parts,
            table.fingerprint(),
            self.masker_.background_.fingerprint(),
            self.masker_.player_of_column_,
            None if self.removal_ is None else self.removal_.get_params(),
            int(seed),
            signature,
            given_too,
        )
        return Checkpoint(self.checkpoint, str(joblib.hash(content, hash_name="sha1")))

    def _train(self, trainer: Trainer) -> Fitted:
        fitted = trainer.run()
        if trainer.checkpoint is not None and fitted.stopped_by not in ("interrupt", "max_time"):
            trainer.checkpoint.finish()
        return fitted

    def _finish(self, module: nn.Module, fitted: Fitted) -> None:
        """Store what was learned, and say so when it is poor."""
        self._network = module
        rows = fingerprint_rows(self.masker_, self._encoder, self._schema)
        self._fingerprint = self._masked.outputs(rows).cpu()
        self.history_ = fitted.history
        self.n_iter_ = fitted.n_steps
        self.best_score_ = fitted.best_score
        self.stopped_by_ = fitted.stopped_by
        self.n_model_queries_ = self._masked.n_queries
        if (
            self.masker_.n_players > 1
            and fitted.best_score < 0.5
            and fitted.stopped_by != "interrupt"
        ):
            warnings.warn(
                f"The explainer agrees poorly with held-out attributions ({self._score_name} "
                f"{fitted.best_score:.2f}, see best_score_). Raise n_queries or max_steps, or "
                "give more rows.",
                stacklevel=3,
            )

    @torch.inference_mode()
    def _explain_table(self, table: Table) -> tuple[np.ndarray, np.ndarray | None]:
        n, n_out = len(table), len(self.output_names_)
        values = np.empty((n, self.masker_.n_players, n_out))
        neutral = np.empty((n, n_out))
        device = next(self._network.parameters()).device
        for start in range(0, n, _EXPLAIN_ROWS):
            part = table.take(slice(start, start + _EXPLAIN_ROWS)) if n > _EXPLAIN_ROWS else table
            inputs = self._encode(part)
            null = inputs["null"].to(device)
            deviation, level = self._network.deviations(inputs["x"].to(device), null)
            logits = (deviation + level[:, :, None]).double()
            rows = slice(start, start + len(part))
            common = torch.sigmoid(level.double())
            # written, not computed twice: vectorised sigmoids may differ in the last digit
            found = torch.where(null[:, None], common[:, :, None], torch.sigmoid(logits))
            values[rows] = found.transpose(1, 2).cpu().numpy()
            neutral[rows] = common.cpu().numpy()
        return values, neutral

    # -- saving ----------------------------------------------------------------------------
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
        params = {k: encode_value(v) for k, v in self.get_params(deep=False).items()}
        params["masker"] = None if self.masker is None else encode_masker(self.masker_)
        if self.removal_ is not None:
            # trained, it is a part of what was fitted
            params["removal"] = "surrogate"
        config = {
            "explainer": type(self).__name__,
            "params": params,
            "masker": encode_masker(self.masker_),
            "schema": {
                "kind": self._schema.kind,
                "names": self._schema.names,
                "dtypes": self._schema.dtypes,
                "quantity": self._schema.quantity,
                "feature_names_in": [str(n) for n in getattr(self, "feature_names_in_", [])],
            },
            "encoder": encode_encoder(self._encoder),
            "inert": self._inert.state(),
            "removal": None if self.removal_ is None else self.removal_.config(),
            "outputs": {
                "kind": self.kind_,
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
        weights = {f"network.{k}": v for k, v in self._network.state_dict().items()}
        weights["fingerprint"] = self._fingerprint
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
        if given is not None:
            masker = decode_masker(given)
            self.masker = TabularMasker(masker.baseline, masker.groups, masker.n_background)
        self.masker_ = decode_masker(config["masker"])
        own = {k: weights.pop(k) for k in list(weights) if k.startswith("removal.")}
        self.removal_ = None
        if config.get("removal") is not None:
            parts = {k.removeprefix("removal."): v for k, v in own.items()}
            self.removal_ = SurrogateRemoval.from_config(config["removal"], parts, self.masker_)
        schema = config["schema"]
        template = self.masker_.background_.take(slice(0, 1))
        self._schema = Schema(
            schema["kind"], schema["names"], schema["dtypes"], schema["quantity"], template
        )
        self.n_features_in_ = len(schema["names"])
        if schema["feature_names_in"]:
            self.feature_names_in_ = np.asarray(schema["feature_names_in"], dtype=object)
        self._encoder = decode_encoder(config["encoder"])
        self._inert = InertValues.from_state(config["inert"])
        outputs, fit = config["outputs"], config["fit"]
        self.kind_, self.output_names_ = outputs["kind"], outputs["names"]
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
        self._model = None
        network = self._build_network()
        own = {k.removeprefix("network."): v for k, v in weights.items()}
        try:
            network.load_state_dict(own)
        except RuntimeError as error:
            raise ValueError(f"The weights do not belong to the configuration: {error}") from error
        self._network = network.to(fabric_for(self.device, "32-true").device).eval()
        return self

    def _measured(self) -> dict[str, float]:
        """Fitted attributes of a subclass's own."""
        return {}

    def _build_network(self) -> nn.Module:
        """The network as ``explain`` uses it, with weights yet to come."""
        raise NotImplementedError

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
        rows = fingerprint_rows(self.masker_, self._encoder, self._schema)
        warn_if_changed(self._fingerprint, self._masked.outputs(rows))
        return self

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__()
        if "_network" in state:
            import copy

            # a network trained on a GPU must load where there is none
            state["_network"] = copy.deepcopy(state["_network"]).cpu()
        return state

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_network")


def is_number(value: Any, kind: Any = numbers.Real) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


def _is_fitted(name: str) -> bool:
    # scikit-learn keeps settings of its own (set_output, callbacks) under private names
    return name.endswith("_") and not name.startswith("_")
