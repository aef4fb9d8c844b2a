"""YAML text to plain values that know where they were written.

A sweep file is data that people mistype, so the reader accepts little: one mapping, YAML 1.2 core
scalars (`1e-3` is a number, `no` and `2024-01-01` are text), no tags, no anchors, no aliases.
It walks parser events instead of building nodes, so a hostile file is refused as it is read.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

from sweeper.declare.document import Document, KeyPath, dotted, joined, shown
from sweeper.errors import UserError

MAX_BYTES = 1_000_000
MAX_VALUES = 50_000
MAX_DEPTH = 20
MAX_NUMBER_CHARS = 100

INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
WORDS = {"": None, "~": None} | {
    spelling: value
    for word, value in {"null": None, "true": True, "false": False}.items()
    for spelling in (word, word.title(), word.upper())
}

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_document(path: Path, origin: str) -> Document:
    """Read a sweep file; `origin` is its name in messages."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UserError(f"cannot read: {error.strerror}", where=origin) from error
    if len(data) > MAX_BYTES:
        raise UserError(f"more than {MAX_BYTES:,} bytes; a sweep file is small", where=origin)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UserError("not UTF-8; save the file as UTF-8", where=f"{origin}:{line}") from error
    return parse_document(text, origin)


def parse_document(text: str, origin: str) -> Document:
    """The mapping that a text holds."""

    def where(line: int, path: KeyPath) -> str:
        return joined(f"{origin}:{line}", dotted(path))

    reader = _Reader(text, where)
    values = reader.read()
    if not isinstance(values, dict):
        what = "the file is empty" if values is None else f"given {shown(values)}"
        raise UserError(f"{what}; a sweep file is a mapping with kind and space", where=origin)
    return Document(origin, values, reader.lines)


def parse_value(text: str, where: str) -> Any:
    """One scalar, flow list or flow mapping, as after `field=` on a command line."""
    return _Reader(text, lambda _line, path: joined(where, dotted(path))).read()


class _Reader:
    """One pass over the parser's events; `lines` holds the line of every value afterwards."""

    def __init__(self, text: str, where: Callable[[int, KeyPath], str]) -> None:
        self.lines: dict[KeyPath, int] = {}
        self._where = where
        self._text = text
        self._events: Iterator[yaml.Event] = iter(())

    def read(self) -> Any:
        try:
            # Constructing the loader already checks for characters that YAML forbids.
            self._events = yaml.parse(self._text, Loader=_Loader)
            return self._document()
        except yaml.reader.ReaderError as error:
            line = self._text.count("\n", 0, error.position) + 1
            raise UserError(
                "a control character; write text only", where=self._where(line, ())
            ) from error
        except UnicodeEncodeError as error:  # an argument with bytes that no text has
            raise UserError("not UTF-8", where=self._where(1, ())) from error
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else 1
            what = self._bad_start(error) or f"not valid YAML: {error.problem}"
            raise UserError(what, where=self._where(line, ())) from error

    def _bad_start(self, error: yaml.MarkedYAMLError) -> str:
        """What is wrong where the parser stopped at a character that starts no value."""
        if (mark := error.problem_mark) is None:
            return ""
        line = self._text.split("\n")[mark.line :][:1]
        character = "".join(line)[mark.column :][:1]
        if character == "\t" or "tab character" in str(error.problem):
            return "a tab; indent with spaces"
        if character in ("@", "`", "%"):
            return f"text that starts with '{character}' takes quotes"
        return ""

    def _document(self) -> Any:
        next(self._events)  # the start of the stream
        if isinstance(next(self._events), yaml.StreamEndEvent):
            return None
        value = self._value(next(self._events), ())
        next(self._events)  # the end of the document
        after = next(self._events)
        if not isinstance(after, yaml.StreamEndEvent):
            raise self._error(after, (), "a second document; a file holds one")
        return value

    def _value(self, event: yaml.Event, path: KeyPath) -> Any:
        self._refuse_extras(event, path)
        if len(path) > MAX_DEPTH:
            raise self._error(event, path[:3], f"nested deeper than {MAX_DEPTH} levels")
        self.lines.setdefault(path, _line(event))
        if len(self.lines) > MAX_VALUES:
            raise self._error(event, path, f"more than {MAX_VALUES:,} values")
        if isinstance(event, yaml.ScalarEvent):
            # implicit[0]: written plain, without quotes and not as a block of text
            return self._plain(event, path) if event.implicit[0] else self._text_of(event, path)
        return (
            self._list(path) if isinstance(event, yaml.SequenceStartEvent) else self._mapping(path)
        )

    def _refuse_extras(self, event: yaml.Event, path: KeyPath) -> None:
        """YAML's means to share nodes and to construct objects."""
        if isinstance(event, yaml.AliasEvent):
            raise self._error(event, path, f"alias *{event.anchor}; aliases are not allowed")
        assert isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent)
        if event.anchor is not None:
            raise self._error(event, path, f"anchor &{event.anchor}; anchors are not allowed")
        if event.tag is not None:
            tag = event.tag.replace("tag:yaml.org,2002:", "!!")
            raise self._error(event, path, f"tag {tag}; tags are not allowed")

    def _list(self, path: KeyPath) -> list[Any]:
        values: list[Any] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            values.append(self._value(event, (*path, len(values))))
        return values

    def _mapping(self, path: KeyPath) -> dict[str, Any]:
        values: dict[str, Any] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            # A key is the text as written: `null` is a fine name for a field.
            if not isinstance(event, yaml.ScalarEvent):
                raise self._error(event, path, "a list or mapping as a key; a key is text")
            self._refuse_extras(event, path)
            key = self._text_of(event, path)
            here = (*path, key)
            if key in values:
                first = f"first given on line {self.lines[here]}"
                raise self._error(event, here, f"duplicate key '{key}'; {first}")
            self.lines[here] = _line(event)
            values[key] = self._value(next(self._events), here)
        return values

    def _plain(self, event: yaml.ScalarEvent, path: KeyPath) -> Any:
        text = event.value
        if text in WORDS:
            return WORDS[text]
        if NOT_FINITE.fullmatch(text):
            raise self._error(event, path, f"given {text}; a number must be finite")
        is_int = INT.fullmatch(text)
        if not is_int and not FLOAT.fullmatch(text):
            return self._text_of(event, path)
        if len(text) > MAX_NUMBER_CHARS:
            what = f"a number of {len(text):,} characters; at most {MAX_NUMBER_CHARS}"
            raise self._error(event, path, what)
        if is_int:
            return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
        if not math.isfinite(number := float(text)):
            raise self._error(event, path, f"given {text}; a number must be finite")
        return number

    def _text_of(self, event: yaml.ScalarEvent, path: KeyPath) -> str:
        text: str = event.value
        if any(not (c.isprintable() or c in "\n\t") for c in text):
            raise self._error(event, path, f"given {shown(text)}; text must be printable")
        return text

    def _error(self, event: yaml.Event, path: KeyPath, what: str) -> UserError:
        return UserError(what, where=self._where(_line(event), path))


def _line(event: yaml.Event) -> int:
    """Line of an event, from 1."""
    return event.start_mark.line + 1 if event.start_mark else 1
