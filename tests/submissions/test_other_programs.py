"""Files that other programs write, made as they make them, are read as what they hold."""

import numpy as np
import pytest
from scipy import sparse
from sklearn.linear_model import LogisticRegression
from sklearn.multioutput import MultiOutputClassifier

from mlbench.errors import UserError
from mlbench.submissions.files import read
from mlbench.submissions.given import Truth
from mlbench.submissions.matching import matched

LABELS = ["sea", "sky", "old tree"]
TRUE = np.array([[1, 0, 0], [0, 1, 1], [0, 0, 0], [1, 0, 1]])
TRUTH = Truth("scene", ["7", "8", "9", "4"], LABELS, TRUE)
SCORES = np.array([[0.75, 0.25, 0.125], [0.5, 1.0, 0.0625], [0.375, 0.0, 0.25], [0.875, 0.5, 0.625]])
SETS = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 0], [1, 0, 1]])


def of(path, **more):
    found = read(path, TRUTH, **more)
    return matched(found, TRUTH), " ".join(found.notes)


def refused(path, **more):
    with pytest.raises(UserError) as caught:
        of(path, **more)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def wrote(path, text):
    path.write_text(text)
    return path


# NumPy, SciPy, scikit-learn


def test_matrices_of_numpy_and_scipy(tmp_path):
    np.save(tmp_path / "scores.npy", SCORES)
    np.save(tmp_path / "sets.npy", SETS.astype(bool))
    np.save(tmp_path / "narrow.npy", SCORES.astype(np.float32))
    sparse.save_npz(tmp_path / "csr.npz", sparse.csr_matrix(SCORES))
    sparse.save_npz(tmp_path / "csc.npz", sparse.csc_matrix(SETS), compressed=False)
    for name, expected in [
        ("scores.npy", SCORES),
        ("sets.npy", SETS),
        ("narrow.npy", SCORES),
        ("csr.npz", SCORES),
        ("csc.npz", SETS),
    ]:
        values, _ = of(tmp_path / name)
        np.testing.assert_array_equal(values, expected)
    assert read(tmp_path / "narrow.npy", TRUTH).values.dtype == np.float32
    assert read(tmp_path / "sets.npy", TRUTH).are_sets


def test_probabilities_of_several_outputs(tmp_path):
    features = np.random.default_rng(0).normal(size=(4, 2))
    model = MultiOutputClassifier(LogisticRegression()).fit(features, TRUE)
    np.save(tmp_path / "proba.npy", model.predict_proba(features))
    values, notes = of(tmp_path / "proba.npy")
    np.testing.assert_array_equal(values, np.stack([each[:, 1] for each in model.predict_proba(features)], 1))
    assert "second of both classes" in notes


def test_what_is_no_matrix_of_these_sizes_is_refused(tmp_path):
    def saved(array, name="a.npy"):
        np.save(tmp_path / name, array, allow_pickle=True)
        return tmp_path / name

    assert "has 3 rows, scene has 4 instances" in refused(saved(SCORES[:3]))
    assert "has 2 columns, scene has 3 labels" in refused(saved(SCORES[:, :2]))
    assert "an array of shape (4,)" in refused(saved(SCORES[:, 0]))
    assert "without pickled objects" in refused(saved(np.array([{}, []], dtype=object)))
    assert "not numbers" in refused(saved(SCORES.astype(str)))
    holed = SCORES.copy()
    holed[1, 2] = np.nan
    assert "1 numbers are NaN, the first at row 2, column 3" in refused(saved(holed))
    sparse.save_npz(tmp_path / "coo.npz", sparse.coo_matrix(SCORES))
    assert "in the format coo; save it as csr or csc" in refused(tmp_path / "coo.npz")
    (tmp_path / "cut.npy").write_bytes(saved(SCORES).read_bytes()[:-8])
    assert "cannot be read as an array" in refused(tmp_path / "cut.npy")
    indices = {"indices": [0, 9], "indptr": [0, 1, 2], "data": [1.0, 1.0], "shape": (2, 3)}
    np.savez(tmp_path / "wrong.npz", format=b"csr", **indices)
    assert "an entry outside" in refused(tmp_path / "wrong.npz")
    np.savez(tmp_path / "vast.npz", format=b"csr", **indices | {"indices": [0, 1], "shape": (2, 10**12)})
    assert "far more than is in it" in refused(tmp_path / "vast.npz")


