from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trials.inputs.algorithmic_tasks import (
    Brackets,
    DecimalAddition,
    Memorisation,
    ModularAddition,
    Needle,
    Sequences,
    Stream,
    Task,
    fixed_sets,
)
from trials.inputs.algorithmic_tasks.brackets import balanced_strings, is_balanced

TABLE = Memorisation.random(8, 5, np.random.default_rng(3))
TASKS: dict[str, Task] = {
    "modular_addition": ModularAddition(13),
    "decimal_addition": DecimalAddition(3),
    "brackets": Brackets(10),
    "needle": Needle(3, 4),
    "memorisation": TABLE,
}


def drawn(task: Task, n: int = 500, seed: int = 0) -> Sequences:
    return task.draw(n, np.random.default_rng(seed))


@pytest.fixture(params=TASKS)
def task(request: pytest.FixtureRequest) -> Task:
    return TASKS[request.param]


def test_sequences_have_the_length_and_the_tokens_that_the_task_declares(task: Task) -> None:
    sequences = drawn(task, 3000)
    assert sequences.tokens.shape == (3000, task.length)
    assert sequences.scored.shape == (3000, task.length - 1)
    assert sequences.scored.any(axis=1).all()
    assert set(np.unique(sequences.tokens)) == set(range(len(task.names)))
    assert len(set(task.names)) == len(task.names)


def test_the_question_determines_the_answer(task: Task) -> None:
    answers: dict[bytes, bytes] = {}
    sequences = drawn(task, 5000)
    for tokens, scored in zip(sequences.tokens, sequences.scored, strict=True):
        place = int(np.flatnonzero(scored)[0]) + 1
        question, answer = tokens[:place].tobytes(), tokens[place:].tobytes()
        assert answers.setdefault(question, answer) == answer


