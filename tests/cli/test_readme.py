"""README.md is true: its commands run, its files work, its tables say what conf/ says."""

import functools
import itertools
import os
import re
import shlex
import shutil
import site
import subprocess
import sys
from pathlib import Path

import pytest

from made_up import made_up_record
from mlbench.commands import fetch
from mlbench.commands import search as searches
from mlbench.commands.bench import SUITES
from mlbench.commands.reproduce import read as read_arguments
from mlbench.compose import choices
from mlbench.results.record import Record
from mlbench.tables import spec as specs
from mlbench.tables.plan import part

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
BUILT_IN = ("multidigits", "csv", "weather")  # all other data sets must be there: those examples are real

needs_data = [
    pytest.mark.real,
    pytest.mark.skipif(not os.environ.get("MLBENCH_DATA"), reason="MLBENCH_DATA names no folder with data"),
]


def blocks(language, text=README):
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def section(title):
    """From its heading to the next. Headings below the first have two #, comments in code one."""
    _, *parts = re.split(r"^##+ (.*)\n", README, flags=re.MULTILINE)
    return dict(zip(parts[::2], parts[1::2]))[title]


def shown_commands(text=README):
    """Every command line: its environment, its program, its arguments."""
    for block in blocks("sh", text):
        for line in block.splitlines():
            words = shlex.split(line, comments=True)
            variables = {}
            while words and re.match(r"[A-Z_]+=", words[0]):
                name, _, variables[name] = words.pop(0).partition("=")
            if words and words[0] == "python":
                words = [words[1], *words[2:]]
            if words:
                yield variables, words[0], words[1:]


def runs(text=README):
    """The commands among them that run experiments."""
    for variables, program, arguments in shown_commands(text):
        if program in ("run.py", "mlbench"):
            yield variables, arguments


def dataset_in(arguments):
    return next((word.partition("=")[2] for word in arguments if word.startswith("dataset=")), "multidigits")


def shown_files():
    """The files that the README shows: their path is a comment in the first line, or stands beside ```."""
    for block in (*blocks("python"), *blocks("yaml")):
        first, _, content = block.partition("\n")
        if first.startswith("# "):
            yield first[2:], content
    yield from re.findall(r"^```csv (\S+)\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def write_files(folder):
    for path, content in shown_files():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(content)


def run_shown(command, folder, variables, arguments):
    """Like the shell: PYTHONPATH is read when a process starts, and these have started already."""
    where = variables.pop("PYTHONPATH", None)
    first = functools.partial(site.addsitedir, str(folder / where)) if where else None
    done = command(*arguments, first=first, **variables)
    assert (done.status, done.err) == (0, ""), (arguments, done)
    return done.out


EXAMPLES = list(runs(section("Six examples")))


def data_frame():
    """The program that makes a table of the records."""
    (program,) = [block for block in blocks("python") if "records(" in block]
    return program


def test_the_table_of_records_is_right_for_ten_folds_of_several_seeds(folder, monkeypatch, capsys):
    for seed, fold in itertools.product((0, 1, 2), range(10)):
        value = 0.25 + 0.125 * seed + (0.01 * fold - 0.045)
        metrics = {"last": {"f1_macro": value, "hamming_loss": 0.5}}
        record = made_up_record(f"{seed}{fold:015}", "yeast", "erm", seed, metrics=metrics)
        record.config["split"] = {"_target_": "a.KFold", "folds": 10, "fold": fold}
        path = folder / "outputs" / "yeast" / "erm" / record.key / "record.json"
        path.parent.mkdir(parents=True)
        record.write(path)
    monkeypatch.chdir(folder)
    exec(data_frame(), {})
    *_, line = capsys.readouterr().out.splitlines()
    assert line.split()[-3:] == ["0.375", "0.125", "3"]


def test_the_program_with_an_estimator(capsys):
    (program,) = [block for block in blocks("python") if "Classifier(" in block]
    names = {}
    exec(program, names)
    assert names["flem"].predict_proba(names["X"]).shape == (200, 3)
    assert capsys.readouterr() == ("", "")


def test_the_six_examples_and_the_table_of_their_records(command, folder, monkeypatch, capsys):
    assert len(EXAMPLES) == 6
    write_files(folder)
    printed = [
        run_shown(command, folder, {}, arguments)
        for _, arguments in EXAMPLES
        if dataset_in(arguments) in BUILT_IN
    ]
    assert len(printed) == 4 and "6 of 6 runs finished" in printed[2]

    measured = Record.read(folder / printed[0].split()[-1]).metrics["last"]
    (shown,) = blocks("text")
    numbers = re.findall(r"^(\w+) +(0\.\d+)$", shown, re.MULTILINE)
    assert len(numbers) == 7
    for metric, value in numbers:
        assert measured[metric] == pytest.approx(float(value), abs=0.02)

    monkeypatch.chdir(folder)
    exec(data_frame(), {})
    lines = capsys.readouterr().out.splitlines()
    swept = [line for line in lines if " prior " in f" {line} " or " erm " in f" {line} "]
    assert any(line.split()[-1] == "3" for line in swept), lines


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(arguments, id=dataset_in(arguments), marks=needs_data)
        for _, arguments in EXAMPLES
        if dataset_in(arguments) not in BUILT_IN
    ],
)
def test_the_examples_on_data_of_the_registry(command, folder, arguments):
    short = [*arguments, "train.epochs=2"]  # that it runs is asked; what it measures is not shown
    out = run_shown(command, folder, {"MLBENCH_DATA": os.environ["MLBENCH_DATA"]}, short)
    assert "f1_micro=" in out.splitlines()[0]


