"""Networks that begin as a copy of the model: what is read, what is trained, what is kept."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from tiny_models import vit
from torch import nn

import fastexplain
from fastexplain import (
    ConceptSetExplainer,
    CoRTXExplainer,
    FastSHAPExplainer,
    FEXExplainer,
    ImageMasker,
    SupervisedExplainer,
)
from fastexplain.masked_model import MaskedModel
from fastexplain.networks._players import Pretrained, own_parts
from fastexplain.predictors import make_predictor
from fastexplain.readers._copy import CopyReader
from fastexplain.readers._hidden import HiddenReader

pytestmark = pytest.mark.filterwarnings("ignore:The explainer agrees poorly")

SMALL: dict[str, Any] = {
    "network": "copy",
    "output": "logits",
    "n_queries": 2000,
    "hidden_dim": 16,
    "n_blocks": 0,
    "max_steps": 6,
    "batch_size": 8,
    "random_state": 0,
}
KINDS: dict[str, Any] = {
    "FEX": lambda **k: FEXExplainer(**(SMALL | {"n_masks": 16} | k)),
    "FEX ppo": lambda **k: FEXExplainer("ppo", **(SMALL | k)),
    "concepts": lambda **k: ConceptSetExplainer(**(SMALL | k)),
    "FastSHAP": lambda **k: FastSHAPExplainer(**(SMALL | {"n_masks": 8} | k)),
    "supervised": lambda **k: SupervisedExplainer(**(SMALL | {"label_source": "kernel"} | k)),
    "CoRTX": lambda **k: CoRTXExplainer(
        **(SMALL | {"label_source": "permutation", "n_positives": 3, "contrastive_steps": 3} | k)
    ),
}


class Stages(nn.Module):
    """A small ResNet-like model with two grids, batch norm and a head."""

    def __init__(self, channels: int = 3, last: bool = False, scale: float = 1.0) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.stem = nn.Sequential(nn.Conv2d(channels, 4, 3, 1, 1), nn.BatchNorm2d(4), nn.ReLU())
            self.down = nn.Sequential(nn.Conv2d(4, 6, 3, 2, 1), nn.ReLU())
            self.pool = nn.AdaptiveAvgPool2d(1)
            self.head = nn.Linear(6, 3)
            nn.init.normal_(self.head.weight, std=2.0)
        self.last, self.scale = last, scale

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x[:, None] if x.ndim == 3 else x
        x = x.movedim(3, 1) if self.last else x
        return self.head(self.pool(self.down(self.stem(x / self.scale))).flatten(1))


class Tokens(nn.Module):
    """A vision transformer without a configuration: patches, a class token, a norm at the end."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.patches = nn.Conv2d(3, 8, 4, 4)
            self.first = nn.Parameter(torch.zeros(1, 1, 8))
            self.block = nn.TransformerEncoderLayer(8, 2, 8, batch_first=True)
            self.norm = nn.LayerNorm(8)
            self.head = nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        cells = self.patches(x).flatten(2).transpose(1, 2)
        cells = torch.cat([self.first.expand(len(x), -1, -1), cells], dim=1)
        return self.head(self.norm(self.block(cells))[:, 0])


def images(n: int = 24, seed: int = 0, shape: tuple[int, ...] = (3, 8, 8)) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.random((n, *shape)).astype(np.float32)


def quarters(image: np.ndarray) -> np.ndarray:
    """Superpixels of an image's own: four, three or two of them."""
    labels = np.zeros((8, 8), int)
    labels[:4, 4:], labels[4:, :4], labels[4:, 4:] = 1, 2, 3
    return np.minimum(labels, 1 + int(image.sum() * 100) % 3)


# -- what is read ----------------------------------------------------------------------------
def layers_of(model: nn.Module, X: np.ndarray) -> list[str] | None:
    masker = ImageMasker(patch_size=4).fit(X)
    masked = MaskedModel(make_predictor(model.eval(), X, output="logits"), masker)
    found = masked.layers(masker.wrap(X[:3]))
    assert masked.n_queries == 3
    return found


def test_layers_are_the_last_at_each_size_of_the_grid() -> None:
    # a single cell, as of "pool", tells nothing of places
    assert layers_of(Stages(), images(4)) == ["stem", "down"]


def test_of_tokens_the_last_layer_is_read_and_what_tells_its_states_is_asked() -> None:
    assert layers_of(Tokens(), images(4)) == ["norm"]
    assert layers_of(vit(), images(4)) is None


class Odd(Stages):
    """Has parts whose answers look like maps and are none."""

    def __init__(self) -> None:
        super().__init__()
        self.turned, self.windows = nn.Identity(), nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.stem(x)
        self.turned(h.movedim(1, 3))
        self.windows(h.repeat(4, 1, 1, 1))
        return self.head(self.pool(self.down(h)).flatten(1))


