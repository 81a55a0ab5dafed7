"""What a `_target_` takes: the names of its parameters, their types and their defaults.

The modules of methods, backbones, losses and threshold rules import torch, which takes seconds, and a wrong
value is answered before. So they are not imported for it: of their source nothing is evaluated but what the
signature says, and the statements that define the names in it. All other targets are imported.
"""

import ast
import importlib
import importlib.util
import inspect
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, get_type_hints

# Parameters that the experiment supplies; a configuration never names them.
SUPPLIED = frozenset(
    {"self", "task", "backbone", "loss", "params", "optimizer", "logits", "targets", "positives", "instances"}
)
WITH_TORCH = ("mlbench.backbones.", "mlbench.evaluation.", "mlbench.losses.", "mlbench.methods.")


def parameters(path: str, located: Callable[[str], Any]) -> list[inspect.Parameter]:
    """Those that a configuration may name; `located` imports what a dotted path names."""
    function = read(path) or located(path)
    hints = get_type_hints(function.__init__ if inspect.isclass(function) else function, include_extras=True)
    return [
        parameter.replace(annotation=hints.get(name, Any))
        for name, parameter in inspect.signature(function).parameters.items()
        if name not in SUPPLIED
    ]


def light(path: str) -> bool:
    """Whether a target's parameters are known without torch."""
    return path.startswith("mlbench.") and not (path.startswith(WITH_TORCH) and read(path) is None)


@cache
def read(path: str) -> Callable | None:
    """A function that takes what the target takes, from its source; None where it has to be imported."""
    module, _, name = path.rpartition(".")
    if not module.startswith(WITH_TORCH) or not importlib.util.find_spec(module):
        return None
    source = source_of(module)
    statement = source.statements.get(name)
    if isinstance(statement, ast.ClassDef):
        constructor = next((each for each in statement.body if getattr(each, "name", "") == "__init__"), None)
        if constructor is None:
            return read(source.path(statement.bases[0])) if statement.bases else None
        statement = constructor
    return source.sketch(statement) if isinstance(statement, ast.FunctionDef) else None


class Source:
    """A module's statements by the names they define, and the values of those that were asked for."""

    def __init__(self, module: str):
        text = Path(importlib.util.find_spec(module).origin).read_text(encoding="utf-8")
        self.module = module
        self.statements = {name: each for each in ast.parse(text).body for name in defined(each)}
        self.values: dict[str, Any] = {"__name__": module}
        self.begun: set[str] = set()

    def sketch(self, function: ast.FunctionDef) -> Callable:
        """The function with the parameters that a configuration may name, and without its body."""
        function.args.args = [each for each in function.args.args if each.arg not in SUPPLIED]
        function.returns, function.decorator_list, function.body = None, [], [ast.Pass()]
        self.run(function)
        return self.values.pop(function.name)

    def value(self, name: str) -> Any:
        """What a name stands for once its statement has run; of an import, this name alone is imported."""
        statement = self.statements[name]
        if name in self.begun:  # by itself: a function that calls itself
            return self.values.get(name)
        self.begun.add(name)
        if not isinstance(statement, ast.Import | ast.ImportFrom):
            self.run(statement)
            return self.values[name]
        (alias,) = (each for each in statement.names if bound(each) == name)
        if isinstance(statement, ast.ImportFrom) and f"{statement.module}.".startswith(WITH_TORCH):
            self.values[name] = source_of(statement.module).value(alias.name)
        elif isinstance(statement, ast.ImportFrom):
            self.values[name] = getattr(importlib.import_module(statement.module), alias.name)
        else:
            self.run(ast.Import([alias]))
        return self.values[name]

    def run(self, statement: ast.stmt) -> None:
        """Gives a value to every name in a statement, then executes it."""
        for each in ast.walk(statement):
            if isinstance(each, ast.Name) and each.id in self.statements:
                self.value(each.id)
        module = ast.fix_missing_locations(ast.Module([statement], []))
        exec(compile(module, self.module, "exec"), self.values)

    def path(self, base: ast.expr) -> str:
        """The dotted path of a base class; empty where it is an attribute, as nn.Module is."""
        if not isinstance(base, ast.Name):
            return ""
        statement = self.statements.get(base.id)
        if not isinstance(statement, ast.ImportFrom):
            return f"{self.module}.{base.id}"
        return next(f"{statement.module}.{each.name}" for each in statement.names if bound(each) == base.id)


@cache
def source_of(module: str) -> Source:
    return Source(module)


def defined(statement: ast.stmt) -> Iterator[str]:
    match statement:
        case ast.Import() | ast.ImportFrom():
            yield from map(bound, statement.names)
        case ast.FunctionDef() | ast.ClassDef():
            yield statement.name
        case ast.Assign():
            yield from (each.id for each in statement.targets if isinstance(each, ast.Name))
        case ast.AnnAssign(target=ast.Name()):
            yield statement.target.id


def bound(alias: ast.alias) -> str:
    return alias.asname or alias.name.partition(".")[0]
