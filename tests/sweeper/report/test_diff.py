import json
import math
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from sweeper.errors import UserError
from sweeper.records import Artifact
from sweeper.report.diff import compare, diff_json, diff_page


def never(run_id: str, path: str) -> Path:
    raise AssertionError("nothing had to be fetched")


def lines(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines()]


def test_equal_trials_are_only_counted(make_row) -> None:
    row = make_row(
        metrics={"loss": 0.25, "l0": math.nan},
        artifacts=(Artifact(path="x.csv", sha256="ab", n_bytes=1),),
        provenance={"packages": "numpy==2.0 scipy==1.15", "input.source": "abc"},
    )
    text = diff_page(compare(row, row, never))
    assert lines(text)[-1] == (
        "equal: 5 config fields, 1 input, 2 environment facts, 2 metrics, 1 artifact"
    )
    assert "metric " not in text.partition("equal:")[0]


def test_every_difference_is_named_once_with_both_sides(make_row) -> None:
    a = make_row(
        penalty=0.1,
        metrics={"loss": 2.0, "l0": 5.0},
        provenance={"commit": "aaa", "packages": "numpy==2.0", "input.source": "abc"},
        facts={"table": "zipf"},
    )
    b = make_row(
        penalty=0.1000000001,
        kind_version=4,
        metrics={"loss": 3.0, "l0": 5.0},
        provenance={"commit": "bbb", "packages": "numpy==2.1", "input.source": "def"},
        facts={"table": "counts"},
    )
    found = lines(diff_page(compare(a, b, never), width=100))
    for line in (
        "penalty 0.1 0.1000000001",
        "kind toy version 3 toy version 4",
        "commit aaa bbb",
        "numpy 2.0 2.1",
        "source abc def",
        "table zipf counts",
        "loss 2 3 1 0.3333",
    ):
        assert found.count(line) == 1
    assert found[-1] == "equal: 4 config fields, 1 metric"


@pytest.fixture
def with_artifacts(make_row, tmp_path):
    """Two trials, and the store that holds their artifacts."""

    def fetch(run_id: str, path: str) -> Path:
        if path == "damaged.csv":
            raise UserError("artifact 'damaged.csv' has SHA-256 0, recorded 1")
        return tmp_path / run_id / path

    for run_id, value in (("run-a", 1.0), ("run-b", 1.5)):
        (tmp_path / run_id).mkdir()
        save_file({"atoms": np.full((2, 2), value)}, tmp_path / run_id / "codes.safetensors")
        (tmp_path / run_id / "plot.png").write_bytes(run_id.encode())
    shared = Artifact(path="same.csv", sha256="ab", n_bytes=1)

    def artifacts(side: str, *more: str):
        names = ("codes.safetensors", "plot.png", "damaged.csv", *more)
        return (shared, *(Artifact(path=n, sha256=side + n, n_bytes=1) for n in names))

    # What b reused lies with the run that it was taken from.
    a = make_row(run_id="run-a", artifacts=artifacts("a", "lone.csv"))
    b = make_row(run_id="run-c", reused_from="run-b", artifacts=artifacts("b"))
    return compare(a, b, fetch)


def test_artifacts_are_measured_named_or_said_to_be_damaged(with_artifacts) -> None:
    found = lines(diff_page(with_artifacts, width=200))
    assert "codes.safetensors atoms 2 × 2 float64 2 × 2 float64 0.5 0.5" in found
    assert "plot.png differs, and holds no numbers" in found
    assert "lone.csv only in A" in found
    assert "damaged.csv artifact 'damaged.csv' has SHA-256 0, recorded 1" in found
    assert found[-1] == "equal: 5 config fields, 1 artifact"


def test_a_page_fits_a_terminal_of_100_columns(with_artifacts) -> None:
    assert max(map(len, diff_page(with_artifacts, width=100).splitlines())) <= 100


def test_json_holds_the_same(with_artifacts) -> None:
    found = json.loads(diff_json(with_artifacts))
    assert (found["a"], found["b"]) == ("run-a", "run-c")
    [array] = found["artifacts"]["codes.safetensors"]["arrays"]
    assert (array["largest"], array["relative"]) == (0.5, 0.5)
    assert found["equal"]["artifacts"] == 1
