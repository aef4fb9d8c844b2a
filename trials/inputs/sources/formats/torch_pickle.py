"""The names and places of tensors in a pickle that `torch.save` wrote; nothing in it is run.

A pickle is a program for a stack machine. This one follows the few instructions that state dicts
need, with records in place of objects: it looks up no global, calls nothing and imports nothing.
Globals other than torch's own containers and rebuilding functions are refused by name, as
`torch.load(weights_only=True)` does.
"""

from __future__ import annotations

import pickletools
from collections.abc import Iterator
from typing import Any, NamedTuple

from trials.api import TrialError
from trials.inputs.messages import one_line

_MAX_BYTES = 25_000_000
_MAX_STEPS = 10_000_000  # 60 per tensor; seconds of work
_MAX_DEPTH = 8
_MAX_NAMES = 1_000_000

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


class _Global(NamedTuple):
    name: str


class _Storage(NamedTuple):
    dtype: str
    key: str


class _Other(NamedTuple):
    """A value that is not needed."""


class _Mark(NamedTuple):
    pass


_MARK = _Mark()


def stored_tensors(pickle: bytes | bytearray, label: str) -> dict[str, StoredTensor]:
    """Tensors by name; those of dictionaries in dictionaries are named `outer.inner`.

    Raises:
        TrialError: the pickle holds more than tensors, or is damaged.
    """
    try:
        found = _Machine().run(bytes(pickle))
        tensors = dict(_named(found, "", 0)) if not isinstance(found, StoredTensor) else {}
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        problem = one_line(str(error)) or type(error).__name__
        raise refused(label, problem) from error
    if isinstance(found, StoredTensor):
        return {"tensor": found}
    if not isinstance(found, dict):
        raise TrialError(f"{label} holds no tensors by name")
    if len(tensors) > _MAX_NAMES:
        raise refused(label, "it names too many tensors")
    return tensors


def refused(label: str, problem: str) -> TrialError:
    """The error for a pickle that is not read."""
    return TrialError(f"{label} is refused: not a plain file of tensors ({problem})")


def _named(found: Any, prefix: str, depth: int) -> Iterator[tuple[str, StoredTensor]]:
    """Dictionaries may hold one another many times: the walk is bounded."""
    n_seen = 0
    stack = [(found, prefix, depth)]
    while stack:
        value, name, depth = stack.pop()
        n_seen += 1
        if n_seen > _MAX_NAMES:
            raise ValueError("it names too many tensors")
        if isinstance(value, StoredTensor):
            yield name, value
        elif isinstance(value, dict) and depth < _MAX_DEPTH:
            start = f"{name}." if name else ""
            stack += [(v, f"{start}{k}", depth + 1) for k, v in reversed(value.items())]
        if len(stack) > _MAX_NAMES:
            raise ValueError("it names too many tensors")


