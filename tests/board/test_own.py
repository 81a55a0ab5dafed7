"""One's own data and one's own method by the board's protocol, as a person types it."""

import re
import shlex
import sys

import numpy as np
import pytest

from mlbench.commands import run
from mlbench.commands.board import main


@pytest.fixture
def table(tmp_path, monkeypatch):
    """mine.csv: the second label follows from the columns, the first nearly so."""
    monkeypatch.chdir(tmp_path)
    generator = np.random.default_rng(0)
    x = generator.normal(size=(100, 3))
    y = np.stack([x[:, 0] + 0.5 * generator.normal(size=100) > 0, x[:, 1] > 0], 1).astype(int)
    lines = ["a,b,c,rain,storm", *(",".join(map(str, [*row, *labels])) for row, labels in zip(x, y))]
    (tmp_path / "mine.csv").write_text("\n".join(lines))
    return tmp_path


def test_own_data_end_in_what_to_use_and_the_command_that_trains_it(table, capsys, monkeypatch):
    asked = ["data=mine.csv", "dataset.labels=[rain,storm]", "methods=prior,br,m3la", "metric=f1_macro"]
    assert main(asked) == 0
    said = capsys.readouterr().out
    found = re.findall(r"^(\w+) +(\d\.\d+) \[(\d\.\d+), (\d\.\d+)\] +([+-]\d\.\d+)  p", said, re.MULTILINE)
    assert [name for name, *_ in found] == ["br", "prior"]
    assert all(float(low) <= float(value) <= float(high) for _, value, low, high, _ in found)
    assert float(found[1][1]) - float(found[0][1]) == pytest.approx(float(found[1][4]), abs=2e-4)
    assert "or cannot be: m3la" in said and "\nuse br\n" in said
    command = said.splitlines()[-1]
    assert "method=br" in command and "dataset.path=mine.csv" in command and "split.path" not in command
    monkeypatch.setattr(sys, "argv", ["run.py", *shlex.split(command)[2:]])
    with pytest.raises(SystemExit, match="0"):
        run.main()
    assert "record.json" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("data=nowhere.csv", "data=nowhere.csv: there is no such file"),
        ("data=mine.doc", "should end in one of .csv"),
        ("data=mine.csv metric=f1_makro", "did you mean f1_macro"),
        ("data=mine.csv seconds=none", "a number of seconds above 0"),
        ("data=mine.csv methods=mlkn", "the board has no such method; did you mean mlknn"),
        ("data=mine.csv labels=rain", "labels: no such key"),
        ("add=mine", "what the method is is not given"),
        ("add=mine method=br datasets=scenes", "no such data set; did you mean scene"),
        ("harvst", "harvst: no such word"),
        ("harvest outputs=x", "outputs: no such key"),
        ("splits dataset=scene", "out is needed and not given"),
    ],
)
def test_a_wrong_word_is_a_line(asked, said, table, capsys):
    assert main(asked.split()) == 2
    printed = capsys.readouterr()
    assert said in printed.err and printed.err.count("\n") == 1 and not printed.out
