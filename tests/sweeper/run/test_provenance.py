import os
import shutil
import subprocess

import pytest

import sweeper
from sweeper.run.worker import provenance


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_looking_at_the_code_does_not_write_into_its_repository(tmp_path, monkeypatch):
    def git(*arguments):
        author = ("-c", "user.name=a", "-c", "user.email=a@b.c")
        subprocess.run(["git", "-C", str(tmp_path), *author, *arguments], check=True)

    package = tmp_path / "sweeper"
    package.mkdir()
    (package / "__init__.py").write_text("")
    git("init", "--quiet")
    git("add", ".")
    git("commit", "--quiet", "-m", "all")
    os.utime(package / "__init__.py", (0, 0))  # the index is out of date: git would refresh it
    before = (tmp_path / ".git" / "index").read_bytes()
    monkeypatch.setattr(sweeper, "__file__", str(package / "__init__.py"))
    provenance.provenance.cache_clear()
    try:
        found = provenance.provenance()
    finally:
        provenance.provenance.cache_clear()
    assert len(found["commit"]) == 40
    assert found["dirty"] == "false"
    assert (tmp_path / ".git" / "index").read_bytes() == before
