"""The dictionary of a trial as an autoencoder for SAELens, in a folder or on the hub.

SAELens (sae-lens 6) reads `cfg.json` and `sae_weights.safetensors`. Its encoder computes
`(x - b_dec) @ W_enc + b_enc`. The architecture says which activations are codes: `standard` those
above 0, `jumprelu` those above `threshold`, `topk` the positive ones of the k largest;
`matching_pursuit` has no encoder and takes atom after atom. The reconstruction is
`codes @ W_dec + b_dec`.
"""

from __future__ import annotations

import json
import re
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from sweeper.api.model_card import model_card
from sweeper.api.trial import Trial
from sweeper.errors import UserError, disk_full_named, one_line
from sweeper.store.artifacts import put_file
from sweeper.store.scratch import scratch_folder
from trials import kind_names, load_kind
from trials.api import ExportedAutoencoder, Finished, TrialError

CONFIG, WEIGHTS, CARD = "cfg.json", "sae_weights.safetensors", "README.md"
_FORMAT_VERSION = "6.0.0"
"""The version of SAELens that introduced this format of its config."""
_HUB = "hub:"
_REPOSITORY = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*", re.ASCII)


def export_sae(trial: Trial, to: str | Path) -> tuple[Path, ...]:
    """Write a trial's dictionary as an autoencoder; see `Store.export_sae`."""
    target = str(to)
    repository = target.removeprefix(_HUB) if target.startswith(_HUB) else ""
    if target.startswith(_HUB) and not _REPOSITORY.fullmatch(repository):
        raise UserError(f"'{target}' names no repository; write hub:OWNER/NAME", where="--to")
    autoencoder = _autoencoder(trial)
    with scratch_folder("export") as scratch:
        folder = scratch / "files"
        folder.mkdir()
        written = _write(autoencoder, trial, folder, _loading(target, repository))
        if repository:
            _upload(folder, repository, f"{trial.sweep}: {trial.label}")
            return tuple(Path(path.name) for path in written)
        with disk_full_named(target):
            for path in written:
                put_file(path, Path(target) / path.name)
    return tuple(Path(target) / path.name for path in written)


def _loading(target: str, repository: str) -> str:
    """The lines of Python that load what was written."""
    if not repository:
        return f"sae = SAE.load_from_disk({json.dumps(target)})"
    place = f"snapshot_download({json.dumps(repository)})"
    return f"from huggingface_hub import snapshot_download\n\nsae = SAE.load_from_disk({place})"


def _autoencoder(trial: Trial) -> ExportedAutoencoder:
    """What the kind makes of the trial.

    Raises:
        UserError: the trial is not complete, or its kind has no autoencoder for it.
    """
    where = f"trial '{trial.label}'"
    if trial.state != "COMPLETE":
        raise UserError(
            f"its state is {trial.state}; only a complete trial is exported", where=where
        )
    if trial.kind not in kind_names():
        raise UserError(f"its kind '{trial.kind}' is not installed", where=where)
    finished = Finished(trial.config, trial.metrics, trial.arrays)
    try:
        return load_kind(trial.kind).exported(finished)
    except TrialError as error:
        raise UserError(one_line(str(error)), where=where) from error
    except KeyError as error:  # an earlier version of the kind left other tensors
        what = f"version {trial.row.kind_version} of kind '{trial.kind}' left no {error}"
        raise UserError(what, where=where, hint="run the trial again") from error


def _write(
    autoencoder: ExportedAutoencoder, trial: Trial, folder: Path, load: str
) -> tuple[Path, ...]:
    paths = tuple(folder / each for each in (CONFIG, WEIGHTS, CARD))
    config = sae_config(autoencoder)
    paths[0].write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    save_file(sae_weights(autoencoder), paths[1])
    text = model_card(trial, autoencoder, config["architecture"], load)
    paths[2].write_text(text, encoding="utf-8")
    return paths


def sae_config(autoencoder: ExportedAutoencoder) -> dict[str, Any]:
    """SAELens' config of an autoencoder."""
    n_atoms, d_model = autoencoder.decoder.shape
    own: dict[str, Any] = {"k": min(autoencoder.k, n_atoms)} if autoencoder.k else {}
    if autoencoder.pursuit_steps:
        own = {
            "max_iterations": autoencoder.pursuit_steps,
            "residual_threshold": 0.0,
            "stop_on_duplicate_support": False,
        }
    return {
        "architecture": _architecture(autoencoder),
        "d_in": d_model,
        "d_sae": n_atoms,
        "dtype": "float32",
        "device": "cpu",
        "apply_b_dec_to_input": True,
        "normalize_activations": "none",
        "reshape_activations": "none",
        **own,
        "metadata": {
            "sae_lens_version": _FORMAT_VERSION,
            "sae_lens_training_version": None,
            **autoencoder.metadata,
        },
    }


def sae_weights(autoencoder: ExportedAutoencoder) -> dict[str, np.ndarray]:
    """SAELens' tensors of an autoencoder, float32."""
    tensors = {"W_dec": autoencoder.decoder, "b_dec": autoencoder.decoder_bias}
    if not autoencoder.pursuit_steps:
        tensors |= {"W_enc": autoencoder.encoder.T, "b_enc": autoencoder.encoder_bias}
    if _architecture(autoencoder) == "jumprelu":
        tensors["threshold"] = autoencoder.threshold
    return {
        name: np.ascontiguousarray(tensor, dtype=np.float32) for name, tensor in tensors.items()
    }


def _architecture(autoencoder: ExportedAutoencoder) -> str:
    if autoencoder.k and autoencoder.threshold.any():
        raise UserError("codes are the k largest above a threshold; SAELens has no such form")
    if autoencoder.pursuit_steps:
        return "matching_pursuit"
    if autoencoder.k:
        return "topk"
    return "jumprelu" if autoencoder.threshold.any() else "standard"


def _upload(folder: Path, repository: str, message: str) -> None:
    """Put a folder into a model repository, which is created if there is none."""
    hub = import_module("huggingface_hub")  # a fifth of a second, and only needed here
    try:
        api = hub.HfApi()
        api.create_repo(repository, exist_ok=True)
        api.upload_folder(repo_id=repository, folder_path=folder, commit_message=message)
    except (hub.errors.HfHubHTTPError, OSError) as error:
        raise UserError(one_line(str(error), 300), where=f"hub:{repository}") from error