# MEKA

ARFF = """@relation 'Scene: -C 3'

@attribute sky {0,1}
@attribute 'old tree' {1,0}
@attribute sea {0,1}
@attribute colour {red,'dark green'}
@attribute x numeric

@data
0,0,1,red,0.5
1,0,0,'dark green',?
0,0,0,red,-3
0,1,1,red,2
"""
SPARSE = """@relation 'Scene: -C 3'

@attribute sky {0,1}
@attribute 'old tree' {0,1}
@attribute sea {0,1}
@attribute x numeric

@data
{2 1,3 0.5}
{0 1}
{3 -3}
{1 1,2 1}
"""


@pytest.mark.parametrize("text", [ARFF, SPARSE])
def test_predictions_of_meka_as_arff(tmp_path, text):
    values, _ = of(wrote(tmp_path / "predictions.arff", text))
    np.testing.assert_array_equal(values, SETS)


def test_an_arff_without_a_label_is_refused(tmp_path):
    path = wrote(tmp_path / "a.arff", ARFF.replace("sky", "cloud"))
    assert "lacks labels that scene has: sky" in refused(path)
    assert "is 2" in refused(
        wrote(tmp_path / "b.arff", SPARSE.replace("{0,1}", "numeric").replace("1 1", "1 2"))
    )


def meka_text(decimals, mark=".", kind="ML", true=TRUE):
    """As Result.toString and getResultAsString write it with -verbosity 5 and more."""
    lines = ["== Individual Errors", "", "|==== PREDICTIONS (N=4.0) =====>"]
    for number, (labels, scores) in enumerate(zip(true, SCORES), start=1):
        if decimals == 0:
            predicted = np.flatnonzero(scores > 0.5).tolist()
            said = f"{np.flatnonzero(labels).tolist()} {predicted}"
        else:
            known = "".join(f"{score:{decimals + 2}.{decimals}f} " for score in scores)
            said = f"[ {''.join(f'{label} ' for label in labels)}] [ {known.replace('.', mark)}]"
        lines.append(f"|{number:5} {said}")
    lines += ["|==============================<", "", "", "== Evaluation Info", ""]
    lines += ["Classifier                     meka.classifiers.multilabel.BR"]
    lines += [f"Type                           {kind}", "Threshold                      0.5", ""]
    return "\n".join(lines)


@pytest.mark.parametrize("mark", [".", ","])
@pytest.mark.parametrize("decimals", [3, 1])
def test_predictions_that_meka_prints(tmp_path, decimals, mark):
    values, notes = of(wrote(tmp_path / "meka.txt", meka_text(decimals, mark)))
    expected = [[float(f"{score:.{decimals}f}") for score in row] for row in SCORES]
    np.testing.assert_array_equal(values, expected)
    assert notes == f"scores of {decimals} decimals"


def test_label_sets_that_meka_prints(tmp_path):
    found = read(wrote(tmp_path / "meka.out", meka_text(0)), TRUTH)
    np.testing.assert_array_equal(matched(found, TRUTH), SETS)
    assert found.listed


