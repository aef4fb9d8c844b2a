"""Dictionaries that other programs load: the files are read back by SAELens' own formulae."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from huggingface_hub.errors import HfHubHTTPError
from safetensors.numpy import load_file, save_file

import sweeper
from sweeper.api.export import export_sae
from sweeper.cli import main
from sweeper.records import Artifact, TrialRow, TrialSpec, TrialState, flat_params
from trials import load_kind
from trials.kernels.dictionaries import Autoencoder, encode

RNG = np.random.default_rng(0)
D_MODEL, N_ATOMS, N_ROWS, UNIT = 6, 10, 40, 3.5
OFFSET = RNG.normal(size=D_MODEL)
SCALED = RNG.normal(size=(N_ROWS, D_MODEL)).astype(np.float32)
RAW = (SCALED * UNIT + OFFSET).astype(np.float32)
ATOMS = RNG.normal(size=(N_ATOMS, D_MODEL)).astype(np.float32)
ATOMS /= np.linalg.norm(ATOMS, axis=1, keepdims=True)
ARCHITECTURES = {
    "topk": ({"k": 3}, 0.0, "topk"),
    "batch_topk": ({"k": 3}, 0.4, "jumprelu"),
    "relu": ({"l1_coefficient": 0.1}, 0.0, "standard"),
    "jumprelu": ({"l0_coefficient": 0.1, "bandwidth": 0.05}, 0.3, "jumprelu"),
}


class Reader:
    """A store of one trial and its nulls."""

    def __init__(self, config: dict[str, Any], rows: list[TrialRow]) -> None:
        self._config, self._rows = config, rows

    @property
    def results(self) -> Reader:
        """Where the specs are."""
        return self

    def spec(self, run_id: str) -> TrialSpec:
        return TrialSpec(key="k", kind="x", kind_version=1, config=self._config, input_digests={})

    def rows(self, sweeps: Sequence[str] = ()) -> list[TrialRow]:
        return self._rows


@pytest.fixture
def stored(tmp_path: Path) -> Callable[..., sweeper.Trial]:
    """`stored(kind, given, arrays, metrics)`: a trial that left these tensors."""

    def make(
        kind: str,
        given: Mapping[str, Any],
        arrays: Mapping[str, Mapping[str, np.ndarray]],
        metrics: Mapping[str, float] = {},
        **changes: Any,
    ) -> sweeper.Trial:
        config = load_kind(kind).config.model_validate(given).model_dump(mode="json")
        for stem, tensors in arrays.items():
            save_file(dict(tensors), tmp_path / f"{stem}.safetensors")
        artifact = Artifact(path="dictionary.safetensors", sha256="ab12", n_bytes=1)
        row = TrialRow(
            **{
                "run_id": "run",
                "sweep": "mine",
                "submission": "1",
                "kind": kind,
                "kind_version": 8,
                "key": "k",
                "state": TrialState.COMPLETE,
                "label": "a|b",
                "params": flat_params(config),
                "metrics": dict(metrics),
                "artifacts": (artifact,),
                "provenance": {"input.source": "digest-of-the-source"},
                **changes,
            }
        )
        null = row.model_copy(
            update={
                "key": "null",
                "is_control": True,
                "params": {**row.params, "null": "gaussian_spectrum"},
                "metrics": {name: value + 1 for name, value in row.metrics.items()},
            }
        )
        reader: Any = Reader(config, [row, null])
        return sweeper.Trial(row, reader, lambda row, path: tmp_path / path)

    return make


def tokens(divisor: float | np.ndarray = UNIT) -> dict[str, np.ndarray]:
    return {"divisor": np.broadcast_to(divisor, N_ROWS).copy()}


def autoencoder(architecture: str) -> Autoencoder:
    given, threshold, _ = ARCHITECTURES[architecture]
    return Autoencoder(
        ATOMS,
        ATOMS + 0.1 * RNG.normal(size=ATOMS.shape).astype(np.float32),
        RNG.normal(scale=0.1, size=N_ATOMS).astype(np.float32),
        RNG.normal(scale=0.1, size=D_MODEL).astype(np.float32),
        np.full(N_ATOMS, threshold, np.float32),
        given["k"] if architecture == "topk" else 0,
    )


def trained(make: Callable[..., sweeper.Trial], architecture: str) -> sweeper.Trial:
    given, _, _ = ARCHITECTURES[architecture]
    sae = autoencoder(architecture)
    config = {"source": "hub:owner/model", "n_atoms": N_ATOMS, "architecture": architecture}
    dictionary = {
        "atoms": sae.atoms,
        "offset": OFFSET,
        "encoder": sae.encoder,
        "encoder_bias": sae.encoder_bias,
        "decoder_bias": sae.decoder_bias,
        "threshold": sae.threshold,
    }
    metrics = {"fvu_sae_held_out": 0.25, "l0_sae_held_out": 3.0}
    arrays = {"dictionary": dictionary, "tokens": tokens()}
    return make("sae", config | given, arrays, metrics)


def pursued(make: Callable[..., sweeper.Trial], **changes: Any) -> sweeper.Trial:
    config = {"source": "file:rows.npy", "n_atoms": N_ATOMS, "l1_penalty": 0.2} | changes
    arrays = {"dictionary": {"atoms": ATOMS, "offset": OFFSET}, "tokens": tokens()}
    return make("pursuit", config, arrays, {"l0_held_out": 3.2})


def codes_of_saelens(folder: Path, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Codes and reconstructions by the formulae that SAELens documents for its architectures."""
    config = json.loads((folder / "cfg.json").read_text())
    weights = load_file(folder / "sae_weights.safetensors")
    assert (config["normalize_activations"], config["apply_b_dec_to_input"]) == ("none", True)
    centred = rows - weights["b_dec"]
    if config["architecture"] == "matching_pursuit":
        assert set(weights) == {"W_dec", "b_dec"}
        codes, residual = np.zeros((len(rows), config["d_sae"])), centred.copy()
        for _ in range(config["max_iterations"]):
            products = np.maximum(residual @ weights["W_dec"].T, 0)
            best = products.argmax(axis=1)
            values = products[np.arange(len(rows)), best]
            codes[np.arange(len(rows)), best] += values
            residual -= values[:, None] * weights["W_dec"][best]
        return codes, codes @ weights["W_dec"] + weights["b_dec"]
    activations = centred @ weights["W_enc"] + weights["b_enc"]
    codes = np.maximum(activations, 0)
    if config["architecture"] == "topk":
        kth = np.sort(activations, axis=1)[:, -config["k"]]
        codes[activations < kth[:, None]] = 0
    elif config["architecture"] == "jumprelu":
        codes[activations <= weights["threshold"]] = 0
    else:
        assert config["architecture"] == "standard"
    return codes, codes @ weights["W_dec"] + weights["b_dec"]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_an_exported_autoencoder_has_equal_codes(
    architecture: str, stored: Callable[..., sweeper.Trial], tmp_path: Path
) -> None:
    trial = trained(stored, architecture)
    files = export_sae(trial, tmp_path / "out")
    assert [path.name for path in files] == ["cfg.json", "sae_weights.safetensors", "README.md"]
    config = json.loads(files[0].read_text())
    assert config["architecture"] == ARCHITECTURES[architecture][2]
    left = trial.arrays("dictionary")
    ours = Autoencoder(
        left["atoms"],
        left["encoder"],
        left["encoder_bias"],
        left["decoder_bias"],
        left["threshold"],
        3 if architecture == "topk" else 0,
    )
    wanted = encode(ours, SCALED).toarray()
    assert 0 < (wanted > 0).mean() < 1
    codes, reconstructed = codes_of_saelens(tmp_path / "out", RAW)
    np.testing.assert_allclose(codes, wanted, atol=1e-5)
    fitted = (wanted @ left["atoms"] + left["decoder_bias"]) * UNIT + OFFSET
    np.testing.assert_allclose(reconstructed, fitted, atol=1e-4)


