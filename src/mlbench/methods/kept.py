"""A fitted learner as bytes, and back. Nothing in the bytes is called but constructors of known types.

skops knows those of scikit-learn's estimators. It leaves out trees, whose compiled code follows indices as
they come: here they are looked at first. Others are taken from a module that the person named.
"""

import zipfile
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import numpy as np
from scipy import sparse

from mlbench.errors import UserError
from mlbench.trust import imported, is_named, named, within

KNOWN = (
    "sklearn.tree._tree.Tree",  # of every tree and forest
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
    "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    "sklearn.metrics._dist_metrics.EuclideanDistance64",
    "scipy.sparse._csr.csr_matrix",  # of estimators that keep their rows
)
AGAIN = "run again with force=true"


def packed(learned: Any) -> bytes:
    """A learner's arrays and plain values in a compressed archive: a forest's is mostly repeated names."""
    from skops.io import dumps

    try:
        return dumps(learned, compression=zipfile.ZIP_DEFLATED, compresslevel=1)
    except Exception as error:  # whatever an estimator that was written elsewhere makes of it
        raise UserError(f"what it learned cannot be kept in a file: {error}") from error


def unpacked(content: bytes) -> Any:
    from sklearn.tree._tree import Tree
    from skops.io import get_untrusted_types, loads
    from skops.io.exceptions import UntrustedTypesFoundException

    if not zipfile.is_zipfile(BytesIO(content)):
        raise UserError(f"it holds a pickle, as mlbench wrote them once, which could run anything: {AGAIN}")
    try:
        try:
            learned = loads(content, trusted=KNOWN)
        except UntrustedTypesFoundException:
            others = [name for name in get_untrusted_types(data=content) if name not in KNOWN]
            check_named(others)
            learned = loads(content, trusted=[*KNOWN, *others])
        for part, width in parts_of(learned):
            if isinstance(part, Tree):
                check_tree(part, width)
            elif sparse.issparse(part):
                part.check_format(full_check=True)
    except UserError:
        raise
    except Exception as error:  # a damaged or foreign archive fails in as many ways as it has bytes
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise UserError(f"what it learned cannot be read ({reason}): {AGAIN}") from error
    return learned


def check_named(types: list[str]) -> None:
    """Refuses a type outside the modules that the person named; only these are imported to look it up."""
    unknown = [path for path in types if not (within(path, tuple(named)) and is_named(imported(path)))]
    if unknown:
        modules = sorted({path.rpartition(".")[0] for path in unknown})
        raise UserError(
            f"it holds a {unknown[0]}; if you trust whoever made it, say so: trust=[{','.join(modules)}]"
        )


def parts_of(
    part: Any, width: int | None = None, seen: set | None = None
) -> Iterator[tuple[Any, int | None]]:
    """Every object in `part`, with the number of columns that the estimator around it lets through.

    A chain and a MultiOutputClassifier leave this check to the estimators that they hold.
    """
    from sklearn.multioutput import ClassifierChain, MultiOutputClassifier

    seen = set() if seen is None else seen
    if (id(part), width) in seen:
        return
    seen.add((id(part), width))
    yield part, width
    if isinstance(part, dict):
        parts = part.values()
    elif isinstance(part, list | tuple):
        parts = part
    elif isinstance(part, np.ndarray):
        parts = part.flat if part.dtype == object else ()
    else:
        parts = vars(part).values() if hasattr(part, "__dict__") else ()
        columns = getattr(part, "n_features_in_", None)
        if columns is not None and not isinstance(part, ClassifierChain | MultiOutputClassifier):
            width = columns if width is None else min(columns, width)
    for each in parts:
        yield from parts_of(each, width, seen)


def check_tree(tree: Any, width: int | None) -> None:
    """Refuses a tree whose nodes point outside it or in circles, or that looks at a column that rows lack."""
    whole = tree.node_count and width is not None
    if whole:
        inner = np.flatnonzero(tree.children_left != -1)
        children = np.stack([tree.children_left[inner], tree.children_right[inner]])
        columns = tree.feature[inner]
        whole = (children > inner).all() and (children < tree.node_count).all()
        whole = whole and (columns >= 0).all() and (columns < width).all()
    if not whole:
        raise UserError(f"one of its trees leads nowhere: {AGAIN}")
