from dataclasses import replace

import pytest
from pydantic import Field

from sweeper.records import TrialSpec
from sweeper.store.run_format.name import run_name
from trials import load_kind

CONFIG = {
    "x": 0.31234,
    "depth": 2,
    "null": "none",
    "fate": "uncertified",
    "source": "hub:EleutherAI/pythia-70m@step3000",
    "seed": 1,
}


def spec(*varied: str, kind: str = "bowl", **changes: object) -> TrialSpec:
    config = CONFIG | changes
    return TrialSpec(
        key="0123456789abcdef",
        kind=kind,
        kind_version=1,
        config=config,
        input_digests={},
        varied=varied,
        is_control=config["null"] != "none",
    )


@pytest.mark.parametrize(
    ("varied", "changes", "name"),
    [
        (("x", "null"), {}, "real x0.3123 s1"),
        (("x", "null"), {"null": "gaussian_spectrum"}, "gaus_spec x0.3123 s1"),
        (("fate", "x", "depth"), {"fate": "well"}, "x0.3123 d2 well s1"),
        (("x", "seed"), {"seed": 0}, "x0.3123 s0"),
        (("source",), {}, "Eleu/pythia-70m@step3000 s1"),
        (("source",), {"source": "file:m.npy"}, "m.npy s1"),
        (("source",), {"source": "run:8e01234567/step-001000"}, "8e01/step-001000 s1"),
        (("nonnegative",), {"nonnegative": True}, "nonn s1"),
        (("nonnegative",), {"nonnegative": False}, "no-nonn s1"),
        ((), {}, "bowl 01234567"),
        (("x", "null"), {"kind": "not-installed"}, "x=0.3123 null=none"),
    ],
)
def test_a_runs_name_is_its_values_told_apart_at_the_front(varied, changes, name) -> None:
    assert run_name(spec(*varied, **changes)) == name


def test_names_differ_within_twenty_characters_where_labels_do_not() -> None:
    """A sweep of two sizes, four penalties, a null and two seeds, as the UI cuts it."""
    specs = [
        TrialSpec(
            key="k",
            kind="pursuit",
            kind_version=1,
            config={"null": null, "n_atoms": size, "l1_penalty": penalty, "seed": seed},
            input_digests={},
            varied=("null", "n_atoms", "l1_penalty", "seed"),
            is_control=null != "none",
        )
        for null in ("none", "gaussian_spectrum")
        for size in ("1x", "2x")
        for penalty in (0.2, 0.31, 0.4, 0.55)
        for seed in (0, 1)
    ]
    assert run_name(specs[4]) == "real λ0.4 1x s0"
    assert len({run_name(spec)[:21] for spec in specs}) == len(specs)
    assert len({spec.label[:21] for spec in specs}) == 3


def test_symbols_are_declared_and_two_fields_that_share_one_have_their_names(monkeypatch) -> None:
    class Twins(load_kind("bowl").config):
        """`depth` and `x` have one symbol."""

        depth: int = Field(default=0, json_schema_extra={"symbol": "x"})
        learning_rate: float = 0.1

    twins = replace(load_kind("bowl"), config=Twins)
    assert [twins.symbol(name) for name in ("depth", "x", "learning_rate")] == ["x", "x", "lr"]
    monkeypatch.setattr("sweeper.store.run_format.name.load_kind", lambda name: twins)
    assert run_name(spec("x", "depth")) == "x=0.3123 depth=2 s1"
    assert run_name(spec("depth")) == "x2 s1"
