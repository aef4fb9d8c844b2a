"""What is refused, or only looks, leaves no file behind."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sweeper.cli import main

BASE = "kind: bowl\nspace: {x: [0.0, 1.0]}\n"
PURSUIT = """\
kind: pursuit
fixed: {source: "file:m.npy", n_atoms: 1x, max_passes: 2}
space: {l1_penalty: [0.3]}
"""
FILES = {
    "base.yaml": BASE,
    "pursuit.yaml": PURSUIT,
    "gone.yaml": PURSUIT.replace("m.npy", "gone.npy"),
    "late_gone.yaml": PURSUIT.replace("m.npy", "gone.npy") + "after: base.yaml\n",
    "loop.yaml": BASE + "after: loop.yaml\n",
    "bad_set.yaml": BASE + "after: {sweep: base.yaml, set: {nope: 1}}\n",
    "runs.yaml": "kind: pursuit\nfixed: {n_atoms: 1x, l1_penalty: 0.3}\n"
    "space: {source: {runs: elsewhere}}\n",
    "late_runs.yaml": "kind: pursuit\nafter: base.yaml\nfixed: {n_atoms: 1x, l1_penalty: 0.3}\n"
    "space: {source: {runs: elsewhere}}\n",
    "where.yaml": "kind: pursuit\nafter: base.yaml\nfixed: {n_atoms: 1x, l1_penalty: 0.3}\n"
    "space: {source: {runs: base, where: {y: 1}}}\n",
    "large.yaml": PURSUIT.replace("1x", "1000000x"),
}
REFUSED = [
    (["run", "base.yml"], "base.yml: no such file; did you mean 'base.yaml'?"),
    (["run", "gone.yaml"], "gone.yaml: file:gone.npy: no such file"),
    (["plan", "gone.yaml"], "gone.yaml: file:gone.npy: no such file"),
    (["check", "gone.yaml"], "gone.yaml:2: fixed.source: no such file 'gone.npy'"),
    (["run", "late_gone.yaml"], "late_gone.yaml: file:gone.npy: no such file"),
    (["plan", "late_gone.yaml"], "late_gone.yaml: file:gone.npy: no such file"),
    (["check", "late_gone.yaml"], "late_gone.yaml:2: fixed.source: no such file 'gone.npy'"),
    (["run", "loop.yaml"], "loop.yaml:3: after: a sweep cannot run before itself"),
    (["run", "bad_set.yaml"], "bad_set.yaml:3: after.set.nope: unknown field or key 'nope'"),
    (["run", "runs.yaml"], "runs.yaml:3: space.source: the store holds no sweep 'elsewhere'"),
    (["plan", "runs.yaml"], "runs.yaml:3: space.source: the store holds no sweep 'elsewhere'"),
    (["run", "late_runs.yaml"], "late_runs.yaml:4: space.source: the store holds no sweep"),
    (["run", "where.yaml"], "where.yaml:4: space.source.where.y: trials of 'base' have no field"),
    (["run", "large.yaml"], "large.yaml:2: fixed.n_atoms: '1000000x' is too many atoms"),
    (["run", "base.yaml", "--store", "base.yaml"], "'base.yaml' is a file; a store is a folder"),
    (["run", "base.yaml", "--store", "ftp://x"], "unknown store scheme 'ftp'"),
    (
        ["run", "pursuit.yaml", "--set", "source=file:m.csv"],
        "a file: source ends in .safetensors, .bin",
    ),
    (["run", "pursuit.yaml", "--set", "n_atoms=[1x, 1.0x]"], "'1x' and '1.0x' are the same"),
    (["ls"], "there is no store yet"),
    (["show", "x"], "there is no store yet"),
    (["query", "x = 1"], "there is no store yet"),
    (["diff", "a", "b"], "there is no store yet"),
    (["report"], "there is no store yet"),
    (["verdict"], "there is no store yet"),
    (["rerun", "x"], "there is no store yet"),
    (["fsck"], "there is no sweep yet"),
]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path) -> Path:
    """A folder with sweep files and one matrix."""
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    rows = np.random.default_rng(0).standard_normal((400, 16))
    np.save(tmp_path / "m.npy", rows.astype("float32"))
    return tmp_path


def contents(folder: Path) -> dict[str, bytes | None]:
    """Every file below a folder with its bytes, every folder with None."""
    ours = (p for p in folder.rglob("*") if "caches" not in p.relative_to(folder).parts)
    return {str(p): None if p.is_dir() else p.read_bytes() for p in ours}


def sweeper(*words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(words)
    return int(ended.value.code or 0)


@pytest.mark.parametrize(("words", "message"), REFUSED)
def test_what_is_refused_is_one_line_and_leaves_no_file(
    folder: Path, capfd: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    before = contents(folder)
    assert sweeper(*words) == 2
    said = capfd.readouterr()
    assert message in said.err
    assert said.err.count("\n") == 1
    assert contents(folder) == before


@pytest.mark.parametrize(
    "words",
    [
        ["check", "base.yaml"],
        ["plan", "base.yaml"],
        ["plan", "base.yaml", "--json"],
        ["plan", "pursuit.yaml", "--store", "new/store"],
        ["kinds"],
    ],
)
def test_what_only_looks_leaves_no_file(folder: Path, words: list[str]) -> None:
    before = contents(folder)
    assert sweeper(*words) == 0
    assert contents(folder) == before
