"""Labels of a token by its text: form, case, length, script, ending, part of speech."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
from lemminflect import getAllLemmas

_SCRIPTS = (
    "LATIN",
    "CYRILLIC",
    "GREEK",
    "CJK",
    "HIRAGANA",
    "KATAKANA",
    "HANGUL",
    "ARABIC",
    "HEBREW",
    "DEVANAGARI",
    "THAI",
)
_ENDINGS = ("ing", "ed", "ly", "s", "er", "est", "tion", "ness", "ment", "able", "al", "ic", "ous")
_LONGEST = 12


def token_labels(names: Sequence[str]) -> dict[str, np.ndarray]:
    """Every labelling of the tokens: its name -> one small integer per token.

    Tokens with equal integers share the property. `LABELLINGS` says what it is.
    """
    return {name: _coded([label(text) for text in names]) for name, label in LABELLINGS.items()}


def script(text: str) -> str:
    """Script of the first letter, by its Unicode name; "none" where there is no letter."""
    letter = next((c for c in text if c.isalpha()), "")
    name = unicodedata.name(letter, "") if letter else ""
    return next((s for s in _SCRIPTS if name.startswith(s)), "other") if name else "none"


def case(text: str) -> str:
    """lower, upper, title, mixed, or none (no cased letter)."""
    word = text.strip()
    if word.lower() == word.upper():
        return "none"
    if word == word.lower():
        return "lower"
    if word == word.upper():
        return "upper" if len(word) > 1 else "title"
    return "title" if word[1:] == word[1:].lower() else "mixed"


def form(text: str) -> str:
    """word, number, space, punctuation, or mixed."""
    core = text.strip()
    if not core:
        return "space"
    if core.isalpha():
        return "word"
    if core.isdigit():
        return "number"
    return "mixed" if any(c.isalnum() for c in core) else "punctuation"


def length(text: str) -> int:
    """Characters without surrounding space, at most 12."""
    return min(len(text.strip()), _LONGEST)


def ending(text: str) -> str:
    """The longest English ending of an alphabetic token that is longer than it, or none."""
    word = text.strip().lower()
    fitting = [e for e in _ENDINGS if word.endswith(e) and len(word) > len(e) + 1]
    return max(fitting, key=len) if fitting and word.isalpha() else "none"


def first_letter(text: str) -> str:
    """The first letter or digit, in lower case; none if there is none."""
    return next((c.lower() for c in text if c.isalnum()), "none")


@cache
def part_of_speech(text: str) -> str:
    """Parts of speech that an English word can be, as in "NOUN VERB", by a lexicon.

    "none" for names, function words, pieces of words and anything else it does not contain.
    Source: the NIH SPECIALIST lexicon, as packaged in lemminflect.
    """
    word = text.strip().lower()
    if not word.isalpha() or len(word) < 2:
        return "none"
    return " ".join(sorted(getAllLemmas(word))) or "none"


LABELLINGS: dict[str, Callable[[str], str | int | bool]] = {
    "leading_space": lambda text: text.startswith(" "),
    "form": form,
    "case": case,
    "length": length,
    "script": script,
    "ending": ending,
    "first_letter": first_letter,
    "part_of_speech": part_of_speech,
}
"""The name of each labelling and the label of a token's text."""


def _coded(labels: Sequence[str | int | bool]) -> np.ndarray:
    return np.unique(np.array(labels).astype(str), return_inverse=True)[1].astype(np.int64)
