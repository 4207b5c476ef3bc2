"""Doors behind which nothing is loaded until it is asked for (PEP 562).

A worker knows the verbs of every room and runs few of them: it should not hold every library of every room in memory.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from types import ModuleType
from typing import Any


def door(package: str, behind: Mapping[str, str]) -> tuple[Callable[[str], Any], list[str]]:
    """(``__getattr__``, ``__all__``) of a package. ``behind``: module below it → the names that it gives, parted by spaces.

    >>> ask, names = door("json", {"decoder": "JSONDecoder", "encoder": "JSONEncoder"})
    >>> names, ask("JSONDecoder").__module__
    (['JSONDecoder', 'JSONEncoder'], 'json.decoder')
    """
    where = {name: module for module, names in behind.items() for name in names.split()}

    def ask(name: str) -> Any:
        if name not in where:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        found = getattr(import_module(f"{package}.{where[name]}"), name)
        setattr(sys.modules[package], name, found)
        return found

    return ask, sorted(where)


class Library(ModuleType):
    """A library that is loaded when something of it is first asked for: for one that a process names and may never use.

    >>> late = Library("fractions")
    >>> late.Fraction(1, 2) + 1
    Fraction(3, 2)
    """

    def __getattr__(self, name: str) -> Any:
        return getattr(import_module(self.__name__), name)
