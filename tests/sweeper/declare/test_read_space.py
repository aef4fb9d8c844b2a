from typing import Annotated

import pytest
from pydantic import Field

from sweeper.declare.document import dotted
from sweeper.declare.read_space import read_dimension
from sweeper.declare.space import Choice, FloatRange, IntRange


@pytest.mark.parametrize(
    ("annotation", "given", "expected"),
    [
        (float, {"low": 1, "high": 2}, FloatRange),
        (int, {"low": 1, "high": 2}, IntRange),
        (int | str, {"low": 1, "high": 2}, IntRange),
        (float | None, {"low": 1, "high": 2}, FloatRange),
        (Annotated[float, Field(gt=0)] | None, {"low": 1, "high": 2}, FloatRange),
        (int | float, {"low": 1, "high": 2}, IntRange),
        (int | float, {"low": 1, "high": 2.5}, FloatRange),
        (str, {"low": 1, "high": 2}, IntRange),
        (int, {"low": 1, "high": 2, "type": "float"}, FloatRange),
        (float, {"low": 1, "high": 2, "type": "int"}, IntRange),
        (float, [1, 2], Choice),
        (float, {"choice": [1, 2]}, Choice),
        (float, {"grid": [1, 2]}, Choice),
    ],
)
def test_the_type_of_a_dimension_comes_from_the_file_then_the_field_then_the_numbers(
    annotation: object, given: object, expected: type
) -> None:
    dimension = read_dimension(given, annotation, dotted, ("space", "x"))
    assert type(dimension) is expected
    assert dimension.ends() == (1, 2.5 if isinstance(given, dict) and 2.5 in given.values() else 2)


def test_a_text_with_parts_stands_for_every_point_of_them() -> None:
    given = {"text": "hub:m-{seed}@step{step}{side}", "seed": [1, 2], "side": ["", "#out"]}
    dimension = read_dimension({**given, "step": [0, 8]}, str, dotted, ("space", "source"))
    assert isinstance(dimension, Choice)
    assert dimension.values == (
        *("hub:m-1@step0", "hub:m-1@step8", "hub:m-1@step0#out", "hub:m-1@step8#out"),
        *("hub:m-2@step0", "hub:m-2@step8", "hub:m-2@step0#out", "hub:m-2@step8#out"),
    )


def test_a_part_may_stand_twice_in_its_text_and_hold_braces_itself() -> None:
    given = {"text": "{a}-{a}-{b}", "a": ["{b}", "x"], "b": [1]}
    dimension = read_dimension(given, str, dotted, ("space", "source"))
    assert isinstance(dimension, Choice)
    assert dimension.values == ("{b}-{b}-1", "x-x-1")
