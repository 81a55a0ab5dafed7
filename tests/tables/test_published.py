"""The published numbers: read digit by digit, within their scales, and doubted where their notes say so."""

import csv
import math
from collections import Counter

import pytest

from mlbench.errors import UserError
from mlbench.evaluation.suite import METRICS
from mlbench.tables import published as module
from mlbench.tables.published import Published, published, statistics, tables

OF_DATASETS = ["ant/table1", "flem/table1", "m3la/table1", "mulsupcon_ld/table1"]
OF_DATASETS += ["sigmoid_f1/table2", "sigmoid_f1/table8"]
OF_RESULTS = [table for table in tables() if table not in OF_DATASETS]
COUNTS = {"n_instances", "n_train", "n_val", "n_test", "n_features", "n_labels", "n_label_sets"}
AVERAGES = {"avg_labels", "avg_labels_train", "avg_labels_test"}
OTHERS = {"n_modalities", "modality_dims", "domain"}
PERCENT = ["sigmoid_f1/table3", "sigmoid_f1/table4", "sigmoid_f1/table7a", "sigmoid_f1/table7b"]
RUNS = {"ant": 4, "m3la": 10}  # behind a mean and its standard deviation, as the papers say
# Cells with more or fewer digits than the rest of their table.
OTHER_DIGITS = {
    "ant/table2": 14,  # all of them 1.000
    "m3la/table2": 6,  # coverage of cc; subset accuracy of br and cc on msra, which is 0
    "mulsupcon_ld/table7": 1,  # hamming accuracy at alpha=0.001, beta=0.01
}


