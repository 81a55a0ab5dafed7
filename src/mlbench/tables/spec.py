"""What a table is: conf/table/<paper>/<n>.yaml, checked. Words and overrides, no logic.

A table is a grid over the axes `dataset`, `setting` and `method`; a value of an axis is a name, the one in
the published numbers, and the overrides of `run.py` that it stands for. A table with a `base` states only
what differs from that table.
"""

import itertools
import os
import shlex
from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import starmap
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationError, model_validator

from mlbench.compose import choices, config_dir, content
from mlbench.config import Strict
from mlbench.errors import UserError, did_you_mean
from mlbench.search import spec as searches
from mlbench.search.sample import sample
from mlbench.spelling import spelled
from mlbench.tables.published import statistics

Axis = Literal["dataset", "setting", "method", "metric"]
GRID = ("dataset", "setting", "method")
OF_SCORE = ("dataset", "split", "threshold", "paths.")  # words that `score` takes, too


Option = Annotated[str, Field(pattern=r"\.")]  # method.w_ld; a group is chosen by a value of an axis
Scalar = bool | int | float | str | None


class Draw(Strict):
    """So many random points of the space of a sweep, whose overrides are the table's to say."""

    sweep: str
    count: int = Field(ge=1)

    @cached_property
    def points(self) -> list[dict[str, Scalar]]:
        return [{**point} for point in sample(searches.read(self.sweep, {}).space, self.count)]


class Value(Strict):
    """One value of an axis. `not_run` says why its cells cannot be run: `data`, `encoder`, `method`.

    `imported` names predictions of another program that `mlbench score ... as=` keeps; nothing is run.
    """

    overrides: tuple[str, ...] = ()
    where: Mapping[str, tuple[str, ...]] = Field(default={})  # data set → overrides that replace `overrides`
    # Option → its values: a run each, of which the validation part chooses one for every seed.
    choose: Mapping[Option, Annotated[tuple[Scalar, ...], Field(min_length=1)]] = Field(default={})
    draw: Draw | None = None  # of points instead of all of a grid
    not_run: str | None = None
    imported: str | None = None
    shown: str | None = None  # the name on pages, where the published name says too little

    @model_validator(mode="after")
    def _says_little_of_what_is_imported(self) -> "Value":
        words = [*self.overrides, *itertools.chain(*self.where.values()), *self.choose]
        words += self.draw.points[0] if self.draw else []
        if self.imported and (wrong := [word for word in words if not word.startswith(OF_SCORE)]):
            raise ValueError(f"imported predictions are not run: {wrong[0]} says nothing of them")
        return self


def _values(given: Any, axis: str) -> Any:
    """A list of names stands for choices of the group: [scene] is {scene: [dataset=scene]}."""
    if isinstance(given, list):
        if wrong := [name for name in given if not isinstance(name, str)]:
            raise ValueError(f"{wrong[0]}: a list names choices of {axis}; write [one, another]")
        given = {name: [f"{axis}={name}"] for name in given}
    if not isinstance(given, dict):
        return given
    return {
        name: {"overrides": value} if isinstance(value, list) else value or {}
        for name, value in given.items()
    }


def _axes(given: Any) -> Any:
    return (
        {axis: _values(values, axis) for axis, values in given.items()} if isinstance(given, dict) else given
    )


class Measured(Strict):
    """A column of numbers: our metric, or `train_time_minutes`, and what is known of the paper's."""

    ours: str
    note: str | None = None


def _measured(given: Any) -> Any:
    """A list of our metrics names them as we do: [f1_macro] is {f1_macro: {ours: f1_macro}}."""
    if isinstance(given, list):
        given = {str(name): name for name in given}
    if not isinstance(given, dict):
        return given
    return {
        name: {"ours": measured} if isinstance(measured, str) else measured
        for name, measured in given.items()
    }


def _tuple(given: Any) -> Any:
    return () if given is None else (given,) if isinstance(given, str) else given


class Layout(Strict):
    """Which axis is where; blocks may be by two. An axis that is not named must have one value."""

    blocks: Annotated[tuple[Axis, ...], BeforeValidator(_tuple)] = ()
    rows: Axis = "method"
    columns: Axis = "metric"

    @property
    def placed(self) -> tuple[Axis, ...]:
        return *self.blocks, self.rows, self.columns


