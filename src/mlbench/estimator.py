"""Any method as an estimator: scikit-learn's conventions, the engine of the command line, and its numbers."""

import contextlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from scipy import sparse
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor

from mlbench.assemble import Pieces, assemble, check_shapes, check_unknown, tell_looked_at, tell_untaken
from mlbench.compose import configure
from mlbench.config import Config
from mlbench.data import memory
from mlbench.data.instances import Features, Instances
from mlbench.data.new_rows import rows_of
from mlbench.data.pieces import Piece
from mlbench.data.rows import Rows
from mlbench.data.scaling import fitted
from mlbench.data.splits import training_parts
from mlbench.engine.fit import fit
from mlbench.engine.generators import generators, set_generators
from mlbench.engine.score import score
from mlbench.engine.stages import Stages
from mlbench.errors import UserError
from mlbench.evaluation.frequency import Frequencies
from mlbench.methods.base import Method
from mlbench.prepared import check_threshold, describe
from mlbench.seeding import derive, seed_everything


class Classifier(ClassifierMixin, BaseEstimator):
    """Trains a method on matrices: `Classifier("flem", backbone="linear", epochs=30).fit(X, Y)`.

    X (n, d) is dense, SciPy-sparse or a data frame; Y (n, L) holds 0 and 1, dense, sparse or a data frame,
    whose columns name the labels. NaN stands for a label that is not known: losses that are sums over single
    entries leave it out. A row with such a label is for training alone, not for validation or thresholds.
    `options` are words as on the command line, `["loss.gamma=2"]`, and `modalities` is
    {name: [first column, last column]}. `validation` is the share of the rows that is held back for
    `selection.rule=best`, calibration and thresholds. What is None is as the method's configuration has it.
    """

    def __init__(
        self,
        method: str = "erm",
        *,
        backbone: str | None = None,
        loss: str | None = None,
        epochs: int | None = None,
        scaling: str = "none",
        calibration: str | None = None,
        threshold: str | None = None,
        validation: float = 0.0,
        modalities: Mapping[str, Sequence[int]] | None = None,
        seed: int = 0,
        options: Sequence[str] = (),
    ):
        self.method, self.backbone, self.loss, self.epochs = method, backbone, loss, epochs
        self.scaling, self.calibration, self.threshold = scaling, calibration, threshold
        self.validation = validation
        self.modalities, self.seed, self.options = modalities, seed, options

    def fit(self, X: Any, Y: Any) -> Self:
        names = getattr(Y, "columns", None)
        X = validate_data(self, X, accept_sparse="csr", dtype=np.float32)
        targets, known = label_matrix(Y, X.shape[0])
        labels = [f"label{number}" for number in range(1, targets.shape[1] + 1)] if names is None else names
        features = getattr(self, "feature_names_in_", None)
        if features is None:
            features = [f"feature{number}" for number in range(1, X.shape[1] + 1)]
        names = [*map(str, labels)]
        instances = memory.instances(plain(X), targets, names, features, self.modalities, known)

        config = configure(self._words())
        tell_untaken(config)
        if known is not None:
            check_known(names, known)
            check_unknown(config)
        node = {"_target_": "mlbench.data.memory.InMemory", "instances": instances, "scaling": self.scaling}
        config = config.model_copy(
            update={"dataset": node, "choices": config.choices | {"dataset": memory.InMemory.name}}
        )
        with undisturbed():
            self._train(config, assemble(config))
        self.classes_ = np.array(instances.labels, dtype=object)
        return self

    def _words(self) -> list[str]:
        chosen = {
            "method": self.method,
            "backbone": self.backbone,
            "loss": self.loss,
            "calibration": self.calibration,
            "threshold": self.threshold,
            "split": "official",
            "split.validation": self.validation or None,
            "seed": self.seed,
            "train.epochs": self.epochs,
            "train.progress": "false",
        }
        return [*(f"{key}={value}" for key, value in chosen.items() if value is not None), *self.options]

    def _train(self, config: Config, pieces: Pieces) -> None:
        """Trains as experiment.prepare and experiment.train do, on the rows of X, in a temporary folder."""
        instances, split = pieces.dataset.load(Path()).instances, pieces.split
        if not (type(split).__module__ == "mlbench.data.splits" and config.choices["split"] == "official"):
            raise UserError("an estimator trains on all rows it is given: options can name no other split")
        whole = rows_known(instances)
        rows = training_parts(
            whole, config.split["validation"], instances.targets, config.seed, config.split["stratified"]
        )
        if len(whole) < len(instances):
            others = np.setdiff1d(np.arange(len(instances)), whole)
            rows["train"] = np.concatenate([rows["train"], others])
        self.scaler_ = fitted(pieces.dataset.scaling, instances.features[rows["train"]])
        scaled = replace(instances, features=self.scaler_.apply(instances.features))
        parts = {part: Rows.from_instances(scaled, numbers) for part, numbers in rows.items()}
        task = describe(scaled, rows["train"], pieces.dataset)
        check_shapes(config, task)
        rule = pieces.threshold()
        check_threshold(rule, task, parts)
        tell_looked_at(config, rule)
        if rule.fitted and rule.part == "test":
            choice = config.choices["threshold"]
            raise UserError(f"threshold={choice} is fitted on a test part, which an estimator does not have")
        if config.selection.rule == "oracle":
            raise UserError("selection.rule=oracle looks at a test part, which an estimator does not have")

        seed_everything(derive(config.seed, "method"))
        method = pieces.method(task)
        method.rows_scaled_by(self.scaler_)
        with tempfile.TemporaryDirectory() as folder:
            run_folder = Path(folder) / memory.InMemory.name / config.choices["method"] / "run"
            frequencies = Frequencies.of(task.positives, task.instances)
            stages = Stages(method, parts, config, {}, run_folder, pieces.threshold, told_nobody, frequencies)
            while jobs := stages.ask():
                stages.take(jobs, [fit(job) for job in jobs])
        models, _ = stages.models()
        self.model_: Method = models[config.selection.rule]
        self.config_, self.task_, self.history_ = config, task, stages.history
        self.calibration_ = None
        if calibrator := pieces.calibrator:
            part = parts[calibrator.part]
            self.calibration_ = calibrator.fit(self._scored(part), part.targets)
        if rule.fitted:
            part = parts["validation" if rule.part == "validation" else "train"]
            rule_rows = np.flatnonzero(np.isin(part.ids.numpy(), whole))
            if not len(rule_rows):
                choice = config.choices["threshold"]
                raise UserError(f"threshold={choice} is fitted on rows without NaN in Y, and there are none")
            part = part.rows(torch.from_numpy(rule_rows))
            rule.fit(self._scored(part), part.targets)
        self.threshold_ = rule

    def _scored(self, rows: Rows) -> Tensor:
        (scores,) = score(self.model_, [rows], self.config_.train)
        return scores if self.calibration_ is None else self.calibration_(scores)

    def predict_proba(self, X: Any) -> np.ndarray:
        """(n, L) probabilities, a column a label in the order of `classes_`."""
        return self._scores(X).numpy()

    def predict(self, X: Any) -> np.ndarray:
        """(n, L) zeros and ones, as the threshold rule cuts the probabilities."""
        scores = self._scores(X)
        return self.threshold_.label_sets(scores).numpy().astype(np.int64)

    def _scores(self, X: Any) -> Tensor:
        check_is_fitted(self)
        X = validate_data(self, X, accept_sparse="csr", dtype=np.float32, reset=False)
        numbers = np.arange(X.shape[0])
        piece = Piece(numbers, self.scaler_.apply(plain(X)), None)
        rows = Rows.from_instances(rows_of(piece, len(self.classes_)), numbers)
        return self._scored(rows)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.target_tags.single_output, tags.target_tags.multi_output = False, True
        tags.target_tags.two_d_labels = True
        tags.classifier_tags.multi_class, tags.classifier_tags.multi_label = False, True
        return tags


