"""The positive control as a config asks for it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from sweeper.run.keys import trial_key
from trials.api import Comparison
from trials.inputs.controls.planted import planted_rows
from trials.inputs.row_control import null_control
from trials.inputs.rows import RowsConfig, load_rows
from trials.inputs.sources.precision import rounded


def config(**given: Any) -> RowsConfig:
    return RowsConfig.model_validate({"source": "file:rows.npy"} | given)


def saved_rows() -> np.ndarray:
    rng = np.random.default_rng(0)
    drawn = planted_rows(2000, 32, n_atoms=64, sparsity=3, snr_db=10.0, rng=rng).rows
    rows = rounded(drawn + 1, "Q8_0")
    np.save("rows.npy", rows)
    return rows


def test_its_fields_are_in_the_key_of_no_other_trial() -> None:
    keys = {
        trial_key("pursuit", 1, config(**given).model_dump(mode="json"), {})
        for given in ({}, {"planted_l0": 3}, {"planted_atoms": "4x", "planted_noise": 0.5})
    }
    assert len(keys) == 1
    assert config(planted_l0=3).planted_l0 is None


def test_it_has_defaults_and_survives_being_stored() -> None:
    given = config(null="planted_sparse", planted_l0=3)
    assert (given.planted_atoms, given.planted_l0, given.planted_noise) == ("2x", 3, 0.1)
    assert RowsConfig.model_validate(given.model_dump(mode="json")) == given


@pytest.mark.parametrize("wrong", [{"planted_l0": 0}, {"planted_noise": 1.0}, {"planted_atoms": 3}])
def test_a_wrong_value_is_refused_whatever_the_null(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        config(**wrong)


def test_its_rows_are_rounded_as_those_of_the_source() -> None:
    saved_rows()
    found = load_rows(config(null="planted_sparse", planted_l0=3, scale="none", centre="none"))
    assert found.facts["precision"] == "Q8_0"
    np.testing.assert_array_equal(rounded(found.rows, "Q8_0"), found.rows)


def test_it_is_a_control_but_no_null() -> None:
    control = null_control(Comparison("a", at="b"))
    assert control.positive == ("planted_sparse",)
    assert control.claim == "superposition true"
    assert not control.is_null("planted_sparse")
    assert control.is_null("gaussian_spectrum")
