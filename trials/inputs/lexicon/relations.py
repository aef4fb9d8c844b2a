"""Pairs of tokens that stand in one relation, found in a vocabulary by spelling and from lists.

Rules are conservative: a wrong pair hides structure. Both sides must be single tokens of more than
three letters, and what a rule takes for a verb must show it by other forms of its own (" walked"
and " walking" make " walks" a verb's). A word's variants are not counted as so many pairs: one pair
a word family, so that the pairs of a relation are independent of each other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from trials.inputs.lexicon.forms import TokenForms
from trials.inputs.lexicon.spelling import (
    adverb_forms,
    degree_forms,
    participle_forms,
    past_forms,
    s_forms,
    without_e,
)
from trials.inputs.lexicon.word_pairs import LISTED
from trials.inputs.splits import stratified_sample, word_family


class Relation(NamedTuple):
    """Pairs of tokens in one relation, no two of the same word family.

    Attributes:
        name: of the relation.
        pairs: (n_pairs, 2) int64 positions of the tokens, from and to.
        n_found: pairs of different word families before the sample.
    """

    name: str
    pairs: np.ndarray
    n_found: int


class Relations(NamedTuple):
    """Relations with enough pairs, and those with too few: their names and numbers of pairs."""

    found: tuple[Relation, ...]
    too_few: dict[str, int]


def find_relations(
    names: Sequence[str],
    probabilities: np.ndarray,
    *,
    n_pairs_min: int,
    n_pairs_max: int,
    rng: np.random.Generator,
) -> Relations:
    """Every relation of `RELATIONS` among tokens with these texts.

    More than `n_pairs_max` pairs are sampled, evenly by the frequency of the first token.
    """
    vocabulary = _Vocabulary(names)
    found: list[Relation] = []
    too_few: dict[str, int] = {}
    for name, candidates in RELATIONS.items():
        pairs = _of_different_families(candidates(vocabulary), names, rng)
        if len(pairs) < n_pairs_min:
            too_few[name] = len(pairs)
            continue
        n_found = len(pairs)
        if n_found > n_pairs_max:
            pairs = pairs[stratified_sample(probabilities[pairs[:, 0]], n_pairs_max, rng)]
        found.append(Relation(name, pairs, n_found))
    return Relations(tuple(found), too_few)


class _Vocabulary:
    """Tokens by text, and the words among them, with a leading space where the tokenizer has it."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names
        self.forms = TokenForms(names)
        self.texts = frozenset(names)
        spaced = sum(name.startswith(" ") for name in names)
        self.prefix = " " if spaced * 10 > len(names) else ""
        self.words = tuple(sorted(w for w in map(self._word, self.texts) if w))

    def _word(self, text: str) -> str:
        word = text.removeprefix(self.prefix)
        plain = word.isascii() and word.isalpha() and word.islower() and len(word) > 3
        return word if plain and text == self.prefix + word else ""

    def has(self, *words: str) -> bool:
        return all(self.prefix + word in self.texts for word in words)

    def pair(self, first: str, second: str) -> tuple[int, int] | None:
        """Positions of two texts, if both are tokens, and not one."""
        ends = self.forms.position(first), self.forms.position(second)
        return (
            None if None in ends or ends[0] == ends[1] else (int(ends[0] or 0), int(ends[1] or 0))
        )


_Candidates = Callable[[_Vocabulary], Iterator[tuple[int, int]]]


def _of_different_families(
    candidates: Iterable[tuple[int, int]], names: Sequence[str], rng: np.random.Generator
) -> np.ndarray:
    """Pairs in random order, without those that share a word family with an earlier one."""
    pairs = sorted(set(candidates))
    kept: list[tuple[int, int]] = []
    seen: set[str] = set()
    for which in rng.permutation(len(pairs)):
        families = {word_family(names[end]) for end in pairs[which]}
        if not families & seen:
            seen |= families
            kept.append(pairs[which])
    return np.array(sorted(kept), dtype=np.int64).reshape(-1, 2)


def _respelled(change: Callable[[str], str], applies: Callable[[str], bool]) -> _Candidates:
    """Every token to which `change` applies, and the token that it makes."""

    def candidates(vocabulary: _Vocabulary) -> Iterator[tuple[int, int]]:
        for text in vocabulary.names:
            if text.isascii() and applies(text) and (pair := vocabulary.pair(text, change(text))):
                yield pair

    return candidates


