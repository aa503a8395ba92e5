"""Networks on players: pooling against loops, and what an output may not depend on."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fastexplain.networks import (
    ConceptPolicy,
    HiddenTrunk,
    ImageTrunk,
    MaskPolicy,
    PlayerNetwork,
    ShapleyNetwork,
    TextTrunk,
)
from fastexplain.networks._players import player_shares, shaped


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


# -- shares ----------------------------------------------------------------------------------
@given(st.integers(0, 10_000), st.integers(1, 4), st.integers(1, 5), st.integers(1, 4))
@settings(max_examples=30, deadline=None)
def test_shares_against_a_loop(seed, n_cells, n_parts, n_players):
    labels = torch.randint(-1, n_players, (2, n_cells, n_parts), generator=generator(seed))
    found = player_shares(labels, n_players)
    assert found.shape == (2, n_players, n_cells)
    for b in range(2):
        for player in range(n_players):
            total = int((labels[b] == player).sum())
            for cell in range(n_cells):
                count = int((labels[b, cell] == player).sum())
                expected = count / total if total else 0.0
                assert float(found[b, player, cell]) == pytest.approx(expected)


# -- images ----------------------------------------------------------------------------------
def patches(size, step):
    rows, columns = (-(-side // step) for side in size)
    row, column = (torch.arange(side) // step for side in size)
    return row[:, None] * columns + column, rows * columns


def image_network(kind, size, stride, labels, n_players, width=16, channels=2, seed=0):
    center, spread = torch.arange(1.0, 1.0 + channels), torch.full((channels,), 2.0)
    trunk = ImageTrunk(kind, channels, size, stride, width, 1, center, spread, labels, n_players)
    network = PlayerNetwork(trunk, width, 3, 3)
    network.reset(generator(seed))
    return network.eval()


@pytest.mark.parametrize("kind", ["unet", "vit"])
@pytest.mark.parametrize("size", [(8, 8), (9, 7), (5, 16), (1, 3), (17, 33)])
@pytest.mark.parametrize("stride", [1, 2, 4, 8])
def test_sizes_that_the_stride_does_not_divide(kind, size, stride):
    labels, n_players = patches(size, 3)
    network = image_network(kind, size, stride, labels, n_players)
    x = torch.randn((2, 2, *size), generator=generator())
    null = torch.zeros((2, n_players), dtype=torch.bool)
    with torch.no_grad():
        out = network(x, null)
        alone = network(x[1:], null[1:])
    assert out.shape == (2, 3, n_players + 1)
    assert torch.isfinite(out).all()
    torch.testing.assert_close(alone, out[1:], atol=1e-6, rtol=1e-5)
    assert network.latent(x, null).shape == (2, 16)


@pytest.mark.parametrize("width", [1, 4, 5, 18, 50, 100])
@pytest.mark.parametrize("kind", ["unet", "vit"])
def test_any_width(kind, width):
    labels, n_players = patches((32, 32), 8)
    network = image_network(kind, (32, 32), 8, labels, n_players, width=width)
    out = network(torch.zeros(1, 2, 32, 32), torch.zeros((1, n_players), dtype=torch.bool))
    assert out.shape == (1, 3, n_players + 1) and torch.isfinite(out).all()


@pytest.mark.parametrize("kind", ["unet", "vit"])
def test_labels_of_each_image_equal_shared_ones(kind):
    g = generator()
    labels = torch.randint(-1, 5, (10, 11), generator=g)
    shared = image_network(kind, (10, 11), 4, labels, 5)
    own = image_network(kind, (10, 11), 4, None, 5)
    own.load_state_dict(shared.state_dict())
    x = torch.randn((3, 2, 10, 11), generator=g)
    null = torch.rand((3, 5), generator=g) < 0.3
    with torch.no_grad():
        expected = shared(x, null)
        found = own(torch.cat([x, labels.expand(3, 1, -1, -1).float()], dim=1), null)
        torch.testing.assert_close(found, expected)
        # and each image has its own: another image's labels change nothing
        other = torch.randint(-1, 5, (3, 1, 10, 11), generator=g)
        other[0, 0] = labels
        mixed = own(torch.cat([x, other.float()], dim=1), null)
    torch.testing.assert_close(mixed[0], expected[0])
    assert not torch.allclose(mixed[1], expected[1])


def test_players_are_means_of_their_cells():
    # cells of one pixel and a body that does nothing: features are the stem's, averaged
    labels = torch.tensor([[0, 0, 1], [2, 1, 1], [-1, 2, 2]])
    trunk = image_network("vit", (3, 3), 1, labels, 4).trunk
    trunk.body = torch.nn.Identity()
    x, null = torch.randn((1, 2, 3, 3), generator=generator()), torch.zeros(1, 4, dtype=torch.bool)
    players, whole = trunk(x, null)
    cells = trunk.stem((x - trunk.center) / trunk.spread)[0]
    for player in range(4):
        inside = cells[:, labels == player]
        mean = inside.mean(dim=1) if inside.shape[1] else torch.zeros(16)
        torch.testing.assert_close(players[0, player], mean + trunk.flag.weight[0])
    torch.testing.assert_close(whole[0], cells.flatten(1).mean(dim=1))


def test_bytes_are_read_as_numbers():
    labels, n_players = patches((8, 8), 4)
    network = image_network("unet", (8, 8), 2, labels, n_players)
    x = torch.randint(0, 256, (2, 2, 8, 8), generator=generator(), dtype=torch.uint8)
    null = torch.zeros((2, n_players), dtype=torch.bool)
    torch.testing.assert_close(network(x, null), network(x.float(), null))


def test_null_flags_are_seen():
    labels, n_players = patches((8, 8), 4)
    network = image_network("unet", (8, 8), 2, labels, n_players)
    x, null = torch.zeros((1, 2, 8, 8)), torch.zeros((1, n_players), dtype=torch.bool)
    other = null.clone()
    other[0, 2] = True
    moved = (network(x, null) - network(x, other)).abs().amax(dim=1)[0]
    assert moved[2] > 0 and moved[[0, 1, 3]].max() == 0


# -- texts -----------------------------------------------------------------------------------
def tokens(lengths, width, n_tokens=20, seed=0):
    """Ids and players (B, width, 2): a special token, players of one or two tokens, padding."""
    g = generator(seed)
    x = torch.stack([torch.zeros((len(lengths), width)), torch.full((len(lengths), width), -2.0)])
    x = x.permute(1, 2, 0).long()
    for b, length in enumerate(lengths):
        x[b, :length, 0] = torch.randint(1, n_tokens, (length,), generator=g)
        x[b, :length, 1] = torch.arange(length) // 2 - 1 + (torch.arange(length) % 2)
        x[b, :1, 1] = -1
    return x


def text_network(embeddings=None, width=16, blocks=2):
    network = PlayerNetwork(TextTrunk(20, width, blocks, embeddings), width, 2, 2)
    network.reset(generator())
    with torch.no_grad():  # so that outputs differ
        for name, parameter in network.named_parameters():
            if "flag" in name or "own" in name:
                parameter.mul_(50)
    return network.eval()


@pytest.mark.parametrize("known", [False, True])
def test_a_text_does_not_see_padding(known):
    embeddings = torch.randn((20, 6), generator=generator()) if known else None
    network = text_network(embeddings)
    lengths = [7, 1, 4, 0]
    narrow, wide = tokens(lengths, 7), tokens(lengths, 7 + 9)
    wide[:, :, 0] = torch.where(wide[:, :, 1] == -2, 13, wide[:, :, 0])
    n_players = int(narrow[:, :, 1].max()) + 1
    with torch.no_grad():
        out = network(narrow, torch.zeros((4, n_players), dtype=torch.bool))
        padded = network(wide, torch.zeros((4, n_players + 3), dtype=torch.bool))
        for b, length in enumerate(lengths):
            one = narrow[b : b + 1, : max(length, 1)]
            alone = network(one, torch.zeros((1, n_players), dtype=torch.bool))
            torch.testing.assert_close(alone[0], out[b], atol=1e-5, rtol=0)
    assert torch.isfinite(padded).all()
    torch.testing.assert_close(padded[:, :, :n_players], out[:, :, :-1], atol=1e-5, rtol=0)
    torch.testing.assert_close(padded[:, :, -1], out[:, :, -1], atol=1e-5, rtol=0)


def test_texts_read_ids_order_and_players():
    network, x = text_network(), tokens([6], 6)
    null = torch.zeros((1, 3), dtype=torch.bool)
    out = network(x, null)
    swapped = x.clone()
    swapped[0, [1, 4], 0] = x[0, [4, 1], 0]
    other = x.clone()
    other[0, 2, 0] = 19 - other[0, 2, 0]
    moved = x.clone()
    moved[0, 1, 1] = 2
    for changed in (swapped, other, moved):
        assert (network(changed, null) - out).abs().max() > 1e-3


def test_players_of_texts_are_means_of_their_tokens():
    trunk = TextTrunk(20, 8, 0)
    x = tokens([6], 9)
    players, whole = trunk(x, torch.zeros((1, 4), dtype=torch.bool))
    one_player = x.clone()
    one_player[0, :, 1] = torch.where(x[0, :, 1] == 1, 1, -1)
    h = trunk.norm(trunk.own(x[0, :, 0]))
    place = h * 0
    for j in range(9):
        for k in range(4):
            angle = j / 10_000 ** (k / 4)
            place[j, k], place[j, 4 + k] = np.sin(angle), np.cos(angle)
    h = h + place
    inside = x[0, :, 1] == 1
    torch.testing.assert_close(players[0, 1], h[inside].mean(dim=0) + trunk.flag.weight[0])
    torch.testing.assert_close(whole[0], h[:6].mean(dim=0))
    torch.testing.assert_close(players[0, 3], trunk.flag.weight[0])


# -- hidden states ---------------------------------------------------------------------------
def hidden_network(size=6, blocks=2, classes=None):
    network = PlayerNetwork(HiddenTrunk(size, 16, blocks), 16, 3, 0, classes=classes)
    network.reset(generator())
    return network.eval()


def states(n=2, n_players=4, size=6, seed=0):
    x = torch.randn((n, 1 + n_players, size + 1), generator=generator(seed))
    x[:, :, -1] = 1.0
    return x


@pytest.mark.parametrize("blocks", [0, 2])
def test_players_that_are_not_there_are_not_seen(blocks):
    network, x = hidden_network(blocks=blocks), states()
    x[:, 3:, -1] = 0.0
    other = x.clone()
    other[:, 3:, :-1] = 100.0
    null = torch.zeros((2, 4), dtype=torch.bool)
    with torch.no_grad():
        out = network(x, null)
        torch.testing.assert_close(network(other, null)[:, :, :2], out[:, :, :2])
        narrow = network(x[:, :3], null[:, :2])
    torch.testing.assert_close(narrow, out[:, :, :2], atol=1e-5, rtol=0)
    assert torch.isfinite(out).all()


def test_a_sample_without_any_player():
    x = states()
    x[:, 1:, -1] = 0.0
    out = hidden_network()(x, torch.ones((2, 4), dtype=torch.bool))
    assert torch.isfinite(out).all()


def test_without_blocks_a_player_is_read_by_itself():
    network, x = hidden_network(blocks=0), states()
    other = x.clone()
    other[:, 2] = 5.0
    null = torch.zeros((2, 4), dtype=torch.bool)
    moved = (network(x, null) - network(other, null)).abs().amax(dim=(0, 1))
    assert moved[1] > 0 and moved[[0, 2, 3]].max() == 0


def test_cosines_with_classes_eq_20():
    classes = torch.randn((3, 5), generator=generator(3))
    network, x = hidden_network(classes=classes), states()
    null = torch.zeros((2, 4), dtype=torch.bool)
    head = network.last["players"]
    with torch.no_grad():
        head.scale.fill_(2.0)
        head.level.fill_(0.5)
        found = network(x, null)
        features = network.trunk(x, null)[0]
        for b in range(2):
            for i in range(4):
                player = head.of_player(features[b, i])
                for k in range(3):
                    of_class = head.of_class(classes[k])
                    cosine = player @ of_class / (player.norm() * of_class.norm())
                    torch.testing.assert_close(found[b, k, i], 2.0 * cosine + 0.5)


def test_classes_begin_with_their_activations():
    """Against a loop; the last six of ten numbers of a state are what the classes' layer reads."""
    classes, x = torch.randn((3, 6), generator=generator(3)), states(size=10)
    network = PlayerNetwork(HiddenTrunk(10, 16, 0), 16, 3, 0, 1, classes, activations=True)
    network.reset(generator())
    x[1, 4, -1] = 0.0  # a player that is not there
    null = x[:, 1:, -1] == 0
    head = network.last["players"]
    assert float(head.share) == 2.0
    with torch.no_grad():
        found = network(x, null)
        head.share.zero_()
        cosines = network(x, null)
    for b in range(2):
        own = x[b, 1:, 4:10][~null[b]]
        moved = own - own.mean(dim=0)
        usual = moved.norm(dim=1).square().mean().sqrt()
        for k in range(3):
            weight = classes[k] - classes.mean(dim=0)
            expected = 2.0 * moved @ (weight / weight.norm()) / usual
            torch.testing.assert_close((found - cosines)[b, k, ~null[b]], expected)
    # what is added to all classes changes no activation
    head.weights += torch.randn((1, 6), generator=generator(5))
    moved = head._activation(x[:, 1:]).transpose(1, 2)
    torch.testing.assert_close(2.0 * moved[0], (found - cosines)[0])


