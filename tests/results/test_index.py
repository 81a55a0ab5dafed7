"""The index of the records: what it says is what the records say, whatever happens to either."""

import json
import math
import os
import shutil
import subprocess
import sys
from dataclasses import asdict

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from made_up import made_up_record
from mlbench.results import index, store
from mlbench.results.index import Index
from mlbench.results.record import Record
from mlbench.results.repeats import deviation

KEYS = [f"{number:016x}" for number in range(4)]


@pytest.fixture(autouse=True)
def old_files(monkeypatch):
    monkeypatch.setattr(index, "FRESH", -1.0)


def put(outputs, key, **changes):
    """Writes a record; its folder."""
    run = store.folder(outputs, "scene", "ant", key)
    made_up_record(key, "scene", "ant", int(key, 16), **changes).write(run / "record.json")
    return run


@pytest.fixture
def runs(tmp_path):
    return [put(tmp_path, key) for key in KEYS]


def told(outputs, runs):
    """What a process says of the runs that has just begun."""
    known = Index(outputs)
    return [known.brief(run) for run in runs]


def opened(outputs, runs, monkeypatch):
    """The runs whose records such a process opens."""
    seen, read = [], Record.read
    monkeypatch.setattr(Record, "read", lambda path: seen.append(path.parent) or read(path))
    told(outputs, runs)
    monkeypatch.setattr(Record, "read", read)
    return seen


def truth(runs):
    return [Record.read(run / "record.json").brief for run in runs]


def test_says_what_the_records_say_and_opens_none_twice(tmp_path, runs, monkeypatch):
    values = {"last": {"f1_macro": math.nan, "bce": 1e-300}, "best": {"f1_macro": 1.0, "bce": math.nan}}
    runs.append(put(tmp_path, "ab", metrics=values, selected={"best": {"epoch": 3.0}}, code="é\t\n"))
    assert opened(tmp_path, runs, monkeypatch) == runs
    assert opened(tmp_path, runs, monkeypatch) == []
    as_text = [
        [json.dumps(asdict(brief), sort_keys=True) for brief in briefs]
        for briefs in (told(tmp_path, runs), truth(runs))
    ]
    assert as_text[0] == as_text[1]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.text(st.characters(codec=None)), st.floats()), st.text(st.characters(codec=None)))
def test_numbers_and_names_come_back_as_they_were(tmp_path, values, name):
    brief = made_up_record("ab", "scene", "ant", 0, metrics={"last": values}, data={"name": name}).brief
    run = put(tmp_path, "ab")
    known = Index(tmp_path)
    known.append("scene/ant/ab", index.stamp_of((run / "record.json").stat()), brief)
    assert repr(known.brief(run).metrics) == repr(brief.metrics) and known.brief(run).data == brief.data


def test_who_finishes_a_run_appends_its_line(tmp_path, monkeypatch):
    run = store.folder(tmp_path, "scene", "ant", KEYS[0])
    run.mkdir(parents=True)
    store.finish(run, made_up_record(KEYS[0], "scene", "ant", 0), {})
    assert opened(tmp_path, [run], monkeypatch) == []
    assert told(tmp_path, [run]) == truth([run])


def test_a_line_counts_as_long_as_the_file_is_what_it_was(tmp_path, runs, monkeypatch):
    told(tmp_path, runs)
    edited, touched, replaced, moved = (run / "record.json" for run in runs)
    for path, words in ((edited, '"seed": 5'), (replaced, '"seed": 7')):
        before, text = path.stat(), path.read_text()
        number = text.index('"seed": ')
        changed = text[:number] + words + text[number + len(words) :]
        if path == replaced:
            path.unlink()
        path.write_text(changed)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))  # of the same size and time
        assert path.stat().st_size == before.st_size
    os.utime(touched)
    shutil.rmtree(runs[0].with_name("elsewhere"), ignore_errors=True)
    moved.parent.rename(moved.parent.with_name("elsewhere"))
    runs[3] = moved.parent.with_name("elsewhere")
    assert told(tmp_path, runs) == truth(runs)
    assert [brief.seed for brief in told(tmp_path, runs)] == [5, 1, 7, 3]


def test_a_record_that_is_gone_has_no_line(tmp_path, runs):
    told(tmp_path, runs)
    (runs[0] / "record.json").unlink()
    shutil.rmtree(runs[1])
    assert told(tmp_path, runs) == [None, None, *truth(runs[2:])]


def test_a_record_that_was_copied_in_by_hand_is_there(tmp_path, runs, monkeypatch):
    told(tmp_path, runs)
    copied = shutil.copytree(runs[0], runs[0].with_name("copied"))  # with its times
    there = shutil.copytree(runs[0].parents[2], tmp_path / "copy")  # with its index
    assert told(tmp_path, [copied]) == truth([copied])
    moved = [there / run.relative_to(tmp_path) for run in runs]
    assert told(there, moved) == truth(runs)


