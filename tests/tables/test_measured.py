"""What a table shows of a record beside its metrics: minutes of training."""

import csv
import io

import pytest

from made_up import made_up_record, made_up_spec, made_up_table
from mlbench.errors import UserError
from mlbench.tables.measured import FACTS, better, values
from mlbench.tables.render import comma
from mlbench.tables.render.markdown import markdown
from mlbench.tables.spec import read

MINUTES = {"minutes": {"ours": "train_time_minutes"}, "f1": {"ours": "f1_macro"}}


def test_minutes_are_those_of_all_stages_without_scoring():
    seconds = {"teacher 1": 60.0, "student": 30.0, "scoring": 1000.0}
    record = made_up_record("a", "scene", "ant", 0, seconds=seconds)
    assert values(record, "last") == record.metrics["last"] | {"train_time_minutes": 1.5}
    assert values(record, "best") == {}  # not scored under that rule
    assert better("train_time_minutes") == "low" and better("f1_macro") == "high"


@pytest.mark.parametrize("ending", ["oracle", "clean", "fixed"])
def test_a_threshold_rule_changes_the_name_of_a_metric_of_label_sets_and_not_its_direction(ending):
    assert better(f"f1_macro_{ending}") == "high" and better(f"hamming_loss_{ending}") == "low"
    with pytest.raises(UserError, match=f"unknown metric 'auc_macro_{ending}'"):
        better(f"auc_macro_{ending}")


def test_a_table_shows_them_beside_metrics(tmp_path):
    table = made_up_table(tmp_path, made_up_spec(metrics=MINUTES), seconds={"train": 90.0, "scoring": 5.0})
    cells = [cell for cell in table.views[0].cells() if cell.metric == "minutes"]
    assert len(cells) == 6 and all(cell.ours.mean == 1.5 and cell.ours.std == 0 for cell in cells)
    assert "| metrics | minutes ↓ (our train_time_minutes); f1 ↑ (our f1_macro) |" in markdown(table)
    lines = list(csv.DictReader(io.StringIO(comma.runs(table))))
    assert [float(line["train_time_minutes"]) for line in lines] == [1.5] * 12


def test_the_paper_that_prints_minutes_finds_them():
    table = read("sigmoid_f1/6")
    assert [measured.ours for measured in table.metrics.values()] == list(FACTS)


@pytest.mark.parametrize("rule", ["last", "best"])
def test_minutes_are_the_same_under_every_rule(rule):
    both = {"last": {"f1_macro": 0.5}, "best": {"f1_macro": 0.75}}
    record = made_up_record("a", "scene", "ant", 0, metrics=both, seconds={"train": 6.0})
    assert values(record, rule) == both[rule] | {"train_time_minutes": 0.1}