Rule = Literal["last", "best", "oracle"]


class Variant(Strict):
    """The same runs once more, by other metrics: those whose name ends in `suffix`, or of another `rule`."""

    title: str
    suffix: str = ""
    rule: Rule | None = None


class Results(Strict):
    """A table of results."""

    title: str
    published: str | None = None
    axes: Annotated[dict[Literal["dataset", "setting", "method"], dict[str, Value]], BeforeValidator(_axes)]
    overrides: tuple[str, ...] = ()  # of every run
    metrics: Annotated[dict[str, Measured], BeforeValidator(_measured)]  # by the published numbers' names
    seeds: int = Field(ge=1)
    folds: int | None = Field(default=None, ge=2)  # cross-validation: so many runs of each seed
    published_seeds: int | None = Field(default=None, ge=1)  # behind each printed mean; None: not said
    rule: Rule = "last"
    layout: Layout = Layout(blocks=("dataset",))
    variants: tuple[Variant, ...] = ()
    scale: float = 1.0  # 100: the paper prints percent
    decimals: int = Field(default=4, ge=0)
    printed_ranks: Literal["columns", "cells", None] = None  # mean over a row's columns | of each cell
    notes: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _fits(self) -> "Results":
        if not {"dataset", "method"} <= set(self.axes):
            raise ValueError("axes needs dataset and method")
        placed = self.layout.placed
        if len(set(placed)) < len(placed):
            raise ValueError("layout names an axis twice")
        lengths = {axis: len(values) for axis, values in self.axes.items()} | {"metric": len(self.metrics)}
        for axis, length in lengths.items():
            if length > 1 and axis not in placed:
                raise ValueError(f"layout has no place for the {length} values of {axis}")
        values = [value for axis in self.axes.values() for value in axis.values()]
        for name in (name for value in values for name in value.where):
            if name not in (known := self.axes["dataset"]):
                raise ValueError(f"where.{name}: the table has no such data set{did_you_mean(name, known)}")
        for where in itertools.product(*map(self.names, GRID)):
            overridden = {word.partition("=")[0] for word in self.overrides_at(where)}
            if both := overridden & self.choose(where).keys():
                raise ValueError(f"choose.{min(both)}: overrides give it a value, too; leave one of them out")
        return self

    def names(self, axis: Axis) -> list[str]:
        """The values of an axis; [""] for one that the table does not have."""
        if axis == "metric":
            return list(self.metrics)
        return list(self.axes.get(axis, {"": None}))

    def values(self, where: Sequence[str]) -> list[Value]:
        """The values of the axes at a data set, a setting and a method."""
        return [self.axes[axis][name] for axis, name in zip(GRID, where) if axis in self.axes]

    def called(self, axis: Axis, name: str) -> str:
        """A value's name with a mark if nothing of it is run here."""
        value = self.axes[axis].get(name) if axis in self.axes else None
        return f"{name} (imported)" if value and value.imported else name

    def imported(self, where: Sequence[str]) -> str | None:
        """The name of what is imported there, where nothing is run."""
        return next((value.imported for value in self.values(where) if value.imported), None)

    def overrides_at(self, where: Sequence[str]) -> list[str]:
        """The overrides of a cell's runs: choices of groups first, since they bring in options."""
        values = self.values(where)
        words = [word for value in values for word in value.where.get(where[0], value.overrides)]
        words += self.overrides
        if self.folds:
            words += [] if any(word.startswith("split=") for word in words) else ["split=kfold"]
            words += [f"split.folds={self.folds}"]
        return sorted(words, key=lambda word: "." in word.partition("=")[0])

    def choose(self, where: Sequence[str]) -> dict[str, tuple[Scalar, ...]]:
        """The options that the validation part chooses at this place of the grid, and their values."""
        drawn = [point for draw in self.draws(where) for point in draw.points]
        names = dict.fromkeys(option for point in drawn for option in point)
        return self.grid(where) | {
            name: tuple(point[name] for point in drawn if name in point) for name in names
        }

    def grid(self, where: Sequence[str]) -> dict[str, tuple[Scalar, ...]]:
        """The options of which every combination is a point."""
        return {option: given for value in self.values(where) for option, given in value.choose.items()}

    def draws(self, where: Sequence[str]) -> list[Draw]:
        return [value.draw for value in self.values(where) if value.draw]

    def points(self, where: Sequence[str]) -> list[list[str]]:
        """The overrides of each point of the grid of options to choose from; the last one varies first."""
        grid = [[[word(option, value)] for value in given] for option, given in self.grid(where).items()]
        grid += [[list(starmap(word, point.items())) for point in draw.points] for draw in self.draws(where)]
        return [[*itertools.chain(*point)] for point in itertools.product(*grid)]


