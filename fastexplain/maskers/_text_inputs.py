"""Masked texts in the form that a model takes: token batches, or strings."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import compress

import numpy as np
import torch

from fastexplain.texts import Texts, TokenBatch

__all__ = ["StringInputs", "TokenInputs", "TokenRules", "masked_strings", "pad_tokens"]

# what ``player`` says of tokens that belong to no player
_SPECIAL, _PADDING = -1, -2


@dataclass(frozen=True)
class TokenRules:
    """How tokens are removed and padded.

    Parameters
    ----------
    fill : {"mask", "pad", "delete"}
    mask_id, pad_id : int
    gone_id : int
        What stands in the place of a token removed by ``"pad"``, unseen, where tokens follow.
        Models that count places by the ids that are no padding need another id there.
    left : bool
        Whether padding stands at the left.
    types : bool
        Whether the model takes token types.
    """

    fill: str
    mask_id: int
    pad_id: int
    gone_id: int
    left: bool
    types: bool

    def batch(
        self, ids: torch.Tensor, attention: torch.Tensor, places: torch.Tensor | None = None
    ) -> TokenBatch:
        """Batch of ids (B, L) where the model looks at those marked in a bool tensor (B, L).

        ``places`` (B, L) marks what is no padding between texts: removed tokens that keep their
        places as well. Default: where the model looks.
        """
        gone = torch.zeros_like(attention)
        if places is not None:
            # behind the last token that is seen, padding changes no place, and models that look
            # for a text's last token find it
            behind = attention.flip(1).cumsum(dim=1).flip(1) == 0
            gone = places & ~attention & ~behind
        ids = torch.where(attention, ids, torch.where(gone, self.gone_id, self.pad_id))
        # a model that looks at nothing answers NaN: of a text without any token it sees one
        # padding token
        blind = ~attention.any(dim=1)
        if bool(blind.any()):
            attention = attention.clone()
            attention[blind, -1 if self.left else 0] = True
            if places is not None:
                places = torch.where(blind[:, None], attention, places)
        start = None
        if self.left:
            length = (attention if places is None else places).sum(dim=1).clamp(min=1)
            start = ids.shape[1] - length
        types = torch.zeros_like(ids) if self.types else None
        return TokenBatch(ids, attention.long(), types, start)


def pad_tokens(texts: Texts, pad_id: int, left: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
    """Tokens of n texts as one block, as long as the longest text has tokens, at least 1.

    Returns
    -------
    ids : int64 tensor of shape (n, L)
    player : int64 tensor of shape (n, L)
        -1 for special tokens, -2 for padding.
    """
    assert texts.ids is not None and texts.player is not None
    lengths = torch.tensor([len(own) for own in texts.ids], dtype=torch.int64)
    blocks = []
    for parts, blank in ((texts.ids, pad_id), (texts.player, _PADDING)):
        flat = np.concatenate([np.zeros(0, dtype=np.int64), *parts])
        blocks.append(_spread(torch.from_numpy(flat), lengths, blank, left))
    return blocks[0], blocks[1]


def _spread(flat: torch.Tensor, lengths: torch.Tensor, blank: int, left: bool) -> torch.Tensor:
    """Rows of the given lengths that lie one after the other in ``flat``, as a matrix."""
    width = max(int(lengths.max()) if len(lengths) else 0, 1)
    block = flat.new_full((len(lengths), width), blank)
    places = torch.arange(width)
    if left:
        block[places >= width - lengths[:, None]] = flat
    else:
        block[places < lengths[:, None]] = flat
    return block


class TokenInputs:
    """Masked token batches of a set of texts.

    Parameters
    ----------
    texts : Texts of n texts, with tokens
    rules : TokenRules
    """

    def __init__(self, texts: Texts, rules: TokenRules) -> None:
        self.texts = texts
        self.rules = rules

    def __call__(self, masks: np.ndarray, rows: slice) -> TokenBatch:
        """Tokens of B texts under T masks.

        Parameters
        ----------
        masks : bool ndarray of shape (B, T, M) or (1, T, M)
            M is at least the number of players of the longest text.
        rows : slice
            The B texts.

        Returns
        -------
        TokenBatch of B * T rows
            Masks vary fastest.
        """
        texts = self.texts.take(rows)
        _check_width(masks, texts)
        ids, player = pad_tokens(texts, self.rules.pad_id, self.rules.left)
        kept = _kept_tokens(masks, player)
        ids = ids[:, None].expand_as(kept).flatten(0, 1)
        attention = (player != _PADDING)[:, None].expand_as(kept).flatten(0, 1)
        kept = kept.flatten(0, 1)
        if self.rules.fill == "mask":
            return self.rules.batch(torch.where(kept, ids, self.rules.mask_id), attention)
        places, kept = attention, kept & attention
        if self.rules.fill == "delete":
            # what is left moves together: in order, it fills the first places of each row
            left, pad_id = self.rules.left, self.rules.pad_id
            lengths = kept.sum(dim=1)
            ids = _spread(ids[kept], lengths, pad_id, left)
            kept = _spread(torch.ones(int(lengths.sum()), dtype=torch.bool), lengths, False, left)
            places = kept
        return self.rules.batch(ids, kept, places)


def _kept_tokens(masks: np.ndarray, player: torch.Tensor) -> torch.Tensor:
    """Whether each token (B, L) is kept under each mask, bool (B, T, L)."""
    n_texts, n_masks, width = len(player), masks.shape[1], masks.shape[2]
    block = torch.ones((len(masks), n_masks, width + 1), dtype=torch.bool)
    block[:, :, :width] = torch.from_numpy(np.ascontiguousarray(masks, dtype=bool))
    # tokens of no player are looked up in a column that is always kept
    place = torch.where(player < 0, width, player)
    if len(masks) == 1:
        return block[0].t()[place].transpose(1, 2).contiguous()
    place = place[:, None].expand(n_texts, n_masks, place.shape[1])
    return block.gather(2, place)


def _check_width(masks: np.ndarray, texts: Texts) -> None:
    longest = int(texts.sizes.max(initial=0))
    if masks.shape[2] < longest:
        raise ValueError(
            f"masks have {masks.shape[2]} players, but one of these texts has {longest}; make "
            "them as wide as null_players(texts) is."
        )


class StringInputs:
    """Masked strings of a set of texts.

    Parameters
    ----------
    texts : Texts of n texts
    replacement : str
        What stands in the place of a removed player; players are cut out if it is empty.
    """

    def __init__(self, texts: Texts, replacement: str) -> None:
        self.texts = texts
        self.replacement = replacement

    def __call__(self, masks: np.ndarray, rows: slice) -> np.ndarray:
        """Strings of B texts under T masks.

        Parameters
        ----------
        masks : bool ndarray of shape (B, T, M) or (1, T, M)
            M is at least the number of players of the longest text.
        rows : slice
            The B texts.

        Returns
        -------
        object ndarray of shape (B * T,)
            Masks vary fastest.
        """
        texts = self.texts.take(rows)
        _check_width(masks, texts)
        n_masks = masks.shape[1]
        result = np.empty(len(texts) * n_masks, dtype=object)
        for i, (text, spans) in enumerate(zip(texts.native, texts.spans, strict=True)):
            own = masks[i if len(masks) > 1 else 0]
            result[i * n_masks : (i + 1) * n_masks] = masked_strings(
                text, spans, own, self.replacement
            )
        return result


def masked_strings(text: str, spans: np.ndarray, masks: np.ndarray, replacement: str) -> list[str]:
    """One text under T masks.

    Where players are cut out, the white space on both sides of them becomes one: of what lies
    between two kept players, the first white space stays. Characters of no player stay, too.

    Parameters
    ----------
    text : str
    spans : int ndarray of shape (N, 2)
    masks : bool ndarray of shape (T, M), with M >= N
    replacement : str

    Returns
    -------
    list of T str

    Examples
    --------
    >>> import numpy as np
    >>> spans = np.array([[0, 3], [5, 9], [10, 14]])
    >>> masks = np.array([[True, False, True], [False, True, False]])
    >>> masked_strings("the  good film", spans, masks, "")
    ['the  film', 'good']
    >>> masked_strings("the  good film", spans, masks, "?")
    ['the  ? film', '?  good ?']
    """
    keep = np.ones((len(masks), len(spans) + 1), dtype=bool)
    keep[:, : len(spans)] = masks[:, : len(spans)]
    pieces: list[str] = []
    flags: list[np.ndarray] = []
    blanks, units, players = _dissect(text, spans)
    keep = keep[:, players]
    if replacement:
        stays = np.ones((len(masks), len(blanks)), dtype=bool)
    else:
        stays = _kept_blanks(blanks, keep)
    for j, unit in enumerate(units):
        pieces += [blanks[j], unit]
        flags += [stays[:, j], keep[:, j]]
        if replacement:
            pieces.append(replacement)
            flags.append(~keep[:, j])
    pieces.append(blanks[-1])
    flags.append(stays[:, -1])
    # bytes are the fastest truth values that compress reads
    rows = np.stack(flags, axis=1).astype(np.uint8)
    return ["".join(compress(pieces, row.tobytes())) for row in rows]


def _dissect(text: str, spans: np.ndarray) -> tuple[list[str], list[str], list[int]]:
    """Split a text at its players.

    Returns
    -------
    blanks : list of m + 1 str
        White space before each unit, and after the last; may be empty.
    units : list of m str
        Players, and characters between them that belong to none.
    players : list of m int
        Player of each unit; N for those of none.
    """
    blanks: list[str] = []
    units: list[str] = []
    players: list[int] = []
    position = 0
    for player, (start, end) in enumerate([*spans.tolist(), (len(text), len(text))]):
        gap = text[position:start]
        solid = gap.strip()
        if solid:
            lead = len(gap) - len(gap.lstrip())
            blanks.append(gap[:lead])
            units.append(solid)
            players.append(len(spans))
            gap = gap[lead + len(solid) :]
        blanks.append(gap)
        if player < len(spans):
            units.append(text[start:end])
            players.append(player)
        position = end
    return blanks, units, players


def _kept_blanks(blanks: list[str], keep: np.ndarray) -> np.ndarray:
    """Which white space stays where units (T, m) that are not kept are cut out."""
    n_units = keep.shape[1]
    stays = np.zeros((len(keep), n_units + 1), dtype=bool)
    # around the whole text it is nobody's to take away
    stays[:, [0, n_units]] = True
    inner = np.array([j for j in range(1, n_units) if blanks[j]], dtype=int)
    if len(inner):
        counts = keep.cumsum(axis=1)
        before = counts[:, inner - 1]
        first = np.ones(before.shape, dtype=bool)
        first[:, 1:] = before[:, 1:] != before[:, :-1]
        stays[:, inner] = first & (before > 0) & (before < counts[:, -1:])
    return stays
