"""The cells of a column of text: numbers, words for one of a few values, or text."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mlbench.data.columns import ROW_ID_VALUES, Attribute, is_number
from mlbench.data.files import numbers_in
from mlbench.errors import UserError

MISSING_WORDS = {"", "?", "na", "n/a", "nan", "null", "#n/a", "<na>"}
COMMA_FOR_POINT = str.maketrans(".,", ",.")
NUMERAL = re.compile(r"[-+]?(\d*[.,]\d+|\d{1,3}([.,' \u00a0]\d{3})+([.,]\d+)?)([eE][-+]?\d+)?")


def column_of(
    path: Path, name: str, words: Sequence[str], lines: Sequence[int], decimal: str = "."
) -> tuple[Attribute, np.ndarray]:
    """The column's attribute, and its cells: numbers, or positions among its values; NaN where missing."""
    known = np.array([word.lower() not in MISSING_WORDS for word in words])
    present = [word for word, is_known in zip(words, known) if is_known]
    cells = np.full(len(words), np.nan, dtype=np.float32)
    text = " ".join(present)
    text = text.translate(COMMA_FOR_POINT) if decimal == "," else text
    numbers = numbers_in(text.encode(), " ", len(present))
    if numbers is not None:
        with np.errstate(over="ignore"):
            cells[known] = numbers
        refuse_infinite(path, name, words, lines, np.isinf(cells) | (known & np.isnan(cells)))
        return Attribute(name), cells
    values, positions = np.unique(np.array(present, dtype=object), return_inverse=True)
    line_of = dict(zip(reversed(present), np.array(lines)[known][::-1].tolist()))  # word → its first line
    refuse_numerals(path, name, line_of, decimal)
    is_text = len(values) == len(present) > 2
    if is_text or len(values) > ROW_ID_VALUES:
        refuse_words_among_numbers(path, name, line_of, present, decimal)
    if is_text:
        return Attribute(name, "text"), cells
    cells[known] = positions
    return Attribute(name, "nominal", tuple(values)), cells


def refuse_infinite(
    path: Path, name: str, words: Sequence[str], lines: Sequence[int], wrong: np.ndarray
) -> None:
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise UserError(
            f"{path}, line {lines[row]}: column {name!r} is {words[row]}, and a feature is a finite number "
            f"below 3.4e38: mend it, or leave the column out with dataset.drop=[{name}]"
        )


def refuse_numerals(path: Path, name: str, line_of: dict[str, int], decimal: str) -> None:
    """Refuses words that would be numbers with another decimal mark, or without marks between thousands."""
    strange = [word for word in line_of if not is_numeral(word, decimal)]
    if strange and all(NUMERAL.fullmatch(word) for word in strange):
        cure = {".": "dataset.decimal=, reads decimal commas", ",": "dataset.decimal=. reads decimal points"}
        raise UserError(
            f"{path}, line {line_of[strange[-1]]}: column {name!r} is {strange[-1]}: {cure[decimal]}; a mark "
            f"between thousands must go"
        )


def refuse_words_among_numbers(
    path: Path, name: str, line_of: dict[str, int], present: Sequence[str], decimal: str
) -> None:
    """Refuses a few words among numbers, which would make the column text, or a column for each number."""
    strange = [word for word in line_of if not is_numeral(word, decimal)]
    if 2 * sum(word in set(strange) for word in present) < len(present):
        raise UserError(
            f"{path}, line {line_of[strange[-1]]}: column {name!r} is {strange[-1][:40]!r} among numbers: "
            f"leave empty what is missing, or leave the column out with dataset.drop=[{name}]"
        )


def is_numeral(word: str, decimal: str) -> bool:
    return is_number(word.translate(COMMA_FOR_POINT) if decimal == "," else word)
