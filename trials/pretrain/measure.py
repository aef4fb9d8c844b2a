"""The metrics of the kind `pretrain`."""

from __future__ import annotations

import math

import torch

from trials.api import Table
from trials.inputs.corpora import TokenisedCorpus
from trials.pretrain.evaluate import Evaluated
from trials.pretrain.model import flop_per_token
from trials.pretrain.train import Trainer

# Dense peak of matrix products, FLOP/s, by a part of the GPU's name and by precision; float32 on
# CUDA cores, as torch multiplies by default.
_PEAKS = {
    "H200": {"bfloat16": 989e12, "float32": 67e12},
    "H100": {"bfloat16": 989e12, "float32": 67e12},
    "A100": {"bfloat16": 312e12, "float32": 19.5e12},
    "L40S": {"bfloat16": 362e12, "float32": 91.6e12},
}


def measure(
    trainer: Trainer, corpus: TokenisedCorpus, loss: float, held_out: Evaluated, deciles: Table
) -> dict[str, float]:
    """Every metric but those of the frozen rows; `loss` is that of the validation side."""
    config = trainer.config
    n_tokens = config.n_steps * config.batch_size * config.context
    n_last = max(1, config.n_steps // 20)
    bytes_per_token = corpus.bytes_per_token["held_out"]
    parameters = list(trainer.model.parameters())
    tokens_per_s = n_tokens / trainer.training_s
    return {
        "loss_validation": loss,
        "loss_held_out": held_out.mean,
        "bits_per_byte_held_out": held_out.mean / math.log(2) / bytes_per_token,
        **{
            f"loss_{which}_{side}_held_out": deciles[f"loss_by_{side}"][decile]
            for side in ("input", "target")
            for which, decile in (("frequent", 0), ("rare", -1))
        },
        "loss_train": float(trainer.losses[-n_last:].mean()),
        "gradient_norm": float(trainer.gradient_norms[-1]),
        "n_parameters": float(sum(p.numel() for p in parameters)),
        "n_trainable": float(sum(p.numel() for p in parameters if p.requires_grad)),
        "n_steps": float(config.n_steps),
        "n_epochs": n_tokens / len(corpus.train),
        "training_s": trainer.training_s,
        "tokens_per_s": tokens_per_s,
        "flop_utilisation": tokens_per_s * flop_per_token(trainer.model) / _peak(trainer),
    }


def _peak(trainer: Trainer) -> float:
    """FLOP/s that the device reaches at best; NaN where that is not known."""
    if trainer.device.type != "cuda":
        return float("nan")
    name = torch.cuda.get_device_name(trainer.device)
    peaks = (peak for part, peak in _PEAKS.items() if part in name)
    return next(peaks, {}).get(trainer.config.precision, float("nan"))
