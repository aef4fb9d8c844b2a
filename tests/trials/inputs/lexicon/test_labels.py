from __future__ import annotations

import numpy as np
import pytest

from trials.inputs.lexicon.forms import TokenForms
from trials.inputs.lexicon.labels import (
    LABELLINGS,
    case,
    ending,
    form,
    length,
    part_of_speech,
    script,
    token_labels,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (" walking", ("word", "lower", "LATIN", "ing", 7)),
        ("NASA", ("word", "upper", "LATIN", "none", 4)),
        (" Paris", ("word", "title", "LATIN", "s", 5)),
        ("iPhone", ("word", "mixed", "LATIN", "none", 6)),
        (" 1998", ("number", "none", "none", "none", 4)),
        (" Москва", ("word", "title", "CYRILLIC", "none", 6)),
        (");", ("punctuation", "none", "none", "none", 2)),
        ("  ", ("space", "none", "none", "none", 0)),
        ("x86", ("mixed", "lower", "LATIN", "none", 3)),
    ],
)
def test_a_token_is_labelled_by_its_text(text: str, expected: tuple[object, ...]) -> None:
    assert (form(text), case(text), script(text), ending(text), length(text)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (" quickly", "ADV"),
        (" Houses", "NOUN VERB"),
        ("walked", "VERB"),
        (" xqzt", "none"),
        (" the", "none"),
        ("42", "none"),
        ("", "none"),
    ],
)
def test_parts_of_speech_are_those_that_a_word_can_be(text: str, expected: str) -> None:
    assert part_of_speech(text) == expected


def test_every_labelling_gives_each_token_an_integer() -> None:
    names = (" the", "The", " 12", "(", " walking", " talking")
    labels = token_labels(names)
    assert set(labels) == set(LABELLINGS)
    for of in labels.values():
        assert of.shape == (len(names),)
        assert np.issubdtype(of.dtype, np.integer)
    assert labels["ending"][4] == labels["ending"][5] != labels["ending"][0]
    assert labels["leading_space"].tolist() == [1, 0, 1, 0, 1, 1]


def test_words_are_spelled_in_the_form_that_has_most_of_them_and_missing_ones_are_named() -> None:
    forms = TokenForms([" Monday", " Tuesday", "monday", " Friday", "x"])
    found, name = forms.spell_best(["monday", "tuesday", "friday", "sunday"])
    assert name == "capitalised, with a space"
    assert found.words == ("Monday", "Tuesday", "Friday")
    assert found.positions == (0, 1, 3)
    assert found.missing == ("Sunday",)
