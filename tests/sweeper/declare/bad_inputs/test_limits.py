"""What a trial holds and what a sweep may cost."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.sweeper.declare.bad_inputs.sweep_files import cases, tail

LIMITS = {
    "no CPU": (tail("resources: {cpu: 0}"), ":6: resources.cpu: given 0; must be greater than 0"),
    "negative GPU": (
        tail("resources: {gpu: -1}"),
        ":6: resources.gpu: given -1; must be at least 0",
    ),
    "one and a half GPUs": (
        tail("resources: {gpu: 1.5}"),
        ":6: resources: gpu 1.5; above 1 the number of GPUs must be whole",
    ),
    "unknown resource": (
        tail("resources: {gpus: 1}"),
        ":6: resources.gpus: unknown key 'gpus'; did you mean 'gpu'?",
    ),
    "negative retries": (
        tail("limits: {retries: -1}"),
        ":6: limits.retries: given -1; must be at least 0",
    ),
    "half a retry": (
        tail("limits: {retries: 0.5}"),
        ":6: limits.retries: given 0.5; must be an integer",
    ),
    "no time": (
        tail("limits: {trial_timeout_s: 0}"),
        ":6: limits.trial_timeout_s: given 0; must be greater than 0",
    ),
    "no budget": (
        tail("limits: {budget_trial_hours: 0}"),
        ":6: limits.budget_trial_hours: given 0; must be greater than 0",
    ),
    "memory as text": (
        tail("limits: {memory_gib: 8 GiB}"),
        ":6: limits.memory_gib: given '8 GiB'; must be a number",
    ),
    "unknown limit": (
        tail("limits: {trial_timeout: 60}"),
        ":6: limits.trial_timeout: unknown key 'trial_timeout'; did you mean 'trial_timeout_s'?",
    ),
    "budget of GPU hours without GPU": (
        tail("limits: {budget_gpu_hours: 5}"),
        ":6: limits.budget_gpu_hours: given 5; a trial holds no GPU; give resources: {gpu: 1}",
    ),
}


@pytest.mark.parametrize(("text", "message"), cases(LIMITS))
def test_a_mistake_gets_one_line_with_place_value_and_rule(
    refusal: Callable[[str | bytes], str], text: str | bytes, message: str
) -> None:
    assert refusal(text) == f"s.yaml{message}"
