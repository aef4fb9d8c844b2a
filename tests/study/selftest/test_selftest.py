"""The selftest passes here, and fails where what is planted is not what is said."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner

from study.selftest import CHECKS
from study.selftest.check import Check, Expected, run_check
from sweeper.cli import cli


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.planted)
def test_every_planted_case_is_measured_as_expected(check: Check) -> None:
    for line in run_check(check, seed=1):
        assert line.passed, (line.statistic, line.measured, str(line.expected))


def test_a_statistic_out_of_its_range_fails_and_so_does_the_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wrong = Check(
        "nothing", {"value": Expected(0, 1)}, lambda rng: {"value": 2.0 + 0 * rng.random()}
    )
    right = Check("something", {"value": Expected(low=1)}, lambda rng: {"value": 2.0})
    assert not run_check(wrong, 0)[0].passed
    monkeypatch.setattr("study.selftest.CHECKS", (wrong, right))
    done = CliRunner().invoke(cli, ["selftest"], standalone_mode=False)
    assert done.return_value == 1
    assert "FAILED" in done.output
    assert "1 of 2 as expected" in done.stderr
    found = json.loads(CliRunner().invoke(cli, ["selftest", "--json"]).stdout)
    assert [line["passed"] for line in found] == [False, True]


def test_ranges_hold_their_ends_and_refuse_what_is_not_a_number() -> None:
    assert 1.0 in Expected(1, 2)
    assert np.nan not in Expected(1, 2)
    assert [
        str(e) for e in (Expected(0, 0), Expected(high=3), Expected(low=2), Expected(1, 2))
    ] == [
        "0",
        "at most 3",
        "at least 2",
        "1 to 2",
    ]