def test_a_file_that_may_still_change_within_its_time_gets_no_line(tmp_path, runs, monkeypatch):
    monkeypatch.setattr(index, "FRESH", 60.0)
    told(tmp_path, runs)
    assert opened(tmp_path, runs, monkeypatch) == runs


def test_what_is_no_record_is_none_each_time(tmp_path, runs):
    told(tmp_path, runs)
    (runs[0] / "record.json").write_text("{}")
    for _ in range(2):
        with pytest.raises(ValueError, match="Field required"):
            told(tmp_path, runs[:1])


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_index_costs_time_alone(tmp_path, runs, data):
    path = tmp_path / index.NAME
    path.unlink(missing_ok=True)
    told(tmp_path, runs)
    text = bytearray(path.read_bytes())
    how = data.draw(st.sampled_from(["cut", "overwritten", "inserted"]))
    at = data.draw(st.integers(0, len(text) - 1))
    if how == "cut":
        del text[at:]
    elif how == "overwritten":
        text[at] = data.draw(st.integers(0, 255))
    else:
        text[at:at] = data.draw(st.binary(max_size=30))
    path.write_bytes(text)
    assert told(tmp_path, runs) == truth(runs)  # and mends it
    assert told(tmp_path, runs) == truth(runs)


def test_half_a_line_of_a_killed_process_spoils_no_other(tmp_path, runs, monkeypatch):
    told(tmp_path, runs)
    path = tmp_path / index.NAME
    half = path.read_bytes().splitlines()[-1][:100]
    with path.open("ab") as file:
        file.write(half)
    late = put(tmp_path, "ff")
    assert opened(tmp_path, [*runs, late], monkeypatch) == [late]
    assert opened(tmp_path, [*runs, late], monkeypatch) == []


def test_a_line_that_is_still_being_written_is_read_when_it_is_whole(tmp_path, runs, monkeypatch):
    told(tmp_path, runs)
    path = tmp_path / index.NAME
    whole = path.read_bytes()
    path.write_bytes(whole[:-40])
    known = Index(tmp_path)
    known.refresh()
    assert len(known.lines) == len(runs) - 1
    with path.open("ab") as file:
        file.write(whole[-40:])
    known.refresh()
    assert len(known.lines) == len(runs)


APPENDING = """import sys
from pathlib import Path
from mlbench.results import index
index.FRESH = -1.0
known = index.Index(Path(sys.argv[1]))
for _ in range(20):
    for run in sorted(Path(sys.argv[1]).glob("*/*/*")):
        brief = known.brief(run)
        known.append("/".join(run.parts[-3:]), known.briefs["/".join(run.parts[-3:])][0], brief)
"""


def test_two_processes_append_at_once(tmp_path, runs, monkeypatch):
    both = [subprocess.Popen([sys.executable, "-c", APPENDING, tmp_path]) for _ in range(2)]
    assert [process.wait() for process in both] == [0, 0]
    known = Index(tmp_path)
    known.refresh()
    assert known.read_lines >= 2 * 20 * len(runs)
    assert opened(tmp_path, runs, monkeypatch) == []
    assert told(tmp_path, runs) == truth(runs)


def test_lines_of_another_version_count_as_none(tmp_path, runs, monkeypatch):
    monkeypatch.setattr(index, "FORMAT", b"0")
    told(tmp_path, runs)
    monkeypatch.undo()
    monkeypatch.setattr(index, "FRESH", -1.0)
    assert opened(tmp_path, runs, monkeypatch) == runs
    assert opened(tmp_path, runs, monkeypatch) == []


def test_an_index_that_cannot_be_written_costs_time_alone(tmp_path, runs, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError

    (tmp_path / index.NAME).mkdir()
    assert told(tmp_path, runs) == truth(runs)
    (tmp_path / index.NAME).rmdir()
    monkeypatch.setattr(os, "open", refuse)
    known = Index(tmp_path)
    assert [known.brief(run) for run in runs] == truth(runs)
    known.tidy()
    assert not (tmp_path / index.NAME).exists()


def test_tidied_it_has_a_line_for_each_record_and_another_process_goes_on(tmp_path, runs, monkeypatch):
    known, beside = Index(tmp_path), Index(tmp_path)
    for _ in range(3):
        for run in runs:
            known.append("/".join(run.parts[-3:]), b"1 2 3 4", known.brief(run))
    beside.refresh()
    shutil.rmtree(runs[0])
    (tmp_path / index.NAME).write_bytes((tmp_path / index.NAME).read_bytes() + b"nonsense\n")
    told(tmp_path, runs)
    known.tidy(everything=True)
    assert len((tmp_path / index.NAME).read_bytes().splitlines()) == len(runs) - 1
    late = put(tmp_path, "ff")
    assert [beside.brief(run) for run in [*runs, late]] == [None, *truth([*runs[1:], late])]
    assert opened(tmp_path, [*runs, late], monkeypatch) == []


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=20))
def test_deviation_is_that_of_the_standard_library(values):
    import statistics

    assert math.isclose(deviation(values), statistics.stdev(values), rel_tol=1e-9, abs_tol=1e-9)
    assert deviation([values[0]] * 3) == 0
