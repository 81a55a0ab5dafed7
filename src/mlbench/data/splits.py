"""Which rows train, validate and test: a function of the seed and the data set's rows, of nothing else.

Parts: `train`, `test`, on request `validation`; `amalgamation` adds parts of the teachers.

Everywhere a share of rows is rounded down, and the other side of the cut gets the remainder. Shares are taken
as decimals: 0.29 of 100 rows are 29, not 28.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from numbers import Integral, Real
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import BeforeValidator

from mlbench.data.contracts import Parts, Split
from mlbench.data.stratify import shuffled, stratify
from mlbench.errors import UserError
from mlbench.protocols import check_call
from mlbench.seeding import derive


def generator(seed: int, purpose: str) -> np.random.Generator:
    """Random numbers for one purpose: making a cut, or leaving it out, does not change other cuts."""
    if seed < 0:
        raise UserError(f"seed={seed}: a whole number, 0 or larger")
    return np.random.Generator(np.random.PCG64(derive(seed, "split", purpose)))


def portion(share: float, count: int) -> int:
    """`share` of `count` rows, rounded down."""
    return int(Fraction(str(share)) * count)


def cut(
    rows: np.ndarray, sizes: Sequence[int], targets: np.ndarray, rng: np.random.Generator, stratified: bool
) -> list[np.ndarray]:
    """`rows` cut at random into parts of the given sizes; every part keeps the order of `rows`."""
    if stratified:
        part = stratify(targets[rows], sizes, rng)
    else:
        part = np.repeat(np.arange(len(sizes)), sizes)[shuffled(len(rows), rng)]
    return [rows[part == number] for number in range(len(sizes))]


def cut_off(
    rows: np.ndarray, share: float, targets: np.ndarray, rng: np.random.Generator, stratified: bool
) -> tuple[np.ndarray, np.ndarray]:
    """The rows that stay, and the share of `rows` that is cut off."""
    size = portion(share, len(rows))
    stays, goes = cut(rows, [len(rows) - size, size], targets, rng, stratified)
    return stays, goes


def training_parts(
    rows: np.ndarray, validation: float, targets: np.ndarray, seed: int, stratified: bool
) -> Parts:
    """`train`, and the part `validation` cut off it where one is asked for."""
    if not validation:
        return {"train": rows}
    train, held_out = cut_off(rows, validation, targets, generator(seed, "validation"), stratified)
    return {"train": train, "validation": held_out}


def whole_groups(
    rows: np.ndarray, share: float, groups: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """The rows that stay, and about a share of `rows` that goes: whole groups in random order, each of which
    goes if no more rows than the share have gone with it.
    """
    names, numbers, sizes = np.unique(groups[rows], return_inverse=True, return_counts=True)
    size, gone, goes = portion(share, len(rows)), 0, np.zeros(len(names), bool)
    for number in shuffled(len(names), rng):
        if gone + sizes[number] <= size:
            goes[number] = True
            gone += sizes[number]
    return rows[~goes[numbers]], rows[goes[numbers]]


def divided(
    split: Split,
    targets: np.ndarray,
    official: Parts | None,
    seed: int,
    words: Mapping[str, Sequence[str]] | None = None,
) -> Parts:
    """The parts that a split makes, checked, since a split may be a person's own."""
    known: dict[str, Any] = {}
    if group := getattr(split, "group", None):
        known["groups"] = np.array((words or {})[group])
    setting = f"split._target_={type(split).__module__}.{type(split).__qualname__}"
    check_call(split, setting, "targets, official and seed", targets, official, seed, **known)
    made = split(targets, official, seed, **known)
    if not isinstance(made, Mapping):
        raise UserError(
            f"split: it gave a {type(made).__name__}, and is to give row numbers by part: "
            "{train: [0, 2], test: [1]}"
        )
    parts = {name: row_numbers(name, rows) for name, rows in made.items()}
    if missing := [name for name in ("train", "test", *split.parts, *split.labelled) if name not in parts]:
        raise UserError(f"split: it made no part `{missing[0]}`, of {', '.join(parts) or 'none'}")
    for name, rows in filled(parts, len(targets)).items():
        if rows.min() < 0 or rows.max() >= len(targets) or len(np.unique(rows)) < len(rows):
            raise UserError(
                f"split: its part `{name}` is to hold rows of 0 to {len(targets) - 1}, each at most once"
            )
    if leaked := np.intersect1d(labelled_rows(split, parts), parts["test"]).tolist():
        raise UserError(f"split: {len(leaked)} test rows, such as {leaked[0]}, are among those it trains on")
    return parts


