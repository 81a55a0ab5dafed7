"""The columns that a method was trained on, found by name in whatever files a person brings later."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from mlbench.data.columns import truth
from mlbench.data.instances import Instances
from mlbench.errors import UserError, did_you_mean

if TYPE_CHECKING:
    import pandas


class LacksColumns(UserError):
    """A file is without columns that a method was trained on."""


@dataclass(frozen=True)
class Schema:
    """`features` are the names of feature columns in the order of training. `values` are those of a column of
    words, by its name: each is a feature column `name=value`, of two values only the second. `fills` has, by
    column, what goes into a cell without a value; without `fills` such a cell is refused. `beside` are the
    columns of the training's file that are no features, by the option that said so: id, drop, label_list.
    """

    features: tuple[str, ...]
    labels: tuple[str, ...]
    values: Mapping[str, tuple[str, ...]]
    fills: Mapping[str, float | str] = field(default_factory=dict)
    beside: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, instances: Instances) -> Self:
        return cls(instances.feature_names, instances.labels, instances.values, beside=instances.beside)

    @classmethod
    def of_plain(cls, plain: Mapping[str, Any]) -> Self:
        values = {name: tuple(words) for name, words in plain["values"].items()}
        beside = {option: tuple(names) for option, names in plain.get("beside", {}).items()}
        fills = dict(plain.get("fills", {}))
        return cls(tuple(plain["features"]), tuple(plain["labels"]), values, fills, beside)

    @property
    def plain(self) -> dict[str, Any]:
        return {
            "features": [*self.features],
            "labels": [*self.labels],
            "values": dict(asdict(self)["values"]),
            "fills": {**self.fills},
            "beside": {option: [*names] for option, names in self.beside.items()},
        }

    def part(self, start: int, stop: int, prefix: str) -> Self:
        """The schema of the features from `start` to `stop`, whose columns lose the prefix."""
        own = replace(self, features=self.features[start:stop])
        there = {*own.features}
        values = {name: words for name, words in self.values.items() if there & {*own.features_of(name)}}
        own = replace(own, values=values)
        bare = {column: column.removeprefix(prefix) for column in (*own.features, *own.columns)}
        return replace(
            own,
            features=tuple(bare[name] for name in own.features),
            values={bare[name]: words for name, words in values.items()},
            fills={bare[column]: self.fills[column] for column in own.columns if column in self.fills},
        )

    @property
    def columns(self) -> list[str]:
        """What a table's header is to name, in the order of training."""
        of_words = {feature: name for name in self.values for feature in self.features_of(name)}
        return list(dict.fromkeys(of_words.get(feature, feature) for feature in self.features))

    def features_of(self, name: str) -> list[str]:
        """The features of a column of a file."""
        if name not in self.values:
            return [name]
        shown = self.values[name][1:] if len(self.values[name]) == 2 else self.values[name]
        return [f"{name}={value}" for value in shown]

    def typical(self, means: np.ndarray) -> list[float | str]:
        """A row of a file out of the features' means: of a column of words the most frequent one."""
        of_feature = dict(zip(self.features, means.tolist()))
        return [
            self.value(name, np.array([of_feature[feature] for feature in self.features_of(name)]))
            for name in self.columns
        ]

    def value(self, column: str, means: np.ndarray) -> float | str:
        """What a column of a file typically has, out of the means of its features."""
        if column not in self.values:
            return float(means[0])
        shares = [1 - means[0], means[0]] if len(self.values[column]) == 2 else means
        return self.values[column][int(np.argmax(shares))]

    def block(self, column: str, value: float | str) -> dict[str, float]:
        """The features of a cell that holds this number or word."""
        if column not in self.values:
            return {column: float(value)}
        return {name: float(name == f"{column}={value}") for name in self.features_of(column)}

    def check(self, where: str, header: Sequence[str]) -> None:
        """Refuses a header without one of the columns."""
        wanted, there = self.columns, set(header)
        if missing := [name for name in wanted if name not in there]:
            shown = ", ".join(map(repr, missing[:3])) + (", ..." if len(missing) > 3 else "")
            raise LacksColumns(
                f"{where}: {len(missing)} of the {len(wanted)} columns of the training are not there: "
                f"{shown}{did_you_mean(missing[0], [*there])}"
            )

    def features_in(self, frame: "pandas.DataFrame", where: str, first: int) -> np.ndarray:
        """(n, d) float32, whatever the order of the table's columns; `first` counts the rows before."""
        place = {name: number for number, name in enumerate(self.features)}
        kinds = dict(zip(frame.columns, frame.dtypes))
        at_once = [
            column
            for column in self.columns
            if column not in self.values
            and isinstance(kinds[column], np.dtype)
            and kinds[column].kind in "biuf"
        ]
        block = single_block(frame[at_once])
        if self.fills:
            fills = np.array([self.fills.get(column, np.nan) for column in at_once], np.float32)
            block = np.where(np.isnan(block), fills, block)
        if not np.isfinite(block).all():
            at_once = []  # so that the first column that is wrong is found, and said
        elif len(at_once) == len(place):
            return np.ascontiguousarray(block)
        features = np.empty((len(frame), len(place)), np.float32)
        if at_once:
            features[:, [place[column] for column in at_once]] = block
        done = {*at_once}
        for column in (column for column in self.columns if column not in done):
            for name, values in self._read(frame, column, where, first):
                features[:, place[name]] = values
        return features

    def _read(
        self, frame: "pandas.DataFrame", column: str, where: str, first: int
    ) -> Iterator[tuple[str, np.ndarray]]:
        cells, fill = frame[column], self.fills.get(column)
        if column not in self.values:
            yield column, numbers(cells, where, first, None if fill is None else float(fill))
            return
        cells = cells if fill is None else cells.fillna(fill)
        words, known = cells.astype("string").str.strip(), self.values[column]
        strange = np.flatnonzero(~words.isin([*known]).to_numpy(dtype=bool, na_value=False))
        if len(strange):
            word, row = words.iloc[strange[0]], first + int(strange[0])
            raise UserError(
                f"{where}, row {row} (from 0): column {column!r} is {word!s}, which training never saw; it "
                f"knows {', '.join(known[:10])}{did_you_mean(str(word), known)}"
            )
        for feature in self.features_of(column):
            yield feature, (words == feature.removeprefix(f"{column}=")).to_numpy(dtype=np.float32)


