"""The ranking head: its loss and its permutations, against loops."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fastexplain.metrics import rank_accuracy
from fastexplain.networks._ranking import RankingNetwork, decode_ranking
from fastexplain.objectives import player_order, ranking_loss


def problem(seed, n, n_out, n_players):
    rng = np.random.default_rng(seed)
    labels = np.round(rng.normal(size=(n, n_out, n_players)), 1)  # with ties
    scores = rng.normal(size=(n, n_out, n_players, n_players))
    return torch.from_numpy(scores), torch.from_numpy(labels)


def test_loss_is_a_classification_of_each_place():
    scores, labels = problem(0, 3, 2, 4)
    total = 0.0
    for b in range(3):
        for k in range(2):
            row = labels[b, k].tolist()
            order = sorted(range(4), key=lambda j: (row[j], j), reverse=True)
            assert player_order(labels[b, k]).tolist() == order
            for place, player in enumerate(order):
                chances = torch.softmax(scores[b, k, place], dim=0)
                total -= float(chances[player].log())
    loss, parts = ranking_loss(scores, labels)
    assert float(loss) == pytest.approx(total / (3 * 2 * 4))
    assert float(parts["ranking"]) == pytest.approx(float(loss))


def slow_ranks(scores, null):
    n = len(scores)
    left, ranks = set(range(n)), {}
    for place in range(n):
        best = max(left, key=lambda j: scores[place][j])
        left.remove(best)
        ranks[best] = n - place
    nulls = [j for j in range(n) if null[j]]
    ranks.update(zip(nulls, sorted(ranks[j] for j in nulls), strict=True))
    return [ranks[j] for j in range(n)]


@given(st.integers(0, 10**6), st.integers(1, 7), st.integers(1, 3))
def test_ranks_are_permutations(seed, n_players, n_out):
    scores, _ = problem(seed, 4, n_out, n_players)
    null = torch.from_numpy(np.random.default_rng(seed + 1).random((4, n_players)) < 0.4)
    ranks = decode_ranking(scores, null)
    for b in range(4):
        for k in range(n_out):
            assert sorted(ranks[b, k].tolist()) == list(range(1, n_players + 1))
            want = slow_ranks(scores[b, k].tolist(), null[b].tolist())
            assert ranks[b, k].tolist() == want


def test_scores_of_the_truth_give_the_truth():
    _, labels = problem(3, 50, 2, 6)
    null = torch.rand((50, 6), generator=torch.Generator().manual_seed(0)) < 0.3
    labels = labels.masked_fill(null[:, None], 0.0)
    scores = torch.nn.functional.one_hot(player_order(labels), 6).double()
    ranks = decode_ranking(scores, null)
    found = rank_accuracy(ranks.flatten(0, 1).numpy(), labels.flatten(0, 1).numpy())
    np.testing.assert_allclose(found, 1.0)


class Body(torch.nn.Module):
    def __init__(self, size):
        super().__init__()
        self.linear = torch.nn.Linear(3, size)

    def forward(self, x, null):
        return self.linear(x)


@pytest.mark.parametrize("n_players", [1, 5, 40])
def test_network_gives_any_matrix_where_players_are_few(n_players):
    body = Body(2 * n_players * RankingNetwork.rank(n_players))
    network = RankingNetwork(body, 2, n_players)
    scores = network(torch.randn(7, 3), torch.zeros(7, n_players, dtype=torch.bool))
    assert scores.shape == (7, 2, n_players, n_players)
    rank = torch.linalg.matrix_rank(scores[0, 0].detach(), rtol=1e-4).item()
    assert rank == min(n_players, 16)
