"""The command line: parses and prints. Data on stdout, progress and notes on stderr.

One error boundary: what the user caused is one line and exit code 2; a traceback is our bug.
Heavy imports live inside the commands that need them, so that `--help`, `check` and `plan` answer
at once.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import sweeper
from sweeper.errors import UserError, nearest, one_line

if TYPE_CHECKING:
    from rich.console import Console

    from sweeper.declare.sweep import Sweep
    from sweeper.records import TrialRow
    from sweeper.store.location import Store

EXIT_TRIAL_FAILED, EXIT_UNSHIPPED, EXIT_INTERRUPTED = 1, 3, 130
EXIT_DISAGREES = 1

_SWEEP = click.argument("sweep", metavar="SWEEP")
_SET = click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="FIELD=VALUE",
    help="Override a field (repeatable).",
)
_TRIALS = click.option("--trials", type=click.IntRange(1), help="How many proposals to evaluate.")
_STORE = click.option(
    "--store", metavar="DIR|URI", help="Where results live (default: ./results, or SWEEPER_STORE)."
)
_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(sweeper.__version__, prog_name="sweeper")
def cli() -> None:
    """Sweeps of sparse-coding experiments on the embedding matrices of transformers.

    SWEEP is a sweep file (YAML) or the name of a ready-made sweep.
    """


# ---- running -------------------------------------------------------------------------------


@cli.command()
@_SWEEP
@_SET
@_TRIALS
@_STORE
@click.option("--in-process", is_flag=True, help="One trial at a time in this process, no Ray.")
@click.option("--retry", type=click.Choice(["failed"]), help="Run failed trials again.")
@click.option("--force", is_flag=True, help="Run every trial again, whatever exists.")
def run(
    sweep: str,
    overrides: Sequence[str],
    trials: int | None,
    store: str | None,
    in_process: bool,
    retry: str | None,
    force: bool,
) -> int:
    """Make the store hold every result that SWEEP declares; what exists is reused."""
    from sweeper.declare.sweep import load_sweep
    from sweeper.run.lineage import forerunners, with_runs_of
    from sweeper.store.location import locate_store

    declared = load_sweep(sweep, overrides=overrides, trials=trials)
    place = locate_store(store)
    code = 0
    for each in (*forerunners(declared), declared):
        if each is not declared:
            click.echo(f"first: {each.name}", err=True)
        resolved = with_runs_of(each, place)
        code = _run_one(
            resolved, place, store, in_process=in_process, retry=retry == "failed", force=force
        )
        if code:
            break
    return code


def _run_one(
    declared: Sweep,
    place: Store,
    store: str | None,
    *,
    in_process: bool,
    retry: bool,
    force: bool,
) -> int:
    from sweeper.run.drive import run_sweep
    from sweeper.run.runners import make_runner

    if in_process and declared.limits.needs_worker:
        click.echo("--in-process does not enforce trial_timeout_s and memory_gib", err=True)
    done = run_sweep(
        declared,
        place,
        make_runner(declared.resources, in_process=in_process),
        console=_err(),
        make_report=_make_report,
        retry_failed=retry,
        force=force,
    )
    return _say_done(declared, place, done, store)


@cli.command()
@_SWEEP
@_SET
@_TRIALS
def check(sweep: str, overrides: Sequence[str], trials: int | None) -> None:
    """Validate SWEEP: every field, both ends of every range."""
    from sweeper.declare.sweep import load_sweep

    declared = load_sweep(sweep, overrides=overrides, trials=trials)
    space = ", ".join(declared.space) or "nothing"
    beside = f", beside {', '.join(declared.beside_null)}" if declared.beside_null else ""
    limits = f"; limits: {declared.limits}" if declared.limits.model_fields_set else ""
    click.echo(f"{declared.origin}: valid; kind {declared.kind}, varies {space}{beside}{limits}")


@cli.command()
@_SWEEP
@_SET
@_TRIALS
@_STORE
@_JSON
def plan(
    sweep: str, overrides: Sequence[str], trials: int | None, store: str | None, as_json: bool
) -> None:
    """Show what SWEEP would run: cached, new, expected time."""
    from sweeper.declare.sweep import load_sweep
    from sweeper.run.lineage import forerunners, with_runs_of
    from sweeper.run.plan import make_plan, plan_json, plan_text
    from sweeper.store.location import locate_store
    from sweeper.store.peek import peek

    declared = load_sweep(sweep, overrides=overrides, trials=trials)
    place = locate_store(store)
    stored = peek(place)
    for first in forerunners(declared):
        made = make_plan(with_runs_of(first, place), stored)
        click.echo(f"first, {first.name}: {plan_text(made)}", err=as_json)
        if made.n_new:
            click.echo(f"then {declared.name}: its trials are known when these are", err=True)
            return
    made = make_plan(with_runs_of(declared, place), stored)
    click.echo(plan_json(made) if as_json else plan_text(made))


# ---- looking -------------------------------------------------------------------------------


@cli.command()
@click.argument("name", required=False)
@_JSON
def kinds(name: str | None, as_json: bool) -> None:
    """What can be swept: fields, ranges, defaults, metrics with units."""
    from sweeper.look.kinds import kind_page, kinds_json, kinds_table
    from trials import kind_names, load_kind

    if name is not None and name not in kind_names():
        raise UserError(f"unknown kind '{name}'", hint=nearest(name, kind_names()))
    found = [load_kind(n) for n in ([name] if name else kind_names())]
    if as_json:
        click.echo(kinds_json(found))
    else:
        click.echo(kind_page(found[0]) if name else kinds_table(found))


@cli.command()
@click.argument("sweeps", nargs=-1, metavar="[SWEEP]...")
@_STORE
@_JSON
def ls(sweeps: Sequence[str], store: str | None, as_json: bool) -> None:
    """List trials."""
    from sweeper.look.listing import trials_json, trials_table

    rows = _rows(store, sweeps)
    click.echo(trials_json(rows) if as_json else trials_table(rows, _kinds(rows)))


@cli.command()
@click.argument("trial")
@_STORE
@_JSON
def show(trial: str, store: str | None, as_json: bool) -> None:
    """Show one trial, by run id or key (a unique beginning is enough), or SWEEP:LABEL."""
    from sweeper.look.listing import trial_json, trial_page
    from sweeper.look.lookup import find_trial

    row = find_trial(_rows(store), trial)
    kind = _kinds([row]).get(row.kind)
    click.echo(trial_json(row, kind) if as_json else trial_page(row, kind))


@cli.command()
@click.argument("text", metavar="SQL|FILTER")
@_STORE
@click.option(
    "--format", "form", type=click.Choice(["table", "csv", "json", "parquet"]), default="table"
)
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="A file.")
def query(text: str, store: str | None, form: str, output: Path | None) -> None:
    """Ask one typed table over all sweeps: SQL on `trials`, or a condition such as 'l0 < 20'."""
    from sweeper.look.frames import frame_bytes
    from sweeper.store.results import query as ask

    data = frame_bytes(ask(_rows(store), text), form)
    if output is not None:
        output.write_bytes(data)
    else:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()


@cli.command()
@click.argument("sweeps", nargs=-1, metavar="[SWEEP]...")
@_STORE
@click.option("--study", is_flag=True, help="One page for the whole study, with its verdict.")
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path), default=Path("report.html")
)
def report(sweeps: Sequence[str], store: str | None, study: bool, output: Path) -> None:
    """Write one self-contained HTML page on the named sweeps (default: all)."""
    from sweeper.look.report import write_report

    tracking = _tracking(store)
    if study:
        click.echo(str(_write_study(output, tracking.rows(_known(sweeps, tracking)), tracking)))
        return
    names = _known(sweeps, tracking) or tracking.sweep_names()
    pages = [_reported(name, tracking) for name in names if tracking.rows([name])]
    if not pages:
        raise UserError("the store holds no trials yet", hint="see 'sweeper run'")
    click.echo(str(write_report(output, pages)))


@cli.command()
@click.argument("sweeps", nargs=-1, metavar="[SWEEP]...")
@_STORE
@_JSON
@click.option("--rule", metavar="FILE", help="A rule of your own (default: the one that comes).")
def verdict(sweeps: Sequence[str], store: str | None, as_json: bool, rule: str | None) -> None:
    """Decide the research question from the named sweeps (default: all), by a rule fixed before."""
    from sweeper.look.verdict.decide import decide
    from sweeper.look.verdict.page import verdict_json, verdict_page
    from sweeper.look.verdict.rule import load_rule

    loaded = load_rule(rule)
    tracking = _tracking(store)
    rows = tracking.rows(_known(sweeps, tracking))
    decided = decide(rows, loaded, tracking.fetch_artifact)
    values = {"h1": decided.worse.value, "h2": decided.ends.value, "rule_sha256": loaded.digest}
    tracking.note_verdict(sorted({row.sweep for row in rows}), values)
    click.echo(verdict_json(decided) if as_json else verdict_page(decided), nl=as_json)


@cli.command()
@click.argument("a")
@click.argument("b")
@_STORE
@_JSON
def diff(a: str, b: str, store: str | None, as_json: bool) -> None:
    """Show what differs between two trials: config, code, environment, inputs, results."""
    from sweeper.look.diff import compare, diff_json, diff_page
    from sweeper.look.lookup import find_trial

    tracking = _tracking(store)
    rows = tracking.rows()
    found = compare(find_trial(rows, a), find_trial(rows, b), tracking.fetch_artifact)
    click.echo(diff_json(found) if as_json else diff_page(found), nl=False)


# ---- checking ------------------------------------------------------------------------------


@cli.command()
@click.argument("sweeps", nargs=-1, metavar="[SWEEP]...")
@_STORE
@_JSON
@click.option("--repair", "mend", is_flag=True, help="Mend what can be mended.")
def fsck(sweeps: Sequence[str], store: str | None, as_json: bool, mend: bool) -> int:
    """Hold journals, database and artifact digests against each other."""
    from sweeper.look.fsck_page import fsck_json, fsck_lines
    from sweeper.store.fsck.check import check, repair
    from sweeper.store.location import locate_store

    place, verdicts = locate_store(store), []
    for verdict in repair(place, sweeps) if mend else check(place, sweeps):
        verdicts.append(verdict)
        for line in () if as_json else fsck_lines(verdict, repaired=mend):
            click.echo(line)
    if as_json:
        click.echo(fsck_json(verdicts), nl=False)
    return EXIT_DISAGREES if any(verdict.found for verdict in verdicts) else 0


@cli.command()
@click.argument("trial")
@_STORE
@_JSON
@click.option("--rtol", type=click.FloatRange(0), default=1e-6, show_default=True)
@click.option("--atol", type=click.FloatRange(0), default=1e-9, show_default=True)
@click.option("--device", type=click.Choice(["cpu", "cuda:0"]), help="Default: as the trial ran.")
def rerun(
    trial: str, store: str | None, as_json: bool, rtol: float, atol: float, device: str | None
) -> int:
    """Repeat a stored trial here and compare its metrics; the store stays as it is."""
    from sweeper.look.lookup import find_trial
    from sweeper.look.rerun_page import Repetition, rerun_json, rerun_page
    from sweeper.run.rerun import rerun as repeat
    from trials import load_kind

    tracking = _tracking(store)
    row = find_trial(tracking.rows(), trial)
    outcome = repeat(row, tracking.spec(row.run_id), tracking.store, device)
    repetition = Repetition(row, load_kind(row.kind), outcome, rtol, atol)
    click.echo(rerun_json(repetition) if as_json else rerun_page(repetition), nl=False)
    return 0 if repetition.agrees else EXIT_DISAGREES


@cli.command()
@_JSON
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
def selftest(as_json: bool, seed: int) -> int:
    """Plant structures and nulls here, and hold what is measured against what is expected."""
    from sweeper.look.selftest_page import selftest_json, selftest_line
    from trials.selftest import selftest as run_selftest

    lines: list[Any] = []
    for line in run_selftest(seed):
        if not as_json:
            is_first = not lines or lines[-1].planted != line.planted
            click.echo(selftest_line(line, is_first=is_first))
        lines.append(line)
    if as_json:
        click.echo(selftest_json(lines))
    n_failed = sum(not line.passed for line in lines)
    click.echo(f"{len(lines) - n_failed} of {len(lines)} as expected", err=True)
    return 1 if n_failed else 0


# ---- serving -------------------------------------------------------------------------------


@cli.command()
@_STORE
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=click.IntRange(1, 65535), default=5000, show_default=True)
@click.option("--allowed-host", multiple=True, help="A host name that browsers and workers use.")
def serve(store: str | None, host: str, port: int, allowed_host: Sequence[str]) -> int:
    """Open the MLflow UI on the store."""
    from sweeper.serve.server import serve as serve_store
    from sweeper.store.location import locate_store

    place = locate_store(store)
    return serve_store(
        place.tracking_uri, place.artifact_root, host=host, port=port, allowed_hosts=allowed_host
    )


@cli.command()
@_SWEEP
@_SET
@_TRIALS
@click.option("--cluster", default="ray_cluster.yaml", show_default=True, metavar="FILE")
@click.option("--via", type=click.Choice(["submit", "job"]), default="submit", show_default=True)
@click.option("--tmux", is_flag=True, help="Go on when this connection ends (with --via submit).")
def submit(
    sweep: str, overrides: Sequence[str], trials: int | None, cluster: str, via: str, tmux: bool
) -> int:
    """Send SWEEP to a cluster; its results land in the store that the cluster file names."""
    from sweeper.serve.cluster import submit_sweep

    return submit_sweep(sweep, cluster, overrides=overrides, trials=trials, via=via, tmux=tmux)


# ---- shared --------------------------------------------------------------------------------


def _err() -> Console:
    from rich.console import Console

    return Console(stderr=True)


def _tracking(store: str | None) -> Any:
    from sweeper.store.location import locate_store
    from sweeper.store.tracking import Tracking

    place = locate_store(store)
    if not place.exists():
        raise UserError("there is no store yet", where=str(place.root), hint="see 'sweeper run'")
    return Tracking(place)


def _known(names: Sequence[str], tracking: Any) -> Sequence[str]:
    stored = tracking.sweep_names()
    for name in names:
        if name not in stored:
            raise UserError(f"the store holds no sweep '{name}'", hint=nearest(name, stored))
    return names


def _rows(store: str | None, sweeps: Sequence[str] = ()) -> list[TrialRow]:
    tracking = _tracking(store)
    rows: list[TrialRow] = tracking.rows(_known(sweeps, tracking))
    return rows


def _kinds(rows: Sequence[TrialRow]) -> dict[str, Any]:
    from trials import kind_names, load_kind

    here = set(kind_names())
    return {name: load_kind(name) for name in {row.kind for row in rows} & here}


def _make_report(path: Path, sweep: Sweep, rows: list[TrialRow]) -> None:
    from sweeper.look.report import ReportedSweep, write_report
    from trials import load_kind

    page = ReportedSweep(
        sweep.name,
        load_kind(sweep.kind),
        rows,
        sweep.description,
        sweep.to_yaml(),
        sweep.search,
    )
    write_report(path, [page])


def _reported(name: str, tracking: Any) -> Any:
    from sweeper.declare.sweep import stored_search
    from sweeper.look.report import ReportedSweep

    rows = tracking.rows([name])
    kinds = _kinds(rows)
    if rows[0].kind not in kinds:
        raise UserError(f"sweep '{name}' is of kind '{rows[0].kind}', which is not installed")
    kind = kinds[rows[0].kind]
    text, description = tracking.last_submission(name)
    return ReportedSweep(name, kind, rows, description, text, stored_search(text, kind))


def _write_study(output: Path, rows: list[TrialRow], tracking: Any) -> Path:
    from sweeper.look.study import write_study
    from sweeper.look.verdict.decide import decide
    from sweeper.look.verdict.rule import load_rule

    if not rows:
        raise UserError("the store holds no trials yet", hint="see 'sweeper run'")
    verdict = decide(rows, load_rule(), tracking.fetch_artifact)
    return write_study(output, rows, _kinds(rows), verdict)


def _say_done(sweep: Sweep, place: Store, done: Any, store: str | None) -> int:
    from sweeper.look.final_table import final_table
    from trials import load_kind

    failed = [row for row in done.rows if row.state == "FAILED"]
    if done.rows:
        click.echo(final_table(done.rows, load_kind(sweep.kind), sweep.search))
    for row in failed[:5]:
        click.echo(f"failed: {row.label}: {row.error}", err=True)
    for text in done.invalid[:5]:
        click.echo(f"skipped: {text}", err=True)
    kept = f"{len(done.rows)} trials: {done.n_run} run now, {len(done.rows) - done.n_run} reused"
    click.echo(f"{kept}, {len(failed)} failed", err=True)
    if done.ending.why:
        click.echo(done.ending.why, err=True)
    if done.report:
        click.echo(f"report:  {_short(done.report)}")
    served = place.tracking_uri.startswith("http")
    command = f"{_program()} serve{f' --store {store}' if store else ''}"
    click.echo(f"open UI: {place.tracking_uri if served else command}")
    if done.n_unshipped:
        click.echo(
            f"{done.n_unshipped} journal events are not in {place.tracking_uri} yet "
            f"({done.ship_error}); the same command ships them",
            err=True,
        )
    interrupted = done.ending.exit_code > 128
    if done.n_unshipped and not interrupted:
        return EXIT_UNSHIPPED
    return done.ending.exit_code or (EXIT_TRIAL_FAILED if failed else 0)


def _program() -> str:
    """How this program can be typed here: by name if the name finds it, else by path."""
    called = Path(sys.argv[0]).absolute()
    found = shutil.which("sweeper")
    named = called.name != "sweeper" or (found and Path(found).samefile(called))
    return "sweeper" if named else _short(called)


def _short(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def main(arguments: Sequence[str] | None = None) -> None:
    """The one error boundary."""
    try:
        code = cli.main(args=arguments, prog_name="sweeper", standalone_mode=False)
    except UserError as error:
        click.echo(f"sweeper: {error}", err=True)
        sys.exit(error.exit_code)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        sys.exit(2)
    except click.ClickException as error:
        click.echo(f"sweeper: {one_line(error.format_message())}", err=True)
        sys.exit(2)
    except (KeyboardInterrupt, click.Abort):
        click.echo("sweeper: interrupted; the same command goes on where this stopped", err=True)
        sys.exit(EXIT_INTERRUPTED)
    except BrokenPipeError:
        sys.stdout = None  # the reader has gone; nothing to flush to
        sys.exit(0)
    sys.exit(code if isinstance(code, int) else 0)


if __name__ == "__main__":
    main()
