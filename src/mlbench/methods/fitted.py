"""What the methods over scikit-learn's estimators share: one fit in place of training, bytes as state."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from mlbench.data.rows import Batch, Rows
from mlbench.data.sparse import SparseRows
from mlbench.data.task import Task
from mlbench.errors import UserError
from mlbench.methods import kept
from mlbench.methods.base import Learner, Method, Parts, Stage
from mlbench.methods.bases import BASES, Base, Options, build, draw_seed

Matrix = np.ndarray | sparse.csr_matrix  # (N, d) float64


class Fitted(Method):
    """Subclasses say how a learner is fitted, in `fit`, and what it predicts, in `predict`.

    Both see only the labels that vary in the training part: any other keeps the one value it has there.

    The state holds the learner in a tensor of bytes, which `kept` makes of it. scikit-learn promises no more
    than that the version that wrote it reads it.
    """

    train_options = frozenset()
    shares: Tensor

    def __init__(self, task: Task, base: Base, options: Options):
        super().__init__()
        self.base = base
        self.options = options
        self.learned: dict[str, Any] = {"learner": None, "sparse": False, "facts": {}}
        self.kept: Tensor | None = None  # the learner in bytes, once somebody asked or it came so
        self.register_buffer("shares", torch.zeros(len(task.labels)))

    def fit(self, x: Matrix, y: np.ndarray, labels: np.ndarray) -> Any:
        """A learner of y (N, L') in {0, 1}, where `labels` (L') are the columns' numbers in the task."""
        raise NotImplementedError

    def predict(self, learner: Any, x: Matrix) -> np.ndarray:
        """One probability per label that varies, (B, L')."""
        raise NotImplementedError

    def as_graph(self) -> Learner:
        raise UserError(f"its scores are those of scikit-learn's classifiers ({self.base})")

    def new_base(self) -> Any:
        return build(self.base, self.options, draw_seed())

    def stages(self, data: Parts) -> Iterator[Stage]:
        yield Stage("fit", self, data["train"], solve=self.solve)

    def solve(self, data: Rows) -> None:
        x, y = matrix(data.x), data.targets.cpu().numpy().astype(np.int64)
        self.shares.copy_(data.targets.mean(0))
        labels = self.varying
        learner, facts = None, {}
        if len(labels):
            with in_a_sentence(self.base, x), convergence() as facts:
                learner = self.fit(x, y[:, labels], labels)
        self.learned = {"learner": learner, "sparse": sparse.issparse(x), "facts": dict(facts)}
        self.kept = None

    @property
    def varying(self) -> np.ndarray:
        """Numbers of the labels that some training rows carry and some do not."""
        return ((self.shares > 0) & (self.shares < 1)).nonzero().flatten().cpu().numpy()

    def scores(self, batch: Batch) -> Tensor:
        scores = self.shares.repeat(len(batch.x), 1)
        if self.learned["learner"] is not None:
            predicted = self.predict(self.learned["learner"], self.rows_of(batch)).astype(np.float32)
            scores[:, self.varying] = torch.from_numpy(predicted).to(scores.device)
        return scores

    def rows_of(self, batch: Batch) -> Matrix:
        """A batch's rows, sparse if the training rows were: a chain copies its rows for each label, and dense
        rows may be very wide.
        """
        x = matrix(batch.x)
        return sparse.csr_matrix(x) if self.learned["sparse"] else x

    def facts(self) -> dict[str, float]:
        return self.learned["facts"]

    def get_extra_state(self) -> Tensor:
        if self.kept is None:
            self.kept = torch.frombuffer(bytearray(kept.packed(self.learned)), dtype=torch.uint8)
        return self.kept

    def set_extra_state(self, state: Tensor) -> None:
        self.learned = kept.unpacked(state.cpu().numpy().tobytes())
        self.kept = state


def matrix(x: Any) -> Matrix:
    """x as scikit-learn's matrix, sparse if x is; in float64, since float32 loses steps of its solvers."""
    return x.matrix() if isinstance(x, SparseRows) else x.cpu().numpy().astype(np.float64)


@contextmanager
def in_a_sentence(base: str, x: Matrix) -> Iterator[None]:
    """What a classifier has against the data, as its user should hear it."""
    try:
        yield
    except (ValueError, TypeError) as error:
        if sparse.issparse(x) and isinstance(error, TypeError) and "dense" in str(error):
            named = ", ".join(BASES)
            raise UserError(
                f"method.base={base} takes no sparse features; {named} and many more do"
            ) from error
        raise UserError(f"method.base={base}: {str(error).splitlines()[0]}") from error


@contextmanager
def convergence() -> Iterator[dict[str, float]]:
    """Counts the fits that ended before they arrived, in place of a warning for each. Others are heard."""
    from sklearn.exceptions import ConvergenceWarning

    facts: dict[str, float] = {}
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always", ConvergenceWarning)
        yield facts
    short = [issubclass(each.category, ConvergenceWarning) for each in heard]
    facts["fits_not_converged"] = sum(short)
    for each, counted in zip(heard, short):
        if not counted:
            warnings.warn_explicit(each.message, each.category, each.filename, each.lineno)
