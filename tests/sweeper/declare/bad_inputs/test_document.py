"""What cannot be read as one mapping of plain values."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.sweeper.declare.bad_inputs.sweep_files import GOOD, HEAD, cases, space, tail

DOCUMENT = {
    "empty": ("", ": the file is empty; a sweep file is a mapping with kind and space"),
    "comment only": (
        "# nothing\n",
        ": the file is empty; a sweep file is a mapping with kind and space",
    ),
    "scalar": ("pursuit\n", ": given 'pursuit'; a sweep file is a mapping with kind and space"),
    "list": ("- toy\n", ": given ['toy']; a sweep file is a mapping with kind and space"),
    "unclosed list": (
        "kind: toy\nspace: {width: [1, 2\n",
        ":3: not valid YAML: did not find expected ',' or ']'",
    ),
    "stray indent": (
        "kind: toy\n  space: 3\n",
        ":2: not valid YAML: mapping values are not allowed in this context",
    ),
    "tab": (
        "kind: toy\nspace:\n\twidth: [1]\n",
        ":3: a tab; indent with spaces",
    ),
    "tab after spaces": ("kind: toy\nspace:\n  a: 1\n\tb: 1\n", ":4: a tab; indent with spaces"),
    "text that needs quotes": (
        "kind: toy\ndescription: @home\n",
        ":2: text that starts with '@' takes quotes",
    ),
    "duplicate key": (tail("kind: toy"), ":6: kind: duplicate key 'kind'; first given on line 1"),
    "duplicate field": (
        space("width: [2]\n  width: [4]"),
        ":6: space.width: duplicate key 'width'; first given on line 5",
    ),
    "duplicate in a flow mapping": (
        space("width: {low: 1, high: 2, low: 3}"),
        ":5: space.width.low: duplicate key 'low'; first given on line 5",
    ),
    "python tag": (
        HEAD + "space: !!python/object/apply:os.system [ls]\n",
        ":4: space: tag !!python/object/apply:os.system; tags are not allowed",
    ),
    "str tag": (space("width: !!str 3"), ":5: space.width: tag !!str; tags are not allowed"),
    "local tag": (space("width: !mine [3]"), ":5: space.width: tag !mine; tags are not allowed"),
    "key tag": (space("!!str width: [3]"), ":5: space: tag !!str; tags are not allowed"),
    "anchor": (space("width: &w [2]"), ":5: space.width: anchor &w; anchors are not allowed"),
    "alias bomb": (
        "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n",
        ":1: a: anchor &a; anchors are not allowed",
    ),
    "alias": (space("width: *w"), ":5: space.width: alias *w; aliases are not allowed"),
    "merge": (space("<<: *w"), ":5: space.<<: alias *w; aliases are not allowed"),
    "second document": (tail("---\nkind: toy"), ":6: a second document; a file holds one"),
    "nested deeply": (
        "kind: toy\nspace: " + "[" * 30 + "]" * 30 + "\n",
        ":2: space[0][0]: nested deeper than 20 levels",
    ),
    "nested very deeply": (
        "kind: toy\nspace: " + "[" * 400_000 + "\n",
        ":2: space[0][0]: nested deeper than 20 levels",
    ),
    "list as a key": ("kind: toy\n? [a]\n: 1\n", ":2: a list or mapping as a key; a key is text"),
    "number as a key": (
        tail("3: 4"),
        ":6: 3: unknown key '3'; allowed: kind, description, after, cases, "
        "fixed, space, nulls, search, trials, seeds, resources, limits, ...",
    ),
    "nan": (
        space("penalty: {low: .nan, high: 0.5, points: 3}"),
        ":5: space.penalty.low: given .nan; a number must be finite",
    ),
    "inf": (
        space("penalty: [0.1, -.inf]"),
        ":5: space.penalty[1]: given -.inf; a number must be finite",
    ),
    "float overflow": (
        space("penalty: [1e999]"),
        ":5: space.penalty[0]: given 1e999; a number must be finite",
    ),
    "long number": (
        space("width: [" + "9" * 5000 + "]"),
        ":5: space.width[0]: a number of 5,000 characters; at most 100",
    ),
    "Latin-1": (
        "kind: toy\ndescription: caf\xe9\n".encode("latin-1"),
        ":2: not UTF-8; save the file as UTF-8",
    ),
    "UTF-16": (GOOD.encode("utf-16"), ":1: not UTF-8; save the file as UTF-8"),
    "NUL": ("kind: toy\ndescription: a\x00b\n", ":2: a control character; write text only"),
    "escaped control": (
        'kind: toy\ndescription: "a\\x1bb"\n',
        ":2: description: given 'a b'; text must be printable",
    ),
    "surrogate": (
        'kind: toy\ndescription: "a\\ud800b"\n',
        ":2: not valid YAML: found invalid Unicode character escape code",
    ),
    "too big": (GOOD + "#" * 1_000_001, ": more than 1,000,000 bytes; a sweep file is small"),
    "many values": (
        space(f"width: [{'1, ' * 60_000}1]"),
        ":5: space.width[49994]: more than 50,000 values",
    ),
}


@pytest.mark.parametrize(("text", "message"), cases(DOCUMENT))
def test_a_mistake_gets_one_line_with_place_value_and_rule(
    refusal: Callable[[str | bytes], str], text: str | bytes, message: str
) -> None:
    assert refusal(text) == f"s.yaml{message}"
