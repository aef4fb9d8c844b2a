"""The page of the whole study, from the rows of a database."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from study.report import TOPICS, write_study
from study.report.trial_groups import TrialFiles
from study.verdict.decide import decide
from study.verdict.rule import load_rule
from sweeper.records import TrialRow
from tests.study.verdict.small_study import no_artifacts, row, training
from trials import load_kind


def study_rows() -> list[TrialRow]:
    found = []
    for seed in range(3):
        for arm, loss in (("learned", 3.0), ("frozen_random", 3.2)):
            found.append(training(arm, seed, loss + 0.001 * seed))
        for step in (0, *(2**e for e in range(10))):
            for null in ("none", "gaussian_spectrum_norms"):
                for l0 in (4.0, 16.0):
                    source = f"run:learned{seed}/step-{step:06d}"
                    metrics = {
                        "training_step": float(step),
                        "l0_held_out": l0,
                        "fvu_debiased_held_out": 0.5 + 0.3 / (1 + step) + 0.001 * seed,
                        "n_atoms_resolved": 128.0,
                        "n_train_tokens": 2000.0,
                    }
                    params = {"source": source, "null": null, "n_atoms": "2x", "seed": 0}
                    found.append(row("pursuit", f"{source}{null}{l0}", params, metrics))
    return found


def page_of(rows: list[TrialRow], folder: Path) -> str:
    verdict = decide(rows, load_rule(), no_artifacts)
    kinds = {name: load_kind(name) for name in {r.kind for r in rows}}
    files = TrialFiles(no_artifacts, lambda run_id, path: None, folder)
    return write_study(folder / "study.html", rows, kinds, verdict, files).read_text()


def test_the_page_states_the_verdict_its_numbers_and_what_was_not_asked(tmp_path: Path) -> None:
    page = page_of(study_rows(), tmp_path)
    assert "Frozen random input rows cost 0.2 nats per token" in page
    assert load_rule().digest in page
    assert "GPT-2, 2 layers of 64, untied, learned input rows, 2x atoms" in page
    for topic in TOPICS:
        assert f">sweeper run {topic.sweep}<" in page
    assert page.count('<script type="application/json"') == 2
    own = re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL)
    assert not re.search(r"(src|href)=\"(https?:)?//", own)
    assert "default-src 'none'" in page


def test_what_was_asked_has_its_part_with_findings_and_figures(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    names = load_kind("residual").metric_names
    rows = [
        row(
            "residual",
            f"r{null}{l0}",
            {"null": null, "n_atoms": "2x", "l1_penalty": l0, "seed": 0, "source": "file:x.npy"},
            {name: float(rng.uniform(0.1, 0.9)) for name in names} | {"l0_held_out": l0},
        ).model_copy(update={"is_control": null != "none"})
        for null in ("none", "gaussian_spectrum_norms")
        for l0 in (4.0, 8.0)
    ]
    page = page_of(rows, tmp_path)
    assert ">sweeper run residual<" not in page
    assert "Dimensions of the residuals" in page
    assert "Not identified" in page
    assert "One seed, so no interval. To add seeds: sweeper run residual --set seeds=3" in page
    assert "Not measured yet: sweeper run frozen" in page
