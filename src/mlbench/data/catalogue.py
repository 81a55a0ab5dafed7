"""The data sets that conf/dataset describes, and whether the files of each are here."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.utils import get_class

from mlbench.compose import config_dir, content
from mlbench.data.datasets import file_described
from mlbench.data.raw import raw_fields
from mlbench.data.sources import File, find

NUMBERS = ("instances", "features", "labels", "cardinality", "label_sets")
BY_HAND = "by hand"


@dataclass(frozen=True)
class Entry:
    """What conf/dataset says of a data set; `files` is empty if the data set is made, or a person's own."""

    name: str
    target: str
    files: dict[str, File]
    folder: str
    where: str | None
    statistics: dict[str, Any]
    modalities: tuple[str, ...]  # as stated

    @property
    def modality_names(self) -> tuple[str, ...]:
        """The modalities that conf/dataset states; for a data set without files, those of its class."""
        return self.modalities if self.files else getattr(get_class(self.target), "modality_names", ())

    @property
    def is_format(self) -> bool:
        """Whether the entry stands for a format in which people bring files of their own."""
        return self.target.endswith((".OwnFiles", ".Multimodal", ".Hub"))


def described() -> Iterator[tuple[str, Entry]]:
    """The data sets of conf/dataset, by name."""
    for path in sorted((config_dir() / "dataset").glob("*.yaml")):
        node = content(path)
        files = node.get("files") or {}
        files = files if files != "???" else {}  # a person's own
        entry = Entry(
            name=path.stem,
            target=node.get("_target_") or "",
            files={role: file_described(path.stem, role, file) for role, file in files.items()},
            folder=node.get("folder") or path.stem,
            where=node.get("where"),
            statistics=node.get("statistics") or {},
            modalities=tuple(node.get("modalities") or raw_fields(node)),
        )
        yield path.stem, entry


def facts(entry: Entry) -> list[str]:
    split = [shown(entry.statistics.get(part)) for part in ("train", "validation", "test")]
    return [*(shown(entry.statistics.get(name)) for name in NUMBERS), "/".join(filter(None, split))]


def shown(number: float | None) -> str:
    if number is None:
        return ""
    return f"{number:,}" if isinstance(number, int) else f"{number:.3f}"


def state(entry: Entry, cache: Path) -> str:
    """Whether the files are here, with the right checksums, or how to get those that are not."""
    missing = [file for file in entry.files.values() if find(file, entry.folder, cache) is None]
    if not entry.files:
        return "built in"
    if not missing:
        return "here"
    return size(missing) if size(missing) == BY_HAND else f"get {size(missing)}"


def size(files: list[File]) -> str:
    """The size of the uncompressed files; `by hand` if one of them has no address."""
    if not all(file.urls for file in files):
        return BY_HAND
    total = sum(file.bytes or 0 for file in files)
    return f"{total / 1e6:.1f} MB" if total >= 1e6 else f"{total / 1e3:.0f} kB"
