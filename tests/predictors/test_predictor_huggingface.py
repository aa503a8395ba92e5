"""Token ids and texts: models of Hugging Face against calls one sample at a time."""

import pickle
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC
from torch import nn

from fastexplain import TextMasker
from fastexplain.explainers._targets import resolve_target
from fastexplain.predictors import make_predictor, parts_of
from fastexplain.predictors._huggingface import attended_lengths, length_batches

transformers = pytest.importorskip("transformers")

DEVICES = ["cpu"] + (["cuda"] if torch.cuda.is_available() else [])
WORDS = "the film was good bad dull fine and not so very a".split()
TEXTS = np.array(
    ["good film", "the film was bad", "so very dull and not good", "fine", "a bad film"] * 4,
    dtype=object,
)
POSITIVE = np.array([1, 0, 0, 1, 0] * 4)


@dataclass
class Batch:
    """The least that a batch of token ids has to be."""

    ids: torch.Tensor
    attention: torch.Tensor
    types: torch.Tensor | None = None
    start: torch.Tensor | None = None

    @property
    def shape(self):
        return self.ids.shape

    def __len__(self):
        return len(self.ids)

    def __getitem__(self, rows):
        types = None if self.types is None else self.types[rows]
        start = None if self.start is None else self.start[rows]
        return Batch(self.ids[rows], self.attention[rows], types, start)