def single_block(frame: Any) -> np.ndarray:
    """Columns of numbers as float32; one that float32 cannot hold is infinite."""
    alike = {*frame.dtypes} == {np.dtype(np.float32)}
    with np.errstate(over="ignore"):
        return frame.to_numpy(np.float32 if alike else np.float64).astype(np.float32, copy=False)


def numbers(cells: Any, where: str, first: int, fill: float | None = None) -> np.ndarray:
    """A column of finite numbers; words for 0 and 1 count as these. `fill` goes into empty cells."""
    if cells.dtype.kind in "biuf":
        values = cells.to_numpy(np.float64)
    else:
        words = cells.astype("string")
        values = np.array([number(word) for word in words.fillna("")], np.float64)
    if fill is not None:
        values = np.where(cells.isna().to_numpy(dtype=bool), fill, values)
    with np.errstate(over="ignore"):
        wrong = np.flatnonzero(~np.isfinite(values.astype(np.float32)))
    if len(wrong):
        shown = str(cells.iloc[wrong[0]]).strip()[:40] or "empty"
        raise UserError(
            f"{where}, row {first + int(wrong[0])} (from 0): column {str(cells.name)!r} is {shown}, and a "
            "feature is a finite number"
        )
    return values


def number(word: str) -> float:
    """The number, or the 0 or 1 that a word means; NaN for any other word."""
    try:
        return float(word)
    except ValueError:
        meaning = truth(word)
        return np.nan if meaning is None else float(meaning)


def targets_in(frame: "pandas.DataFrame", labels: Sequence[str], where: str, first: int) -> np.ndarray | None:
    """(n, L) zeros and ones, where the table has a column for each label; else None."""
    if not set(labels) <= {*frame.columns}:
        return None
    targets = np.stack([numbers(frame[label], where, first) for label in labels], axis=1)
    strange = np.argwhere((targets != 0) & (targets != 1))
    if len(strange):
        row, label = strange[0]
        raise UserError(
            f"{where}, row {first + row} (from 0): label {labels[label]!r} is {targets[row, label]:g}, and a "
            "label is 0 or 1"
        )
    return targets.astype(np.uint8)
