"""Predictions as MEKA and LibMultiLabel write them, without ids: rows are in the order of their test file.

MEKA 1.9.1 and later, `-predictions FILE.arff`: its test file with the labels that it predicts, cut at .5.
MEKA, `-verbosity N` from 6 on, on the terminal: true labels, and scores with N - 5 decimals.
LibMultiLabel, `--save_k_predictions K` and `--save_positive_predictions`: lines of `label:score`, four
significant digits.
"""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mlbench.data.files import content, encoding
from mlbench.data.formats import arff
from mlbench.errors import UserError
from mlbench.submissions.given import Submission, Truth, some

BEGINS = "|==== PREDICTIONS"  # of the part of MEKA's text that has predictions
OF_MEKA = "== Evaluation Info"  # is in all of it
MEKA_LINE = re.compile(r"\|\s*\d+\s+\[([^\]]*)\]\s+\[([^\]]*)\]\s*")
MULTI_TARGET = re.compile(r"^Type\s+MT", re.MULTILINE)


def meka_arff(path: Path, truth: Truth) -> Submission:
    """The columns that are called as the labels are; features, if there are any, are left alone."""
    data = content(path)
    names = [attribute.name for attribute in arff.header(path, data).attributes]
    if absent := [label for label in truth.labels if label not in names]:
        raise UserError(f"{path} lacks labels that {truth.name} has: {some(absent)}")
    columns = [names.index(label) for label in truth.labels]
    others = [column for column in range(len(names)) if column not in {*columns}]
    instances = arff.read(path, lambda header: columns, drop=others)
    return Submission(path, None, truth.labels, instances.targets.astype(float), listed=True)


def printed(path: Path, truth: Truth, sets: bool) -> Submission:
    """A text of MEKA's or of LibMultiLabel's, as its content tells."""
    data = content(path)
    text = data.decode(encoding(data))
    if BEGINS in text:
        return _meka(path, text, truth)
    if OF_MEKA in text:
        raise UserError(f"{path}: MEKA printed no predictions into it: run it with -verbosity 8")
    return _libmultilabel(path, text, truth, sets)


def _meka(path: Path, text: str, truth: Truth) -> Submission:
    if MULTI_TARGET.search(text):
        raise UserError(f"{path}: MEKA's predictions of several targets are classes, no label sets")
    lines = text.partition(BEGINS)[2].splitlines()[1:]
    end = next((number for number, line in enumerate(lines) if line.startswith("|====")), None)
    rows = [MEKA_LINE.fullmatch(line) for line in lines[:end]]
    wrong = next((number for number, row in enumerate(rows) if row is None), None)
    if end is None or wrong is not None:
        at = "it ends within the predictions" if wrong is None else f"prediction {wrong + 1} cannot be read"
        raise UserError(f"{path}: {at}: MEKA's text is not whole")
    true, predicted = ([row[group] for row in rows if row] for group in (1, 2))
    if rows and not true[0].startswith(" "):  # -verbosity 5: the numbers of labels, as [1, 2]
        width = len(truth.labels)
        note = ("label sets as MEKA's threshold cuts",)
        targets = _sets(path, true, width)
        return Submission(path, None, None, _sets(path, predicted, width), note, targets, listed=True)
    values, targets = _matrix(path, predicted), _matrix(path, true)
    decimals = len(predicted[0].split()[0].replace(",", ".").partition(".")[2]) if rows else 0
    return Submission(path, None, None, values, (f"scores of {decimals} decimals",), targets)


def _matrix(path: Path, rows: Sequence[str]) -> np.ndarray:
    """Numbers between blanks, with a decimal comma where Java's language has one."""
    cells = [row.replace(",", ".").split() for row in rows]
    if len({len(row) for row in cells}) > 1:
        raise UserError(f"{path}: its predictions have different numbers of labels: MEKA's text is not whole")
    try:
        return np.array(cells, dtype=float)
    except ValueError as error:
        raise UserError(f"{path}: {error}") from None


def _sets(path: Path, rows: Sequence[str], labels: int) -> np.ndarray:
    """From the numbers of the labels, counted from 0."""
    numbers = [np.array(row.replace(",", " ").split(), dtype=int) for row in rows]
    listed = np.concatenate([np.empty(0, int), *numbers])
    if len(listed) and listed.max() >= labels:
        raise UserError(f"{path} has label {listed.max()}, counted from 0, of {labels} labels")
    values = np.zeros((len(rows), labels))
    values[np.repeat(np.arange(len(rows)), [len(row) for row in numbers]), listed] = 1
    return values


def _libmultilabel(path: Path, text: str, truth: Truth, sets: bool) -> Submission:
    lines = text.removesuffix("\n").split("\n")  # an instance without a positive label is an empty line
    words = text.split()
    names, _, scores = zip(*(word.rpartition(":") for word in words)) if words else ((), (), ())
    try:
        numbers = np.array(scores, dtype=float)
    except ValueError:
        numbers = None
    if numbers is None or "" in names:
        wrong = next(word for word in words if not re.fullmatch(r".+:[-+.\deEinfa]+", word))
        raise UserError(
            f"{path}: {wrong!r} is no label:score of LibMultiLabel's, nor are there predictions of MEKA's"
        )
    columns, notes = _columns(path, names, truth)
    counts = np.array([len(line.split()) for line in lines])
    rows = np.repeat(np.arange(len(lines)), counts)
    listed = np.zeros((len(lines), len(truth.labels)))
    np.add.at(listed, (rows, columns), 1)
    if (listed > 1).any():
        raise UserError(f"{path}, line {np.argwhere(listed > 1)[0][0] + 1}: a label is there twice")
    if sets or (len({*counts}) > 1 and (numbers > 0).all()):
        note = "each line's labels are its set"
        return Submission(path, None, truth.labels, listed, (*notes, note), listed=True)
    if (counts < len(truth.labels)).any():
        line = int(np.argmin(counts))
        raise UserError(
            f"{path}, line {line + 1}: {counts[line]} labels of {len(truth.labels)}, so the others have no "
            f"score: --save_k_predictions {len(truth.labels)} writes all; treat=sets takes them as label sets"
        )
    values = np.zeros(listed.shape)
    values[rows, columns] = numbers
    return Submission(path, None, truth.labels, values, (*notes, "scores of 4 digits"))


def _columns(path: Path, names: Sequence[str], truth: Truth) -> tuple[np.ndarray, list[str]]:
    """Of the labels by name; by number where they have numbers for names, as in files of LIBSVM's format."""
    distinct = sorted(set(names))
    number_of, notes = {name: number for number, name in enumerate(truth.labels)}, []
    if distinct and not number_of.keys() & set(distinct) and all(name.isdecimal() for name in distinct):
        numbers = [int(name) for name in distinct]
        first = 0 if 0 in numbers else 1
        if max(numbers) - first < len(truth.labels) and (not first or max(numbers) == len(truth.labels)):
            number_of = {str(number + first): number for number in range(len(truth.labels))}
            notes = [f"labels by number, counted from {first}"]
    if unknown := [name for name in distinct if name not in number_of]:
        raise UserError(f"{path} has labels that {truth.name} lacks: {some(unknown)}")
    return np.array([number_of[name] for name in names], dtype=int), notes
