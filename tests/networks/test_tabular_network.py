import numpy as np
import pandas as pd
import pytest
import torch

from fastexplain.networks import MaskPolicy, TabularEncoder, TabularNetwork
from fastexplain.networks._encoder import ColumnEncoder
from fastexplain.networks._tabular import NumericEmbedding
from fastexplain.tables import as_table


def encoder():
    frame = pd.DataFrame({"a": [1.0, 2.0, np.nan, 5.0], "b": list("xyxz"), "c": [3, 3, 4, 9]})
    return frame, TabularEncoder.fit(as_table(frame), 8)


def test_numeric_embedding_against_a_loop():
    edges = np.array([-1.0, 0.0, 0.5, 2.0])
    embed = NumericEmbedding([edges])
    for x in (-3.0, -1.0, -0.4, 0.1, 0.5, 1.9, 7.0):
        linear = [min(max((x - a) / (b - a), 0), 1) for a, b in zip(edges, edges[1:], strict=False)]
        above = [float(x > (a + b) / 2) for a, b in zip(edges, edges[1:], strict=False)]
        expected = [*linear, *above, np.sign(x) * np.log1p(abs(x)), 0.0]
        found = embed(torch.tensor([[x]]))[0]
        np.testing.assert_allclose(found.numpy(), expected, atol=1e-6)
    missing = embed(torch.tensor([[float("nan")]]))[0]
    assert missing[-1] == 1.0 and torch.isfinite(missing).all()


def test_mostly_constant_columns_keep_edges_elsewhere():
    cells = np.concatenate([np.zeros(1000), np.arange(1.0, 41.0)])
    column = TabularEncoder.fit(as_table(cells[:, None]), 33).columns[0]
    assert len(column.edges) > 12


def test_encoding_round_trip_and_unknowns():
    frame, fitted = encoder()
    codes = fitted.transform(as_table(frame))
    np.testing.assert_allclose(
        codes[[0, 1, 3], 0] * fitted.columns[0].scale + fitted.columns[0].center,
        [1, 2, 5],
        rtol=1e-6,
    )
    assert np.isnan(codes[2, 0])
    assert codes[0, 1] == codes[2, 1] != codes[1, 1]
    unseen = fitted.transform(as_table(pd.DataFrame({"a": [1.0], "b": ["?"], "c": [3]})))
    assert unseen[0, 1] == 1
    none = fitted.transform(as_table(pd.DataFrame({"a": [1.0], "b": [None], "c": [3]})))
    assert none[0, 1] == 0


def test_reset_draws_from_the_given_generator_alone():
    _, fitted = encoder()
    net = TabularNetwork(fitted, 3, 4, 16, 2)
    before = torch.get_rng_state()
    net.reset(torch.Generator().manual_seed(1))
    first = {k: v.clone() for k, v in net.state_dict().items()}
    torch.rand(1)
    net.reset(torch.Generator().manual_seed(1))
    assert all(torch.equal(first[k], v) for k, v in net.state_dict().items())
    torch.set_rng_state(before)


@pytest.mark.parametrize("link", ["linear", "sinh"])
def test_policy_ties_null_players(link):
    frame, fitted = encoder()
    policy = MaskPolicy(TabularNetwork(fitted, 3, 2 * 4, 16, 1), 2, 3, link)
    x = torch.from_numpy(fitted.transform(as_table(frame)))
    null = torch.tensor([[1, 0, 1], [0, 0, 0], [1, 1, 1], [0, 1, 1]], dtype=torch.bool)
    logits = policy(x, null)
    assert logits.shape == (4, 2, 3)
    _, level = policy.deviations(x, null)
    for b in range(4):
        for i in range(3):
            if null[b, i]:
                assert torch.equal(logits[b, :, i], level[b])
    assert torch.isfinite(logits).all()


def test_policy_refuses_other_links():
    with pytest.raises(ValueError, match="link"):
        MaskPolicy(torch.nn.Identity(), 1, 1, "cubic")


def test_only_categories_or_only_one_number():
    for frame in (pd.DataFrame({"a": list("xyz")}), pd.DataFrame({"a": [1.0, 2.0, 3.0]})):
        fitted = TabularEncoder.fit(as_table(frame), 8)
        net = TabularNetwork(fitted, 1, 2, 8, 1)
        out = net(torch.from_numpy(fitted.transform(as_table(frame))), torch.zeros(3, 1).bool())
        assert out.shape == (3, 2)


def test_constant_column_is_encoded():
    column = TabularEncoder.fit(as_table(np.ones((5, 1))), 8).columns[0]
    assert isinstance(column, ColumnEncoder) and len(column.edges) == 1
