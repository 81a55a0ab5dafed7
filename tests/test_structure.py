"""The house: who may import whom, and how large a file may grow."""

import ast
import graphlib
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

SOURCE = Path(__file__).parents[1] / "src"
MODULES = {
    ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted((SOURCE / "mlbench").rglob("*.py"))
}

# What each part may know of the others: floor by floor, the ground first.
MAY_KNOW = {
    "": {"estimator"},  # the version, and what a program imports, late
    "errors": set(),
    "interrupt": set(),
    "files": set(),
    "seeding": set(),
    "signatures": set(),
    "words": set(),
    "names": {"errors"},
    "lease": set(),
    "locks": {"errors", "lease"},
    "metrics": {"errors", "evaluation"},
    "protocols": {"errors"},
    "spelling": {"errors"},
    "trust": {"errors"},
    "idle": set(),
    "team": {"errors"},
    "config": {"errors", "idle", "signatures", "spelling", "trust"},
    "loading": set(),
    "compose": {"config", "errors", "loading", "spelling"},
    "data": {"compose", "errors", "files", "locks", "names", "protocols", "seeding", "trust"},
    "layers": {"seeding"},
    "shards": set(),
    "losses": set(),
    "backbones": {"data", "encoders", "errors", "layers"},
    "encoders": {"data", "errors", "files", "layers", "locks", "trust"},
    "methods": {"backbones", "config", "data", "errors", "layers", "losses", "shards", "trust"},
    "evaluation": {"errors"},
    "results": {"config", "errors", "files", "locks", "names", "trust"},
    "engine": {
        "config",
        "data",
        "errors",
        "evaluation",
        "files",
        "idle",
        "layers",
        "locks",
        "methods",
        "names",
        "seeding",
        "team",
    },
    "premises": {"config", "data", "errors", "evaluation", "protocols", "signatures"},
    "assemble": {
        "config",
        "data",
        "encoders",
        "engine",
        "errors",
        "evaluation",
        "idle",
        "methods",
        "premises",
        "protocols",
        "results",
        "trust",
    },
    "embeddings": {"config", "data", "engine", "errors", "evaluation", "files", "methods", "results"},
    "prepared": {"assemble", "config", "data", "encoders", "engine", "errors", "evaluation"},
    "outcome": {
        *("assemble", "config", "data", "encoders", "engine", "errors", "evaluation", "files", "methods"),
        *("prepared", "results"),
    },
    "experiment": {
        *("assemble", "config", "data", "embeddings", "engine", "outcome", "prepared", "results"),
        "seeding",
    },
    "predict": {"data", "encoders", "engine", "errors", "evaluation", "methods", "results", "trust"},
    "estimator": {
        *("assemble", "compose", "config", "data", "engine", "errors", "evaluation", "methods", "prepared"),
        "seeding",
    },
    "export": {"data", "engine", "errors", "evaluation", "files", "methods", "predict", "results"},
    "submissions": {
        *("compose", "config", "data", "errors", "evaluation", "files", "premises", "results", "words"),
    },
    "runs": {
        *("assemble", "compose", "config", "data", "engine", "errors", "experiment", "files", "interrupt"),
        *("locks", "premises", "results"),
    },
    "tables": {
        *("assemble", "compose", "config", "data", "errors", "evaluation", "files", "results", "runs"),
        *("search", "spelling", "words"),
    },
    "board": {
        *(
            "compose",
            "config",
            "data",
            "errors",
            "evaluation",
            "files",
            "results",
            "runs",
            "spelling",
            "tables",
        ),
        "words",
    },
    "serve": {"data", "encoders", "errors", "export", "predict", "results", "tables"},
    "search": {
        *("assemble", "compose", "config", "data", "errors", "evaluation", "locks", "names", "results"),
        *("runs", "seeding", "words"),
    },
    "bench": {
        *("assemble", "backbones", "compose", "config", "data", "encoders", "engine", "errors", "evaluation"),
        *("methods", "prepared", "results", "seeding", "spelling"),
    },
    "commands": {
        *(
            "",
            "bench",
            "board",
            "compose",
            "config",
            "data",
            "engine",
            "errors",
            "evaluation",
            "export",
            "files",
        ),
        *(
            "interrupt",
            "loading",
            "names",
            "predict",
            "results",
            "runs",
            "search",
            "serve",
            "spelling",
            "submissions",
            "tables",
            "team",
        ),
        *("trust", "words"),
    },
    "__main__": {"commands"},
}


