"""Data sets that lie in files: those that conf/dataset describes, and a person's own."""

import hashlib
import inspect
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
from hydra.utils import get_method
from scipy import sparse

from mlbench.data import modalities as blocks
from mlbench.data import sources
from mlbench.data.cache import cached
from mlbench.data.instances import Instances, Loaded, concatenate, statistics
from mlbench.data.missing import Share
from mlbench.data.own import label_file, own_file, own_images, own_path, stem
from mlbench.data.raw import Images, checksum, kind_of, raw_fields
from mlbench.data.scaling import scaler
from mlbench.data.sources import File
from mlbench.data.task import Kind
from mlbench.errors import UserError, did_you_mean
from mlbench.names import one_name

# Roles of files that hold instances, in the order of the rows; any other role is an argument of the reader.
PARTS = ("all", "train", "validation", "test")


def reader_named(path: str) -> Callable[..., Instances]:
    try:
        return get_method(path)
    except Exception as error:  # Hydra raises whatever importing the module raises
        raise UserError(f"reader {path} cannot be imported: {str(error).splitlines()[0]}") from error


def check_options(dataset: str, path: str, names: list[str]) -> None:
    """Refuses arguments that a reader does not take after the path, and the lack of one that it needs."""
    _, *parameters = inspect.signature(reader_named(path)).parameters.values()
    known = [parameter.name for parameter in parameters if parameter.kind is not parameter.VAR_KEYWORD]
    for name in names if len(known) == len(parameters) else []:
        if name not in known:
            takes = f"it takes {', '.join(known)}{did_you_mean(name, known)}" if known else "it takes none"
            raise UserError(f"data set {dataset}: {path} has no option {name}; {takes}")
    for parameter in parameters:
        if parameter.default is parameter.empty and parameter.name in known and parameter.name not in names:
            raise UserError(f"data set {dataset}: {path} needs to know dataset.{parameter.name}=...")


def check_one_of(path: str, options: Mapping[str, Any]) -> None:
    """Refuses none, or several, of the options of which a reader needs one, such as what the labels are."""
    one_of = getattr(reader_named(path), "one_of", {})
    chosen = [f"dataset.{option}" for option in one_of if options.get(option) not in (None, [])]
    if one_of and len(chosen) != 1:
        choices = " or ".join(f"dataset.{option}={meaning}" for option, meaning in one_of.items())
        raise UserError(f"{' and '.join(chosen) or 'the labels are not given'}: say one of {choices}")


def parts_in(dataset: str, roles: Mapping[str, Any]) -> list[str]:
    """The roles that hold instances, in the order of their rows."""
    parts = [role for role in PARTS if role in roles]
    if parts != ["all"] and not ("all" not in parts and {"train", "test"} <= set(parts)):
        raise UserError(
            f"data set {dataset}: its files are {', '.join(roles) or 'none'}; needed are all, or train and "
            "test and perhaps validation"
        )
    return parts


def file_described(dataset: str, role: str, entry: Mapping[str, Any]) -> File:
    known = [*File.__dataclass_fields__]
    for key in entry:
        if key not in known:
            near = did_you_mean(key, known)
            raise UserError(f"data set {dataset}: files.{role} has no {key}; it has {', '.join(known)}{near}")
    if not entry.get("name"):
        raise UserError(f"data set {dataset}: files.{role} needs a name")
    one_name(f"dataset.files.{role}.name", entry["name"])
    if entry.get("urls") and not entry.get("sha256"):
        raise UserError(f"data set {dataset}: files.{role} is downloaded only with a sha256 to check it by")
    return File(**{**entry, "urls": tuple(entry.get("urls") or ())})


def alike(dataset: str, parts: dict[str, Instances]) -> list[Instances]:
    """The parts, refused if their labels or features differ; all are sparse if one is."""
    (role, first), *rest = parts.items()
    for other_role, part in rest:
        for kind, names, other_names in (
            ("labels", first.labels, part.labels),
            ("features", first.feature_names, part.feature_names),
        ):
            if names != other_names:
                different = sorted(set(names) ^ set(other_names))
                difference = f", such as {different[0]!r}" if different else ", in another order"
                raise UserError(
                    f"data set {dataset}: {other_role} has other {kind} ({len(other_names)}) than {role} "
                    f"({len(names)}){difference}; the files of one data set must agree"
                )
    if not any(sparse.issparse(part.features) for part in parts.values()):
        return list(parts.values())
    return [replace(part, features=sparse.csr_matrix(part.features)) for part in parts.values()]


