import json

import pytest

from sweeper.report.kinds import field_notes, kind_page, kinds_json, kinds_table
from trials import kind_names, load_kind


def test_every_field_is_described_with_type_range_and_default(kind) -> None:
    notes = {note.name: note for note in field_notes(kind.config)}
    assert list(notes) == list(kind.config.model_fields)
    assert notes["size"][1:] == (
        "integer | string",
        "",
        None,
        'a number, or a multiple such as "4x"',
    )
    assert notes["penalty"][1:4] == ("number", "> 0, < 1", None)
    assert notes["null"][1:4] == ("none | gaussian | shuffled", "", "none")
    assert notes["name"].range == "not empty"
    assert notes["seed"][2:4] == ("≥ 0, < 4294967296", "0")


def test_the_page_of_a_kind_names_fields_metrics_objective_and_control(kind) -> None:
    text = kind_page(kind)
    for name in (*kind.config.model_fields, *kind.metric_names):
        assert f"\n {name} " in text
    assert "objective: minimise bits" in text
    assert "(required)" in text
    assert "what is left / what there was" in text
    assert "control: null other than 'none' is a null" in text
    assert "compared on loss at equal l0 (ratio); bits at equal loss (difference)" in text


def test_all_kinds_are_listed_with_their_question(kind, plain_kind) -> None:
    text = kinds_table([kind])
    assert "Does a penalty help?" in text
    parsed = json.loads(kinds_json([kind, plain_kind]))
    assert [entry["name"] for entry in parsed] == ["toy", "toy"]
    assert parsed[0]["metrics"][1]["held_out"] is True
    assert parsed[0]["control"]["comparisons"][1] == {
        "of": "bits",
        "at": "loss",
        "shown": "difference",
        "also": [],
        "across": [],
    }
    assert parsed[1]["control"] is None
    assert parsed[0]["fields"][0]["name"] == "seed"


@pytest.mark.parametrize("name", kind_names())
def test_the_page_of_every_kind_fits_eighty_columns(name: str) -> None:
    text = kind_page(load_kind(name), width=80)
    assert max(map(len, text.splitlines())) <= 80
