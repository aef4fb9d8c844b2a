"""Ordered sets of words, as the tokens of a vocabulary spell them."""

from __future__ import annotations

from trials.inputs.lexicon.ordered_sets import ORDERED_SETS, find_ordered_sets


def by_name(names: list[str]) -> dict[str, tuple[tuple[str, ...], tuple[int, ...]]]:
    return {s.name: (s.words, s.places) for s in find_ordered_sets(names)}


def test_a_set_is_found_in_the_form_in_which_most_of_it_are_tokens() -> None:
    days = ORDERED_SETS["days"][0]
    names = ["Monday", "Friday", *(f" {day.lower()}" for day in days[:5]), *"0123456789"]
    found = {s.name: s for s in find_ordered_sets(names)}
    assert found["days"].words == days[:5]
    assert found["days"].form == "lower case, with a space"
    assert [names[i] for i in found["days"].positions] == [f" {d.lower()}" for d in days[:5]]
    assert found["days"].missing == ("Saturday", "Sunday")
    assert found["digits"].words == tuple("0123456789")
    assert found["planets"].words == ()
    assert found["days"].comes_round
    assert not found["years"].comes_round


def test_words_keep_their_places_in_the_whole_set() -> None:
    names = [f" {month}" for month in ("January", "April", "December", "June")]
    assert by_name(names)["months"] == (("January", "April", "June", "December"), (0, 3, 5, 11))


def test_no_set_names_a_word_twice() -> None:
    for name, (words, _) in ORDERED_SETS.items():
        assert len({w.casefold() for w in words}) == len(words) >= 7, name
