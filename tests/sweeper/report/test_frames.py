import io
import json

import pandas as pd
import pytest

from sweeper.errors import UserError
from sweeper.report.frames import FORMATS, chosen_columns, frame_bytes
from sweeper.store.results_table import query


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


@pytest.fixture
def wide(make_row) -> pd.DataFrame:
    """A condition's answer, as wide as those of the built-in kinds."""
    others = {f"another_rather_long_metric_{n}": 0.5 for n in range(70)}
    rows = [
        make_row(penalty=p, seed=s, run_id=f"{p}{s}".ljust(32, "0"), metrics={"loss": p} | others)
        for p in (0.1, 0.2)
        for s in (0, 1)
    ]
    return query(rows, "state = 'COMPLETE'")


def lines(frame: pd.DataFrame, width: int, **more: object) -> list[str]:
    return frame_bytes(frame, "table", width=width, **more).decode().splitlines()


def test_a_condition_shows_the_columns_that_say_most_as_many_as_fit(wide, kind) -> None:
    text = lines(wide, 80, kinds={"toy": kind})
    assert text[1].split() == ["run_id", "penalty", "seed", "loss", "duration_s"]
    assert max(map(len, text)) <= 80
    assert (
        text[-1]
        == f"4 rows; {len(wide.columns) - 5} more columns: --all, --columns A,B or --format csv"
    )
    narrow = lines(wide, 30, kinds={"toy": kind})
    assert narrow[1].split() == ["run_id", "penalty", "seed"]
    assert max(map(len, narrow[:-4])) <= 30


def test_every_other_format_has_every_column(wide, kind) -> None:
    for form, read in (("csv", pd.read_csv), ("parquet", pd.read_parquet)):
        back = read(io.BytesIO(frame_bytes(wide, form, kinds={"toy": kind})))
        assert list(back.columns) == list(wide.columns)
    assert list(json.loads(frame_bytes(wide, "json", kinds={"toy": kind}))[0]) == list(wide.columns)


def test_a_table_too_wide_for_its_page_has_a_column_per_line(wide) -> None:
    text = lines(wide, 80)
    assert max(map(len, text)) <= 80
    assert sum(line.split()[:1] == ["penalty"] for line in text) == len(wide)
    assert " row 4                          of 4" in text
    assert text[-1] == "4 rows"
    assert len(lines(wide[["penalty", "loss"]], 80)) == 9


def test_columns_are_chosen_by_name(wide) -> None:
    assert list(chosen_columns(wide, "loss, label,loss").columns) == ["loss", "label"]
    with pytest.raises(UserError, match="--columns: unknown column 'los'; did you mean 'loss'"):
        chosen_columns(wide, "los")
    with pytest.raises(UserError, match="--columns: names no column"):
        chosen_columns(wide, " , ")


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
