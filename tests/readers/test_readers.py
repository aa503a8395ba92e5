"""What networks read of images and texts: encodings, hidden states, round trips."""

from __future__ import annotations

import json
import pickle
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from fastexplain import FEXExplainer, ImageMasker, TextMasker
from fastexplain.masked_model import MaskedModel
from fastexplain.networks._grids import _grid
from fastexplain.predictors import make_predictor
from fastexplain.predictors._hidden import class_weights, hidden_states
from fastexplain.readers import make_reader, reader_from_state
from fastexplain.readers._image import ImageReader

transformers = pytest.importorskip("transformers")
tokenizers = pytest.importorskip("tokenizers")

RNG = np.random.default_rng(0)
TEXTS = ["a good film", "not good", "", "a film not as bad as that one", "bad"]
WORDS = sorted({word for text in TEXTS for word in text.split()} | {"the", "is", "very", "."})


def reader_of(masked, samples, network="auto", **settings):
    options = {"width": 16, "n_blocks": 1, "max_queries": 100, "seed": 0}
    options |= {"max_time": None, "started": 0.0} | settings
    return make_reader(masked, samples, None, network=network, **options)


def made_again(reader, masker):
    config, tensors = reader.state()
    return reader_from_state(json.loads(json.dumps(config)), tensors, masker, None)


def random_masks(null, seed=0):
    return (np.random.default_rng(seed).random(null.shape) < 0.5) & ~null


# -- images ----------------------------------------------------------------------------------
def image_case(dtype="float32", channels="last", n=5, segments=None, fill="mean"):
    pixels = RNG.integers(0, 256, size=(n, 8, 9, 3))
    pixels = pixels if np.dtype(dtype).kind in "iu" else pixels / 255
    if channels == "none":
        pixels = pixels[..., 0]
    elif channels == "first":
        pixels = pixels.transpose(0, 3, 1, 2)
    X = pixels.astype(dtype)
    options = {"patch_size": 3} if segments is None else {"segments": segments}
    masker = ImageMasker(**options, fill=fill, channels=channels)
    samples = masker.wrap(X)
    masker.fit(samples)
    model = lambda a: a.reshape(len(a), -1).mean(axis=1) / 256  # noqa: E731
    predictor = make_predictor(model, X, output="regression")
    return X, masker.wrap(X), MaskedModel(predictor, masker)


def as_first(X, channels):
    """Images as (n, C, H, W), one at a time."""
    if channels == "none":
        return X[:, None]
    return X if channels == "first" else np.stack([x.transpose(2, 0, 1) for x in X])


@pytest.mark.parametrize("channels", ["first", "last", "none"])
@pytest.mark.parametrize("dtype", ["uint8", "int16", "float16", "float32", "float64"])
def test_images_as_they_are(dtype, channels):
    X, samples, masked = image_case(dtype, channels)
    reader = reader_of(masked, samples)
    encoded = reader.encode(samples)
    expected = as_first(X, channels).astype(np.float32)
    np.testing.assert_array_equal(encoded["x"].numpy().astype(np.float32), expected)
    assert encoded["x"].dtype == (torch.uint8 if dtype == "uint8" else torch.float32)
    assert encoded["null"].shape == (5, 9)
    assert reader.shape == expected.shape[1:]
    np.testing.assert_allclose(reader.center, expected.mean(axis=(0, 2, 3)), rtol=1e-3)
    np.testing.assert_allclose(reader.spread, expected.std(axis=(0, 2, 3)), rtol=1e-3)
    network = reader.body(2, 2)
    assert network(**{k: encoded[k] for k in ("x", "null")}).shape == (5, 2, 10)


@pytest.mark.parametrize("channels", ["first", "last", "none"])
@pytest.mark.parametrize("fill", ["mean", "blur"])
def test_masked_images_against_a_loop(channels, fill):
    X, samples, masked = image_case("float32", channels, fill=fill)
    reader = reader_of(masked, samples)
    masks = random_masks(masked.masker.null_players(samples))
    encoded = reader.encode_masked(samples, masks)
    own = as_first(X, channels)
    fills = as_first(np.broadcast_to(masked.masker.fills(samples), X.shape), channels)
    labels = masked.masker.labels(samples)
    for b in range(5):
        kept = masks[b][labels]
        expected = np.where(kept[None], own[b], fills[b])
        np.testing.assert_array_equal(encoded["x"][b], expected)
    np.testing.assert_array_equal(encoded["null"], ~masks)


def test_images_that_may_not_be_written_to():
    X, _, masked = image_case("float32", "first")
    X.setflags(write=False)
    for given in (X, X[::-1], X[:, :, ::-1]):
        samples = masked.masker.wrap(given)
        reader = reader_of(masked, samples)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            x = reader.encode(samples)["x"]
        np.testing.assert_array_equal(x, given)