def test_activations_of_samples_without_players_are_none():
    classes, x = torch.randn((3, 6), generator=generator(3)), states()
    network = PlayerNetwork(HiddenTrunk(6, 16, 0), 16, 3, 0, 1, classes, activations=True)
    x[:, 1:, -1] = 0.0
    found = network.last["players"]._activation(x[:, 1:])
    assert (found == 0).all()


# -- all of them -----------------------------------------------------------------------------
def all_networks():
    labels, n_players = patches((8, 8), 4)
    yield image_network("unet", (8, 8), 2, labels, n_players)
    yield image_network("vit", (8, 8), 2, labels, n_players)
    yield text_network()
    yield text_network(torch.randn((20, 6), generator=generator()))
    yield hidden_network()
    yield hidden_network(classes=torch.eye(3))


@pytest.mark.parametrize("which", range(6))
def test_reset_draws_from_the_given_generator_alone(which):
    network = list(all_networks())[which]
    before = torch.get_rng_state()
    network.reset(generator(1))
    first = {k: v.clone() for k, v in network.state_dict().items()}
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(1)
    for parameter in network.parameters():
        parameter.data.add_(1.0)
    network.reset(generator(1))
    for name, value in network.state_dict().items():
        assert torch.equal(first[name], value), name
    network.reset(generator(2))
    weights = [k for k, v in network.named_parameters() if v.ndim > 1]
    assert all(not torch.equal(first[k], network.state_dict()[k]) for k in weights)


