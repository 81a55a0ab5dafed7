"""mlbench predict: ARFF and LIBSVM files come in pieces, and leave what they leave when read as a whole."""

import gzip

import numpy as np
import pytest
import torch

from mlbench.commands.predict import main
from mlbench.data import files, new_files
from mlbench.data.formats import libsvm
from mlbench.predict import Trained, predictions

COUNT = 2600  # rows: a piece has 1024 or a multiple
WORDS = ("calm", "breeze", "storm")
NAMES = ("rain", "snow")


@pytest.fixture
def run(trained):
    """Of two columns of numbers."""
    return trained("dataset.drop=[wind,side]", "dataset.scaling=zscore")


@pytest.fixture
def answers(folder, monkeypatch, capsys):
    """answers("new.svm", run) is what predict leaves of a file in small pieces: status, lines, predictions;
    it is refused if the same file as a whole leaves anything else.
    """

    def answer(name, *words):
        out = folder / "p.csv"
        out.unlink(missing_ok=True)
        status = main([f"path={folder / name}", f"out={out}", "give=all", *words])
        return status, *capsys.readouterr(), out.read_bytes() if out.exists() else None

    def answers(name, run, *words):
        asked = [
            name,
            f"run={run}" if not isinstance(run, list) else f"run=[{','.join(map(str, run))}]",
            *words,
        ]
        whole = answer(*asked)
        with monkeypatch.context() as small:
            small.setattr(files, "PIECE", 2000)
            small.setattr(new_files, "LABELS", 1)
            in_pieces = answer(*asked)
        assert in_pieces == whole
        return whole

    return answers


def pairs(first=1, labelled=True, count=COUNT):
    """Rows of LIBSVM's format: some without labels, some without a feature."""
    rng = np.random.default_rng(3)
    lines = []
    for row, (wet, cold) in enumerate(rng.normal(size=(count, 2)).round(3)):
        labels = ",".join(name for name in NAMES if labelled and rng.random() < 0.4)
        some = [f"{first}:{wet}"] if row % 3 else []
        lines.append(f"{labels} {' '.join([*some, f'{first + 1}:{cold}'])}")
    return lines


def table(form="dense", labelled=True, count=COUNT):
    """Lines of an ARFF file, header included, whose data begin with line 10 (8 without labels)."""
    rng = np.random.default_rng(4)
    kinds = ["name string", "wet numeric", "wind {storm,calm,breeze}", "cold numeric", "side {lee,luv}"]
    kinds += [f"{label} {{0,1}}" for label in NAMES if labelled]
    lines = ["@relation r", *(f"@attribute {kind}" for kind in kinds), "@data", "% rows"]
    for row in range(count):
        words = [f"'row {row}'", f"{rng.normal():.3f}", str(rng.choice(WORDS)), f"{rng.normal():.2f}"]
        words += [str(rng.choice(["lee", "luv"])), *(str(int(rng.random() < 0.4)) for _ in NAMES)]
        words = words[: len(kinds)]
        if form == "sparse":
            lines.append("{" + ", ".join(f"{column} {word}" for column, word in enumerate(words)) + "}")
        else:
            lines.append(",".join(words))
    return lines


