"""A small hub on 127.0.0.1 that counts what it serves."""

from __future__ import annotations

import hashlib
import json
import re
import sys
import threading
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

N_VOCAB, D_MODEL = 300, 16
N_TENSOR_BYTES = N_VOCAB * D_MODEL * 4
CONFIG = json.dumps({"vocab_size": N_VOCAB, "tie_word_embeddings": False}).encode()


class _Listener(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """A client that has what it wants hangs up; anything else is a fault of the test."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


class HubServer:
    """The routes `/{repo}/resolve/{revision}/{file}` of a model hub.

    `faults` holds, for the next requests for weights, what goes wrong with each: a status, or
    "truncate" or "ignore range". With `storage`, weights are redirected there.
    """

    def __init__(self) -> None:
        self.files: dict[tuple[str, str], dict[str, bytes]] = {}
        self.commits: dict[tuple[str, str], str] = {}
        self.gated: set[str] = set()
        self.faults: deque[int | str] = deque()
        self.fault_headers: dict[str, str] = {}
        self.storage: HubServer | None = None
        self.n_bytes = 0
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self._server = _Listener(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def add(self, repo: str, files: dict[str, bytes], revision: str = "main") -> str:
        """Publish a revision; its commit."""
        named = json.dumps(
            [repo, revision, sorted(hashlib.sha1(f).hexdigest() for f in files.values())]
        )
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
                path = unquote(self.path)
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
                etag = f'"{hashlib.sha256(content).hexdigest()}"'
                headers = {"X-Repo-Commit": commit, "ETag": etag, "Accept-Ranges": "bytes"}
                if is_weights and hub_server.storage:
                    headers |= {"X-Linked-Etag": etag, "X-Linked-Size": str(len(content))}
                    headers |= {"Location": hub_server.storage.url + self.path}
                    return self.answer(302, headers, b"", with_body)
                fault = hub_server.faults.popleft() if is_weights and hub_server.faults else None
                if isinstance(fault, int):
                    return self.refuse(fault, "", hub_server.fault_headers)
                return self.send_content(content, headers, fault, with_body)

            def send_content(
                self, content: bytes, headers: dict[str, str], fault: str | None, with_body: bool
            ) -> None:
                asked = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
                status = 200
                if asked and fault != "ignore range":
                    start, stop = int(asked[1]), min(int(asked[2]) + 1, len(content))
                    headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(content)}"
                    content, status = content[start:stop], 206
                self.answer(status, headers, content, with_body, cut=fault == "truncate")

            def refuse(self, status: int, code: str, headers: dict[str, str] | None = None) -> None:
                self.answer(status, {"X-Error-Code": code, **(headers or {})}, b"", True)

            def answer(
                self,
                status: int,
                headers: dict[str, str],
                body: bytes,
                with_body: bool,
                cut: bool = False,
            ) -> None:
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                if not with_body:
                    return
                body = body[: len(body) // 2] if cut else body
                hub_server.n_bytes += len(body)
                self.wfile.write(body)
                self.close_connection = cut or self.close_connection

        return Handler