def stripes(image):
    """Two to four superpixels, and a row of none."""
    labels = np.arange(image.shape[1])[None] // 3 + np.zeros((image.shape[0], 1), int)
    labels = np.minimum(labels, 1 + int(float(image.flat[0]) * 7) % 3)
    labels[-1] = -1
    return labels


def test_superpixels_travel_with_their_image():
    X, samples, masked = image_case("uint8", "last", segments=stripes)
    reader = reader_of(masked, samples)
    x = reader.encode(samples)["x"]
    assert x.shape == (5, 4, 8, 9) and x.dtype == torch.float32
    np.testing.assert_array_equal(x[:, :3], as_first(X, "last"))
    np.testing.assert_array_equal(x[:, 3], np.stack([stripes(image) for image in X]))
    null = reader.encode(samples)["null"]
    masks = random_masks(null.numpy())
    masked_x = reader.encode_masked(samples, masks)["x"]
    np.testing.assert_array_equal(masked_x[:, 3], x[:, 3])
    network = reader.body(1, 0)
    with torch.no_grad():
        together = network(x, null)
        alone = reader.encode(samples.take(np.array([3])))
        torch.testing.assert_close(network(**alone), together[3:4], atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("channels", ["first", "last", "none"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float64"])
@pytest.mark.parametrize("kind", ["unet", "vit"])
def test_image_readers_come_back(kind, dtype, channels):
    _, samples, masked = image_case(dtype, channels)
    reader = reader_of(masked, samples, kind)
    again = made_again(reader, masked.masker)
    encoded = reader.encode(samples)
    for name, tensor in again.encode(samples).items():
        torch.testing.assert_close(tensor, encoded[name], rtol=0, atol=0)
    body, other = reader.body(2, 2), again.body(2, 2)
    other.load_state_dict(body.state_dict())
    torch.testing.assert_close(other(**encoded), body(**encoded))
    first, second = reader.fingerprint_samples(), again.fingerprint_samples()
    assert first.fingerprint() == second.fingerprint()
    assert first.native.dtype == dtype and first.native.shape[1:] == samples.native.shape[1:]
    answers = masked.outputs(first).numpy()
    assert np.isfinite(answers).all() and np.ptp(answers) > 1e-6


def test_large_images_are_not_all_looked_at():
    import tracemalloc

    X = np.zeros((400, 64, 64, 3), dtype=np.uint8)
    masker = ImageMasker()
    samples = masker.wrap(X)
    masker.fit(samples)
    predictor = make_predictor(lambda a: np.full(len(a), 0.5), X[:5], output="regression")
    tracemalloc.start()
    reader_of(MaskedModel(predictor, masker), samples)
    assert tracemalloc.get_traced_memory()[1] < 2**28
    tracemalloc.stop()


@pytest.mark.parametrize(
    ("side", "patch", "stride"), [(32, 8, 8), (32, 4, 4), (8, 3, 2), (8, 1, 1), (128, 128, 32)]
)
def test_the_network_s_cells_are_no_larger_than_patches(side, patch, stride):
    X = RNG.random((5, side, side))
    masker = ImageMasker(patch)
    samples = masker.wrap(X)
    masker.fit(samples)
    predictor = make_predictor(lambda a: a.mean(axis=(1, 2)), X, output="regression")
    assert reader_of(MaskedModel(predictor, masker), samples)._stride() == stride


def test_bodies_leave_the_global_generator_alone():
    _, samples, masked = image_case()
    before = torch.get_rng_state()
    reader_of(masked, samples).body(2, 2)
    assert torch.equal(torch.get_rng_state(), before)


# -- texts -----------------------------------------------------------------------------------
def word_tokenizer(side="right", special=True, first="[PAD]"):
    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    names = sorted(names, key=lambda name: name != first)
    vocabulary = {token: i for i, token in enumerate([*names, *WORDS])}
    backend = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="[UNK]"))
    backend.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    if special:
        ends = [(name, vocabulary[name]) for name in ("[CLS]", "[SEP]")]
        backend.post_processor = tokenizers.processors.TemplateProcessing(
            single="[CLS] $A [SEP]", special_tokens=ends
        )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token="[PAD]",
        unk_token="[UNK]",
        padding_side=side,
        mask_token="[MASK]",
        model_input_names=["input_ids", "attention_mask"],
    )


def bert(size=32, **config):
    torch.manual_seed(0)
    settings = transformers.BertConfig(
        vocab_size=5 + len(WORDS),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=size,
        initializer_range=0.5,
        num_labels=3,
        **config,
    )
    return transformers.BertForSequenceClassification(settings).eval()