def test_outputs_begin_near_zero():
    network = list(all_networks())[0]
    x, null = torch.randn((4, 2, 8, 8), generator=generator()), torch.zeros(4, 4, dtype=torch.bool)
    assert network(x, null).abs().max() < 1.0


@pytest.mark.parametrize("n_head_layers", [1, 3])
def test_heads(n_head_layers):
    null = torch.zeros((2, 4), dtype=torch.bool)
    for per_player, whole, shape in ((3, 0, (2, 3, 4)), (3, 3, (2, 3, 5)), (0, 5, (2, 5))):
        network = PlayerNetwork(HiddenTrunk(6, 16, 1), 16, per_player, whole, n_head_layers)
        assert network(states(), null).shape == shape
        count = sum(isinstance(part, torch.nn.Linear) for part in network.last.modules())
        assert count == n_head_layers * (1 if not (per_player and whole) else 2)


def test_shaped():
    assert shaped(torch.zeros(2, 12), (3, 4)).shape == (2, 3, 4)
    assert shaped(torch.zeros(2, 3, 7), (3, 4)).shape == (2, 3, 7)


def test_policies_on_more_players_than_at_fit():
    x, null = states(n_players=6), torch.zeros((2, 6), dtype=torch.bool)
    null[:, 5] = True
    body = PlayerNetwork(HiddenTrunk(6, 16, 1), 16, 3, 0)
    logits = ConceptPolicy(body, 3, 4)(x, null)
    assert logits.shape == (2, 3, 6)
    assert (torch.sigmoid(logits[:, :, 5].double()) < 1e-12).all()
    assert (ShapleyNetwork(body, 3, 4)(x, null)[:, :, 5] == 0).all()
    both = PlayerNetwork(HiddenTrunk(6, 16, 1), 16, 3, 3)
    deviation, level = MaskPolicy(both, 3, 4, "sinh").deviations(x, null)
    assert deviation.shape == (2, 3, 6) and level.shape == (2, 3)
    assert (deviation[:, :, 5] == 0).all()


def test_concept_logits_are_bounded_and_learn_inside():
    body = PlayerNetwork(HiddenTrunk(6, 16, 0), 16, 1, 0)
    with torch.no_grad():
        body.last["players"][-1].weight.mul_(1e4)
    logits = ConceptPolicy(body, 1, 4)(states(), torch.zeros((2, 4), dtype=torch.bool))
    assert logits.abs().max() == 12.0
    chance = torch.sigmoid(logits)
    assert (chance > 0).all() and (chance < 1).all()
