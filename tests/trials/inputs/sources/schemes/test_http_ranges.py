"""A hub that is busy, breaks off or refuses, and whom the token is sent to."""

from __future__ import annotations

import time
from email.utils import formatdate

import numpy as np
import pytest

from tests.trials.inputs.sources.hub_server import N_TENSOR_BYTES, HubServer
from trials.api import TrialError
from trials.inputs.sources import open_source
from trials.inputs.sources.schemes import http_ranges


@pytest.mark.parametrize(
    "faults",
    [
        [429],
        [503, 503],
        [500, 502, 504, 408],
        [None, "truncate"],
        [None, None, "truncate", "truncate", 503],
        ["ignore range", "ignore range", "ignore range"],
        [None, "ignore range", "truncate", "ignore range"],
    ],
)
def test_a_hub_that_is_busy_or_breaks_off_costs_no_wrong_byte(
    model: HubServer, rows: np.ndarray, faults: list[int | str]
) -> None:
    model.faults.extend(faults)
    assert np.array_equal(open_source("hub:own/model").rows, rows)
    assert not model.faults


def test_a_transfer_that_broke_off_goes_on_where_it_broke(model: HubServer) -> None:
    model.faults.extend([None, None, "truncate"])
    open_source("hub:own/model")
    assert model.n_bytes < N_TENSOR_BYTES + 20_000


def test_a_hub_that_stays_busy_is_given_up_with_one_line(model: HubServer) -> None:
    model.faults.extend([503] * 50)
    with pytest.raises(TrialError, match="answered 503; try again later"):
        open_source("hub:own/model")
    assert model.n_weight_requests() == 5


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_token_is_one_line_and_is_not_tried_again(model: HubServer, status: int) -> None:
    model.faults.append(status)
    with pytest.raises(TrialError, match=rf"refused access \({status}\).*HF_TOKEN"):
        open_source("hub:own/model")
    assert model.n_weight_requests() == 1


def test_waits_double_or_follow_retry_after_and_are_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http_ranges, "_LONGEST_WAIT_S", 60.0)
    assert [http_ranges.wait_s(n, "") for n in (1, 2, 3)] == [0.5, 1.0, 2.0]
    assert http_ranges.wait_s(1, "7") == 7.0
    assert http_ranges.wait_s(1, "86400") == 60.0
    assert http_ranges.wait_s(2, "Wed, 21 Oct 2020 07:28:00 GMT") == 1.0  # past by our clock
    assert http_ranges.wait_s(1, "Fri, 01 Jan 2100 00:00:00 GMT") == 60.0
    assert 25 < http_ranges.wait_s(1, formatdate(time.time() + 30, usegmt=True)) <= 30
    assert http_ranges.wait_s(1, "soon") == 0.5
    assert http_ranges.wait_s(1, "0") == 0.0


def test_the_wait_that_a_busy_hub_asks_for_is_kept(
    model: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def wait_s(n_tried: int, after: str) -> float:
        asked.append(after)
        return 0.0

    monkeypatch.setattr(http_ranges, "wait_s", wait_s)
    model.faults.append(429)
    model.fault_headers = {"Retry-After": "3"}
    open_source("hub:own/model")
    assert asked == ["3"]


def test_the_token_goes_to_the_hub_and_not_to_the_host_it_redirects_to(
    model: HubServer,
    storage: HubServer,
    monkeypatch: pytest.MonkeyPatch,
    rows: np.ndarray,
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    model.redirect_weights(storage)
    assert np.array_equal(open_source("hub:own/model").rows, rows)
    assert {headers.get("authorization") for *_, headers in model.requests} == {"Bearer hf_secret"}
    assert storage.n_weight_requests() == 2
    assert {headers.get("authorization") for *_, headers in storage.requests} == {None}


def test_without_a_token_none_is_sent(model: HubServer) -> None:
    open_source("hub:own/model")
    assert not any("authorization" in headers for *_, headers in model.requests)
