"""Removal of tokens, words or sentences: what a player of a text is, and what replaces it."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch

from fastexplain.maskers._text_checks import NO_MASK, check_options, is_utf8
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
        What a player is. Special tokens and padding never are.

        - "token": each token; those that share a character, such as the bytes of an emoji,
          are one. Without a tokenizer, the same as "word".
        - "word": the tokens of one word together. Words are the tokenizer's, and end at white
          space at the latest.
        - "sentence": up to ``.``, ``!`` or ``?`` before white space, or a line's end.
          Abbreviations such as "e.g. " end a sentence, too.
    fill : {"mask", "pad", "delete"}, default="mask"
        What a removed player's tokens become.

        - "mask": the tokenizer's mask token, each of them. Models trained with one know it.
        - "pad": padding, at which the model does not look; the other tokens keep their places.
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

    Attributes
    ----------
    feature_names_ : list of str
        ``"token 0"``, ``"word 3"``: places for the players of the longest text given to
        ``fit``. Later texts may have more.

    Notes
    -----
    A text may be empty or, with a tokenizer that drops all its characters, have no player; but
    not all texts at a time. If everything was removed from a text and there are no special
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
    ) -> None:
        self.tokenizer = tokenizer
        self.unit = unit
        self.fill = fill
        self.max_length = max_length
        self.mask_string = mask_string

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
            If no text has a player.

        Warns
        -----
        UserWarning
            If texts were cut to `max_length`, once.
        """
        check_options(self)
        if isinstance(X, Texts):
            return X
        strings = as_strings(X)
        if self.tokenizer is None:
            split = sentence_spans if self.unit == "sentence" else word_spans
            texts = Texts(strings, [split(text) for text in strings])
        else:
            texts = self._tokenized(strings)
        if not texts.sizes.any():
            raise ValueError(
                "None of the texts has a player: they are empty, or the tokenizer drops all "
                "their characters. There is nothing to explain; leave empty texts out, or give "
                "them beside others, where they get no values."
            )
        return texts

    def _tokenized(self, strings: list[str]) -> Texts:
        for row, text in enumerate(strings):
            if not is_utf8(text):
                raise ValueError(
                    f"Row {row} holds half of a surrogate pair, which no tokenizer takes; decode "
                    "the text anew, or use text.encode('utf-8', 'replace').decode()."
                )
        limit = longest_input(self.tokenizer, self.max_length)
        encoded, n_cut = tokenize(self.tokenizer, strings, limit)
        if n_cut:
            warnings.warn(
                f"{n_cut} of {len(strings)} texts have more than {limit} tokens and were cut; "
                "what was cut is no player. max_length= sets the limit.",
                stacklevel=3,
            )
        spans, players = [], []
        for text, own in zip(strings, encoded, strict=True):
            inside = ~own.special
            words = None if own.words is None else own.words[inside]
            player = np.full(len(own.ids), -1)
            player[inside], found = group_tokens(text, own.offsets[inside], words, self.unit)
            spans.append(found)
            players.append(player)
        return Texts(strings, spans, [own.ids for own in encoded], players)

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
        """
        self._name_players(int(self.wrap(X).sizes.max()))
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
            return TokenInputs(texts, self._rules())
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
            words = word_spans(text) if self.unit == "sentence" else spans
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
            For a tokenizer that is not a fast one.
        """
        config = {
            "unit": self.unit,
            "fill": self.fill,
            "max_length": self.max_length,
            "mask_string": self.mask_string,
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
        """
        if tokenizer is None and config["tokenizer"] is not None:
            tokenizer = restore_tokenizer(config["tokenizer"])
        options = {name: config[name] for name in ("unit", "fill", "max_length", "mask_string")}
        masker = cls(tokenizer, **options)
        check_options(masker)
        masker._name_players(config["n_players"])
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

    def _rules(self) -> TokenRules:
        pad_id = getattr(self.tokenizer, "pad_token_id", None)
        if pad_id is None:
            raise ValueError(
                "The tokenizer has no pad token, which batches of texts need. Set one that the "
                "model knows, as in tokenizer.pad_token = tokenizer.eos_token, and tell the model, "
                "model.config.pad_token_id = tokenizer.pad_token_id."
            )
        mask_id = getattr(self.tokenizer, "mask_token_id", None)
        if self.fill == "mask" and mask_id is None:
            raise ValueError(NO_MASK)
        return TokenRules(
            fill=self.fill,
            mask_id=pad_id if mask_id is None else mask_id,
            pad_id=pad_id,
            left=getattr(self.tokenizer, "padding_side", "right") == "left",
            types="token_type_ids" in getattr(self.tokenizer, "model_input_names", ()),
        )
