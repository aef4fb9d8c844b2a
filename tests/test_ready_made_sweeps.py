"""Every sweep that comes with the package is valid, to the last config of its grid."""

from __future__ import annotations

import pytest

from sweeper.declare.files import ready_made
from sweeper.declare.loading import load_sweep
from trials import kind_names
from trials.inputs.sources.training_steps import training_family, training_step
from trials.inputs.sources.uri import parse_uri
from trials.pretrain.config import PretrainConfig
from trials.pretrain.training_loop import planned


@pytest.mark.parametrize("name", ready_made())
def test_a_ready_made_sweep_is_valid_and_says_what_it_is_for(name: str) -> None:
    sweep = load_sweep(name)
    assert sweep.name == name
    assert sweep.description
    assert sweep.kind in kind_names()


@pytest.mark.parametrize(
    ("name", "n_seeds", "family_sizes"), [("polypythias", 9, 5), ("crfm-gpt2", 5, 1)]
)
def test_the_checkpoints_on_a_hub_are_whole_curves_of_every_seed(
    name: str, n_seeds: int, family_sizes: int
) -> None:
    sources = [parse_uri(str(uri)) for uri in load_sweep(name).space["source"].ends()]
    curves: dict[tuple[str, str], dict[str, list[float]]] = {}
    for source in sources:
        seeds = curves.setdefault((training_family(source.body), source.tensor), {})
        seeds.setdefault(source.body, []).append(training_step(source.text))
    assert len(curves) == family_sizes * len({source.tensor for source in sources})
    for seeds in curves.values():
        assert len(seeds) == n_seeds
        [steps] = {tuple(found) for found in seeds.values()}
        assert 16 <= len(steps) <= 20
        assert list(steps) == sorted(steps)


def test_the_steps_walked_along_our_own_runs_are_those_that_they_leave() -> None:
    walk = load_sweep("checkpoints-warm")
    first = walk.predecessor
    assert first is not None
    config = first.config(next(first.assignments()), 0)
    assert isinstance(config, PretrainConfig)
    last = training_step(str(walk.space["source"].ends()[0]))
    assert (*walk.fixed["earlier_steps"], last) == planned(config).snapshots