def row_numbers(part: str, rows: Any) -> np.ndarray:
    numbers = np.asarray(rows)
    if numbers.size and numbers.dtype.kind not in "iu":
        raise UserError(
            f"split: its part `{part}` is an array of {numbers.dtype}, and is to hold row numbers"
        )
    return numbers.astype(np.int64)


def labelled_rows(split: Split, parts: Parts) -> np.ndarray:
    """The rows whose labels training may use."""
    return np.unique(np.concatenate([parts[name] for name in split.labelled]))


def filled(parts: Parts, rows: int) -> Parts:
    """The parts; refused if one of them is empty."""
    for name, part in parts.items():
        if not len(part):
            raise UserError(
                f"split: of {rows} rows none is left for the part `{name}`; change the split's shares"
            )
    return parts


def check_share(option: str, value: float, zero: bool = False) -> None:
    low = isinstance(value, Real) and not isinstance(value, bool) and (value > 0 or (zero and value == 0))
    if not low or not value < 1:
        range_ = "from 0 (none) to below 1" if zero else "between 0 and 1"
        raise UserError(f"split.{option}={value}: a share of the rows {range_}")


def check_count(option: str, value: int, least: int) -> None:
    if not isinstance(value, Integral) or isinstance(value, bool) or value < least:
        raise UserError(f"split.{option}={value}: a whole number, {least} or larger")


def check_switch(option: str, value: bool) -> None:
    if not isinstance(value, bool):
        raise UserError(f"split.{option}={value}: true or false")


@dataclass(frozen=True, kw_only=True)
class Usual:
    """Parts `train`, `test` and, where a share of the training rows is asked for, `validation`."""

    validation: float
    stratified: bool
    labelled: ClassVar[tuple[str, ...]] = ("train",)

    def __post_init__(self):
        check_share("validation", self.validation, zero=True)
        check_switch("stratified", self.stratified)

    @property
    def parts(self) -> tuple[str, ...]:
        return ("train", "validation", "test") if self.validation else ("train", "test")


@dataclass(frozen=True, kw_only=True)
class Official(Usual):
    """The data set's own parts; `validation` is cut off its training part unless it has one of its own."""

    def __call__(self, targets: np.ndarray, official: Parts | None, seed: int) -> Parts:
        if official is None:
            raise UserError(
                "split=official: this data set has no training and test part of its own; "
                "choose split=holdout, split=kfold or split=amalgamation"
            )
        parts = {name: np.asarray(rows, np.int64) for name, rows in official.items()}
        if "validation" not in parts:
            parts |= training_parts(parts["train"], self.validation, targets, seed, self.stratified)
        return filled(
            {name: parts[name] for name in ("train", "validation", "test") if name in parts}, len(targets)
        )


@dataclass(frozen=True, kw_only=True)
class Holdout(Usual):
    """A random share of all rows is the test part. With `group`, rows that have the same word in that field
    of the data set stay together, in the validation part as well.
    """

    test: float
    group: str | None

    def __post_init__(self):
        super().__post_init__()
        check_share("test", self.test)
        if self.group and self.stratified:
            raise UserError(
                f"split.group={self.group} keeps rows together as they are: split.stratified=false"
            )

    @staticmethod
    def defining(options: dict[str, Any]) -> dict[str, Any]:
        """The options that count: a group that there is."""
        return {name: value for name, value in options.items() if name != "group" or value}

    def __call__(
        self, targets: np.ndarray, official: Parts | None, seed: int, groups: np.ndarray | None = None
    ) -> Parts:
        rng = generator(seed, "test")
        if groups is not None:
            train, test = whole_groups(np.arange(len(targets)), self.test, groups, rng)
            parts = {"train": train}
            if self.validation:
                rng = generator(seed, "validation")
                parts["train"], parts["validation"] = whole_groups(train, self.validation, groups, rng)
            return filled({**parts, "test": test}, len(targets))
        train, test = cut_off(np.arange(len(targets)), self.test, targets, rng, self.stratified)
        parts = training_parts(train, self.validation, targets, seed, self.stratified)
        return filled({**parts, "test": test}, len(targets))


