"""`torch.save` files in the zip format: read as torch reads them, and never run."""

from __future__ import annotations

import io
import pickle
import random
import resource
import struct
import time
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from trials.api import TrialError
from trials.inputs.sources import open_source
from trials.inputs.sources.formats.byte_ranges import LocalBytes
from trials.inputs.sources.formats.pickle_file import ZippedTensors
from trials.inputs.sources.formats.zip_archive import ZipArchive
from trials.inputs.sources.loaded import float32_rows

BASE = torch.arange(600, dtype=torch.float32).reshape(30, 20) / 7 - 40


class Counted(LocalBytes):
    """Counts the bytes and the requests."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.n_read = self.n_requests = 0

    def read(self, start: int, stop: int) -> bytearray:
        self.n_read += stop - start
        self.n_requests += 1
        return super().read(start, stop)


def saved(path: Path, state: Any, **how: Any) -> Path:
    torch.save(state, path, **how)
    return path


Change = Callable[[str, bytes], tuple[str, bytes]]


def repacked(path: Path, change: Change, method: int = zipfile.ZIP_STORED) -> None:
    """Write the entries again, each changed."""
    with zipfile.ZipFile(path) as archive:
        entries = [(info.filename, archive.read(info)) for info in archive.infolist()]
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in entries:
            archive.writestr(*change(name, content))


def with_pickle(path: Path, content: bytes) -> Path:
    """A sound archive of one matrix whose pickle is another."""
    saved(path, {"wte.weight": BASE})
    repacked(path, lambda n, c: (n, content if n.endswith("data.pkl") else c))
    return path


def tensors(path: Path) -> ZippedTensors:
    return ZippedTensors(LocalBytes(path), path.name)


STATES: dict[str, Any] = {
    "plain": {"wte.weight": BASE},
    "transposed": {"wte.weight": BASE.T},
    "slice of rows": {"wte.weight": BASE[5:17]},
    "slice of columns": {"wte.weight": BASE[:, 3:9]},
    "steps": {"wte.weight": BASE[::3, 1::2]},
    "offset and transposed": {"wte.weight": BASE[2:9, 4:].T},
    "parameter": {"wte.weight": torch.nn.Parameter(BASE)},
    "ordered": OrderedDict([("wte.weight", BASE), ("b", torch.ones(3))]),
    "half": {"wte.weight": BASE.half()},
    "bfloat16": {"wte.weight": BASE.bfloat16()},
    "double": {"wte.weight": BASE.double()},
    "empty beside": {"wte.weight": BASE, "none": torch.empty(0, 4)},
    "other types beside": {
        "wte.weight": BASE,
        "mask": torch.ones(3, dtype=torch.bool),
        "steps": torch.ones(3, dtype=torch.uint16),
        "small": torch.ones(3).to(torch.float8_e4m3fn),
        "size": torch.Size([3]),
        "device": torch.device("cpu"),
        "dtype": torch.float16,
        "numbers": [1, 2.5, None, True, (3, "text"), {"deep": 2**70}, {1, 2}],
    },
}


@pytest.mark.parametrize("name", STATES)
@pytest.mark.parametrize("protocol", [2, 4])
def test_every_matrix_is_what_torch_reads(tmp_path: Path, name: str, protocol: int) -> None:
    path = saved(tmp_path / "w.pt", STATES[name], pickle_protocol=protocol)
    oracle = saved(tmp_path / "oracle.pt", STATES[name])  # torch's unpickler knows protocol 2 only
    expected = torch.load(oracle, weights_only=True)["wte.weight"].detach()
    found = tensors(path).read("wte.weight")
    if expected.dtype == torch.bfloat16:
        found = (found.astype(np.uint32) << 16).view(np.float32)
        expected = expected.float()
    assert found.dtype == expected.numpy().dtype
    assert np.array_equal(found, expected.numpy())
    assert found.flags.c_contiguous
    assert np.array_equal(open_source(f"file:{path}").rows, expected.float().numpy())


def test_a_module_with_metadata_and_tied_weights_is_read(tmp_path: Path) -> None:
    module = torch.nn.ModuleDict(
        {"wte": torch.nn.Embedding(30, 20), "lm_head": torch.nn.Linear(20, 30, bias=False)}
    )
    module["lm_head"].weight = module["wte"].weight
    path = saved(tmp_path / "w.bin", module.state_dict())
    assert tensors(path).own_names == ["wte.weight"]
    assert open_source(f"file:{path}").facts["tied"] == "yes"


def test_tensors_of_dictionaries_in_a_checkpoint_have_dotted_names(tmp_path: Path) -> None:
    state = {"step": 3, "model": {"wte.weight": BASE}, "optimizer": {"state": {0: torch.ones(2)}}}
    path = saved(tmp_path / "w.pt", state)
    assert set(tensors(path).tensors) == {"model.wte.weight", "optimizer.state.0"}
    assert np.array_equal(open_source(f"file:{path}").rows, BASE.numpy())


def test_a_bare_tensor_is_the_matrix(tmp_path: Path) -> None:
    path = saved(tmp_path / "w.pt", BASE)
    assert np.array_equal(open_source(f"file:{path}").rows, BASE.numpy())


def test_only_the_pickle_and_the_bytes_of_one_matrix_are_read(tmp_path: Path) -> None:
    state = {f"h.{i}.w": torch.zeros(200_000) for i in range(10)}
    matrix = torch.randn(3_000, 100)
    path = saved(tmp_path / "w.bin", {**state, "wte.weight": matrix, "long": torch.zeros(10**6)})
    file = Counted(path)
    found = ZippedTensors(file, "w.bin").read("wte.weight")
    assert np.array_equal(found, matrix.numpy())
    assert file.n_read < matrix.numel() * 4 + 120_000
    assert file.n_requests <= 6


def test_rows_of_a_large_storage_cost_their_own_bytes(tmp_path: Path) -> None:
    flat = torch.randn(2_000_000)
    path = saved(tmp_path / "w.bin", {"wte.weight": flat[1_000_000:1_400_000].view(4_000, 100)})
    file = Counted(path)
    found = ZippedTensors(file, "w.bin").read("wte.weight")
    assert np.array_equal(found.ravel(), flat[1_000_000:1_400_000].numpy())
    assert file.n_read < 1_600_000 + 120_000


def test_a_deflated_archive_is_read_by_the_entries_that_are_needed(tmp_path: Path) -> None:
    state = {"wte.weight": BASE, "rest": torch.randn(1_000_000)}
    path = saved(tmp_path / "w.pt", state)
    repacked(path, lambda n, c: (n, c), zipfile.ZIP_DEFLATED)
    file = Counted(path)
    assert np.array_equal(ZippedTensors(file, "w.pt").read("wte.weight"), BASE.numpy())
    assert file.n_read < 200_000


def test_a_zip64_archive_of_eight_gigabytes_costs_no_disk(tmp_path: Path) -> None:
    """A sparse file: the body of 8 GB is a hole, and the matrix of 256,000 rows lies behind it."""
    n_vocab, d_model = 256_000, 2
    matrix = np.arange(n_vocab * d_model, dtype=np.float32).reshape(n_vocab, d_model)
    path = tmp_path / "pytorch_model.bin"
    write_sparse(path, matrix, n_hole=8 << 30)
    assert path.stat().st_size > 8 << 30
    assert path.stat().st_blocks * 512 < 10 << 20
    file = Counted(path)
    found = ZippedTensors(file, path.name)
    assert found.shapes["h.0.weight"] == (1 << 31,)
    assert np.array_equal(found.read("wte.weight"), matrix)
    assert file.n_read < matrix.nbytes + 120_000


def write_sparse(path: Path, matrix: np.ndarray, n_hole: int) -> None:
    """An archive of a body of zeros and a matrix, whose offsets need zip64."""
    body = ("0", (n_hole // 4,), (1,))
    state = pickle_of({"h.0.weight": body, "wte.weight": ("1", matrix.shape, (2, 1))})
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", state)
        info = zipfile.ZipInfo("archive/data/0")
        archive.start_dir = archive.fp.tell() if archive.fp else 0
        # Written by hand: the library would write every byte of the hole.
        info.header_offset = archive.start_dir
        info.file_size = info.compress_size = n_hole
        info.CRC = 0
        assert archive.fp
        archive.fp.write(info.FileHeader(zip64=True))
        archive.fp.seek(n_hole, io.SEEK_CUR)
        archive.start_dir = archive.fp.tell()
        archive.filelist.append(info)
        archive.NameToInfo[info.filename] = info
        archive.writestr("archive/data/1", matrix.tobytes())


def pickle_of(places: dict[str, tuple[str, tuple[int, ...], tuple[int, ...]]]) -> bytes:
    """A state dict of float32 tensors at those storages, with those shapes and strides."""
    parts = [b"\x80\x02}("]
    for name, (key, shape, strides) in places.items():
        parts += [text(name), b"ctorch._utils\n_rebuild_tensor_v2\n((", text("storage")]
        parts += [b"ctorch\nFloatStorage\n", text(key), text("cpu"), b"K\x01tQK\x00"]
        parts += [numbers(shape), numbers(strides), b"\x89ccollections\nOrderedDict\n)RtR"]
    return b"".join([*parts, b"u."])


def text(content: str) -> bytes:
    return b"X" + struct.pack("<I", len(content)) + content.encode()


def numbers(values: tuple[int, ...]) -> bytes:
    coded = [b"\x8a\x09" + value.to_bytes(9, "little", signed=True) for value in values]
    return b"(" + b"".join(coded) + b"t"


# --- hostile files -------------------------------------------------------------------------------


@pytest.fixture
def bounded_memory() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_AS)
    in_use = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (in_use + (1 << 29), before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


class Call:
    """Calls something when it is unpickled."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.how = function, arguments

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.how


