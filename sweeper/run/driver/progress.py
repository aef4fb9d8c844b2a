"""What a person sees while a sweep runs: a live line with time left and the best so far.

On a terminal and in a notebook a bar is redrawn; elsewhere a plain line is printed for each trial
that ends.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from sweeper.declare.search import Best, mean_metrics
from sweeper.declare.sweep import Sweep
from sweeper.records import SEED, Outcome, TrialSpec, TrialState
from sweeper.run.driver.notebook import NotebookLive
from sweeper.run.runner import Runner
from sweeper.store.journal import Abandoned, Event, Finished, Reused, Started, Suggested


class Progress:
    """Listens to a sweep's events and draws them on `console` (stderr)."""

    def __init__(
        self, console: Console, sweep: Sweep, *, n_total: int, n_existing: int, runner: Runner
    ) -> None:
        self._console, self._objective = console, sweep.search.objectives[0]
        self._n_total, self._n_existing = n_total, n_existing
        self._n_found = self._n_finished = self._n_failed = 0
        self._running: dict[str, float] = {}
        self._durations_s: list[float] = []
        self._specs: dict[str, TrialSpec] = {}
        self._best: Best[str] = Best(sweep.search)
        self._seeds = sweep.seeds
        self._replicates: dict[str, dict[int, Outcome]] = defaultdict(dict)
        self._started = time.monotonic()
        self._first_start: float | None = None
        self._most_running = 0
        self._changing = threading.Lock()
        self._live: Live | NotebookLive | None = None
        self._runner = runner
        self.note = "starting"

    def __enter__(self) -> Progress:
        if self._console.is_jupyter and not self._console.quiet:
            self._live = NotebookLive(self._draw)
        elif self._console.is_terminal:
            self._live = Live(
                get_renderable=self._draw, console=self._console, refresh_per_second=4
            )
        if self._live is not None:
            self._live.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.__exit__(kind, error, trace)

    def on_event(self, event: Event) -> None:
        """Take note of one event of the sweep."""
        said = ""
        with self._changing:
            match event:
                case Suggested(spec=spec) | Reused(spec=spec):
                    self._specs[spec.key] = spec
                case Started(key=key):
                    self.note = ""
                    self._running[key] = time.monotonic()
                    self._most_running = max(self._most_running, len(self._running))
                    if self._first_start is None:
                        self._first_start = self._running[key]
                case Finished(outcome=outcome):
                    said = self._finish(outcome)
                case Abandoned(key=key, reason=reason):
                    self._running.pop(key, None)
                    said = f"{self._specs[key].label}: {reason}"
        if said:
            self.say(said)

    def say(self, text: str) -> None:
        """Print a line. Not while `_changing` is held: whoever draws waits for that."""
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def found(self, spec: TrialSpec, outcome: Outcome) -> None:
        """Take note of a trial that exists already."""
        with self._changing:
            self._n_found += 1
            self._consider(spec, outcome)

    @property
    def _n_done(self) -> int:
        # A search that adapts comes upon its existing trials one by one.
        return max(self._n_existing, self._n_found) + self._n_finished

    def _consider(self, spec: TrialSpec, outcome: Outcome) -> None:
        """Let a setting compete for best so far when the last of its seeds has ended."""
        if spec.is_control:
            return
        replicates = self._replicates[spec.setting]
        replicates[spec.config[SEED]] = outcome
        if len(replicates) == len(self._seeds):
            in_order = [replicates[seed] for seed in self._seeds]
            if (means := mean_metrics(in_order, self._best.search.metrics)) is not None:
                self._best.offer(spec.setting_label, means)

    def _finish(self, outcome: Outcome) -> str:
        """Take note of an outcome; returns what is to be printed."""
        spec = self._specs[outcome.key]
        self._running.pop(outcome.key, None)
        self._n_finished += 1
        self._n_failed += outcome.state is TrialState.FAILED
        self._durations_s.append((outcome.ended_ms - outcome.started_ms) / 1000)
        self._consider(spec, outcome)
        if self._live is not None:
            return f"FAILED {spec.label}: {outcome.error}" if outcome.error else ""
        value = outcome.metrics.get(self._objective.metric)
        said = outcome.error or f"{self._objective.metric} {_number(value)}"
        spent = f"{self._durations_s[-1]:.1f} s, {self._time_left()} left"
        return (
            f"[{self._n_done}/{self._n_total}] {outcome.state} {spec.label}: {said} "
            f"({spent}; best {self._best_text()})"
        )

    def _draw(self) -> Group:
        with self._changing:
            head = Table.grid(padding=(0, 1))
            failed = f", {self._n_failed} failed" if self._n_failed else ""
            head.add_row(
                ProgressBar(total=self._n_total, completed=self._n_done, width=30),
                Text(f"{self._n_done}/{self._n_total} trials{failed}"),
                Text(f"{len(self._running)} running" if self._running else self.note),
                Text(f"{_clock(time.monotonic() - self._started)} elapsed"),
                Text(f"{self._time_left()} left"),
            )
            return Group(head, Text(f"best so far: {self._best_text()}", overflow="ellipsis"))

    def _best_text(self) -> str:
        if front := self._best.front:
            value = _number(front[0].metrics[self._objective.metric])
            others = f", {len(front)} on the Pareto front" if len(front) > 1 else ""
            over = f" over {len(self._seeds)} seeds" if len(self._seeds) > 1 else ""
            return f"{self._objective.metric} {value}{over} at {front[0].item}{others}"
        beyond = self._best.beyond()
        if beyond:
            return f"none within the constraints yet (nearest: {beyond})"
        if len(self._seeds) > 1 and self._replicates:
            return f"none yet, no setting has all {len(self._seeds)} seeds complete and certified"
        return "none yet"

    def _time_left(self) -> str:
        if not self._durations_s:
            return "?"
        mean_s = sum(self._durations_s) / len(self._durations_s)
        now = time.monotonic()
        spent_s = sum(min(mean_s, now - begun) for begun in self._running.values())
        n_left = self._n_total - self._n_done
        trials_s = max(0.0, n_left * mean_s - spent_s) / max(1, self._runner.n_slots)
        return _clock(trials_s + n_left * self._service_s(now))

    def _service_s(self, now: float) -> float:
        """Wall time per trial that no trial accounts for: the service's own, since the first."""
        if self._first_start is None:
            return 0.0
        in_trials_s = sum(self._durations_s) + sum(now - at for at in self._running.values())
        wall_s = now - self._first_start - in_trials_s / max(1, self._most_running)
        return max(0.0, wall_s) / max(1, len(self._durations_s))


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"
