"""The paths of a person's own files, checked."""

import re
from collections.abc import Callable
from pathlib import Path

from mlbench.data.download import SUFFIXES
from mlbench.errors import UserError

ARCHIVES = (".tar", ".zip")


def own_file(written: str, key: str) -> Path:
    path = Path(written).expanduser().absolute()
    if path.is_dir():
        raise UserError(f"dataset.{key}={written} is a folder; name the file in it")
    if not path.is_file():
        raise UserError(f"dataset.{key}={written}: there is no file {path}")
    return path


def own_path(written: str, within: Callable[[Path], Path] | None) -> Path:
    """The file; of a folder what a reader of such, by its `within`, looks for in it."""
    path = Path(written).expanduser().absolute()
    return within(path) if within and path.is_dir() else own_file(written, "path")


def own_images(written: str | None, path: Path) -> Path:
    """The folder, tar or zip of the images; by default the folder of the index, or the archive that it is."""
    if written is None:
        return path if path.is_dir() or path.suffix in ARCHIVES else path.parent
    folder = Path(written).expanduser().absolute()
    return folder if folder.is_dir() else own_file(written, "images")


def stem(path: Path) -> str:
    """The file's name without its suffix and the suffix of a compression."""
    name = path.with_suffix("") if path.suffix in SUFFIXES[1:] else path
    return name.stem


def label_file(path: Path) -> Path:
    """The XML beside a Mulan file: of the same name, with or without -train or -test, else the only one."""
    name = stem(path)
    for candidate in (name, re.sub(r"[-_](train|test)$", "", name, flags=re.IGNORECASE)):
        if (xml := path.with_name(f"{candidate}.xml")).is_file():
            return xml
    candidates = sorted(path.parent.glob("*.xml"))
    if len(candidates) != 1:
        beside = f"{len(candidates)} XML files lie" if candidates else "no XML file lies"
        raise UserError(f"{beside} beside {path}; say which names the labels with dataset.xml=...")
    return candidates[0]