def imports_of(tree: ast.AST) -> set[str]:
    """The modules, or names in them, that are imported anywhere below `tree`."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports name the whole path"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def module_of(name: str) -> str:
    """The module that an imported name is, or is in."""
    return name if name in MODULES else name.rpartition(".")[0]


TREES = {module: ast.parse(path.read_text()) for module, path in MODULES.items()}
OURS = {
    module: {module_of(name) for name in imports_of(tree) if name.split(".")[0] == "mlbench"}
    for module, tree in TREES.items()
}
OTHERS = {
    module: {name.split(".")[0] for name in imports_of(tree)} - {"mlbench"} for module, tree in TREES.items()
}


def part_of(module: str) -> str:
    return [*module.split("."), ""][1]


def test_imports_run_one_way():
    graphlib.TopologicalSorter(OURS).prepare()  # fails on a circle, and names it


def test_the_map_has_every_part():
    assert {part_of(module) for module in MODULES} == MAY_KNOW.keys()


@pytest.mark.parametrize("part", MAY_KNOW)
def test_a_part_knows_only_what_it_may(part):
    for module in OURS:
        if part_of(module) == part:
            known = {part_of(other) for other in OURS[module]} - {part}
            assert known <= MAY_KNOW[part], module


def test_no_family_of_methods_imports_another():
    """A family is a folder in methods/; a file beside them knows what all methods share, and no method."""
    for module, known in OURS.items():
        _, part, *place = [*module.split("."), "", ""][:4]
        if part != "methods" or not place[0]:
            continue
        for other in known:
            _, other_part, *other_place = [*other.split("."), "", ""][:4]
            if other_part == "methods" and other_place[1]:
                assert other_place[0] == place[0], f"{module} imports {other}"
            elif other_part == "methods" and not place[1]:
                assert other_place[0] in ("base", "bases", "kept"), f"{module} imports {other}"


@pytest.mark.parametrize("part", ["backbones", "data", "evaluation", "losses", "methods", "results"])
def test_only_the_engine_knows_lightning_and_only_the_command_line_hydra(part):
    for module, known in OTHERS.items():
        if part_of(module) == part:
            assert not known & {"lightning", "pytorch_lightning"}, module
            assert "hydra" not in known or part == "data", module


def test_what_is_large_and_not_always_there_is_imported_where_it_is_used():
    for module, tree in TREES.items():
        outermost = ast.Module([node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)])
        known = {name.split(".")[0] for name in imports_of(outermost)}
        assert not known & {"torchvision", "timm", "transformers", "wandb", "trackio"}, module


def test_a_file_says_first_what_it_is_for_and_is_short():
    for module, path in MODULES.items():
        text = path.read_text()
        assert len(text.splitlines()) <= 400, module
        assert not text or ast.get_docstring(TREES[module]), module


def test_the_command_line_starts_without_torch():
    heavy = "torch", "lightning", "sklearn", "pandas", "scipy", "wandb"
    code = f"import sys, mlbench.commands.run; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_scoring_a_file_waits_for_no_lightning():
    """Which takes some seconds, and more memory than a piece of the file."""
    code = "import sys, mlbench.commands.predict, mlbench.predict; print('lightning' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_the_map_names_every_room_and_no_other():
    """docs/architecture.md, whose paths are those of files and folders of the package."""
    page = (SOURCE.parent / "docs" / "architecture.md").read_text()
    rooms = page.partition("## Rooms")[2].partition("\n## ")[0]
    rows = [line.split("|")[1] for line in rooms.splitlines() if line.startswith("| `")]
    named = {name.strip("/").removesuffix(".py") for row in rows for name in re.findall("`(.+?)`", row)}
    assert named == {part for part in MAY_KNOW if part not in ("", "__main__")}
    paths = re.findall(r"`([a-z_]+(?:/[a-z_]+)*(?:\.py|/))`", page)
    root, package = SOURCE.parent, SOURCE / "mlbench"
    here = [path for path in paths if (root / path).exists() or any(package.rglob(path.strip("/")))]
    assert paths and here == paths


def test_a_commit_is_looked_at_as_make_lint_looks():
    root = SOURCE.parent
    hooks = yaml.safe_load((root / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    said = subprocess.run(["make", "-n", "lint"], cwd=root, capture_output=True, text=True, check=True).stdout
    entries = {hook["entry"].replace(" --force-exclude", "") for hook in hooks}
    looks = {line.removesuffix(" .") for line in said.splitlines() if re.search("/(ruff|pyright) ", line)}
    assert entries == looks
