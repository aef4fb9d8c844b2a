"""The laws of the tree, read from the imports themselves."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from trials import KINDS, load_kind

PROJECT = Path(__file__).parent.parent
ALLOWED = {
    "sweeper/errors": set(),
    "sweeper/records": set(),
    "sweeper/declare": {"declare"},
    "sweeper/store": {"store"},
    "sweeper/report": {"report", "store", "declare"},
    "sweeper/run": {"run", "store", "declare"},
    "sweeper/serve": {"serve", "store", "declare"},
    "sweeper/api": {"api", "report", "run", "store", "declare"},
    "sweeper/cli": {"cli", "api", "report", "run", "serve", "store", "declare"},
    "sweeper/submit": {"cli"},
}
EVERYWHERE = {"errors", "records", ""}
OWNED = {
    "ray": "run/tune_runner/",
    "optuna": "run/search/with_optuna/",
    "mlflow": "store/tracking/",
}


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module or ""


def module_name(path: Path) -> str:
    parts = path.relative_to(PROJECT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def graph_imports(path: Path) -> set[str]:
    """Modules of ours that a file imports at run time, each by its own name."""
    tree = ast.parse(path.read_text())
    typing = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    found: set[str] = set()
    for node in ast.walk(tree):
        if node in typing:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                found.add(inner if is_module(inner) else node.module or "")
    return {name for name in found if is_module(name)}


def is_module(name: str) -> bool:
    place = PROJECT.joinpath(*name.split("."))
    return place.with_suffix(".py").is_file() or (place / "__init__.py").is_file()


def files(folder: str) -> list[Path]:
    return sorted((PROJECT / folder).rglob("*.py"))


@pytest.mark.parametrize("path", files("sweeper"), ids=lambda p: str(p.relative_to(PROJECT)))
def test_imports_run_one_way(path: Path) -> None:
    inside = path.relative_to(PROJECT).with_suffix("")
    if inside.parts[1] == "__init__":
        return
    allowed = ALLOWED["/".join(inside.parts[:2])] | EVERYWHERE
    for name in imports(path):
        if name.split(".")[0] == "sweeper":
            room = ".".join(name.split(".")[1:2])
            assert room in allowed, f"{inside} imports {name}"


@pytest.mark.parametrize("path", files("sweeper"), ids=lambda p: str(p.relative_to(PROJECT)))
def test_the_service_knows_the_contract_of_kinds_and_no_kind(path: Path) -> None:
    known = {"trials", "trials.api", "trials.machine"}
    ours = {name for name in imports(path) if name.split(".")[0] in ("trials", "study")}
    assert ours <= known


@pytest.mark.parametrize("path", files("sweeper"), ids=lambda p: str(p.relative_to(PROJECT)))
def test_the_service_names_no_kind_no_field_of_one_and_no_ready_made_sweep(path: Path) -> None:
    tree = ast.parse(path.read_text())
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    texts = {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and id(node) not in docstrings
    }
    assert not texts & names_of_the_science()


@cache
def names_of_the_science() -> set[str]:
    """Kinds, and fields and ready-made sweeps of several words: one word may mean many things."""
    names = {path.stem for path in (PROJECT / "trials/sweeps").glob("*.yaml")}
    for kind in KINDS:
        names |= set(load_kind(kind).config.model_fields)
    return {*KINDS, *(name for name in names if "_" in name or "-" in name)}


@pytest.mark.parametrize("path", files("trials"), ids=lambda p: str(p.relative_to(PROJECT)))
def test_the_science_knows_no_service(path: Path) -> None:
    roots = {name.split(".")[0] for name in imports(path)}
    assert not roots & {"sweeper", "study", "ray", "mlflow", "optuna"}


@pytest.mark.parametrize("path", files("trials/kernels"), ids=lambda p: p.name)
def test_kernels_know_no_config_and_no_inputs(path: Path) -> None:
    for name in imports(path):
        assert not name.startswith(("trials.api", "trials.inputs", "trials.pursuit", "pydantic"))


def test_a_private_module_is_imported_in_its_own_room_only() -> None:
    for path in (*files("sweeper"), *files("trials"), *files("study"), *files("benchmarks")):
        room = ".".join(path.relative_to(PROJECT).parent.parts)
        for name in graph_imports(path):
            module, _, last = name.rpartition(".")
            if last.startswith("_") and last != "__init__":
                assert module == room, f"{path.relative_to(PROJECT)} imports {name}"


def test_no_files_import_each_other_in_a_circle() -> None:
    graph = {
        module_name(path): [name for name in graph_imports(path) if name != module_name(path)]
        for folder in ("sweeper", "trials", "study", "benchmarks")
        for path in files(folder)
    }
    try:
        tuple(TopologicalSorter(graph).static_order())
    except CycleError as error:
        raise AssertionError(" -> ".join(error.args[1])) from None


@pytest.mark.parametrize("package", sorted(OWNED))
def test_each_service_library_is_imported_in_one_module_or_package(package: str) -> None:
    found = {
        path.relative_to(PROJECT / "sweeper").as_posix()
        for path in files("sweeper")
        if package in {name.split(".")[0] for name in imports(path)}
    }
    assert found
    assert all(path.startswith(OWNED[package]) for path in found), found


def test_the_deployment_folder_holds_no_python() -> None:
    assert not list((PROJECT / "mlflow").rglob("*.py"))


@pytest.mark.parametrize(
    "command",
    [["--help"], ["check", "pursuit"], ["plan", "pursuit"], ["kinds", "pursuit"]],
    ids=lambda command: command[0],
)
def test_quick_commands_load_no_heavy_library(command: list[str]) -> None:
    heavy = ("torch", "ray", "mlflow", "optuna", "numba", "scipy", "pandas", "matplotlib")
    program = (
        "import sys\nfrom sweeper.cli import main\n"
        f"try:\n    main({command!r})\nexcept SystemExit as done:\n    assert not done.code\n"
        f"print('LOADED', sorted(set({heavy!r}) & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "LOADED []"


PYTHON_FILES = sorted(
    path for name in ("sweeper", "trials", "study") for path in (PROJECT / name).rglob("*.py")
)


def test_no_file_is_longer_than_three_hundred_lines() -> None:
    long = {
        str(path.relative_to(PROJECT)): n
        for path in PYTHON_FILES
        if (n := len(path.read_text().splitlines())) > 300
    }
    assert not long


def test_no_folder_has_more_than_fifteen_modules() -> None:
    modules = Counter(path.parent for path in PYTHON_FILES if path.name != "__init__.py")
    assert not {str(folder): n for folder, n in modules.items() if n > 15}


def test_few_imports_are_inside_functions() -> None:
    inside = [
        f"{path.relative_to(PROJECT)}:{node.lineno}"
        for path in PYTHON_FILES
        for function in ast.walk(ast.parse(path.read_text()))
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    assert len(inside) < 40, inside
