import math

import numpy as np
import pytest

from sweeper.run.search.with_optuna.importance import field_importances


def planted(n: int) -> tuple[list[dict], list[float]]:
    """The value is log penalty; the size and the learner do nothing."""
    rng = np.random.default_rng(0)
    assignments = [
        {
            "penalty": float(10 ** rng.uniform(-3, 0)),
            "size": int(rng.integers(1, 5)),
            "learner": str(rng.choice(["a", "b"])),
        }
        for _ in range(n)
    ]
    return assignments, [math.log(one["penalty"]) for one in assignments]


def test_the_field_that_decides_is_the_important_one() -> None:
    found = field_importances(*planted(60))
    assert sum(found.values()) == pytest.approx(1)
    assert found["penalty"] > 0.9
    assert set(found) == {"penalty", "size", "learner"}


def test_the_same_settings_give_the_same_importance() -> None:
    assert field_importances(*planted(30)) == field_importances(*planted(30))


def test_a_constant_has_no_importance() -> None:
    assignments, values = planted(5)
    assert field_importances(assignments, [1.0] * len(values)) == {}


def test_a_field_with_one_value_and_one_without_an_order_are_no_obstacle() -> None:
    assignments, values = planted(20)
    mixed = [{**one, "size": "2x" if n % 2 else 8, "learner": "a"}
             for n, one in enumerate(assignments)]  # fmt: skip
    assert field_importances(mixed, values)["penalty"] > 0.8
