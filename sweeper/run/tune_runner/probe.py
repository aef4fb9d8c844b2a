"""Asks the Ray cluster at an address who it is, and prints the answer as one JSON object.

Run as a program of its own: Ray's client repeats itself on stderr, may end its process, and
cannot forget the authentication that it began with. The answer has `mode` ("disabled" or "token";
None where the cluster refused), `has_token`, `ray` and `python`.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

os.environ |= {"RAY_AUTH_MODE": "disabled", "RAY_py_gcs_connect_timeout_s": "10"}

from ray._raylet import (  # type: ignore[attr-defined]
    AuthenticationTokenLoader,
    Config,
    GcsClient,
)
from ray.exceptions import AuthenticationError


def ask(address: str) -> dict[str, Any]:
    """The cluster's versions; AuthenticationError if it refused."""
    client = GcsClient(address=address)
    found = json.loads(client.internal_kv_get(b"CLUSTER_METADATA", b"cluster", timeout=10))
    return {"ray": found["ray_version"], "python": found["python_version"]}


def main(address: str) -> dict[str, Any]:
    """What is known of the cluster; any exception but a refusal is the caller's to report."""
    has_token = AuthenticationTokenLoader.instance().has_token(ignore_auth_mode=True)
    answer: dict[str, Any] = {"mode": None, "has_token": has_token}
    for mode in ("disabled", "token") if has_token else ("disabled",):
        os.environ["RAY_AUTH_MODE"] = mode
        Config.initialize("")  # reads the mode again
        try:
            return answer | ask(address) | {"mode": mode}
        except AuthenticationError:
            continue
    return answer


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1])))
