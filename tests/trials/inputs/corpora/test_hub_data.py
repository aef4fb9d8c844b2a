"""Data sets on a hub: the real client, in a process of its own, against a server on 127.0.0.1."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import huggingface_hub.constants
import pytest

from trials.api import TrialError
from trials.inputs.corpora.hub_data import _commit, column_texts, commit_of
from trials.inputs.corpora.uri import parse_corpus

COMMIT = "a" * 40
TEXTS = ["one line\n", "", "two\nlines\n", "café"]
FILES = {
    "README.md": b"---\nconfigs:\n- config_name: default\n  data_files: data/train.jsonl\n---\n",
    "data/train.jsonl": "".join(
        json.dumps({"text": text, "title": text.upper(), "id": n}) + "\n"
        for n, text in enumerate(TEXTS)
    ).encode(),
}
READ = """
import json, sys
from trials.api import TrialError
from trials.inputs.corpora import CorpusConfig, corpus_digests
from trials.inputs.corpora.reading import read_pieces
from trials.inputs.corpora.uri import parse_corpus
found = {}
for text in sys.argv[1:]:
    try:
        digests = corpus_digests(CorpusConfig(corpus=text))
        heavy = sorted({"torch", "datasets", "pandas"} & set(sys.modules)) if not found else []
        pieces = list(read_pieces(parse_corpus(text)))
        found[text] = [digests["corpus"], heavy, pieces]
    except TrialError as error:
        found[text] = str(error)
print(json.dumps(found))
"""

COUNT = """
import json, sys
import numpy as np
from trials.api import TrialError
from trials.inputs.corpora.tokenizers import train_bpe
from trials.inputs.frequencies import frequency_digest, token_frequencies
tokenizer = train_bpe(iter(["words" * 9]), 258)
found = {}
for spec in sys.argv[1:]:
    try:
        table = token_frequencies(spec, np.arange(258), lambda: tokenizer)
        weight = table.probabilities / table.probabilities.min() - 1
        of = {c: round(weight[tokenizer.token_to_id(c)]) for c in "enS"}
        found[spec] = [frequency_digest(spec), table.name, of]
    except TrialError as error:
        found[spec] = str(error)
print(json.dumps(found))
"""


class DataSetHub(BaseHTTPRequestHandler):
    """The routes of a hub that the client asks for the data set `owner/name`."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.serve(with_body=False)

    def do_GET(self) -> None:
        self.serve(with_body=True)

    def serve(self, with_body: bool) -> None:
        status, body = 404, b""
        headers = {"X-Repo-Commit": COMMIT, "X-Error-Code": "EntryNotFound"}
        path = urlsplit(self.path).path
        if path in (f"/api/datasets/owner/name/revision/{at}" for at in ("main", COMMIT)):
            siblings = [{"rfilename": name} for name in FILES]
            described = {"_id": "1", "id": "owner/name", "sha": COMMIT, "siblings": siblings}
            status, body = 200, json.dumps(described).encode()
        elif path.startswith(tree := f"/api/datasets/owner/name/tree/{COMMIT}"):
            status, body = 200, json.dumps(entries(path.removeprefix(tree).strip("/"))).encode()
        elif path.startswith(files := f"/datasets/owner/name/resolve/{COMMIT}/"):
            if (content := FILES.get(path.removeprefix(files))) is not None:
                status, body = 200, content
                headers = {"X-Repo-Commit": COMMIT, "ETag": f'"{sha1(content)}"'}
        else:
            headers["X-Error-Code"] = "RepoNotFound"
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if with_body:
            self.wfile.write(body)


def sha1(content: bytes) -> str:
    return hashlib.sha1(content).hexdigest()


def entries(folder: str) -> list[dict[str, Any]]:
    """Files and folders right below `folder`."""
    found: dict[str, dict[str, Any]] = {}
    for name, content in FILES.items():
        if not name.startswith(prefix := f"{folder}/" if folder else ""):
            continue
        head, slash, _ = name.removeprefix(prefix).partition("/")
        kind = "directory" if slash else "file"
        size = 0 if slash else len(content)
        found[head] = {"type": kind, "path": prefix + head, "oid": sha1(content), "size": size}
    return list(found.values())


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), DataSetHub)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def read(endpoint: str, *texts: str) -> dict[str, Any]:
    """What a fresh process gets of each corpus: digest, heavy modules of the digest, pieces."""
    return printed(READ, endpoint, *texts)