def test_channels_at_the_end_and_windows_are_no_grids() -> None:
    assert layers_of(Odd(), images(4)) == ["stem", "down"]
    assert layers_of(Stages(), images(4, shape=(3, 9, 14))) == ["stem", "down"]


def test_calls_of_other_threads_are_not_looked_at() -> None:
    model = Stages().eval()

    class Disturbed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = model

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            answer = self.inner(x)
            with ThreadPoolExecutor(1) as pool:
                pool.submit(self.inner.stem, x).result()
            return answer

    assert layers_of(Disturbed(), images(4)) == ["inner.stem", "inner.down"]


def test_a_model_without_places_is_refused() -> None:
    flat = nn.Sequential(nn.Flatten(), nn.Linear(192, 3))
    with pytest.raises(ValueError, match="name the layers"):
        KINDS["FEX"]().fit(images(), flat)
    with pytest.raises(ValueError, match="name the layers"):
        KINDS["FEX"](network="hidden").fit(images(), flat)


CASES: dict[str, Any] = {
    "first": (lambda: Stages(), {}, (3, 8, 8), np.float32),
    "last": (lambda: Stages(last=True), {}, (8, 8, 3), np.float32),
    "none": (lambda: Stages(1), {}, (8, 8), np.float32),
    "bytes": (lambda: Stages(scale=255.0), {}, (3, 8, 8), np.uint8),
    "double": (lambda: Stages(), {}, (3, 8, 8), np.float64),
    "uneven": (lambda: Stages(), {"patch_size": 3}, (3, 8, 8), np.float32),
    "superpixels": (lambda: Stages(), {"segments": quarters}, (3, 8, 8), np.float32),
    "tokens": (lambda: Tokens(), {}, (3, 8, 8), np.float32),
    "vit": (vit, {}, (3, 8, 8), np.float32),
}


@pytest.mark.parametrize("case", CASES)
def test_a_copy_begins_with_the_states_of_the_model(case: str) -> None:
    make, options, shape, dtype = CASES[case]
    X = images(12, shape=shape)
    X = (255 * X).astype(np.uint8) if dtype == np.uint8 else X.astype(dtype)
    masker = ImageMasker(**({"patch_size": 4} if not options else options)).fit(X)
    masked = MaskedModel(make_predictor(make().eval(), X, output="logits"), masker)
    samples = masker.wrap(X)
    reader = CopyReader.copying(masked, samples, 16, 0)
    body = reader.body(3, 0).eval()
    with torch.no_grad():
        own = body.trunk.states(reader.encode(samples)["x"])
    frozen = HiddenReader.fit(masked, samples, reader.layers, False, 16, 0)
    torch.testing.assert_close(
        own, frozen.encode(samples, masked)["x"].float(), atol=2e-3, rtol=2e-3
    )


def test_a_copy_s_maps_are_as_fine_as_the_players(tmp_path: Any) -> None:
    X, model = images(), Stages().eval()
    coarse = KINDS["FastSHAP"](masker=ImageMasker(patch_size=2)).fit(X, model)
    assert coarse._reader.finer == {}
    fine = KINDS["FastSHAP"](masker=ImageMasker(patch_size=1)).fit(X, model)
    assert set(fine._reader.finer) == {"down.0"}
    assert model.down[0].stride == (2, 2)
    trained = fine._network.body.trunk.call.module
    assert trained.down[0].stride == (1, 1)
    values = fine.explain(X, target=0).values
    # neighbours that shared a cell of the coarser map no longer have one value
    assert values.reshape(-1, 8, 4, 2).std(axis=3).min() > 0
    fine.save(tmp_path / "fine")
    again = fastexplain.load(tmp_path / "fine", model=model)
    np.testing.assert_allclose(again.explain(X, target=0).values, values, rtol=1e-5, atol=1e-7)


def test_fresh_weights_are_drawn_beside_the_copy_alone() -> None:
    X = images()
    masker = ImageMasker(patch_size=4).fit(X)
    model = Stages().eval()
    masked = MaskedModel(make_predictor(model, X, output="logits"), masker)
    body = CopyReader.copying(masked, masker.wrap(X), 16, 1).body(3, 0)
    body.reset(torch.Generator().manual_seed(3))
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, body.trunk.copy.module.state_dict()[name])
    inside = set(body.trunk.copy.module.modules())
    assert not inside.intersection(own_parts(body))
    assert any(isinstance(part, Pretrained) for part in own_parts(body))


