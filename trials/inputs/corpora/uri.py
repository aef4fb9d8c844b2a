"""The grammar of corpus URIs.

    stdlib:    corpus:PATH    hub:OWNER/NAME[/CONFIG][@REVISION][#COLUMN]

The first two name the same texts as the forms of `trials.inputs.frequencies`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

FORMS = ("stdlib:", "corpus:PATH", "hub:OWNER/NAME[/CONFIG][@REVISION][#COLUMN]")

_WORD = r"[A-Za-z0-9][\w.-]*"
_HUB = re.compile(rf"hub:({_WORD}/{_WORD})(?:/({_WORD}))?(?:@([\w./-]+))?(?:#(.+))?")


@dataclass(frozen=True)
class CorpusUri:
    """A parsed URI.

    Attributes:
        text: as given.
        repo: the data set on the hub ("" for local texts).
        config: its configuration ("" for the default one).
        revision: branch, tag or commit.
        column: which column holds the text.
    """

    text: str
    repo: str = ""
    config: str = ""
    revision: str = "main"
    column: str = "text"


def parse_corpus(text: str) -> CorpusUri:
    """Parse a URI; ValueError with the rule if it is none."""
    if text == "stdlib:" or (text.startswith("corpus:") and text != "corpus:"):
        return CorpusUri(text)
    if (match := _HUB.fullmatch(text)) is None:
        raise ValueError(f"{text!r} is no corpus; allowed: {', '.join(FORMS)}")
    repo, config, revision, column = match.groups()
    return CorpusUri(text, repo, config or "", revision or "main", column or "text")