def test_other_texts_of_mekas_are_refused(tmp_path):
    text, other = meka_text(3), TRUE.copy()
    other[2, 0] = 1
    for changed, said in [
        (text[text.index("== Evaluation") :], "run it with -verbosity 8"),
        (meka_text(3, kind="MT"), "of several targets"),
        (text[:150], "MEKA's text is not whole"),
        (text.replace("|    2 [ 0", "|    2 ( 0"), "prediction 2 cannot be read"),
        (meka_text(3, true=other), "its true labels are not those of scene, first of id 9"),
        (meka_text(0, true=other), "its true labels are not those of scene, first of id 9"),
        (text.replace("[ 0.750 ", "[   NaN "), "NaN, the first at row 1, column 1"),
        (text.replace("|    1 [ 1 0 0 ] [ 0.750 0.250 0.125 ]\n", ""), "has 3 rows"),
        (text.replace("0.750 ", ""), "different numbers of labels"),
    ]:
        assert said in refused(wrote(tmp_path / "meka.log", changed))


# LibMultiLabel


def libmultilabel(scores, k=None, names=("sea", "sky", "tree")):
    """As linear_trainer.py and torch_trainer.py write it; without k, of the positive ones."""
    lines = []
    for row in scores:
        order = np.argsort(-row)[:k] if k else [label for label in np.argsort(-row) if row[label] > 0]
        lines.append(" ".join([f"{names[label]}:{row[label]:.4}" for label in order]) + "\n")
    return "".join(lines)


PLAIN = Truth("scene", TRUTH.ids, ["sea", "sky", "tree"], TRUE)
DECISIONS = (SCORES - 0.5) * 1234.5


def read_plain(path, **more):
    return read(path, PLAIN, **more)


@pytest.mark.parametrize(
    ("names", "notes"),
    [
        (("sea", "sky", "tree"), ""),
        (("0", "1", "2"), "labels by number, counted from 0; "),
        (("1", "2", "3"), "labels by number, counted from 1; "),
    ],
)
def test_all_scores_of_libmultilabel(tmp_path, names, notes):
    found = read_plain(wrote(tmp_path / "predictions.txt", libmultilabel(DECISIONS, 3, names)))
    expected = [[float(f"{score:.4}") for score in row] for row in DECISIONS]
    np.testing.assert_array_equal(matched(found, PLAIN), expected)
    assert "; ".join(found.notes) == f"{notes}scores of 4 digits"


def test_positive_labels_of_libmultilabel_are_label_sets(tmp_path):
    text = libmultilabel(DECISIONS)
    assert "\n\n" in text  # an instance without any
    found = read_plain(wrote(tmp_path / "predictions.txt", text))
    np.testing.assert_array_equal(matched(found, PLAIN), SETS)
    assert found.listed


def test_the_best_labels_of_libmultilabel_are_label_sets_if_asked(tmp_path):
    path = wrote(tmp_path / "predictions.txt", libmultilabel(DECISIONS, 2))
    with pytest.raises(UserError, match=r"line 1: 2 labels of 3, .* --save_k_predictions 3 .* treat=sets"):
        read_plain(path)
    assert matched(read_plain(path, sets=True), PLAIN).sum(axis=1).tolist() == [2, 2, 2, 2]


def test_other_texts_are_refused(tmp_path):
    text = libmultilabel(DECISIONS, 3)
    for changed, said in [
        (text.replace("sky", "cloud"), "has labels that scene lacks: cloud"),
        (libmultilabel(DECISIONS, 3, ("2", "3", "4")), "has labels that scene lacks: 2, 3, 4"),
        (text.replace("sky", "sea"), "line 1: a label is there twice"),
        (text.partition("\n")[2], "has 3 rows, scene has 4 instances"),
        (text.replace("sea:", "sea "), "is no label:score"),
        ("label,score\nsea,0.5\n", "is no label:score"),
        (text.replace("sea:308.6", "sea:nan"), "NaN, the first at row 1, label sea"),
    ]:
        path = wrote(tmp_path / "predictions.txt", changed)
        with pytest.raises(UserError, match=said):
            matched(read_plain(path), PLAIN)


def test_files_of_unknown_kinds_are_refused(tmp_path):
    assert "predictions are read from .csv, .npz" in refused(wrote(tmp_path / "a.json", "{}"))
    with pytest.raises(UserError, match="true labels are read from"):
        read(wrote(tmp_path / "a.txt", "sea:1"))
