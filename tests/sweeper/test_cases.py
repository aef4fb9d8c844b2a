"""Cases of a sweep file: fields that vary together."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sweeper.declare.canonical import sweep_text
from sweeper.declare.loading import load_sweep
from sweeper.errors import UserError

Write = Callable[[str], str]

ARMS = """\
kind: pretrain
cases:
  - {tying: untied}
  - {tying: untied, input_embedding: frozen_random}
  - {tying: tied, input_embedding: frozen_random, output_embedding: frozen_random}
"""


def test_a_case_that_leaves_out_a_field_has_its_default_or_what_is_fixed(write: Write) -> None:
    sweep = load_sweep(write(ARMS))
    points = list(sweep.assignments())
    assert [tuple(p.values()) for p in points] == [
        ("untied", "learned", "learned"),
        ("untied", "frozen_random", "learned"),
        ("tied", "frozen_random", "frozen_random"),
    ]
    fixed = load_sweep(write(ARMS + "fixed: {output_embedding: frozen_random}\n"))
    assert [p["output_embedding"] for p in fixed.assignments()] == ["frozen_random"] * 3
    assert "output_embedding" not in fixed.fixed


def test_every_case_meets_every_point_of_the_space(write: Write) -> None:
    sweep = load_sweep(write(ARMS + "space: {learning_rate: [0.001, 0.003]}\nseeds: 3\n"))
    assert sweep.grid_size == len(list(sweep.assignments())) == 6
    assert sweep.varied == (
        "tying",
        "input_embedding",
        "output_embedding",
        "learning_rate",
        "seed",
    )


def test_the_text_of_a_sweep_with_cases_loads_as_the_same_sweep(write: Write) -> None:
    sweep = load_sweep(write(ARMS + "space: {n_layers: [1, 2]}\n"))
    again = load_sweep(write(sweep_text(sweep)))
    assert list(again.assignments()) == list(sweep.assignments())
    assert sweep_text(again) == sweep_text(sweep)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "kind: pretrain\ncases: [{tyng: tied}]\n",
            "s.yaml:2: cases[0].tyng: unknown field 'tyng'; did you mean 'tying'?",
        ),
        (
            "kind: pretrain\ncases: [{tying: tied, seed: 1}]\n",
            "s.yaml:2: cases[0].seed: seed is given by the key seeds alone",
        ),
        (
            "kind: pretrain\ncases: [{tying: tied}, {tying: tied, input_embedding: learned}]\n",
            "s.yaml:2: cases[1]: the same as cases[0]; cases must be distinct",
        ),
        (
            "kind: pretrain\ncases: [{tying: tied}, {n_layers: 1}]\n",
            "s.yaml:2: cases[1]: field 'tying' is missing; other cases have it",
        ),
        (
            ARMS + "fixed: {tying: tied}\n",
            "s.yaml:6: fixed.tying: every case gives 'tying' a value; it cannot be fixed too",
        ),
        (
            ARMS + "space: {tying: [tied]}\n",
            "s.yaml:6: space.tying: 'tying' is given by cases too",
        ),
        (
            ARMS + "search: random\ntrials: 2\n",
            "s.yaml:6: search.method: random search with cases; only a grid has cases",
        ),
        (
            "kind: pretrain\ncases: [{tying: [tied]}]\n",
            "s.yaml:2: cases[0].tying: given ['tied']; a case holds plain values",
        ),
    ],
)
def test_a_mistake_in_a_case_gets_one_line(write: Write, text: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        load_sweep(write(text))
    assert str(caught.value) == message


def test_a_combination_that_the_kind_refuses_is_named(write: Write) -> None:
    text = "kind: pretrain\ncases: [{tying: tied, input_embedding: frozen_random}]\n"
    with pytest.raises(UserError, match=r"cases at tying='tied' input_embedding='frozen_random'"):
        load_sweep(write(text))