@pytest.mark.parametrize("architecture", [*ARCHITECTURES, "pursuit"])
def test_saelens_itself_loads_what_was_exported(
    architecture: str, stored: Callable[..., sweeper.Trial], tmp_path: Path
) -> None:
    sae_lens = pytest.importorskip("sae_lens")
    torch = pytest.importorskip("torch")
    is_pursuit = architecture == "pursuit"
    trial = pursued(stored) if is_pursuit else trained(stored, architecture)
    export_sae(trial, tmp_path / "out")
    loaded = sae_lens.SAE.load_from_disk(str(tmp_path / "out"))
    with torch.no_grad():
        codes = loaded.encode(torch.from_numpy(RAW))
        reconstructed = loaded.decode(codes)
    wanted = codes_of_saelens(tmp_path / "out", RAW)
    np.testing.assert_allclose(codes.numpy(), wanted[0], atol=1e-5)
    np.testing.assert_allclose(reconstructed.numpy(), wanted[1], atol=1e-4)


def test_the_dictionary_of_a_pursuit_is_coded_by_pursuit(
    stored: Callable[..., sweeper.Trial], tmp_path: Path
) -> None:
    export_sae(pursued(stored), tmp_path / "out")
    config = json.loads((tmp_path / "out/cfg.json").read_text())
    assert (config["architecture"], config["d_sae"]) == ("matching_pursuit", 2 * N_ATOMS)
    assert config["max_iterations"] == 3
    decoder = load_file(tmp_path / "out/sae_weights.safetensors")["W_dec"]
    np.testing.assert_array_equal(decoder, np.concatenate([ATOMS, -ATOMS]))
    codes, reconstructed = codes_of_saelens(tmp_path / "out", RAW)
    assert (codes >= 0).all()
    assert (codes > 0).sum(axis=1).max() == 3
    rest = ((RAW - reconstructed) ** 2).sum() / ((RAW - RAW.mean(axis=0)) ** 2).sum()
    assert rest < 0.4
    card = (tmp_path / "out/README.md").read_text()
    assert "No encoder was trained: codes are found by pursuit" in card