class Files:
    """A data set in files.

    `files` says for each role what the file is called, its SHA-256 and length (both of the uncompressed
    content) and where it can be downloaded. Roles: `all`; or `train` and `test` and perhaps `validation`,
    and then the data set has an official split and its rows stand in the order train, validation, test. Any
    other role is handed to the reader under its name.

    `reader` is the dotted name of a function (path, **options) -> Instances, called with `options`.
    `modalities` gives first and last column of each, zero-based, as papers write them. `statistics` are what
    the rows must have. `use` names the modalities to keep. `where` tells a person how to get the files that
    have no address; `folder` is the data set's folder below each of MLBENCH_DATA, by default called as the
    data set is.
    """

    def __init__(
        self,
        name: str,
        files: dict[str, dict[str, Any]],
        reader: str,
        scaling: str,
        modalities: dict[str, list[int]] | None = None,
        use: list[str] | None = None,
        missing_modalities: Share | None = None,
        kind: Kind = "vector",
        statistics: dict[str, int | float] | None = None,
        folder: str | None = None,
        where: str | None = None,
        citation: str | None = None,
        licence: str | None = None,
        notes: str | None = None,
        **options: Any,
    ):
        if kind not in get_args(Kind):
            near = did_you_mean(str(kind), get_args(Kind))
            raise UserError(f"dataset.kind={kind}: choose {', '.join(get_args(Kind))}{near}")
        scaler(scaling)  # refuses an unknown name
        self.raw = raw_fields(options)  # the fields of which encoders are to make features
        self.name, self.scaling = name, scaling
        self.kind: Kind = kind_of(self.raw) if self.raw else kind
        one_name("dataset.name", name)
        self.files = {role: file_described(name, role, entry) for role, entry in files.items()}
        self.known: dict[str, str] = {}  # checksums by role, once all are known
        self.parts = parts_in(name, files)
        self.official = () if self.parts == ["all"] else tuple(self.parts)
        if options.get("split"):  # a field says of each row which part it belongs to
            self.official = tuple(p for p in PARTS[1:] if p != "validation" or p in (statistics or {}))
        self.companions = [role for role in files if role not in PARTS]
        self.reader, self.options = reader, options
        check_options(name, reader, [*options, *self.companions])
        check_one_of(reader, options)
        self.modalities = blocks.ranges(name, modalities or {})
        self.use = blocks.chosen(name, use, self.raw or [*self.modalities])
        self.missing_modalities = missing_modalities
        group = options.get("group") or ()  # the fields by which a split can keep rows together
        self.groups = (group,) if isinstance(group, str) else tuple(group)
        self.statistics = statistics or {}
        self.folder, self.where = one_name("dataset.folder", folder or name), where
        self.citation, self.licence, self.notes = citation, licence, notes

    @property
    def modality_names(self) -> tuple[str, ...]:
        """Empty where the features are one block, or where only the reader knows."""
        return self.use or self.raw or tuple(self.modalities)

    def locate(self, cache: Path) -> dict[str, Path]:
        """The path of each file, which is downloaded if need be."""
        return sources.obtain(self.name, self.files, self.folder, cache, self.where)

    def absent(self, cache: Path) -> list[str]:
        """The files that are not here and have no address to be downloaded from."""
        gone = [file for file in self.files.values() if not sources.find(file, self.folder, cache)]
        return [file.name for file in gone if not (file.urls and file.sha256)]

    def identity(self, cache: Path | None = None) -> dict[str, Any]:
        """What defines the data: part of a run's key. Only files without a stated checksum are opened."""
        return {
            "name": self.name,
            "files": self.checksums(cache),
            "reader": self.reader,
            "options": self.options,
            "modalities": {name: list(columns) for name, columns in self.modalities.items()},
            "scaling": self.scaling,
            **({"gaps": "as in training rows"} if self.options.get("missing") == "mean" else {}),
        } | blocks.identity(self.use, self.missing_modalities)

    def checksums(self, cache: Path | None = None) -> dict[str, str]:
        """SHA-256 by role, the parts first: the stated one, else that of the file, which must exist."""
        if self.known:
            return self.known
        cache = cache and Path(cache).expanduser()
        stated = {role: self.files[role].sha256 for role in (*self.parts, *self.companions)}
        paths = {} if all(stated.values()) else self.locate(cache or sources.default_cache())
        known = {}
        for role, sha256 in stated.items():
            known[role] = sha256 or self._checksum(paths, role, cache)
            if known[role] is None:
                raise UserError(f"{paths[role]} is truncated or damaged; put a whole file in its place")
        self.known = known
        return known

    def load(self, cache: Path) -> Loaded:
        """Reads the files, or what an earlier run parsed of them, and verifies the statistics."""
        cache = Path(cache).expanduser()
        checksums = self.checksums(cache)
        name = re.sub(r"[^\w.-]+", "_", self.name)
        parts = {}
        for role in self.parts:
            parsed = cache / "parsed" / f"{name[:100]}-{role}-{self._key(role, checksums)}.npz"
            parts[role] = cached(parsed, lambda role=role: self._read(role, cache))
        instances = self._with_modalities(concatenate(alike(self.name, parts)))
        if isinstance(images := instances.raw.get("image"), Images) and "images" in self.companions:
            located = replace(images, source=self.locate(cache)["images"])  # it may have been moved
            instances = replace(instances, raw=instances.raw | {"image": located})
        official = None
        if self.parts == ["all"] and self.official:
            official = self._parts_named(np.array(instances.words["split"]))
        elif self.official:
            ends = np.cumsum([len(part) for part in parts.values()])
            official = {role: np.arange(end - len(parts[role]), end) for role, end in zip(parts, ends)}
        self._verify(instances, official or {})
        if not self.raw:  # else its encoders make the modalities, those alone that are used
            instances = blocks.kept(self.name, instances, self.use)
        return Loaded(instances, official)

    def _key(self, role: str, checksums: dict[str, str]) -> str:
        """Changes with all that a parsed part depends on."""
        files = [checksums[name] for name in (role, *self.companions)]
        depends = {"files": files, "reader": self.reader, "options": self.options}
        return hashlib.sha256(json.dumps(depends, sort_keys=True).encode()).hexdigest()[:16]

    def _read(self, role: str, cache: Path) -> Instances:
        return self._read_from(self.locate(cache), role)

    def _read_from(self, paths: dict[str, Path], role: str) -> Instances:
        companions = {name: paths[name] for name in self.companions}
        return reader_named(self.reader)(paths[role], **companions, **self.options)

    def _checksum(self, paths: dict[str, Path], role: str, cache: Path | None) -> str | None:
        """The checksum of a file; of a folder that of the files that its reader reads, of a folder of images
        that of the rows' images.
        """
        if not paths[role].is_dir():
            return sources.checksum(paths[role], cache)
        if role in self.parts:
            reader: Any = reader_named(self.reader)
            names = tuple(reader.files(paths[role]))
            return checksum(Images(paths[role], names, names), cache)
        instances = concatenate(alike(self.name, {part: self._read_from(paths, part) for part in self.parts}))
        images = instances.raw["image"]
        assert isinstance(images, Images)
        return checksum(images, cache)

    def _parts_named(self, words: np.ndarray) -> dict[str, np.ndarray]:
        """The rows of each part, as a field of the file names it."""
        parts = {part: np.flatnonzero(words == part) for part in PARTS[1:]}
        for part in ("train", "test"):
            if not len(parts[part]):
                raise UserError(
                    f"data set {self.name}: no row is in the part {part}; leave out dataset.split"
                )
        return {part: rows for part, rows in parts.items() if len(rows)}

    def _with_modalities(self, instances: Instances) -> Instances:
        """The ranges that were given, else those that the reader found."""
        width = len(instances.feature_names)
        if not self.modalities:
            return instances
        if list(self.modalities.values()) == list(instances.modalities.values()):  # at most renamed
            return replace(instances, modalities=self.modalities)
        if instances.modalities:
            wrong = f"its file has the modalities {instances.modalities} (first column, last + 1)"
        elif instances.attributes not in (None, width):
            # A range would count attributes, of which some became several columns and others none.
            wrong = f"its {instances.attributes} attributes became {width} columns, so none can be told"
        elif (last := max(stop for _, stop in self.modalities.values())) != width:
            wrong = f"it has {width} feature columns, but its modalities cover {last}"
        else:
            return replace(instances, modalities=self.modalities)
        raise UserError(f"data set {self.name}: {wrong}; correct dataset.modalities, or leave them out")

    def _verify(self, instances: Instances, official: dict[str, np.ndarray]) -> None:
        if not instances.targets.any():
            named = ", ".join(instances.labels[:3])
            raise UserError(
                f"data set {self.name}: no row has any label, of {len(instances.labels)} "
                f"({named or 'none'}): there is nothing to learn; name the columns or the file that have them"
            )
        values = statistics(instances) | {role: len(rows) for role, rows in official.items()}
        for name, expected in self.statistics.items():
            if name not in values:
                near = did_you_mean(name, values)
                raise UserError(f"data set {self.name}: no statistic is called {name}{near}")
            value = values[name]
            if name == "cardinality":  # to as many digits as are stated
                _, _, digits = str(expected).partition(".")
                value = round(float(instances.targets.sum(axis=1).mean()), len(digits))
            if value != expected:
                raise UserError(
                    f"data set {self.name}: {name} is {value}, but {expected} was expected; put the right "
                    "file in its place, or correct dataset.statistics"
                )


