"""Identity of a trial: the same key means the same question asked of the same data."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from sweeper.declare.sweep import Sweep
from sweeper.errors import UserError
from sweeper.records import Scalar, TrialSpec
from trials import load_kind
from trials.api import TrialError


def trial_key(
    kind: str, version: int, config: Mapping[str, Any], input_digests: Mapping[str, str]
) -> str:
    """32 hex digits over (kind, kind version, resolved config, digests of the inputs).

    The config is hashed whole, defaults included: a new default never changes what an old result
    means.
    """
    identity = {
        "kind": kind,
        "version": version,
        "config": config,
        "inputs": dict(sorted(input_digests.items())),
    }
    text = json.dumps(identity, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def check_inputs(sweep: Sweep) -> None:
    """Raise UserError if an input that the sweep's configs name does not exist."""
    resolver = Resolver(sweep)
    ends = {name: dimension.ends() for name, dimension in sweep.crossed.items()}
    first = {name: of[0] for name, of in ends.items()}
    texts = [first | {name: v} for name, of in ends.items() for v in of if isinstance(v, str)]
    for case in sweep.cases or ({},):
        for point in (first, *texts):
            resolver.specs(case | point)


class Resolver:
    """Turns assignments of one sweep into keyed trials; each input is digested once."""

    def __init__(self, sweep: Sweep) -> None:
        self._sweep, self._kind, self._varied = sweep, load_kind(sweep.kind), sweep.varied
        self._digests: dict[str, dict[str, str]] = {}

    def specs(self, assignment: Mapping[str, Scalar], null: str | None = None) -> list[TrialSpec]:
        """The trials of `assignment`, one per seed; those of one of `nulls` if it is named.

        Raises:
            UserError: the config is invalid, or an input does not exist.
        """
        return [self._spec(assignment, seed, null) for seed in self._sweep.seeds]

    def _spec(self, assignment: Mapping[str, Scalar], seed: int, null: str | None) -> TrialSpec:
        config = self._sweep.config(assignment, seed, null)
        resolved = config.model_dump(mode="json")
        digests = self._input_digests(config, resolved)
        return TrialSpec(
            key=trial_key(self._kind.name, self._kind.version, resolved, digests),
            kind=self._kind.name,
            kind_version=self._kind.version,
            config=resolved,
            input_digests=digests,
            varied=self._varied,
            is_control=self._kind.is_control(resolved),
        )

    def _input_digests(self, config: object, resolved: Mapping[str, Any]) -> dict[str, str]:
        # Inputs hang on few fields (a source, a corpus), so trials that differ in numbers only
        # share a digest: memoised over the text-valued fields.
        texts = json.dumps({k: v for k, v in resolved.items() if isinstance(v, str)})
        if texts not in self._digests:
            try:
                self._digests[texts] = self._kind.input_digests(config)
            except TrialError as error:
                raise UserError(str(error), where=self._sweep.origin) from error
        return self._digests[texts]
