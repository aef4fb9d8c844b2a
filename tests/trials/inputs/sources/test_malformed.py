"""Malformed files: each is a valid source or one line, with no other exception, hang or advice."""

from __future__ import annotations

import io
import json
import os
import resource
import struct
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from gguf import GGUFWriter
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sweeper.cli import main
from tests.trials.inputs.sources.conftest import safetensors_bytes
from trials.api import TrialError
from trials.inputs.sources import load_tokenizer, open_source, source_digest

ROWS = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
HUGE = 10**15


def npy_bytes(array: np.ndarray, **how: bool) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, **how)
    return buffer.getvalue()


def npy_header(text: str) -> bytes:
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


def gguf_bytes(folder: Path) -> bytes:
    path = folder / "made.gguf"
    writer = GGUFWriter(path, "llama")
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(["a", "b", "c", "ab"])
    writer.add_token_types([1, 1, 3, 1])
    writer.add_token_merges(["a b"])
    writer.add_tensor("token_embd.weight", ROWS)
    writer.add_tensor("output.weight", ROWS)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path.read_bytes()[:-16]  # without what pads the last tensor


def text(content: str) -> bytes:
    return struct.pack("<Q", len(content)) + content.encode()


def gguf_header(
    entries: list[bytes],
    tensors: Sequence[bytes] = (),
    version: int = 3,
) -> bytes:
    counts = struct.pack("<IQQ", version, len(tensors), len(entries))
    return b"GGUF" + counts + b"".join(entries) + b"".join(tensors)


def gguf_tensor(*axes: int, name: str = "token_embd.weight", code: int = 0, at: int = 0) -> bytes:
    where = struct.pack(f"<I{len(axes)}QIQ", len(axes), *axes, code, at)
    return text(name) + where


def outcome(uri: str) -> str:
    """What both doors say: "" for a valid source, else one line."""
    said = ""
    for door in (source_digest, open_source):
        try:
            door(uri)
        except TrialError as error:
            said = str(error)
            assert "\n" not in said
            assert len(said) < 1000
            assert "allow_pickle" not in said
            assert " object " not in said.replace("JSON object", "")  # as Python's own errors say
    return said


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    tensors = {"wte.weight": ("F32", ROWS), "b": ("F16", ROWS)}
    return {
        "npy": npy_bytes(ROWS),
        "safetensors": safetensors_bytes(tensors),
        "gguf": gguf_bytes(tmp_path_factory.mktemp("gguf")),
    }


