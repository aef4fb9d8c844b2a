"""The training step that a source names, and the same model at another step of its training."""

from __future__ import annotations

import re

from trials.inputs.sources.uri import parse_uri

_STEP = re.compile(r"(?:step-?|checkpoint-)(\d+)$")
_SEED = re.compile(r"-seed\d+$")
_CRFM = re.compile(r"(stanford-crfm/)[a-z]+-(gpt2-\w+)-x\d+")


def training_step(text: str) -> float:
    """The training step that a source names, as in `hub:NAME@step3000`; NaN if it names none."""
    source = parse_uri(text)
    named = {"hub": source.revision, "run": source.body}.get(source.scheme, "")
    step = _STEP.search(named)
    return float(step[1]) if step else float("nan")


def initial_uri(text: str) -> str:
    """The URI of the same model at step 0; `TrialError` unless the source names a training step."""
    return uri_at_step(text, 0)


def uri_at_step(text: str, training_step: int) -> str:
    """The URI of the same model at another step; `TrialError` unless the source names one."""
    source = parse_uri(text)
    named = source.revision if source.scheme == "hub" else source.body
    step = _STEP.search(named) if source.scheme in ("hub", "run") else None
    if step is None:
        raise source.error(
            "no training step is named, as in hub:NAME@step3000, hub:NAME@checkpoint-3000 or "
            "run:RUN_ID/step-001000"
        )
    n_digits = 6 if source.scheme == "run" else len(step[1]) if step[1][0] == "0" else 1
    other = f"{named[: step.start(1)]}{training_step:0{n_digits}d}"
    body = other if source.scheme == "run" else f"{source.body}@{other}"
    return f"{source.scheme}:{body}" + (f"#{source.tensor}" if source.tensor else "")


def training_family(repo: str) -> str:
    """A repository's name without the random seed: models that differ only in their seed share it.

    PolyPythias end in the seed (`EleutherAI/pythia-70m-seed3`; the original model has none). The
    GPT-2 models of Stanford's CRFM have a first name before the size and the seed after it.
    """
    if crfm := _CRFM.fullmatch(repo):
        return f"{crfm[1]}{crfm[2]}"
    return _SEED.sub("", repo)
