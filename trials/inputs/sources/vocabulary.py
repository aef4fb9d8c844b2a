"""Token strings, special rows and merge ranks, from whatever a vocabulary is stored as."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from trials.api import TrialError

Alphabet = Literal["bytes", "metaspace", "plain"]
"""How a piece encodes its text: GPT-2's characters for bytes, "▁" for a space, or plainly."""

_BYTE_PIECE = re.compile(r"<0x([0-9A-Fa-f]{2})>")
# Reserved rows that tokenizer files do not flag as special.
UNUSED = re.compile(r"[\[<]\|?(unused|reserved)[\w ]*\|?[\]>]", re.IGNORECASE)


class Vocabulary(NamedTuple):
    """The rows' texts.

    Attributes:
        tokens: decoded text of each row; bytes that are not UTF-8 are shown as backslash-xNN.
        special: (n_vocab,) bool; control, unused and padding rows.
        merge_rank: (n_vocab,) int64, a permutation; 0 is what the tokenizer learned first.
            It is a proxy for the frequency rank in Zipf's law.
        rank_from: what the ranks were read from.
    """

    tokens: tuple[str, ...]
    special: np.ndarray
    merge_rank: np.ndarray
    rank_from: str

    def padded(self, n_vocab: int) -> Vocabulary:
        """Cut or padded with special rows to `n_vocab` rows: matrices are often padded."""
        n_missing = max(0, n_vocab - len(self.tokens))
        fill = tuple(f"<padding {i}>" for i in range(len(self.tokens), n_vocab))
        special = np.concatenate([self.special, np.ones(n_missing, dtype=bool)])[:n_vocab]
        learned = np.concatenate([self.merge_rank, np.full(n_missing, np.iinfo(np.int64).max)])
        ranks = _dense(learned[:n_vocab], special)
        return Vocabulary((*self.tokens, *fill)[:n_vocab], special, ranks, self.rank_from)


def named_rows(tokens: Sequence[str]) -> Vocabulary:
    """A vocabulary of plain texts, ranked by row: vocabularies are written in the order learned."""
    n = len(tokens)
    return Vocabulary(tuple(tokens), np.zeros(n, dtype=bool), np.arange(n), "row order")


def numbered_rows(n_vocab: int) -> Vocabulary:
    """The vocabulary of a matrix without one: "#0", "#1", ..."""
    return named_rows([f"#{i}" for i in range(n_vocab)])


def from_pieces(
    pieces: Sequence[str],
    *,
    alphabet: Alphabet,
    special: np.ndarray,
    verbatim: frozenset[int] = frozenset(),
    merges: Sequence[tuple[str, str]] = (),
    scores: Sequence[float] = (),
) -> Vocabulary:
    """Decode pieces and rank them.

    BPE: by the first merge that makes or uses the piece. So a single byte or character comes right
    before the first merge that needs it, since it was at least as frequent as that pair. Pieces
    that no merge uses come last, except visible ASCII: the pre-tokenizer of many models keeps such
    characters (digits) from merging however common they are, so they get the median rank of the
    ASCII characters that do merge. Scores (Unigram): by falling score. Neither: by row. Special
    rows are last.

    Args:
        pieces: the vocabulary as stored, in the order of the rows.
        special: (n_vocab,) bool.
        verbatim: rows whose piece is plain text already (added tokens).
        merges: pairs in the order learned.
        scores: log-probabilities, one per piece.
    """
    texts = tuple(
        piece if row in verbatim or special[row] else _text_of(piece, alphabet)
        for row, piece in enumerate(pieces)
    )
    special = special | np.array([bool(UNUSED.fullmatch(piece)) for piece in pieces], dtype=bool)
    if merges:
        learned = _first_uses(pieces, merges)
        rank_from = "BPE merges"
    elif len(scores) == len(pieces):
        # Byte pieces have a score of 0, which would rank them as the most frequent.
        learned = [
            math.inf if _BYTE_PIECE.fullmatch(piece) else -score
            for piece, score in zip(pieces, scores, strict=True)
        ]
        rank_from = "scores"
    else:
        learned = list(range(len(pieces)))
        rank_from = "row order"
    return Vocabulary(texts, special, _dense(np.array(learned, dtype=float), special), rank_from)


