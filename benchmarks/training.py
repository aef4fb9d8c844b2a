"""Time to pretrain a GPT-2 vs. a plain PyTorch loop on the same transformers model.

Both start from the same weights and see the same batches, on one thread, as a trial does that
shares a machine; both must end at the same loss. The second row is of a whole sweep: what passes
before its first trial and after its last, and in its slots between one trial and the next, is the
sweep's own cost. A slot that idles at the end, since nothing is left to run, is not.
"""

from __future__ import annotations

import argparse
import csv
import os
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, Literal

import torch
from torch.nn import functional

from benchmarks.measure import Column, Table, interleaved
from trials.inputs.corpora import TokenisedCorpus, open_corpus
from trials.inputs.corpora.windows import ShuffledBatches, Windows
from trials.pretrain.config import PretrainConfig
from trials.pretrain.model import Trainer, build_model, parameter_groups
from trials.training.trainer import learning_rate_at

COLUMNS = (
    Column("work", 40),
    Column("peer", 20),
    Column("peer tokens/s", 13),
    Column("ours tokens/s", 13),
    Column("ratio", 6),
    Column("peer loss", 9),
    Column("our loss", 9),
)
SHARES = (
    Column("work", 40),
    Column("slots", 20),
    Column("wall s", 13),
    Column("before and after s", 18),
    Column("between s", 9),
    Column("own cost", 13),
)


def plain_loop(config: PretrainConfig, corpus: TokenisedCorpus) -> float:
    """The peer: a plain training loop; returns its last loss."""
    model = build_model(config, corpus.n_vocab, {})
    decays, others = parameter_groups(model)
    groups: list[dict[str, Any]] = [{"params": decays}, {"params": others, "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(
        groups, lr=config.learning_rate, betas=(0.9, 0.95), weight_decay=config.weight_decay
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser,
        lambda step: learning_rate_at(config, min(step, config.n_steps - 1)) / config.learning_rate,
    )
    batches = ShuffledBatches(Windows(corpus.train, config.context), config.batch_size, config.seed)
    last = 0.0
    for step in range(config.n_steps):
        ids = torch.from_numpy(batches[step])
        logits = model(ids[:, :-1]).logits
        loss = functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        last = loss.item()
    return last


def ours(config: PretrainConfig, corpus: TokenisedCorpus) -> float:
    """Our side: the trainer of the kind `pretrain`."""
    trainer = Trainer(build_model(config, corpus.n_vocab, {}), corpus.train, config, "cpu")
    trainer.advance(config.n_steps)
    return float(trainer.losses[-1])


def compare(n_steps: int, n_rounds: int, corpus_bytes: int | Literal["all"] = "all") -> str:
    """Print the row of the loop; returns why the sides cannot be compared ("" when they can)."""
    base = PretrainConfig(tying="untied")
    n_tokens = n_steps * base.batch_size * base.context
    config = PretrainConfig(
        tying="untied",
        corpus_bytes=corpus_bytes,
        n_tokens=n_tokens,
        warm_up_steps=min(100, n_steps - 1),
    )
    corpus = open_corpus(config)
    torch.set_flush_denormal(True)
    times, theirs, own = interleaved(
        partial(plain_loop, config, corpus), partial(ours, config, corpus), n_rounds
    )
    Table(COLUMNS).row(
        [
            f"GPT-2 tiny, {n_steps} steps, one thread",
            "plain PyTorch loop",
            f"{n_tokens / median(times.peer_s):,.0f}",
            f"{n_tokens / median(times.ours_s):,.0f}",
            f"{times.ratio:.2f}",
            f"{theirs:.4f}",
            f"{own:.4f}",
        ]
    )
    apart = abs(theirs - own)
    return "" if apart < 0.01 else f"the losses differ by {apart:.3f}: not the same training"


def own_cost(n_trials: int, n_slots: int, n_tokens: int) -> None:
    """Print what a sweep of trainings spends outside its trials; most of it is start-up."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "training.yaml"
        path.write_text(
            f"kind: pretrain\nfixed: {{tying: untied, n_tokens: {n_tokens}}}\n"
            f"seeds: {n_trials}\nresources: {{cpu: 1}}\n"
        )
        run = partial(subprocess.run, cwd=folder, check=True, capture_output=True, text=True)
        command = [sys.executable, "-m", "sweeper.cli"]
        environment = os.environ | {"PYTHONPATH": str(Path.cwd())}
        started = time.time()
        run([*command, "run", "training.yaml"], env=environment)
        wall_s = time.time() - started
        asked = "select epoch(started_at), duration_s from trials order by started_at"
        answer = run([*command, "query", asked, "--format", "csv"], env=environment).stdout
    spans = [
        (float(start), float(start) + float(duration_s))
        for start, duration_s in csv.reader(answer.splitlines()[1:])
    ]
    outside_s = wall_s - (max(end for _, end in spans) - spans[0][0])
    between_s = _between(spans, n_slots) / n_slots
    Table(SHARES).row(
        [
            f"sweep of {n_trials} trainings",
            f"{n_slots}",
            f"{wall_s:.0f}",
            f"{outside_s:.1f}",
            f"{between_s:.1f}",
            f"{100 * (outside_s + between_s) / wall_s:.1f} %",
        ]
    )


def _between(spans: list[tuple[float, float]], n_slots: int) -> float:
    """Seconds between consecutive trials of a slot, over all slots; `spans` are sorted by start."""
    ends, lost = [spans[0][0]] * n_slots, 0.0
    for n, (start, end) in enumerate(spans):
        # Starts are rounded, so take the latest of the spans that ended about then.
        slot = max(range(n_slots), key=lambda i: (ends[i] <= start + 0.1, ends[i]))
        lost += max(0.0, start - ends[slot]) if n >= n_slots else 0.0
        ends[slot] = end
    return lost


def main() -> str:
    """Print both tables; returns why sides cannot be compared."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=11, help="timed rounds (11)")
    parser.add_argument(
        "--quick", action="store_true", help="a few steps on little text, and no sweep"
    )
    given = parser.parse_args()
    torch.set_num_threads(1)
    problem = compare(10, 1, 2_000_000) if given.quick else compare(40, given.rounds)
    if not given.quick:
        own_cost(n_trials=8, n_slots=2, n_tokens=1_228_800)
    return problem


if __name__ == "__main__":
    sys.exit(main() or None)
