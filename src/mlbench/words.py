"""Quotes paths and column names in the words of a command line, so that Hydra takes them as text.

To Hydra's grammar of values, `~`, `#`, a bracket, a letter with an accent or a name made of digits is an
error or something other than text.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from hydra.core.override_parser.types import Quote, QuotedString

FILES = (
    *("dataset.path", "dataset.test", "dataset.xml", "dataset.images"),
    *("dataset.labels_from", "dataset.test_labels_from"),
)
TEXTS = (
    *(*FILES, "dataset.name", "paths.outputs", "paths.cache"),
    *("dataset.separator", "dataset.label_separator", "dataset.decimal"),
    *("dataset.image", "dataset.id", "dataset.split"),
)
COLUMNS = ("dataset.id",)  # of TEXTS; may be the number of a column
MAPS = ("dataset.files", "dataset.test")  # may be {name: path, ...}
LISTS = (
    *("method.teachers.from", "dataset.labels", "dataset.label_list", "dataset.names", "dataset.drop"),
    *("dataset.text", "dataset.group", "dataset.ignore"),
)

PLAIN = re.compile(r"(\.{0,2}/)*(?!(null|true|false|inf|nan)$)[A-Z_][A-Z0-9_./-]*", re.IGNORECASE | re.ASCII)
# Values left as they are: whoever writes an interpolation, a function or quotes knows Hydra's grammar.
HYDRAS = re.compile(r"""null|.*\$\{.*|(choice|glob|shuffle|sort|str|tag)\(.*\)|'.*'|".*\"""", re.DOTALL)
MAP = re.compile(r"\{\s*[^{}:,]+:.*\}", re.DOTALL)
VALUE = r"""\s*('(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|[^,]*?)\s*(?:,|$)"""
PART = re.compile(VALUE, re.DOTALL)
PAIR = re.compile(rf"\s*([^:,]+?)\s*:{VALUE}", re.DOTALL)


def quoted(words: Sequence[str]) -> list[str]:
    """The words with paths and names quoted for Hydra.

    Under -m a comma separates values, unless it is within quotes or in the name of an existing file; without
    -m a comma is a part of the path.
    """
    sweeps = any(word == "-m" or word.startswith("--multi") for word in words)
    return [_word(word, sweeps) for word in words]


def _word(word: str, sweeps: bool) -> str:
    key, _, value = word.partition("=")
    name = key.lstrip("+")
    if name in MAPS and MAP.fullmatch(value):
        return f"{key}={_maps(value, sweeps)}"
    if not value or HYDRAS.fullmatch(value) or name not in (*TEXTS, *LISTS):
        return word
    if name in LISTS:
        return f"{key}={_lists(value, sweeps)}"
    single = not sweeps or len(value) == 1 or (name in FILES and Path(value).expanduser().is_file())
    each = _item if name in COLUMNS else _text
    return f"{key}={','.join(map(each, [value] if single else _parts(value)))}"


def _lists(value: str, sweeps: bool) -> str:
    """The value of a key of LISTS: a list, several lists in a sweep, or names without brackets."""
    if not (value.startswith("[") and value.endswith("]")):
        return ",".join(map(_item, _parts(value)))
    lists = re.split(r"\]\s*,\s*\[", value[1:-1]) if sweeps else [value[1:-1]]
    return ",".join(f"[{','.join(map(_item, _parts(items)))}]" for items in lists)


def _maps(value: str, sweeps: bool) -> str:
    """The value of a key of MAPS: names and paths in braces, `{audio: my data/a.csv}`, several in a sweep."""
    maps = re.split(r"\}\s*,\s*\{", value[1:-1]) if sweeps else [value[1:-1]]
    if any(PAIR.sub("", each).strip() for each in maps):
        return value  # something else, which Hydra may know, or says what is wrong with it
    pairs = [PAIR.findall(each) for each in maps]
    return ",".join("{" + ", ".join(f"{name}: {_text(path)}" for name, path in each) + "}" for each in pairs)


def mapped(value: str) -> dict[str, str] | None:
    """The paths by their names in `{audio: a.csv, text: my data/t.npz}`; None of anything else."""
    if not MAP.fullmatch(value) or PAIR.sub("", value[1:-1]).strip():
        return None
    return {name: re.sub(r"^(['\"])(.*)\1$", r"\2", path) for name, path in PAIR.findall(value[1:-1])}


def _parts(value: str) -> list[str]:
    """The pieces of `value` between commas that are not within quotes."""
    parts = PART.findall(value)
    return parts if parts[-1] else parts[:-1]  # the pattern also matches the empty end


def _item(text: str) -> str:
    """An item of a list: a whole number stays one, since it is the number of a column."""
    return text if re.fullmatch(r"0|[1-9]\d*", text) else _text(text)


def _text(text: str) -> str:
    """`text` quoted where Hydra needs it. `~` becomes the home folder: Hydra makes a folder named `~`."""
    text = str(Path(text).expanduser()) if text.startswith("~/") else text
    if not text or PLAIN.fullmatch(text) or HYDRAS.fullmatch(text):
        return text
    return QuotedString(text, Quote.single).with_quotes()
