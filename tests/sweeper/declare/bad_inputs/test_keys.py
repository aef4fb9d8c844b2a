"""Keys and fields: unknown, missing, given twice, or of another type."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.sweeper.declare.bad_inputs.sweep_files import HEAD, cases, space, tail

KEYS = {
    "unknown key": (tail("spaec: 3"), ":6: spaec: unknown key 'spaec'; did you mean 'space'?"),
    "unknown key like no other": (
        tail("zzz: 3"),
        ":6: zzz: unknown key 'zzz'; allowed: kind, description, after, cases, "
        "fixed, space, nulls, search, trials, seeds, resources, limits, ...",
    ),
    "no kind": ("space:\n  width: [2]\n", ": 'kind' is missing"),
    "kind misspelt": (
        "kidn: toy\nspace:\n  width: [2]\n",
        ":1: kidn: unknown key 'kidn'; did you mean 'kind'?",
    ),
    "kind list": ("kind: [toy]\n", ":1: kind: given ['toy']; must be text"),
    "unknown kind": ("kind: tyo\n", ":1: kind: unknown kind 'tyo'; did you mean 'toy'?"),
    "fixed list": (
        "kind: toy\nfixed: [source]\n",
        ":2: fixed: given ['source']; must be a mapping",
    ),
    "space scalar": ("kind: toy\nspace: 3\n", ":2: space: given 3; must be a mapping"),
    "space null": ("kind: toy\nspace:\n", ":2: space: given null; must be a mapping"),
    "empty space": (
        HEAD + "space: {}\n",
        ":4: space: space is empty; name a field to vary, or leave space out to run one config",
    ),
    "unknown field": (
        HEAD + "space:\n  widht: [2]\n",
        ":5: space.widht: unknown field 'widht'; did you mean 'width'?",
    ),
    "unknown fixed": (
        HEAD.replace("source", "sourcee") + "space: {width: [2]}\n",
        ":3: fixed.sourcee: unknown field 'sourcee'; did you mean 'source'?",
    ),
    "fixed and varied": (
        HEAD + "  width: 4\nspace:\n  width: [2]\n",
        ":6: space.width: 'width' is fixed too; a field is fixed or varied",
    ),
    "fixed seed": (
        HEAD + "  seed: 3\nspace:\n  width: [2]\n",
        ":4: fixed.seed: seed is given by the key seeds alone; write seeds: [0, 1, 2]",
    ),
    "varied seed": (
        space("seed: [1, 2]"),
        ":5: space.seed: seed is given by the key seeds alone; write seeds: [0, 1, 2]",
    ),
    "required field missing": (
        "kind: toy\nspace:\n  width: [2]\n",
        ": field 'source' is missing; give it under fixed or space",
    ),
    "fixed text for a number": (
        HEAD + "  penalty: abc\nspace:\n  width: [2]\n",
        ":4: fixed.penalty: given 'abc'; must be a number",
    ),
    "no is text": (
        HEAD + "  nonnegative: no\nspace:\n  width: [2]\n",
        ":4: fixed.nonnegative: given 'no'; must be true or false",
    ),
    "fixed word misspelt": (
        HEAD + "  mode: sigend\nspace:\n  width: [2]\n",
        ":4: fixed.mode: given 'sigend'; must be 'plain' or 'signed'; did you mean 'signed'?",
    ),
    "a date is text": (
        HEAD + "  width: 2024-01-01\n",
        ":4: fixed.width: given '2024-01-01'; must be an integer",
    ),
    "nested unknown key": (
        HEAD + "  optimiser: {rl: 3}\n",
        ":4: fixed.optimiser.rl: unknown key 'rl'; allowed: lr, momentum",
    ),
    "nested wrong type": (
        HEAD + "  optimiser: {lr: x}\n",
        ":4: fixed.optimiser.lr: given 'x'; must be a number, unable to parse string as a number",
    ),
    "neither of two types": (
        HEAD + "  n_atoms: 1.5\n",
        ":4: fixed.n_atoms: given 1.5; must be an integer or text",
    ),
    "tuple with a wrong item": (
        HEAD + "  betas: [0.1, x]\n",
        ":4: fixed.betas[1]: given 'x'; must be a number",
    ),
    "tuple too short": (HEAD + "  betas: [0.1]\n", ":4: fixed.betas: item 2 is missing"),
    "description of two lines": (
        "kind: toy\ndescription: |\n  a\n  b\n",
        ":2: description: given 'a b'; a description is one line",
    ),
}


@pytest.mark.parametrize(("text", "message"), cases(KEYS))
def test_a_mistake_gets_one_line_with_place_value_and_rule(
    refusal: Callable[[str | bytes], str], text: str | bytes, message: str
) -> None:
    assert refusal(text) == f"s.yaml{message}"
