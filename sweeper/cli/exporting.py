"""Commands that write results for other programs: export sae, export table."""

from __future__ import annotations

from pathlib import Path

import click

from sweeper.api.store import open_store
from sweeper.cli.options import STORE
from sweeper.errors import UserError
from sweeper.report.frames import frame_bytes

_FORMATS = {".parquet": "parquet", ".csv": "csv"}


@click.group()
def export() -> None:
    """Write results for other programs: a dictionary for SAELens, a table."""


@export.command()
@click.argument("trial")
@STORE
@click.option(
    "--to", required=True, metavar="DIR|hub:OWNER/NAME", help="A folder, or a repository of a hub."
)
def sae(trial: str, store: str | None, to: str) -> None:
    """Write the dictionary of TRIAL as an autoencoder that SAELens loads, with a model card.

    TRIAL is named as for `show`. Scaling and centring become part of the weights, so the
    autoencoder takes raw rows of the embedding matrix.
    """
    for path in open_store(store).export_sae(trial, to):
        click.echo(f"{to}/{path}" if to.startswith("hub:") else str(path))


@export.command()
@click.argument("text", metavar="[SQL|FILTER]", default="")
@STORE
@click.option(
    "--to",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="A file that ends in .parquet or .csv.",
)
def table(text: str, store: str | None, to: Path) -> None:
    """Write all trials, or the answer of a query, to a Parquet or CSV file."""
    if (form := _FORMATS.get(to.suffix)) is None:
        raise UserError(f"'{to}' must end in .parquet or .csv", where="--to")
    answer = open_store(store).query(text)
    to.write_bytes(frame_bytes(answer, form))
    click.echo(str(to))
