"""Where kernels run: the compiled loops, torch on the CPU, torch on a GPU if there is one."""

from functools import partial

import pytest
import torch

ON_TORCH = [
    "cpu:0",
    pytest.param(
        "cuda:0",
        marks=[
            pytest.mark.gpu,
            pytest.mark.skipif(
                not torch.cuda.is_available(), reason="NOT TESTED: torch finds no CUDA device"
            ),
        ],
    ),
]
DEVICES = ["cpu", *ON_TORCH]


def run_on(device, namespace, monkeypatch, *names):
    """Let the kernels of these names in a test module run on a device."""
    for name in names:
        monkeypatch.setitem(namespace, name, partial(namespace[name], device=device))
