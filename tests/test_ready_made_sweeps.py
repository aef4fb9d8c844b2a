"""Every sweep that comes with the package is valid, to the last config of its grid."""

from __future__ import annotations

import pytest

from sweeper.declare.catalog import ready_made
from sweeper.declare.sweep import load_sweep
from trials import kind_names


@pytest.mark.parametrize("name", ready_made())
def test_a_ready_made_sweep_is_valid_and_says_what_it_is_for(name: str) -> None:
    sweep = load_sweep(name)
    assert sweep.name == name
    assert sweep.description
    assert sweep.kind in kind_names()
