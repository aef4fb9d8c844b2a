"""The same words in a text: is their order in the rows more than their co-occurrence?"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np

from trials.circles.kind import CirclesConfig
from trials.circles.labelled import MIN_WORDS, Labelled
from trials.inputs.corpora.reading import read_pieces
from trials.inputs.corpora.uri import parse_corpus
from trials.inputs.lexicon.ordered_sets import OrderedTokens
from trials.kernels.structure import circularity, order_beyond

_WORD = re.compile(r"[^\W\d_]+|\d+")
_WINDOW = 5
_N_CONTEXTS = 2000
_FEWEST = 20
"""Occurrences of a word below which its row of counts is mostly noise."""


def cooccurrence_columns(config: CirclesConfig, labelled: Labelled) -> dict[str, list[Any]]:
    """Per set, by column: the order of the words' PPMI rows, and the order of the rows beyond it.

    `text_order` is "not run" without a text, and "too few words" where fewer than six words of the
    set occur 20 times; p-values are NaN in both cases.
    """
    columns: dict[str, list[Any]] = {"text_order": [], "p_text": [], "p_beyond_text": []}
    words = {word.casefold() for tokens in labelled.sets for word in tokens.words}
    known: dict[str, np.ndarray] = {}
    if config.cooccurrence_text:
        pieces = read_pieces(parse_corpus(config.cooccurrence_text), config.cooccurrence_bytes)
        known = ppmi_rows((piece.text for piece in pieces), words)
    for i, tokens in enumerate(labelled.sets):
        found = _one_set(config, labelled.rows, tokens, known, [config.seed, 71, i])
        for column, value in zip(columns.values(), found, strict=True):
            column.append(value)
    return columns


def _one_set(
    config: CirclesConfig,
    rows: np.ndarray,
    tokens: OrderedTokens,
    known: dict[str, np.ndarray],
    seed: list[int],
) -> tuple[str, float, float]:
    if not config.cooccurrence_text:
        return "not run", float("nan"), float("nan")
    kept = [i for i, word in enumerate(tokens.words) if word.casefold() in known]
    if len(kept) < MIN_WORDS:
        return "too few words", float("nan"), float("nan")
    places = np.array(tokens.places)[kept]
    text = np.stack([known[tokens.words[i].casefold()] for i in kept])
    ours = rows[np.array(tokens.positions)[kept]]
    rng = np.random.default_rng(seed)
    n = config.n_permutations
    in_text = circularity(text, places, tokens.period, n_permutations=n, rng=rng)
    beyond = order_beyond(ours, text, places, tokens.period, n_permutations=n, rng=rng)
    order = "in order" if min(in_text.p, in_text.p_curve) <= 0.05 / 2 else "none"
    return order, in_text.p, beyond


def ppmi_rows(texts: Iterable[str], words: set[str]) -> dict[str, np.ndarray]:
    """max(0, ln p(word, context) / (p(word) p(context))) of the words that occur 20 times.

    Contexts are the 2000 commonest words, within 5 words on either side; case is ignored. Source:
    Levy and Goldberg 2014.
    """
    ids: dict[str, int] = {}
    read = [np.zeros(0, dtype=np.int64)]
    for text in texts:
        found = _WORD.findall(text.casefold())
        read.append(np.array([ids.setdefault(word, len(ids)) for word in found], dtype=np.int64))
    stream = np.concatenate(read)
    totals = np.bincount(stream, minlength=len(ids))
    common = Counter(dict(enumerate(totals.tolist()))).most_common(_N_CONTEXTS)
    context = np.full(len(ids), -1)
    context[[word for word, _ in common]] = np.arange(len(common))
    asked = sorted(word for word in words if word in ids and totals[ids[word]] >= _FEWEST)
    target = np.full(len(ids), -1)
    target[[ids[word] for word in asked]] = np.arange(len(asked))
    if not asked:
        return {}
    counts = np.zeros((len(asked), len(common)))
    for apart in range(1, _WINDOW + 1):
        for left, right in ((stream[:-apart], stream[apart:]), (stream[apart:], stream[:-apart])):
            rows, columns = target[left], context[right]
            seen = (rows >= 0) & (columns >= 0)
            np.add.at(counts, (rows[seen], columns[seen]), 1)
    of_context = np.array([n for _, n in common], dtype=float)
    expected = counts.sum(axis=1, keepdims=True) * (of_context / of_context.sum())
    with np.errstate(divide="ignore"):
        ppmi = np.maximum(0, np.log(counts / np.maximum(expected, np.finfo(float).tiny)))
    return dict(zip(asked, ppmi, strict=True))