def printed(program: str, endpoint: str, *texts: str, offline: str = "0") -> dict[str, Any]:
    """What a program prints in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", program, *texts],
        env={**os.environ, "HF_ENDPOINT": endpoint, "HF_HUB_OFFLINE": offline},
        cwd=Path(__file__).parents[4],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_data_set_is_streamed_at_the_commit_that_its_revision_names(endpoint: str) -> None:
    whole, pinned, titles = "hub:owner/name", f"hub:owner/name@{COMMIT}", "hub:owner/name#title"
    column, config, missing = "hub:owner/name#txt", "hub:owner/name/big", "hub:owner/nothing"
    found = read(endpoint, whole, pinned, titles, column, config, missing)
    digest, heavy, pieces = found[whole]
    assert [text for text, _, _ in pieces] == [text for text in TEXTS if text]
    assert [n for _, n, _ in pieces] == [len(text.encode()) for text in TEXTS if text]
    assert all(begins for _, _, begins in pieces)
    assert heavy == [], "a digest is cheap"
    assert found[pinned][0] == digest
    assert found[titles][0] != digest
    assert found[titles][2][0][0] == "ONE LINE\n"
    assert found[column] == "hub:owner/name#txt: no column 'txt' of texts; did you mean 'text'?"
    assert found[config].startswith("hub:owner/name/big: BuilderConfig 'big' not found")
    assert found[missing] == (
        f"hub:owner/nothing: {endpoint} answered 404: no such data set or revision, or a private "
        "or gated one: set HF_TOKEN"
    )


def test_tokens_of_a_data_set_are_counted_once_up_to_the_number_asked_for(endpoint: str) -> None:
    whole, pinned = "hub:owner/name", f"hub:owner/name@{COMMIT}"
    some, column = f"{pinned}?n_tokens=9", "hub:owner/name#txt?n_tokens=9"
    found = printed(COUNT, endpoint, whole, pinned, some, column)
    letters = "".join(TEXTS)
    assert found[whole][2] == {c: letters.count(c) for c in "enS"}
    n_tokens = sum(len(text.encode()) for text in TEXTS)
    assert found[whole][1] == f"counts + 1 over {n_tokens} tokens of hub:owner/name"
    assert found[pinned][0] == found[whole][0] != found[some][0]
    assert found[some][1] == f"counts + 1 over 9 tokens of {pinned}"
    assert found[some][2] == {c: letters[:9].count(c) for c in "enS"}
    assert found[column] == "hub:owner/name#txt: no column 'txt' of texts; did you mean 'text'?"
    again = printed(COUNT, endpoint, some, f"{pinned}?n_tokens=8", offline="1")
    assert again[some] == found[some]
    assert "n_tokens=8" not in again[f"{pinned}?n_tokens=8"]
    assert again[f"{pinned}?n_tokens=8"].startswith(f"{pinned}: ")


def test_without_a_connection_the_commit_is_the_remembered_one(
    endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", endpoint)
    uri = parse_corpus("hub:owner/name")

    def asked_by_a_new_process() -> str:
        _commit.cache_clear()
        return commit_of(uri)

    with monkeypatch.context() as offline:
        offline.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
        with pytest.raises(TrialError, match=r"hub:owner/name: no answer .* check the connection"):
            asked_by_a_new_process()
        assert commit_of(parse_corpus(f"hub:owner/name@{COMMIT}")) == COMMIT
    assert asked_by_a_new_process() == COMMIT
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert asked_by_a_new_process() == COMMIT


def test_a_column_that_is_no_text_is_refused_with_those_that_are() -> None:
    rows = [{"id": 3, "text": "a", "body": "b"}]
    assert list(column_texts(rows, parse_corpus("hub:o/n#body"))) == ["b"]
    with pytest.raises(TrialError, match="no column 'id' of texts; allowed: text, body"):
        list(column_texts(rows, parse_corpus("hub:o/n#id")))