def refused(path: Path) -> str:
    """The one line that a file gets."""
    with pytest.raises(TrialError) as caught:
        open_source(f"file:{path}")
    said = str(caught.value)
    assert "\n" not in said
    assert len(said) < 1000
    return said


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("where", ["value", "key", "beside"])
def test_a_pickle_that_calls_a_function_is_refused_and_calls_nothing(
    tmp_path: Path, where: str, protocol: int
) -> None:
    call = Call(open, str(tmp_path / "pwned"), "w")
    state: dict[Any, Any] = {
        "value": {"wte.weight": call},
        "key": {call: BASE},
        "beside": {"wte.weight": BASE, "z": [call]},
    }[where]
    path = saved(tmp_path / "w.pt", state, pickle_protocol=protocol)
    assert "it refers to" in refused(path)
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("posix", "system"),
        ("builtins", "eval"),
        ("builtins", "getattr"),
        ("torch", "load"),
        ("torch.hub", "load"),
        ("torch._utils", "_rebuild_tensor_v2.__globals__"),
        ("collections", "OrderedDict.__class__"),
        ("torch.storage", "_load_from_bytes"),
        ("torch.jit", "load"),
        ("no.such.module", "x"),
    ],
)
def test_a_global_is_refused_by_name_and_never_looked_up(
    tmp_path: Path, module: str, name: str
) -> None:
    globals_ = f"c{module}\n{name}\n".encode()
    path = with_pickle(tmp_path / "w.pt", b"\x80\x02" + globals_ + b"(tR.")
    assert f"it refers to {module}.{name}" in refused(path)
    coded = b"\x80\x04" + text(module) + text(name) + b"\x93)R."
    assert f"it refers to {module}.{name}" in refused(with_pickle(path, coded))