# -- training --------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", KINDS)
def test_every_learned_explainer_trains_its_copy_and_not_the_model(kind: str) -> None:
    X, model = images(), Stages()
    model.stem[1].eval()
    model.head.weight.requires_grad_(False)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    modes = [part.training for part in model.modules()]
    explainer = KINDS[kind](masker=ImageMasker(patch_size=4)).fit(X, model)
    assert explainer.explain(X[:4]).values.shape == (4, 4)
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name])
    assert modes == [part.training for part in model.modules()]
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not any(part._forward_hooks for part in model.modules())
    copies = [p.module for p in explainer._network.modules() if isinstance(p, Pretrained)]
    assert copies and all(not torch.equal(c.down[0].weight, model.down[0].weight) for c in copies)


def test_a_copy_learns_what_its_frozen_layers_cannot_tell() -> None:
    X = images(200)
    model = Stages().eval()
    given = {"masker": ImageMasker(patch_size=4), "n_queries": 6000, "max_steps": 120}
    given |= {"batch_size": 32, "n_masks": 16, "learning_rate": 5e-3}
    frozen = KINDS["FEX"](**given, network=["stem", "down"]).fit(X, model)
    copy = KINDS["FEX"](**given).fit(X, model)
    assert copy.best_score_ > frozen.best_score_ + 0.03


class Dropping(Stages):
    """With dropout, which draws from torch's global generator in training."""

    def __init__(self) -> None:
        super().__init__()
        self.down.append(nn.Dropout(0.5))


@pytest.mark.parametrize("kind", ["FEX", "concepts"])
def test_training_draws_nothing_from_the_global_generator(kind: str) -> None:
    X, model = images(), Dropping()
    masker = ImageMasker(patch_size=4)
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    first = KINDS[kind](masker=masker).fit(X, model).explain(X[:4]).values
    assert torch.equal(torch.rand(1), expected)
    second = KINDS[kind](masker=masker).fit(X, model).explain(X[:4]).values
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("kind", ["concepts", "FEX ppo"])
def test_sets_are_drawn_by_the_policy_that_is_updated(kind: str, monkeypatch: Any) -> None:
    """Ratios of chances (Eqs. 17 and 21) are 1 at the first update; near sets have none."""
    from fastexplain.objectives import bernoulli_log_prob
    from fastexplain.training import Trajectories

    ratios = []
    give = Trajectories.batch

    def watched(self: Any, module: Any, generator: Any) -> Any:
        first = self.position()["given"] % self.inner_updates == 0
        batch = give(self, module, generator)
        if first and batch is not None and "old_log_q" in batch:
            module.train()
            with torch.no_grad():
                logits = self.act(module, batch["x"], batch["null"])[0]
            own = logits[torch.arange(len(logits)), batch["target"]]
            ratio = (bernoulli_log_prob(own, batch["masks"]) - batch["old_log_q"]).exp()
            ratios.append(ratio)
        return batch

    monkeypatch.setattr(Trajectories, "batch", watched)
    KINDS[kind](masker=ImageMasker(patch_size=4)).fit(images(), Dropping())
    torch.testing.assert_close(torch.cat(ratios), torch.ones_like(torch.cat(ratios)))


def test_a_frozen_encoder_does_not_move() -> None:
    X, kept = images(), []

    class Watched(CoRTXExplainer):
        def _prepare(self, module: Any, *rest: Any) -> None:
            super()._prepare(module, *rest)
            kept.append({k: v.clone() for k, v in module.body.trunk.state_dict().items()})

    settings = SMALL | {"label_source": "permutation", "n_positives": 3, "contrastive_steps": 3}
    explainer = Watched(masker=ImageMasker(patch_size=4), freeze_encoder=True, **settings)
    explainer.fit(X, Stages().eval())
    after = explainer._network.body.trunk.state_dict()
    assert all(torch.equal(after[name], before) for name, before in kept[0].items())


def test_hooks_of_the_user_s_are_not_copied() -> None:
    X, model, calls = images(), Stages().eval(), []
    handle = model.down.register_forward_hook(lambda *_: calls.append(1))
    explainer = KINDS["FEX"](masker=ImageMasker(patch_size=4)).fit(X, model)
    pickle.dumps(explainer._network)
    calls.clear()
    explainer.explain(X[:3], target=0)
    assert not calls
    handle.remove()


def test_the_copy_keeps_to_the_model_s_batch_size() -> None:
    X, sizes = images(40), []

    class Counting(Stages):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            sizes.append(len(x))
            return super().forward(x)

    explainer = KINDS["FEX"](masker=ImageMasker(patch_size=4), model_batch_size=4, batch_size=4)
    explainer.fit(X, Counting().eval()).explain(X)
    # the first call sees what the model is
    assert max(sizes[1:]) == 4


