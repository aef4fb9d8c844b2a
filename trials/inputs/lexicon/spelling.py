"""How English words are spelled with an ending: the likelier form first, where there are two."""

from __future__ import annotations

from collections.abc import Callable


def without_e(word: str) -> str:
    """The stem before an ending that begins with a vowel: `make` gives `mak`, `see` stays."""
    return word[:-1] if word.endswith("e") and not word.endswith("ee") else word


def past_forms(word: str) -> list[str]:
    """Regular past tense."""
    if word.endswith("e"):
        return [word + "d"]
    if word.endswith("y") and word[-2] not in "aeiou":
        return [word[:-1] + "ied"]
    return [word + "ed", word + word[-1] + "ed"]


def participle_forms(word: str) -> list[str]:
    """Present participle."""
    stem = without_e(word)
    return [stem + "ing"] if stem != word else [word + "ing", word + word[-1] + "ing"]


def s_forms(word: str) -> list[str]:
    """Regular plural of a noun, third person of a verb."""
    if word.endswith("y") and word[-2] not in "aeiou":
        return [word[:-1] + "ies"]
    return [word + ("es" if word.endswith(("s", "x", "z", "ch", "sh")) else "s")]


def adverb_forms(word: str) -> list[str]:
    """Adverb of an adjective."""
    if word.endswith("y"):
        return [word[:-1] + "ily"]
    if word.endswith("le") and word[-3] not in "aeiou":
        return [word[:-1] + "y"]
    return [word + ("ally" if word.endswith("ic") else "ly")]


def degree_forms(ending: str) -> Callable[[str], list[str]]:
    """What gives an adjective's form with `er` or `est`."""

    def forms(word: str) -> list[str]:
        stem = word[:-1] + "i" if word.endswith("y") else word.removesuffix("e")
        return [stem + ending]

    return forms