@pytest.mark.parametrize(
    "content",
    [
        b"\x80\x02(i__main__\nBase\n.",  # INST
        b"\x80\x02(ctorch\nSize\no.",  # OBJ
        b"\x80\x02\x82\x01.",  # EXT1
        b"\x80\x04\x8c\x01a\x92.",  # NEWOBJ_EX
        b"\x80\x05\x97.",  # NEXT_BUFFER
        b"\x80\x05\x96" + struct.pack("<Q", 10**15) + b"x.",  # BYTEARRAY8
        b"\x80\x02P0\n.",  # PERSID
        b"\x80\x02r\xff\xff\xff\xff.",  # LONG_BINPUT with nothing to keep
        b"\x80\x02h\x07.",  # BINGET of what was never kept
        b"\x80\x02t.",  # TUPLE without a mark
        b"\x80\x02}(K\x01u.",  # a key without a value
        b"\x80\x02K\x01)R.",  # calls a number
        b"\x80\x02K\x01K\x02a.",  # appends to a number
        b"\x80\x02}" + text("a") + b"Q.",
        b"\x80\x02X\xff\xff\xff\xffabc",
        b"\x80\x02}",
        b"\x80\x02.",
        b"",
        b"\xff" * 100,
        b"\x80\x02\x8b\xff\xff\xff\x7f.",  # LONG4 of 2 GB
    ],
)
@pytest.mark.usefixtures("bounded_memory")
def test_instructions_that_no_state_dict_needs_are_one_line(tmp_path: Path, content: bytes) -> None:
    assert "w.pt" in refused(with_pickle(tmp_path / "w.pt", content))


