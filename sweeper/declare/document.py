"""Plain values with the place where each was written."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sweeper.errors import UserError, one_line

KeyPath = tuple[str | int, ...]
Where = Callable[[KeyPath], str]
"""Says where the value under a key path was given, for the start of an error message."""


@dataclass(frozen=True)
class Document:
    """The values of one sweep file, and where each was given.

    Attributes:
        origin: the path of the file, for messages.
        values: mappings, lists and scalars, as written.
        places: key path -> line number, or the text of the option that set it.
    """

    origin: str
    values: dict[str, Any]
    places: Mapping[KeyPath, int | str]

    def where(self, path: KeyPath = ()) -> str:
        """`file.yaml:7: space.l1_penalty`, or the option that set the value.

        Where options set parts of the value, they are named too.
        """
        parts = [p for at, p in self.places.items() if path and at[: len(path)] == path]
        options = ", ".join(p for p in parts if isinstance(p, str))
        if options and path not in self.places:
            return options
        for n in range(len(path), 0, -1):
            place = self.places.get(path[:n])
            if isinstance(place, str):
                return joined(place, dotted(path[n:]))
            if place is not None:
                there = f"{self.origin}:{place}: {dotted(path)}"
                return f"{there} with {options}" if options else there
        return joined(self.origin, dotted(path))

    def place(self, path: KeyPath) -> str:
        """`file.yaml:7`, or the option that set the value."""
        place = self.places.get(path)
        return place if isinstance(place, str) else f"{self.origin}:{place}"

    def rename(self, old: str, new: str) -> Document:
        """A copy with one of the outermost keys renamed; their order stays."""
        values = {new if key == old else key: value for key, value in self.values.items()}
        places = {
            (new, *path[1:]) if path[:1] == (old,) else path: place
            for path, place in self.places.items()
        }
        return Document(self.origin, values, places)

    def get(self, path: KeyPath) -> Any:
        """The value under a path of mapping keys; None where there is none."""
        value: Any = self.values
        for key in path:
            value = value.get(key) if isinstance(value, dict) else None
        return value

    def set(self, path: KeyPath, value: Any, place: int | str) -> Document:
        """A copy with one value changed; missing mappings on the way are created."""
        values = node = dict(self.values)
        for n, key in enumerate(path[:-1], start=1):
            inner = node.get(str(key), {})
            if not isinstance(inner, dict):
                what = f"{dotted(path[:n])} is {shown(inner)}, not a mapping"
                raise UserError(what, where=str(place))
            node[str(key)] = node = dict(inner)
        node[str(path[-1])] = value
        return Document(self.origin, values, self._places_outside(path) | {path: place})

    def drop(self, path: KeyPath) -> Document:
        """A copy without one entry of a section, and without the section if that empties it."""
        section, name = path
        entries = self.get((section,))
        if not isinstance(entries, dict) or name not in entries:
            return self
        values = {key: value for key, value in self.values.items() if key != section}
        if len(entries) > 1:
            values[str(section)] = {key: value for key, value in entries.items() if key != name}
        return Document(self.origin, values, self._places_outside(path))

    def _places_outside(self, path: KeyPath) -> dict[KeyPath, int | str]:
        return {p: place for p, place in self.places.items() if p[: len(path)] != path}


def dotted(path: KeyPath) -> str:
    """`space.n_atoms[1]` for a key path."""
    text = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path)
    return text.removeprefix(".")


def shown(value: Any, limit: int = 60) -> str:
    """A value as it would be written in a sweep file, on one line, cut short."""
    if isinstance(value, str):
        text = f"'{one_line(value, limit)}'"
    elif isinstance(value, dict):
        text = "{" + ", ".join(f"{key}: {shown(v)}" for key, v in list(value.items())[:5]) + "}"
    elif isinstance(value, list | tuple):
        text = "[" + ", ".join(shown(v) for v in value[:20]) + "]"
    else:
        text = json.dumps(value)
    return one_line(text, limit)


def joined(place: str, path: str) -> str:
    """The two parts of a place, or the first alone."""
    return f"{place}: {path}" if path else place
