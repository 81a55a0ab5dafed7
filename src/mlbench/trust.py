"""Imports the object of a dotted name, if the author of the name is trusted.

A person's configuration is a program of theirs: it may name anything. The file of a trained method may come
from anybody: a name in such a file is imported, and called, only if it lies in a package of OPEN or in a
module that the configuration of this very command names.
"""

import importlib
import importlib.util
import inspect
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from typing import Any

from mlbench.errors import UserError, did_you_mean

# Packages that any file may name: they hold methods, networks, losses, encoders, classical base learners,
# optimisers.
OPEN = (
    "mlbench.methods",
    "mlbench.backbones",
    "mlbench.losses",
    "mlbench.encoders",
    "sklearn",
    "torch.optim",
)

STDLIB, PYTHON = sys.stdlib_module_names, sysconfig.get_path("stdlib")

named: set[str] = set()  # the names in this command's configurations, and the modules of these names
_foreign = ContextVar("_foreign", default=False)


@contextmanager
def foreign() -> Iterator[None]:
    """While this is open, `located` treats names as written by a stranger."""
    outside = _foreign.set(True)
    try:
        yield
    finally:
        _foreign.reset(outside)


def trust(modules: Iterable[str]) -> None:
    """Allows names in these modules, or these names, to be followed wherever they are written."""
    named.update(modules)


def located(path: str) -> Any:
    """The object that a dotted name names; UserError where a stranger's file may not name it."""
    module = path.rpartition(".")[0]
    if not _foreign.get():
        if not within(path, ("mlbench",)):
            trust((path, module))
        return imported(path)
    allowed = (*OPEN, *named)
    if within(path, allowed):
        value = imported(path)
        # The object's own module counts, too: an allowed module also has what it imported from elsewhere.
        if path in named or within(getattr(value, "__module__", ""), allowed):
            return value
    if within(path, ("mlbench",)):
        raise UserError(f"it names {path}, which mlbench has, but as no part of a model")
    advice = f"if that is yours, say so: trust=[{module}]"
    raise UserError(f"it names {path}, which is none of mlbench's; {advice}")


def is_named(value: Any) -> bool:
    """Whether `value` is a class or a function that is defined in a module that the person named."""
    defined = inspect.isclass(value) or inspect.isroutine(value)
    return defined and within(value.__module__ or "", tuple(named))


def of_python(path: str) -> bool:
    """Whether a dotted name lies in Python itself, which has no piece of an experiment."""
    first = path.partition(".")[0]
    origin = (spec := importlib.util.find_spec(first)) and spec.origin if first in STDLIB else None
    return origin in ("built-in", "frozen") or bool(origin and Path(origin).is_relative_to(PYTHON))


def within(path: str, packages: tuple[str, ...]) -> bool:
    """Whether a dotted name is one of these packages or lies in one."""
    return path in packages or path.startswith(tuple(f"{package}." for package in packages))


@cache
def imported(path: str) -> Any:
    """The object that a dotted name names, whoever wrote the name."""
    path, _, name = path.rpartition(".")
    if not path:
        raise ImportError(f"it names no module; write my_module.{name}")
    module = importlib.import_module(path)
    if not hasattr(module, name):
        raise ImportError(f"{path} has no {name}{did_you_mean(name, vars(module))}")
    return getattr(module, name)


def unimportable(path: str, error: Exception) -> str:
    """Why importing `path` failed: its own module is missing, or one that this module imports."""
    if not isinstance(error, ModuleNotFoundError) or not error.name:
        return f"cannot be imported: {error}"
    if within(path, (error.name,)):
        return f"cannot be imported: {error}; is its folder in PYTHONPATH?"
    return f"it imports {error.name}, which is not installed here"
