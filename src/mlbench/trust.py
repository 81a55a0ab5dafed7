"""From a dotted name to what it names, and whose names are followed.

A person's configuration is a program of theirs and names whatever it likes. A file of a trained method may
come from anybody. What it names is imported, and called, only if it is ours or one of the few others listed
here, or lies in a module that the configuration of this very command names.
"""

import importlib
import inspect
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import Any

from mlbench.errors import UserError, did_you_mean

# What any file may name: what trained methods are built of, the bases of the classical ones, and optimisers.
OPEN = ("mlbench.methods", "mlbench.backbones", "mlbench.losses", "sklearn", "torch.optim")

named: set[str] = set()  # what this command's configurations name, and the modules it lies in
_foreign = ContextVar("_foreign", default=False)


@contextmanager
def foreign() -> Iterator[None]:
    """Within it, names come from a file that anybody may have made."""
    outside = _foreign.set(True)
    try:
        yield
    finally:
        _foreign.reset(outside)


def trust(modules: Iterable[str]) -> None:
    """The person says that these are theirs."""
    named.update(modules)


def located(path: str) -> Any:
    """What a dotted name names, if whoever names it may."""
    if not _foreign.get():
        if not within(path, ("mlbench",)):
            trust((path, path.rpartition(".")[0]))
        return imported(path)
    if within(path, (*OPEN, *named)):
        found = imported(path)
        # A module also has what it imported from elsewhere.
        if path in named or within(getattr(found, "__module__", ""), (*OPEN, *named)):
            return found
    raise UserError(
        f"it names {path}, which is none of mlbench's; if that is yours, say so: "
        f"trust=[{path.rpartition('.')[0]}]"
    )


def is_named(found: Any) -> bool:
    """Whether a class or a function is defined in a module that the person named."""
    defined = inspect.isclass(found) or inspect.isroutine(found)
    return defined and within(found.__module__ or "", tuple(named))


def within(path: str, packages: tuple[str, ...]) -> bool:
    """Whether a dotted name is one of these, or below one."""
    return path in packages or path.startswith(tuple(f"{package}." for package in packages))


@cache
def imported(path: str) -> Any:
    """What a dotted name names, whoever names it."""
    path, _, name = path.rpartition(".")
    module = importlib.import_module(path)
    if not hasattr(module, name):
        raise ImportError(f"{path} has no {name}{did_you_mean(name, vars(module))}")
    return getattr(module, name)


def unimportable(path: str, error: Exception) -> str:
    """Why what a dotted name names cannot be had: the module itself is missing, or one that it imports."""
    if not isinstance(error, ModuleNotFoundError) or not error.name:
        return f"cannot be imported: {error}"
    if within(path, (error.name,)):
        return f"cannot be imported: {error}; is its folder in PYTHONPATH?"
    return f"it imports {error.name}, which is not installed here"
