"""record.json: the one file that says what a run was and what it measured."""

import contextlib
import json
import math
import os
import platform
import re
import subprocess
import sys
from dataclasses import asdict, dataclass, field, fields
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from mlbench.files import write
from mlbench.results.shape import check

LIBRARIES = ("torch", "lightning", "hydra-core", "torchmetrics", "numpy", "scipy", "scikit-learn")


@dataclass(frozen=True, kw_only=True)
class Brief:
    """What of a record is asked of many runs at once: by plans, reports and data frames.

    `metrics` maps a selection rule to its metrics on the test part; tables show those of `rule`.
    """

    key: str
    choices: dict[str, str]
    seed: int
    rule: str
    metrics: dict[str, dict[str, float]]
    selected: dict[str, dict[str, float]]  # rule -> the epoch, and the value that selected the epoch
    data: dict[str, Any]  # name, checksum, statistics
    config: dict[str, Any]
    seconds: dict[str, float]  # of each stage, and of scoring
    peak_memory_bytes: int
    started: str
    finished: str
    versions: dict[str, str] = field(default_factory=dict)
    revision: str | None = None
    code: str | None = None  # see mlbench.results.code; older records have none
    imported: bool = False  # whether the predictions are another program's


@dataclass(frozen=True, kw_only=True)
class Record(Brief):
    per_label: dict[str, list]  # label names, and support, F1, AP, AUC under `rule`
    thresholds: dict[str, Any]  # rule -> the cut, one a label, or one a metric
    facts: dict[str, float]  # numbers that the method reports of its training
    parts: dict[str, int]  # instances in each part of the split
    machine: dict[str, Any] = field(default_factory=dict)
    calibration: dict[str, Any] = field(default_factory=dict)  # rule -> what was fitted, and to which labels
    trained: str = ""  # "alone", "stacked" or "compiled" where another way would have left other last digits
    source: dict[str, str] = field(default_factory=dict)  # of imported: file, SHA-256, what it was taken for
    # Processor seconds of training, of scoring 1,000 rows; parameters that gradients train. Older ones: none
    cost: dict[str, float] = field(default_factory=dict)

    @property
    def brief(self) -> Brief:
        return Brief(**{each.name: getattr(self, each.name) for each in fields(Brief)})

    def write(self, path: Path) -> None:
        """Writes the record by rename, after all other files of the run: a record that exists is whole."""
        write_json(path, asdict(self))

    @classmethod
    def read(cls, path: Path) -> "Record":
        content = json.loads(path.read_text())
        check(content)
        for metrics in content["metrics"].values():  # JSON has no NaN
            metrics.update({name: math.nan for name, value in metrics.items() if value is None})
        cost = content.get("cost", {})
        cost.update({name: math.nan for name, value in cost.items() if value is None})
        for name, values in content["per_label"].items():
            content["per_label"][name] = [math.nan if value is None else value for value in values]
        return cls(**content)


def write_json(path: Path, content: Any) -> None:
    """Writes content as JSON, undefined numbers as null."""
    write(path, json.dumps(_plain(content), indent=1), durable=True)


def versions() -> dict[str, str]:
    installed = {"python": platform.python_version(), "mlbench": version_of("multilabel-bench")}
    return installed | {name: version_of(name) for name in LIBRARIES}


version_of = cache(version)  # which reads a file


def machine() -> dict[str, Any]:
    import torch

    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "system": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": gpu,
    }


def revision() -> str | None:
    """The git commit of the running code, with `+` for local changes; None outside a checkout."""
    source = Path(__file__)

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(source.parents[1]), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", str(source))  # fails for an installed copy within another checkout
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain", ".", ":/conf") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def forget_peak_memory() -> None:
    """Lets `peak_memory` begin anew, so that a run is not charged with those before it; on Linux alone."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_memory() -> int:
    """Largest resident size of this process so far, in bytes; 0 where the system does not tell."""
    status = Path("/proc/self/status")  # getrusage on Linux includes the process that started this one
    if status.exists() and (size := re.search(r"VmHWM:\s+(\d+) kB", status.read_text())):
        return int(size[1]) * 1024
    try:
        import resource
    except ImportError:  # Windows
        return 0
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return largest if sys.platform == "darwin" else largest * 1024


def _plain(content: Any) -> Any:
    if isinstance(content, dict):
        return {str(key): _plain(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_plain(value) for value in content]
    if isinstance(content, float) and not math.isfinite(content):
        return None
    return content if isinstance(content, str | int | float | bool | None) else str(content)
