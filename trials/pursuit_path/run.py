"""Runs a trial of the kind `pursuit_path`."""

from __future__ import annotations

from trials.api import Context, TrialResult
from trials.inputs.rows import TokenRows, load_rows
from trials.pursuit.artifacts import arrays, atom_table
from trials.pursuit.learn_and_code import codes
from trials.pursuit_path.artifacts import figures, path_table
from trials.pursuit_path.config import PursuitPathConfig
from trials.pursuit_path.follow import best_point, follow, progress_metrics
from trials.pursuit_path.metrics import best_metrics, path_metrics
from trials.pursuit_path.progress import forget


def run(config: PursuitPathConfig, context: Context) -> TrialResult:
    """Load the rows, then `walk`."""
    return walk(config, load_rows(config, fetch_artifact=context.fetch_artifact), context)


def walk(config: PursuitPathConfig, data: TokenRows, context: Context) -> TrialResult:
    """Follow the path, then code every token once more at its best penalty."""
    points, _, best = follow(config, data, context)
    assert best is not None  # the path has at least two points
    coded = codes(config, data, best, context)
    forget(context.checkpoint_dir)
    chosen = best_point(points)
    return TrialResult(
        metrics=path_metrics(points) | best_metrics(chosen) | progress_metrics(points),
        arrays=arrays(data, coded),
        tables={"path": path_table(points), "atoms": atom_table(data, coded)},
        figures=figures(points),
        facts=data.facts | {"dictionary_artifact": f"of penalty {chosen['penalty']:.4g}"},
        uncertified=next((p["uncertified"] for p in points if p["uncertified"]), ""),
    )