class OwnFiles(Files):
    """A person's own file, with the reader's options beside its path: dataset=csv dataset.path=my.csv.

    With a second file, `test`, there is an official split. Relative paths start at the working directory.
    `xml`, for a reader that needs one, is by default the XML file beside `path`. The data set is called
    `name`, or as the file is.
    """

    def __init__(
        self,
        reader: str,
        scaling: str,
        path: str | None = None,
        test: str | None = None,
        name: str | None = None,
        modalities: dict[str, list[int]] | None = None,
        use: list[str] | None = None,
        missing_modalities: Share | None = None,
        citation: str | None = None,
        licence: str | None = None,
        **options: Any,
    ):
        if path is None:
            choice = reader.split(".")[-2:][0]
            raise UserError(f"dataset={choice} reads a file of your own: say which with dataset.path=...")
        check_one_of(reader, options)
        within = getattr(reader_named(reader), "within", None)
        location = own_path(path, within)
        self.paths = {"train" if test else "all": location}
        if test:
            self.paths["test"] = own_file(test, "test")
        options = {option: value for option, value in options.items() if value is not None}
        beside = "images" in inspect.signature(reader_named(reader)).parameters
        if beside and ("images" in options or options.get("image")):
            self.paths["images"] = own_images(options.pop("images", None), location)
        xml = inspect.signature(reader_named(reader)).parameters.get("xml")
        if xml and "xml" in options:
            self.paths["xml"] = own_file(options.pop("xml"), "xml")
        elif xml and xml.default is xml.empty:
            self.paths["xml"] = label_file(own_file(path, "path"))
        self.named = name
        super().__init__(
            name=name or stem(Path(path)),
            files={role: {"name": path.name} for role, path in self.paths.items()},
            reader=reader,
            modalities=modalities,
            use=use,
            missing_modalities=missing_modalities,
            scaling=scaling,
            citation=citation,
            licence=licence,
            **options,
        )

    def locate(self, cache: Path) -> dict[str, Path]:
        return self.paths

    def absent(self, cache: Path) -> list[str]:
        return []

    def identity(self, cache: Path | None = None) -> dict[str, Any]:
        """Without the file's name: a file that was renamed is the same data."""
        return super().identity(cache) | {"name": self.named}
