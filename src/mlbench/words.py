"""The words of a command line that name what is a person's own, quoted for Hydra.

Hydra reads a value by a grammar of its own, to which `~`, `#`, brackets, a letter with an accent or a name
made of digits is a fault or something other than text. Paths, and what stands in the header of a table, are
text: they are taken as the shell passes them.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from hydra.core.override_parser.types import Quote, QuotedString

FILES = ("dataset.path", "dataset.test", "dataset.xml")
TEXTS = (
    *(*FILES, "dataset.name", "paths.outputs", "paths.cache"),
    *("dataset.separator", "dataset.label_separator", "dataset.decimal"),
)
LISTS = ("method.teachers.from", "dataset.labels", "dataset.label_list", "dataset.names", "dataset.drop")

PLAIN = re.compile(r"(\.{0,2}/)*(?!(null|true|false|inf|nan)$)[A-Z_][A-Z0-9_./-]*", re.IGNORECASE | re.ASCII)
# Interpolations, functions and what has its quotes already are written by those who know Hydra's grammar.
HYDRAS = re.compile(r"""null|.*\$\{.*|(choice|glob|shuffle|sort|str|tag)\(.*\)|'.*'|".*\"""", re.DOTALL)
PART = re.compile(r"""\s*('(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|[^,]*?)\s*(?:,|$)""", re.DOTALL)


def quoted(words: Sequence[str]) -> list[str]:
    """The words as Hydra must be given them.

    Under -m a comma stands between values, unless it is within quotes or in the name of a file that is there;
    elsewhere it is a part of the path.
    """
    sweeps = any(word == "-m" or word.startswith("--multi") for word in words)
    return [_word(word, sweeps) for word in words]


def _word(word: str, sweeps: bool) -> str:
    key, _, value = word.partition("=")
    name = key.lstrip("+")
    if not value or HYDRAS.fullmatch(value) or name not in (*TEXTS, *LISTS):
        return word
    if name in LISTS:
        return f"{key}={_lists(value, sweeps)}"
    one = not sweeps or len(value) == 1 or (name in FILES and Path(value).expanduser().is_file())
    return f"{key}={','.join(map(_text, [value] if one else _parts(value)))}"


def _lists(value: str, sweeps: bool) -> str:
    """One list, several for a sweep, or names without brackets."""
    if not (value.startswith("[") and value.endswith("]")):
        return ",".join(map(_item, _parts(value)))
    lists = re.split(r"\]\s*,\s*\[", value[1:-1]) if sweeps else [value[1:-1]]
    return ",".join(f"[{','.join(map(_item, _parts(items)))}]" for items in lists)


def _parts(value: str) -> list[str]:
    """What stands between commas that are not within quotes."""
    parts = PART.findall(value)
    return parts if parts[-1] else parts[:-1]  # at the end there is nothing left


def _item(text: str) -> str:
    """A whole number in a list counts columns."""
    return text if re.fullmatch(r"0|[1-9]\d*", text) else _text(text)


def _text(text: str) -> str:
    """`~` is the person's home here, as the folder of a sweep is made by Hydra, to which it is a letter."""
    text = str(Path(text).expanduser()) if text.startswith("~/") else text
    if not text or PLAIN.fullmatch(text) or HYDRAS.fullmatch(text):
        return text
    return QuotedString(text, Quote.single).with_quotes()
