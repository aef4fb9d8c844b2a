"""`fsck`: what is wrong with each sweep, one line per disagreement, or as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from sweeper.errors import one_line
from sweeper.report.listing import to_json
from sweeper.report.words import plural

if TYPE_CHECKING:
    from sweeper.store.fsck.check import SweepCheck
    from sweeper.store.fsck.disagreement import Disagreement

_BY_HAND = "no automatic repair"


def fsck_lines(verdict: SweepCheck, *, repaired: bool = False) -> Iterator[str]:
    """A line on the sweep, then one per disagreement; repaired ones come first."""
    n_left, n_mended = len(verdict.disagreements), len(verdict.repaired)
    counts = [plural(verdict.n_trials, "trial")]
    counts += [f"{n_mended} mended"] if n_mended else []
    counts += [plural(n_left, "disagreement") if n_left else "clean"]
    running = f" ({verdict.driver} runs it: trials in progress are not checked)"
    yield f"{verdict.sweep}: {', '.join(counts)}{running if verdict.driver else ''}"
    for disagreement in verdict.repaired:
        yield f"  {_line(disagreement)}; mended: {_what_mends(disagreement)}"
    for disagreement in verdict.disagreements:
        remedy = _what_mends(disagreement)
        ending = f"--repair {remedy}" if disagreement.repair and not repaired else remedy
        if disagreement.name in verdict.failures:
            ending = f"not mended: {verdict.failures[disagreement.name]}"
        yield f"  {_line(disagreement)}; {ending}"


def fsck_json(verdicts: Iterable[SweepCheck]) -> str:
    """A list of disagreements; `mended` is true or false after a repair."""
    return to_json(
        [
            _as_json(disagreement, mended)
            for verdict in verdicts
            for mended, several in ((True, verdict.repaired), (False, verdict.disagreements))
            for disagreement in several
        ]
    )


def _line(disagreement: Disagreement) -> str:
    return one_line(disagreement.name)


def _what_mends(disagreement: Disagreement) -> str:
    return disagreement.repair.text if disagreement.repair else disagreement.advice or _BY_HAND


def _as_json(disagreement: Disagreement, mended: bool) -> dict[str, Any]:
    return {
        "sweep": disagreement.sweep,
        "what": disagreement.what,
        "where": disagreement.where,
        "problem": disagreement.problem,
        "repair": disagreement.repair.text if disagreement.repair else disagreement.advice,
        "mended": mended,
    }
