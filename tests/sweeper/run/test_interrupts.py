"""Signals: what each asks for, and that the process is left as it was found."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable

import pytest

from sweeper.run.driver.interrupts import Interrupts, TrialInterrupted, undisturbed


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def wait_until(is_so: Callable[[], bool], patience_s: float = 10) -> None:
    deadline = time.monotonic() + patience_s
    while not is_so():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def test_the_first_ctrl_c_asks_to_finish_and_the_second_to_stop(clock: Clock) -> None:
    interrupts = Interrupts(clock)
    assert (interrupts.finishing, interrupts.stopping, interrupts.exit_code) == (False, False, 0)
    interrupts.receive(signal.SIGINT)
    assert (interrupts.finishing, interrupts.stopping, interrupts.exit_code) == (True, False, 130)
    assert interrupts.grace_left_s == math.inf
    clock.now += 1
    interrupts.receive(signal.SIGINT)
    assert interrupts.stopping
    assert interrupts.grace_left_s == 5
    clock.now += 6
    assert interrupts.grace_left_s == 0


def test_a_third_ctrl_c_leaves_no_grace(clock: Clock) -> None:
    interrupts = Interrupts(clock)
    for _ in range(3):
        clock.now += 1
        interrupts.receive(signal.SIGINT)
    assert interrupts.grace_left_s == 0


def test_a_ctrl_c_that_a_wrapper_passes_on_as_well_counts_once(clock: Clock) -> None:
    interrupts = Interrupts(clock)
    interrupts.receive(signal.SIGINT)
    clock.now += 0.01
    interrupts.receive(signal.SIGINT)
    assert not interrupts.stopping


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_sigterm_and_sighup_ask_to_stop_within_the_grace(
    clock: Clock, number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupts = Interrupts(clock)
    interrupts.receive(number)
    assert (interrupts.stopping, interrupts.exit_code) == (True, 143)
    assert interrupts.grace_left_s == 20
    monkeypatch.setenv("SWEEPER_GRACE_S", "90")
    patient = Interrupts(clock)
    patient.receive(number)
    assert patient.grace_left_s == 90


def test_a_second_sigterm_does_not_cut_the_grace_short(clock: Clock) -> None:
    interrupts = Interrupts(clock)
    interrupts.receive(signal.SIGTERM)
    clock.now += 1
    interrupts.receive(signal.SIGTERM)
    assert interrupts.grace_left_s == 19


def test_handlers_are_put_back_and_an_ignored_signal_stays_ignored() -> None:
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        with Interrupts() as interrupts:
            signal.raise_signal(signal.SIGHUP)
            assert not interrupts.finishing
            signal.raise_signal(signal.SIGTERM)
            assert interrupts.stopping
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before[2])
    assert [signal.getsignal(number) for number in numbers] == before


def test_the_listener_hears_of_a_signal() -> None:
    interrupts, heard = Interrupts(), threading.Event()
    interrupts.listener = heard.set
    interrupts.receive(signal.SIGINT)
    assert heard.wait(10)


def test_outside_the_main_thread_no_signal_is_caught() -> None:
    before = signal.getsignal(signal.SIGINT)
    seen = []

    def elsewhere() -> None:
        with Interrupts() as interrupts, interrupts.breaking():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert seen == [before]


def test_work_in_the_main_thread_is_broken_off_when_the_grace_is_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SWEEPER_GRACE_S", "0.05")
    before = signal.getsignal(signal.SIGALRM)

    def work(interrupts: Interrupts) -> None:
        with interrupts.breaking():
            signal.raise_signal(signal.SIGTERM)
            wait_until(lambda: False)

    with Interrupts() as interrupts, pytest.raises(TrialInterrupted):
        work(interrupts)
    assert signal.getsignal(signal.SIGALRM) is before
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


def test_a_service_that_starts_leaves_our_handlers_alone() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with undisturbed():
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        assert signal.SIGHUP in signal.pthread_sigmask(signal.SIG_BLOCK, ())
    assert signal.getsignal(signal.SIGTERM) is before
    assert signal.SIGHUP not in signal.pthread_sigmask(signal.SIG_BLOCK, ())