def test_the_same_generator_draws_the_same_and_another_does_not(task: Task) -> None:
    first, again, other = (drawn(task, seed=seed).tokens for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_residues_add_up() -> None:
    for a, b, c in drawn(ModularAddition(13)).tokens.tolist():
        assert c == (a + b) % 13


@pytest.mark.parametrize("n_digits", [1, 3, 12])
def test_decimal_numbers_add_up_and_stop_once(n_digits: int) -> None:
    sequences = drawn(DecimalAddition(n_digits), 300)
    n_longer = 0
    for tokens, scored in zip(sequences.tokens.tolist(), sequences.scored, strict=True):
        first, second = tokens[:n_digits], [t - 10 for t in tokens[n_digits : 2 * n_digits]]
        counted = [t for t, s in zip(tokens[1:], scored, strict=True) if s]
        *total, stop = counted
        numbers = [
            int("".join(map(str, reversed(digits))))
            for digits in (first, second, [t - 20 for t in total])
        ]
        assert numbers[0] + numbers[1] == numbers[2]
        assert stop == 30
        assert all(len(str(n)) == n_digits for n in numbers[:2])
        n_longer += len(total) > n_digits
    assert 50 < n_longer < 250


def closes_all(brackets: list[int]) -> bool:
    """By a stack, apart from how the task does it."""
    stack: list[int] = []
    for bracket in brackets:
        if bracket == 0:
            stack.append(bracket)
        elif not stack:
            return False
        else:
            stack.pop()
    return not stack


@given(st.lists(st.sampled_from([0, 1]), min_size=1, max_size=14))
@settings(max_examples=200, deadline=None)
def test_balance_is_what_a_stack_says(brackets: list[int]) -> None:
    assert is_balanced(np.array([brackets]))[0] == closes_all(brackets)


@pytest.mark.parametrize("n_brackets", [2, 10, 30])
def test_verdicts_are_right_and_about_half_are_balanced(n_brackets: int) -> None:
    tokens = drawn(Brackets(n_brackets), 2000).tokens.tolist()
    assert all((verdict == 3) == closes_all(string) for *string, verdict in tokens)
    assert 0.35 < np.mean([row[-1] == 3 for row in tokens]) < 0.65


def test_balanced_strings_are_uniform() -> None:
    counts = Counter(map(bytes, balanced_strings(14_000, 8, np.random.default_rng(0))))
    assert len(counts) == 14  # the fourth Catalan number
    assert max(abs(n - 1000) for n in counts.values()) < 130  # four standard deviations


def test_counting_brackets_is_not_enough_and_not_useless() -> None:
    task = Brackets(16)
    assert 0.65 < task.shortcut(drawn(task, 4000).tokens) < 0.9


def test_the_needle_is_the_value_of_the_key_that_is_asked_for() -> None:
    task = Needle(5, 7)
    for *pairs, asked, value in drawn(task).tokens.tolist():
        keys, values = pairs[::2], pairs[1::2]
        assert sorted(keys) == list(range(7, 12))
        assert dict(zip(keys, values, strict=True))[asked - 5] == value


def test_memorised_values_are_those_of_the_table() -> None:
    for a, b, value in drawn(TABLE).tokens.tolist():
        assert TABLE.table[a, b] == value
    assert TABLE.n_bits == pytest.approx(64 * math.log2(5))


@pytest.mark.parametrize(
    ("task", "chance", "shortcut"),
    [
        (ModularAddition(13), 1 / 13, math.nan),
        (Needle(4, 8), 1 / 8, 1 / 4 + 3 / 4 / 8),
        (Memorisation.random(200, 4, np.random.default_rng(0)), 1 / 4, math.nan),
    ],
)
def test_chance_and_shortcut_are_what_theory_says(
    task: Task, chance: float, shortcut: float
) -> None:
    sequences = drawn(task, 20_000)
    most = np.bincount(sequences.answers).max() / len(sequences.answers)
    assert most == pytest.approx(chance, abs=0.015)
    assert task.shortcut(sequences.tokens) == pytest.approx(shortcut, abs=0.01, nan_ok=True)


def test_addition_without_carries_is_right_where_nothing_is_carried() -> None:
    task = DecimalAddition(2)
    tokens = np.array(
        [
            [2, 1, 13, 12, 25, 23, 30, 30],  # 12 + 23 = 35
            [9, 1, 13, 12, 22, 24, 30, 30],  # 19 + 23 = 42: 2 and the stop are right
            [9, 9, 13, 12, 22, 22, 21, 30],  # 99 + 23 = 122: 2 and the last stop
        ]
    )
    n_right = [task.shortcut(row[None]) * n for row, n in zip(tokens, (3, 3, 4), strict=True)]
    assert n_right == pytest.approx([3, 2, 2])


def test_fixed_sets_hold_different_sequences_the_same_every_time(task: Task) -> None:
    sets = fixed_sets(task, 15)
    rows = {row.tobytes() for side in sets for row in side.tokens}
    assert rows == sets.rows
    assert len(rows) == 30
    for side, again in zip(sets, fixed_sets(task, 15), strict=True):
        np.testing.assert_array_equal(side.tokens, again.tokens)


def test_the_stream_never_shows_what_is_tested_and_shows_the_rest() -> None:
    task = ModularAddition(7)
    sets = fixed_sets(task, 10)
    stream = Stream(task, 100, 0, sets.rows)
    seen = {row.tobytes() for step in range(20) for row in stream[step].tokens}
    assert not seen & sets.rows
    assert len(seen) == 7 * 7 - 20


def test_scored_places_follow_sequences_that_were_drawn_again() -> None:
    task = DecimalAddition(1)
    stream = Stream(task, 200, 0, fixed_sets(task, 20).rows)
    for tokens, scored in zip(*stream[0], strict=True):
        assert tokens[1:][scored].tolist().count(30) == 1


def test_a_batch_depends_on_seed_and_step_alone(task: Task) -> None:
    rows = fixed_sets(task, 5).rows
    stream, same, other = (Stream(task, 20, seed, rows) for seed in (0, 0, 1))
    stream[0]
    np.testing.assert_array_equal(stream[3].tokens, same[3].tokens)
    assert (stream[3].tokens != stream[4].tokens).any()
    assert (stream[3].tokens != other[3].tokens).any()


def test_a_task_that_runs_out_of_sequences_says_so() -> None:
    with pytest.raises(ValueError, match="there are no 20 different sequences; found 4"):
        fixed_sets(ModularAddition(2), 10)
    sets = fixed_sets(ModularAddition(2), 2)
    with pytest.raises(ValueError, match="4 sequences are kept out of training"):
        Stream(ModularAddition(2), 3, 0, sets.rows)[0]
