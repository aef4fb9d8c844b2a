"""A general sweep service. It runs any kind of trial and knows none of them by name.

    store = sweeper.open_store("results")
    store.trials("fvu_held_out < 0.5", columns=["label", "fvu_held_out"])
    store.trial("pursuit:n_atoms=2x null=none seed=0").arrays("dictionary")["atoms"]
    sweeper.run("pursuit", set={"n_rows": 2000})

The public names are those of `__all__`; docs/python.md describes them. They are loaded at first
use, so that importing this package takes no time. Its rooms:

    api        the Python API: what `sweeper.open_store`, `sweeper.run` and their kin do
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
to all; api to all but cli; report, run and serve to store and declare; all to records and errors. A
newcomer starts at `sweeper run` in cli and follows it into run. docs/architecture.md has the flow
on one screen.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from sweeper import run as _run_package
from sweeper.errors import UserError

if TYPE_CHECKING:
    from sweeper.api.running import Result, run
    from sweeper.api.store import Store, open_store
    from sweeper.api.sweeps import Sweep, check, plan
    from sweeper.api.trial import Figure, Trial

    __version__: str

__all__ = [
    "Figure",
    "Result",
    "Store",
    "Sweep",
    "Trial",
    "UserError",
    "__version__",
    "check",
    "open_store",
    "plan",
    "run",
]

_LAZY = {
    "Figure": "sweeper.api.trial",
    "Result": "sweeper.api.running",
    "Store": "sweeper.api.store",
    "Sweep": "sweeper.api.sweeps",
    "Trial": "sweeper.api.trial",
    "check": "sweeper.api.sweeps",
    "open_store": "sweeper.api.store",
    "plan": "sweeper.api.sweeps",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return _version()
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'sweeper' has no attribute '{name}'")


def _version() -> str:
    metadata = import_module("importlib.metadata")  # half of the time that importing us takes
    try:
        return str(metadata.version("embedding-sweeper"))
    except metadata.PackageNotFoundError:  # a checkout that was never installed
        return "0+unknown"


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _CallablePackage(ModuleType):
    """The package `sweeper.run`, which called is the function `sweeper.run(...)`.

    The function has the name of the package, and importing any module of the package sets
    `sweeper.run` to the package.
    """

    def __call__(self, *args: Any, **options: Any) -> Result:
        return self._function(*args, **options)

    @property
    def _function(self) -> Callable[..., Result]:
        function: Callable[..., Result] = import_module("sweeper.api.running").run
        return function

    @property
    def __signature__(self) -> Any:  # what help in a notebook shows
        return import_module("inspect").signature(self._function)


sys.modules[_run_package.__name__].__class__ = _CallablePackage
