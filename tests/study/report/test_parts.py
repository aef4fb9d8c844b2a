"""Each part of the page, from trials in a real store: what it says follows from the numbers."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

NULLS = ("none", "gaussian_spectrum_norms")
CIRCLES = "Are there circles?"
ATOMS = "Do the atoms form clusters of meaning?"
BINDINGS = "Are words bound by matrices?"
RESIDUAL = "Is what is left over noise?"
ROWS = "What does one random row cost?"


def rows_of(seed: int, null: str, **others: Any) -> dict[str, Any]:
    return {"source": "file:x.npy", "null": null, "seed": seed, **others}


def add_circles(study: Any, seed: int, null: str, n_circles: float, **others: Any) -> None:
    verdicts = {"days": "circle" if null == "none" else "none", "digits": "curve"}
    sets = [
        {
            "set": name,
            "n_tokens": 7,
            "fourier_share": 0.5,
            "p": 0.01,
            "circulant_share": 0.8,
            "closure": 0.7,
            "wrap_gap": 1.1,
            "verdict": verdict,
            "power_0.2": 0.35,
            "power_0.3": 0.6,
            "power_0.5": 0.9,
        }
        for name, verdict in verdicts.items()
    ]
    metrics = {"n_sets_tested": 12.0, "n_circles": n_circles, "n_ordered": 4.0}
    for sort in ("neighbourhoods", "groups"):
        metrics |= {f"loops_per_thousand_{sort}": 3.0 + seed, f"loops_per_thousand_{sort}_high": 20}
        metrics |= {f"loop_power_all_{sort}": 0.8, f"loops_bound_all_{sort}": 25.0}
    metrics |= {"circle_power_20": 0.35, "n_text_sets": 0.0, "n_beyond_text": 0.0}
    variants = [{"without": "nothing", "set": "days", "verdict": "circle"}]
    known = [{"set": "days", "n_tokens": 7, "p_alone": 0.2, "p_with_others": 0.4}]
    tables = {"sets": sets, "set_variants": variants, "known_orders": known}
    study.keep("circles", rows_of(seed, null), metrics, tables=tables, **others)


@pytest.mark.parametrize(
    ("real", "null", "said"),
    [
        ((5, 6, 5), (0, 1, 0), "Yes, beyond the null: the number of ordered sets of words on a"),
        ((1, 0, 2), (0, 1, 1), "Not beyond the null: the number of ordered sets"),
        ((0, 1, 0), (5, 6, 5), "No, short of the null: the number of ordered sets"),
        ((5,), (0,), "Not identified: the number of ordered sets"),
        ((5, 6, 5), (), "Not identified: the number of ordered sets"),
    ],
)
def test_the_answer_on_circles_follows_from_the_interval(
    study: Any, real: tuple[float, ...], null: tuple[float, ...], said: str
) -> None:
    for name, values in zip(NULLS, (real, null), strict=True):
        for seed, n_circles in enumerate(values):
            add_circles(study, seed, name, n_circles)
    text = study.text(CIRCLES)
    assert f"file:x.npy {said}" in text
    assert f"of 12 in the real rows{' vs.' if null else ', no null was run'}" in text


def test_each_set_is_told_with_what_the_trials_call_it(study: Any) -> None:
    for null in NULLS:
        for seed in range(2):
            add_circles(study, seed, null, 1.0 + seed)
    text = study.text(CIRCLES)
    assert "days 7 circle 2 none 2 0.5 0.5 0.01 0.8 0.7 1.1 0.35 0.6 0.9" in text
    assert "found: 35 % at a share of 0.2." in text
    assert "all points: 80 % found, so at most 25 per thousand" in text
    assert "Order beyond co-occurrence in a text: not run" in text
    assert "days 7 0.2 0.4" in text
    assert "set nothing days circle 2" in text
    assert "A circle in every real trial: days. A curve in every real trial: digits (and in" in text
    assert "per thousand neighbourhoods of tokens is not beyond the null: 3.5 vs. 3.5" in text
    assert "a single real trial rules out more than 20" in text


def test_what_is_not_certified_is_left_out_and_said_so(study: Any) -> None:
    add_circles(study, 0, "none", 5.0)
    add_circles(study, 1, "none", 500.0, uncertified="a gap")
    text = study.text(CIRCLES)
    assert "is 5 of 12 in the real rows, no null was run" in text
    assert "1 trial left out: failed, unfinished or uncertified." in text
    assert "No null. To add it: sweeper run circles" in text
    assert "One seed, so no interval. To add seeds: sweeper run circles --set seeds=3" in text


def test_trials_that_differ_in_more_than_the_seed_are_told_apart(study: Any) -> None:
    for n_atoms in ("2x", "4x"):
        for seed in range(2):
            metrics = {"n_sets_tested": 12.0, "n_circles": 1.0}
            study.keep("circles", rows_of(seed, "none", n_atoms=n_atoms), metrics)
    text = study.text(CIRCLES)
    assert "file:x.npy, n atoms 2x" in text
    assert "file:x.npy, n atoms 4x" in text
    assert "Intervals over seeds cover the split of the tokens (unless split_seed is set)" in text


def test_bindings_are_counted_beside_the_null_and_the_largest_gains_are_named(study: Any) -> None:
    for null in NULLS:
        real = null == "none"
        for seed in range(3):
            gain = 0.1 * real + 0.01 * seed
            metrics = {
                "n_relations_tested": 6.0,
                "n_bindings": 5.0 * real,
                "n_specific_bindings": (seed == 0) * 1.0,
                "median_gain": gain,
            }
            table = [
                {"relation": name, "n_pairs": 40, "gain": gain * times, "verdict": "binding"}
                for name, times in (("plural", 1), ("past tense", 2))
            ]
            study.keep("matrix_binding", rows_of(seed, null), metrics, tables={"relations": table})
    text = study.text(BINDINGS)
    assert (
        "Yes, beyond the null: the number of relations between tokens that a matrix binds is 5 "
        "of 6 in the real rows vs. 0 in the null, difference 5 in each of 3 seeds." in text
    )
    assert "is specific to the relation and not just a scaling is not beyond the null" in text
    assert "The relations with the largest gain, 2 of 2" in text
    assert text.index("past tense 40 0.22 [0.17, 0.27] 0.02") < text.index("plural 40 0.11")


def test_the_atom_map_tells_findings_and_links_the_maps(study: Any) -> None:
    for null in NULLS:
        for seed in range(2):
            excess = 0.08 if null == "none" else 0.0
            metrics = {
                "n_labellings": 7.0,
                "n_labellings_found": 6.0,
                "purity_excess": excess + 0.001 * seed,
                "clustering": 0.3,
                "clustering_reference": 0.2,
                "hopkins": 0.5 + 0.01 * seed * (null == "none"),
                "hopkins_reference": 0.5,
            }
            labels = {"labelling": "first_letter", "purity": 0.1, "null": 0.05, "adjusted_p": 0.01}
            study.keep(
                "atom_map",
                rows_of(seed, null),
                metrics,
                tables={"labels": [labels | {"is_found": null == "none"}]},
                pages=["map"],
                facts={"finding": f"clusters of {null}"},
            )
    text = study.text(ATOMS)
    assert "Yes, beyond the null: what tokens of neighbouring atoms share" in text
    assert "difference 0.08 in each of 2 seeds; it shows in 6 of 7 labellings" in text
    assert "Hopkins statistic (gaps) minus its reference is not beyond the null" in text
    assert "first letter 0.1 0.05 0.1 0.01 found 2 not found 2" in text
    assert "clusters of none map.html" in text
    page = study.page()
    links = re.findall(r'href="([^"]*)"', re.sub(r"(?s)<script.*?</script>", "", page.read_text()))
    assert len(links) == 4
    assert all(not Path(link).is_absolute() for link in links)
    assert all((page.parent / link).read_text() == "<p>a map</p>" for link in links)


@pytest.mark.parametrize(
    ("shift", "start"),
    [
        (0.2, "Not noise by 1 of 1 test, beyond the null: share of"),
        (0.0, "Nothing beyond the null in 1 test."),
    ],
)
def test_the_residual_is_compared_at_equal_atoms_a_token(
    study: Any, shift: float, start: str
) -> None:
    for null in NULLS:
        for seed in range(3):
            for penalty in (0.2, 0.4):
                l0 = 4 / penalty * (1 if null == "none" else 1.2) * (1 - 0.1 * (null != "none"))
                r2 = 0.01 * l0 + shift * (null == "none") + 0.001 * seed * (null == "none")
                metrics = {"l0_held_out": l0, "r2_residual_held_out": r2 - 0.001}
                cost = {"reconstruction": 0.5, "random": 0.2 + 0.01 * seed}
                metrics |= {f"cost_both_{arm}_held_out": value for arm, value in cost.items()}
                config = rows_of(seed, null, l1_penalty=penalty, n_atoms="2x", nonnegative=False)
                study.keep("residual", config, metrics)
    text = study.text(RESIDUAL)
    assert f"file:x.npy {start}" in text
    assert f"the row predicts (r2), difference {'0.2' if shift else '0'}" in text
    assert "With reconstructions on both sides the model loses 0.5 nats per token" in text
    assert "worth more than noise of its length" in text


def test_a_residual_without_a_common_number_of_atoms_is_not_identified(study: Any) -> None:
    for null, l0 in zip(NULLS, (4.0, 9.0), strict=True):
        for seed in range(2):
            metrics = {"l0_held_out": l0, "r2_residual_held_out": 0.1}
            study.keep("residual", rows_of(seed, null, l1_penalty=0.3), metrics)
    text = study.text(RESIDUAL)
    assert "file:x.npy Not identified: share of the residual that the row predicts" in text
    assert "real and null share no l0" in text


def add_row_swap(study: Any, seed: int, draw: str, regime: str, steps: int) -> None:
    table = [
        {"token": "a", "stratum": s, "as_input": 4.0, "as_target": "", "overall": 0.1 * s + seed}
        for s in (0, 0, 1)
    ]
    groups = (("0", 9, 8), ("1", 11, 7), ("too rare", 5, 1), ("absent", 75, 0))
    strata = [
        {"stratum": name, "n_tokens": n, "n_measurable": m, "n_tried": 3}
        | {"per_million_low": 4, "per_million_median": 12.5, "per_million_high": 40}
        | {"count_median": 25}
        for name, n, m in groups
    ]
    recovery = [
        {"step": step, "stratum": name, "recovered_frac": share}
        for step, share in ((0, 0.0), (10, 0.5), (steps, 0.75))
        for name in ("all", "0", "1")
    ]
    config = {"model": "file:m", "draw": draw, "scope": "both", "mode": "single", "seed": seed}
    metrics = {
        "damage_overall_held_out": 0.2 + 0.001 * seed,
        "damage_as_input_held_out": 5.0,
        "damage_as_target_held_out": 9.0,
        "damage_overall_held_out_low": 0.1,
        "damage_overall_held_out_high": 0.3,
    }
    tables = {"rows": table, "strata": strata}
    if steps:
        tables["recovery"] = recovery
        metrics |= {
            "recovered_frac_held_out": 0.75 if regime == "row" else 0.9,
            "recovered_frac_held_out_low": 0.6,
            "recovered_frac_held_out_high": 0.8,
            "null_rise_held_out": -0.02,
            "steps_to_50": 10.0 + 20 * seed,
            "steps_to_90": 100.0 if regime == "all" and seed else float("nan"),
        }
    study.keep("row_swap", config | {"regime": regime, "n_steps": steps}, metrics, tables=tables)


def test_a_changed_row_is_told_by_side_by_stratum_and_by_what_comes_back(study: Any) -> None:
    for seed in range(2):
        add_row_swap(study, seed, "zero", "row", 0)
        add_row_swap(study, seed, "norm_matched", "row", 300)
        add_row_swap(study, seed, "norm_matched", "all", 300)
    text = study.text(ROWS)
    assert "file:m It costs. One row set to a random direction of its length costs 0.2" in text
    assert "5 right after its token, 9 where the token is the target" in text
    assert "[0.1, 0.3]" in text
    told = "Fine-tuning the row alone for 300 steps undoes 0.75 of the damage by norm matched"
    assert f"{told} (both; 2 seeds; [0.6, 0.8] over tokens)." in text
    assert "Half is back after 10 to 30 steps, nine tenths in no seed by then." in text
    assert "Fine-tuning everything for 300 steps undoes 0.9 of the damage" in text
    assert "nine tenths after 100 steps (in 1 of 2 seeds)." in text
    assert "norm matched both the row alone, 300 steps" in text
    assert "-0.02" in text
    assert "How much of the damage fine-tuning undoes" in text


def test_a_damage_that_two_trials_of_a_seed_measured_counts_once(study: Any) -> None:
    """It is measured before the fine-tuning in which they differ."""
    for seed in range(2):
        for regime in ("row", "all"):
            add_row_swap(study, seed, "norm_matched", regime, 300)
    text = study.text(ROWS)
    assert text.count("norm matched both 0 4 –") == 1
    assert "norm matched both 0 4 – 0.5 [-5.85, 6.85]" in text, "t of two seeds, not of four"


def test_recovery_that_was_measured_without_a_null_is_told_so(study: Any) -> None:
    """As version 7 of the kind did: its metrics lack the null and the steps to a half."""
    config = {"model": "file:m", "draw": "zero", "scope": "both", "mode": "single"}
    for seed in range(2):
        metrics = {"damage_overall_held_out": 0.2, "recovered_frac_held_out": 0.75}
        swapped = config | {"regime": "all", "n_steps": 300, "seed": seed}
        study.keep("row_swap", swapped, metrics)
    text = study.text(ROWS)
    assert "undoes 0.75 of the damage" in text
    assert "There was no null: this includes what the model gains by training" in text
    assert "Half is back" not in text


def test_strata_say_what_they_drew_from_and_of_which_tokens_nothing_is_said(study: Any) -> None:
    add_row_swap(study, 0, "zero", "row", 0)
    text = study.text(ROWS)
    assert "The strata hold 20 of 100 tokens. Nothing is said of 75 tokens that do not" in text
    assert "nor of 5 that are too rare" in text
    assert "0 9 8 3 4 12.5 40 25" in text


def test_a_replaced_matrix_is_another_matrix(study: Any) -> None:
    for at, (digest, n_circles) in enumerate((("a" * 64, 1.0), ("b" * 64, 7.0))):
        for seed in range(2):
            for null in NULLS:
                inputs = {"source": digest}
                add_circles(study, seed, null, n_circles + seed, inputs=inputs, at=at)
    text = study.text(CIRCLES)
    assert "on a circle is 7.5 of 12 in the real rows" in text
    page = study.page().read_text()
    assert "4 trials of an earlier input left out; --inputs all shows them apart." in page
    both = study.text(CIRCLES, "all")
    assert "file:x.npy, source aaaaaaaa" in both
    assert "on a circle is 1.5 of 12 in the real rows" in both
    assert "on a circle is 7.5 of 12 in the real rows" in both
    assert "left out" not in study.page("all").read_text()
