import json
import math
from dataclasses import replace

from sweeper.records import Artifact, TrialState
from sweeper.report.listing import json_parts, trial_json, trial_page, trials_table
from trials.api import Metric


def body(text: str) -> list[str]:
    """The lines of a table below its title: the heads of its columns, then its rows."""
    lines = [line for line in text.splitlines() if line.strip() and "──" not in line]
    return lines[1:]


def test_ls_has_a_row_per_trial_with_the_fields_in_which_trials_differ(make_row, kind) -> None:
    rows = [
        make_row(run_id="aaaa1111bbbb", metrics={"bits": 1.25, "loss": 0.123456}),
        make_row(penalty=0.2, state=TrialState.FAILED, error="no memory"),
        make_row(penalty=0.3, uncertified="gap", metrics={"bits": 7.5}),
    ]
    text = trials_table(rows, {"toy": kind})
    head, first, failed, uncertified, note = body(text)
    assert text.splitlines()[0] == "toys (toy): 3 trials"
    assert head.split() == ["trial", "label", "state", "bits", "time"]
    assert first.split() == ["aaaa1111bbbb", "penalty=0.1", "COMPLETE", "1.25", "12s"]
    assert failed.split()[-4:] == ["penalty=0.2", "FAILED", "–", "12s"]
    assert uncertified.split()[-3:] == ["COMPLETE", "7.5*", "12s"]
    assert note == "* 1 trial uncertified"


def test_ls_has_a_table_per_sweep_whose_ids_are_as_long_as_it_takes(make_row, kind) -> None:
    rows = [
        make_row(run_id=f"{n:032x}"[::-1], sweep=sweep, penalty=penalty)
        for n, (sweep, penalty) in enumerate((s, p) for s in ("a", "b") for p in (0.1, 0.2))
    ]
    lines = trials_table(rows, {"toy": kind}).splitlines()
    assert [line for line in lines if "trials" in line] == [
        "a (toy): 2 trials",
        "b (toy): 2 trials",
    ]
    assert " 00000000  penalty=0.1" in "\n".join(lines)
    close = [make_row(run_id=f"{'0' * 20}{n}", penalty=0.1 * n) for n in (1, 2)]
    assert f" {'0' * 20}1  penalty=0.1" in trials_table(close, {"toy": kind})


def test_ls_fits_eighty_columns(make_row, kind) -> None:
    """As a sweep of the built-in kinds has it: 172 columns before."""
    long = replace(
        kind,
        objective="excess_bits_validation",
        metrics=(*kind.metrics, Metric("excess_bits_validation", "", "minimise", "bits")),
    )
    rows = [
        make_row(
            penalty=penalty,
            null=null,
            seed=seed,
            run_id=f"{penalty}{null}{seed}".ljust(32, "0"),
            metrics={"excess_bits_validation": 1234.5678},
        )
        for penalty in (0.212132, 0.3)
        for null in ("none", "gaussian_spectrum")
        for seed in (0, 1)
    ]
    text = trials_table(rows, {"toy": long}, width=80)
    assert max(map(len, text.splitlines())) <= 80
    for word in ("penalty=0.2121", "null=gaussian_spectrum", "seed=1", "COMPLETE", "1,235", "12s"):
        assert word in text


def test_ls_of_a_kind_that_is_not_installed_lists_its_trials(make_row) -> None:
    assert "size=2x" in trials_table([make_row(metrics={"bits": 1.0})], {})
    assert trials_table([], {}) == "no trials\n"


def test_a_narrow_terminal_folds_and_loses_nothing(make_row, kind) -> None:
    row = make_row(sweep="a-sweep-with-quite-a-long-name", metrics={"bits": 1.25, "loss": 0.5})
    text = trials_table([row], {"toy": kind}, width=70)
    for word in (row.sweep, "COMPLETE", "penalty=0.1", "seed=0", "1.25"):
        assert word in text


