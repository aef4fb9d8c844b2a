"""A small hub on 127.0.0.1 that counts what it serves."""

from __future__ import annotations

import hashlib
import json
import re
import sys
import threading
from collections import Counter, deque
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

N_VOCAB, D_MODEL = 300, 16
N_TENSOR_BYTES = N_VOCAB * D_MODEL * 4
CONFIG = json.dumps({"vocab_size": N_VOCAB, "tie_word_embeddings": False}).encode()


class SparseFile:
    """A file of zeros but for some pieces: it takes no memory, however long it is."""

    def __init__(self, n_bytes: int, pieces: dict[int, bytes]) -> None:
        self.n_bytes, self.pieces = n_bytes, pieces

    def __len__(self) -> int:
        return self.n_bytes

    def __getitem__(self, span: slice) -> bytes:
        start, stop, _ = span.indices(self.n_bytes)
        data = bytearray(stop - start)
        for first, piece in self.pieces.items():
            low, high = max(start, first), min(stop, first + len(piece))
            if low < high:
                data[low - start : high - start] = piece[low - first : high - first]
        return bytes(data)


Content = bytes | SparseFile
Files = Mapping[str, Content]


def _sha256(content: Content) -> str:
    if isinstance(content, SparseFile):
        return hashlib.sha256(repr(sorted(content.pieces)).encode()).hexdigest()
    return hashlib.sha256(content).hexdigest()


class _Listener(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """A client that has what it wants hangs up; anything else is a fault of the test."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


class HubServer:
    """The routes `/{repo}/resolve/{revision}/{file}` of a model hub.

    `faults` holds, for the next requests for weights, what goes wrong with each: a status, or
    "truncate" (half is sent), "kilobyte" (1,024 bytes are sent), "nothing", "ignore range", "other
    range" or "other file". `always` goes wrong with every GET of weights. With `storage`, weights
    are redirected there by a link that serves `link_uses` requests; a hub with `stale_links` gives
    the same link each time. With `mirror_of`, everything is redirected there, and the reply says
    nothing about the file. A server that is not `names_commits` sends no X-Repo-Commit.
    """

    def __init__(self) -> None:
        self.files: dict[tuple[str, str], Files] = {}
        self.commits: dict[tuple[str, str], str] = {}
        self.gated: set[str] = set()
        self.faults: deque[int | str] = deque()
        self.fault_headers: dict[str, str] = {}
        self.always: int | str | None = None
        self.storage: HubServer | None = None
        self.mirror_of: HubServer | None = None
        self.redirect_status = 302
        self.link_uses: int | None = None
        self.stale_links = False
        self.names_commits = True
        self.n_links = 0
        self._uses: Counter[str] = Counter()
        self.n_bytes = 0
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self._server = _Listener(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def add(
        self, repo: str, files: Mapping[str, bytes | SparseFile], revision: str = "main"
    ) -> str:
        """Publish a revision; its commit."""
        named = json.dumps([repo, revision, sorted(map(_sha256, files.values()))])
        commit = hashlib.sha1(named.encode()).hexdigest()
        self.commits[repo, revision] = self.commits[repo, commit] = commit
        self.files[repo, commit] = files
        return commit

    def n_weight_requests(self) -> int:
        return sum(path.endswith((".safetensors", ".bin")) for _, path, _ in self.requests)

    def redirect_weights(self, storage: HubServer) -> None:
        """Let another server, which has the same models, serve the weights."""
        self.storage = storage
        storage.files, storage.commits = self.files, self.commits

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _handler(hub_server) -> type[BaseHTTPRequestHandler]:  # noqa: N805
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                pass

            def do_HEAD(self) -> None:
                self.serve(with_body=False)

            def do_GET(self) -> None:
                self.serve(with_body=True)

            def serve(self, with_body: bool) -> None:
                path, _, link = unquote(self.path).partition("?link=")
                hub_server.requests.append(
                    (
                        self.command,
                        path,
                        {name.lower(): value for name, value in self.headers.items()},
                    )
                )
                match = re.fullmatch(r"/(.+?)/resolve/([^/]+)/(.+)", path)
                assert match, path
                repo, revision, name = match.groups()
                if hub_server.mirror_of:
                    place = {"Location": hub_server.mirror_of.url + self.path}
                    return self.answer(hub_server.redirect_status, place, b"", with_body)
                commit = hub_server.commits.get((repo, revision))
                if repo in hub_server.gated:
                    return self.refuse(403, "GatedRepo")
                if commit is None:
                    known = any(known == repo for known, _ in hub_server.commits)
                    return self.refuse(
                        404 if known else 401, "RevisionNotFound" if known else "RepoNotFound"
                    )
                content = hub_server.files[repo, commit].get(name)
                if content is None:
                    return self.refuse(404, "EntryNotFound", {"X-Repo-Commit": commit})
                is_weights = name.endswith((".safetensors", ".bin"))
                etag = f'"{_sha256(content)}"'
                headers = {"ETag": etag, "Accept-Ranges": "bytes"}
                if hub_server.names_commits:
                    headers["X-Repo-Commit"] = commit
                if is_weights and hub_server.storage:
                    hub_server.n_links += not hub_server.stale_links
                    place = f"{hub_server.storage.url}{self.path}?link={hub_server.n_links}"
                    headers |= {"X-Linked-Etag": etag, "X-Linked-Size": str(len(content))}
                    headers |= {"Location": place}
                    return self.answer(hub_server.redirect_status, headers, b"", with_body)
                hub_server._uses[link] += 1
                if link and hub_server._uses[link] > (hub_server.link_uses or 10**9):
                    return self.refuse(403, "")
                fault = hub_server.faults.popleft() if is_weights and hub_server.faults else None
                if is_weights and with_body:
                    fault = fault or hub_server.always
                if isinstance(fault, int):
                    return self.refuse(fault, "", hub_server.fault_headers)
                return self.send_content(content, headers, fault, with_body)

            def send_content(
                self,
                content: bytes | SparseFile,
                headers: dict[str, str],
                fault: str | None,
                with_body: bool,
            ) -> None:
                asked = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
                status = 200
                if fault == "other file":
                    content = b"<html>Please sign in</html>"
                elif asked and fault != "ignore range":
                    start, stop = int(asked[1]), min(int(asked[2]) + 1, len(content))
                    if fault == "other range":
                        start, stop = start + 1, min(stop + 1, len(content))
                    headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(content)}"
                    content, status = content[start:stop], 206
                cuts = {
                    "nothing": 0,
                    "truncate": len(content) // 2,
                    "kilobyte": min(1024, len(content)),
                }
                self.answer(status, headers, content, with_body, cuts.get(str(fault)))

            def refuse(self, status: int, code: str, headers: dict[str, str] | None = None) -> None:
                self.answer(status, {"X-Error-Code": code, **(headers or {})}, b"", True)

            def answer(
                self,
                status: int,
                headers: dict[str, str],
                body: Content,
                with_body: bool,
                n_sent: int | None = None,
            ) -> None:
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                if not with_body:
                    return
                sent = body[:n_sent]
                hub_server.n_bytes += len(sent)
                self.wfile.write(sent)
                if n_sent is not None and n_sent < len(body):
                    self.close_connection = True

        return Handler
