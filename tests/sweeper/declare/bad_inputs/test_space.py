"""Dimensions: lists, ranges and texts with parts that stand for no points."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.sweeper.declare.bad_inputs.sweep_files import HEAD, cases, space

DIMENSIONS = {
    "text without parts": (
        space("n_atoms: {text: 4x, size: [1, 2]}"),
        ":5: space.n_atoms.text: given '4x'; must be text with parts in braces, as in step{step}",
    ),
    "text that is none": (
        space("n_atoms: {text: 4}"),
        ":5: space.n_atoms.text: given 4; must be text with parts in braces, as in step{step}",
    ),
    "part without values": (
        space("n_atoms: {text: '{size}x', sizes: [1, 2]}"),
        ":5: space.n_atoms.text: part {size} of the text has no values; did you mean 'sizes'?",
    ),
    "values without a part": (
        space("n_atoms: {text: '{size}x', size: [1, 2], siz: [3]}"),
        ":5: space.n_atoms.siz: the text has no part {siz}; did you mean 'size'?",
    ),
    "part that is no list": (
        space("n_atoms: {text: '{size}x', size: 1}"),
        ":5: space.n_atoms.size: given 1; a part takes a list of values",
    ),
    "part of a number that prints in many ways": (
        space("n_atoms: {text: '{size}x', size: [1, 0.5]}"),
        ":5: space.n_atoms.size[1]: given 0.5; a part holds text and integers",
    ),
    "text given twice": (
        space("n_atoms: {text: '{size}x', size: [1, '1']}"),
        ":5: space.n_atoms: '1x' is given twice; values must be distinct",
    ),
    "too many texts": (
        space(f"n_atoms: {{text: '{{a}}{{b}}x', a: {list(range(200))}, b: {list(range(200))}}}"),
        ":5: space.n_atoms: 40,000 texts; at most 10,000",
    ),
    "dimension without a range": (
        space("width: 3"),
        ":5: space.width: given 3; a space holds lists of values and ranges {low, high}; "
        "one value goes under fixed",
    ),
    "dimension without a value": (
        space("width:"),
        ":5: space.width: given null; a space holds lists of values and ranges {low, "
        "high}; one value goes under fixed",
    ),
    "empty choice": (space("width: []"), ":5: space.width: given []; must have at least 1 item"),
    "empty choice spelled": (
        space("width: {choice: []}"),
        ":5: space.width.choice: given []; must have at least 1 item",
    ),
    "choice with more": (
        space("width: {choice: [2], log: true}"),
        ":5: space.width: given {choice: [2], log: true}; choice takes one list and nothing else",
    ),
    "choice nested": (
        space("width: [2, [4]]"),
        ":5: space.width[1]: given [4]; a choice holds plain values",
    ),
    "choice twice": (
        space("width: [2, 4, 2]"),
        ":5: space.width: 2 is given twice; values must be distinct",
    ),
    "choice twice in two spellings": (
        space("penalty: [0.5, 5e-1]"),
        ":5: space.penalty: 0.5 is given twice; values must be distinct",
    ),
    "choice outside the field's range": (
        space("width: [2, 400]"),
        ":5: space.width: given 400; must be at most 64",
    ),
    "choice word": (
        space("penalty: {grid: [0.1, x]}"),
        ":5: space.penalty: given 'x'; must be a number",
    ),
    "low above high": (
        space("penalty: {low: 0.5, high: 0.05, points: 3}"),
        ":5: space.penalty: low 0.5 > high 0.05; low must not exceed high",
    ),
    "high missing": (
        space("penalty: {low: 0.5, points: 3}"),
        ":5: space.penalty: 'high' is missing",
    ),
    "low misspelt": (
        space("penalty: {lo: 0.5, high: 0.6, points: 3}"),
        ":5: space.penalty.lo: unknown key 'lo'; did you mean 'low'?",
    ),
    "empty range": (space("penalty: {}"), ":5: space.penalty: 'low' is missing"),
    "text as a bound": (
        space("penalty: {low: a, high: 0.6, points: 3}"),
        ":5: space.penalty.low: given 'a'; must be a number",
    ),
    "type misspelt": (
        space("penalty: {type: flaot, low: 0.1, high: 0.6, points: 3}"),
        ":5: space.penalty.type: given 'flaot'; must be int or float",
    ),
    "log zero": (
        space("penalty: {low: 0, high: 0.6, log: true, points: 3}"),
        ":5: space.penalty: low 0.0 with log; a log range needs low > 0",
    ),
    "log yes": (
        space("penalty: {low: 0.1, high: 0.6, log: yes, points: 3}"),
        ":5: space.penalty.log: given 'yes'; must be true or false",
    ),
    "float no points": (
        space("penalty: {low: 0.1, high: 0.6}"),
        ":5: space.penalty: a range without points; in a grid a float or log range needs "
        "points; add points: 5",
    ),
    "int log no points": (
        space("width: {low: 1, high: 64, log: true}"),
        ":5: space.width: a range without points; in a grid a float or log range needs "
        "points; add points: 5",
    ),
    "float step": (
        space("penalty: {low: 0.1, high: 0.6, step: 0.1}"),
        ":5: space.penalty.step: unknown key 'step'; allowed: type, low, high, log, points",
    ),
    "one point": (
        space("penalty: {low: 0.1, high: 0.6, points: 1}"),
        ":5: space.penalty: 1 point; a range needs at least 2, its ends",
    ),
    "many points": (
        space("penalty: {low: 0.1, high: 0.6, points: 1000000000}"),
        ":5: space.penalty.points: given 1000000000; must be at most 10000",
    ),
    "narrow": (
        space("penalty: {low: 0.1, high: 0.10000000000000002, points: 9}"),
        ":5: space.penalty: 0.1 to 0.10000000000000002 is too narrow for 9 points",
    ),
    "step zero": (
        space("width: {low: 1, high: 6, step: 0}"),
        ":5: space.width.step: given 0; must be at least 1",
    ),
    "step misses": (
        space("width: {low: 1, high: 64, step: 2}"),
        ":5: space.width: step 2 from 1 misses high 64; end at 63 or 65",
    ),
    "step log": (
        space("width: {low: 1, high: 64, step: 2, log: true}"),
        ":5: space.width: step and log or points; a range has a step, or log, or points",
    ),
    "float bound of an int": (
        space("width: {low: 0.5, high: 64}"),
        ":5: space.width.low: given 0.5; must be an integer",
    ),
    "int beyond a float's precision": (
        space("width: {low: 1, high: 99999999999999999999}"),
        ":5: space.width.high: given 99999999999999999999; must be at most 9007199254740992",
    ),
    "more points than integers": (
        space("width: {low: 1, high: 4, points: 9}"),
        ":5: space.width: 9 points; 1 to 4 holds 4",
    ),
    "high outside the field's range": (
        space("penalty: {low: 0.1, high: 1.5, points: 3}"),
        ":5: space.penalty: given 1.5; must be less than 1",
    ),
    "low outside the field's range": (
        space("penalty: {low: 0, high: 0.5, points: 3}"),
        ":5: space.penalty: given 0.0; must be greater than 0",
    ),
    "float range of an int field": (
        space("width: {type: float, low: 1, high: 4, points: 3}"),
        ":5: space.width: given 1.0; must be an integer",
    ),
    "combination refused by the kind": (
        HEAD + "space:\n  mode: [plain, signed]\n  width: [2, 3]\n",
        ":4: space at mode='signed' width=3: mode signed with width 3; a signed width must be even",
    ),
    "fixed combination refused by the kind": (
        HEAD + "  mode: signed\n  width: 3\n",
        ":2: fixed: mode signed with width 3; a signed width must be even",
    ),
    "range on text": (space("null: {low: 1, high: 3}"), ":5: space.null: given 1; must be text"),
}


@pytest.mark.parametrize(("text", "message"), cases(DIMENSIONS))
def test_a_mistake_gets_one_line_with_place_value_and_rule(
    refusal: Callable[[str | bytes], str], text: str | bytes, message: str
) -> None:
    assert refusal(text) == f"s.yaml{message}"
