"""Keys of sweep files that have a new name: the old one still works, and is named as old.

Only keys of the sweep file itself are renamed. A kind may well have a field `first` in its config.
"""

from __future__ import annotations

import sys

from sweeper.declare.document import Document
from sweeper.errors import UserError

NEW_WORDS = {"beside_null": "nulls", "first": "after"}


def with_new_words(document: Document, *, say: bool) -> Document:
    """The document with old keys renamed; `say` prints a line about each on stderr.

    Raises:
        UserError: a key is given under both names.
    """
    for old, new in NEW_WORDS.items():
        if old not in document.values:
            continue
        place = document.place((old,))
        if new in document.values:
            what = f"'{old}' is called '{new}' now, and both are given; keep '{new}'"
            raise UserError(what, where=place)
        if say:
            say_renamed(old, place)
        document = document.rename(old, new)
    return document


def say_renamed(old: str, place: str) -> None:
    """Print that a word is old; `place` says where it was given."""
    print(f"{place}: '{old}' is called '{NEW_WORDS[old]}' now", file=sys.stderr)
