"""A person's own data set of several modalities, each in a file of its own: dataset=multimodal."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mlbench.data import modalities
from mlbench.data.datasets import Files
from mlbench.data.instances import Instances
from mlbench.data.joined import read
from mlbench.data.missing import Share
from mlbench.data.own import own_file
from mlbench.errors import UserError
from mlbench.names import one_name

LABELS = "labels"  # the role of a file that holds labels alone


class Multimodal(Files):
    """`dataset=multimodal 'dataset.files={audio: audio.csv, text: text.npz}'`.

    `labels_from` is a file of labels, or one of the modalities' files; by default the only one that has the
    labels. Rows are joined by the column `id`, in the order of the labels, else by their order. With `test`,
    files of the same modalities, there is an official split; their labels are in `test_labels_from`. Where
    files are `incomplete`, an id that one of them lacks is a row without that modality.
    """

    def __init__(
        self,
        files: dict[str, str],
        *,
        decimal: str,
        drop: Sequence[str | int] | str | int,
        missing: str,
        scaling: str,
        labels_from: str | None = None,
        test: dict[str, str] | None = None,
        test_labels_from: str | None = None,
        id: str | int | None = None,
        labels: Sequence[str | int] | str | int | None = None,
        label_list: str | int | None = None,
        names: Sequence[str] | None = None,
        label_separator: str | None = None,
        separator: str | None = None,
        use: list[str] | None = None,
        missing_modalities: Share | None = None,
        incomplete: bool | None = None,
        name: str | None = None,
    ):
        if not files:
            raise UserError("dataset.files={}: name a file for each modality, {audio: a.csv, text: t.csv}")
        if labels not in (None, []) and label_list is not None:
            raise UserError("dataset.labels and dataset.label_list are both given: leave one out")
        if label_list is None and (names, label_separator) != (None, None):
            option = "label_separator" if names is None else "names"
            raise UserError(f"dataset.{option} is for a column that lists labels, dataset.label_list=...")
        if test and {*test} != {*files}:
            raise UserError(
                f"dataset.test has {', '.join(map(str, test))}, dataset.files {', '.join(map(str, files))}: "
                "the modalities of both must be the same"
            )
        if test_labels_from and not test:
            raise UserError("dataset.test_labels_from is for dataset.test={...}, which is not given")
        if incomplete and id is None:
            raise UserError(
                "dataset.incomplete=true: rows that a file lacks are known by dataset.id=... alone"
            )
        self.incomplete = bool(incomplete)
        self.paths: dict[str, Path] = {}
        self.labels_in: dict[str, str | None] = {}  # part → the file of labels, by its role there
        given = {"train" if test else "all": (files, labels_from, "")}
        if test:
            given["test"] = ({m: test[m] for m in files}, test_labels_from, "test_")
        for part, (named, holder, prefix) in given.items():
            self.take(part, {str(m): path for m, path in named.items()}, holder, prefix)
        refuse_twice([*self.paths.items()])
        several = [labels] if isinstance(labels, str | int) else labels
        chosen = {
            **{"id": None if id is None else str(id), "labels": several and [*several]},
            **{"label_list": label_list, "names": names},
            **{"separator": separator, "decimal": decimal, "label_separator": label_separator},
            **{"drop": [drop] if isinstance(drop, str | int) else [*drop], "missing": missing},
            **({"incomplete": True} if incomplete else {}),
        }
        self.named = name
        parts = {part: {"name": self.paths[f"{part} {next(iter(files))}"].name} for part in given}
        super().__init__(
            name=name or "_".join(map(str, files)),
            files=parts | {role: {"name": path.name} for role, path in self.paths.items()},
            reader="mlbench.data.joined.read",
            scaling=scaling,
            use=use,
            missing_modalities=missing_modalities,
            columns_of=[*map(str, files)],  # for parsed rows that are kept: they know the modalities' names
            labels_in=[*self.labels_in.values()],
            **chosen,
        )
        self.modality_files = tuple(map(str, files))
        self.use = modalities.chosen(self.name, use, self.modality_files)

    def take(self, part: str, files: Mapping[str, str], holder: str | None, prefix: str) -> None:
        """Notes the files of a part, and in which of them its labels are."""
        key = "test" if prefix else "files"
        for modality, path in files.items():
            one_name(f"dataset.{key}: modality ", modality)
            self.paths[f"{part} {modality}"] = own_file(path, f"{key}.{modality}")
        self.labels_in[part] = holder and LABELS
        if holder and holder in files and not Path(holder).is_file():
            self.labels_in[part] = holder
        elif holder:
            path = own_file(holder, f"{prefix}labels_from")
            same = [m for m in files if self.paths[f"{part} {m}"].resolve() == path.resolve()]
            if same:
                self.labels_in[part] = same[0]
            else:
                self.paths[f"{part} {LABELS}"] = path

    @property
    def modality_names(self) -> tuple[str, ...]:
        return self.use or self.modality_files

    def locate(self, cache: Path) -> dict[str, Path]:
        first = {part: self.paths[f"{part} {self.modality_files[0]}"] for part in self.parts}
        return first | self.paths

    def absent(self, cache: Path) -> list[str]:
        return []

    def identity(self, cache: Path | None = None) -> dict[str, Any]:
        """Without names of files: those that were renamed are the same data."""
        return super().identity(cache) | {"name": self.named}

    def _read_from(self, paths: dict[str, Path], role: str) -> Instances:
        files = {m: paths[f"{role} {m}"] for m in self.modality_files}
        options = {
            name: self.options[name] for name in self.options if name not in ("columns_of", "labels_in")
        }
        return read(files, paths.get(f"{role} {LABELS}"), self.labels_in[role], **options)


def refuse_twice(paths: Sequence[tuple[str, Path]]) -> None:
    seen: dict[Path, str] = {}
    for role, path in paths:
        if (other := seen.setdefault(path.resolve(), role)) != role:
            named = " and ".join(each.removeprefix("all ") for each in (other, role))
            raise UserError(f"{path} is given for {named}: each modality and part has a file of its own")
