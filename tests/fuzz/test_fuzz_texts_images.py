"""Any texts and images, in any container: right values, or an error with its cause and cure.

A thousand inputs each; what is checked is v(all) = f(x), that Shapley values add up, and that a
sample is explained alone as in company.
"""

from __future__ import annotations

import re
import warnings
import zlib
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from hypothesis import HealthCheck, event, given, reject, settings
from hypothesis import strategies as st
from torch import nn

from fastexplain import ExactExplainer, ImageMasker, RISEExplainer, TextMasker

transformers = pytest.importorskip("transformers")
tokenizers = pytest.importorskip("tokenizers")
Image = pytest.importorskip("PIL.Image")

pytestmark = pytest.mark.slow

thousand = settings(max_examples=1000, deadline=None, suppress_health_check=list(HealthCheck))
#: a cure tells what to do
CURE = re.compile(
    r"\b(pass|replace|put|decode|convert|give|choose|take|takes|say|use|leave|resize|gather|fit on|"
    r"must|make|open|explain|fill|needs?|flatten|are for|crop|one row is|found array with 0)\b"
)


def answered(call: Callable[[], Any]) -> Any:
    """What a call answers, or its error, which must tell what is wrong and what to do."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return call()
        except (TypeError, ValueError) as error:
            said = str(error)
            assert len(said) > 30 and CURE.search(said.lower()), f"no cause and cure: {said!r}"
            assert "reshape your data" not in said.lower(), said
            event(f"refused: {re.sub('[^a-z ]', '', said.lower())[:40]}")
            return None


# -- texts -----------------------------------------------------------------------------------
def chances(texts: Any) -> np.ndarray:
    """Two chances that change with every character of a text."""
    codes = [zlib.crc32(str(text).encode("utf-8", "surrogatepass")) for text in texts]
    p = (1.0 + np.array(codes, dtype=float)) / (2.0 + 2**32)
    return np.column_stack([1.0 - p, p]).reshape(-1, 2)


class Tokens(nn.Module):
    """Scores that change with every token and its place; heeds the attention."""

    def __init__(self, n_tokens: int) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.table = nn.Embedding(n_tokens, 3)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        places = torch.arange(input_ids.shape[1]) % 7 + 1
        seen = attention_mask[:, :, None] * self.table(input_ids) * places[:, None] ** 0.5
        return torch.tanh(seen.sum(dim=1) / 5)


def pieces() -> Any:
    """Lower-case letters as pieces of words, with special tokens."""
    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    letters = [*"abcdefghijklmnopqrstuvwxyz.,!?'日本中"]
    vocabulary = [*names, "good", "film", *letters, *("##" + c for c in letters)]
    model = tokenizers.models.WordPiece({t: i for i, t in enumerate(vocabulary)}, unk_token="[UNK]")
    backend = tokenizers.Tokenizer(model)
    backend.normalizer = tokenizers.normalizers.BertNormalizer(lowercase=True)
    backend.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    backend.post_processor = tokenizers.processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    roles = {f"{role}_token": f"[{role.upper()}]" for role in ("pad", "unk", "cls", "sep", "mask")}
    return transformers.PreTrainedTokenizerFast(tokenizer_object=backend, **roles)


def bytes_of() -> Any:
    """Bytes as tokens, words that end at white space, nothing special."""
    alphabet = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    model = tokenizers.models.BPE({t: i for i, t in enumerate([*alphabet, "<pad>"])}, [])
    backend = tokenizers.Tokenizer(model)
    backend.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="<pad>", padding_side="left"
    )


TOKENIZERS = {"pieces": pieces(), "bytes": bytes_of()}
HINTS = [
    "good film",
    "[SEP]",
    "[UNK]x",
    "日本語です",
    "ภาษาไทยยากมาก",
    "a.b! c?",
    "👨‍👩‍👧",
    "e\u0301",
]
TEXT = st.one_of(
    st.text(st.characters(exclude_categories=[]), max_size=6),
    st.text(st.sampled_from("ab .\n\u3000,'日かไ\u0301\ud800\x00"), max_size=10),
    st.sampled_from(["", " ", *HINTS, "long " * 3000, "x" * 20_000]),
    st.lists(st.sampled_from(HINTS), max_size=2).map("".join),
)
LISTS = st.lists(TEXT, min_size=1, max_size=4)
CONTAINERS: dict[str, Any] = {
    "list": list,
    "tuple": tuple,
    "deque": deque,
    "array": lambda x: np.array(x, dtype=object),
    "U array": np.array,
    "StringDType": lambda x: np.array(x, dtype=np.dtypes.StringDType()),
    "Series": lambda x: pd.Series(x, index=range(7, 7 + len(x))),
    "object Series": lambda x: pd.Series(x, dtype=object),
    "string Series": lambda x: pd.Series(x, dtype=pd.StringDtype("python")),
    "categories": lambda x: pd.Series(x, dtype="category"),
    "polars": pl.Series,
    "Index": pd.Index,
}
STRANGE: dict[str, Any] = {
    "generator": iter,
    "set": set,
    "dict": lambda x: dict(enumerate(x)),
    "columns": lambda x: {"text": x},
    "dicts": lambda x: [{"text": text} for text in x],
    "pairs": lambda x: [(text, "b") for text in x],
    "frame": lambda x: pd.DataFrame({"text": x}),
    "column of an array": lambda x: np.array(x, dtype=object)[:, None],
    "bytes": lambda x: [text.encode("utf-8", "surrogatepass") for text in x],
    "one": lambda x: x[0],
    "none": lambda x: None,
    "missing": lambda x: [*x, None],
    "NaN": lambda x: pd.Series([*x, np.nan], dtype=object),
    "numbers": lambda x: [*x, 3],
    "row": lambda x: pd.Series([*x, 3.0], index=[f"c{i}" for i in range(len(x) + 1)]),
    "empty": lambda x: [],
}


@st.composite
def maskers(draw: Any) -> tuple[TextMasker, Any, str]:
    """A masker, a model that goes with it, and what its answers are."""
    name = draw(st.sampled_from([None, None, *TOKENIZERS]))
    options: dict[str, Any] = {"unit": draw(st.sampled_from(["token", "word", "sentence"]))}
    options["segmenter"] = draw(st.sampled_from([None, None, "budoux", list]))
    if name is None:
        options["mask_string"] = draw(st.sampled_from([None, "UNK", ""]))
        return TextMasker(**options), chances, "probability"
    tokenizer = TOKENIZERS[name]
    fills = ["pad", "delete", *(["mask"] if name == "pieces" else [])]
    options["fill"] = draw(st.sampled_from(fills))
    options["max_length"] = draw(st.sampled_from([None, 9]))
    module = Tokens(len(tokenizer) + 1).eval()
    return TextMasker(tokenizer, **options), (module, tokenizer), "regression"


def contained(make: Callable[[list[str]], Any], texts: list[str]) -> Any:
    """The texts in a container, some of which take no halves of surrogate pairs."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return make(texts)
    except (UnicodeError, ValueError, TypeError):
        reject()


