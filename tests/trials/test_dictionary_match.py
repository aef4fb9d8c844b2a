"""Two dictionaries held against each other, where it is known what they share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from safetensors.numpy import save_file

from trials.api import Context, TrialError, TrialResult
from trials.dictionary_match.kind import KIND, DictionaryMatchConfig
from trials.dictionary_match.run import run

D_MODEL = 32


def directions(n_atoms: int, seed: int) -> np.ndarray:
    """Unit atoms in a space with a falling spectrum, as dictionaries of one matrix are."""
    rng = np.random.default_rng(seed)
    drawn = rng.standard_normal((n_atoms, D_MODEL)) * np.linspace(1, 0.1, D_MODEL)
    return (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def context(tmp_path: Path) -> Context:
    def fetch(run_id: str, path: str) -> Path:
        if not (found := tmp_path / run_id / path).is_file():
            raise TrialError(f"run '{run_id}' has no artifact '{path}'")
        return found

    return Context("cpu", 1, tmp_path, tmp_path, lambda step, metrics: None, fetch)


def matched(context: Context, first: np.ndarray, second: np.ndarray, **config: Any) -> TrialResult:
    for name, atoms in (("first", first), ("second", second)):
        np.save(context.work_dir / f"{name}.npy", atoms)
    return run(
        DictionaryMatchConfig(first="file:first.npy", second="file:second.npy", **config), context
    )


def test_the_same_atoms_in_another_order_are_all_shared(context: Context) -> None:
    atoms = directions(48, seed=0)
    metrics = matched(context, atoms, -atoms[::-1]).metrics
    for name in ("mmcs", "matched_cosine", "shared_frac", "matched_frac_99"):
        assert metrics[name] == pytest.approx(1, abs=1e-5)
        assert metrics[f"{name}_corrected"] == pytest.approx(1, abs=1e-4)
    assert metrics["mmcs_p_value"] == pytest.approx(1 / 21)


def test_unrelated_dictionaries_of_one_spectrum_are_as_alike_as_their_null(
    context: Context,
) -> None:
    metrics = matched(context, directions(48, seed=1), directions(64, seed=2)).metrics
    assert metrics["mmcs"] > 0.4, "they look alike although they share nothing"
    for name in ("mmcs", "matched_cosine"):
        assert abs(metrics[f"{name}_corrected"]) < 0.05
        assert metrics[f"{name}_p_value"] > 0.05
    assert metrics["matched_frac_99"] == 0


def test_the_shared_fraction_is_the_planted_one(context: Context) -> None:
    common, rng = directions(30, seed=3), np.random.default_rng(4)
    first = np.concatenate([common, directions(30, seed=5)])
    noisy = common + 0.02 * rng.standard_normal(common.shape).astype(np.float32)
    second = np.concatenate([directions(10, seed=6), noisy])
    result = matched(context, first, second, shared_cosine=0.95)
    assert result.metrics["shared_frac"] == pytest.approx(2 * 30 / 100, abs=0.021)
    assert result.metrics["n_atoms_first"] == 60
    assert result.metrics["n_atoms_second"] == 40
    pairs = dict(
        zip(result.arrays["matching"]["first"], result.arrays["matching"]["second"], strict=True)
    )
    assert sum(pairs.get(atom) == atom + 10 for atom in range(30)) >= 29


def test_the_table_names_nearest_and_partner_of_every_atom(context: Context) -> None:
    atoms = directions(20, seed=7)
    table = matched(context, atoms, atoms[5:]).tables["best_match"]
    assert list(table["dictionary"]) == ["first"] * 20 + ["second"] * 15
    assert list(table["atom"]) == [*range(20), *range(15)]
    assert list(table["partner"]) == [-1] * 5 + [*range(15)] + [*range(5, 20)]
    assert list(table["nearest"][5:20]) == [*range(15)]
    np.testing.assert_allclose(table["cosine"][5:], 1, atol=1e-5)


def test_one_large_shared_direction_is_no_agreement_beyond_chance(context: Context) -> None:
    shift = 2 * np.eye(D_MODEL, dtype=np.float32)[0]
    first, second = (directions(40, seed=s) + shift for s in (8, 9))
    metrics = matched(context, first, second, nonnegative=True).metrics
    assert metrics["mmcs"] > 0.8
    assert metrics["mmcs_corrected"] < 0.1


def test_dictionaries_of_runs_and_files_are_the_same(context: Context) -> None:
    atoms = directions(12, seed=10)
    folder = context.work_dir / "abc"
    folder.mkdir()
    save_file({"atoms": atoms, "offset": np.zeros(D_MODEL)}, folder / "dictionary.safetensors")
    save_file({"decoder": atoms}, folder / "sae.safetensors")
    for first, second in (
        ("run:abc", "file:abc/dictionary.safetensors"),
        ("run:abc/sae#decoder", "file:abc/sae.safetensors#decoder"),
    ):
        config = DictionaryMatchConfig(first=first, second=second, n_nulls=2)
        assert run(config, context).metrics["mmcs"] == pytest.approx(1, abs=1e-5)


def test_input_digests_name_the_content_of_a_file_and_the_artifact_of_a_run(
    context: Context,
) -> None:
    def digests(**config: str) -> dict[str, str]:
        given = {"first": "run:abc", "second": "file:x.npy"} | config
        return KIND.input_digests(DictionaryMatchConfig(**given))

    np.save("x.npy", directions(4, seed=0))
    before = digests()
    np.save("y.npy", directions(4, seed=0))
    assert digests(second="file:y.npy") == before
    assert digests(first="run:abc/dictionary#atoms") == before
    assert digests(first="run:abd")["first"] != before["first"]
    np.save("y.npy", directions(5, seed=0))
    assert digests(second="file:y.npy")["second"] != before["second"]
    with pytest.raises(TrialError, match=r"file:none\.npy: no such file"):
        digests(second="file:none.npy")


def test_what_cannot_be_matched_is_one_line(context: Context) -> None:
    narrow = directions(8, seed=0)[:, :5]
    with pytest.raises(TrialError, match="first has 32 columns and second has 5"):
        matched(context, directions(8, seed=0), narrow)
    with pytest.raises(TrialError, match="run:nobody: run 'nobody' has no artifact"):
        run(DictionaryMatchConfig(first="run:nobody", second="run:nobody"), context)


@pytest.mark.parametrize("text", ["abc", "run:", "file:x.csv", "run:a/b/c", "hub:gpt2"])
def test_what_names_no_dictionary_is_refused(text: str) -> None:
    with pytest.raises(ValidationError, match="names no dictionary; allowed: run:RUN_ID"):
        DictionaryMatchConfig(first=text, second="run:abc")