def ragged(lengths, width=40, types=False, seed=0):
    """Batch of samples of these lengths, the padding filled with what must not be seen."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(1, 30, (len(lengths), width), generator=generator)
    attention = (torch.arange(width) < torch.tensor(lengths)[:, None]).long()
    return Batch(ids, attention, (ids % 2) * attention if types else None)


def bert(**config):
    torch.manual_seed(0)
    settings = transformers.BertConfig(
        vocab_size=30,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=64,
        initializer_range=1.0,  # so that answers differ
        **config,
    )
    return transformers.BertForSequenceClassification(settings).eval()


def one_at_a_time(model, batch):
    """Logits of every sample alone, without its padding."""
    rows = []
    for b in range(len(batch)):
        length = int(batch.attention[b].nonzero().max()) + 1
        part = batch[b : b + 1]
        types = {} if part.types is None else {"token_type_ids": part.types[:, :length]}
        with torch.no_grad():
            rows.append(
                model(
                    part.ids[:, :length], attention_mask=part.attention[:, :length], **types
                ).logits
            )
    return torch.cat(rows).float()


LENGTHS = np.random.default_rng(0).integers(1, 41, size=24).tolist()


@pytest.mark.filterwarnings("error::UserWarning")
@pytest.mark.parametrize("types", [False, True])
def test_ragged_batches_equal_samples_alone(types):
    model, batch = bert(num_labels=3), ragged(LENGTHS, types=types)
    predictor = make_predictor(model, batch)
    expected = one_at_a_time(model, batch).softmax(1)
    assert (predictor.takes, predictor.kind, predictor.torch_module) == (
        "tokens",
        "classification",
        True,
    )
    assert predictor.dtype == torch.float32
    torch.testing.assert_close(predictor(batch), expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(pickle.loads(pickle.dumps(predictor))(batch), predictor(batch))
    assert predictor(batch[:0]).shape == (0, 3)
    torch.testing.assert_close(predictor(batch[:1]), expected[:1], rtol=1e-4, atol=1e-5)


def test_batches_are_the_calls_of_the_module():
    model, batch = bert(num_labels=2), ragged([40] * 300 + [3] * 300)
    predictor = make_predictor(model, batch)
    seen = []
    model.register_forward_pre_hook(
        lambda module, args, kwargs: seen.append(tuple(kwargs["input_ids"].shape)),
        with_kwargs=True,
    )
    outputs = predictor(batch)
    batches = predictor.batches(batch)
    assert predictor.module is model
    assert seen == [(len(rows), 40 if rows[0] < 300 else 3) for rows in batches]
    assert len(seen) > 1
    for rows in batches:
        seen.clear()
        torch.testing.assert_close(predictor(batch[rows]), outputs[rows])
        assert len(seen) == 1
        np.testing.assert_array_equal(predictor.batches(batch[rows])[0], np.arange(len(rows)))


def test_types_reach_the_model():
    model, batch = bert(num_labels=3), ragged([9, 5], types=True)
    predictor = make_predictor(model, batch)
    assert (predictor(batch) - predictor(Batch(batch.ids, batch.attention))).abs().max() > 1e-3


def test_holes_in_the_attention_are_kept():
    model, batch = bert(num_labels=2), ragged([30, 12, 7])
    batch.attention[0, 3:20] = 0
    batch.attention[1, 0] = 0
    expected = one_at_a_time(model, batch).softmax(1)
    outputs = make_predictor(model, batch)(batch)
    torch.testing.assert_close(outputs, expected, rtol=1e-4, atol=1e-5)


def gpt2():
    torch.manual_seed(0)
    settings = transformers.GPT2Config(
        vocab_size=31,
        n_positions=64,
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


def at_left(batch):
    """The same samples with their padding at the left."""
    lengths = batch.attention.sum(dim=1)
    width = batch.shape[1]
    places = (torch.arange(width) - (width - lengths[:, None])) % width
    types = None if batch.types is None else batch.types.gather(1, places)
    ids, attention = batch.ids.gather(1, places), batch.attention.gather(1, places)
    return Batch(ids * attention, attention, types, width - lengths)


@pytest.mark.parametrize("make", [gpt2, lambda: bert(num_labels=3)])
@pytest.mark.parametrize("types", [False, True])
def test_padding_at_the_left_moves_no_token(make, types):
    model, batch = make(), ragged(LENGTHS, types=types)
    moved = at_left(batch)
    assert moved.start.tolist() == [40 - length for length in LENGTHS]
    expected = one_at_a_time(model, batch).softmax(1)
    predictor = make_predictor(model, moved)
    outputs = predictor(moved)
    torch.testing.assert_close(outputs, expected, rtol=1e-4, atol=1e-5)
    assert np.ptp(outputs[:, 0].numpy()) > 0.05
    for rows in predictor.batches(moved):
        assert len({LENGTHS[row] for row in rows}) == 1
        torch.testing.assert_close(predictor(moved[rows]), expected[rows], rtol=1e-4, atol=1e-5)
    # removed tokens at either end keep their places
    first = int(np.argmax(LENGTHS))
    hole = moved.attention.clone()
    hole[first, moved.start[first] : moved.start[first] + 3] = 0
    hole[first, -2:] = 0
    with torch.no_grad():
        own = slice(int(moved.start[first]), None)
        given = {} if types is False else {"token_type_ids": moved.types[first : first + 1, own]}
        alone = model(
            moved.ids[first : first + 1, own],
            attention_mask=hole[first : first + 1, own],
            **given,
        ).logits.softmax(1)
    found = predictor(Batch(moved.ids, hole, moved.types, moved.start))
    torch.testing.assert_close(found[first], alone[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("device", DEVICES)
def test_the_model_is_left_as_it_was(device):
    model = bert(num_labels=2, hidden_dropout_prob=0.5).to(device).train()
    model.bert.encoder.eval()  # a frozen part inside a model in training
    model.classifier.bias.requires_grad_(False)
    model.classifier.weight.grad = torch.ones_like(model.classifier.weight)
    modes = [part.training for part in model.modules()]
    batch = ragged([4, 9, 2])
    predictor = make_predictor(model, batch)
    first = predictor(batch)
    torch.testing.assert_close(predictor(batch), first)  # no dropout
    assert first.device.type == predictor.device.type == device
    assert not first.requires_grad
    assert [part.training for part in model.modules()] == modes
    assert [p.requires_grad for p in model.classifier.parameters()] == [True, False]
    assert (model.classifier.weight.grad == 1).all()
    assert batch.ids.device.type == "cpu"


def test_half_precision():
    model, batch = bert(num_labels=2).to(torch.bfloat16), ragged([4, 9, 2])
    predictor = make_predictor(model, batch)
    assert predictor.dtype == torch.bfloat16
    outputs = predictor(batch)
    assert outputs.dtype == torch.float32
    expected = one_at_a_time(model, batch).softmax(1)
    torch.testing.assert_close(outputs, expected, rtol=0.05, atol=0.05)
    torch.testing.assert_close(outputs.sum(1), torch.ones(3))  # softmax in single precision


@pytest.mark.filterwarnings("error::UserWarning")
@pytest.mark.parametrize(
    ("config", "output", "kind", "link"),
    [
        ({"num_labels": 3}, "auto", "classification", lambda v: v.softmax(1)),
        ({"num_labels": 3}, "logits", "classification", lambda v: v.softmax(1)),
        ({"num_labels": 3}, "multilabel", "multilabel", torch.sigmoid),
        ({"num_labels": 3}, "regression", "regression", lambda v: v),
        (
            {"num_labels": 3, "problem_type": "multi_label_classification"},
            "auto",
            "multilabel",
            torch.sigmoid,
        ),
        ({"num_labels": 3, "problem_type": "regression"}, "auto", "regression", lambda v: v),
        ({"num_labels": 1}, "auto", "regression", lambda v: v),
        (
            {"num_labels": 1, "problem_type": "multi_label_classification"},
            "auto",
            "multilabel",
            torch.sigmoid,
        ),
        (
            {"num_labels": 1},
            "logits",
            "classification",
            lambda v: torch.hstack([-v, v]).sigmoid(),
        ),
    ],
)
def test_what_the_configuration_says(config, output, kind, link):
    model, batch = bert(**config), ragged([4, 9, 2, 30])
    predictor = make_predictor(model, batch, output=output)
    expected = link(one_at_a_time(model, batch))
    assert predictor.kind == kind
    torch.testing.assert_close(predictor(batch), expected, rtol=1e-4, atol=1e-5)


def test_logits_are_no_probabilities():
    with pytest.raises(ValueError, match="output='logits'"):
        make_predictor(bert(num_labels=3), ragged([4, 9]), output="probability")


def test_labels_name_the_outputs():
    model, batch = bert(id2label={0: "negative", 1: "positive"}), ragged([4, 9, 2])
    predictor = make_predictor(model, batch)
    assert predictor.output_names == ["negative", "positive"]
    np.testing.assert_array_equal(predictor.classes, [0, 1])
    for target in (1, "positive"):
        found = resolve_target(target, 3, predictor.classes, predictor.output_names)
        np.testing.assert_array_equal(found, [1, 1, 1])
    named = bert(id2label={0: "a", 1: "b", 2: "c"}, problem_type="multi_label_classification")
    assert make_predictor(named, batch).output_names == ["a", "b", "c"]
    # keys that were read from a file are text, and ten comes after two
    model.config = SimpleNamespace(id2label={str(k): f"n{k}" for k in range(11)})
    model.forward = lambda input_ids, attention_mask: SimpleNamespace(
        logits=attention_mask[:, :1].float() @ torch.ones(1, 11)
    )
    assert make_predictor(model, batch).output_names == [f"n{k}" for k in range(11)]


def test_labels_of_another_head_name_nothing():
    model, batch = bert(num_labels=3), ragged([4, 9, 2])
    model.config = SimpleNamespace(id2label={0: "a", 1: "b"}, problem_type=None, use_cache=False)
    model.forward = lambda input_ids, attention_mask: SimpleNamespace(
        logits=attention_mask[:, :3].float()
    )
    assert make_predictor(model, batch).output_names == ["0", "1", "2"]


class Bag(nn.Module):
    """Sums of token embeddings, padding and all."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(1)
        self.embedding = nn.Embedding(30, 3)
        self.seen = []

    def forward(self, words):
        self.seen.append(tuple(words.shape))
        return self.embedding(words).sum(1)