def written(folder, name, lines, end="\n"):
    data = ("\n".join(lines) + end).encode("latin-1")
    (folder / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return name


@pytest.mark.parametrize("labelled", [True, False])
@pytest.mark.parametrize("name", ["new.svm", "new.libsvm.gz"])
def test_rows_of_pairs_have_the_scores_of_the_whole_file(name, labelled, run, folder, answers, monkeypatch):
    lines = pairs(labelled=labelled)
    lines[7:7] = ["# a comment", ""]
    written(folder, name, lines, end="")
    status, out, err, predicted = answers(name, run)
    assert (status, err) == (0, "") and out.startswith("subset_accuracy=") == labelled
    assert predicted.count(b"\n") == COUNT + 1
    monkeypatch.setattr(files, "PIECE", 2000)
    found, trained = [*predictions([Trained.of_run(run)], str(folder / name))], Trained.of_run(run)
    assert [len(piece.ids) for piece in found] == [1024, 1024, COUNT - 2048]
    plain = libsvm.read(folder / name, NAMES, 2)
    assert torch.equal(torch.cat([piece.scores for piece in found]), trained.scores(plain.features))
    assert np.concatenate([piece.ids for piece in found]).tolist() == [*range(COUNT)]
    if labelled:
        assert np.concatenate([piece.targets for piece in found]).tolist() == plain.targets.tolist()


def test_what_one_row_says_of_all_rows(run, folder, answers):
    """A feature 0 in the last row, or labels that are numbers there."""
    lines = pairs(first=0)
    last = next(n for n in reversed(range(COUNT)) if " 0:" in lines[n])
    bare = [
        line if n == last else line.replace(" 0:", " 1:").replace(" 1:", " #", 1)
        for n, line in enumerate(lines)
    ]
    zero = answers(written(folder, "zero.svm", bare), run)
    one = answers(written(folder, "one.svm", [line.replace(" 0:", " 2:") for line in bare]), run)
    assert zero[0] == one[0] == 0
    few = pairs(labelled=False)
    labelled = answers(written(folder, "few.svm", [*few[:-1], "snow 1:1"]), run)
    numbered = answers(written(folder, "numbers.svm", ["1" + few[0], *few[1:-1], "2 1:1"]), run)
    assert labelled[0] == numbered[0] == 0 and labelled[1].startswith("subset_accuracy="), (
        labelled,
        numbered,
    )
    unclear = answers(written(folder, "unclear.svm", ["1" + few[0], *few[1:]]), run)
    assert unclear[0] == 2 and "does not show whether its labels are counted from 0" in unclear[2]


def test_a_first_line_with_sizes(run, folder, answers):
    lines = pairs(first=0)
    lines[5] = lines[-1] = ""
    for more in ([], [""], ["", "", ""]):
        status, _, err, predicted = answers(written(folder, "s.svm", [f"{COUNT} 2 2", *lines, *more]), run)
        assert (status, err) == (0, "") and predicted.count(b"\n") == COUNT + 1
    for count, found in ((COUNT - 2, COUNT - 1), (COUNT + 1, COUNT)):
        status, _, err, _ = answers(written(folder, "s.svm", [f"{count} 2 2", *lines]), run)
        assert status == 2 and f"has {found} rows, but its first line says {count}" in err


@pytest.mark.parametrize("form", ["dense", "sparse"])
@pytest.mark.parametrize("labelled", [True, False])
def test_rows_of_arff_files(form, labelled, trained, weather, folder, answers, monkeypatch):
    """Words and numbers, ids and gaps; a comment before the first row; no end of line after the last one."""
    run = trained("dataset.missing=mean")
    lines = table(form, labelled)
    for name, ids in (("new.arff", []), ("new.arff.gz", ["id=name"])):
        status, out, err, predicted = answers(written(folder, name, lines, end=""), run, *ids)
        assert status == 0 and out.startswith("subset_accuracy=") == labelled, err
        assert (err == "") == bool(ids) and err.count("\n") < 2, err
        first, last = ("row 0", f"row {COUNT - 1}") if ids else ("0", str(COUNT - 1))
        rows = predicted.decode().splitlines()
        assert len(rows) == COUNT + 1 and rows[1].startswith(f"{first},") and rows[-1].startswith(f"{last},")
    gap = [line.replace("calm", "?") if n > 2000 else line for n, line in enumerate(lines)]
    assert answers(written(folder, "gap.arff", gap), run)[3] != predicted
    monkeypatch.setattr(files, "PIECE", 2000)
    found = [*predictions([Trained.of_run(run)], str(folder / "new.arff"))]
    assert [len(piece.ids) for piece in found] == [1024, 1024, COUNT - 2048]


def test_columns_that_the_method_does_not_know(run, folder, answers):
    """They may hold anything, as those of a table; a column of words is the same in every piece."""
    kinds = ["wet numeric", "town {" + ",".join(f"t{town}" for town in range(60)) + "}", "cold numeric"]
    head = ["@relation r", *(f"@attribute {kind}" for kind in kinds), "@data"]
    rows = [f"{row % 7},t{row % 60},{row % 11}" for row in range(COUNT)]
    plain = answers(written(folder, "plain.arff", [*head, *rows]), run)
    strange = answers(written(folder, "new.arff", [*head, *rows[:-3], *("1,?,2", "3,x,4", "5,t9,6")]), run)
    assert plain[0] == strange[0] == 0 and plain[2].replace("plain", "new") == strange[2]
    assert "a column that the method does not know left out: town" in strange[2]
    bare = [row.split(",") for row in rows]
    head = [line for line in head if "town" not in line]
    assert (
        answers(written(folder, "bare.arff", [*head, *(f"{a},{c}" for a, _, c in bare)]), run)[3] == plain[3]
    )


def test_letters_of_other_encodings(trained, folder, answers):
    """A file is UTF-8 as a whole or not at all."""
    for name, words in (("new.arff", table()), ("new.svm", pairs())):
        words[200] += " % \xc3\xa9" if name == "new.arff" else " # \xc3\xa9"
        words[2200] += " % \xe9" if name == "new.arff" else " # \xe9"
        words[2300] = "d\xe9j\xe0 vu"
        run = trained() if name == "new.arff" else trained("dataset.drop=[wind,side]")
        ids = ["id=name"] if name == "new.arff" else []
        status, _, err, _ = answers(written(folder, name, words), run, *ids)
        assert status == 2 and "line 2301" in err, err
        assert name == "new.arff" or "'d\xe9j\xe0' is no label" in err


@pytest.mark.parametrize(
    "line, said",
    [
        ("rain 1:x", "line 2501: the value of '1:x' is no finite number"),
        ("rain 1:2:3", "line 2501: '1:2:3' is not of the form 2:0.5 7:1"),
        ("rain 3:1", "line 2501: feature 3 is out of range, of 2 counted from 1"),
        ("rain 1:1 1:2", "line 2501: a feature is given twice"),
        ("rian 1:1", "line 2501: 'rian' is no label; did you mean rain?"),
        ("rain 99999999999999999999:1", "line 2501: feature 1e+20 is out of range"),
    ],
)
def test_a_wrong_row_of_pairs_in_a_later_piece(line, said, run, folder, answers):
    lines = ["# rows", "", *pairs()]
    lines[2500] = line
    status, out, err, predicted = answers(written(folder, "new.svm", lines), run)
    assert (status, out, predicted) == (2, "", None) and said in err and err.count("\n") == 1, err


@pytest.mark.parametrize(
    "form, line, said",
    [
        ("dense", "a,x,calm,1,lee,0,1", "line 2501: 'x' is no finite number, which attribute 'wet' must be"),
        ("dense", "a,1,calm,1,lee,0", "line 2501: 6 values for 7 attributes"),
        ("dense", "a,1,clam,1,lee,0,1", "line 2501: 'clam' is no value of attribute 'wind'"),
        ("dense", "a,?,calm,1,lee,0,1", "line 2501: attribute 'wet' has no value"),
        ("dense", "a,1,calm,1,lee,?,1", "line 2501: label 'rain' is missing"),
        ("dense", "{1 1}", "line 2501: a sparse row in a file that began with dense ones"),
        ("sparse", "a,1,calm,1,lee,0,1", "line 2501: no braces around a sparse row"),
        ("sparse", "{1 1, 1 2}", "line 2501: column 1 is given twice"),
        ("sparse", "{7 1}", "line 2501: column 7 is out of range"),
    ],
)
def test_a_wrong_row_of_arff_in_a_later_piece(form, line, said, trained, weather, folder, answers):
    lines = table(form)
    lines[2500] = line
    status, out, err, predicted = answers(written(folder, "new.arff", lines), trained(), "id=name")
    assert (status, out, predicted) == (2, "", None) and said in err and err.count("\n") == 1, err


def test_files_without_rows(run, folder, answers):
    head = table(count=0)
    for name, lines, said in (
        ("a.svm", None, "is empty"),
        ("b.svm", ["# nothing", ""], "has no rows"),
        ("c.svm", ["2 2 2"], "has no rows"),
        ("d.arff", None, "is empty"),
        ("e.arff", head[:-2], "has no @data line"),
        ("f.arff", head, "has no rows after @data"),
    ):
        (folder / name).write_bytes(b"" if lines is None else "\n".join(lines).encode())
        status, out, err, predicted = answers(name, run)
        assert (status, out, predicted) == (2, "", None) and said in err and err.count("\n") == 1, (name, err)


def test_runs_of_different_columns_have_pieces_of_the_same_rows(trained, folder, answers):
    runs = [trained(), trained("dataset.drop=[wind]", "seed=1")]
    status, _, err, predicted = answers(written(folder, "new.arff", table()), runs)
    assert status == 0 and predicted.count(b"\n") == COUNT + 1, err
