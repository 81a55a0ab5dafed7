"""The parameters of a `_target_`: their names, types and defaults.

Methods, backbones, losses and threshold rules import torch, which takes seconds, but a wrong value is to be
answered at once. So the modules of WITH_TORCH are not imported: of their source, only the signature and the
statements that define the names in the signature are evaluated. All other targets are imported.
"""

import ast
import importlib
import importlib.util
import inspect
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, get_type_hints

# Parameters that the program supplies, to classes and to functions; a configuration never names them.
SUPPLIED = frozenset({"self", "task", "backbone", "loss", "params", "optimizer"})
TO_FUNCTIONS = SUPPLIED | {"logits", "targets", "positives", "instances", "known"}
WITH_TORCH = ("mlbench.backbones.", "mlbench.evaluation.", "mlbench.losses.", "mlbench.methods.")


def parameters(path: str, located: Callable[[str], Any]) -> list[inspect.Parameter]:
    """The parameters that a configuration may name; `located` imports what a dotted path names."""
    function = sketched(path) or located(path)
    supplied = frozenset() if sketched(path) else supplied_to(function)
    hints = get_type_hints(function.__init__ if inspect.isclass(function) else function, include_extras=True)
    return [
        parameter.replace(annotation=hints.get(name, Any))
        for name, parameter in inspect.signature(function).parameters.items()
        if name not in supplied
    ]


def supplied_to(function: Any) -> frozenset[str]:
    return SUPPLIED if inspect.isclass(function) else TO_FUNCTIONS


def light(path: str) -> bool:
    """Whether a target's parameters are known without torch."""
    return path.startswith("mlbench.") and not (path.startswith(WITH_TORCH) and sketched(path) is None)


@cache
def sketched(path: str) -> Callable | None:
    """An empty function with the target's parameters, made from source; None where source does not do."""
    module, _, name = path.rpartition(".")
    if not module.startswith(WITH_TORCH) or not importlib.util.find_spec(module):
        return None
    source = source_of(module)
    statement = source.statements.get(name)
    if isinstance(statement, ast.ClassDef):
        constructor = next((each for each in statement.body if getattr(each, "name", "") == "__init__"), None)
        if constructor is None:
            return sketched(source.path(statement.bases[0])) if statement.bases else None
        statement = constructor
    return source.sketch(statement) if isinstance(statement, ast.FunctionDef) else None


class Source:
    """A module's statements by the names they define, and the values of the names that were asked for."""

    def __init__(self, module: str):
        spec = importlib.util.find_spec(module)
        if spec is None or spec.origin is None:
            raise ModuleNotFoundError(f"No module named {module!r}", name=module)
        text = Path(spec.origin).read_text(encoding="utf-8")
        self.module = module
        self.statements = {name: each for each in ast.parse(text).body for name in defined(each)}
        self.values: dict[str, Any] = {"__name__": module}
        self.begun: set[str] = set()

    def sketch(self, function: ast.FunctionDef) -> Callable:
        """The function, or a class's constructor, without its body and without what is supplied."""
        names = [each.arg for each in function.args.args]
        supplied = SUPPLIED if "self" in names else TO_FUNCTIONS
        function.args.args = [each for each in function.args.args if each.arg not in supplied]
        by_name = zip(function.args.kwonlyargs, function.args.kw_defaults)
        kept = [(each, default) for each, default in by_name if each.arg not in supplied]
        function.args.kwonlyargs = [each for each, _ in kept]
        function.args.kw_defaults = [default for _, default in kept]
        function.returns, function.decorator_list, function.body = None, [], [ast.Pass()]
        self.run(function)
        return self.values.pop(function.name)

    def value(self, name: str) -> Any:
        """The value of a name once its statement has run; of an import, this name alone is imported."""
        statement = self.statements[name]
        if name in self.begun:  # a function that calls itself asks for its own name while it is run
            return self.values.get(name)
        self.begun.add(name)
        if not isinstance(statement, ast.Import | ast.ImportFrom):
            self.run(statement)
            return self.values[name]
        (alias,) = (each for each in statement.names if bound(each) == name)
        if isinstance(statement, ast.Import):
            self.run(ast.Import([alias]))
        elif f"{statement.module}.".startswith(WITH_TORCH):
            self.values[name] = source_of(statement.module or "").value(alias.name)
        else:
            self.values[name] = getattr(importlib.import_module(statement.module or ""), alias.name)
        return self.values[name]

    def run(self, statement: ast.stmt) -> None:
        """Gives a value to every name in a statement, then executes the statement."""
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
        case ast.AnnAssign(target=ast.Name(id=name)):
            yield name


def bound(alias: ast.alias) -> str:
    return alias.asname or alias.name.partition(".")[0]
