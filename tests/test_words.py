"""A person's paths and names reach Hydra as the shell passed them."""

import re

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import QuotedString
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mlbench.words import quoted

NAMES = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1).filter(
    lambda text: not re.fullmatch(r"""null|~/.*|\w+\(.*\)|'.*'|".*\"""", text) and "${" not in text
)


def understood(*words):
    """What Hydra makes of the words: of each its value, or its values under -m."""
    parser = OverridesParser.create()
    for word in quoted(words):
        if not word.startswith("-"):
            parsed = parser.parse_override(word)
            swept = parsed.is_sweep_override()
            yield [*parsed.sweep_iterator(plain)] if swept else parsed.value()


def plain(value):
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value.text if isinstance(value, QuotedString) else value


@settings(deadline=None)
@given(NAMES)
@example("my data/a [1].csv")
@example("2024")
@example("true")
@example("NULL")
@example("it's \\")
@example("données=#1, (neu)~.csv")
@example("C:\\new\\table.csv")
def test_a_path_is_what_the_shell_passes(path):
    for key in ("dataset.path", "dataset.test", "paths.outputs", "paths.cache", "+dataset.xml"):
        assert [*understood(f"{key}={path}")] == [path]


@settings(deadline=None)
@given(st.lists(NAMES.map(str.strip).filter(lambda name: name and "," not in name), min_size=1))
@example(["rain (mm)", "größe", "true", "a [b]", "x=y"])
def test_names_in_a_list_are_what_the_shell_passes(names):
    names = [name for name in names if not (name.isdecimal() or re.search(r"\]$|^\[|^['\"]|\s", name))]
    assert [*understood(f"dataset.labels=[{', '.join(names)}]")] == [names]


def test_whole_numbers_in_a_list_count_columns():
    assert [*understood("dataset.labels=[0,12,a,01]", "dataset.drop=3")] == [[0, 12, "a", "01"], 3]


def test_teachers_from_folders_of_any_name():
    (teachers,) = understood("method.teachers.from=[my runs [1]/model.pt, o=2/model.pt]")
    assert teachers == ["my runs [1]/model.pt", "o=2/model.pt"]


def test_home(monkeypatch):
    monkeypatch.setenv("HOME", "/home/a b")
    assert [*understood("dataset.path=~/é.csv", "method.teachers.from=[~/a.pt,b.pt]")] == [
        "/home/a b/é.csv",
        ["/home/a b/a.pt", "b.pt"],
    ]
    assert [*understood("-m", "paths.outputs=~/o,p")] == [["/home/a b/o", "p"]]


def test_in_a_sweep_a_comma_stands_between_values_unless_the_file_is_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert [*understood("-m", "dataset.path=a [1].csv,b.csv")] == [["a [1].csv", "b.csv"]]
    assert [*understood("dataset.path=a [1].csv,b.csv", "--multirun")] == [["a [1].csv", "b.csv"]]
    assert [*understood("-m", "dataset.path='a,1.csv',b.csv")] == [["a,1.csv", "b.csv"]]
    assert [*understood("-m", "dataset.labels=[a,b c],[é]")] == [[["a", "b c"], ["é"]]]
    assert [*understood("-m", "dataset.separator=,")] == [","]
    (tmp_path / "a [1].csv,b.csv").touch()
    assert [*understood("-m", "dataset.path=a [1].csv,b.csv")] == ["a [1].csv,b.csv"]


@pytest.mark.parametrize(
    "word",
    [
        "dataset.test=null",
        "paths.outputs=",
        "paths.outputs=${oc.env:HOME}/o",
        "dataset.path='my data/a.csv'",
        'dataset.path="my data/a.csv"',
        "dataset.path=choice(a.csv,b.csv)",
        "dataset.path=data/a_1-b.csv",
        "dataset.labels=[rain,storm]",
        "seed=0,1",
        "backbone.widths=[2,3]",
        "--config-dir=a b",
        "dataset.path",
    ],
)
def test_what_hydra_is_meant_to_read_stays_as_it_is(word):
    assert quoted([word]) == [word]
    assert quoted(quoted([word])) == [word]


def test_a_file_for_each_name(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", "/home/a b")
    given = "{audio: ~/é (1).csv, text:my data/t.npz, third: 'a,b.csv'}"
    files = {"audio": "/home/a b/é (1).csv", "text": "my data/t.npz", "third": "a,b.csv"}
    for key in ("dataset.files", "dataset.test"):
        assert [
            {name: plain(path) for name, path in each.items()} for each in understood(f"{key}={given}")
        ] == [files]
    (swept,) = understood("-m", "dataset.files={audio: a b.csv},{audio: c [1].csv}")
    assert [{name: plain(path) for name, path in each.items()} for each in swept] == [
        {"audio": "a b.csv"},
        {"audio": "c [1].csv"},
    ]
    assert [*understood("dataset.test={a}.csv")] == ["{a}.csv"]
