"""Bad sweep files, hostile names, files that pose as others: refused, nothing written outside."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from chaos.sweep import MakeSweep
from chaos.table import Demand

from sweeper.cli import main
from sweeper.records import TrialState

LONG = "n" * 10_000
NAMES = {
    "parent folders": "../../x",
    "absolute": "/x/y",
    "shell": "x;touch y",
    "substitution": "$(touch y)",
    "long": LONG,
    "newline": "x\ny",
    "escape": "x\x1b[2Jy",
    "option": "--store=elsewhere",
    "empty": "",
    "dots": "..",
    "percent": "%2e%2e%2fx",
    "null byte": "x\0y",
    "unpaired surrogate": "x\udc80y",
}
PYTHON_TAG = "kind: stepper\nfixed: !!python/object/apply:os.system ['touch y']\n"
FILES = {
    "bytes": os.urandom(2000),
    "null bytes": b"kind: stepper\0\n",
    "not UTF-8": b"kind: stepper\nfixed: {note: \xff\xfe}\n",
    "python tag": PYTHON_TAG.encode(),
    "alias bomb": b"a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n",
    "nested 10,000 deep": b"kind: stepper\nspace: {x: " + b"[" * 10_000 + b"]" * 10_000 + b"}\n",
    "a number of 10,000 digits": b"kind: stepper\nspace: {n_steps: [" + b"9" * 10_000 + b"]}\n",
    "a pickle": pickle.dumps({"kind": "stepper"}),
    "a grid without end": b"kind: stepper\nspace: {n_values: {low: 1, high: 10000000}, "
    b"n_steps: {low: 1, high: 10000}}\n",
}


class Touches:
    """Leaves a file where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str, str]]:
        return open, (str(self._path), "w")


def tree(folder: Path) -> dict[str, bytes | None]:
    """Every file below `folder` with its content, outside the store and what processes said."""
    ours = ("said-", "results", "caches", "__pycache__", "marks")
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
        if not any(part.startswith(ours) for part in path.relative_to(folder).parts)
    }