def lines_of(table):
    with (module.FOLDER / f"{table}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def largest(cell, table):
    """What the quantity cannot exceed."""
    if cell.metric == "train_time_minutes":
        return math.inf
    if (
        table.startswith("m3la") and cell.metric == "coverage"
    ):  # the number of labels down to the last relevant
        return int(statistics("m3la/table1")[cell.dataset]["n_labels"])
    return 100 if table in PERCENT else 1


def impossible_std(cell, table):
    """n values in [0, 1] of mean m spread at most by m (1 - m) n / (n - 1); the mean is rounded."""
    if cell.std is None or largest(cell, table) > 1:
        return False
    runs, half = RUNS[table.partition("/")[0]], 0.5 * 10**-cell.decimals
    near = (cell.mean - half, cell.mean + half)
    variance = max(m * (1 - m) for m in (*near, min(max(0.5, near[0]), near[1]))) * runs / (runs - 1)
    return cell.std - half > math.sqrt(max(variance, 0))


def test_every_table_of_the_papers_is_there():
    papers = Counter(table.partition("/")[0] for table in tables())
    assert papers == {"ant": 4, "flem": 6, "m3la": 3, "mulsupcon_ld": 8, "sigmoid_f1": 7}
    assert sum(len(published(table)) for table in OF_RESULTS) == 1987
    with pytest.raises(UserError, match="ant/tabel2: no such table of numbers; did you mean ant/table2"):
        published("ant/tabel2")


@pytest.mark.parametrize("table", OF_DATASETS)
def test_statistics_are_numbers_but_for_two(table):
    printed = statistics(table)
    assert sum(map(len, printed.values())) == len(lines_of(table))  # none is there twice
    for says in printed.values():
        assert set(says) <= COUNTS | AVERAGES | OTHERS
        assert all(says[name].isdigit() and int(says[name]) > 0 for name in COUNTS & set(says))
        assert all(0 < float(says[name]) < int(says["n_labels"]) for name in AVERAGES & set(says))
        assert len(says.get("modality_dims", "").split(";")) == int(says.get("n_modalities", 1))


@pytest.mark.parametrize("table", OF_RESULTS)
def test_no_cell_is_there_twice(table):
    """No paper prints a cell twice within a table, though two of one paper may print the same runs."""
    keys = [(cell.dataset, cell.setting, cell.method, cell.metric) for cell in published(table)]
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize("table", OF_RESULTS)
def test_numbers_keep_their_printed_digits(table):
    for line, cell in zip(lines_of(table), published(table), strict=True):
        assert line["mean"] == ("" if cell.mean is None else f"{cell.mean:.{cell.decimals}f}")
        assert line["std"] == ("" if cell.std is None else f"{cell.std:.{cell.std_decimals}f}")
        assert line["rank"] in ("" if cell.rank is None else (f"{cell.rank:.0f}", f"{cell.rank:.1f}"))
    digits = Counter(cell.decimals for cell in published(table) if cell.mean is not None)
    assert digits.total() - max(digits.values()) == OTHER_DIGITS.get(table, 0)


@pytest.mark.parametrize("table", OF_RESULTS)
def test_numbers_lie_within_the_scale_of_their_metric(table):
    for cell in published(table):
        assert cell.metric in {*METRICS, "all", "train_time_minutes"}
        if cell.mean is not None:
            assert "all" not in (cell.dataset, cell.metric)
            assert 0 <= cell.mean <= largest(cell, table) and (cell.std is None or cell.std >= 0), cell
        if cell.rank is not None:
            assert 1 <= cell.rank <= len({other.method for other in published(table)})


def test_a_cell_without_a_number_is_a_mean_rank_or_says_why():
    silent = [(table, cell) for table in OF_RESULTS for cell in published(table) if cell.mean is None]
    ranks = [(table, cell) for table, cell in silent if "all" in (cell.dataset, cell.metric)]
    unreadable = [(table, cell) for table, cell in silent if (table, cell) not in ranks]
    for table in OF_RESULTS:
        for cell in published(table):
            said = cell.note.startswith(module.UNREADABLE)
            assert said == ((table, cell) in unreadable or "cut off" in cell.note), cell
    assert Counter(table for table, _ in unreadable) == {"ant/table2": 10, "mulsupcon_ld/table2": 24}
    assert Counter(table for table, _ in ranks if _.rank is None) == {"ant/table2": 2}  # ant's, cut off


def test_a_standard_deviation_is_doubted_where_its_note_says_so():
    notes = [(table, cell) for table in OF_RESULTS for cell in published(table) if "std" in cell.note]
    doubted = [(table, cell) for table in OF_RESULTS for cell in published(table) if cell.doubtful_std]
    # Of this one the note weighs two readings, both of them possible.
    (read_twice,) = [(table, cell) for table, cell in notes if "late ones" in cell.note]
    assert (read_twice[1].dataset, read_twice[1].method, read_twice[1].trusted_std) == (
        "tmc2007",
        "cfl",
        0.0006,
    )
    assert doubted == [each for each in notes if each != read_twice]
    assert all(cell.trusted_std is None and cell.std is not None for _, cell in doubted)
    scene = [cell for cell in published("ant/table2") if cell.dataset == "scene" and cell.std is not None]
    assert len(scene) == 24 and all(cell.doubtful_std for cell in scene)
    trusted = [cell for table in OF_RESULTS for cell in published(table) if not cell.doubtful_std]
    assert all(cell.trusted_std == cell.std for cell in trusted)


def test_an_impossible_standard_deviation_is_never_trusted():
    impossible = [
        (table, cell) for table in OF_RESULTS for cell in published(table) if impossible_std(cell, table)
    ]
    assert [(table, cell.method, cell.metric) for table, cell in impossible] == [
        ("ant/table2", "fka", "subset_loss"),
        ("ant/table3", "fka", "subset_loss"),
        ("m3la/table3", "m3la_wco", "auc_micro"),
    ]
    assert all(cell.trusted_std is None for _, cell in impossible)


def test_what_says_nothing_of_a_method_is_compared_with_nothing():
    """sigmoidF1: trivial predictions, a mAP that is not of scores, minutes."""
    found = {table: [cell for cell in published(table) if cell.not_compared] for table in OF_RESULTS}
    assert {table: len(cells) for table, cells in found.items() if cells} == {
        "sigmoid_f1/table3": 35,
        "sigmoid_f1/table4": 5,
        "sigmoid_f1/table6": 20,
    }
    rows = {(cell.dataset, cell.method) for cell in found["sigmoid_f1/table3"]}
    assert {method for dataset, method in rows if dataset == "arxiv2020"} == {"bce", "sigmoid_f1"}
    assert len({method for dataset, method in rows if dataset == "movie_posters"}) == 5
    assert {cell.metric for cell in found["sigmoid_f1/table4"]} == {"ap_macro"}
    assert all(cell.mean is not None for cells in found.values() for cell in cells)


@pytest.mark.parametrize("dataset", ["arxiv2020", "movie_posters"])
def test_sigmoid_f1_predicts_all_labels_where_it_is_not_compared(dataset):
    """The F1 of that, pooled, is 2P / (1 + P) of the printed precision P, to the last digit."""
    printed = {
        cell.metric: cell.mean
        for cell in published("sigmoid_f1/table3")
        if (cell.dataset, cell.method) == (dataset, "sigmoid_f1")
    }
    precision = printed["precision"] / 100
    assert printed["f1_macro"] == round(100 * 2 * precision / (1 + precision), 2)


@pytest.mark.parametrize(
    ("note", "trusted"),
    [
        ("", 0.1),
        ("mean of 5 seeds", 0.1),
        ("std: four early repeats read 0.1; three late ones 0.2", 0.1),
        ("std equals that of the emotions cell (suspect copy)", None),
        ("a loss bounded by 1 with mean 1 cannot have this std", None),
        ("no label correlation matrix; std impossible for this mean", None),
    ],
)
def test_what_a_note_says_of_a_standard_deviation(note, trusted):
    cell = Published("scene", "", "ant", "f1_micro", 0.5, 0.1, None, 1, 1, note)
    assert cell.trusted_std == trusted and cell.doubtful_std == (trusted is None)
