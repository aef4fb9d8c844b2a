"""What every line for the user goes through: secrets masked, errors of the system in one line."""

from __future__ import annotations

import errno
import os
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweeper.errors import UserError, masked, one_line, os_error_line

# With all that URIs give a meaning to, and what people forget to encode.
SECRET = st.text(string.ascii_letters + string.digits + "!#$%&()*+,-./:;=?@^_~'\"", min_size=4)
BEFORE = st.sampled_from(["", "the store '", "('", "API request to "])
AFTER = st.sampled_from(["", "': gone", "/api/2.0/x?y=1 failed", "') [SQL: SELECT 1]"])
SCHEMES = ("postgresql", "postgresql+psycopg", "mysql+pymysql", "http", "https", "ftp")


@given(secret=SECRET, scheme=st.sampled_from(SCHEMES), before=BEFORE, after=AFTER)
def test_no_password_of_a_uri_is_left_in_a_line(
    secret: str, scheme: str, before: str, after: str
) -> None:
    password = f"S3{secret}3S"
    for text in (
        f"{before}{scheme}://ada:{password}@db.lab/x{after}",
        f"{before}{scheme}://:{password}@db.lab:5432/x{after}",
    ):
        for said in (masked(text), str(UserError("gone", where=text)), one_line(text, 40)):
            assert "S3" not in said
            assert "3S" not in said


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://t0ken@h:5000/x", "http://***@h:5000/x"),
        (
            "postgresql://h/x?user=ada&password=pw1&a=1",
            "postgresql://h/x?user=ada&password=***&a=1",
        ),
        ("host=h password='p w' dbname=x", "host=h password=*** dbname=x"),
        ("{'Authorization': 'Basic YWRhOnB3'}", "{'Authorization': 'Basic ***'}"),
        ("hub: hf_abcdefghijklmnopqrstuv refused", "hub: hf_*** refused"),
    ],
)
def test_other_secrets_are_masked_too(text: str, expected: str) -> None:
    assert masked(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://ada@db.lab/x",
        "http://h:5000/#/experiments/1",
        "hub:EleutherAI/pythia-70m@step3000",
        "sqlite:////home/a@b/mlflow.db",
        "max_tokens=12 basic functions",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert masked(text) == text


def test_secrets_of_the_environment_are_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN", "HF_TOKEN"):
        monkeypatch.setenv(name, "corr3ct-horse")
        assert str(UserError("refused: corr3ct-horse")) == "refused: ***"
        monkeypatch.delenv(name)


def test_an_error_of_the_system_names_its_path_and_says_why() -> None:
    missing = OSError(errno.ENOENT, os.strerror(errno.ENOENT), "a/b.html")
    assert os_error_line(missing) == "a/b.html: No such file or directory"
    long = OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG), "x" * 5000)
    assert os_error_line(long).endswith("File name too long")
    assert os_error_line(ConnectionError("refused by http://u:pw@h")) == "refused by http://u:***@h"
