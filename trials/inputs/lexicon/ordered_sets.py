"""Ordered sets of words: some cyclic, some only ascending."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from trials.inputs.lexicon.forms import TokenForms


class OrderedTokens(NamedTuple):
    """The tokens of one set, in its order.

    Attributes:
        name: of the set.
        words: as they stand in the set.
        places: of each word in the whole set, rising from 0.
        period: words of the whole set.
        positions: of each word's token.
        missing: words of the set that no single token spells in this form.
        form: how the tokens spell the words.
        comes_round: whether the order is cyclic in the world (a week is, a life is not).
    """

    name: str
    words: tuple[str, ...]
    places: tuple[int, ...]
    period: int
    positions: tuple[int, ...]
    missing: tuple[str, ...]
    form: str
    comes_round: bool


def find_ordered_sets(names: Sequence[str]) -> tuple[OrderedTokens, ...]:
    """Each set of `ORDERED_SETS` in the form in which most of its words are tokens.

    `names` are the texts of the tokens.
    """
    forms = TokenForms(names)
    found = []
    for name, (words, comes_round) in ORDERED_SETS.items():
        spelled, form = forms.spell_best(words)
        place = {word.casefold(): i for i, word in enumerate(words)}
        places = tuple(place[word.casefold()] for word in spelled.words)
        found.append(
            OrderedTokens(
                name,
                tuple(words[i] for i in places),
                places,
                len(words),
                spelled.positions,
                tuple(word for i, word in enumerate(words) if i not in places),
                form,
                comes_round,
            )
        )
    return tuple(found)


ORDERED_SETS: dict[str, tuple[tuple[str, ...], bool]] = {
    "days": (
        ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
        True,
    ),
    "months": (
        (
            "January",
            "February",
            "March",
            "April",
            "May",
            "June",
            "July",
            "August",
            "September",
            "October",
            "November",
            "December",
        ),
        True,
    ),
    "days, abbreviated": (("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"), True),
    "months, abbreviated": (
        ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"),
        True,
    ),
    "signs of the zodiac": (
        (
            "Aries",
            "Taurus",
            "Gemini",
            "Cancer",
            "Leo",
            "Virgo",
            "Libra",
            "Scorpio",
            "Sagittarius",
            "Capricorn",
            "Aquarius",
            "Pisces",
        ),
        True,
    ),
    "compass points": (
        (
            "north",
            "northeast",
            "east",
            "southeast",
            "south",
            "southwest",
            "west",
            "northwest",
        ),
        True,
    ),
    "times of day": (
        ("dawn", "morning", "noon", "afternoon", "evening", "night", "midnight"),
        True,
    ),
    "colours by hue": (
        ("red", "orange", "yellow", "green", "cyan", "blue", "indigo", "violet", "purple", "pink"),
        True,
    ),
    "digits": (tuple("0123456789"), True),
    "letters": (tuple("abcdefghijklmnopqrstuvwxyz"), False),
    "years": (tuple(str(year) for year in range(1900, 2026)), False),
    "tens of years": (tuple(f"{year}s" for year in range(1900, 2030, 10)), False),
    "number words": (
        (
            "one",
            "two",
            "three",
            "four",
            "five",
            "six",
            "seven",
            "eight",
            "nine",
            "ten",
            "eleven",
            "twelve",
        ),
        False,
    ),
    "ordinals": (
        (
            "first",
            "second",
            "third",
            "fourth",
            "fifth",
            "sixth",
            "seventh",
            "eighth",
            "ninth",
            "tenth",
        ),
        False,
    ),
    "tens": (
        ("ten", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"),
        False,
    ),
    "planets": (
        ("Mercury", "Venus", "Earth", "Mars", "Jupiter", "Saturn", "Uranus", "Neptune", "Pluto"),
        False,
    ),
    "family, by age": (
        ("baby", "infant", "child", "boy", "teenager", "youth", "adult", "man", "elder"),
        False,
    ),
    "sizes": (
        ("tiny", "small", "little", "medium", "big", "large", "huge", "enormous", "gigantic"),
        False,
    ),
    "temperatures": (
        ("freezing", "icy", "cold", "cool", "mild", "warm", "hot", "burning"),
        False,
    ),
}
"""Name -> its words in order, and whether the last is next to the first in the world."""