def text_case(texts=TEXTS, tokenizer="words", fill="mask", model=None, **options):
    tokenizer = word_tokenizer() if tokenizer == "words" else tokenizer
    masker = TextMasker(tokenizer, fill=fill, **options)
    samples = masker.wrap(texts)
    masker.fit(samples)
    if tokenizer is None:
        lengths = lambda strings: np.array([len(s) / 100 for s in strings])  # noqa: E731
        probe = np.array(texts, dtype=object)
        predictor = make_predictor(lengths, probe, output="regression")
    else:
        model = bert() if model is None else model
        probe = masker.whole(samples, SimpleNamespace(takes="tokens"))
        predictor = make_predictor((model, tokenizer), probe)
    return samples, MaskedModel(predictor, masker)


@pytest.mark.parametrize("tokenizer", ["words", None])
@pytest.mark.parametrize("unit", ["token", "sentence"])
def test_texts_as_tokens_and_players(tokenizer, unit):
    samples, masked = text_case(tokenizer=tokenizer, unit=unit)
    reader = reader_of(masked, samples)
    encoded = reader.encode(samples)
    np.testing.assert_array_equal(encoded["x"], masked.masker.encode(samples))
    assert encoded["null"].shape == (5, masked.masker.n_players)
    counts = [len(set(players.tolist()) - {-1, -2}) for players in encoded["x"][:, :, 1]]
    assert counts == samples.sizes.tolist()
    # shorter texts alone are padded to the longest of fit, so that batches can be joined
    short = reader.encode(samples.take(np.array([1, 2])))
    assert short["x"].shape == (2, reader.length, 2)
    network = reader.body(3, 3)
    with torch.no_grad():
        out, few = network(**encoded), network(**short)
    torch.testing.assert_close(few[:, :, :2], out[1:3, :, :2], atol=1e-5, rtol=0)
    # longer ones than at fit
    longer = masked.masker.wrap(["a good film not as bad as that one is . very good", "bad"])
    found = network(**reader.encode(longer))
    assert found.shape == (2, 3, int(max(masked.masker.n_players, longer.sizes.max())) + 1)
    assert torch.isfinite(found).all()


@pytest.mark.parametrize("tokenizer", ["words", "none"])
def test_masked_texts_against_a_loop(tokenizer):
    samples, masked = text_case(tokenizer=None if tokenizer == "none" else tokenizer)
    reader = reader_of(masked, samples)
    plain = reader.encode(samples)
    masks = random_masks(plain["null"].numpy())
    found = reader.encode_masked(samples, masks)
    removed = 1 if tokenizer == "none" else 4
    for b in range(5):
        for position in range(plain["x"].shape[1]):
            token, player = plain["x"][b, position].tolist()
            kept = player < 0 or masks[b, player]
            assert found["x"][b, position].tolist() == [token if kept else removed, player]
    np.testing.assert_array_equal(found["null"], ~masks)
    assert not torch.equal(found["x"], plain["x"])


def test_a_mask_token_with_the_id_0():
    samples, masked = text_case(tokenizer=word_tokenizer(first="[MASK]"))
    reader = reader_of(masked, samples)
    nothing = np.zeros((5, masked.masker.n_players), dtype=bool)
    x = reader.encode_masked(samples, nothing)["x"]
    assert (x[:, :, 0][x[:, :, 1] >= 0] == 0).all()


def test_the_model_s_own_embeddings():
    model = bert()
    samples, masked = text_case(model=model)
    reader = reader_of(masked, samples)
    torch.testing.assert_close(reader.embeddings, model.get_input_embeddings().weight.detach())
    body = reader.body(3, 0)
    torch.testing.assert_close(body.trunk.embeddings, reader.embeddings)
    assert not body.trunk.embeddings.requires_grad
    again = made_again(reader, masked.masker).body(3, 0)
    again.load_state_dict(body.state_dict())
    encoded = reader.encode(samples)
    torch.testing.assert_close(again(**encoded), body(**encoded))
    # too small a table is that of something else
    masked.masker.tokenizer.add_tokens([f"new{i}" for i in range(3)])
    assert reader_of(masked, samples).embeddings is None


@pytest.mark.parametrize("tokenizer", ["words", None])
def test_text_readers_come_back(tokenizer):
    samples, masked = text_case(tokenizer=tokenizer)
    reader = reader_of(masked, samples)
    again = made_again(reader, masked.masker)
    for name, tensor in again.encode(samples).items():
        torch.testing.assert_close(tensor, reader.encode(samples)[name], rtol=0, atol=0)
    first, second = reader.fingerprint_samples(), again.fingerprint_samples()
    assert first.native == second.native
    assert len(np.unique(np.round(masked.outputs(first).numpy(), 6), axis=0)) > 1


