"""Numbers of trials and seeds."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.sweeper.declare.bad_inputs.sweep_files import HEAD, cases, tail

SIZE = {
    "no trials": (tail("trials: 0"), ":6: trials: given 0; must be at least 1"),
    "float trials": (tail("trials: 2.0"), ":6: trials: given 2.0; must be an integer"),
    "trials with an underscore": (
        tail("trials: 1_000"),
        ":6: trials: given '1_000'; must be an integer",
    ),
    "too many random": (
        tail("search: random\ntrials: 100000\nseeds: 2"),
        ":7: trials: 200,000 trials (100,000 x 2 seeds); at most 100,000",
    ),
    "too many grid": (
        HEAD + "space:\n  width: {low: 1, high: 1000000000}\n",
        ":4: space: 1,000,000,000 trials (1,000,000,000); at most 100,000",
    ),
    "too many product": (
        HEAD
        + "space:\n  penalty: {low: 0.1, high: 0.9, points: 1000}\n"
        + "  width: {low: 1, high: 1000}\n  n_atoms: {low: 1, high: 1000}\n",
        ":4: space: 1,000,000,000 trials (1,000 x 1,000 x 1,000); at most 100,000",
    ),
    "seeds zero": (tail("seeds: 0"), ":6: seeds: 0 seeds; from 1 to 10,000"),
    "seeds many": (tail("seeds: 10001"), ":6: seeds: 10001 seeds; from 1 to 10,000"),
    "seeds negative": (tail("seeds: [0, -1]"), ":6: seeds[1]: given -1; must be at least 0"),
    "seeds dup": (tail("seeds: [1, 2, 1]"), ":6: seeds: given [1, 2, 1]; seeds must be distinct"),
    "seeds empty": (tail("seeds: []"), ":6: seeds: given []; must have at least 1 item"),
    "seeds text": (tail("seeds: [a]"), ":6: seeds[0]: given 'a'; must be an integer"),
    "seeds true": (
        tail("seeds: true"),
        ":6: seeds: given true; must be a whole number of seeds, or a list of seeds",
    ),
    "seeds as a float": (
        tail("seeds: 3.0"),
        ":6: seeds: given 3.0; must be a whole number of seeds, or a list of seeds",
    ),
    "seeds in quotes": (
        tail('seeds: "3"'),
        ":6: seeds: given '3'; must be a whole number of seeds, or a list of seeds",
    ),
}


@pytest.mark.parametrize(("text", "message"), cases(SIZE))
def test_a_mistake_gets_one_line_with_place_value_and_rule(
    refusal: Callable[[str | bytes], str], text: str | bytes, message: str
) -> None:
    assert refusal(text) == f"s.yaml{message}"