@pytest.mark.usefixtures("bounded_memory")
def test_a_memo_of_large_numbers_costs_no_memory(tmp_path: Path) -> None:
    """Python's own unpickler allocates a list as long as the largest number."""
    keep = b"".join(b"}r" + struct.pack("<I", 0xFFFFFFFF - i) + b"0" for i in range(2))
    assert "instruction POP" in refused(with_pickle(tmp_path / "w.pt", b"\x80\x02" + keep + b"}."))
    sound = pickle_of({"wte.weight": ("0", (30, 20), (20, 1))})
    sound = sound.replace(b"}(", b"}r\xff\xff\xff\xff(", 1)
    path = with_pickle(tmp_path / "w.pt", sound)
    assert np.array_equal(open_source(f"file:{path}").rows, BASE.numpy())


@pytest.mark.usefixtures("bounded_memory")
def test_dictionaries_that_hold_one_another_are_walked_within_bounds(tmp_path: Path) -> None:
    # Each holds the one before it ten times: 10^8 paths in a kilobyte.
    laugh = b"\x80\x02}q\x00"
    for level in range(1, 9):
        laugh += b"}("
        laugh += b"".join(text(str(i)) + b"h" + bytes([level - 1]) for i in range(10))
        laugh += b"uq" + bytes([level])
    began = time.monotonic()
    assert "too many tensors" in refused(with_pickle(tmp_path / "w.pt", laugh + b"."))
    assert time.monotonic() - began < 60
    itself = b"\x80\x02}q\x00(" + text("me") + b"h\x00u."
    assert "w.pt" in refused(with_pickle(tmp_path / "w.pt", itself))


def test_a_key_that_takes_for_ever_to_hash_is_refused(tmp_path: Path) -> None:
    deep = b"\x80\x02}K\x01"
    for _ in range(100):
        deep += b"q\x00h\x00\x86"
    assert "a key is neither" in refused(with_pickle(tmp_path / "w.pt", deep + b"K\x01s."))


