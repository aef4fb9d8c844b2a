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
from trials.inputs.sources.formats.torch_records import (
    Other,
    StoredTensor,
    called,
    checked_global,
    fill,
    storage_record,
)

_MAX_BYTES = 25_000_000
_MAX_STEPS = 10_000_000  # 60 per tensor; seconds of work
_MAX_DEPTH = 8
_MAX_NAMES = 1_000_000


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
        elif not isinstance(target, Other):
            raise ValueError("its pickle appends to what is no list")

    def assign(self, values: tuple[Any, ...]) -> None:
        target = self.stack[-1]
        pairs = zip(values[::2], values[1::2], strict=True)
        if isinstance(target, dict):
            fill(target, pairs)
        elif not isinstance(target, Other):
            raise ValueError("its pickle sets items of what is no dictionary")

    def look_up(self, name: str) -> None:
        self.stack.append(checked_global(name))

    def look_up_on_stack(self) -> None:
        module, name = self.pop(2)
        self.look_up(f"{module} {name}")

    def call(self) -> None:
        self.stack.append(called(*self.pop(2)))

    def storage(self) -> None:
        self.stack.append(storage_record(*self.stack.pop()))


_CONSTANTS: dict[str, Any] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_DICT": dict,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
    "EMPTY_SET": Other,
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