def test_a_module_that_takes_ids_alone_sees_no_padding():
    module, batch = Bag().eval(), ragged([4, 9, 4, 1])
    outputs = make_predictor(module, batch, output="logits")(batch)
    expected = [
        module(batch.ids[b : b + 1, :length]).softmax(1) for b, length in enumerate([4, 9, 4, 1])
    ]
    torch.testing.assert_close(outputs, torch.cat(expected).detach())
    assert (2, 4) in module.seen


def test_names_of_arguments():
    class ByPosition(Bag):
        def forward(self, words, attention_mask=None):
            return (self.embedding(words) * attention_mask[..., None]).sum(1)

    class ByKeyword(ByPosition):
        def forward(self, **given):
            assert set(given) == {"input_ids", "attention_mask", "token_type_ids"}
            return super().forward(given["input_ids"], given["attention_mask"])

    class Switched(ByPosition):
        def forward(self, input_ids, attention_mask, use_cache=True):
            assert use_cache is False
            return super().forward(input_ids, attention_mask)

    batch = ragged([4, 9, 2], types=True)
    expected = make_predictor(Bag().eval(), batch, output="regression")(batch)
    for module in (ByPosition(), ByKeyword(), Switched(), nn.DataParallel(ByPosition())):
        outputs = make_predictor(module, batch, output="regression")(batch)
        torch.testing.assert_close(outputs, expected)


