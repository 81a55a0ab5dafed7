"""Markdown, LaTeX and CSV of a table: the same numbers in each, whatever the names hold."""

import csv
import io
import re
import shutil
import subprocess
from dataclasses import replace

import pytest

from made_up import finish, made_up_cases, made_up_spec
from mlbench.results.repeats import Average
from mlbench.tables.cells import Cell, cell
from mlbench.tables.comparison import compare
from mlbench.tables.published import Published
from mlbench.tables.render import comma
from mlbench.tables.render.html import html
from mlbench.tables.render.latex import escape, latex
from mlbench.tables.render.markdown import markdown
from mlbench.tables.spec import checked
from mlbench.tables.table import Block, Table, View, best, fill

HOSTILE = "50% of $x_1 & {y} # ~^\\ | a–b"
SPEC = {
    "title": f"A title with {HOSTILE}",
    "published": "ant/table3",
    "axes": {"dataset": ["scene", "yelp"], "method": ["one", HOSTILE, "three"]},
    "metrics": {"subset_loss": {"ours": "subset_loss"}, "f1_micro": {"ours": "f1_micro"}},
    "seeds": 2,
    "layout": {"blocks": "dataset", "rows": "method", "columns": "metric"},
    "decimals": 3,
    "printed_ranks": "columns",
    "notes": ["A note."],
}
VALUES = {"one": (0.2, 0.3), HOSTILE: (0.5, 0.1), "three": (0.25, 0.25)}
HEADER = {"split": "holdout", "selection": "last", "threshold": "fixed 0.5", "seeds": "0, 1"}


def made_cell(dataset: str, method: str, metric: str) -> Cell:
    better = "low" if metric == "subset_loss" else "high"
    mean = VALUES[method][metric == "f1_micro"]
    values = {(0, None): mean, (1, None): mean + 0.002} if dataset == "scene" else {}
    number = None if method == "three" else mean
    printed = Published(dataset, "", method, metric, number, 0.02, None, 3, 3, "cannot have this std")
    return cell(
        (dataset, "", method), metric, values, printed, better,
        planned=2, published_seeds=2, scale=1, not_run="data",
    )  # fmt: skip


def made_block(dataset: str) -> Block:
    methods, metrics = list(VALUES), ["subset_loss", "f1_micro"]
    cells = {(method, metric): made_cell(dataset, method, metric) for method in methods for metric in metrics}
    ranks = dict.fromkeys(methods, 1.5)
    return Block({"dataset": dataset}, methods, metrics, cells, ranks, {"one": 2.0}, 0.5, True)


@pytest.fixture(scope="module")
def made_table() -> Table:
    spec = checked(SPEC, "made/up")
    compared = compare("subset_loss", "low", {name: {m: v[0] for m, v in VALUES.items()} for name in "abc"})
    view = View("", "", [made_block("scene"), made_block("yelp")], [compared])
    return Table("made/up", spec, HEADER, [view], {}, {})


def test_markdown_has_ours_above_theirs(made_table):
    text = markdown(made_table)
    assert (
        "| **one** | ours | 0.201 ± 0.001 = | 0.301 ± 0.001 = | 1.5 |\n| | paper | 0.200 (± 0.020) |" in text
    )
    assert "| three" not in text and "| **three** | ours | 0.251 ± 0.001 · |" in text
    assert "Ours: not run: data." in text
    assert "Kendall's τ 0.50, the same method first" in text
    assert "Friedman over 3 problems" in text and "- A note." in text
    stand = "4 agree, 0 better, 0 worse, 0.001 apart on average; 2 not compared"
    assert f"4 of 12 cells compared: {stand}, 6 not run." in text
    assert text.count(f"4 of 6 cells compared: {stand}, 0 not run.") == 1  # below the block that has run


def test_the_last_bit_makes_no_best(made_table):
    block = made_table.views[0].blocks[0]
    cells = {
        place: replace(cell, ours=Average({(0, None): 90 / 152 + 1e-16 * (place[0] == "one")}))
        for place, cell in block.cells.items()
    }
    assert 90 / 152 + 1e-16 != 90 / 152
    assert best(replace(block, cells=cells), made_table.spec) == set(cells)


def test_every_line_of_a_grid_has_as_many_cells(made_table):
    grids = re.findall(r"(?:^\|.*\n)+", markdown(made_table), re.MULTILINE)
    assert len(grids) == 3
    for grid in grids:
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in grid.splitlines()}) == 1