def test_nonnegative_codes_need_no_negative_atoms(
    stored: Callable[..., sweeper.Trial], tmp_path: Path
) -> None:
    export_sae(pursued(stored, nonnegative=True), tmp_path / "out")
    assert json.loads((tmp_path / "out/cfg.json").read_text())["d_sae"] == N_ATOMS


def test_the_card_has_metrics_nulls_and_provenance(
    stored: Callable[..., sweeper.Trial], tmp_path: Path
) -> None:
    export_sae(trained(stored, "topk"), tmp_path / "out")
    card = (tmp_path / "out/README.md").read_text()
    assert card.startswith("---\nlibrary_name: saelens\n")
    assert "| metric | trial | null gaussian_spectrum | definition |" in card
    assert "| held-out error (FVU), encoder | 0.25 | 1.25 |" in card
    assert "| input.source | digest-of-the-source |" in card
    assert "| dictionary.safetensors | ab12 |" in card
    assert "mine: a\\|b" in card  # a cell, not two


def test_the_config_names_the_model_unless_the_rows_are_a_null(
    stored: Callable[..., sweeper.Trial], tmp_path: Path
) -> None:
    def metadata(trial: sweeper.Trial) -> dict[str, Any]:
        export_sae(trial, tmp_path / "out")
        read = json.loads((tmp_path / "out/cfg.json").read_text())["metadata"]
        assert read.pop("sae_lens_version") == "6.0.0"
        return {name: value for name, value in read.items() if value is not None}

    named = {"model_name": "owner/model", "hook_name": "hook_embed", "revision": "main"}
    assert metadata(trained(stored, "topk")) == named
    assert metadata(pursued(stored)) == {}
    null = pursued(stored, source="hub:owner/model", null="gaussian_spectrum")
    assert metadata(null) == {}


