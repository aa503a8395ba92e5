"""Pipelines of transformers by task, and objects that only look like them."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from fastexplain import ExactExplainer, TextMasker
from fastexplain.predictors import make_predictor, parts_of

transformers = pytest.importorskip("transformers")

WORDS = "the film was good bad dull fine and not so very a".split()
TEXTS = ["good film", "the film was bad", "so very dull", "fine"] * 5


@pytest.fixture(scope="module")
def tokenizer():
    tokenizers = pytest.importorskip("tokenizers")
    vocabulary = {
        w: i for i, w in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS])
    }
    core = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="[UNK]"))
    core.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    core.post_processor = tokenizers.processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    tokens = {f"{role}_token": f"[{role.upper()}]" for role in ("pad", "unk", "cls", "sep", "mask")}
    return transformers.PreTrainedTokenizerFast(tokenizer_object=core, **tokens)


def config(**given):
    return transformers.BertConfig(
        vocab_size=30,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=64,
        **given,
    )


@pytest.mark.parametrize(
    ("task", "model"),
    [
        ("zero-shot-classification", "BertForSequenceClassification"),
        ("token-classification", "BertForTokenClassification"),
        ("fill-mask", "BertForMaskedLM"),
        ("feature-extraction", "BertModel"),
    ],
)
def test_other_tasks_are_refused_by_name(tokenizer, task, model):
    labels = {0: "contradiction", 1: "neutral", 2: "entailment"}
    module = getattr(transformers, model)(
        config(id2label=labels, label2id={v: k for k, v in labels.items()})
    ).eval()
    pipe = transformers.pipeline(task, model=module, tokenizer=tokenizer)
    assert parts_of(pipe).module is None
    with pytest.raises(TypeError, match=rf"a pipeline for {task}.*\n*def f\("):
        ExactExplainer().fit(TEXTS, pipe)


def test_the_way_to_wrap_works(tokenizer):
    labels = {0: "contradiction", 1: "neutral", 2: "entailment"}
    torch.manual_seed(0)
    module = transformers.BertForSequenceClassification(
        config(id2label=labels, label2id={v: k for k, v in labels.items()})
    ).eval()
    pipe = transformers.pipeline("zero-shot-classification", model=module, tokenizer=tokenizer)
    names = {"pipe": pipe, "labels": ["good", "bad"]}
    with pytest.raises(TypeError) as caught:
        make_predictor(pipe, np.array(TEXTS, dtype=object))
    exec(str(caught.value).partition("says so:\n")[2], names)
    explainer = ExactExplainer("shapley", masker=TextMasker(unit="word"))
    explainer.fit(TEXTS, names["f"])
    _, outputs = explainer.explain(TEXTS[:2], target=0, return_prediction=True)
    np.testing.assert_allclose(outputs, names["f"](TEXTS[:2]), atol=1e-6)


def test_models_of_each_token_are_named(tokenizer):
    module = transformers.BertForTokenClassification(config(num_labels=3)).eval()
    with pytest.raises(ValueError, match=r"3 numbers for each token.*select="):
        ExactExplainer().fit(TEXTS, (module, tokenizer))
    first = ExactExplainer(output="margin", select=lambda answer: answer.logits[:, 0])
    first.fit(TEXTS, (module, tokenizer))
    assert first.explain(TEXTS[:2], target=1).values.shape[0] == 2


def test_models_of_two_kinds_of_input_are_named():
    module = nn.Linear(3, 2)
    module.config = transformers.CLIPConfig()
    with pytest.raises(TypeError, match="as CLIP does.*logits_per_image"):
        make_predictor(module, np.zeros((4, 3)))


class Service:
    """Holds what a pipeline holds, and answers by itself."""

    model, tokenizer = nn.Linear(1, 2), object()

    def __call__(self, texts):
        good = np.array([text.count("good") for text in texts], float)
        return np.column_stack([1 / (1 + good), good / (1 + good)])


def test_an_object_with_its_own_call_is_called():
    service = Service()
    assert parts_of(service).module is None
    predictor = make_predictor(service, np.array(TEXTS, dtype=object))
    np.testing.assert_array_equal(predictor(np.array(TEXTS, dtype=object)), service(TEXTS))


class CrossEncoder:
    """A plain object around a module, as some libraries have it."""

    def __init__(self, model):
        self.model = model

    def predict(self, pairs):
        raise NotImplementedError


def test_what_holds_a_module_beside_its_tokenizer(tokenizer):
    module = transformers.BertForSequenceClassification(config(num_labels=1)).eval()
    parts = parts_of((CrossEncoder(module), tokenizer))
    assert (parts.module, parts.tokenizer) == (module, tokenizer)
    explainer = ExactExplainer("shapley").fit(TEXTS, (CrossEncoder(module), tokenizer))
    assert explainer.kind_ == "regression"  # as the configuration has it
    assert "problem_type" in explainer.output_reason_


class Cooled:
    """Has a call of its own, which divides the module's scores by a temperature."""

    def __init__(self, model):
        self.model = model

    def __call__(self, **inputs):
        return self.model(**inputs).logits / 10


def test_a_pair_does_not_pass_by_a_call(tokenizer):
    module = transformers.BertForSequenceClassification(config(num_labels=2)).eval()
    pair = (Cooled(module), tokenizer)
    assert parts_of(pair).module is None
    for fit in (
        lambda: make_predictor(pair, np.array(TEXTS, dtype=object)),
        lambda: ExactExplainer("shapley").fit(TEXTS, pair),
        lambda: ExactExplainer("shapley").fit(TEXTS, model=pair),
    ):
        with pytest.raises(TypeError, match="Cooled in the pair has a __call__.*Pass the module"):
            fit()
    # what the message names: the module, or a function of the whole
    assert parts_of((pair[0].model, tokenizer)).module is module

    def f(texts):
        return pair[0](**tokenizer(list(texts), padding=True, return_tensors="pt"))

    made = make_predictor(f, np.array(TEXTS, dtype=object), output="margin")
    assert made.n_outputs == 2


def test_a_cross_encoder_that_is_known_is_opened_whatever_it_calls(tokenizer, monkeypatch):
    module = transformers.BertForSequenceClassification(config(num_labels=1)).eval()
    library = SimpleNamespace(CrossEncoder=Cooled)
    monkeypatch.setitem(sys.modules, "sentence_transformers", library)
    assert parts_of((Cooled(module), tokenizer)).module is module
