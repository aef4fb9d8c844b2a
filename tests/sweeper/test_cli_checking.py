"""`fsck`, `rerun` and `diff` as a user meets them: exit codes, one line a mistake."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.sweeper.conftest import Sweeper


@pytest.fixture
def swept(
    tmp_path: Path, store_dir: Path, write_sweep: Callable[..., Path], sweeper: Sweeper
) -> Path:
    """A folder in which the sweeps `bowls` and, taken from it, `others` have run."""
    for name in ("bowls", "others"):
        write_sweep("kind: bowl\nspace: {x: [0.0, 1.0]}\n", name)
        done = sweeper("run", f"{name}.yaml", "--in-process")
        assert done.returncode == 0, done.stderr
    return tmp_path


def test_a_damaged_artifact_is_found_and_its_trial_made_again(
    swept: Path, sweeper: Sweeper
) -> None:
    clean = sweeper("fsck")
    assert (clean.returncode, clean.stderr) == (0, "")
    assert clean.stdout == "bowls: 2 trials, clean\nothers: 2 trials, clean\n"

    listed = json.loads(sweeper("ls", "bowls", "--json").stdout)
    run_id = listed[1]["run_id"]
    [file] = (swept / "results" / "artifacts").rglob(f"{run_id}/artifacts/point.safetensors")
    whole = file.read_bytes()
    file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))

    found = sweeper("fsck", "--json")
    assert found.returncode == 1
    [disagreement] = json.loads(found.stdout)
    assert disagreement["what"] == "artifact"
    assert disagreement["where"].endswith(f"(run {run_id[:12]}) point.safetensors")
    assert "the next 'sweeper run bowls' runs it again" in disagreement["repair"]

    mended = sweeper("fsck", "bowls", "--repair")
    assert mended.returncode == 0, mended.stderr
    assert mended.stdout.splitlines()[0] == "bowls: 2 trials, 1 mended, clean"

    again = sweeper("run", "bowls.yaml", "--in-process")
    assert "2 trials: 1 run now, 1 reused, 0 failed" in again.stderr
    assert file.read_bytes() == whole
    assert sweeper("fsck").returncode == 0


def test_a_trial_is_repeated_and_two_are_compared(swept: Path, sweeper: Sweeper) -> None:
    repeated = sweeper("rerun", "bowls:x=1")
    assert repeated.returncode == 0, repeated.stderr
    assert "4 metrics bitwise equal" in repeated.stdout
    compared = sweeper("diff", "bowls:x=0", "others:x=1", "--json")
    assert compared.returncode == 0, compared.stderr
    found = json.loads(compared.stdout)
    assert found["config"] == {"x": {"a": "0.0", "b": "1.0"}}
    [array] = found["artifacts"]["point.safetensors"]["arrays"]
    assert array["largest"] == 1.0


def test_a_file_of_the_same_name_and_another_kind_is_refused(swept: Path, sweeper: Sweeper) -> None:
    (swept / "other").mkdir()
    (swept / "other" / "bowls.yaml").write_text(
        "kind: pursuit\nfixed: {source: 'file:m.npy', n_atoms: 1x, l1_penalty: 0.3}\n"
    )
    (swept / "later.yaml").write_text("kind: bowl\nafter: other/bowls.yaml\n")
    before = sorted(swept.rglob("*"))
    for words in (["run", "other/bowls.yaml"], ["plan", "other/bowls.yaml"], ["run", "later.yaml"]):
        done = sweeper(*words)
        assert done.returncode == 2
        assert done.stderr == (
            "sweeper: other/bowls.yaml: the store holds a sweep 'bowls' of kind 'bowl'; "
            "this one is of kind 'pursuit': give its file another name\n"
        )
    assert sorted(swept.rglob("*")) == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["fsck", "bowl"], "the store holds no sweep 'bowl'; did you mean 'bowls'?"),
        (["rerun", "zzz"], "no trial begins with 'zzz'; see 'sweeper ls'"),
        (["rerun", "bowls:"], "2 trials match 'bowls:'"),
        (["rerun", "bowls:x=0", "--rtol", "-1"], "--rtol"),
        (["rerun", "bowls:x=0", "--device", "gpu"], "--device"),
        (["diff", "bowls:x=0", "bowls:x=7"], "no trial matches 'bowls:x=7'"),
        (["diff", "bowls:x=0"], "Missing argument 'B'"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    swept: Path, sweeper: Sweeper, words: list[str], message: str
) -> None:
    done = sweeper(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("sweeper: ")
    assert done.stderr.count("\n") == 1
    assert message in done.stderr


def test_fsck_of_nothing_is_a_mistake_and_makes_nothing(tmp_path: Path, sweeper: Sweeper) -> None:
    for words in (["fsck"], ["fsck", "--repair"]):
        done = sweeper(*words)
        assert done.returncode == 2
        assert "there is no sweep yet; see 'sweeper run'" in done.stderr
    assert not (tmp_path / "results").exists()