def test_a_lost_axis_is_found_again():
    class Squeezed(Bag):
        def forward(self, words):
            return super().forward(words).squeeze()

    batch = ragged([9, 4, 4])
    outputs = make_predictor(Squeezed(), batch, output="regression")(batch)
    torch.testing.assert_close(outputs, make_predictor(Bag(), batch, output="regression")(batch))


def test_errors_of_the_model_say_what_was_asked():
    model, batch = bert(num_labels=2), ragged([4, 9, 2])
    batch.ids[1, 2] = 99
    model.train()
    with pytest.raises(IndexError) as caught:
        make_predictor(model, batch)
    assert "asked it for 3 rows of type Batch" in caught.value.__notes__[-1]
    assert "ids go up to 99: is the tokenizer the model's own?" in caught.value.__notes__[0]
    assert model.training
    with pytest.raises(ValueError, match="'last_hidden_state' of shape.*'pooler_output'.*select="):
        make_predictor(model.bert, ragged([4, 9]))


def test_few_long_texts_are_enough_to_see():
    module, batch = Bag(), ragged([40] * 300)
    batch = Batch(batch.ids.repeat(1, 10), batch.attention.repeat(1, 10))
    make_predictor(module, batch, output="logits")
    assert sum(rows * width for rows, width in module.seen) <= 4096


# -- batches by length -----------------------------------------------------------------------
@settings(max_examples=60, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 50), min_size=1, max_size=60),
    tokens=st.integers(1, 400),
    padding=st.integers(0, 100),
)
def test_batches_by_length(lengths, tokens, padding):
    lengths = np.array(lengths)
    batches = length_batches(lengths, tokens, padding)
    np.testing.assert_array_equal(np.sort(np.concatenate(batches)), np.arange(len(lengths)))
    for batch in batches:
        longest = lengths[batch].max()
        assert len(batch) == 1 or len(batch) * longest <= tokens
        assert (longest - lengths[batch]).sum() <= padding
    # another sample would have been too many
    for batch, after in zip(batches, batches[1:], strict=False):
        longest = lengths[batch].max()
        more = np.append(batch, after[0])
        assert len(more) * longest > tokens or (longest - lengths[more]).sum() > padding


def test_attended_lengths():
    attention = torch.tensor([[0, 1, 0, 1, 0], [1, 1, 1, 1, 1], [0, 0, 0, 0, 0], [1, 0, 0, 0, 0]])
    np.testing.assert_array_equal(attended_lengths(attention), [4, 5, 1, 1])