class _Machine:
    """The stack and the memo, in which values are kept by number."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def run(self, pickle: bytes) -> Any:
        if len(pickle) > _MAX_BYTES:
            raise ValueError(f"its pickle has {len(pickle)} bytes")
        for step, (opcode, argument, _) in enumerate(pickletools.genops(pickle)):
            if step >= _MAX_STEPS:
                raise ValueError("its pickle is too long")
            if opcode.name == "STOP":
                return self.stack.pop()
            self.follow(opcode.name, argument)
        raise ValueError("its pickle has no end")

    def follow(self, name: str, argument: Any) -> None:
        if name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name]())
        elif name in _VALUES:
            self.stack.append(argument)
        elif name in _MACHINE:
            _MACHINE[name](self, argument)
        elif name not in _IGNORED:
            raise ValueError(f"its pickle has the instruction {name}")

    def keep(self, number: int | None) -> None:
        # A dictionary and not a list: the largest number says nothing about the memory.
        self.memo[len(self.memo) if number is None else number] = self.stack[-1]

    def recall(self, number: int) -> None:
        self.stack.append(self.memo[number])

    def pop(self, n: int) -> tuple[Any, ...]:
        if len(self.stack) < n:
            raise ValueError("its pickle takes more than it has put")
        values = tuple(self.stack[len(self.stack) - n :])
        del self.stack[len(self.stack) - n :]
        return values

    def since_mark(self) -> tuple[Any, ...]:
        n = next((n for n, v in enumerate(reversed(self.stack)) if v is _MARK), None)
        if n is None:
            raise ValueError("its pickle has lost a mark")
        values = self.pop(n)
        self.stack.pop()
        return values

    def collect(self, values: tuple[Any, ...]) -> None:
        self.stack.append(values)

    def extend(self, values: tuple[Any, ...]) -> None:
        target = self.stack[-1]
        if isinstance(target, list):
            target.extend(values)
        elif not isinstance(target, _Other):
            raise ValueError("its pickle appends to what is no list")

    def assign(self, values: tuple[Any, ...]) -> None:
        target = self.stack[-1]
        pairs = zip(values[::2], values[1::2], strict=True)
        if isinstance(target, dict):
            _fill(target, pairs)
        elif not isinstance(target, _Other):
            raise ValueError("its pickle sets items of what is no dictionary")

    def look_up(self, name: str) -> None:
        if name not in _KNOWN:
            raise ValueError(f"it refers to {'.'.join(name.split(' '))}, and nothing in it is run")
        self.stack.append(_Global(name))

    def look_up_on_stack(self) -> None:
        module, name = self.pop(2)
        self.look_up(f"{module} {name}")

    def call(self) -> None:
        function, arguments = self.pop(2)
        if not isinstance(arguments, tuple):
            raise ValueError("its pickle calls without arguments")
        self.stack.append(_called(function, arguments))

    def storage(self) -> None:
        (kind, type_, key, *_) = self.stack.pop()
        if kind != "storage" or not isinstance(type_, _Global) or not isinstance(key, str):
            raise ValueError("a storage has no type and key")
        if type_.name == _UNTYPED:
            self.stack.append(_Storage("", key))
        else:
            self.stack.append(_Storage(_STORAGES[type_.name.removeprefix("torch ")], key))


def _fill(target: dict[Any, Any], pairs: Any) -> None:
    for key, value in pairs:
        # Hashing a tuple of tuples may take for ever.
        if not isinstance(key, str | int):
            raise ValueError("a key is neither a text nor a whole number")
        target[key] = value


def _called(function: Any, arguments: tuple[Any, ...]) -> Any:
    if not isinstance(function, _Global):
        raise ValueError("its pickle calls what is no function")
    name = function.name
    if name == _DICTIONARY:
        made: dict[Any, Any] = {}
        if arguments:
            _fill(made, arguments[0])
        return made
    short = name.removeprefix("torch._utils ")
    if short in _TENSORS:
        return _tensor(short, *arguments)
    if short.startswith("_rebuild_parameter"):
        return arguments[0]
    if name == "torch._tensor _rebuild_from_type_v2":
        return _called(arguments[0], arguments[2])
    if name in _PLAIN:
        return _Other()
    raise ValueError(f"its pickle calls {name}")


def _tensor(function: str, storage: Any, offset: Any, shape: Any, strides: Any, *more: Any) -> Any:
    if not isinstance(storage, _Storage):
        raise ValueError("a tensor has no storage")
    numbers = (offset, *shape, *strides)
    if len(shape) != len(strides) or not all(type(n) is int and 0 <= n < 2**63 for n in numbers):
        raise ValueError("a tensor has no sound shape, strides and offset")
    dtype = storage.dtype
    if function == "_rebuild_tensor_v3":
        dtype = more[2].name.removeprefix("torch ")
    return StoredTensor(dtype, storage.key, offset, tuple(shape), tuple(strides))


_CONSTANTS: dict[str, Any] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_DICT": dict,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
    "EMPTY_SET": _Other,
    "MARK": lambda: _MARK,
}
_VALUES = {
    *("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"),
    *("BINUNICODE", "SHORT_BINUNICODE", "BINBYTES", "SHORT_BINBYTES", "SHORT_BINSTRING"),
    "BINSTRING",
}
_IGNORED = {"PROTO", "FRAME"}
_MACHINE: dict[str, Any] = {
    "BINPUT": _Machine.keep,
    "LONG_BINPUT": _Machine.keep,
    "MEMOIZE": _Machine.keep,
    "BINGET": _Machine.recall,
    "LONG_BINGET": _Machine.recall,
    "TUPLE": lambda machine, _: machine.collect(machine.since_mark()),
    "TUPLE1": lambda machine, _: machine.collect(machine.pop(1)),
    "TUPLE2": lambda machine, _: machine.collect(machine.pop(2)),
    "TUPLE3": lambda machine, _: machine.collect(machine.pop(3)),
    "APPEND": lambda machine, _: machine.extend(machine.pop(1)),
    "APPENDS": lambda machine, _: machine.extend(machine.since_mark()),
    "SETITEM": lambda machine, _: machine.assign(machine.pop(2)),
    "SETITEMS": lambda machine, _: machine.assign(machine.since_mark()),
    "ADDITEMS": lambda machine, _: machine.since_mark(),
    "GLOBAL": _Machine.look_up,
    "STACK_GLOBAL": lambda machine, _: machine.look_up_on_stack(),
    "REDUCE": lambda machine, _: machine.call(),
    "NEWOBJ": lambda machine, _: machine.call(),
    "BUILD": lambda machine, _: machine.pop(1),
    "BINPERSID": lambda machine, _: machine.storage(),
}