def test_latex_is_balanced(made_table):
    text = latex(made_table)
    bare = re.sub(r"\\[\\{}&%$#_]", "", text)
    assert bare.count("{") == bare.count("}") and bare.count("$") % 2 == 0
    lines = [line for line in text.splitlines() if line.endswith(r"\\") and "multicolumn" not in line]
    columns = re.search(r"begin\{tabular\}\{(\w+)\}", text)[1]
    assert len(lines) == 1 + 2 * 3 * 2
    assert {len(re.findall(r"(?<!\\)&", line)) + 1 for line in lines} == {len(columns)}


def rows_of(text):
    """The lines of a LaTeX table, cell by cell."""
    lines = [line.removesuffix(r" \\") for line in text.splitlines() if line.endswith(r"\\")]
    return [re.split(r" ?(?<!\\)& ?", line) for line in lines]


def test_latex_bolds_the_best_and_leaves_empty_what_is_empty(made_table):
    rows = rows_of(latex(made_table))
    _, _, one, paper, _, _, three, nothing, *_, yelp, _ = rows
    assert one[:2] == ["one", "ours"] and one[2] == r"\textbf{0.201 $\pm$ 0.001} $=$"
    assert one[3] == r"\textbf{0.301 $\pm$ 0.001} $=$" and "textbf" not in "".join(three)
    assert paper[:3] == ["", "paper", r"0.200 ($\pm$ 0.020)"]
    assert nothing == ["", "paper", "", "", ""]  # of `three`
    assert yelp[2:4] == ["", ""]
    comments = [line for line in latex(made_table).splitlines() if line.startswith("% yelp")]
    assert len(comments) == 6 and all(line.endswith(": not run: data") for line in comments)


@pytest.fixture(scope="module")
def own_table(tmp_path_factory) -> Table:
    """A table of one's own, of which one case has not been run."""
    outputs = tmp_path_factory.mktemp("own")
    spec = made_up_spec()
    cases = made_up_cases(spec, outputs)
    for case in cases[1:]:
        for run in case.runs:
            finish(case, run)
    return fill("own", spec, cases)


def test_a_table_of_ones_own_says_nothing_of_a_paper(own_table, tmp_path):
    texts = [latex(own_table), markdown(own_table), comma.cells(own_table), comma.wide(own_table)]
    for text in texts:
        for word in ("paper", "published", "verdict", "not compared", "theirs", "·", "cdot", "agrees"):
            assert word not in text, word
    page = html(own_table, tmp_path)
    shown = page[page.index("<header>") : page.index('<script type="application/json"')]
    for word in ("paper", "theirs", "·", 'class="mark"', "Theirs"):
        assert word not in shown, word
    assert "not in the paper" not in page and '"published":false' in page


def test_latex_of_ones_own_table(own_table):
    head, _, bl, tc, ant, *_ = rows_of(latex(own_table))
    assert head == ["method", "hamming loss", "f1 macro", "rank"]
    assert bl == ["bl", "", "", ""]
    assert sum("textbf" in cell for row in (tc, ant) for cell in row) == 2


@pytest.mark.parametrize("count", [4, 5])
def test_few_data_sets_are_warned_of(count, own_table, tmp_path):
    values = {str(n): {"bl": 0.1, "tc": 0.2, "ant": 0.3 + n / 100} for n in range(count)}
    view = replace(own_table.views[0], comparisons=[compare("f1_macro", "high", values)])
    table = replace(own_table, views=[view])
    for text in (markdown(table), html(table, tmp_path)):
        assert ("Fewer than 5 data sets" in text) == (count < 5)


@pytest.mark.parametrize("sign", [*'&%$#_{}~^\\<>|"–±−τ漢', "a\nb"])
def test_every_sign_is_escaped(sign):
    assert "漢" not in escape(sign)
    assert re.sub(r"\\\w+\{\}|\\.|\$[^$]*\$|--", "", escape(sign)).isascii() or sign in "±"


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="no pdflatex here: only the structure was checked")
def test_latex_compiles(made_table, tmp_path):
    (tmp_path / "page.tex").write_text(
        "\\documentclass{article}\\usepackage{booktabs,amssymb}\\begin{document}\n"
        f"{latex(made_table)}\\end{{document}}\n"
    )
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-draftmode", "page.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:]


def test_csv_has_every_cell(made_table):
    long = list(csv.DictReader(io.StringIO(comma.cells(made_table))))
    assert len(long) == 12
    first = next(row for row in long if row["method"] == "one" and row["metric"] == "subset_loss")
    assert float(first["ours_mean"]) == pytest.approx(0.201) and first["verdict"] == "agrees"
    assert first["published_std_doubtful"] == "True"
    wide = list(csv.DictReader(io.StringIO(comma.wide(made_table))))
    assert [row["method"] for row in wide] == [*VALUES] * 2
    assert wide[1]["f1_micro_published"] == "0.1" and wide[3]["f1_micro_ours"] == ""
