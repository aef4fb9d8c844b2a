"""Nulls beside the trials."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.sweeper.declare.bad_inputs.sweep_files import cases, nulled, tail

NULLS = {
    "nulls of a kind without": (
        tail("nulls: [gaussian]"),
        ":6: nulls: kind toy has no nulls",
    ),
    "null misspelt": (
        nulled("nulls: [shuffled, gausian]"),
        ":6: nulls[1]: given 'gausian'; must be 'none', 'gaussian' or 'shuffled'; "
        "did you mean 'gaussian'?",
    ),
    "real as a null": (
        nulled("nulls: [none]"),
        ":6: nulls[0]: given 'none'; that is the real null, which runs anyway",
    ),
    "YAML null as a null": (
        nulled("nulls: [null]"),
        ":6: nulls[0]: given null; must be text",
    ),
    "null twice": (
        nulled("nulls: [gaussian, gaussian]"),
        ":6: nulls: given ['gaussian', 'gaussian']; nulls must be distinct",
    ),
    "nulls without a list": (
        nulled("nulls: gaussian"),
        ":6: nulls: given 'gaussian'; must be a list",
    ),
    "null fixed too": (
        nulled("nulls: [gaussian]").replace("source: s", "{source: s, 'null': shuffled}"),
        ":3: fixed.null: given 'shuffled'; with nulls only 'none' can be fixed",
    ),
    "null varied too": (
        nulled("nulls: [gaussian]").replace("width: [4, 6]", "'null': [none, gaussian]"),
        ":5: space.null: nulls gives 'null' its values; leave out one of the two",
    ),
    "null that the kind refuses at a point": (
        nulled("nulls: [gaussian, shuffled]").replace("[4, 6]", "[4, 2]"),
        ":6: nulls[1] at width=2: null shuffled with width 2; it takes at least 4",
    ),
    "too many with the nulls": (
        nulled("search: random\ntrials: 40000\nnulls: [gaussian, shuffled]"),
        ":7: trials: 120,000 trials (40,000 x 3 with the nulls); at most 100,000",
    ),
}


@pytest.mark.parametrize(("text", "message"), cases(NULLS))
def test_a_mistake_gets_one_line_with_place_value_and_rule(
    refusal: Callable[[str | bytes], str], text: str | bytes, message: str
) -> None:
    assert refusal(text) == f"s.yaml{message}"