def test_rows_that_each_have_a_scale_are_refused(
    stored: Callable[..., sweeper.Trial], tmp_path: Path
) -> None:
    config = {"source": "file:rows.npy", "n_atoms": N_ATOMS, "l1_penalty": 0.2}
    arrays = {
        "dictionary": {"atoms": ATOMS, "offset": OFFSET},
        "tokens": tokens(np.linspace(1, 2, N_ROWS)),
    }
    trial = stored("pursuit", config | {"scale": "unit_rows"}, arrays, {"l0_held_out": 3.0})
    with pytest.raises(sweeper.UserError, match="scale is unit_rows: each row was divided by its"):
        export_sae(trial, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_trial_without_a_dictionary_is_refused(
    stored: Callable[..., sweeper.Trial], tmp_path: Path
) -> None:
    with pytest.raises(sweeper.UserError, match="trials of kind 'bowl' leave no dictionary"):
        export_sae(stored("bowl", {}, {}), tmp_path / "out")
    failed = stored("bowl", {}, {}, state=TrialState.FAILED)
    with pytest.raises(sweeper.UserError, match="its state is FAILED; only a complete trial is"):
        export_sae(failed, tmp_path / "out")
    old = stored("pursuit", {"source": "file:a.npy", "n_atoms": 3, "l1_penalty": 0.1}, {})
    with pytest.raises(FileNotFoundError):
        export_sae(old, tmp_path / "out")


def test_a_tensor_that_an_earlier_version_did_not_leave_is_named(
    stored: Callable[..., sweeper.Trial], tmp_path: Path
) -> None:
    config = {"source": "file:a.npy", "n_atoms": 3, "l1_penalty": 0.1}
    trial = stored("pursuit", config, {"dictionary": {"atoms": ATOMS}, "tokens": tokens()})
    with pytest.raises(sweeper.UserError, match="version 8 of kind 'pursuit' left no '"):
        export_sae(trial, tmp_path / "out")


class Hub:
    """Keeps what is uploaded."""

    def __init__(self, refuses: bool = False) -> None:
        self.refuses = refuses
        self.files: dict[str, bytes] = {}

    def create_repo(self, repository: str, *, exist_ok: bool) -> None:
        if self.refuses:
            answer: Any = SimpleNamespace(headers={}, request=None)
            raise HfHubHTTPError("401 Client Error: no right to write", response=answer)
        assert exist_ok

    def upload_folder(self, *, repo_id: str, folder_path: Path, commit_message: str) -> None:
        self.files = {f"{repo_id}/{p.name}": p.read_bytes() for p in folder_path.iterdir()}


def test_an_autoencoder_goes_to_a_repository_of_the_hub(
    stored: Callable[..., sweeper.Trial], monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = Hub()
    monkeypatch.setattr("huggingface_hub.HfApi", lambda: hub)
    export_sae(trained(stored, "topk"), "hub:owner/name")
    names = ("README.md", "cfg.json", "sae_weights.safetensors")
    assert sorted(hub.files) == [f"owner/name/{name}" for name in names]
    card = hub.files["owner/name/README.md"].decode()
    assert 'SAE.load_from_disk(snapshot_download("owner/name"))' in card


def test_a_refusal_of_the_hub_is_one_line(
    stored: Callable[..., sweeper.Trial], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.HfApi", lambda: Hub(refuses=True))
    with pytest.raises(sweeper.UserError, match="hub:owner/name: 401 Client Error"):
        export_sae(trained(stored, "topk"), "hub:owner/name")
    with pytest.raises(sweeper.UserError, match="names no repository; write hub:OWNER/NAME"):
        export_sae(trained(stored, "topk"), "hub:name")


def test_the_command_writes_a_table(
    swept: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    def export(*words: str) -> int:
        with pytest.raises(SystemExit) as ended:
            main(["export", "table", *words, "--store", str(swept)])
        assert isinstance(ended.value.code, int)
        return ended.value.code

    parquet, csv = tmp_path / "a.parquet", tmp_path / "a.csv"
    assert export("--to", str(parquet)) == 0
    assert export("x > 0.5", "--to", str(csv)) == 0
    assert len(pd.read_parquet(parquet)) == 4
    assert set(pd.read_csv(csv)["x"]) == {1.0}
    capfd.readouterr()
    assert export("--to", str(tmp_path / "a.txt")) == 2
    assert "must end in .parquet or .csv" in capfd.readouterr().err


def test_the_command_refuses_a_trial_without_a_dictionary(
    swept: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["export", "sae", "bowls:x=1 null=none", "--to", "out", "--store", str(swept)])
    assert ended.value.code == 2
    said = capfd.readouterr().err
    assert said == "sweeper: trial 'x=1 null=none': trials of kind 'bowl' leave no dictionary\n"
