"""Removal of tokens, words or sentences: what a player of a text is, and what replaces it."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import torch

from fastexplain._warnings import warn_user
from fastexplain.maskers._saved_tokenizers import checked_tokenizer
from fastexplain.maskers._scripts import Segmenter
from fastexplain.maskers._text_checks import (
    check_options,
    check_players,
    coarse_players,
    is_utf8,
    no_mask,
    no_pad,
)
from fastexplain.maskers._text_inputs import StringInputs, TokenInputs, TokenRules, pad_tokens
from fastexplain.maskers._tokenizers import (
    longest_input,
    restore_tokenizer,
    save_tokenizer,
    tokenize,
)
from fastexplain.maskers._words import (
    N_BUCKETS,
    group_tokens,
    hash_word,
    sentence_spans,
    word_spans,
)
from fastexplain.persistence import Fields, encode_value, params_of
from fastexplain.persistence._limits import MOST_PLAYERS
from fastexplain.predictors._config import arguments
from fastexplain.texts import Texts, TokenBatch, as_strings

__all__ = ["TextMasker"]


class TextMasker:
    r"""Tokens, words or sentences as players, masked or taken out of the text.

    Parameters
    ----------
    tokenizer : tokenizer of transformers, optional
        The model's own, preferably a fast one; of others, the characters of a token are found
        by a search in the text. None is for models that take strings: words are then runs of
        letters and digits, with apostrophes inside, and single punctuation marks.
    unit : {"token", "word", "sentence"}, default="token"
        What a player is. Special tokens and padding never are: special tokens that are written
        in a text, such as ``[SEP]``, are kept under every mask. The unknown token, which stands
        for words, is a player.

        - "token": each token; those that share a character, such as the bytes of an emoji,
          are one. Without a tokenizer, the same as "word".
        - "word": the tokens of one word together. Words are the tokenizer's, and end at white
          space at the latest; of scripts without spaces see `segmenter`.
        - "sentence": up to ``.``, ``!`` or ``?`` before white space, or a line's end.
          Abbreviations such as "e.g. " end a sentence, too.
    fill : {"mask", "pad", "delete"}, default="mask"
        What a removed player's tokens become.

        - "mask": the tokenizer's mask token, each of them. Models trained with one know it.
        - "pad": what the model does not look at; the other tokens keep their places. Between
          tokens that stay, the attention hides the mask token, if there is one and the model
          takes an attention mask: models such as RoBERTa count places by what is no padding.
          Otherwise, and behind the last token that stays, it is the pad token. Models that
          count places by the attention itself, such as OPT and BLOOM, move the others together.
        - "delete": nothing. The other tokens move together, so that their positions change.

        Models that take strings get the text with the player's characters replaced by the
        mask token, one for each player, or cut out if `fill` is not "mask" or there is no
        tokenizer; white space around what is cut out stays tidy.
    max_length : int, optional
        Most tokens of a text, special ones included; the tokenizer cuts longer ones, and what
        was cut is no player. Default: the tokenizer's ``model_max_length``, or 512 if it has
        none. Strings given to a model that takes strings are not cut.
    mask_string : str, optional
        What stands for a removed player in a string, such as ``"UNK"``, in place of what
        `fill` says; ``""`` cuts it out.
    segmenter : None, "budoux" or callable, optional
        What finds words in scripts that put no spaces between them. None takes Unicode's default
        rules: each Han character and each sign of Hiragana is a word, and so is Katakana as
        long as it goes on; a tokenizer that divides them itself has the last word. Thai, Lao,
        Khmer, Burmese and the like need a dictionary: without one, ``fit`` warns.
        ``"budoux"`` divides Chinese, Japanese and Thai by a small model (extra ``segment``):
        texts with Kana are read as Japanese, others as simplified Chinese, or as traditional
        Chinese where Big5 has more of their characters than GB 2312. A function of a text
        answers all of its words in order, such as ``jieba.lcut``; it cannot be saved.

    Attributes
    ----------
    feature_names_ : list of str
        ``"token 0"``, ``"word 3"``: places for the players of the longest text given to
        ``fit``. Later texts may have more.

    Notes
    -----
    A text may be empty or, with a tokenizer that drops all its characters, have no player; but
    not all texts of ``fit``. If everything was removed from a text and there are no special
    tokens, the model sees a single padding token.

    Examples
    --------
    >>> from fastexplain.maskers import TextMasker
    >>> masker = TextMasker().fit(["It isn't good.", "Fine!"])
    >>> masker.n_players
    4
    >>> masker.wrap(["It isn't good."]).tokens(0)
    ['It', "isn't", 'good', '.']
    """

    #: removal puts something else in the player's place
    removes_to_baseline_ = True
    #: inputs that are averaged for one masked text
    n_background_ = 1
    #: what is left of a text without players depends on its length
    fixed_empty_ = False

    def __init__(
        self,
        tokenizer: Any = None,
        *,
        unit: str = "token",
        fill: str = "mask",
        max_length: int | None = None,
        mask_string: str | None = None,
        segmenter: Segmenter = None,
    ) -> None:
        self.tokenizer = tokenizer
        self.unit = unit
        self.fill = fill
        self.max_length = max_length
        self.mask_string = mask_string
        self.segmenter = segmenter

    @property
    def removal(self) -> str:
        """What stands for a removed player, in words."""
        if self.mask_string is not None:
            return f"{self.unit}s replaced by {self.mask_string!r}"
        if self.tokenizer is None or self.fill == "delete":
            return f"{self.unit}s cut out"
        return f"{self.unit}s replaced by {'padding' if self.fill == 'pad' else 'mask tokens'}"

    def wrap(self, X: Any) -> Texts:
        """Check texts and find their players.

        Parameters
        ----------
        X : list, tuple, ndarray of shape (n,) or Series of str

        Returns
        -------
        Texts

        Raises
        ------
        TypeError
            For a single string, or an entry that is no string; its row is named.
        ValueError
            If no text has a player, before ``fit``.

        Warns
        -----
        UserWarning
            If texts were cut to `max_length`, once.
        """
        texts, doubt = self._read(X)
        if doubt is not None:
            warn_user(doubt)
        return texts

    def _read(self, X: Any) -> tuple[Texts, str | None]:
        """Texts and their players, and what there is to warn about."""
        check_options(self)
        if isinstance(X, Texts):
            return X, None
        strings, doubt = as_strings(X), None
        if self.tokenizer is None:
            texts = Texts(strings, [self._split(text) for text in strings])
        else:
            texts, doubt = self._tokenized(strings)
        if not hasattr(self, "feature_names_"):
            check_players(texts)
        return texts, doubt

    def _split(self, text: str) -> np.ndarray:
        """Players of a text without a tokenizer."""
        if self.unit == "sentence":
            return sentence_spans(text)
        return word_spans(text, self.segmenter)

    def _tokenized(self, strings: list[str]) -> tuple[Texts, str | None]:
        """Texts as a tokenizer has them, and that some are cut."""
        for row, text in enumerate(strings):
            if not is_utf8(text):
                raise ValueError(
                    f"Row {row} holds half of a surrogate pair, which no tokenizer takes; decode "
                    "the text anew, or use text.encode('utf-8', 'replace').decode()."
                )
        limit = longest_input(self.tokenizer, self.max_length)
        encoded, n_cut = tokenize(self.tokenizer, strings, limit)
        doubt = None
        if n_cut:
            doubt = (
                f"{n_cut} of {len(strings)} texts have more than {limit} tokens and were cut; "
                "what was cut is no player. max_length= sets the limit."
            )
        spans, players = [], []
        for text, own in zip(strings, encoded, strict=True):
            inside = ~own.special
            words = None if own.words is None else own.words[inside]
            player = np.full(len(own.ids), -1)
            breaks = np.cumsum(own.special)[inside]
            player[inside], found = group_tokens(
                text, own.offsets[inside], words, self.unit, self.segmenter, breaks
            )
            spans.append(found)
            players.append(player)
        return Texts(strings, spans, [own.ids for own in encoded], players), doubt

    def fit(self, X: Any, rng: np.random.Generator | None = None) -> TextMasker:
        """Count the players of the longest text.

        Parameters
        ----------
        X : Texts, list, ndarray of shape (n,) or Series of str
            Training texts.
        rng : numpy.random.Generator, optional
            Not used; removal draws nothing.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If no text has a player.

        Warns
        -----
        UserWarning
            If players are as coarse as a clause: words of Thai and the like that nothing divides,
            or long texts of one or two players.
        """
        texts = self.wrap(X)
        check_players(texts)
        for coarse in coarse_players(texts, self):
            warn_user(coarse)
        self._name_players(int(texts.sizes.max()))
        return self

    def _name_players(self, n_players: int) -> None:
        self.feature_names_ = [f"{self.unit} {j}" for j in range(n_players)]

    @property
    def n_players(self) -> int:
        """Number of players N of the longest text given to ``fit``."""
        return len(self.feature_names_)

    def null_players(self, texts: Texts) -> np.ndarray:
        """Players that a text does not have.

        Parameters
        ----------
        texts : Texts of n texts

        Returns
        -------
        bool ndarray of shape (n, M)
            True where text i has no player j. M is the number of players at ``fit``, or that
            of the longest of these texts if it is larger.
        """
        sizes = texts.sizes
        width = max(self.n_players, int(sizes.max(initial=0)))
        return np.arange(width) >= sizes[:, None]

    def player_counts(self, texts: Texts) -> np.ndarray:
        """Number of players of each text, int (n,)."""
        return texts.sizes

    def inputs(self, texts: Texts, predictor: Any) -> TokenInputs | StringInputs:
        """What makes masked inputs of these texts for the model.

        Parameters
        ----------
        texts : Texts of n texts
        predictor : Predictor
            Says whether the model takes ``"tokens"`` or ``"texts"``.

        Returns
        -------
        callable
            Takes masks, bool of shape (B, T, M) or (1, T, M), and a slice of B texts. Answers
            with a ``TokenBatch`` of B * T rows or an object ndarray of as many strings, the
            masks varying fastest. Players that a text does not have are ignored.
        """
        if self._takes_tokens(predictor):
            return TokenInputs(texts, self._rules(predictor))
        return StringInputs(texts, self._replacement())

    def whole(self, texts: Texts, predictor: Any) -> TokenBatch | np.ndarray:
        """The texts as they are, in the form the model takes.

        Parameters
        ----------
        texts : Texts of n texts
        predictor : Predictor

        Returns
        -------
        TokenBatch of n rows, or object ndarray of shape (n,)
        """
        if self._takes_tokens(predictor):
            rules = self._rules()
            ids, player = pad_tokens(texts, rules.pad_id, rules.left)
            return rules.batch(ids, player > -2)
        strings = np.empty(len(texts), dtype=object)
        strings[:] = texts.native
        return strings

    def layout(self, texts: Texts) -> Any:
        """Characters of each player, as a ``TextLayout``."""
        from fastexplain.layouts import TextLayout

        return TextLayout(tuple(texts.spans))

    def encode(self, texts: Any) -> torch.Tensor:
        """Tokens and their players as numbers, for a network that reads texts.

        Parameters
        ----------
        texts : Texts, list, ndarray of shape (n,) or Series of str

        Returns
        -------
        int64 tensor of shape (n, L, 2)
            Token id and player of each token; player -1 is a special token, -2 padding, and L
            that of the longest text, at least 1. Without a tokenizer, tokens are words, and
            ids are hashes of them in lower case; 0 is padding and 1 is free.
        """
        texts = self.wrap(texts)
        pad_id = 0
        if self.tokenizer is None:
            texts = self._hashed(texts)
        else:
            pad_id = getattr(self.tokenizer, "pad_token_id", None) or 0
        return torch.stack(pad_tokens(texts, pad_id), dim=2)

    def token_players(self, texts: Texts) -> torch.Tensor:
        """Player of each token, as the model is given them.

        Parameters
        ----------
        texts : Texts of n texts

        Returns
        -------
        int64 tensor of shape (n, L)
            -1 for special tokens, -2 for padding.
        """
        rules = self._rules()
        return pad_tokens(texts, rules.pad_id, rules.left)[1]

    def _hashed(self, texts: Texts) -> Texts:
        ids, players = [], []
        for text, spans in zip(texts.native, texts.spans, strict=True):
            words = word_spans(text, self.segmenter) if self.unit == "sentence" else spans
            hashes = [hash_word(text[start:end]) for start, end in words.tolist()]
            ids.append(np.array(hashes, dtype=np.int64))
            # a word belongs to the last sentence that begins at it or before
            players.append(np.searchsorted(spans[:, 0], words[:, 0], side="right") - 1)
        return Texts(texts.native, texts.spans, ids, players)

    @property
    def vocabulary_size(self) -> int:
        """One more than the largest token id of ``encode``."""
        if self.tokenizer is None:
            return N_BUCKETS + 2
        # ids may have holes, so that there are larger ones than their number says
        largest = max(self.tokenizer.get_vocab().values(), default=0)
        return max(len(self.tokenizer), largest + 1)

    def state(self) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
        """What ``from_state`` needs, as JSON values and tensors.

        Raises
        ------
        TypeError
            For a tokenizer that is not a fast one, and a function as the segmenter.
        """
        if callable(self.segmenter):
            raise TypeError(
                "segmenter is a function, which cannot be saved: pickle the explainer instead, or "
                "take segmenter='budoux'."
            )
        names = inspect.signature(type(self)).parameters.keys() - {"tokenizer"}
        config = {
            "params": {name: encode_value(getattr(self, name)) for name in sorted(names)},
            "n_players": self.n_players,
            "tokenizer": None if self.tokenizer is None else save_tokenizer(self.tokenizer),
        }
        return config, {}

    @classmethod
    def from_state(
        cls,
        config: dict[str, Any],
        tensors: dict[str, torch.Tensor] | None = None,
        tokenizer: Any = None,
    ) -> TextMasker:
        """The inverse of ``state``; a `tokenizer` that is given is used in the saved one's place.

        Needs transformers if a tokenizer was saved and none is given.

        Raises
        ------
        ValueError
            For what ``state`` does not write.
        """
        fields = Fields(config, "masker")
        saved = fields.value("tokenizer")
        given = params_of(cls, fields.section("params"), frozenset({"tokenizer"}))
        if tokenizer is None and saved is not None:
            tokenizer = restore_tokenizer(checked_tokenizer(saved))
        masker = cls(tokenizer, **given)
        check_options(masker)
        masker._name_players(fields.whole("n_players", 1, MOST_PLAYERS))
        fields.close()
        return masker

    def _takes_tokens(self, predictor: Any) -> bool:
        if predictor.takes not in ("tokens", "texts"):
            raise ValueError(
                f"The model takes {predictor.takes}, not texts; TextMasker is for models of "
                "tokens or strings."
            )
        if predictor.takes == "tokens" and self.tokenizer is None:
            raise ValueError("The model takes tokens: pass its tokenizer, TextMasker(tokenizer).")
        return predictor.takes == "tokens"

    def _replacement(self) -> str:
        if self.mask_string is not None:
            return self.mask_string
        if self.tokenizer is None or self.fill != "mask":
            return ""
        return str(self.tokenizer.mask_token)

    def _rules(self, predictor: Any = None) -> TokenRules:
        pad_id = getattr(self.tokenizer, "pad_token_id", None)
        mask_id = getattr(self.tokenizer, "mask_token_id", None)
        if self.fill == "mask" and mask_id is None:
            raise ValueError(no_mask(self.tokenizer))
        if pad_id is None:
            raise ValueError(no_pad(self.fill))
        mask_id = pad_id if mask_id is None else mask_id
        return TokenRules(
            fill=self.fill,
            mask_id=mask_id,
            pad_id=pad_id,
            # what takes no attention mask knows by the pad token alone where not to look
            gone_id=mask_id if _attends(getattr(predictor, "module", None)) else pad_id,
            left=getattr(self.tokenizer, "padding_side", "right") == "left",
            types="token_type_ids" in getattr(self.tokenizer, "model_input_names", ()),
        )


def _attends(module: Any) -> bool:
    """Whether a torch module takes an attention mask beside the tokens."""
    if module is None:
        return False
    return "attention_mask" in arguments(module, {"input_ids": None, "attention_mask": None})[1]