@pytest.mark.parametrize(
    ("place", "problem"),
    [
        (("0", (10**9, 10**9), (0, 0)), "overlap"),
        (("0", (30, 20), (0, 1)), "overlap"),
        (("0", (10**6, 10**6), (10**6, 1)), "of 2400)"),
        (("0", (30, 21), (21, 1)), "of 2400)"),
        (("0", (30, 20), (-20, 1)), "no sound shape"),
        (("0", (2**62, 2**62), (2**62, 2**62)), "of 2400)"),
        (("../../../etc/passwd", (30, 20), (20, 1)), "has no entry"),
        (("7", (30, 20), (20, 1)), "has no entry 'w/data/7'"),
    ],
)
@pytest.mark.usefixtures("bounded_memory")
def test_places_that_no_tensor_can_have_are_refused(
    tmp_path: Path, place: tuple[str, tuple[int, ...], tuple[int, ...]], problem: str
) -> None:
    path = with_pickle(tmp_path / "w.pt", pickle_of({"wte.weight": place}))
    assert problem in refused(path)


@pytest.mark.parametrize("name", ["../w/data/0", "/w/data/0", "w/../../data/0", "w\\data"])
def test_entries_that_lead_out_of_the_archive_are_refused(tmp_path: Path, name: str) -> None:
    path = saved(tmp_path / "w.pt", {"wte.weight": BASE})
    repacked(path, lambda n, c: (name if n == "w/data/0" else n, c))
    assert "leads out of the archive" in refused(path)
    assert not list(tmp_path.parent.rglob("data"))


def edited(path: Path, entry: str, **fields: int) -> None:
    """Change numbers of an entry in the directory at the end."""
    data = bytearray(path.read_bytes())
    at = data.rindex(entry.encode()) - 46
    assert data[at : at + 4] == b"PK\x01\x02"
    offsets = {"method": (10, "<H"), "flags": (8, "<H"), "n_packed": (20, "<I")}
    offsets |= {"n_bytes": (24, "<I"), "start": (42, "<I")}
    for field, value in fields.items():
        offset, form = offsets[field]
        struct.pack_into(form, data, at + offset, value)
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("entry", "fields", "problem"),
    [
        ("w/data/0", {"start": 0}, "overlaps what follows it"),
        ("w/data/0", {"n_packed": 4000, "n_bytes": 4000}, "overlaps what follows it"),
        ("w/data/0", {"n_bytes": 2**31}, "is not packed, but claims"),
        ("w/data/0", {"method": 12}, "packed by method 12"),
        ("w/data/0", {"flags": 1}, "is encrypted"),
        ("w/data.pkl", {"method": 8, "n_bytes": 2**31}, "claims to unpack"),
        ("w/data.pkl", {"method": 8}, "cannot be unpacked"),
    ],
)
@pytest.mark.usefixtures("bounded_memory")
def test_a_directory_that_lies_is_refused(
    tmp_path: Path, entry: str, fields: dict[str, int], problem: str
) -> None:
    path = saved(tmp_path / "w.pt", {"wte.weight": BASE})
    edited(path, entry, **fields)
    assert problem in refused(path)


@pytest.mark.usefixtures("bounded_memory")
def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "w.pt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("w/data.pkl", pickle_of({"wte.weight": ("0", (2**15, 2**14), (2**14, 1))}))
        with archive.open("w/data/0", "w", force_zip64=True) as entry:
            for _ in range(200):
                entry.write(bytes(1 << 20))
    assert path.stat().st_size < 300_000
    assert "claims to unpack from" in refused(path)


@pytest.mark.usefixtures("bounded_memory")
def test_what_unpacks_to_more_or_less_than_it_claims_is_cut_or_refused(tmp_path: Path) -> None:
    state = pickle_of({"wte.weight": ("0", (30, 20), (20, 1))})
    for content in (BASE.numpy().tobytes() + bytes(10**7), BASE.numpy().tobytes()[:-4]):
        path = tmp_path / "w.pt"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("w/data.pkl", state)
            archive.writestr("w/data/0", content)
        edited(path, "w/data/0", n_bytes=2400)
        if len(content) > 2400:
            assert np.array_equal(open_source(f"file:{path}").rows, BASE.numpy())
        else:
            assert "unpacks to 2396 bytes" in refused(path)


