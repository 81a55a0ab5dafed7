"""Which files of a data set's folder on Hugging Face's hub hold rows, and what its card says of them."""

import contextlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from mlbench.data import arrow
from mlbench.data.formats.jsonl import PARTS
from mlbench.errors import UserError, did_you_mean

CARD, SAVED = "README.md", "dataset_info.json"  # what says more of the files than their names


def shards(path: Path, subset: str | None = None) -> dict[str, str | None]:
    """The files with rows, as paths below the folder, and the part of each; None where nothing names one."""
    if path.is_file():
        return {path.name: None}
    files = [file.relative_to(path).as_posix() for file in sorted(path.rglob("*.parquet")) if file.is_file()]
    files = files or saved_files(path)
    if not files:
        raise UserError(f"{path} {without_tables([each.name for each in path.iterdir()])}")
    declared = by_card(path, files, subset)
    return declared if declared is not None else by_name(path, files, subset)


def in_parts(parts: Mapping[str, str | None]) -> dict[str, str | None]:
    """The files that belong to a part, or all where none does."""
    return {file: part for file, part in parts.items() if part} or {**parts}


def without_tables(names: Sequence[str]) -> str:
    """What is said of a folder in which no file is one that is read."""
    scripts = sorted(name for name in names if name.endswith(".py"))
    others = sorted(
        name for name in names if name.endswith((".csv", ".json", ".jsonl", ".zip", ".tar", ".gz"))
    )
    has = f"has no Parquet files but {(scripts + others)[0]}" if scripts or others else "has no Parquet files"
    never = ", a program, and programs of a data set are never run" if scripts else ""
    return (
        f"{has}{never}: dataset.revision=refs/convert/parquet has those that the hub itself made of it, "
        f"where it could"
    )


def saved_files(path: Path) -> list[str]:
    """The files that `save_to_disk` wrote, in their order; caches beside them are none of the data set."""
    files = []
    for state in sorted(path.rglob("state.json")):
        content = json_in(state)
        if content.get("_indices_data_files"):
            raise UserError(f"{state}: the rows are picked by another file: save it after flatten_indices()")
        names = [str(each.get("filename")) for each in content.get("_data_files") or []]
        files += [(state.parent / PurePosixPath(name).name).relative_to(path).as_posix() for name in names]
    for name in files:
        if not (path / name).is_file():
            raise UserError(f"{path}: {name}, which its state.json names, is not there")
    return files


def by_name(path: Path, files: Sequence[str], subset: str | None) -> dict[str, str | None]:
    """Parts by the words in the names of files and folders."""
    folders = {name: name.split("/")[:-1] for name in files}
    above = {steps[-2] for steps in folders.values() if len(steps) > 1 and part_of(steps[-1])}
    every = {step for steps in folders.values() for step in steps}
    only(path, sorted(above | ({subset or ""} & every)), subset)
    return {name: part_of(name) for name in files if subset is None or subset in folders[name]}


def part_of(name: str) -> str | None:
    """The part that the file's name, or else the folder nearest to it, names."""
    for step in reversed(name.split("/")):
        words = [word for word in re.split(r"[^a-z]+", step.lower()) if word in PARTS]
        if words:
            return PARTS[words[0]]
    return None


def by_card(path: Path, files: Sequence[str], subset: str | None) -> dict[str, str | None] | None:
    """Parts as the card says them; None where it does not."""
    configs = card_in(path).get("configs")
    try:
        listed = {str(each["config_name"]): patterns_in(each["data_files"]) for each in configs or []}
        usual = [str(each["config_name"]) for each in configs or [] if each.get("default")]
    except (KeyError, TypeError, AttributeError):
        return None
    if not listed:
        return None
    preferred = [*usual, *(["default"] if "default" in listed else [])]
    name = only(path, sorted(listed), subset or (preferred[0] if preferred else None))
    parts: dict[str, str | None] = {}
    for word, pattern in listed[str(name)]:
        part = PARTS.get(word.lower(), part_of(word))
        parts |= {file: part for file in files if fnmatchcase(file, pattern.removeprefix("./"))}
    if not parts:
        raise UserError(f"{path}: of the files that {CARD} lists for {name}, none is there")
    return parts


def patterns_in(data_files: Any) -> list[tuple[str, str]]:
    """(part, pattern) of what stands in a card: one pattern, a list, or patterns by part."""
    if isinstance(data_files, str):
        return [("train", data_files)]
    if isinstance(data_files, Mapping):
        data_files = [{"split": part, "path": where} for part, where in data_files.items()]
    patterns = []
    for each in data_files:
        part, where = (each["split"], each["path"]) if isinstance(each, Mapping) else ("train", each)
        patterns += [(str(part), str(pattern)) for pattern in ([where] if isinstance(where, str) else where)]
    return patterns


def only(path: Path, subsets: Sequence[str], wanted: str | None) -> str | None:
    """The subset that is asked for, or the only one; None where there are none."""
    if wanted is not None and wanted not in subsets:
        has = f"it has {', '.join(subsets)}{did_you_mean(wanted, subsets)}" if subsets else "it has none"
        raise UserError(f"{path} has no subset {wanted}; {has}")
    if wanted is None and len(subsets) > 1:
        shown = ", ".join(subsets[:10]) + (", ..." if len(subsets) > 10 else "")
        raise UserError(f"{path} has {len(subsets)} subsets, {shown}: say which with dataset.subset=...")
    return wanted or next(iter(subsets), None)


def card_in(path: Path) -> dict[str, Any]:
    """What stands in front of the card's text; {} where nothing does."""
    card = path / CARD
    text = card.read_text(errors="replace") if card.is_file() else ""
    head = re.match(r"---\s*\n(.*?)\n---\s*(\n|$)", text, re.DOTALL)
    with contextlib.suppress(yaml.YAMLError, RecursionError):
        content = yaml.safe_load(head[1]) if head else {}
        return content if isinstance(content, dict) else {}
    return {}


def json_in(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is no JSON: {arrow.first_line(error)}") from None
    return content if isinstance(content, dict) else {}


def class_names(
    path: Path, files: Mapping[str, Any], columns: Sequence[str], subset: str | None
) -> list[str]:
    """The names of the numbers in the column of labels; [] where nothing says any."""
    root = path if path.is_dir() else path.parent
    for file in [*files][:1] if len(columns) == 1 else []:
        schema = arrow.schema_of(root / file)
        for features in (arrow.features_of(schema), *described(root, file, subset)):
            if names := names_below(features.get(columns[0])):
                return names
    return []


def described(root: Path, file: str, subset: str | None) -> Iterator[dict[str, Any]]:
    """Features by column, of the card and of what `save_to_disk` wrote beside a file."""
    about = card_in(root).get("dataset_info") or []
    for each in about if isinstance(about, list) else [about]:
        features = each.get("features") if isinstance(each, dict) else None
        if isinstance(features, list) and subset in (None, each.get("config_name")):
            yield {str(one.get("name")): one for one in features if isinstance(one, dict)}
    saved = (root / file).with_name(SAVED)
    features = json_in(saved).get("features") if saved.is_file() else None
    if isinstance(features, dict):
        yield features


def names_below(feature: Any) -> list[str]:
    """The first `names` anywhere in what describes a column: a list, or by number."""
    if isinstance(feature, list):
        return next(filter(None, map(names_below, feature)), [])
    if not isinstance(feature, dict):
        return []
    names = feature.get("names")
    if isinstance(names, dict):
        names = [names[number] for number in sorted(names, key=int)]
    if isinstance(names, list) and names:
        return [str(name) for name in names]
    return next(filter(None, map(names_below, feature.values())), [])
