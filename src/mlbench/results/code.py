"""Which code a run is of: a hash of the sources of its method, its loss, its backbone and what they import.

Nothing is imported for it: imports are read from the sources. Comments, docstrings and empty lines do not
count, nor do the engine, the command line and libraries, whose versions a record names.
"""

import ast
import importlib.util
import io
import tokenize
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path

from mlbench.config import Config, fingerprint, taken, targets
from mlbench.errors import of_a_library
from mlbench.trust import within

PIECES = ("method", "loss", "backbone")
ROOMS = tuple(f"mlbench.{room}" for room in ("methods", "losses", "backbones", "layers", "data"))


def code_of(config: Config) -> str:
    """Changes with the code of the pieces, and with that of whatever else is a person's own."""
    content = taken(config.model_dump())
    named = {name.rpartition(".")[0] for piece in PIECES for name in targets(content[piece])}
    named |= {name.rpartition(".")[0] for name in targets(content) if not within(name, ("mlbench",))}
    return hashed(frozenset(named))


@cache
def hashed(modules: frozenset[str]) -> str:
    """Once a process: what it has imported stays as it is, whatever becomes of the files."""
    return fingerprint(sources(modules))


def sources(modules: Iterable[str]) -> dict[str, str]:
    """Of the modules and of those that they import, as far as their code counts: what may change a result.

    Of a person's modules those count that lie below the folder from which one of `modules` is imported.
    """
    left = sorted(modules)
    homes = {file.parents[depth(module, file)] for module in left if (file := file_of(module))}
    texts: dict[str, str] = {}
    while left:
        module = left.pop()
        file = file_of(module)
        if module in texts or file is None or not (within(module, ("mlbench",)) or homes & {*file.parents}):
            continue
        texts[module], imported = read(module, file)
        left += imported
    return texts


def file_of(module: str) -> Path | None:
    """The source of a module in ROOMS or of a person's own; None for any other, and for what is no module."""
    if within(module, ("mlbench",)) and not within(module, ROOMS):
        return None
    spec = spec_of(module)
    if spec is None or not spec.has_location or not str(spec.origin).endswith(".py"):
        return None
    file = Path(str(spec.origin))
    return file if within(module, ROOMS) or not of_a_library(str(file)) else None


@cache
def spec_of(module: str) -> ModuleSpec | None:
    """Where a module lies. The packages that it lies in are not imported either."""
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
    """How many folders up from its file the folder is from which a module is imported."""
    return module.count(".") + (file.stem == "__init__")


@cache
def read(module: str, file: Path) -> tuple[str, list[str]]:
    """What may change a result in a module, and the names that it imports."""
    text = file.read_text(encoding="utf-8")
    package = module if file.stem == "__init__" else module.rpartition(".")[0]
    return bare(text), sorted(set(imports(ast.parse(text), package)))


def imports(tree: ast.AST, package: str) -> Iterator[str]:
    """Every module that may be meant, and the packages that it lies in."""
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
    code = [each for each in tokens if each.type not in (tokenize.COMMENT, tokenize.NL)]
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
