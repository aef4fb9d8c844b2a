"""From words to tokens: which token of a vocabulary spells a word, if one does."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple


class Spelled(NamedTuple):
    """Words that single tokens spell.

    Attributes:
        words: in the order given, those that were found.
        positions: of each one's token.
        missing: words that no single token spells in this form.
    """

    words: tuple[str, ...]
    positions: tuple[int, ...]
    missing: tuple[str, ...]


class TokenForms:
    """The tokens of a vocabulary by their exact text.

    If tokens share a text (bare bytes, duplicates), the first counts.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._position: dict[str, int] = {}
        for position, text in enumerate(names):
            self._position.setdefault(text, position)

    def position(self, text: str) -> int | None:
        """Position of the token with exactly this text."""
        return self._position.get(text)

    def spell(self, words: Iterable[str], *, leading_space: bool) -> Spelled:
        """The tokens of words in one form: all with a leading space, or all without."""
        found: list[tuple[str, int]] = []
        missing = []
        for word in words:
            position = self.position(f" {word}" if leading_space else word)
            if position is None:
                missing.append(word)
            else:
                found.append((word, position))
        return Spelled(tuple(w for w, _ in found), tuple(p for _, p in found), tuple(missing))

    def spell_best(self, words: Sequence[str]) -> tuple[Spelled, str]:
        """The form in which most of the words are tokens, and its name.

        The forms are the words as given, capitalised and in lower case, each with and without a
        leading space; of equally good ones the first of that order (with the space first).
        """
        forms = []
        for name, changed in (
            ("as given", list(words)),
            ("capitalised", [w.capitalize() for w in words]),
            ("lower case", [w.lower() for w in words]),
        ):
            for leading_space in (True, False):
                space = "with a space" if leading_space else "without a space"
                forms.append((self.spell(changed, leading_space=leading_space), f"{name}, {space}"))
        return max(forms, key=lambda found: len(found[0].words))