def test_without_a_width_the_page_is_as_wide_as_the_terminal(make_row, kind, monkeypatch) -> None:
    row = make_row(label="word " * 40, metrics={"bits": 1.0})
    monkeypatch.setenv("COLUMNS", "120")
    assert max(map(len, trials_table([row], {"toy": kind}).splitlines())) <= 120
    assert max(map(len, trials_table([row], {"toy": kind}, width=300).splitlines())) > 200


def test_markup_and_control_characters_are_plain_text(make_row, kind) -> None:
    row = make_row(label="[red]x[/red] \x1b[31mred\x07\nnext", metrics={"bits": 1.0})
    for text in (trials_table([row], {"toy": kind}), trial_page(row, kind)):
        assert "[red]x[/red]" in text
        assert "\x1b" not in text
        assert "\x07" not in text


def test_ls_json_is_a_list_of_objects_that_any_reader_accepts(make_row) -> None:
    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    row = make_row(metrics={"loss": math.nan, "l0": math.inf, "bits": 1.5}, facts={"table": "zipf"})
    (found,) = json.loads("".join(json_parts([row])), parse_constant=refuse)
    assert found["metrics"] == {"loss": None, "l0": None, "bits": 1.5}
    assert found["state"] == "COMPLETE"
    assert {"run_id", "sweep", "kind", "key", "state", "params", "metrics"} <= set(found)
    assert set(type(row).model_fields) <= set(found)
    assert (found["certified"], found["duration_s"]) == (True, 12.0)
    assert json.loads("".join(json_parts([]))) == []
    assert [each["label"] for each in json.loads("".join(json_parts([row, row])))] == [
        row.label
    ] * 2


def test_ls_json_gives_each_trial_before_the_next_is_read(make_row) -> None:
    read = []
    rows = (read.append(number) or make_row() for number in range(3))
    parts = json_parts(rows)
    assert next(parts).startswith("[\n  {")
    assert read == [0]


def test_show_tells_all_that_is_known_of_a_trial(make_row, kind) -> None:
    row = make_row(
        metrics={"loss": 0.25, "system/rss_bytes": 5.0},
        artifacts=(Artifact(path="atoms.safetensors", sha256="ab" * 32, n_bytes=1234567),),
        facts={"table": "zipf by rank"},
        provenance={"commit": "1a8e35b"},
        varied=("penalty",),
        uncertified="gap 3e-4 above 1e-5",
    )
    text = trial_page(row, kind)
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert "penalty 0.1 varied" in lines
    assert "loss 0.25 frac what is left / what there was" in lines
    assert "system/rss_bytes 5" in lines
    assert f"atoms.safetensors 1,234,567 {'ab' * 32}" in lines
    assert "table zipf by rank" in lines
    assert "commit 1a8e35b" in lines
    assert "uncertified gap 3e-4 above 1e-5" in lines
    assert "loss 0.25" in [" ".join(line.split()) for line in trial_page(row, None).splitlines()]


def test_show_json_carries_the_definitions(make_row, kind) -> None:
    found = json.loads(trial_json(make_row(metrics={"loss": 0.25}), kind))
    assert found["metrics"] == {"loss": 0.25}
    assert found["metric_definitions"]["l0"] == {
        "unit": "atoms",
        "definition": "nonzero coefficients",
    }


def test_ls_gives_the_size_of_the_artifacts_that_a_trial_holds(make_row, kind) -> None:
    files = [Artifact(path=name, sha256="0" * 64, n_bytes=n) for name, n in (("a", 1500), ("b", 9))]
    rows = [
        make_row(artifacts=files),
        make_row(penalty=0.2, artifacts=files, pruned=("a",)),
        make_row(penalty=0.3, artifacts=files, reused_from="aaaa"),
    ]
    title, whole, pruned, reused = (
        trials_table(rows, {"toy": kind}).splitlines()[i] for i in (0, 4, 5, 6)
    )
    assert title == "toys (toy): 3 trials, 1.52 kB"
    assert whole.endswith("1.51 kB")
    assert pruned.endswith(" 9 B")
    assert reused.endswith(" –")
