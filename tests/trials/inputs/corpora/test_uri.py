from __future__ import annotations

import pytest

from trials.inputs.corpora.uri import CorpusUri, parse_corpus
from trials.inputs.frequencies import check_form


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("stdlib:", CorpusUri("stdlib:")),
        ("corpus:my/books", CorpusUri("corpus:my/books")),
        ("hub:owner/name", CorpusUri("hub:owner/name", "owner/name")),
        (
            "hub:o/n.v1/part-1@refs/convert/parquet#body",
            CorpusUri(
                "hub:o/n.v1/part-1@refs/convert/parquet#body",
                "o/n.v1",
                "part-1",
                "refs/convert/parquet",
                "body",
            ),
        ),
    ],
)
def test_a_corpus_is_named_by_one_text(text: str, parsed: CorpusUri) -> None:
    assert parse_corpus(text) == parsed


@pytest.mark.parametrize(
    "text", ["", "corpus:", "hub:name", "hub:a/b/c/d", "stdlib:x", "books.txt"]
)
def test_anything_else_is_refused_with_the_forms(text: str) -> None:
    with pytest.raises(ValueError, match="is no corpus; allowed: stdlib:, corpus:PATH, hub:"):
        parse_corpus(text)


@pytest.mark.parametrize("text", ["stdlib:", "corpus:PATH"])
def test_local_texts_have_the_names_that_frequencies_give_them(text: str) -> None:
    assert check_form(text) == parse_corpus(text).text
