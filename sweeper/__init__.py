"""A general sweep service. It runs any kind of trial and knows none of them by name.

    cli        parses arguments and prints; the one error boundary
    declare    what should exist: a sweep file becomes a frozen, validated `Sweep`
    run        making it exist: plan, search, feed, attempts, `execute`, and the two runners
    store      what exists: the journal, the tracking store (MLflow), one typed table, `fsck`
    report     pages and tables about trials of any kind
    serve      the tracking server and UI, and sending sweeps to clusters
    submit     the one file that `ray submit` ships to a cluster
    records    values that several rooms pass around: TrialSpec, Outcome, TrialRow
    errors     what the user caused, in one line

A trial flows from declare through run to store, and from there to report. Imports run one way: cli
to all; report, run and serve to store and declare; all to records and errors. A newcomer starts at
`sweeper run` in cli and follows it into run. docs/architecture.md has the flow on one screen.
"""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("embedding-sweeper")
except PackageNotFoundError:  # a checkout that was never installed
    __version__ = "0+unknown"
