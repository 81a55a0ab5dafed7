"""Composes a configuration from overrides, and makes one line of Hydra's error where that fails."""

import functools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mlbench.config import Config, Paths, Selection, Train, check
from mlbench.errors import UserError, did_you_mean, unknown_key
from mlbench.loading import tree_of
from mlbench.spelling import meaning, unreadable

MODELS = {"train": Train, "selection": Selection, "paths": Paths}
READERS = {
    ".csv": "csv",
    ".tsv": "csv",
    ".arff": "mulan",
    ".npz": "npz",
    ".mat": "matlab",
    ".jsonl": "jsonl",
    ".parquet": "hub",
    ".svm": "libsvm",
    ".libsvm": "libsvm",
}
GROUPS = (
    *("dataset", "method", "backbone", "loss", "split", "calibration", "threshold", "train"),
    "logger",
)
ENCODERS = ("encoder/text", "encoder/image")  # a choice for each raw field, where a data set has that


@functools.cache
def config_dir() -> Path:
    """conf/: inside an installed package, or beside src/ in a checkout."""
    package = Path(__file__).resolve().parent
    installed = package / "conf"
    return installed if installed.is_dir() else package.parents[1] / "conf"


def groups() -> list[str]:
    """GROUPS, and the groups within them."""
    folders = [
        folder for group in (*GROUPS, "launch") for folder in sorted((config_dir() / group).glob("**/"))
    ]
    return [*(folder.relative_to(config_dir()).as_posix() for folder in folders), *ENCODERS]


def choices(group: str) -> list[str]:
    """The names of a group's shipped choices."""
    return sorted(path.stem for path in (config_dir() / group).glob("*.yaml"))


def configure(overrides: list[str]) -> Config:
    """What `python run.py <overrides>` would run."""
    return configure_each(overrides, [[]])[0]


def configure_each(overrides: list[str], points: Sequence[Sequence[str]]) -> list[Config]:
    """What `python run.py <overrides> <point>` would run, where all points are values of the same options.

    Hydra, which takes longer than all else, composes once.
    """
    first = [*overrides, *points[0]]
    try:
        composed, chosen = tree_of(config_dir(), first)
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        raise UserError(explain(error, first)) from error
    configs = []
    for point in points:
        for word in OverridesParser.create().parse_overrides([*point]):
            OmegaConf.update(composed, word.key_or_group, word.value(), merge=True)
        configs.append(settled(composed, chosen))
    return configs


def settled(composed: DictConfig, chosen: Mapping[str, str | None], importing: bool = True) -> Config:
    """The configuration, every value checked; refuses a value in place of a group or of a node with keys."""
    for group in groups():
        key = group.replace("/", ".")
        name = OmegaConf.select(composed, key, throw_on_resolution_failure=False)
        if isinstance(name, str) and name in choices(group):
            raise UserError(f"{key}={name}: write {group}={name}")
        if isinstance(name, str):
            raise UserError(_unknown_choice(group, name, choices(group)))
    for key, model in MODELS.items():
        if not isinstance(value := composed[key], DictConfig):
            fields = ", ".join(f"{key}.{field}" for field in model.model_fields)
            raise UserError(f"{key}={value}: it has keys of its own; write one of {fields}")
    return check(composed, chosen_names(chosen, composed), importing)


def names() -> list[str]:
    """Every group, and every key of the default configuration."""
    return [*groups(), *_paths(tree_of(config_dir(), [])[0])]


def chosen_names(chosen: Mapping[str, str | None], composed: DictConfig) -> dict[str, str]:
    """The name of each group's choice; a `_target_` given by hand counts under its own name."""
    names = {group: str(chosen.get(group)) for group in (*GROUPS, *ENCODERS)}
    for group in ("method", "backbone", "loss"):
        target = (composed.get(group) or {}).get("_target_")
        if target and shipped_target(group, names[group]) not in (None, target):
            names[group] = target.rpartition(".")[2].lower()
    return names


def shipped_target(group: str, name: str) -> str | None:
    """The `_target_` of a shipped choice, which a preset takes from the file it builds on."""
    return _target_in(config_dir() / group, name)


@functools.cache
def _target_in(folder: Path, name: str) -> str | None:
    path = folder / f"{name}.yaml"
    if not path.is_file():
        return None
    node = content(path)
    base = next(
        (entry for entry in node.get("defaults", []) if isinstance(entry, str) and entry != "_self_"), None
    )
    return node.get("_target_") or (_target_in(folder, base) if base else None)


def content(path: Path) -> dict[str, Any]:
    """The tree in a YAML file of keys and values; a UserError with the line if it cannot be read."""
    try:
        tree = OmegaConf.to_container(OmegaConf.load(path), resolve=True)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        position = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise UserError(f"{path}{position}: {problem}") from None
    except (OmegaConfBaseException, ValueError, TypeError, RecursionError, OSError) as error:
        raise UserError(f"{path}: {str(error).splitlines()[0]}") from None
    if not isinstance(tree, dict):
        raise UserError(f"{path}: holds a list; it takes keys and their values")
    return {str(key): value for key, value in tree.items()}