# -- pipelines and pairs ---------------------------------------------------------------------
@pytest.fixture(scope="module")
def tokenizer():
    tokenizers = pytest.importorskip("tokenizers")
    vocabulary = {
        w: i for i, w in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS])
    }
    core = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="[UNK]"))
    core.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    core.post_processor = tokenizers.processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
    )


def encoded(tokenizer):
    given = tokenizer(TEXTS.tolist(), padding=True, return_tensors="pt")
    return Batch(given["input_ids"], given["attention_mask"])


def test_pipeline(tokenizer):
    model = bert(id2label={0: "negative", 1: "positive"})
    pipe = transformers.pipeline("text-classification", model=model, tokenizer=tokenizer)
    parts = parts_of(pipe)
    assert (parts.module, parts.tokenizer, parts.image_processor) == (model, tokenizer, None)
    batch = encoded(tokenizer)
    predictor = make_predictor(pipe, batch)
    assert predictor.output_names == ["negative", "positive"]
    outputs = predictor(batch)
    for text, row in zip(TEXTS[:5].tolist(), outputs.tolist(), strict=False):
        scores = {answer["label"]: answer["score"] for answer in pipe(text, top_k=None)}
        np.testing.assert_allclose(row, [scores["negative"], scores["positive"]], atol=1e-5)
    # the same from a pair, in either order and either container
    for pair in ((model, tokenizer), [tokenizer, model]):
        assert parts_of(pair).tokenizer is tokenizer
        torch.testing.assert_close(make_predictor(pair, batch)(batch), outputs)


def test_parts_of_anything_else(tokenizer):
    model = bert()
    module = parts_of(model)
    assert (module.module, module.tokenizer, module.image_processor) == (model, None, None)
    others = [None, len, Ridge(), (model,), (model, model), (model, 3), (1, tokenizer), type(model)]
    # what holds a module for other ends is no pipeline
    others += [SimpleNamespace(model=model, tokenizer=tokenizer), (model, type(tokenizer))]
    for other in others:
        assert parts_of(other).module is None, other


def test_wrong_inputs_are_named(tokenizer):
    model, batch = bert(), encoded(tokenizer)
    with pytest.raises(TypeError, match="token ids, not texts"):
        make_predictor(model, TEXTS)
    with pytest.raises(TypeError, match="token ids, not texts"):
        make_predictor((model, tokenizer), TEXTS)
    with pytest.raises(TypeError, match="takes batches of token ids; got ndarray"):
        make_predictor((model, tokenizer), np.zeros((4, 3)))
    with pytest.raises(TypeError, match="Give it the texts"):
        make_predictor(Ridge(), batch)
    with pytest.raises(TypeError, match=r"must be a pair.*\['BertForS.*', 'int'\]"):
        make_predictor((model, 3), batch)


# -- models of texts outside torch -----------------------------------------------------------
@pytest.mark.parametrize(
    ("head", "output", "kind"),
    [
        (LogisticRegression(), "auto", "classification"),
        (LogisticRegression(), "logits", "classification"),
        (LinearSVC(), "logits", "classification"),
        (Ridge(), "auto", "regression"),
    ],
)
def test_estimators_of_texts(head, output, kind):
    model = make_pipeline(TfidfVectorizer(), head).fit(TEXTS, POSITIVE)
    predictor = make_predictor(model, TEXTS, output=output)
    assert (predictor.takes, predictor.kind, predictor.torch_module) == ("texts", kind, False)
    if kind == "regression":
        expected = model.predict(TEXTS.tolist())[:, None]
    elif output == "logits":
        odds = model.decision_function(TEXTS.tolist())
        expected = 1 / (1 + np.exp(np.column_stack([odds, -odds])))
    else:
        expected = model.predict_proba(TEXTS.tolist())
    np.testing.assert_allclose(predictor(TEXTS), expected, rtol=1e-9)
    assert predictor(TEXTS[:0]).shape == (0, predictor.n_outputs)
    assert predictor(TEXTS[:1]).shape == (1, predictor.n_outputs)


