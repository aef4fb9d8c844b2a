"""Libraries that take long to load are imported at the first use of one of their names.

A declaration of a kind, a digest or a plan must be ready at once. So the top of a file says

    if TYPE_CHECKING:
        import torch
    else:
        torch = lazy_module("torch")  # takes a second

and the rest of the file uses `torch` as if it were imported. `lazy_names` does the same for the
public names of a package.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from types import ModuleType
from typing import Any


class LazyModule(ModuleType):
    """Stands for a module that is imported when an attribute is first asked for."""

    def __getattr__(self, name: str) -> Any:
        # Attributes are not copied here: whoever replaces one in the module (a test) is obeyed.
        if name.startswith("__"):
            raise AttributeError(name)  # inspection of this object must not import the library
        return getattr(import_module(self.__name__), name)


def lazy_module(name: str) -> Any:
    """The module of that name, imported at the first use of one of its attributes."""
    return LazyModule(name)


def lazy_names(package: str, names: Mapping[str, str]) -> Callable[[str], Any]:
    """The `__getattr__` of a package whose names come from other modules (name -> module)."""

    def get(name: str) -> Any:
        if name in names:
            return getattr(import_module(names[name]), name)
        raise AttributeError(f"module '{package}' has no attribute '{name}'")

    return get