def explain(error: Exception, overrides: list[str]) -> str:
    """One line for an error of Hydra's: what was given, what is valid, the nearest name."""
    if isinstance(error, OverrideParseException):
        return f"{error.override}: {unreadable(error.override)}"
    message = str(error) or str(error.__cause__ or type(error).__name__)
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        group, _, name = error.missing_cfg_file.rpartition("/")
        return _unknown_choice(group, name, error.options or choices(group))
    parsed = OverridesParser.create().parse_overrides(overrides)
    if message.startswith("Config group override must be"):
        single = [o for o in parsed if o.key_or_group in groups() and not o.is_sweep_override()]
        wrong = next(o for o in single if not isinstance(o.value(), str | list))
        written = "null" if wrong.value() is None else wrong.get_value_element_as_str()
        return _unknown_choice(wrong.key_or_group, written, choices(wrong.key_or_group))
    if wrong := re.search(r"Could not (?:override|delete(?: from config\.)?) '([^']+)'", message):
        return _unknown_override(wrong[1], parsed)
    if wrong := re.search(r"Could not append to config. An item is already at '([^']+)'", message):
        return f"{wrong[1]} exists already: leave out the '+'"
    if wrong := re.search(r"Ambiguous value for argument '([^=]+)=([^']+)'", message):
        return _ambiguous(wrong[1], wrong[2])
    cause = str(error.__cause__).splitlines()[0] if error.__cause__ else ""
    return " ".join(line.strip() for line in [message.splitlines()[0], cause] if line.strip())


def _ambiguous(key: str, value: str) -> str:
    several = f"{key}={value}: -m runs each of them; one list is written '{key}=[{value}]'"
    if re.fullmatch(r"\d+,\d+", value) and isinstance(
        OmegaConf.select(tree_of(config_dir(), [])[0], key), float
    ):
        return f"{several}, a decimal with a point: {key}={value.replace(',', '.')}"
    return several


def _unknown_choice(group: str, name: str, valid: Iterable[str]) -> str:
    valid = sorted(valid)
    sentence = f"{group}={name}: no such {group}; there are: {', '.join(valid)}"
    if group == "dataset" and (reader := READERS.get(Path(name).suffix)):
        return f"{sentence}; a file of your own is dataset={reader} dataset.path={name}"
    if group == "hydra/launcher" and re.search("submitit|slurm", name):
        return f"{sentence}, with pip install 'multilabel-bench[slurm]' submitit_slurm"
    if group == "threshold" and re.fullmatch(r"[\d.]+", name):
        return f"{sentence}; one cut for all is threshold.value={name}"
    return f"{sentence}{did_you_mean(name, valid)}"


def _unknown_override(key: str, parsed: list[Override]) -> str:
    """The sentence for a key that does not exist: the keys beside it, under the choices that were made."""
    if key.startswith("hydra."):
        return f"{key}: no such key; --info config shows what Hydra itself has"
    if "@" in key or "/" in key:
        return f"{key}: no such group; there are: {', '.join(groups())}{did_you_mean(key, groups())}"
    override = next((o for o in parsed if o.key_or_group == key and not o.is_sweep_override()), None)
    if override and any(o.is_sweep_override() and o.key_or_group == key.partition(".")[0] for o in parsed):
        # Hydra first composes without choices of a swept group, and looks up swept keys later.
        value = override.get_value_element_as_str()
        return f"{key}: while -m goes through choices of its group, write '{key}=choice({value})'"
    choosing = (*groups(), "hydra.searchpath")
    single = [o for o in parsed if o.key_or_group in choosing and not o.is_sweep_override()]
    chosen = [o.input_line for o in single if o.input_line]
    try:
        tree, _ = tree_of(config_dir(), chosen)
    except (HydraException, OmegaConfBaseException, ValueError):
        tree, _ = tree_of(config_dir(), [])
    near = _near(key, tree)
    *parents, _ = key.split(".")
    for depth, parent in enumerate(parents):
        if not isinstance(tree, DictConfig) or parent not in tree:
            return unknown_key(".".join(parents[: depth + 1]), _names(tree), near)
        tree = tree[parent]
    return unknown_key(key, _names(tree), near)


def _near(key: str, tree: DictConfig) -> str:
    """A hint at a key that may be meant: in another choice of the group, elsewhere, or by another name."""
    if having := _choices_with(key):
        return f"; {' and '.join(having)} {'have' if len(having) > 1 else 'has'} it"
    meant, group = meaning(key, [*groups(), *_paths(tree)]), key.partition(".")[0]
    return f"; did you mean {meant}?" if meant and (group not in tree or meant.startswith(group)) else ""


def _choices_with(key: str) -> list[str]:
    """Other choices of a key's group that have it, some of them."""
    group, _, name = key.partition(".")
    having = []
    for choice in choices(group) if group in GROUPS and "." not in name else []:
        if name in OmegaConf.load(config_dir() / group / f"{choice}.yaml"):
            having.append(f"{group}={choice}")
    return having[:3]


def _paths(tree: Any, path: str = "") -> Iterator[str]:
    """Every key in a tree, with its path."""
    for name in _names(tree):
        yield f"{path}{name}"
        yield from _paths(tree._get_node(name), f"{path}{name}.")


def _names(tree: Any) -> list[str]:
    if not isinstance(tree, DictConfig):
        return []
    return [str(name) for name in tree if name not in ("_target_", "hydra")]