def test_functions_of_texts_get_lists():
    def share_of_vowels(texts):
        assert type(texts) is list and all(type(text) is str for text in texts)
        return [sum(c in "aeiou" for c in text) / len(text) for text in texts]

    predictor = make_predictor(share_of_vowels, TEXTS, output="regression")
    assert (predictor.takes, predictor.dtype) == ("texts", None)
    np.testing.assert_allclose(predictor(TEXTS)[:, 0], share_of_vowels(TEXTS.tolist()))
    np.testing.assert_allclose(predictor(TEXTS.astype(str)), predictor(TEXTS))


@pytest.mark.parametrize("X", [np.arange(5.0), np.array(["a", None], dtype=object), np.array([1])])
def test_other_inputs_without_columns_are_refused(X):
    with pytest.raises(ValueError, match="rows and columns"):
        make_predictor(len, X)
    assert make_predictor(lambda X: X[:, 0] > 0, np.zeros((4, 2))).takes == "rows"


@pytest.mark.parametrize(
    "answer",
    [
        lambda texts: [{"label": "a", "score": 0.5} for _ in texts],
        lambda texts: [[{"label": "a", "score": 0.5}, {"label": "b", "score": 0.5}] for _ in texts],
        lambda texts: [[{"label": "a", "score": 0.5}] * (1 + (k > 1)) for k in range(len(texts))],
    ],
)
def test_labels_with_scores_are_refused(answer):
    with pytest.raises(ValueError, match="Pass the pipeline itself"):
        make_predictor(answer, TEXTS)


def test_pipeline_of_one_score_is_explained_as_it_answers(tokenizer):
    model = bert(num_labels=1)
    pipe = transformers.pipeline("text-classification", model=model, tokenizer=tokenizer)
    masker = TextMasker(tokenizer).fit(TEXTS)
    batch = masker.whole(masker.wrap(TEXTS), make_predictor(model, ragged([3, 4])))
    predictor = make_predictor(pipe, batch)
    assert predictor.kind == "multilabel"
    scores = [answer["score"] for answer in pipe(list(TEXTS))]
    np.testing.assert_allclose(predictor(batch)[:, 0].numpy(), scores, atol=1e-6)
    # told to be a regressor, and the bare model: plain values
    model.config.problem_type = "regression"
    assert make_predictor(pipe, batch).kind == "regression"
    model.config.problem_type = None
    assert make_predictor(model, batch).kind == "regression"


def test_pipeline_tells_how_long_texts_may_be(tokenizer):
    model = bert(num_labels=2)
    options = {"model": model, "tokenizer": tokenizer, "truncation": True, "max_length": 5}
    pipe = transformers.pipeline("text-classification", **options)
    assert parts_of(pipe).max_length == 5
    assert parts_of((model, tokenizer)).max_length is None


@pytest.mark.parametrize("kind", [RandomForestClassifier, KNeighborsClassifier])
def test_labels_of_texts(kind):
    Y = np.stack([POSITIVE, ~np.asarray(POSITIVE, dtype=bool)], axis=1).astype(int)
    model = make_pipeline(TfidfVectorizer(), kind()).fit(TEXTS, Y)
    predictor = make_predictor(model, np.array(TEXTS, dtype=object))
    assert (predictor.kind, predictor.takes) == ("multilabel", "texts")
    expected = np.stack([part[:, 1] for part in model.predict_proba(list(TEXTS))], axis=1)
    np.testing.assert_allclose(predictor(np.array(TEXTS, dtype=object)), expected)


def test_decoders_without_a_padding_token_say_what_to_set():
    config = transformers.GPT2Config(
        vocab_size=50, n_positions=16, n_embd=8, n_layer=1, n_head=2, num_labels=2
    )
    config.pad_token_id = None
    model = transformers.GPT2ForSequenceClassification(config).eval()
    with pytest.raises(ValueError, match="padding token") as caught:
        make_predictor(model, ragged([4, 4, 2]))
    assert "model.config.pad_token_id = tokenizer.pad_token_id" in str(caught.value.__notes__)
