"""Arrays that NumPy and SciPy saved: ours with ids and names; matrices as scikit-learn gives them."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from mlbench.data.arrays import csr
from mlbench.data.files import refuse_more_than_room
from mlbench.data.formats import npz
from mlbench.data.formats.npz import arrays_in
from mlbench.errors import UserError
from mlbench.submissions.given import Submission, some

ARRAYS = ("ids", "labels", "scores")
OF_A_RUN = ("last", "best", "oracle")  # selection rules, each with an array in a run's scores.npz
KINDS = f"{npz.KINDS}S"  # SciPy writes the name of a matrix's format in bytes
COMPRESSED = ("csr", "csc")  # formats of scipy.sparse.save_npz that are read


def array(path: Path) -> Submission:
    """numpy.save: (N, L); or (L, N, 2), which predict_proba of several outputs of scikit-learn's gives."""
    try:
        values = np.load(path, allow_pickle=False, mmap_mode="r")
    except (ValueError, EOFError) as error:
        raise UserError(
            f"{path} cannot be read as an array without pickled objects: {str(error).splitlines()[0]}"
        ) from None
    if values.ndim == 3 and values.shape[2] == 2:
        both = np.array(values, dtype=float)
        return Submission(path, None, None, both[:, :, 1].T, ("the second of both classes' probabilities",))
    if values.ndim != 2:
        raise UserError(f"{path}: an array of shape {values.shape}; it is to be (instances, labels)")
    return Submission(path, None, None, numbers(path, np.array(values)))


def archive(path: Path) -> Submission:
    """numpy.savez with ids, labels and scores; a run's scores; or a matrix of scipy.sparse.save_npz."""
    arrays = arrays_in(path, KINDS)
    if {"data", "shape", "format"} <= arrays.keys():
        return Submission(
            path, None, None, _dense(path, arrays), ("a sparse matrix, 0 where it has no entry",)
        )
    if "scores" not in arrays and {"ids", "targets"} <= arrays.keys():
        return _of_a_run(path, arrays)
    if absent := [name for name in ARRAYS if name not in arrays]:
        raise UserError(f"{path} lacks {some(absent)}; it is to have the arrays {', '.join(ARRAYS)}")
    ids, labels, values = (arrays[name] for name in ARRAYS)
    if ids.ndim != 1 or labels.ndim != 1 or values.shape != (len(ids), len(labels)):
        raise UserError(
            f"{path}: scores of shape {values.shape} do not fit ids {ids.shape} and labels {labels.shape}"
        )
    targets = _targets(path, arrays["targets"], values) if "targets" in arrays else None
    return Submission(path, _words(ids), _words(labels), numbers(path, values), targets=targets)


def numbers(path: Path, values: np.ndarray) -> np.ndarray:
    """float32 as it is, all else in float64: a cut is compared in the type of the scores."""
    if values.dtype.kind not in "biuf":
        raise UserError(f"{path}: scores are of type {values.dtype}, not numbers")
    return values if values.dtype == np.float32 else values.astype(float)


def _of_a_run(path: Path, arrays: dict[str, Any]) -> Submission:
    """The scores under the rule that the run's record shows."""
    rules = [name for name in OF_A_RUN if name in arrays]
    try:
        rule = json.loads((path.parent / "record.json").read_text())["rule"]
    except (OSError, ValueError, KeyError, TypeError):
        rule = rules[0] if len(rules) == 1 else ""
    if rule not in rules:
        raise UserError(f"{path} lacks scores; it is to have the arrays {', '.join(ARRAYS)}")
    ids, values = arrays["ids"], numbers(path, arrays[rule])
    targets, labels = _targets(path, arrays["targets"], values), arrays.get("labels")
    if ids.ndim != 1 or values.shape[:1] != ids.shape:
        raise UserError(f"{path}: scores of shape {values.shape} do not fit ids {ids.shape}")
    names = None if labels is None else _words(labels)
    return Submission(path, _words(ids), names, values, (f"selection {rule}",), targets=targets)


def _targets(path: Path, targets: np.ndarray, values: np.ndarray) -> np.ndarray:
    if targets.shape != values.shape or values.ndim != 2 or not np.isin(targets, (0, 1)).all():
        raise UserError(f"{path}: targets are to be 0 and 1, of the shape of the scores, {values.shape}")
    return targets


def _dense(path: Path, arrays: dict[str, Any]) -> np.ndarray:
    kind = arrays["format"].item()
    kind = kind.decode() if isinstance(kind, bytes) else str(kind)
    if kind not in COMPRESSED:
        raise UserError(f"{path}: a sparse matrix in the format {kind}; save it as {' or '.join(COMPRESSED)}")
    if absent := [name for name in ("indices", "indptr") if name not in arrays]:
        raise UserError(f"{path}: a sparse matrix without {some(absent)}")
    shape = arrays["shape"] if kind == "csr" else arrays["shape"][::-1]
    matrix = csr(path, "the matrix", arrays["data"], arrays["indices"], arrays["indptr"], shape)
    rows, columns = map(int, shape)
    announced = f"{rows:,} rows of {columns:,} columns"
    refuse_more_than_room(path, path.stat().st_size, 8 * rows * columns, announced)
    dense = numbers(path, matrix.toarray())
    return dense if kind == "csr" else dense.T


def _words(names: np.ndarray) -> list[str]:
    return [str(name) for name in names]
