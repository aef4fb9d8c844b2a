"""Relations are found by spelling and from lists, and wrong pairs are not."""

from __future__ import annotations

import numpy as np
import pytest

from trials.inputs.lexicon.relations import RELATIONS, Relations, find_relations
from trials.inputs.lexicon.word_pairs import LISTED
from trials.inputs.splits import word_family


def relations(words: str, *, n_pairs_min: int = 1, n_pairs_max: int = 100, seed: int = 0):
    names = [f" {word}" for word in words.split()]
    found = find_relations(
        names,
        np.full(len(names), 1 / len(names)),
        n_pairs_min=n_pairs_min,
        n_pairs_max=n_pairs_max,
        rng=np.random.default_rng(seed),
    )
    return names, found


def words_of(names: list[str], found: Relations) -> dict[str, set[str]]:
    return {
        r.name: {f"{names[i].strip()}>{names[j].strip()}" for i, j in r.pairs} for r in found.found
    }


@pytest.mark.parametrize(
    ("words", "relation", "pair"),
    [
        ("river rivers", "plural", "river>rivers"),
        ("city cities", "plural", "city>cities"),
        ("child children childs", "plural", "child>children"),
        ("walk walks walked walking", "third person", "walk>walks"),
        ("move moved moving", "past tense", "move>moved"),
        ("carry carried carrying", "past tense", "carry>carried"),
        ("give gave", "past tense", "give>gave"),
        ("make makes made making maked", "-ing form", "make>making"),
        ("tall taller tallest", "comparative", "tall>taller"),
        ("good best", "superlative", "good>best"),
        ("basic basically", "adverb -ly", "basic>basically"),
        ("simple simply", "adverb -ly", "simple>simply"),
        ("teach teacher teached teaching", "agent -er", "teach>teacher"),
        ("usual unusual", "un- prefix", "usual>unusual"),
        ("France Paris", "country to capital", "France>Paris"),
        ("river River", "lower to capitalised", "river>River"),
        ("river RIVER", "lower to upper case", "river>RIVER"),
    ],
)
def test_a_relation_is_found(words: str, relation: str, pair: str) -> None:
    assert words_of(*relations(words))[relation] == {pair}


@pytest.mark.parametrize(
    "words",
    [
        "walk walks walked walking",  # walks: a verb's form
        "glas glass",
        "new news",  # three letters
        "late latest",  # no comparative
        "moth mother",
        "less unless",
        "serve serv served serving",
    ],
)
def test_what_only_looks_like_a_relation_is_not_one(words: str) -> None:
    found = words_of(*relations(words))
    wrong = {"walk>walks", "glas>glass", "new>news", "late>later", "moth>mother", "less>unless"}
    assert not found.get("plural", set()) & wrong
    assert not found.get("agent -er", set()) & wrong
    assert "un- prefix" not in found
    assert not any(pair.startswith("serv>") for pairs in found.values() for pair in pairs)


def test_digits_are_found_without_a_space() -> None:
    names = [" one", "1", " two", "2"]
    found = find_relations(
        names, np.full(4, 0.25), n_pairs_min=1, n_pairs_max=9, rng=np.random.default_rng(0)
    )
    assert words_of(names, found)["number word to digit"] == {"one>1", "two>2"}


def test_no_word_family_is_in_two_pairs_of_a_relation_and_a_seed_fixes_the_sample() -> None:
    words = " ".join(f"{c}{d}rivo{e} {c}{d}rivo{e}s" for c in "bdfg" for d in "aeiou" for e in "ka")
    names, found = relations(words, n_pairs_max=20)
    [plural] = [relation for relation in found.found if relation.name == "plural"]
    assert (len(plural.pairs), plural.n_found) == (20, 40)
    families = [word_family(names[i]) for i in plural.pairs[:, 0]]
    assert len(set(families)) == 20
    for seed, same in ((0, True), (1, False)):
        [again] = relations(words, n_pairs_max=20, seed=seed)[1].found
        assert np.array_equal(again.pairs, plural.pairs) == same


def test_relations_with_few_pairs_are_named() -> None:
    _, found = relations("river rivers", n_pairs_min=20)
    assert found.found == ()
    assert found.too_few["plural"] == 1
    assert set(found.too_few) == set(RELATIONS)


def test_lists_belong_to_relations_and_hold_no_pair_twice() -> None:
    assert set(LISTED) <= set(RELATIONS)
    for pairs in LISTED.values():
        assert len(set(pairs)) == len(pairs)
        assert all(first != second for first, second in pairs)