@pytest.fixture
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory, two folders below the one that is watched."""
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def refusal(capsys: pytest.CaptureFixture[str]) -> Callable[[list[str]], str]:
    """`refusal(command)`: what is wrong with how a command is refused ("" when nothing is)."""

    def refuse(command: list[str]) -> str:
        with pytest.raises(SystemExit) as ended:
            main(command)
        said = capsys.readouterr()
        clean = all(c.isprintable() for c in said.err.removesuffix("\n"))
        good = ended.value.code == 2 and not said.out and clean and len(said.err) < 1500
        return "" if good else f"{ended.value.code} {said.out[:200]!r} {said.err[:400]!r}"

    return refuse


@pytest.mark.parametrize("what", ["sweep", "field", "value", "store", "trial", "kind"])
def test_hostile_names_are_refused_in_one_line(
    inside: Path,
    tmp_path: Path,
    demand: Demand,
    refusal: Callable[[list[str]], str],
    what: str,
) -> None:
    (inside / "s.yaml").write_text("kind: stepper\nspace: {x: [0.0, 1.0]}\n")
    before = tree(tmp_path)
    wrong = {}
    for how, name in NAMES.items():
        command = {
            "sweep": ["check", "--", name],
            "field": ["check", "s.yaml", "--set", f"{name}=1"],
            "value": ["check", "s.yaml", "--set", f"fate={name}"],
            "store": ["run", "s.yaml", "--in-process", "--store", f"{name}://host"],
            "trial": ["show", "--", name],
            "kind": ["kinds", "--", name],
        }[what]
        if told := refusal(command):
            wrong[how] = told
    demand(f"hostile name: {what}", len(NAMES), "not refused in one line", wrong, equals={})
    same = tree(tmp_path) == before
    demand(f"hostile name: {what}", len(NAMES), "tree unchanged", same, equals=True)


def test_bad_sweep_files_and_bad_names_of_files_are_refused_in_one_line(
    inside: Path, tmp_path: Path, demand: Demand, refusal: Callable[[list[str]], str]
) -> None:
    for n, content in enumerate(FILES.values()):
        (inside / f"s{n}.yaml").write_bytes(content)
    (inside / "folder.yaml").mkdir()
    os.mkfifo(inside / "pipe.yaml")
    named = [f"{name}.yaml" for name in ("x;touch y", "x\ny", "-x", ".x", "x y", "n" * 200)]
    for name in named:
        (inside / name).write_text("kind: stepper\n")
    paths = [*(f"s{n}.yaml" for n in range(len(FILES))), "folder.yaml", "pipe.yaml", *named]
    before = tree(tmp_path)
    told = {path: refusal(["run", "--in-process", "--", path]) for path in paths}
    wrong = {path: what for path, what in told.items() if what}
    demand("bad sweep file", len(paths), "not refused in one line", wrong, equals={})
    demand("bad sweep file", len(paths), "tree unchanged", tree(tmp_path) == before, equals=True)


def test_hostile_artifact_names_fail_their_trials_and_write_nothing_outside(
    make_sweep: MakeSweep, demand: Demand, tmp_path: Path
) -> None:
    outside = str(tmp_path / "x")
    stems = ["state", "../../x", outside, "x;touch y", "x\ny", "", "..", ".", "n" * 10_000]
    listed = ", ".join(repr(stem).replace("'", '"') for stem in stems)
    sweep = make_sweep(f"kind: stepper\nspace: {{stem: [{listed}]}}\n")
    before = tree(tmp_path)
    ended = sweep.run()
    assert ended.code == 1, ended.stderr
    rows = {str(row.params["stem"]): row for row in sweep.rows()}
    complete = [stem for stem, row in rows.items() if row.state is TrialState.COMPLETE]
    demand("hostile artifact name", len(stems), "trials stored", len(rows), equals=len(stems))
    demand("hostile artifact name", len(stems), "accepted", complete, equals=["state"])
    unsaid = sum(not row.error for stem, row in rows.items() if stem != "state")
    demand("hostile artifact name", len(stems), "failed without a reason", unsaid, equals=0)
    demand(
        "hostile artifact name", len(stems), "tree unchanged", tree(tmp_path) == before, equals=True
    )


@pytest.mark.chaos
def test_long_and_strange_texts_in_a_config_are_stored_whole(
    make_sweep: MakeSweep, demand: Demand, tmp_path: Path
) -> None:
    notes = ["../../x", "x;touch y", "x\ny", "'); DROP TABLE runs; --", "λ", LONG]
    listed = ", ".join(f'"{note}"'.replace("\n", "\\n") for note in notes)
    sweep = make_sweep(f"kind: stepper\nspace: {{note: [{listed}]}}\n")
    before = tree(tmp_path)
    ended = sweep.run()
    demand("hostile text in a config", len(notes), "exit code", ended.code, equals=0)
    stored = {str(row.params["note"]) for row in sweep.rows()}
    demand(
        "hostile text in a config",
        len(notes),
        "texts stored whole",
        len(stored & {*notes}),
        equals=len(notes),
    )
    demand(
        "hostile text in a config",
        len(notes),
        "tree unchanged",
        tree(tmp_path) == before,
        equals=True,
    )


def test_a_pickle_that_poses_as_a_matrix_is_refused_and_never_runs(
    make_sweep: MakeSweep, demand: Demand, tmp_path: Path
) -> None:
    ran = tmp_path / "ran"
    poser = np.empty(1, dtype=object)
    poser[0] = Touches(ran)
    np.save(tmp_path / "a.npy", poser, allow_pickle=True)
    (tmp_path / "b.safetensors").write_bytes(pickle.dumps(Touches(ran)))
    (tmp_path / "c.npy").write_bytes(pickle.dumps(Touches(ran)))
    sources = [f"file:{tmp_path}/{name}" for name in ("a.npy", "b.safetensors", "c.npy")]
    text = f"kind: pursuit\nfixed: {{l1_penalty: 0.3}}\nspace: {{source: {sources}}}\n"
    sweep = make_sweep(text)
    ended = sweep.run()
    refused = ended.code == 2 or all(row.state is TrialState.FAILED for row in sweep.rows())
    demand("pickle posing as a matrix", 3, "refused", refused, equals=True)
    demand("pickle posing as a matrix", 3, "executed", ran.exists(), equals=False)
