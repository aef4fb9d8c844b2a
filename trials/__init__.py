"""The science: kinds of trials on embedding matrices. It knows arrays and models, never sweeps.

    api            the contract: Config, Context, Metric, TrialResult, TrialKind; `charts` and
                   `exported` are parts of it
    <kind>/        one room per kind: `kind` declares it (light to import), `run` does the work
    inputs/        matrices by URI, corpora, frequencies, nulls, what words have in common
    kernels/       numerics: arrays in, arrays and a certificate out
    training/      the training loop and checkpoints of kinds that train a model
    machine        cores, memory and GPUs that this process may use
    lazy           heavy libraries, loaded at first use
    sweeps/        ready-made sweep files, runnable by name

Data flows from inputs through kernels to a kind, which measures and returns a `TrialResult`. A
newcomer starts at `api` and reads `pursuit`.

`KINDS` is the table of built-in kinds; one whose package is not installed does not count. An
outside package adds one through the entry-point group `sweeper.trials` (name -> object reference
to a `TrialKind`).
"""

from __future__ import annotations

import importlib
from functools import cache
from importlib.metadata import entry_points
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trials.api import TrialKind

KINDS = {
    "atom_map": "trials.atom_map.kind:KIND",
    "circles": "trials.circles.kind:KIND",
    "dictionary_match": "trials.dictionary_match.kind:KIND",
    "embedding_only": "trials.embedding_only.kind:KIND",
    "exact_pursuit": "trials.exact_pursuit.kind:KIND",
    "matrix_binding": "trials.matrix_binding.kind:KIND",
    "pretrain": "trials.pretrain.kind:KIND",
    "pursuit": "trials.pursuit.kind:KIND",
    "pursuit_checkpoints": "trials.pursuit_checkpoints.kind:KIND",
    "pursuit_path": "trials.pursuit_path.kind:KIND",
    "residual": "trials.residual.kind:KIND",
    "row_swap": "trials.row_swap.kind:KIND",
    "sae": "trials.sae.kind:KIND",
    "self_pursuit": "trials.self_pursuit.kind:KIND",
}

ENTRY_POINT_GROUP = "sweeper.trials"


def kind_names() -> tuple[str, ...]:
    """Names of all kinds, built-in and from installed packages, without importing them."""
    built_in = filter(_is_present, KINDS)
    return tuple(sorted({*built_in, *entry_points(group=ENTRY_POINT_GROUP).names}))


def load_kind(name: str) -> TrialKind:
    """The kind of that name; KeyError if there is none."""
    if name in KINDS and _is_present(name):
        module, _, attribute = KINDS[name].partition(":")
        built_in: TrialKind = getattr(importlib.import_module(module), attribute)
        return built_in
    return _installed_kind(name)


@cache
def _is_present(name: str) -> bool:
    """Whether a built-in kind is installed: a service for kinds of others may come without it."""
    package = ".".join(KINDS[name].partition(":")[0].split(".")[:2])
    return find_spec(package) is not None


@cache
def _installed_kind(name: str) -> TrialKind:
    """One from outside; to look for it reads the metadata of every installed package."""
    for point in entry_points(group=ENTRY_POINT_GROUP, name=name):
        installed: TrialKind = point.load()
        return installed
    raise KeyError(name)