def check_values(explainer: Any, X: Any, n: int) -> None:
    """Check v(all) = f(x), sums of Shapley values, and samples alone."""
    masked = explainer.masked_model_
    samples = masked.masker.wrap(X)
    assert len(samples) == n
    whole = masked.outputs(samples).cpu().double().numpy()
    everything = np.ones((1, masked.masker.null_players(samples).shape[1]), dtype=bool)
    np.testing.assert_allclose(masked.values(samples, everything)[:, 0].cpu(), whole, atol=1e-5)
    explanation = explainer.explain(X, "all")
    assert np.isfinite(explanation.values).all()
    if "shapley" in explanation.method.lower():
        total = explanation.values.sum(axis=1) + explanation.base_values
        np.testing.assert_allclose(total, whole, atol=1e-4 + 1e-5 * np.abs(whole).max())
    first = samples.take(slice(0, 1))
    alone = explainer.explain(first, "all").values[0]
    np.testing.assert_allclose(
        explanation.values[0][: len(alone)], alone[: explanation.values.shape[1]], atol=1e-4
    )


@thousand
@given(LISTS, maskers(), st.sampled_from([*CONTAINERS, *STRANGE]), st.booleans())
def test_texts(texts: list[str], chosen: Any, container: str, in_fit: bool) -> None:
    masker, model, output = chosen
    X = contained((CONTAINERS | STRANGE)[container], texts)
    known = contained((CONTAINERS | STRANGE)[container], texts) if container == "generator" else X
    train = X if in_fit else ["good film. So bad!", "a b", "日本 very"]
    options = {"masker": masker, "output": output}
    good = container in CONTAINERS
    tokens = masker.tokenizer is not None
    whole = not tokens or all(map(_is_utf8, texts))

    def explained() -> bool:
        known_masker = TextMasker(**_options(masker)).fit(["good film"])
        few = not (good and whole) or int(known_masker.wrap(texts).sizes.max()) <= 6
        made = ExactExplainer("shapley", **options) if few else None
        explainer = made or RISEExplainer(6, random_state=0, **options)
        explainer.fit(train, model)
        check_values(explainer, known if not in_fit else train, len(texts))
        return True

    found = answered(explained)
    if found:
        assert good, f"{container} was taken for texts"
        if not tokens:
            masked = TextMasker(**_options(masker)).fit(["a"]).wrap(X)
            assert masked.native == [str(text) for text in X]
    elif good and not in_fit:
        # texts are refused for nothing but halves of surrogate pairs
        assert not whole


