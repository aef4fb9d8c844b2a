"""Commands for other machines: serve, submit."""

from __future__ import annotations

from collections.abc import Sequence

import click

from sweeper.cli.options import SET, STORE, SWEEP, TRIALS
from sweeper.serve.cluster import submit_sweep
from sweeper.serve.server import serve as serve_store
from sweeper.store.location import locate_store
from sweeper.store.relocation import relocate


@click.command()
@STORE
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=click.IntRange(1, 65535), default=5000, show_default=True)
@click.option("--allowed-host", multiple=True, help="A host name that browsers and workers use.")
def serve(store: str | None, host: str, port: int, allowed_host: Sequence[str]) -> int:
    """Open the MLflow UI on the store."""
    place = locate_store(store)
    if not (place.is_local_file or place.is_server):
        from sweeper.store.tracking import reach  # loads mlflow, which a local store does without

        reach(place)  # MLflow's server would try for minutes, and end in a traceback
    relocate(place)
    return serve_store(
        place.tracking_uri, place.artifact_root, host=host, port=port, allowed_hosts=allowed_host
    )


@click.command()
@SWEEP
@SET
@TRIALS
@click.option("--cluster", default="ray_cluster.yaml", show_default=True, metavar="FILE")
@click.option("--via", type=click.Choice(["submit", "job"]), default="submit", show_default=True)
@click.option("--tmux", is_flag=True, help="Go on when this connection ends (with --via submit).")
def submit(
    sweep: str, overrides: Sequence[str], trials: int | None, cluster: str, via: str, tmux: bool
) -> int:
    """Send SWEEP to a cluster; its results land in the store that the cluster file names."""
    return submit_sweep(sweep, cluster, overrides=overrides, trials=trials, via=via, tmux=tmux)