@pytest.fixture
def bounded_memory() -> Iterator[None]:
    """What asks for more memory than a small file needs fails here, not on the user's machine."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    in_use = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (in_use + (1 << 29), before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


def uri_of(path: Path) -> str:
    return f"{'gguf' if path.suffix == '.gguf' else 'file'}:{path}"


@pytest.mark.parametrize("suffix", ["npy", "safetensors", "gguf"])
def test_a_file_cut_anywhere_is_one_line(
    tmp_path: Path, whole: dict[str, bytes], suffix: str
) -> None:
    path = tmp_path / f"m.{suffix}"
    path.write_bytes(whole[suffix])
    assert outcome(uri_of(path)) == ""
    for n_kept in range(len(whole[suffix])):
        path.write_bytes(whole[suffix][:n_kept])
        assert outcome(uri_of(path)), f"the first {n_kept} bytes pass for a whole file"


CHANGES = st.lists(
    st.tuples(
        st.floats(0, 1, exclude_max=True),
        st.integers(0, 8),
        st.one_of(
            st.binary(max_size=8),
            st.sampled_from([b"\xff" * 8, bytes(8), HUGE.to_bytes(8, "little"), b"-", b"9" * 20]),
        ),
    ),
    min_size=1,
    max_size=3,
)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(suffix=st.sampled_from(["npy", "safetensors", "gguf"]), changes=CHANGES)
def test_a_file_with_other_bytes_is_valid_or_one_line(
    tmp_path: Path,
    whole: dict[str, bytes],
    bounded_memory: None,
    suffix: str,
    changes: list[tuple[float, int, bytes]],
) -> None:
    content = bytearray(whole[suffix])
    for place, n_bytes, new in changes:
        start = int(place * len(content))
        content[start : start + n_bytes] = new
    path = tmp_path / f"m.{suffix}"
    path.write_bytes(content)
    outcome(uri_of(path))


DICT = "{'descr': '<f4', 'fortran_order': False, 'shape': %s, }\n"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"hello\n", "not a readable .npy file"),
        (npy_header(DICT % f"({HUGE}, {HUGE})"), "bytes by its header, but has"),
        (npy_header(DICT % "(10, -1)"), "not a readable .npy file"),
        (npy_header("(" * 5000), "not a readable .npy file"),
        (npy_header("'" + "x" * 20_000 + "'"), "not a readable .npy file"),
        (npy_header(DICT % "(2, 2)") + bytes(16) + b"x", "bytes by its header, but has"),
        (npy_bytes(np.zeros(3)), "holds float64 (3,)"),
        (npy_bytes(np.zeros((2, 2, 2))), "holds float64 (2, 2, 2)"),
        (npy_bytes(np.zeros((3, 0))), "holds float64 (3, 0)"),
        (npy_bytes(np.zeros((2, 2), "c8")), "holds complex64"),
        (npy_bytes(np.array([{}]), allow_pickle=True), "Python objects, which are never loaded"),
        (b"PK\x03\x04" + bytes(100), "not a readable .npy file"),
    ],
)
def test_a_numpy_file_that_is_no_matrix_is_one_line(
    tmp_path: Path, bounded_memory: None, content: bytes, problem: str
) -> None:
    (tmp_path / "m.npy").write_bytes(content)
    assert problem in outcome(f"file:{tmp_path}/m.npy")


@pytest.mark.parametrize("array", [np.asfortranarray(ROWS), ROWS.astype(">f4"), ROWS.T])
def test_any_order_of_bytes_and_axes_is_read(tmp_path: Path, array: np.ndarray) -> None:
    np.save(tmp_path / "m.npy", array)
    assert np.array_equal(open_source(f"file:{tmp_path}/m.npy").rows, array)


ALIGNMENT = text("general.alignment") + struct.pack("<II", 4, 3)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"GGUF" + struct.pack("<IQQH", 3, 0, 1, 1), "asks for 8 bytes at byte 24"),
        (gguf_header([], version=1), "its version is 1"),
        (b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "big-endian"),
        (gguf_header([text("a") + struct.pack("<IIQ", 9, 0, HUGE)]), f"asks for {HUGE} bytes"),
        (gguf_header([text("a") + struct.pack("<IIQ", 9, 8, HUGE)]), "asks for 8 bytes"),
        (
            gguf_header([text("a") + struct.pack("<I", 9) + struct.pack("<IQ", 9, 1) * 50]),
            "unknown",
        ),
        (gguf_header([text("a") + struct.pack("<I", 99)]), "unknown type 99"),
        (gguf_header([ALIGNMENT]), "alignment is 3"),
        (gguf_header([text("a") + struct.pack("<IB", 0, 1)] * 2), "names 'a' twice"),
        (gguf_header([], [gguf_tensor(HUGE, HUGE)]), "ends at byte"),
        (gguf_header([], [gguf_tensor(3, HUGE, code=7777)]), "type 7777 cannot be read"),
        (gguf_header([], [gguf_tensor(3, 4, code=2)]), "no multiple of 32"),
        (gguf_header([], [gguf_tensor()]) + bytes(99), "has shape ()"),
        (gguf_header([], [gguf_tensor(1, 1, 1, 1, 1)]), "5 axes"),
        (
            gguf_header([], [gguf_tensor(2, 2), gguf_tensor(2, 2, name="b")]) + bytes(99),
            "'token_embd.weight' and 'b' overlap",
        ),
    ],
)
def test_a_gguf_header_is_not_believed(
    tmp_path: Path, bounded_memory: None, content: bytes, problem: str
) -> None:
    (tmp_path / "m.gguf").write_bytes(content)
    assert problem in outcome(f"gguf:{tmp_path}/m.gguf")


@pytest.mark.parametrize(
    ("header", "problem"),
    [
        (None, "no JSON object"),
        ([1], "no JSON object"),
        ({"wte.weight": None}, "no dtype, shape and two data_offsets"),
        ({"wte.weight": {"dtype": [], "shape": [1], "data_offsets": [0, 4]}}, "dtype"),
        ({"wte.weight": {"dtype": "F8", "shape": [HUGE, 2], "data_offsets": [0, 8]}}, "F8 is not"),
        ({"wte.weight": {"dtype": "F32", "shape": [], "data_offsets": [0, 4]}}, "has shape ()"),
    ],
)
def test_a_safetensors_header_is_not_believed(
    tmp_path: Path, bounded_memory: None, header: object, problem: str
) -> None:
    encoded = json.dumps(header).encode()
    spare = bytes(8 if "F8" in str(header) else 4 if isinstance(header, dict) else 0)
    content = len(encoded).to_bytes(8, "little") + encoded + spare
    (tmp_path / "m.safetensors").write_bytes(content)
    assert problem in outcome(f"file:{tmp_path}/m.safetensors")


@pytest.mark.parametrize(
    ("name", "values", "problem"),
    [
        ("token_type", [1, 2], "must be 4 whole numbers, one per token"),
        ("scores", [0.5], "must be 4 numbers, one per token"),
        ("merges", ["ab"], "must be pairs of pieces"),
        ("tokens", [1, 2, 3, 4], "must be a list of texts"),
    ],
)
def test_a_vocabulary_that_does_not_fit_is_one_line(
    tmp_path: Path, name: str, values: list[object], problem: str
) -> None:
    fields: dict[str, list[object]] = {"tokens": ["a", "b", "c", "ab"], name: values}
    writer = GGUFWriter(tmp_path / "m.gguf", "llama")
    for field, given_values in fields.items():
        writer.add_array(f"tokenizer.ggml.{field}", given_values)
    writer.add_tensor("token_embd.weight", ROWS)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    assert problem in outcome(f"gguf:{tmp_path}/m.gguf")


@pytest.mark.parametrize(
    ("uri", "problem"),
    [
        ("file:folder.npy", "is a folder"),
        ("gguf:folder.npy", "is a folder"),
        ("file:pipe.npy", "is a pipe"),
        ("gguf:pipe.npy", "is a pipe"),
        ("gguf:/dev/null", "is a pipe or a device"),
        ("file:empty.npy", "not a readable .npy file"),
        ("gguf:empty.npy", "not a whole GGUF file"),
        (f"file:{'n' * 5000}.npy", "cannot be opened (File name too long)"),
        ("file:null\0byte.npy", "cannot be opened"),
        ("file:half\ud800.npy", "cannot be opened"),
        ("file:~nobody-of-this-name/m.npy", "no home folder is known"),
        ("file:m.npy/m.npy", "no such file"),
        ("file:loop.npy", "cannot be opened"),
        ("file:rows1.npy", "no such file; did you mean 'rows.npy'?"),
        ("file://", "ends in .safetensors, .bin, .pt"),
        ("hub:gpt2@a b", "is no name of a branch, tag or commit"),
        ("hub:gpt2@../../x", "is no name of a branch, tag or commit"),
        ("hub:gpt2.git", "named as in hub:gpt2"),
        (f"hub:{'n' * 97}", "named as in hub:gpt2"),
        ("hub:gpté", "named as in hub:gpt2"),
        ("\x1b[31mred", "\\x1b[31mred"),
    ],
)
def test_what_is_no_file_that_can_be_read_is_one_line(
    tmp_path: Path, uri: str, problem: str
) -> None:
    (tmp_path / "folder.npy").mkdir()
    os.mkfifo(tmp_path / "pipe.npy")
    (tmp_path / "empty.npy").touch()
    np.save(tmp_path / "rows.npy", ROWS)
    (tmp_path / "loop.npy").symlink_to("loop.npy")
    assert problem in outcome(uri)


@pytest.mark.parametrize(
    "name",
    [
        "with space.npy",
        "two  spaces.npy",
        "100%41.npy",
        "a?b&c.npy",
        "#1.npy",
        "a#b#.npy",
        "é日.npy",
    ],
)
def test_any_path_that_people_have_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    folder = tmp_path / "sub#1 dir"
    folder.mkdir()
    np.save(folder / name, ROWS)
    (tmp_path / "link").symlink_to(folder)
    monkeypatch.setenv("HOME", str(tmp_path))
    paths = (folder / name, f"sub#1 dir/{name}", f"link/{name}", f"~/link/../link/{name}")
    assert len({open_source(f"file:{path}").digest for path in paths}) == 1
    (folder / name).unlink()
    assert f"{name}: no such file" in outcome(f"file:{folder / name}")


@pytest.mark.parametrize(
    "content",
    [
        b"\xff\xfe",
        b"[" * 100_000,
        b"null",
        b'{"model": {"vocab": {"a": 1e999}}}',
        b'{"model": {"vocab": {"a": 0}, "merges": [1]}}',
        b'{"model": {"vocab": {"a": 0}, "merges": [[[], 1]]}, "added_tokens": 3}',
        b'{"model": {"vocab": {"a": 0}}, "added_tokens": [null]}',
    ],
)
def test_a_malformed_tokenizer_beside_the_matrix_is_one_line(
    tmp_path: Path, content: bytes
) -> None:
    np.save(tmp_path / "m.npy", ROWS)
    (tmp_path / "tokenizer.json").write_bytes(content)
    assert "tokenizer.json" in outcome(f"file:{tmp_path}/m.npy")
    with pytest.raises(TrialError) as caught:
        load_tokenizer(f"file:{tmp_path}/m.npy")
    assert "tokenizer.json" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["m.tokens.json", "tokens.txt"])
def test_texts_that_are_not_utf_8_are_one_line(tmp_path: Path, name: str) -> None:
    np.save(tmp_path / "m.npy", ROWS)
    (tmp_path / name).write_bytes(b"\xff\xfe\n" * 4)
    assert f"{name} is not UTF-8" in outcome(f"file:{tmp_path}/m.npy")


@pytest.mark.parametrize("command", ["plan", "run"])
@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("m.gguf", b"GGUF" + struct.pack("<IQQH", 3, 0, 1, 1), "is not a whole GGUF file"),
        ("m.safetensors", (4).to_bytes(8, "little") + b"null", "it is no JSON object"),
        ("m.npy", b"hello\n", "write one with np.save"),
    ],
)
def test_a_malformed_source_ends_a_sweep_before_any_trial(
    tmp_path: Path,
    write_sweep: Callable[..., Path],
    capfd: pytest.CaptureFixture[str],
    command: str,
    name: str,
    content: bytes,
    problem: str,
) -> None:
    (tmp_path / name).write_bytes(content)
    uri = uri_of(Path(name))
    write_sweep(
        f"kind: pursuit\nfixed: {{source: '{uri}', n_atoms: 1x}}\nspace: {{l1_penalty: [0.3]}}\n"
    )
    words = [command, "bowls.yaml", "--store", "results"]
    with pytest.raises(SystemExit) as ended:
        main([*words, "--in-process"] if command == "run" else words)
    said = capfd.readouterr()
    assert ended.value.code == 2
    assert said.err.startswith(f"sweeper: bowls.yaml: {uri}: ")
    assert problem in said.err
    assert said.err.count("\n") == 1
    assert not (tmp_path / "results").exists()
