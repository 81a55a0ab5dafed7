"""launch.seconds: a run that works longer is over."""

import time

import pytest

from mlbench.results import store
from mlbench.runs.limit import OutOfTime, limited

PROGRAM = {"program": "mlbench.commands.reproduce"}
TABLE = """
title: One that ends and one that does not
axes:
  dataset: [multidigits]
  method:
    prior: [method=prior]
    endless: [backbone=linear, train.epochs=10000000]
metrics: {f1: f1_micro}
seeds: 1
layout: {rows: method, columns: metric}
"""


def busy(seconds):
    until = time.process_time() + seconds
    while time.process_time() < until:
        pass


def test_what_is_done_in_time_is_left_alone_and_the_clock_stops():
    with limited(0.05):
        pass
    with limited(0.05):
        time.sleep(0.1)  # waiting does not count
    with limited(None):
        busy(0.1)
    busy(0.1)


def test_what_takes_longer_is_stopped():
    with pytest.raises(OutOfTime, match=r"took more than 0\.05 processor seconds"), limited(0.05):
        while True:
            pass


def test_a_run_out_of_time_is_a_result(command, folder):
    (folder / "slow.yaml").write_text(TABLE)
    asked = ("table=slow.yaml", "launch.seconds=4", "paths.outputs=out")
    first = command(*asked, **PROGRAM)
    assert first.status == 2 and "endless" not in first.out
    assert "failed: took more than 4 processor seconds, launch.seconds" in first.err
    (failed,) = (folder / "out").glob("*/*/*/failed.json")
    assert store.failure(failed.parent)["type"] == "OutOfTime"
    noted = failed.stat().st_mtime_ns
    again = command(*asked, **PROGRAM)  # takes it as it is
    assert again.status == 2 and failed.stat().st_mtime_ns == noted
