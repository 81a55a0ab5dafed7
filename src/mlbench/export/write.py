"""A run's graph as an ONNX file, written only if onnxruntime computes the scores that PyTorch computes."""

import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from mlbench.errors import UserError
from mlbench.export.card import card
from mlbench.export.graph import Graph, Scaled, Words
from mlbench.files import whole
from mlbench.methods.build import not_of_a_run
from mlbench.predict import Trained
from mlbench.results import store
from mlbench.results.record import Record

BATCHES = (1, 2, 7)  # batch sizes with which an exported model is checked
TOLERANCE = 1e-5


@dataclass(frozen=True)
class Exported:
    run: Trained
    record: Record
    graph: Graph
    content: bytes
    card: str


def finished(path: Path) -> tuple[Trained, Record]:
    """A run that has finished, by its folder or the model.pt in there."""
    path = path.expanduser()
    folder = path if path.is_dir() else path.parent
    if not path.exists():
        raise UserError(f"run={path}: no such folder; the last line that a run prints has its path")
    if (record := store.finished(folder)) is None:
        raise UserError(
            f"run={path}: there is no record.json in {folder}, so the run has not finished; the command that "
            "began it goes on with it"
        )
    return Trained.of_run(path), record


def exported(path: Path) -> Exported:
    """The run as an ONNX model, checked."""
    run, record = finished(path)
    graph = graph_of(run)
    model = onnx_of(graph, torch.from_numpy(some_rows(graph, run, 3)), run.path)
    for name, value in described(run, record, graph).items():
        model.metadata_props.add(key=name, value=value)
    try:
        content = model.SerializeToString()
    except Exception as error:  # protobuf's own, beyond 2 GB
        raise UserError(f"{run.path} cannot be exported: {first_line(error)}") from error
    check(run, graph, content)
    return Exported(run, record, graph, content, card(run, record, graph, run.path.parent / "scores.npz"))


def write(out: Path, content: bytes) -> None:
    with whole(out) as file:
        file.write(content)


def graph_of(run: Trained) -> Graph:
    try:
        return Graph(run).eval()
    except UserError as error:
        raise UserError(f"{run.path} cannot be exported: {error}") from error
    except Exception as error:  # cuts, columns and scaler of a foreign file may contradict each other
        raise not_of_a_run(run.path, error) from error


def onnx_of(graph: Any, x: torch.Tensor, path: Path, optimize: bool = True) -> Any:
    """An onnx.ModelProto whose first dimension is open; `graph` names its outputs."""
    try:
        import onnxscript  # noqa: F401 torch's exporter says less of it where it is missing
    except ImportError:
        raise UserError(missing("onnxscript")) from None
    with quietly(), torch.no_grad():
        traced = traced_with(graph.requires_grad_(False), x, path)
        try:
            program = torch.onnx.export(
                traced, input_names=["x"], output_names=graph.outputs, optimize=optimize, verbose=False
            )
        except Exception as error:  # an operation that ONNX does not have
            raise UserError(
                f"{path} cannot be exported: ONNX lacks a part of it ({reason(error)})"
            ) from error
    assert program is not None, "it is given no path to write to"
    return bare(program.model_proto)


def traced_with(graph: nn.Module, x: torch.Tensor, path: Path) -> torch.export.ExportedProgram:
    """The operations of `graph`, for any number of rows: traced as it runs, or read from its code where a
    trace fails.
    """
    first: Exception | None = None
    for strict in (False, True):
        try:
            rows = torch.export.Dim("batch")
            return torch.export.export(graph, (x,), dynamic_shapes=({0: rows},), strict=strict)
        except Exception as error:  # a method's own code may raise anything while it is traced
            first = first or error
    assert first is not None, "there were attempts"
    raise UserError(f"{path} cannot be exported: its scores are no graph ({reason(first)})") from first


