"""Where kernels run: the compiled loops, torch on the CPU, torch on a GPU if there is one."""

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