def word(option: str, value: Scalar) -> str:
    return f"{option}={'null' if value is None else value}"


class Statistics(Strict):
    """A table of data sets: what the paper prints of each, and what we count in the same files."""

    title: str
    published: str
    datasets: dict[str, str | None]  # published name → ours, in conf/dataset; None: not here
    notes: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _fits(self) -> "Statistics":
        printed, known = statistics(self.published), choices("dataset")
        for name, ours in self.datasets.items():
            if name not in printed:
                raise ValueError(f"datasets.{name} is not printed there{did_you_mean(name, printed)}")
            if ours not in (None, *known):
                raise ValueError(f"datasets.{name}={ours}: no such data set{did_you_mean(ours, known)}")
        if left_out := [name for name in printed if name not in self.datasets]:
            raise ValueError(f"datasets leaves out {', '.join(left_out)}; one that is not here is null")
        return self


Spec = Results | Statistics


def folder() -> Path:
    return config_dir() / "table"


def names() -> list[str]:
    """ant/2, ...: paper by paper, in the order of their numbers."""
    paths = [path.relative_to(folder()).with_suffix("").as_posix() for path in folder().glob("*/*.yaml")]
    return sorted(paths, key=lambda name: (name.partition("/")[0], len(name), name))


def command(name: str) -> str:
    """What a person types for the table of that name or in that file."""
    return f"{spelled('reproduce')} {shlex.quote(f'table={name}')}"


def stem(name: str) -> str:
    """What the names of its files begin with: ant-2; a table in a file of one's own is called after it."""
    return Path(name).stem if name.endswith(".yaml") else name.replace("/", "-")


def read(name: str) -> Spec:
    """The table of that name or in that file; UserError where it is missing or wrong."""
    return checked(stated_by(name), name)


def stated_by(name: str, above: tuple[str, ...] = ()) -> dict[str, Any]:
    """What the file of a table states, over what its `base` states: key by key, and axis by axis in `axes`;
    null removes a key of the base.

    `above` are the tables that lead here by their `base`, the one that was asked for first.
    """
    asked = f"{shown(above[-1])}: base={name}" if above else f"table={name}"
    if name in above:
        raise UserError(f"{asked}: a table cannot be its own base: {' → '.join((*above, name))}")
    if name.endswith(".yaml") and not Path(name).is_file():
        raise UserError(f"{asked}: there is no such file")
    if not name.endswith(".yaml") and name not in names():
        raise UserError(
            f"{asked}: no such table; there are: {', '.join(names())}{did_you_mean(name, names())}"
        )
    path = Path(name) if name.endswith(".yaml") else folder() / f"{name}.yaml"
    stated = content(path)
    base = stated.pop("base", None)
    if base is None:
        return stated
    if not isinstance(base, str):
        raise UserError(f"{shown(name)}: base={base}: write the name of one table, ant/2 or mine.yaml")
    if base.endswith(".yaml"):
        base = os.path.normpath(path.parent / base)
    under = stated_by(base, (*above, name))
    merged = under | stated
    if isinstance(base_axes := under.get("axes"), dict) and isinstance(merged["axes"], dict):
        merged["axes"] = base_axes | merged["axes"]
    return {key: value for key, value in merged.items() if value is not None}


def shown(name: str) -> str:
    """The file of a table, for messages."""
    return name if name.endswith(".yaml") else f"conf/table/{name}.yaml"


def checked(stated: Mapping[str, Any], name: str) -> Spec:
    model = Statistics if "datasets" in stated else Results
    try:
        return model.model_validate(stated)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        if first["type"] == "extra_forbidden":
            message = f"no such key{did_you_mean(str(first['loc'][-1]), model.model_fields)}"
        raise UserError(f"{shown(name)}: {where}{': ' if where else ''}{message}") from None