def test_half_precision_models_are_trained_in_single_precision() -> None:
    X = images()
    explainer = KINDS["FEX"](masker=ImageMasker(patch_size=4))
    explainer.fit(X, Stages().bfloat16())
    kinds = {p.dtype for p in explainer._network.parameters()}
    assert kinds == {torch.float32}


@pytest.mark.parametrize("kind", ["FEX", "FastSHAP"])
def test_values_depend_on_the_image_alone(kind: str) -> None:
    X, model = images(), Stages().eval()
    explainer = KINDS[kind](masker=ImageMasker(patch_size=4)).fit(X, model)
    together = explainer.explain(X[:6]).values
    alone = np.concatenate([explainer.explain(X[i : i + 1]).values for i in range(6)])
    np.testing.assert_allclose(together, alone, atol=1e-5)
    with ThreadPoolExecutor(4) as pool:
        for values in pool.map(lambda _: explainer.explain(X[:6]).values, range(8)):
            np.testing.assert_array_equal(values, together)


def test_superpixels_of_each_image_and_one_image() -> None:
    X = images()
    explainer = KINDS["FEX"](masker=ImageMasker(segments=quarters)).fit(X, Stages().eval())
    assert np.isfinite(explainer.explain(X[:5]).values).all()
    one = KINDS["FEX"](masker=ImageMasker(patch_size=4)).fit(X[:1], Stages().eval())
    assert one.explain(X[:1]).values.shape == (1, 4)


def test_processors() -> None:
    transformers = pytest.importorskip("transformers")
    processor = transformers.ViTImageProcessor(size={"height": 8, "width": 8})
    X = (255 * images(24, shape=(10, 8, 3))).astype(np.uint8)
    explainer = KINDS["FEX"](masker=ImageMasker(patch_size=5)).fit(X, (vit(), processor))
    assert explainer.explain(X[:3]).values.shape == (3, 4)


# -- keeping ---------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", ["FEX", "concepts", "FastSHAP", "CoRTX"])
def test_saved_copies_need_the_model_to_explain(kind: str, tmp_path: Any) -> None:
    X, model = images(), Stages().eval()
    explainer = KINDS[kind](masker=ImageMasker(patch_size=4)).fit(X, model)
    values = explainer.explain(X[:4]).values
    explainer.save(tmp_path / "a")
    loaded = fastexplain.load(tmp_path / "a")
    with pytest.raises(ValueError, match="attach it with load"):
        loaded.explain(X[:4], target=0)
    # saved again as it is
    loaded.save(tmp_path / "b")
    attached = pickle.loads(pickle.dumps(fastexplain.load(tmp_path / "b"))).attach_model(model)
    np.testing.assert_array_equal(attached.explain(X[:4]).values, values)
    smaller = Stages()
    smaller.down = nn.Sequential(nn.Conv2d(4, 5, 3, 2, 1), nn.ReLU())
    smaller.head = nn.Linear(5, 3)
    with pytest.raises(ValueError, match="do not belong to this model"):
        fastexplain.load(tmp_path / "b", model=smaller.eval())


def test_pickles_hold_the_copy_and_no_model() -> None:
    X, model = images(), Stages().eval()
    explainer = KINDS["FEX"](masker=ImageMasker(patch_size=4)).fit(X, model)
    loaded = pickle.loads(pickle.dumps(explainer))
    assert loaded._reader.call is None
    expected = explainer.explain(X[:4], target=1).values
    np.testing.assert_array_equal(loaded.explain(X[:4], target=1).values, expected)


# -- what cannot be copied -------------------------------------------------------------------
def test_models_that_cannot_be_copied() -> None:
    X = images()
    flat = LogisticRegression().fit(X.reshape(len(X), -1), np.arange(len(X)) % 3)

    def function(x: np.ndarray) -> np.ndarray:
        return flat.predict_proba(x.reshape(len(x), -1))

    with pytest.raises(ValueError, match="must be a torch module"):
        KINDS["FEX"]().fit(X, function)

    class Blind(Stages):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            with torch.no_grad():
                return super().forward(x)

    with pytest.raises(ValueError, match="keeps no gradients"):
        KINDS["FEX"]().fit(X, Blind().eval())

    class Alone(Stages):
        def __deepcopy__(self, memo: Any) -> Any:
            raise RuntimeError("there is one of me")

    with pytest.raises(ValueError, match="there is one of me"):
        KINDS["FEX"]().fit(X, Alone().eval())


def test_tables_have_no_copies() -> None:
    with pytest.raises(ValueError, match="network"):
        KINDS["FEX"]().fit(np.random.default_rng(0).random((20, 3)), nn.Linear(3, 2))
