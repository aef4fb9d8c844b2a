"""Artifacts are flipped, truncated and deleted behind the store's back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from chaos.sweep import MakeSweep
from chaos.table import Demand

from sweeper.errors import UserError
from sweeper.store.tracking import Tracking

SWEEP = "kind: stepper\nfixed: {marks: marks}\nspace: {x: [0.0, 1.0, 2.0, 3.0]}\n"


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x10
    path.write_bytes(data)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


DAMAGES: dict[str, Callable[[Path], None]] = {
    "flipped": flip,
    "truncated": truncate,
    "deleted": Path.unlink,
}


def test_damaged_artifacts_are_refused_by_name_and_digest_and_fsck_finds_each(
    make_sweep: MakeSweep, demand: Demand
) -> None:
    sweep = make_sweep(SWEEP)
    assert sweep.run().code == 0
    assert sweep.sweeper("fsck").code == 0
    tracking = Tracking(sweep.place)
    *damaged, sound = sorted(sweep.rows(), key=lambda row: float(str(row.params["x"])))
    for row, (how, damage) in zip(damaged, DAMAGES.items(), strict=True):
        [artifact] = row.artifacts
        uri = tracking._client.get_run(row.run_id).info.artifact_uri
        damage(Path(urlsplit(uri).path) / artifact.path)
        with pytest.raises(UserError) as refused:
            tracking.results.fetch_artifact(row.run_id, artifact.path)
        told = artifact.path in str(refused.value), artifact.sha256[:16] in str(refused.value)
        demand(f"artifact {how}", 1, "loading names file, digest", told, equals=(True, True))
    assert tracking.results.fetch_artifact(sound.run_id, sound.artifacts[0].path).is_file()
    checked = sweep.sweeper("fsck")
    said = checked.stdout + checked.stderr
    found = [
        how
        for row, how in zip(damaged, DAMAGES, strict=True)
        if any(
            "state.safetensors" in line and (row.key[:8] in line or row.run_id[:8] in line)
            for line in said.splitlines()
        )
    ]
    demand("artifacts damaged", 3, "damages that fsck names", found, equals=[*DAMAGES])
    demand("artifacts damaged", 3, "exit code of fsck", checked.code, equals=1)
    unharmed = sound.key[:8] in said or sound.run_id[:8] in said
    demand("artifacts damaged", 3, "a sound artifact is accused", unharmed, equals=False)