def test_fingerprints_of_short_inputs_and_odd_tokenizers():
    samples, masked = text_case(texts=["good", "bad"], max_length=4)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(reader_of(masked, samples).fingerprint_samples()) == 16
    # letters of nucleotides: everything else is dropped
    backend = tokenizers.Tokenizer(tokenizers.models.BPE({t: i for i, t in enumerate("#ACGT")}, []))
    dna = transformers.PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="#")
    masker = TextMasker(dna, fill="pad").fit(["ACGT", "GATTACA"])
    assert not masker.wrap(["the film is good"]).sizes.any()
    from fastexplain.readers._text import common_texts

    assert common_texts(masker).sizes.any()


# -- hidden states ---------------------------------------------------------------------------
@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("special", [True, False])
def test_states_of_bert_equal_the_module_called_by_hand(side, special):
    model, tokenizer = bert(), word_tokenizer(side, special)
    texts = [text for text in TEXTS if text or special]
    samples, masked = text_case(texts, tokenizer, model=model)
    outputs, states = masked.hidden(samples, None)
    assert len(states) == 1
    torch.testing.assert_close(outputs, masked.outputs(samples))
    players = masked.masker.token_players(samples)
    close = {"atol": 1e-5, "rtol": 1e-4}
    for i, text in enumerate(texts):
        given = tokenizer(text, return_tensors="pt")
        with torch.no_grad():
            answer = model(**given, output_hidden_states=True)
        own = states[0][i][players[i] > -2]
        torch.testing.assert_close(own, answer.hidden_states[-1][0], **close)
        torch.testing.assert_close(outputs[i], answer.logits.softmax(dim=1)[0], **close)


def test_layers_by_name_in_the_order_they_are_named_in():
    samples, masked = text_case()
    names = ["bert.encoder.layer.1", "bert.embeddings", "bert.encoder.layer.0"]
    states = masked.hidden(samples, names)[1]
    for name, state in zip(names, states, strict=True):
        torch.testing.assert_close(masked.hidden(samples, [name])[1][0], state)
    last = masked.hidden(samples, None)[1][0]
    torch.testing.assert_close(states[0], last)
    twice = masked.hidden(samples, [names[0], names[0]])[1]
    torch.testing.assert_close(twice[0], twice[1])


