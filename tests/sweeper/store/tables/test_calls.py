from __future__ import annotations

import pytest

from sweeper.errors import UserError
from sweeper.store.tables.calls import without_calls


def test_a_call_becomes_the_name_of_a_relation_with_its_condition() -> None:
    text, calls = without_calls(
        "select a.x from table('atoms') a, TABLE ( 'it''s', sweep in ('p)', 'q') and (n > 1) ) b"
    )
    assert text == 'select a.x from "table 1" a, "table 2" b'
    assert [(call.name, call.condition, call.relation) for call in calls] == [
        ("atoms", "", "table 1"),
        ("it's", "sweep in ('p)', 'q') and (n > 1)", "table 2"),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "select 'table(''atoms'')' from trials",
        'select "table(x)" from trials',
        "select 1 -- table('atoms')",
        "select 1 /* table('atoms') */",
        "select stable('atoms'), table_name from trials",
    ],
)
def test_what_is_quoted_commented_out_or_part_of_a_word_is_no_call(text: str) -> None:
    assert without_calls(text) == (text, [])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("select * from table(atoms)", r"table\(atoms\) names no table; as in table\('NAME'\)"),
        ("select * from table()", r"table\(\) names no table"),
        ("select * from table('atoms' where x)", "names no table"),
        ("select * from table('atoms', (x > 1)", r"table\( is not closed"),
        ("select * from table('atoms', x = ')'", r"table\( is not closed"),
    ],
)
def test_a_call_that_cannot_be_read_is_refused_in_one_line(text: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        without_calls(text)
