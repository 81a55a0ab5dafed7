"""The hash of a run's code: of the sources of its method, its loss, its backbone and what they import.

No module is imported to compute it: imports are read from the sources. Comments, docstrings and empty lines
do not count, nor do the engine, the command line and libraries, whose versions a record names.
"""

import ast
import importlib.util
import io
import json
import tokenize
from collections.abc import Iterable, Iterator
from functools import cache, lru_cache
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path

from mlbench.config import Config, fingerprint, taken, targets
from mlbench.errors import of_a_library
from mlbench.trust import within

PIECES = ("method", "loss", "backbone", "encoder")
ROOMS = tuple(f"mlbench.{room}" for room in ("methods", "losses", "backbones", "encoders", "layers", "data"))


def code_of(config: Config) -> str:
    """A hash of the code of the pieces, and of every other module of a person's that is configured."""
    return _code_of(config.model_dump_json(exclude={"seed"}))


@lru_cache(4096)
def _code_of(text: str) -> str:
    """The hash for a configuration without its seed: runs that differ in the seed alone compute it once."""
    content = taken(json.loads(text))
    named = {name.rpartition(".")[0] for piece in PIECES for name in targets(content.get(piece))}
    named |= {name.rpartition(".")[0] for name in targets(content) if not within(name, ("mlbench",))}
    return hashed(frozenset(named))


@cache
def hashed(modules: frozenset[str]) -> str:
    """The hash, computed once a process: imported code stays as it was, even if its files change."""
    return fingerprint(sources(modules))


def sources(modules: Iterable[str]) -> dict[str, str]:
    """The sources that may change a result, by module: of `modules` and of all that these import.

    A person's module counts if it lies below the folder from which one of `modules` is imported.
    """
    waiting = sorted(modules)
    homes = {file.parents[depth(module, file)] for module in waiting if (file := file_of(module))}
    texts: dict[str, str] = {}
    while waiting:
        module = waiting.pop()
        file = file_of(module)
        if module in texts or file is None or not (within(module, ("mlbench",)) or homes & {*file.parents}):
            continue
        texts[module], imported = read(module, file)
        waiting += imported
    return texts


def file_of(module: str) -> Path | None:
    """The source of a module in ROOMS, or of a person's own; None for any other name."""
    if within(module, ("mlbench",)) and not within(module, ROOMS):
        return None
    spec = spec_of(module)
    if spec is None or not spec.has_location or not str(spec.origin).endswith(".py"):
        return None
    file = Path(str(spec.origin))
    return file if within(module, ROOMS) or not of_a_library(str(file)) else None


@cache
def spec_of(module: str) -> ModuleSpec | None:
    """Where a module lies, found without importing the packages that hold it."""
    package = module.rpartition(".")[0]
    if package:
        above = spec_of(package)
        places = above and above.submodule_search_locations
        return PathFinder.find_spec(module, places) if places else None
    try:
        return importlib.util.find_spec(module)
    except ValueError:  # __main__, or no name
        return None


def depth(module: str, file: Path) -> int:
    """How many folders a module's file lies below the folder from which the module is imported."""
    return module.count(".") + (file.stem == "__init__")


@cache
def read(module: str, file: Path) -> tuple[str, list[str]]:
    """The source of a module, bare, and the names that it imports."""
    text = file.read_text(encoding="utf-8")
    package = module if file.stem == "__init__" else module.rpartition(".")[0]
    return bare(text), sorted(set(imports(ast.parse(text), package)))


def imports(tree: ast.AST, package: str) -> Iterator[str]:
    """Every module that an import may mean, and the packages that hold it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            dots = "." * node.level + (node.module or "")
            try:
                base = importlib.util.resolve_name(dots, package)
            except ImportError:  # beyond the outermost package
                continue
            names = [base, *(f"{base}.{alias.name}" for alias in node.names)]
        else:
            continue
        for name in names:
            parts = name.split(".")
            yield from (".".join(parts[: end + 1]) for end in range(len(parts)))


def bare(source: str) -> str:
    """The source without comments, docstrings and empty lines."""
    lines = source.split("\n")
    tokens = [*tokenize.generate_tokens(io.StringIO(source).readline)]
    code = [token for token in tokens if token.type not in (tokenize.COMMENT, tokenize.NL)]
    begins = (tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT)
    words = {
        token.start
        for before, token, after in zip([None, *code], code, code[1:])
        if token.type == tokenize.STRING
        and (before is None or before.type in begins)
        and after.type == tokenize.NEWLINE
    }
    for token in reversed(tokens):
        if token.type == tokenize.COMMENT or token.start in words:
            (first, start), (last, end) = token.start, token.end
            rest = lines[first - 1][:start] + lines[last - 1][end:]
            lines[first - 1 : last] = [rest, *[""] * (last - first)]
    return "\n".join(line.rstrip() for line in lines if line.strip())
