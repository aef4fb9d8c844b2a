"""What numba keeps on disk is dropped when a compiled kernel changes, and only then."""

from __future__ import annotations

import importlib
import shutil
from pathlib import Path

import pytest
from numba.core.registry import CPUDispatcher

from trials.kernels.compiled import cache

FOLDER = Path(cache.__file__).parent


def compiles(name: str) -> bool:
    """Whether a module of the kernels has compiled functions of its own."""
    module = importlib.import_module(f"trials.kernels.compiled.{name}")
    found = [each for each in vars(module).values() if isinstance(each, CPUDispatcher)]
    return any(each.py_func.__module__ == module.__name__ for each in found)


COMPILED = [name for name in sorted(p.stem for p in FOLDER.glob("*.py")) if compiles(name)]
COMPILED.append("simd")  # written into those that call it


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for path in FOLDER.glob("*.py"):
        shutil.copy(path, tmp_path)
    monkeypatch.setattr(cache, "__file__", str(tmp_path / "cache.py"))
    return tmp_path


@pytest.mark.parametrize("name", COMPILED)
def test_a_change_of_a_compiled_kernel_is_noticed(name: str, copy: Path) -> None:
    before = cache._fingerprint()
    with (copy / f"{name}.py").open("a") as file:
        file.write("# another\n")
    assert cache._fingerprint() != before


def test_a_change_of_anything_else_is_not(copy: Path) -> None:
    assert "small_lasso" in COMPILED
    before = cache._fingerprint()
    with (copy / "__init__.py").open("a") as file:
        file.write("# another\n")
    assert cache._fingerprint() == before
