"""Every mistake that a sweep file can hold, with the one line that names it.

The messages start with `s.yaml`, the path as the user gave it.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sweeper.declare.loading import load_sweep
from sweeper.errors import UserError


@pytest.fixture
def refusal(write: Callable[[str | bytes], str]) -> Callable[[str | bytes], str]:
    """`refusal(text)`: the one line that a sweep file with that text gets."""

    def refused(text: str | bytes) -> str:
        with pytest.raises(UserError) as caught:
            load_sweep(write(text))
        return str(caught.value)

    return refused