def rows_known(instances: Instances) -> np.ndarray:
    """The rows of which every label is known."""
    if instances.known is None:
        return np.arange(len(instances))
    return np.flatnonzero(instances.known.all(axis=1))


def check_known(labels: Sequence[str], known: np.ndarray) -> None:
    if never := [label for label, column in zip(labels, known.T) if not column.any()]:
        raise UserError(f"label {never[0]!r} is NaN in every row: leave it out")


def label_matrix(Y: Any, rows: int) -> tuple[np.ndarray, np.ndarray | None]:
    """Y as zeros and ones (n, L), uint8, and where it is known, None if everywhere: NaN is not.

    Errors are ValueErrors that begin as scikit-learn's do.
    """
    if Y is None:
        raise ValueError("requires y to be passed, but the target y is None")
    matrix = Y.toarray() if sparse.issparse(Y) else np.asarray(Y)
    if matrix.ndim != 2:
        raise ValueError(
            f"Unknown label type: Y has {matrix.ndim} dimension(s); give a matrix of 0 and 1, a row an "
            "instance and a column a label; sklearn.preprocessing.MultiLabelBinarizer makes one of lists"
        )
    if len(matrix) != rows:
        raise ValueError(f"X has {rows} rows, Y has {len(matrix)}")
    known = None
    if matrix.dtype.kind == "f" and np.isnan(matrix).any():
        known = (~np.isnan(matrix)).astype(np.uint8)
        matrix = np.where(known, matrix, 0)
    if matrix.dtype.kind not in "buif" or not np.isin(matrix, (0, 1)).all():
        strange = next(value for value in matrix.ravel().tolist() if value not in (0, 1))
        raise ValueError(f"Unknown label type: Y holds {strange!r}, and a label is 0 or 1")
    if not matrix.any():
        raise ValueError("Y holds no 1: there is nothing to learn")
    return matrix.astype(np.uint8), known


def plain(X: Any) -> Features:
    """CSR matrices of this class alone are what the rest of the package takes for sparse."""
    return sparse.csr_matrix(X) if sparse.issparse(X) else X


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Restores the states of the caller's random generators and the number of threads afterwards."""
    before, threads = generators(), torch.get_num_threads()
    try:
        yield
    finally:
        set_generators(before)
        torch.set_num_threads(threads)


def told_nobody(stage: str, history: list[dict[str, float]]) -> None:
    """There is no tracker to tell how a training goes."""