def _derived(
    name: str, forms: Callable[[str], Sequence[str]], is_base: Callable[[_Vocabulary, str], bool]
) -> _Candidates:
    """Words that pass `is_base`, with the first of their `forms` that is a token; the list too.

    A word that the list gives as irregular has no regular form.
    """

    def candidates(vocabulary: _Vocabulary) -> Iterator[tuple[int, int]]:
        listed = dict(LISTED.get(name, ()))
        for word in vocabulary.words:
            # "serv", "clos": stems, whose forms are those of the word with its e.
            is_stem = vocabulary.has(word + "e")
            if word not in listed and not is_stem and is_base(vocabulary, word):
                made = next((form for form in forms(word) if vocabulary.has(form)), "")
                if made and (pair := vocabulary.pair(*_spaced(vocabulary, word, made))):
                    yield pair
        yield from _listed(name)(vocabulary)

    return candidates


def _listed(name: str) -> _Candidates:
    def candidates(vocabulary: _Vocabulary) -> Iterator[tuple[int, int]]:
        for first, second in LISTED.get(name, ()):
            pair = vocabulary.pair(*_spaced(vocabulary, first, second))
            if pair is None and second.isdigit():  # digits are often tokens without a space only
                pair = vocabulary.pair(vocabulary.prefix + first, second)
            if pair:
                yield pair

    return candidates


def _spaced(vocabulary: _Vocabulary, first: str, second: str) -> tuple[str, str]:
    return vocabulary.prefix + first, vocabulary.prefix + second


def _is_verb(vocabulary: _Vocabulary, word: str) -> bool:
    return vocabulary.has(*past_forms(word)[:1]) and vocabulary.has(*participle_forms(word)[:1])


def _has_verb_form(vocabulary: _Vocabulary, word: str) -> bool:
    return any(map(vocabulary.has, (*past_forms(word), *participle_forms(word))))


def _is_noun(vocabulary: _Vocabulary, word: str) -> bool:
    return not _has_verb_form(vocabulary, word) and not word.endswith(("s", "ing", "ed"))


def _has_degrees(vocabulary: _Vocabulary, word: str) -> bool:
    return vocabulary.has(*degree_forms("er")(word), *degree_forms("est")(word)) and word != "time"


def _is_verb_alone(vocabulary: _Vocabulary, word: str) -> bool:
    return _is_verb(vocabulary, word) and not vocabulary.has(*degree_forms("est")(word))


def _can_be_negated(_: _Vocabulary, word: str) -> bool:
    return word in _NEGATED or (len(word) > 5 and word.endswith(_NEGATED_ENDINGS))


def _is_any(_: _Vocabulary, word: str) -> bool:
    return word not in _NOT_BASES


_NOT_BASES = frozenset(["assemb", "earl", "gent", "hard", "home", "supp"])
_NEGATED = frozenset(
    [
        "known",
        "likely",
        "aware",
        "happy",
        "fair",
        "even",
        "equal",
        "seen",
        "born",
        "broken",
        "healthy",
        "stable",
        "popular",
        "safe",
        "sure",
        "clear",
        "certain",
        "lawful",
        "pleasant",
        "easy",
        "clean",
        "common",
        "familiar",
        "real",
        "usual",
        "fortunate",
        "paid",
    ]
)
_NEGATED_ENDINGS = ("ed", "able", "ible", "al", "ful", "ary")


def _is_lower(text: str) -> bool:
    word = text.removeprefix(" ")
    return len(word) > 2 and word.isalpha() and word.islower()


def _unspaced(text: str) -> bool:
    return len(text) > 2 and text.isalpha() and text[1:].islower()


RELATIONS: dict[str, _Candidates] = {
    "leading space": _respelled(lambda text: f" {text}", _unspaced),
    "lower to capitalised": _respelled(str.title, _is_lower),
    "lower to upper case": _respelled(str.upper, _is_lower),
    "plural": _derived("plural", s_forms, _is_noun),
    "third person": _derived("third person", s_forms, _is_verb),
    "past tense": _derived("past tense", past_forms, _is_verb),
    "-ing form": _derived("-ing form", participle_forms, _is_verb),
    "comparative": _derived("comparative", degree_forms("er"), _has_degrees),
    "superlative": _derived("superlative", degree_forms("est"), _has_degrees),
    "adverb -ly": _derived("adverb -ly", adverb_forms, _is_any),
    "agent -er": _derived("agent -er", lambda w: [without_e(w) + "er"], _is_verb_alone),
    "noun -ness": _derived("noun -ness", lambda w: [w + "ness"], _is_any),
    "noun -ment": _derived("noun -ment", lambda w: [w + "ment"], _has_verb_form),
    "noun -ion": _derived("noun -ion", lambda w: [without_e(w) + "ion"], _has_verb_form),
    "un- prefix": _derived("un- prefix", lambda w: ["un" + w], _can_be_negated),
    "re- prefix": _listed("re- prefix"),
    "number word to digit": _listed("number word to digit"),
    "country to capital": _listed("country to capital"),
    "country to adjective": _listed("country to adjective"),
    "male to female": _listed("male to female"),
    "opposite": _listed("opposite"),
}
"""Name of each relation, and what finds its candidates in a vocabulary."""
