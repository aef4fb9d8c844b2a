from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from trials.inputs.sources import open_source

HEAVY = ("torch", "ray", "mlflow", "optuna", "sweeper", "transformers", "numba", "scipy", "pandas")


def test_looking_up_any_source_imports_nothing_heavy() -> None:
    names = ("schemes.hub", "schemes.wheel", "schemes.file", "formats.gguf_file")
    modules = ", ".join(f"trials.inputs.sources.{name}" for name in names)
    code = f"import sys, {modules}; print([m for m in {HEAVY} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_rows_are_the_callers_own_to_write(tmp_path: object, dtype: str) -> None:
    np.save(f"{tmp_path}/e.npy", np.ones((2, 2), dtype=dtype))
    rows = open_source(f"file:{tmp_path}/e.npy").rows
    rows[0, 0] = 2.0
    assert rows.flags.c_contiguous
    assert open_source(f"file:{tmp_path}/e.npy").rows[0, 0] == 1.0