@pytest.mark.parametrize("side", ["right", "left"])
def test_states_across_calls_of_texts_of_different_lengths(side):
    lengths = [1, 30, 2, 29, 3, 28] * 12
    texts = [" ".join(RNG.choice(WORDS, size=length)) for length in lengths]
    samples, masked = text_case(texts, word_tokenizer(side))
    whole = masked.masker.whole(samples, masked.predictor)
    assert len(masked.predictor.batches(whole)) > 1
    outputs, states = masked.hidden(samples, None)
    torch.testing.assert_close(outputs, masked.outputs(samples), atol=1e-6, rtol=1e-5)
    for i in (0, 1, 40, 71):
        one = samples.take(np.array([i]))
        alone = masked.hidden(one, None)
        length = alone[1][0].shape[1]
        own = states[0][i, -length:] if side == "left" else states[0][i, :length]
        torch.testing.assert_close(own, alone[1][0][0], atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(outputs[i], alone[0][0], atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("fill", ["mask", "pad", "delete"])
@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("special", [True, False])
@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("make", [lambda: bert(), lambda: gpt2()])
def test_players_of_texts_against_a_loop(fill, side, special, whole, make):
    texts = [*TEXTS, "a very good film ."]
    samples, masked = text_case(texts, word_tokenizer(side, special), fill=fill, model=make())
    reader = reader_of(masked, samples, "hidden")
    null = masked.masker.null_players(samples)
    masks = random_masks(null)
    masks[3] = ~null[3]
    if not whole:
        # so that no text is as long as the longest was
        masks[np.arange(6), np.maximum(samples.sizes - 1, 0)] = False
    inputs = masked.masker.inputs(samples, masked.predictor)
    plain, found = reader.encode(samples, masked), reader.encode_masked(samples, masks, masked)
    np.testing.assert_array_equal(plain["null"], null)
    np.testing.assert_array_equal(found["null"], ~masks)
    for encoded, kept in ((plain, ~null), (found, masks)):
        x = encoded["x"].float()
        assert encoded["x"].dtype == torch.float16
        assert x.shape == (6, 1 + null.shape[1], 17)
        batch = inputs(kept[:, None], slice(0, 6))
        plain_outputs = masked.values(samples, kept[:, None])[:, 0]
        torch.testing.assert_close(encoded["outputs"], plain_outputs, atol=1e-5, rtol=1e-4)
        for i in range(6):
            players = samples.player[i].tolist()
            left = [p for p in players if p < 0 or kept[i, p]]
            # of a text of which nothing is left the model sees one padding token
            if fill == "delete" or (fill == "pad" and not left):
                players = left
            # each text alone, as long as it is
            length = max(len(players), 1)
            own = slice(-length, None) if side == "left" else slice(0, length)
            with torch.no_grad():
                answer = masked.predictor.module(
                    batch.ids[i : i + 1, own],
                    attention_mask=batch.attention[i : i + 1, own],
                    output_hidden_states=True,
                )
            state, expected = answer.hidden_states[-1][0], answer.logits.softmax(dim=1)[0]
            torch.testing.assert_close(encoded["outputs"][i], expected, atol=1e-5, rtol=1e-4)
            for j in [-1, *np.flatnonzero(kept[i])]:
                places = [k for k, player in enumerate(players) if player == j]
                if places:  # j is -1 for the text as a whole
                    mean = state[places].mean(dim=0)
                    torch.testing.assert_close(x[i, 1 + j, :-1], mean, atol=5e-3, rtol=1e-2)
                elif places := [
                    k for k, player in enumerate(players) if fill == "mask" or kept[i, player]
                ]:
                    mean = state[places].mean(dim=0)
                    torch.testing.assert_close(x[i, 0, :-1], mean, atol=5e-3, rtol=1e-2)
            assert (x[i, 1:, -1][kept[i]] == 1.0).all() and x[i, 0, -1] == 1.0
        assert torch.isfinite(x).all()
        assert (x[:, 1:, -1][torch.from_numpy(null)] == 0).all()


@pytest.mark.parametrize("special", [True, False])
def test_means_of_many_tokens_in_half_precision(special):
    texts = [" ".join(RNG.choice(WORDS, size=60)), "bad"]
    samples, masked = text_case(texts, word_tokenizer(special=special), model=bert(size=64))
    reader = reader_of(masked, samples, "hidden")
    state = torch.full((2, 60 + 2 * special, 16), 40000.0, dtype=torch.float16)
    x = reader._players(samples, [state], masked.masker.n_players, None)
    assert (x[:, 0, :-1] == 40000).all() and (x[0, :, :-1] == 40000).all()


def gpt2():
    torch.manual_seed(0)
    settings = transformers.GPT2Config(
        vocab_size=5 + len(WORDS),
        n_positions=32,
        n_embd=16,
        n_layer=2,
        n_head=2,
        num_labels=3,
        initializer_range=0.5,
        pad_token_id=0,
        bos_token_id=None,
        eos_token_id=None,
    )
    return transformers.GPT2ForSequenceClassification(settings).eval()


def vit(size=(8, 12), patch=4, **config):
    torch.manual_seed(0)
    config = {"num_labels": 3} | config
    settings = transformers.ViTConfig(
        image_size=size,
        patch_size=patch,
        num_channels=3,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=16,
        initializer_range=0.5,
        **config,
    )
    return transformers.ViTForImageClassification(settings).eval()


def conv():
    torch.manual_seed(0)
    stem = nn.Sequential(nn.Conv2d(3, 5, 3, padding=1), nn.ReLU())
    middle = nn.Sequential(nn.Conv2d(5, 7, 3, 2, 1), nn.ReLU())
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(7, 4))
    layers = nn.ModuleDict({"stem": stem, "middle": middle, "head": head})

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = layers

        def forward(self, x):
            for layer in self.layers.values():
                x = layer(x)
            return x

    return Net().eval()


def seen_images(model, patch, shape=(8, 12), n=4, masker=None):
    X = RNG.normal(size=(n, 3, *shape)).astype(np.float32)
    masker = ImageMasker(patch) if masker is None else masker
    samples = masker.wrap(X)
    masker.fit(samples)
    return X, samples, MaskedModel(make_predictor(model, X, output="logits"), masker)


def slow_means(labels, cells, grid, n_players):
    """Mean over each player's pixels of the state of the cell that a pixel lies in."""
    height, width = labels.shape
    out = torch.zeros((n_players, cells.shape[1]))
    for player in range(n_players):
        rows, columns = np.nonzero(labels == player)
        states = [
            cells[(r * grid[0] // height) * grid[1] + c * grid[1] // width]
            for r, c in zip(rows.tolist(), columns.tolist(), strict=True)
        ]
        if states:
            out[player] = torch.stack(states).mean(dim=0)
    return out


@pytest.mark.parametrize("patch", [4, 3, 2, (5, 12)])
def test_players_of_a_vision_transformer_against_a_loop(patch):
    model = vit()
    X, samples, masked = seen_images(model, patch)
    reader = reader_of(masked, samples, "hidden")
    labels, n_players = masked.masker.labels(samples), masked.masker.n_players
    masks = random_masks(masked.masker.null_players(samples))
    made = masked.masker.inputs(samples, masked.predictor)(masks[:, None], slice(0, 4))
    for encoded, pixels in (
        (reader.encode(samples, masked), torch.from_numpy(X)),
        (reader.encode_masked(samples, masks, masked), made),
    ):
        with torch.no_grad():
            answer = model(pixels)
            state = model.vit(pixels).last_hidden_state
        torch.testing.assert_close(encoded["outputs"], answer.logits.softmax(dim=1))
        x = encoded["x"].float()
        assert x.shape == (4, 1 + n_players, 17)
        for i in range(4):
            expected = slow_means(labels, state[i, 1:], (2, 3), n_players)
            torch.testing.assert_close(x[i, 1:, :-1], expected, atol=5e-3, rtol=1e-2)
            torch.testing.assert_close(x[i, 0, :-1], state[i, 0], atol=5e-3, rtol=1e-2)
        assert (x[:, :, -1] == 1).all()


@pytest.mark.filterwarnings("ignore:The explainer agrees poorly")
@pytest.mark.parametrize(("shortest", "cut"), [(8, False), (10, True)])
@pytest.mark.parametrize("network", ["hidden", ["vit.layers.1"], "unet"])
def test_states_of_images_that_the_processor_crops(network, shortest, cut):
    pytest.importorskip("PIL")
    make = getattr(transformers, "CLIPImageProcessorPil", transformers.CLIPImageProcessor)
    processor = make(
        size={"shortest_edge": shortest}, crop_size={"height": 8, "width": 8}, do_normalize=False
    )
    X = RNG.integers(0, 256, size=(4, 16, 16, 3), dtype=np.uint8)
    masker = ImageMasker(4)
    samples = masker.wrap(X)
    masker.fit(samples)
    masked = MaskedModel(make_predictor((vit((8, 8)), processor), X), masker)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        reader_of(masked, samples, network)
    told = ["cuts off edges" in str(warning.message) for warning in caught]
    assert told == [True] * (cut and network != "unet")
    if cut and network == "hidden":
        explainer = FEXExplainer(masker=ImageMasker(8), network=network, max_steps=2, n_queries=200)
        with pytest.warns(UserWarning, match="cuts off edges") as found:
            explainer.fit(X, (vit((8, 8)), processor))
        told = [w.filename for w in found if "cuts off" in str(w.message)]
        assert told == [__file__]


def test_players_of_a_plain_conv_net_by_the_names_of_its_layers():
    model = conv()
    segments = RNG.integers(-1, 5, size=(8, 12))
    X, samples, masked = seen_images(model, None, masker=ImageMasker(segments=segments))
    names = ["layers.middle", "layers.stem"]
    reader = reader_of(masked, samples, names)
    encoded = reader.encode(samples, masked)
    x = encoded["x"].float()
    assert x.shape == (4, 6, 5 + 7 + 1)
    with torch.no_grad():
        stem = model.layers["stem"](torch.from_numpy(X))
        middle = model.layers["middle"](stem)
    for i in range(4):
        parts, whole = [], []
        for state in (middle, stem):
            cells = state[i].flatten(1).T
            parts.append(slow_means(segments, cells, tuple(state.shape[2:]), 5))
            whole.append(cells.mean(dim=0))
        torch.testing.assert_close(x[i, 1:, :-1], torch.cat(parts, dim=1), atol=2e-3, rtol=1e-2)
        torch.testing.assert_close(x[i, 0, :-1], torch.cat(whole), atol=2e-3, rtol=1e-2)
    torch.testing.assert_close(encoded["outputs"], model(torch.from_numpy(X)).softmax(1).detach())


def test_superpixels_of_each_image():
    model = conv()

    def halves(image):
        return np.arange(12)[None] // (3 + int(image[0, 0, 0] > 0)) + np.zeros((8, 1), int)

    X, samples, masked = seen_images(model, None, n=6, masker=ImageMasker(segments=halves))
    samples = masked.masker.wrap(X)
    reader = reader_of(masked, samples, ["layers.stem"])
    x = reader.encode(samples, masked)["x"].float()
    with torch.no_grad():
        stem = model.layers["stem"](torch.from_numpy(X))
    for i, image in enumerate(X):
        labels = halves(image.transpose(1, 2, 0))
        expected = slow_means(labels, stem[i].flatten(1).T, (8, 12), 4)
        torch.testing.assert_close(x[i, 1:, :-1], expected, atol=2e-3, rtol=1e-2)
        assert x[i, 1:, -1].tolist() == [float(j <= labels.max()) for j in range(4)]


@pytest.mark.parametrize(
    ("length", "size", "grid"),
    [
        (197, (224, 224), (14, 14)),  # a class token
        (198, (224, 224), (14, 14)),  # and one of distillation
        (261, (448, 448), (16, 16)),  # and registers
        (49, (224, 224), (7, 7)),
        (7, (32, 48), (2, 3)),
        (4, (48, 16), (3, 1)),
        (6, (16, 80), (1, 5)),
        (211, (224, 240), (14, 15)),
        (197, (100, 150), (14, 14)),  # a processor made it a square
        (1, (8, 8), (1, 1)),
        (2, (64, 2), (2, 1)),
    ],
)
def test_grids_of_tokens(length, size, grid):
    from fastexplain.networks._grids import grid_cells

    state = torch.arange(float(length))[None, :, None]
    cells, special, found = grid_cells(state, size)
    assert found == grid
    assert cells.shape[1] == grid[0] * grid[1]
    assert cells[0, -1] == length - 1
    n_special = length - grid[0] * grid[1]
    assert special.shape[1] == (n_special or length)


@pytest.mark.parametrize("length", [1, 2, 3, 10])
@pytest.mark.parametrize("ratio", [0.01, 0.5, 1.0, 30.0])
def test_grids_have_no_more_cells_than_tokens(length, ratio):
    rows, columns = _grid(length, ratio)
    assert rows >= 1 and columns >= 1 and rows * columns <= length


def test_states_beyond_half_precision_stay_finite():
    model = conv()
    with torch.no_grad():
        model.layers["stem"][0].weight.mul_(1e6)
        model.layers["middle"][0].weight.mul_(1e-6)
    _, samples, masked = seen_images(model, 4)
    encoded = reader_of(masked, samples, ["layers.stem"]).encode(samples, masked)
    assert torch.isfinite(encoded["x"]).all()


@pytest.mark.parametrize("by_class", [False, True])
def test_hidden_readers_come_back(by_class):
    network = "hidden_classes" if by_class else "hidden"
    cases = [text_case(), seen_images(vit(), 4)[1:]]
    for samples, masked in cases:
        reader = reader_of(masked, samples, network)
        again = made_again(reader, masked.masker)
        encoded = reader.encode(samples, masked)
        for name, tensor in again.encode(samples, masked).items():
            torch.testing.assert_close(tensor, encoded[name], rtol=0, atol=0)
        encoded.pop("outputs")
        body, other = reader.body(3, 3), again.body(3, 3)
        other.load_state_dict(body.state_dict())
        torch.testing.assert_close(other(**encoded), body(**encoded))
        if by_class:
            weights = masked.predictor.module.classifier.weight
            torch.testing.assert_close(body.last["players"].weights, weights.detach())
        assert reader.gives_outputs
        assert masked.outputs(again.fingerprint_samples()).shape == (16, 3)


def hooks_of(part):
    return [*part._forward_hooks], [*part._forward_pre_hooks]


@pytest.mark.parametrize("fails", [False, True])
def test_the_model_is_left_as_it_was(fails):
    model = bert(hidden_dropout_prob=0.5).train()
    samples, masked = text_case(model=model)
    model.bert.encoder.eval()
    model.classifier.weight.grad = torch.ones_like(model.classifier.weight)
    modes = [part.training for part in model.modules()]
    hooks = [hooks_of(part) for part in model.modules()]
    layers = ["bert.encoder.layer.0", "nothing"] if fails else None
    for given in (None, ["bert.encoder"], layers):
        if fails and given is layers:
            with pytest.raises(ValueError, match="no layer 'nothing'"):
                masked.hidden(samples, given)
        else:
            masked.hidden(samples, given)
    assert [hooks_of(part) for part in model.modules()] == hooks
    assert [part.training for part in model.modules()] == modes
    assert (model.classifier.weight.grad == 1).all()
    assert all(parameter.requires_grad for parameter in model.parameters())
    pickle.dumps(model)  # it holds nothing of ours


def test_a_model_whose_body_has_no_name_is_asked_for_its_states():
    model = bert()
    samples, masked = text_case(model=model)
    expected = masked.hidden(samples, None)
    model.base_model_prefix = "body"
    found = masked.hidden(samples, None)
    torch.testing.assert_close(found[0], expected[0])
    torch.testing.assert_close(found[1][0], expected[1][0])
    model.config.is_encoder_decoder = True
    with pytest.raises(ValueError, match="name the layers"):
        masked.hidden(samples, None)


def test_threads_see_their_own_states():
    samples, masked = text_case()
    rows = [samples.take(np.array([i])) for i in range(5)] * 8
    alone = [masked.hidden(row, None) for row in rows]
    stop = threading.Event()

    def disturb():
        while not stop.is_set():
            masked.predictor.module(torch.full((2, 7), 6))

    other = threading.Thread(target=disturb)
    other.start()
    try:
        with ThreadPoolExecutor(4) as pool:
            together = list(pool.map(lambda row: masked.hidden(row, None), rows))
    finally:
        stop.set()
        other.join()
    for one, two in zip(alone, together, strict=True):
        torch.testing.assert_close(one[0], two[0])
        torch.testing.assert_close(one[1][0], two[1][0])


def test_queries_are_counted():
    samples, masked = text_case()
    told = []
    masked.on_queries = told.append
    masked.n_queries = 0
    masked.hidden(samples, None)
    assert masked.n_queries == 5 and told == [5]


def test_outputs_that_are_nan_are_refused():
    model = conv()
    _, samples, masked = seen_images(model, 4)
    with torch.no_grad():
        model.layers["head"][2].bias.fill_(torch.nan)
    with pytest.raises(ValueError, match="NaN or infinity"):
        masked.hidden(samples, ["layers.stem"])


def test_class_weights_are_those_of_the_last_layer_of_that_width():
    _, _, masked = seen_images(conv(), 4)
    torch.testing.assert_close(
        class_weights(masked.predictor), masked.predictor.module.layers["head"][2].weight.detach()
    )
    one_logit = vit(num_labels=1)
    _, samples, masked = seen_images(one_logit, 4)
    assert masked.predictor.n_outputs == 2
    assert class_weights(masked.predictor) is None
    with pytest.raises(ValueError, match="last layer was not found"):
        reader_of(masked, samples, "hidden_classes")


# -- errors ----------------------------------------------------------------------------------
def test_networks_that_there_are_not():
    _, samples, masked = image_case()
    for network in ("transformer", "resnet", 7):
        with pytest.raises(ValueError, match=r"network must be .*unet"):
            reader_of(masked, samples, network)
    texts, masked_texts = text_case()
    with pytest.raises(ValueError, match=r"network must be .*transformer"):
        reader_of(masked_texts, texts, "unet")
    with pytest.raises(ValueError, match="names no layer"):
        reader_of(masked_texts, texts, [])
    for network in ("hidden", "hidden_classes", ["layer1"]):
        with pytest.raises(ValueError, match=r"torch module.*another network="):
            reader_of(masked, samples, network)


def test_layers_that_cannot_be_read():
    model = conv()
    _, samples, masked = seen_images(model, 4)
    with pytest.raises(ValueError, match=r"no layer 'stem'.*layers.stem"):
        reader_of(masked, samples, ["stem"])
    # without a name, the last layers at each size of the grid
    assert reader_of(masked, samples, "hidden").layers == ["layers.stem", "layers.middle"]
    with pytest.raises(ValueError, match=r"shape \(2, 4\); wanted states"):
        reader_of(masked, samples, ["layers.head"])
    # a container that is never called itself
    with pytest.raises(ValueError, match="'layers' was not called"):
        reader_of(masked, samples, ["layers.stem", "layers"])
    texts, masked_texts = text_case()
    with pytest.raises(ValueError, match="wanted states"):
        reader_of(masked_texts, texts, ["classifier"])


def test_saved_readers_that_are_not_known():
    with pytest.raises(ValueError, match="does not know readers of 'sound'"):
        reader_from_state({"kind": "sound"}, {}, None, None)


def test_states_need_a_torch_module():
    _, samples, masked = image_case()
    whole = masked.masker.whole(samples, masked.predictor)
    with pytest.raises(ValueError, match="torch module"):
        hidden_states(masked.predictor, whole, None)


@pytest.mark.parametrize("channels", ["first", "last", "none"])
def test_copies_of_images_are_moved_and_partly_another_image(channels):
    n, extra, shape = (
        12,
        60,
        {"first": (3, 16, 20), "last": (16, 20, 3), "none": (16, 20)}[channels],
    )
    X = np.broadcast_to(np.arange(n, dtype=np.uint8).reshape(-1, *[1] * len(shape)), (n, *shape))
    X = X.copy()
    masker = ImageMasker(patch_size=4, channels=channels).fit(X)
    samples = masker.wrap(X)
    reader = ImageReader.fit(masker, samples, "unet", 8, 1)
    made = reader.mix(samples, extra, np.random.default_rng(0))
    again = reader.mix(samples, extra, np.random.default_rng(0))
    assert made.native.dtype == np.uint8 and made.native.shape == (n + extra, *shape)
    np.testing.assert_array_equal(made.native, again.native)
    values = [np.unique(image) for image in made.native]
    # every image has one number of its own: copies have that of one image, or of two
    assert {len(own) for own in values} == {1, 2}
    mixed = [image for image, own in zip(made.native, values, strict=True) if len(own) == 2]
    assert 0.5 * extra / 3 < len(mixed) <= extra / 3
    for image in mixed:
        share = np.mean(image == image.max())
        assert 0.08 < min(share, 1 - share) < 0.6
    # each image as it was is among them
    assert all(any(np.array_equal(own, image) for image in made.native) for own in X)


def test_copies_are_moved_and_mirrored():
    X = np.arange(4 * 16 * 16, dtype=np.float32).reshape(4, 16, 16)
    masker = ImageMasker(patch_size=4, channels="none").fit(X)
    samples = masker.wrap(X)
    reader = ImageReader.fit(masker, samples, "unet", 8, 1)
    made = reader.mix(samples, 32, np.random.default_rng(1))
    new = [image for image in made.native if not any(np.array_equal(image, own) for own in X)]
    assert len(new) > 20
    rising = [bool((np.diff(image[8]) >= 0).all()) for image in new]
    assert 0.2 < np.mean(rising) < 0.8