def bare(model: Any) -> Any:
    """The model without the exporter's notes on its own work, such as traces with paths of this machine; the
    dimension of rows, for which the exporter makes up a name, is called batch.
    """
    graph = model.graph
    (rows,) = {each.type.tensor_type.shape.dim[0].dim_param for each in graph.input}
    for each in (*graph.input, *graph.output, *graph.value_info):
        for dimension in each.type.tensor_type.shape.dim:
            if dimension.dim_param == rows:
                dimension.dim_param = "batch"
    for part in (
        *graph.node,
        *graph.input,
        *graph.output,
        *graph.value_info,
        *graph.initializer,
        graph,
        model,
    ):
        del part.metadata_props[:]
        part.doc_string = ""
    return model


def check(run: Trained, graph: Graph, content: bytes) -> None:
    """Refuses a model whose scores differ from PyTorch's, or whose label sets are not its scores, cut."""
    session = session_of(content)
    for count in BATCHES:
        x = some_rows(graph, run, count)
        scores, *sets = session.run(None, {"x": x})
        apart = np.abs(scores - scores_of(run, graph, x)).max()
        if not apart <= TOLERANCE:  # false for NaN as well
            raise UserError(
                f"{run.path} cannot be exported: onnxruntime's scores of {count} rows are {apart:.1e} off "
                f"PyTorch's, and {TOLERANCE:.0e} is allowed; no file was written"
            )
        if graph.sets is not None:
            wanted = graph.sets(torch.from_numpy(scores)).numpy()
            assert sets[0].dtype == wanted.dtype and np.array_equal(sets[0], wanted), "a comparison is exact"


def session_of(content: bytes) -> Any:
    try:
        import onnxruntime
    except ImportError:
        raise UserError(missing("onnxruntime")) from None
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def missing(name: str) -> str:
    return f"an export needs {name}, which is missing: pip install 'multilabel-bench[export]'"


def scores_of(run: Trained, graph: Graph, x: np.ndarray) -> np.ndarray:
    """The scores that `mlbench predict` gives the rows of a file."""
    features = graph.columns(torch.from_numpy(x)).numpy()
    return run.scores(features).numpy()


def some_rows(graph: Graph, run: Trained, count: int) -> np.ndarray:
    """Rows as a file may have them, drawn in the range of the training rows where the scaler knows it."""
    rng = np.random.default_rng(count)
    rows = rng.normal(size=(count, len(run.schema.features)))
    if isinstance(graph.scaler, Scaled):
        rows = rows * graph.scaler.spread.numpy() + graph.scaler.shift.numpy()
    if isinstance(graph.columns, Words):
        rows = graph.columns.raw(rows, rng)
    return rows.astype(np.float32)


def described(run: Trained, record: Record, graph: Graph) -> dict[str, str]:
    """The metadata of the ONNX file; lists are JSON."""
    schema = run.schema
    metadata = {
        "mlbench": record.versions.get("mlbench", ""),
        "key": record.key,
        "dataset": run.dataset,
        "method": record.choices["method"],
        "labels": json.dumps([*schema.labels]),
        "columns": json.dumps([*schema.features] if run.encoders else schema.columns),
        "x": about_x(run),
    }
    if isinstance(graph.columns, Words):
        metadata["values"] = json.dumps({name: [*words] for name, words in schema.values.items()})
    if graph.sets is not None:
        metadata["cuts"] = json.dumps(graph.sets.cuts.tolist())
        metadata["cut"] = "score >= cut" if run.at_cut else "score > cut"
        metadata["cuts_fitted_on"] = run.cut_on
    if run.citation:
        metadata["citation"] = run.citation
    if run.licence:
        metadata["licence"] = run.licence
    return metadata


def about_x(run: Trained) -> str:
    if run.encoders:
        of = " and ".join(run.encoders)
        return f"x is what the run's encoder gives of {of}, before scaling; it is not in the file"
    about = "x has a file's columns, unscaled"
    if run.schema.values:
        about += "; a column of words holds the word's place in values, from 0"
    return f"{about}; NaN where a cell has no value" if run.schema.fills else about


@contextmanager
def quietly() -> Iterator[None]:
    """Silences warnings and logs of torch's exporter, which concern its developers."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def reason(error: BaseException) -> str:
    """The first line of the error that caused the others."""
    while error.__cause__ is not None:
        error = error.__cause__
    return first_line(error)


def first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
