import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from sweeper.declare import reader
from sweeper.declare.reader import parse_document, parse_value
from sweeper.errors import UserError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1e-3", 0.001),
        ("1E5", 100000.0),
        (".5", 0.5),
        ("5.", 5.0),
        ("-0.0", -0.0),
        ("+3", 3),
        ("007", 7),
        ("0o17", 15),
        ("0x1F", 31),
        ("1_000", "1_000"),
        ("12:30:45", "12:30:45"),
        ("2024-01-01", "2024-01-01"),
        ("1x", "1x"),
        ("on", "on"),
        ("off", "off"),
        ("yes", "yes"),
        ("No", "No"),
        ("y", "y"),
        ("true", True),
        ("False", False),
        ("TRUE", True),
        ("tRUE", "tRUE"),
        ("null", None),
        ("~", None),
        ("", None),
        ("none", "none"),
        ("nan", "nan"),
        ("'1'", "1"),
        ('"true"', "true"),
        ("''", ""),
        ("hub:gpt2", "hub:gpt2"),
        ("file:a.safetensors#tensor", "file:a.safetensors#tensor"),
        ("[1, 2.5, a, [b]]", [1, 2.5, "a", ["b"]]),
        ("{low: 1, null: 2}", {"low": 1, "null": 2}),
    ],
)
def test_plain_text_means_what_yaml_1_2_says(text: str, expected: object) -> None:
    value = parse_value(text, "x")
    assert repr(value) == repr(expected)


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**90), 10**90)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]) | st.just(" ")),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc"), inner, max_size=4),
    max_leaves=12,
)


@given(values)
def test_what_json_writes_is_read_back(value: object) -> None:
    assert repr(parse_value(json.dumps(value, ensure_ascii=False), "x")) == repr(value)


@given(st.text())
def test_any_text_is_read_or_refused_in_one_line(text: str) -> None:
    try:
        parse_document(text, "s.yaml")
        said = "s.yaml: read"
    except UserError as error:
        said = str(error)
    assert said.startswith("s.yaml")
    assert said.isprintable()


TEXT = """\
# a comment
kind: toy
space:
  width: [2,
          4]
  penalty:
    low: 0.1
"""


def test_every_value_knows_its_line() -> None:
    document = parse_document(TEXT, "a/s.yaml")
    assert document.values == {"kind": "toy", "space": {"width": [2, 4], "penalty": {"low": 0.1}}}
    assert document.where(("kind",)) == "a/s.yaml:2: kind"
    assert document.where(("space", "width", 1)) == "a/s.yaml:5: space.width[1]"
    assert document.where(("space", "penalty", "low")) == "a/s.yaml:7: space.penalty.low"
    assert document.where(("space", "penalty", "high")) == "a/s.yaml:6: space.penalty.high"
    assert document.where(("seeds",)) == "a/s.yaml: seeds"
    assert document.where() == "a/s.yaml"


def test_a_changed_value_is_placed_at_its_option_and_the_original_stays() -> None:
    document = parse_document(TEXT, "s.yaml")
    changed = document.set(("space", "penalty"), {"low": 1}, "--set x").drop(("space", "width"))
    assert changed.values == {"kind": "toy", "space": {"penalty": {"low": 1}}}
    assert changed.where(("space", "penalty", "low")) == "--set x: low"
    assert document.values["space"]["width"] == [2, 4]
    assert changed.drop(("space", "penalty")).values == {"kind": "toy"}


def test_a_byte_order_mark_and_windows_line_ends_are_harmless(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_bytes(b"\xef\xbb\xbfkind: toy\r\nseeds: 3\r\n")
    document = reader.read_document(path, "s.yaml")
    assert document.values == {"kind": "toy", "seeds": 3}
    assert document.where(("seeds",)) == "s.yaml:2: seeds"


@given(values)
def test_both_yaml_parsers_read_the_same(value: object) -> None:
    text = yaml.safe_dump({"value": value}, allow_unicode=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reader, "_Loader", yaml.SafeLoader)
        slow = parse_document(text, "s.yaml")
    fast = parse_document(text, "s.yaml")
    assert repr(fast.values) == repr(slow.values)
    assert fast.places == slow.places