@dataclass(frozen=True, kw_only=True)
class KFold(Usual):
    """One fold of cross-validation is the test part; the folds of one seed partition the rows."""

    folds: int
    fold: int

    def __post_init__(self):
        super().__post_init__()
        check_count("folds", self.folds, least=2)
        check_count("fold", self.fold, least=0)
        if self.fold >= self.folds:
            raise UserError(
                f"split.fold={self.fold}: the {self.folds} folds are numbered 0 to {self.folds - 1}"
            )

    def check_rows(self, rows: int) -> None:
        if self.folds > rows:
            raise UserError(f"split.folds={self.folds}: of {rows} rows there are {rows} folds at most")

    def __call__(self, targets: np.ndarray, official: Parts | None, seed: int) -> Parts:
        self.check_rows(len(targets))
        rows = np.arange(len(targets))
        sizes = [len(part) for part in np.array_split(rows, self.folds)]
        folds = cut(rows, sizes, targets, generator(seed, "test"), self.stratified)
        train = np.setdiff1d(rows, folds[self.fold], assume_unique=True)
        parts = training_parts(train, self.validation, targets, seed, self.stratified)
        return filled({**parts, "test": folds[self.fold]}, len(targets))


@dataclass(frozen=True, kw_only=True)
class Amalgamation(Usual):
    """Knowledge amalgamation: a pool of rows for the teachers, the rest for the student, who has no labels.

    A teacher of even index learns from a random half of the pool, one of odd index from the whole pool; with
    `disjoint` the pool is divided equally. The share `aside` of a teacher's rows is kept back, as the part
    `teacher_<t>_aside`. `train` are the student's rows.

    Teachers that are `brought` along, trained already, get no rows. The parts are then those of the official
    split, or, where there is none, the share `student_test` of all rows is the test part.
    """

    student: float
    student_test: float
    teachers: int
    brought: Annotated[bool, BeforeValidator(bool)]  # from the list of their files
    aside: float
    disjoint: bool

    def __post_init__(self):
        super().__post_init__()
        check_share("student", self.student)
        check_share("student_test", self.student_test)
        check_count("teachers", self.teachers, least=1)
        check_share("aside", self.aside, zero=True)
        check_switch("disjoint", self.disjoint)

    @staticmethod
    def defining(options: dict[str, Any]) -> dict[str, Any]:
        """The options that count: those of the pool do not if teachers are brought along."""
        pool = ("student", "teachers", "aside", "disjoint") if options.get("brought") else ()
        return {name: value for name, value in options.items() if name not in pool}

    @property
    def parts(self) -> tuple[str, ...]:
        return super().parts if self.brought else super().parts + self.labelled

    @property
    def labelled(self) -> tuple[str, ...]:  # type: ignore[override]
        if self.brought:
            return ("train",)
        suffixes = ("", "_aside") if self.aside else ("",)
        return tuple(f"teacher_{teacher}{suffix}" for teacher in range(self.teachers) for suffix in suffixes)

    def __call__(self, targets: np.ndarray, official: Parts | None, seed: int) -> Parts:
        if self.brought:
            return self.without_pool(official is not None)(targets, official, seed)
        rows, stratified = np.arange(len(targets)), self.stratified
        pool, student = cut_off(rows, self.student, targets, generator(seed, "test"), stratified)
        rng = generator(seed, "student test")
        train, test = cut_off(student, self.student_test, targets, rng, stratified)
        parts = {**training_parts(train, self.validation, targets, seed, stratified), "test": test}
        for teacher, given in enumerate(self.divide(pool, targets, seed)):
            rng = generator(seed, f"teacher {teacher} aside")
            learns, aside = cut_off(given, self.aside, targets, rng, stratified)
            parts[f"teacher_{teacher}"] = learns
            if self.aside:
                parts[f"teacher_{teacher}_aside"] = aside
        return filled(parts, len(targets))

    def without_pool(self, official: bool) -> Official | Holdout:
        if official:
            return Official(validation=self.validation, stratified=self.stratified)
        return Holdout(
            test=self.student_test, validation=self.validation, stratified=self.stratified, group=None
        )

    def divide(self, pool: np.ndarray, targets: np.ndarray, seed: int) -> list[np.ndarray]:
        """The rows of the pool that each teacher gets."""
        if self.disjoint:
            sizes = [len(part) for part in np.array_split(pool, self.teachers)]
            return cut(pool, sizes, targets, generator(seed, "teachers"), self.stratified)
        return [
            pool
            if teacher % 2
            else cut_off(pool, 0.5, targets, generator(seed, f"teacher {teacher}"), self.stratified)[1]
            for teacher in range(self.teachers)
        ]
