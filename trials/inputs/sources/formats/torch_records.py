"""Records in place of the objects that a pickle of torch would make.

Only the globals named here may stand in one. None is ever looked up.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

_STORAGES = {
    "FloatStorage": "float32",
    "DoubleStorage": "float64",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "ByteStorage": "uint8",
    "CharStorage": "int8",
    "ShortStorage": "int16",
    "IntStorage": "int32",
    "LongStorage": "int64",
    "BoolStorage": "bool",
    "ComplexFloatStorage": "complex64",
    "ComplexDoubleStorage": "complex128",
    "QInt8Storage": "qint8",
    "QUInt8Storage": "quint8",
    "QInt32Storage": "qint32",
}
_DTYPES = {
    *_STORAGES.values(),
    *("uint16", "uint32", "uint64", "complex32", "float8_e4m3fn", "float8_e5m2"),
    *("float8_e4m3fnuz", "float8_e5m2fnuz", "float8_e8m0fnu"),
}
_UNTYPED = "torch.storage UntypedStorage"
_TENSORS = ("_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_tensor_v3")
_DICTIONARY = "collections OrderedDict"
# Their values are not needed, and are replaced by a record.
_PLAIN = (
    *("torch Size", "torch device", "torch Tensor", "torch.nn.parameter Parameter"),
    *("torch.serialization _get_layout", "_codecs encode", "collections Counter"),
    *("builtins set", "__builtin__ set", "builtins bytearray", "__builtin__ bytearray"),
    *(f"torch._utils {name}" for name in ("_rebuild_qtensor", "_rebuild_sparse_tensor")),
    *("torch per_tensor_affine", "torch per_channel_affine", "torch strided"),
)
_KNOWN = {
    _UNTYPED,
    _DICTIONARY,
    *_PLAIN,
    *(f"torch {name}" for name in (*_STORAGES, *_DTYPES)),
    *(f"torch._utils {name}" for name in _TENSORS),
    *(f"torch._utils {name}" for name in ("_rebuild_parameter", "_rebuild_parameter_with_state")),
    "torch._tensor _rebuild_from_type_v2",
}


class StoredTensor(NamedTuple):
    """Where a tensor lies.

    Attributes:
        dtype: as torch names it.
        storage: the key of its storage, a file of the archive.
        offset: of its first element in the storage, in elements.
        shape, strides: in elements.
    """

    dtype: str
    storage: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class Global(NamedTuple):
    """A name that a pickle gives; never looked up."""

    name: str


class Storage(NamedTuple):
    """A storage by its key; an untyped one has the dtype ""."""

    dtype: str
    key: str


class Other(NamedTuple):
    """A value that is not needed."""


def checked_global(name: str) -> Global:
    """The record of a global. ValueError: it is none that a state dict needs."""
    if name not in _KNOWN:
        raise ValueError(f"it refers to {'.'.join(name.split(' '))}, and nothing in it is run")
    return Global(name)


def storage_record(kind: Any, type_: Any, key: Any, *_: Any) -> Storage:
    """The record of a storage, which a pickle names by kind, type and key."""
    if kind != "storage" or not isinstance(type_, Global) or not isinstance(key, str):
        raise ValueError("a storage has no type and key")
    untyped = type_.name == _UNTYPED
    return Storage("" if untyped else _STORAGES[type_.name.removeprefix("torch ")], key)


def fill(target: dict[Any, Any], pairs: Iterable[tuple[Any, Any]]) -> None:
    """Set items. ValueError: a key that is neither a text nor a whole number."""
    for key, value in pairs:
        # Hashing a tuple of tuples may take for ever.
        if not isinstance(key, str | int):
            raise ValueError("a key is neither a text nor a whole number")
        target[key] = value


def called(function: Any, arguments: Any) -> Any:
    """What torch would return, as a record. ValueError: it would not call that."""
    if not isinstance(function, Global) or not isinstance(arguments, tuple):
        raise ValueError("its pickle calls what is no function, or without arguments")
    name = function.name
    if name == _DICTIONARY:
        made: dict[Any, Any] = {}
        if arguments:
            fill(made, arguments[0])
        return made
    short = name.removeprefix("torch._utils ")
    if short in _TENSORS:
        return _tensor(short, *arguments)
    if short.startswith("_rebuild_parameter"):
        return arguments[0]
    if name == "torch._tensor _rebuild_from_type_v2":
        return called(arguments[0], arguments[2])
    if name in _PLAIN:
        return Other()
    raise ValueError(f"its pickle calls {name}")


def _tensor(function: str, storage: Any, offset: Any, shape: Any, strides: Any, *more: Any) -> Any:
    if not isinstance(storage, Storage):
        raise ValueError("a tensor has no storage")
    numbers = (offset, *shape, *strides)
    if len(shape) != len(strides) or not all(type(n) is int and 0 <= n < 2**63 for n in numbers):
        raise ValueError("a tensor has no sound shape, strides and offset")
    dtype = storage.dtype
    if function == "_rebuild_tensor_v3":
        dtype = more[2].name.removeprefix("torch ")
    return StoredTensor(dtype, storage.key, offset, tuple(shape), tuple(strides))
