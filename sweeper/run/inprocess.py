"""The in-process runner: one trial after another in this process, for debugging and for tests."""

from __future__ import annotations

from collections.abc import Mapping

from sweeper.run.execute import TrialStopped, execute
from sweeper.run.feed import TrialFeed
from sweeper.run.runner import Job, artifact_fetcher
from sweeper.store.artifacts import StagingArea


class InProcessRunner:
    """Runs trials here and now; a debugger sees into them."""

    n_slots = 1

    def run(self, feed: TrialFeed, job: Job) -> None:
        """Run every trial of `feed` in turn."""
        staging = StagingArea(job.staging_root)
        while (spec := feed.next()) is not None:
            key = spec.key

            def report(step: int, metrics: Mapping[str, float], key: str = key) -> None:
                if feed.reported(key, step, metrics):
                    raise TrialStopped

            feed.started(key)
            outcome = execute(
                spec,
                artifact_dir=staging.begin(key),
                checkpoint_dir=job.checkpoint_root / key,
                device=job.device,
                n_threads=job.n_threads,
                report=report,
                fetch_artifact=artifact_fetcher(job),
            )
            staging.commit(key)
            feed.finished(outcome)
