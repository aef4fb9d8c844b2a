import io
import json

import pandas as pd
import pytest

from sweeper.errors import UserError
from sweeper.look.frames import FORMATS, frame_bytes
from sweeper.store.results import query


@pytest.fixture
def frame(make_row) -> pd.DataFrame:
    rows = [
        make_row(size="2x", metrics={"loss": 0.123456789}, facts={}),
        make_row(size=512, penalty=0.2, error="a, b", state="FAILED"),
    ]
    return query(
        rows, "select size, seed, certified, loss, error, started_at from trials order by 1"
    )


def test_json_is_one_object_a_row_with_null_for_missing(frame) -> None:
    two, five = sorted(json.loads(frame_bytes(frame, "json")), key=lambda r: r["size"])
    assert two == {
        "size": "2x",
        "seed": 0,
        "certified": True,
        "loss": 0.123456789,
        "error": None,
        "started_at": "2023-11-14 22:13:20+00:00",
    }
    assert (five["size"], five["loss"], five["certified"]) == ("512", None, None)


def test_csv_keeps_every_digit_and_quotes_commas(frame) -> None:
    back = pd.read_csv(io.BytesIO(frame_bytes(frame, "csv")))
    assert sorted(back["size"]) == ["2x", "512"]
    assert 0.123456789 in list(back["loss"])
    assert "a, b" in list(back["error"])


def test_parquet_keeps_types(frame) -> None:
    back = pd.read_parquet(io.BytesIO(frame_bytes(frame, "parquet")))
    assert list(back.columns) == list(frame.columns)
    assert str(back["seed"].dtype) == "Int64"
    assert back["loss"].max() == 0.123456789


def test_the_table_counts_its_rows(frame) -> None:
    text = frame_bytes(frame, "table").decode()
    assert "0.1235" in text
    assert text.splitlines()[-1] == "2 rows"


@pytest.mark.parametrize("form", FORMATS)
def test_an_empty_answer_has_every_format(make_row, form) -> None:
    empty = query([make_row()], "select sweep, duration_s from trials where false")
    assert frame_bytes(empty, form)


def test_an_answer_of_lists_and_structs_is_json() -> None:
    nested = query([], "select [1, 2] as l, {'a': null} as s, date '2024-01-02' as d")
    assert json.loads(frame_bytes(nested, "json")) == [
        {"l": [1, 2], "s": {"a": None}, "d": "2024-01-02"}
    ]
    assert b"2024-01-02" in frame_bytes(nested, "table")


def test_an_unknown_format_is_refused_with_the_nearest(frame) -> None:
    with pytest.raises(
        UserError, match="--format: unknown format 'parket'; did you mean 'parquet'"
    ):
        frame_bytes(frame, "parket")
