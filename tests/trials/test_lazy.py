from __future__ import annotations

import sys
from pathlib import Path

import pytest

from trials.lazy import lazy_module


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "slow_library.py").write_text("answer = 42\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "slow_library", raising=False)
    return "slow_library"


def test_a_lazy_module_is_imported_at_the_first_use_of_a_name(library: str) -> None:
    slow = lazy_module(library)
    assert library not in sys.modules
    assert slow.answer == 42
    assert library in sys.modules


def test_looking_at_a_lazy_module_does_not_import_it(library: str) -> None:
    slow = lazy_module(library)
    assert not hasattr(slow, "__wrapped__")
    assert library in repr(slow)
    assert library not in sys.modules


def test_what_a_test_replaces_in_the_library_is_seen_through_the_lazy_module(
    library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = lazy_module(library)
    assert slow.answer == 42
    monkeypatch.setattr(sys.modules[library], "answer", 43)
    assert slow.answer == 43


def test_a_name_that_the_library_lacks_is_an_attribute_error(library: str) -> None:
    with pytest.raises(AttributeError, match="question"):
        _ = lazy_module(library).question
