"""Which tokens of a vocabulary can be written, and which of their rows training has changed.

Rows that were never trained pass for structure: they are near one another, and no training removes
their error.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import numpy as np

from trials.api import TrialError
from trials.inputs.digests import text_digest
from trials.inputs.sources import EmbeddingMatrix
from trials.inputs.sources.loaded import NoTokenizer
from trials.inputs.sources.vocabulary import UNUSED
from trials.inputs.token_counts import kept_numbers

TokenSort = Literal["all", "reachable", "trained"]
N_UNUSED = 8
"""Rows that must be known to be unused, so that they can say what an unused row looks like."""

_UNCHANGED = 0.01
_SAMPLE, _PART = 20_000, 4096  # rows that are taken at once, in float64
_N_POWER_STEPS = 50
_ANCHOR = "\n"
# Rows without a token. Other special rows than these and reserved ones are trained.
_NO_TOKEN = re.compile(r"<(padding|no token) \d+>")
# Bytes that occur in no UTF-8 text, as tokens of a byte-level vocabulary.
_IMPOSSIBLE = {f"\\x{byte:02x}" for byte in (0xC0, 0xC1, *range(0xF5, 0x100))}


class TokenSorts(NamedTuple):
    """Sorts of the rows of a matrix.

    Attributes:
        reachable: (n_vocab,) bool, or why it is not known.
        trained: (n_vocab,) bool, or why it is not known.
        rule: how it was told which rows are trained.
    """

    reachable: np.ndarray | str
    trained: np.ndarray | str
    rule: str = ""

    def of(self, sort: str) -> np.ndarray:
        """The rows of a sort, "reachable" or "trained". TrialError: it is not known."""
        found: np.ndarray | str = getattr(self, sort)
        if isinstance(found, str):
            raise TrialError(f"tokens: {sort} cannot be told: {found}; use tokens: all")
        return found

    def counts(self, ordinary: np.ndarray) -> dict[str, str]:
        """The number of each sort among the tokens `ordinary`, for the record."""
        told = {}
        for sort, found in (("reachable", self.reachable), ("trained", self.trained)):
            if isinstance(found, str):
                told[f"tokens_{sort}"] = f"unknown: {found}"
            else:
                told[f"tokens_{sort}"] = f"{int(found[ordinary].sum())} of {len(ordinary)}"
        if self.rule:
            told["tokens_trained"] += f", {self.rule}"
        return told


UNKNOWN = TokenSorts("not looked at", "not looked at")


def token_sorts(
    matrix: EmbeddingMatrix,
    load_tokenizer: Callable[[], Any],
    initial: EmbeddingMatrix | None = None,
) -> TokenSorts:
    """The sorts of the rows of a matrix.

    Args:
        matrix: with its vocabulary.
        load_tokenizer: gives a `tokenizers.Tokenizer`, or raises TrialError.
        initial: the matrix before training, where it is known.
    """
    try:
        reachable: np.ndarray | str = reachable_tokens(load_tokenizer(), len(matrix.tokens))
    except NoTokenizer:
        reachable = "the source has no tokenizer"
    except TrialError as error:
        reachable = str(error)
    unused = known_unused(matrix.tokens, matrix.special)
    rules, untrained = [], np.zeros(len(matrix.rows), dtype=bool)
    if len(unused) >= N_UNUSED:
        key = text_digest("like unused", matrix.digest, *map(str, unused))
        untrained |= kept_numbers(key, lambda: like_unused(matrix.rows, unused).astype(float)) > 0
        rules.append(f"others lie as close to the mean of {len(unused)} unused rows as those do")
    if initial is not None:
        key = text_digest("unchanged", matrix.digest, initial.digest)
        rows, first = matrix.rows, initial.rows
        unchanged = kept_numbers(key, lambda: unchanged_rows(rows, first).astype(float)) > 0
        untrained |= unchanged
        rules.append(f"{int(unchanged.sum())} rows of the matrix are still what they were")
    if not rules:
        why = f"{len(unused)} rows are known to be unused, and {N_UNUSED} are needed"
        return TokenSorts(reachable, why)
    return TokenSorts(reachable, ~untrained, "; ".join(rules))


def reachable_tokens(tokenizer: Any, n_vocab: int) -> np.ndarray:
    """Whether encode(decode(token)) is the token, alone or at the start of a line; (n_vocab,) bool.

    The start of a line reaches tokens without the space that some tokenizers put before a text. A
    token of bytes that are no whole character is not reachable by this rule.
    """
    key = text_digest("reachable", tokenizer.to_str(), str(n_vocab))
    return kept_numbers(key, lambda: _reachable(tokenizer, n_vocab).astype(float)) > 0


def known_unused(tokens: tuple[str, ...], special: np.ndarray) -> np.ndarray:
    """Rows that no text can have trained: padding, reserved rows, bytes that UTF-8 never has."""
    return np.array(
        [
            row
            for row, token in enumerate(tokens)
            if (special[row] and (_NO_TOKEN.fullmatch(token) or UNUSED.fullmatch(token)))
            or token in _IMPOSSIBLE
        ],
        dtype=np.int64,
    )


def like_unused(rows: np.ndarray, unused: np.ndarray) -> np.ndarray:
    """Rows that lie as near to the mean of unused rows as unused rows do; (n_vocab,) bool.

    Two indicators of Land and Bartolo ("Fishing for Magikarp", 2024): the Euclidean distance, and
    the cosine distance after the first principal component of the matrix, a constant that all rows
    share, is removed. Each is compared with the largest distance of an unused row from the mean of
    the others. So a further unused row is told with probability of at least (n - 1) / (n + 1).
    """
    component = _first_component(rows)
    near = np.ones(len(rows), dtype=bool)
    for distance in (_euclidean, _cosine):
        removed = component if distance is _cosine else np.zeros_like(component)
        some = _without(rows[unused], removed)
        total = some.sum(axis=0)
        limit = max(float(distance(row[None], (total - row) / (len(some) - 1))[0]) for row in some)
        near &= _distances(rows, removed, total / len(some), distance) <= limit
    near[unused] = True
    return near


def unchanged_rows(rows: np.ndarray, initial: np.ndarray) -> np.ndarray:
    """Rows that are a multiple of what they were, but for 1 % of their length; (n_vocab,) bool.

    Weight decay shrinks a row that no text trains, and rounding changes it by less than that.
    """
    unchanged = np.empty(len(rows), dtype=bool)
    for part in _parts(len(rows)):
        now, then = rows[part].astype(np.float64), initial[part].astype(np.float64)
        squares = (then**2).sum(axis=1)
        dots = (now * then).sum(axis=1)
        scale = np.divide(dots, squares, out=np.zeros_like(squares), where=squares > 0)
        change = ((now - scale[:, None] * then) ** 2).sum(axis=1)
        unchanged[part] = change <= _UNCHANGED**2 * (now**2).sum(axis=1)
    return unchanged


def _reachable(tokenizer: Any, n_vocab: int) -> np.ndarray:
    n_known = min(n_vocab, tokenizer.get_vocab_size(with_added_tokens=True))
    texts = tokenizer.decode_batch([[i] for i in range(n_known)], skip_special_tokens=False)
    reached = np.zeros(n_vocab, dtype=bool)
    for lead in ("", _ANCHOR):
        left = np.flatnonzero(~reached[:n_known])
        led = tokenizer.encode_batch_fast([lead + texts[i] for i in left], add_special_tokens=False)
        before = tokenizer.encode(lead, add_special_tokens=False).ids
        for i, encoding in zip(left, led, strict=True):
            reached[i] = encoding.ids == [*before, i]
    return reached


def _parts(n_rows: int) -> list[slice]:
    """Parts of the rows: float64 copies of a large matrix would not fit."""
    return [slice(start, start + _PART) for start in range(0, n_rows, _PART)]


def _first_component(rows: np.ndarray) -> np.ndarray:
    """Leading right singular vector of some of the rows, by power iteration, (d_model,)."""
    some = rows[:: max(1, len(rows) // _SAMPLE)].astype(np.float64)
    gram = some.T @ some
    vector = some.sum(axis=0) + 1e-12
    for _ in range(_N_POWER_STEPS):
        vector = gram @ (vector / max(float(np.linalg.norm(vector)), 1e-300))
    return np.asarray(vector / max(float(np.linalg.norm(vector)), 1e-300))


def _without(rows: np.ndarray, component: np.ndarray) -> np.ndarray:
    rows = rows.astype(np.float64)
    return np.asarray(rows - np.outer(rows @ component, component))


def _distances(
    rows: np.ndarray,
    removed: np.ndarray,
    centre: np.ndarray,
    distance: Callable[[np.ndarray, np.ndarray], np.ndarray],
) -> np.ndarray:
    parts = _parts(len(rows))
    return np.concatenate([distance(_without(rows[part], removed), centre) for part in parts])


def _euclidean(rows: np.ndarray, centre: np.ndarray) -> np.ndarray:
    return np.asarray(np.linalg.norm(rows - centre, axis=1))


def _cosine(rows: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """1 - cosine; 0 for a row of zeros, which nothing has trained."""
    sizes = np.linalg.norm(rows, axis=1) * np.linalg.norm(centre)
    dots = rows @ centre
    return np.asarray(1 - np.divide(dots, sizes, out=np.ones_like(dots), where=sizes > 0))
