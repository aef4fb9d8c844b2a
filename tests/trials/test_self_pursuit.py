"""Rows coded over other rows, where it is known which rows are made of which."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import trials
from trials.api import Context, TrialResult
from trials.self_pursuit.kind import KIND, SelfPursuitConfig
from trials.self_pursuit.run import run

D_MODEL = 32


@pytest.fixture
def context(tmp_path: Path) -> Context:
    def no_artifact(run_id: str, path: str) -> Path:
        raise AssertionError("no artifact is needed")

    return Context("cpu", 1, tmp_path, tmp_path, lambda step, metrics: None, no_artifact)


def trial(context: Context, rows: np.ndarray, **config: Any) -> TrialResult:
    np.save(context.work_dir / "rows.npy", rows)
    given = {"source": "file:rows.npy", "l1_penalty": 0.2, "n_signals": 80} | config
    return run(SelfPursuitConfig.model_validate(given), context)


def few_directions(n_tokens: int, n_directions: int = 100) -> np.ndarray:
    """Each row a multiple of one of a few directions: any other token of its direction codes it."""
    rng = np.random.default_rng(0)
    directions = rng.standard_normal((n_directions, D_MODEL))
    size = rng.choice([-1, 1], n_tokens) * (1 + rng.random(n_tokens))
    return (size[:, None] * directions[np.arange(n_tokens) % n_directions]).astype(np.float32)


def number_in(name: str) -> int:
    return int("".join(filter(str.isdigit, name)))


def gaussian(n_tokens: int) -> np.ndarray:
    return np.random.default_rng(1).standard_normal((n_tokens, D_MODEL), dtype=np.float32)


def test_rows_that_repeat_a_few_directions_are_coded_by_one_other_row(context: Context) -> None:
    config = {"l1_penalty": 0.5, "centre": "none", "n_dictionary_rows": 800}
    real = trial(context, few_directions(1000), **config)
    null = trial(context, few_directions(1000), **config, null="gaussian_spectrum")
    assert real.uncertified == null.uncertified == ""
    assert real.metrics["nearest_cosine_held_out"] == pytest.approx(1, abs=1e-4)
    assert real.metrics["fvu_debiased_held_out"] < 1e-3
    assert real.metrics["excess_bits_held_out"] < -20
    assert null.metrics["fvu_debiased_held_out"] > 0.1
    assert null.metrics["excess_bits_held_out"] > 0


def test_a_token_meets_no_variant_of_its_own_word(context: Context) -> None:
    words = [f"{a}{b}{c}xo" for a in "bcdfg" for b in "aeiou" for c in "klmnprtvwz"]
    variants = [form for word in words for form in (word, f" {word.title()}")]
    (context.work_dir / "rows.tokens.json").write_text(json.dumps(variants))
    rows = gaussian(len(words)).repeat(2, axis=0)
    metrics = trial(context, rows, n_dictionary_rows=400).metrics
    assert metrics["nearest_cosine_held_out"] < 0.7, "the other variant has cosine 1"


def test_the_dictionary_is_training_tokens_and_only_the_others_are_coded(context: Context) -> None:
    result = trial(context, gaussian(600), n_dictionary_rows=100, n_signals=30)
    coded, row_ids = result.arrays["tokens"], result.arrays["dictionary"]["token_id"]
    assert len(row_ids) == result.metrics["n_atoms_resolved"] == 100
    assert not set(row_ids) & set(coded["token_id"])
    assert [int((coded["side"] == side).sum()) for side in range(3)] == [0, 30, 30]
    assert result.metrics["n_held_out_tokens"] == 30


def test_the_table_names_the_rows_that_others_are_made_of(context: Context) -> None:
    result = trial(context, few_directions(1000), l1_penalty=0.5, centre="none")
    table = result.tables["rows"]
    row_ids = result.arrays["dictionary"]["token_id"]
    assert list(table["n_tokens"]) == sorted(table["n_tokens"], reverse=True)
    n_used = sum(n > 0 for n in table["n_tokens"])
    assert n_used > 10
    for atom, name, top in list(
        zip(table["atom"], table["token"], table["top_tokens"], strict=True)
    )[:n_used]:
        coded_token, _ = json.loads(top)[0]
        assert number_in(name) == row_ids[atom]
        assert number_in(coded_token) % 100 == row_ids[atom] % 100, "a multiple of its row"


def test_seeds_draw_other_dictionaries_for_the_tokens_of_a_split(context: Context) -> None:
    config = {"n_dictionary_rows": 100, "n_signals": 30}
    first, other = (
        trial(context, gaussian(600), **config, seed=seed, split_seed=0) for seed in (0, 1)
    )
    ids = [result.arrays["tokens"]["token_id"] for result in (first, other)]
    np.testing.assert_array_equal(*ids)
    rows = [result.arrays["dictionary"]["token_id"] for result in (first, other)]
    assert not np.array_equal(*rows)


def test_random_directions_can_stand_in_for_the_rows(context: Context) -> None:
    config = {"l1_penalty": 0.5, "centre": "none"}
    real = trial(context, few_directions(1000), **config)
    random = trial(context, few_directions(1000), **config, null="random_dictionary")
    assert random.metrics["n_atoms_resolved"] == real.metrics["n_atoms_resolved"]
    assert random.metrics["nearest_cosine_held_out"] < 0.9
    assert set(random.tables["rows"]["token"]) == {""}


def test_zero_rows_are_no_atoms(context: Context) -> None:
    rows = gaussian(600)
    rows[::3] = 0
    result = trial(context, rows, centre="none", n_dictionary_rows=600)
    assert result.metrics["n_atoms_resolved"] < 400
    assert (result.arrays["dictionary"]["token_id"] % 3 != 0).all()


def test_the_ready_made_sweep_gives_valid_configs() -> None:
    path = Path(trials.__file__).parent / "sweeps" / "self-pursuit.yaml"
    sweep = yaml.safe_load(path.read_text())
    assert sweep["kind"] == KIND.name
    for end in ("low", "high"):
        penalty = sweep["space"]["l1_penalty"][end]
        SelfPursuitConfig(**sweep["fixed"], l1_penalty=penalty)