def test_an_entry_named_twice_and_two_pickles_are_refused(tmp_path: Path) -> None:
    path = saved(tmp_path / "w.pt", {"wte.weight": BASE})
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(path, "a") as archive:
        archive.writestr("w/data/0", b"x")
    assert "names an entry twice" in refused(path)
    saved(path, {"wte.weight": BASE})
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("x/data.pkl", b"x")
    assert "2 entries data.pkl" in refused(path)


def test_numbers_of_another_byte_order_are_refused(tmp_path: Path) -> None:
    path = saved(tmp_path / "w.pt", {"wte.weight": BASE})
    repacked(path, lambda n, c: (n, b"big" if n == "w/byteorder" else c))
    assert "not little-endian" in refused(path)


@pytest.mark.usefixtures("bounded_memory")
def test_an_archive_cut_or_damaged_anywhere_is_read_or_refused(tmp_path: Path) -> None:
    path = saved(tmp_path / "w.pt", {"wte.weight": BASE})
    whole = path.read_bytes()
    draw = random.Random(0)
    for _ in range(300):
        damaged = bytearray(whole)
        if draw.random() < 0.3:
            damaged = damaged[: draw.randrange(len(whole))]
        else:
            for _ in range(draw.choice((1, 1, 8))):
                damaged[draw.randrange(len(whole))] = draw.randrange(256)
        path.write_bytes(damaged)
        with suppress(TrialError):
            open_source(f"file:{path}")


@pytest.mark.parametrize("make", ["legacy", "call", "damaged", "empty"])
def test_the_old_format_is_read_whole_and_runs_nothing(tmp_path: Path, make: str) -> None:
    path = tmp_path / "w.pt"
    state = {"wte.weight": BASE.bfloat16()}
    if make == "call":
        state = {"wte.weight": Call(open, str(tmp_path / "pwned"), "w")}  # type: ignore[dict-item]
    saved(path, state, _use_new_zipfile_serialization=False)
    if make == "legacy":
        assert np.array_equal(open_source(f"file:{path}").rows, BASE.bfloat16().float().numpy())
        return
    path.write_bytes({"call": path.read_bytes(), "damaged": b"\x80\x02xyz", "empty": b""}[make])
    assert "not a plain file of tensors" in refused(path)
    assert not (tmp_path / "pwned").exists()


def test_an_archive_of_something_else_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "w.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")
    assert "0 entries data.pkl" in refused(path)
    path.write_bytes(b"PK\x03\x04" + bytes(100))
    assert "not a sound zip archive" in refused(path)


def test_slices_of_an_entry_are_those_of_its_content(tmp_path: Path) -> None:
    content = random.Random(1).randbytes(3 << 20)
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        with zipfile.ZipFile(tmp_path / "a.zip", "w", method) as packed:
            packed.writestr("x", content)
        archive = ZipArchive(LocalBytes(tmp_path / "a.zip"), "a.zip")
        for start, stop in ((0, 0), (0, 10), (5, 2 << 20), (2 << 20, 3 << 20), (7, 7)):
            assert bytes(archive.read("x", start, stop)) == content[start:stop]
    assert zlib.crc32(archive.read("x")) == zlib.crc32(content)


def test_python_pickles_of_other_programs_are_refused(tmp_path: Path) -> None:
    path = with_pickle(tmp_path / "w.pt", pickle.dumps({"wte.weight": BASE.numpy()}, protocol=2))
    assert "it refers to numpy" in refused(path)


def test_a_float32_matrix_is_used_where_it_was_read(tmp_path: Path) -> None:
    """A copy would double the memory of a large vocabulary."""
    path = saved(tmp_path / "w.pt", {"wte.weight": torch.zeros(1000, 600)})
    found = tensors(path).read("wte.weight")
    assert float32_rows(found) is found