def _options(masker: TextMasker) -> dict[str, Any]:
    names = ("tokenizer", "unit", "fill", "max_length", "mask_string", "segmenter")
    return {name: getattr(masker, name) for name in names}


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


# -- images ----------------------------------------------------------------------------------
def weighted(X: Any) -> np.ndarray:
    """A sum that changes with every number of a sample."""
    cells = np.stack([np.asarray(x, dtype=float).ravel() for x in X])
    return cells @ (1.0 + np.arange(cells.shape[1]) % 11) / cells.shape[1] / 100


class Weighted(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        cells = x.flatten(1).double()
        weights = 1.0 + torch.arange(cells.shape[1], dtype=torch.float64) % 11
        return cells @ weights / cells.shape[1] / 100


SIDES = st.sampled_from([0, 1, 2, 3, 4, 5, 7, 8, 12])
SHAPES = st.one_of(
    st.tuples(st.integers(1, 6), st.integers(5, 12), st.integers(5, 12)),
    st.tuples(st.integers(1, 4), st.integers(1, 4), st.integers(5, 12), st.integers(5, 12)),
    st.tuples(st.integers(1, 4), st.integers(5, 12), st.integers(5, 12), st.integers(1, 4)),
    st.lists(SIDES, max_size=6).map(tuple),
)
DTYPES = ["uint8", "int16", "int64", "float16", "float32", "float64", ">f4", "longdouble"]
ODD_DTYPES = ["bool", "complex64", "object", "str", "datetime64[s]"]
IMAGE_CONTAINERS: dict[str, Any] = {
    "array": lambda x: x,
    "Fortran": np.asfortranarray,
    "reversed": lambda x: x[::-1],
    "read-only": lambda x: x.__array_wrap__(x.copy()) if not x.ndim else _read_only(x),
    "list": list,
    "deque": deque,
    "lists": np.ndarray.tolist,
    "tensor": lambda x: torch.from_numpy(np.array(x, x.dtype.newbyteorder("="))),
    "bfloat16": lambda x: torch.from_numpy(x.astype("float32")).to(torch.bfloat16),
    "tensors": lambda x: [torch.from_numpy(np.array(one)) for one in x],
    "pictures": lambda x: [Image.fromarray(one) for one in x],
    "Series": lambda x: pd.Series(list(x)),
    "unmasked": lambda x: np.ma.masked_array(x, mask=False),
}
ODD_CONTAINERS: dict[str, Any] = {
    "generator": iter,
    "masked": lambda x: np.ma.masked_array(x, mask=True),
    "dict": lambda x: {"image": x},
    "dicts": lambda x: [{"image": one} for one in x],
    "labelled": lambda x: [(one, 0) for one in x],
    "pair": lambda x: (x, np.zeros(len(x))),
    "batches": lambda x: [x, x],
    "one picture": lambda x: Image.fromarray(x[0]),
    "several sizes": lambda x: [x[0], x[0][:-1]],
    "loader": lambda x: torch.utils.data.DataLoader(x),
    "missing": lambda x: [*x, None],
}


def _read_only(x: np.ndarray) -> np.ndarray:
    x = x.copy()
    x.flags.writeable = False
    return x


@st.composite
def image_cases(draw: Any) -> tuple[Any, dict[str, Any], bool]:
    """Images in a container, settings of a masker, and whether they are clearly good."""
    shape = draw(SHAPES)
    dtype = draw(st.sampled_from([*DTYPES, *DTYPES, *ODD_DTYPES]))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    array = rng.integers(0, 200, shape)
    bad = draw(st.sampled_from([None, None, None, np.nan, np.inf]))
    kinds = [*IMAGE_CONTAINERS, *IMAGE_CONTAINERS, *ODD_CONTAINERS]
    name = draw(st.sampled_from(kinds))
    try:
        array = np.asarray(array.astype(dtype))
        broken = bad is not None and array.dtype.kind == "f" and array.size > 0
        if broken:
            array.flat[draw(st.integers(0, array.size - 1))] = bad
        X = (IMAGE_CONTAINERS | ODD_CONTAINERS)[name](array)
    except (TypeError, ValueError, IndexError, RuntimeError):
        reject()  # such containers do not hold such arrays
    options: dict[str, Any] = {"channels": draw(st.sampled_from(["auto", "auto", "first", "last"]))}
    options["fill"] = draw(st.sampled_from(["zero", "mean", "blur", "noise", 3]))
    size = draw(st.sampled_from([None, None, None, (6, 6)]))
    options |= {"size": size, "patch_size": (3, 3) if size else None}
    if min(shape, default=0) > 0 and len(shape) in (3, 4) and size is None:
        last = shape[-1] <= 4
        sides = shape[1:] if len(shape) == 3 else shape[1:3] if last else shape[2:]
        options["patch_size"] = tuple(max(1, -(-side // 2)) for side in sides)
    clear = (
        name in IMAGE_CONTAINERS and dtype in DTYPES and not broken and min(shape, default=0) > 0
    )
    if len(shape) == 3:
        listed = isinstance(X, list | deque | pd.Series) and name != "lists"
        clear &= shape[2] > 4 and options["channels"] == "auto"
        clear &= listed or shape[0] not in (3, 4)
    elif len(shape) == 4:
        fits = [axis for axis, order in ((1, "first"), (3, "last")) if shape[axis] <= 4]
        order = {(1,): "first", (3,): "last"}.get(tuple(fits))
        clear &= order is not None and options["channels"] in ("auto", order)
    else:
        clear = False
    return X, options, bool(clear)


@thousand
@given(image_cases(), st.booleans(), st.booleans())
def test_images(case: Any, as_module: bool, exact: bool) -> None:
    X, options, clear = case
    model = Weighted().eval() if as_module else weighted
    masker = ImageMasker(**options)
    made = ExactExplainer("shapley", masker=masker, output="regression")
    if not exact:
        made = RISEExplainer(6, masker=masker, output="regression", random_state=0)

    def explained() -> bool:
        samples = ImageMasker(**options).fit(X).wrap(X)
        made.fit(X, model)
        check_values(made, X, len(samples))
        if options["size"] is None:
            # f(x) is what the model says of the images as they came
            own = np.asarray([np.asarray(one, dtype=float).ravel() for one in samples.native])
            direct = weighted(own)
            found = made.masked_model_.outputs(samples).cpu().numpy()[:, 0]
            np.testing.assert_allclose(found, direct, rtol=1e-4, atol=1e-4)
        return True

    found = answered(explained)
    assert found or not clear, "clearly images, and refused"
