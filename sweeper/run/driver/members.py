"""Finished trials of a sweep, wherever they were run."""

from __future__ import annotations

from dataclasses import dataclass

from sweeper.records import Outcome, TrialRow, TrialSpec, flat_params


@dataclass(frozen=True)
class Existing:
    """A finished trial under some key: its outcome, and where it lies."""

    outcome: Outcome
    sweep: str
    run_id: str = ""


@dataclass(frozen=True)
class Member:
    """A trial of the sweep with its outcome; `run_id` is set where it existed before."""

    spec: TrialSpec
    outcome: Outcome
    existing: Existing | None


def member_row(sweep: str, member: Member, run_id: str) -> TrialRow:
    """A member as the database shows it, without asking the database."""
    spec, outcome = member.spec, member.outcome
    return TrialRow(
        run_id=run_id,
        sweep=sweep,
        submission="",
        kind=spec.kind,
        kind_version=spec.kind_version,
        key=spec.key,
        state=outcome.state,
        label=spec.label,
        params=flat_params(spec.config),
        metrics=outcome.metrics,
        facts=outcome.facts,
        provenance=outcome.provenance
        | {f"input.{name}": digest for name, digest in spec.input_digests.items()},
        artifacts=outcome.artifacts,
        varied=spec.varied,
        is_control=spec.is_control,
        uncertified=outcome.uncertified,
        error=outcome.error,
        reused_from=member.existing.run_id
        if member.existing and member.existing.sweep != sweep
        else "",
        started_ms=outcome.started_ms,
        ended_ms=outcome.ended_ms,
    )