def from_tokenizer_json(text: str) -> Vocabulary:
    """The vocabulary of a `tokenizer.json`; rows without a token are special.

    Raises:
        TrialError: not a tokenizer file.
    """
    try:
        document = json.loads(text)
        model = document["model"]
        scores, merges = [], []
        if isinstance(model["vocab"], dict):
            piece_of = {int(row): str(piece) for piece, row in model["vocab"].items()}
            merges = [_pair(merge) for merge in model.get("merges") or ()]
        else:
            piece_of = {row: str(piece) for row, (piece, _) in enumerate(model["vocab"])}
            scores = [float(score) for _, score in model["vocab"]]
        added = {int(token["id"]): token for token in document.get("added_tokens") or ()}
        piece_of |= {row: str(token["content"]) for row, token in added.items()}
        n_rows = max(piece_of) + 1
        if min(piece_of) < 0 or n_rows > 2 * len(piece_of) + 4096:
            raise ValueError("token ids out of range")
    except ValueError as problem:
        raise _not_readable(str(problem)) from problem
    except (LookupError, TypeError, AttributeError, OverflowError, RecursionError) as problem:
        raise _not_readable(
            "it needs model.vocab, which gives a row for each piece or a list of pieces with "
            "scores, and perhaps model.merges and added_tokens with ids and content"
        ) from problem
    special = np.array(
        [row not in piece_of or bool(added.get(row, {}).get("special")) for row in range(n_rows)],
        dtype=bool,
    )
    return from_pieces(
        [piece_of.get(row, f"<no token {row}>") for row in range(n_rows)],
        alphabet=_alphabet(document),
        special=special,
        verbatim=frozenset(added),
        merges=merges,
        scores=[*scores, *[-math.inf] * (n_rows - len(scores))] if scores else (),
    )


def _not_readable(problem: str) -> TrialError:
    return TrialError(
        f"not a readable tokenizer.json ({problem}); save it again with the tokenizers package"
    )


def _first_uses(pieces: Sequence[str], merges: Sequence[tuple[str, str]]) -> list[float]:
    first_use: dict[str, float] = {}
    for left, right in merges:
        for piece in (left, right, left + right):
            first_use.setdefault(piece, float(len(first_use)))
    visible = [piece for piece in pieces if len(piece) == 1 and "!" <= piece <= "~"]
    typical = float(np.median([first_use[c] for c in visible if c in first_use] or [math.inf]))
    first_use = dict.fromkeys(visible, typical) | first_use
    return [first_use.get(piece, math.inf) for piece in pieces]


def _pair(merge: Any) -> tuple[str, str]:
    left, right = merge.split(" ", 1) if isinstance(merge, str) else merge
    return str(left), str(right)


def _alphabet(document: dict[str, Any]) -> Alphabet:
    spelling = json.dumps(
        [document.get("decoder"), document.get("pre_tokenizer")], ensure_ascii=False
    )
    if '"ByteLevel"' in spelling:
        return "bytes"
    return "metaspace" if "▁" in spelling else "plain"


def _dense(learned: np.ndarray, special: np.ndarray) -> np.ndarray:
    """Ranks 0 .. n-1 by `learned`, then by row, with special rows last; a permutation."""
    ranks = np.empty(len(learned), dtype=np.int64)
    ranks[np.lexsort((np.arange(len(learned)), learned, special))] = np.arange(len(learned))
    return ranks


def _byte_of_character() -> dict[str, int]:
    """GPT-2's alphabet: printable Latin-1 maps to itself, other bytes to U+0100 onwards."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {
        chr(0x100 + place): byte for place, byte in enumerate(others)
    }


_BYTE_OF = _byte_of_character()


def _text_of(piece: str, alphabet: Alphabet) -> str:
    if alphabet == "bytes":
        try:
            return bytes(_BYTE_OF[c] for c in piece).decode("utf-8", "backslashreplace")
        except KeyError:
            return piece
    if alphabet == "metaspace":
        if match := _BYTE_PIECE.fullmatch(piece):
            return bytes.fromhex(match[1]).decode("utf-8", "backslashreplace")
        return piece.replace("▁", " ")
    return piece