def test_pieces_of_ones_own_run_from_outside_the_repository(command, folder):
    write_files(folder)
    own = [*runs(section("A method of your own")), *runs(section("A loss, a data set"))]
    printed = [run_shown(command, folder, variables, arguments) for variables, arguments in own]
    assert "smooth" in printed[0] and "4 of 4 runs finished" in printed[1] and "weather/smooth" in printed[2]


def test_ones_own_data_in_five_minutes(command, folder):
    """From the table to predictions; the lines that follow have tests of their own."""
    write_files(folder)
    found = re.search(r"^```\n(mlbench.*?)^```", section("Your own data in five minutes"), re.M | re.S)
    train, predict, *_ = [shlex.split(line)[1:] for line in found[1].splitlines()]
    run = (folder / run_shown(command, folder, {}, train).split()[-1]).parent
    (folder / "tomorrow.csv").write_text("wind,humidity,pressure\n6,.9,1003\n1,.4,1020\n")
    stem = str(run.parent.relative_to(folder))
    words = [f"run={run}" if word.startswith(f"run={stem}/") else word for word in predict[1:]]
    done = command(*words, program="mlbench.commands.predict")
    assert (done.status, done.err, done.out) == (0, "", "predictions.csv\n")
    assert (folder / "predictions.csv").read_text().startswith("id,rain,storm\n0,")


def test_two_teachers_a_training_file_and_a_test_file(command, folder):
    """Each teacher has seen rows of its own, and one of them one label only."""
    header, *rows = dict(shown_files())["weather/weather.csv"].splitlines()
    parts = {"north": rows[::2], "south": rows[1::2], "train": rows, "test": rows[::-1][:5]}
    for name, own in parts.items():
        (folder / f"{name}.csv").write_text("\n".join([header, *own, ""]))
    told = {"a": ("north", "[rain]", "[storm]"), "b": ("south", "[storm,rain]", "[]")}
    for name, (file, labels, drop) in told.items():
        words = [f"dataset.path={file}.csv", f"dataset.labels={labels}", f"dataset.drop={drop}"]
        out = run_shown(command, folder, {}, ["method=ofcc", "dataset=csv", *words, "train.epochs=3"])
        shutil.copytree((folder / out.split()[-1]).parent, folder / name)
    ((variables, arguments),) = runs(section("Methods"))
    record = Record.read(folder / run_shown(command, folder, variables, arguments).split()[-1])
    assert record.parts == {"train": 12, "test": 5} and record.facts["instances"] == 12
    (folder / "a/model.pt").write_text((folder / "train.csv").read_text())
    done = command(*arguments)
    assert (done.status, done.out) == (2, "") and done.err.count("\n") == 1
    assert "method.teachers.from.0=a/model.pt: not the model.pt of a run" in done.err


def test_the_method_is_two_files_in_the_repository(tmp_path):
    for folder in ("src/mlbench", "conf"):
        ignored = shutil.ignore_patterns("__pycache__", "local")
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=ignored)
    files = dict(shown_files())
    (tmp_path / "src/mlbench/methods/smooth.py").write_text(files["smooth.py"])
    config = files["conf/method/smooth.yaml"].replace("smooth.Smooth", "mlbench.methods.smooth.Smooth")
    (tmp_path / "conf/method/smooth.yaml").write_text(config)
    done = subprocess.run(
        [sys.executable, ROOT / "run.py", "method=smooth", "train.epochs=1"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path / "src")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / done.stdout.split()[-1]).is_file() and "/smooth/" in done.stdout


def test_the_table_of_data_sets_is_what_the_yamls_say():
    command, table = re.search(
        r"<!-- data sets: (.*?) -->\n\n(.*?)\n\n<!-- end of data sets -->", README, re.DOTALL
    ).groups()
    entries = list(dict(fetch.described()).values())
    assert table == fetch.markdown(entries), f"put between the markers what `{command}` prints"


@pytest.mark.parametrize(("group", "key"), [("split", "split="), ("threshold", "threshold=")])
def test_the_table_of_questions_lists_every_choice(group, key):
    (row,) = [line for line in README.splitlines() if line.startswith(f"| which {group}?")]
    assert all(re.search(rf"`({key})?{choice}`", row) for choice in choices(group))


def test_the_table_of_formats_lists_every_format():
    own = {name for name, entry in fetch.described() if entry.is_format}
    table = (ROOT / "docs" / "own_data.md").read_text()
    assert own == set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE))


def test_every_script_option_and_path_exists():
    for _, program, arguments in shown_commands():
        if program == "scripts/bench.py":
            assert arguments[0].removeprefix("suite=") in SUITES
        elif program == "make":
            assert f"\n{arguments[0]}: " in (ROOT / "Makefile").read_text()
        elif program == "scripts/reproduce.py":
            given, _, _ = read_arguments(arguments)
            part(given.get("only", ""), specs.read(given["table"]))
        elif program == "scripts/search.py":
            _, search, *_ = searches.asked(arguments)
            assert search.space
        elif program == "scripts/report.py":
            assert (ROOT / program).is_file() and not arguments
        else:
            assert program in ("run.py", "mlbench") and (ROOT / "run.py").is_file()
    shown = {path for path, _ in shown_files()} | {"src/mlbench/methods/smooth.py"}
    for path in re.findall(r"[`(]((?:src|conf|docs|scripts)/[\w/.-]+)[`)]", README):
        assert path in shown or (ROOT / path).exists(), path
    for name in re.findall(r"scripts/fetch.py dataset=([\w,]+)", README):
        assert set(name.split(",")) <= set(dict(fetch.described()))
