"""Nulls beside the trials."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.sweeper.declare.bad_inputs.sweep_files import cases, nulled, tail

NULLS = {
    "nulls of a kind without": (
        tail("beside_null: [gaussian]"),
        ":6: beside_null: kind toy has no nulls to run beside its trials",
    ),
    "null misspelt": (
        nulled("beside_null: [shuffled, gausian]"),
        ":6: beside_null[1]: given 'gausian'; must be 'none', 'gaussian' or 'shuffled'; "
        "did you mean 'gaussian'?",
    ),
    "real as a null": (
        nulled("beside_null: [none]"),
        ":6: beside_null[0]: given 'none'; that is the real null, which runs anyway",
    ),
    "YAML null as a null": (
        nulled("beside_null: [null]"),
        ":6: beside_null[0]: given null; must be text",
    ),
    "null twice": (
        nulled("beside_null: [gaussian, gaussian]"),
        ":6: beside_null: given ['gaussian', 'gaussian']; nulls must be distinct",
    ),
    "nulls without a list": (
        nulled("beside_null: gaussian"),
        ":6: beside_null: given 'gaussian'; must be a list",
    ),
    "null fixed too": (
        nulled("beside_null: [gaussian]").replace("source: s", "{source: s, 'null': shuffled}"),
        ":3: fixed.null: given 'shuffled'; with beside_null only 'none' can be fixed",
    ),
    "null varied too": (
        nulled("beside_null: [gaussian]").replace("width: [4, 6]", "'null': [none, gaussian]"),
        ":5: space.null: beside_null gives 'null' its values; leave out one of the two",
    ),
    "null that the kind refuses at a point": (
        nulled("beside_null: [gaussian, shuffled]").replace("[4, 6]", "[4, 2]"),
        ":6: beside_null[1] at width=2: null shuffled with width 2; it takes at least 4",
    ),
    "too many with the nulls": (
        nulled("search: random\ntrials: 40000\nbeside_null: [gaussian, shuffled]"),
        ":7: trials: 120,000 trials (40,000 x 3 with the nulls); at most 100,000",
    ),
}


@pytest.mark.parametrize(("text", "message"), cases(NULLS))
def test_a_mistake_gets_one_line_with_place_value_and_rule(
    refusal: Callable[[str | bytes], str], text: str | bytes, message: str
) -> None:
    assert refusal(text) == f"s.yaml{message}"
