"""All finished runs as one page: the best on every data set, heat maps, time and quality, a list."""

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from statistics import fmean
from typing import Any
from urllib.parse import quote

from mlbench.config import NOT_TAKEN
from mlbench.data.own import stem
from mlbench.results import repeats
from mlbench.results.record import Brief
from mlbench.tables.heat import grids
from mlbench.tables.render.page import asset, page

UNDEFINED = ("nan", "inf", "-inf")


def report(content: dict[str, Any]) -> str:
    return page("All runs", asset("report.html"), content, "report.js")


def content(records: dict[str, Brief]) -> dict[str, Any]:
    """What the page draws. A group is the runs of one result, which differ in seed and fold alone.

    `records` are keyed by their paths as seen from the page.
    """
    from mlbench.tables.measured import definition  # imports torch

    records = {path: repeats.current(record) for path, record in records.items()}
    metrics, unknown = directions(
        name for record in records.values() for name in record.metrics.get(record.rule, {})
    )
    alike: dict[str, list[str]] = {}
    for path, record in records.items():
        alike.setdefault(json.dumps(repeats.science(record), sort_keys=True), []).append(path)
    groups, runs = [], []
    for number, paths in enumerate(alike.values()):
        first = records[paths[0]]
        choices = {name: first.choices.get(name, NOT_TAKEN) for name in repeats.GROUPS}
        choices |= {"method": f"{choices['method']} (imported)"} if first.imported else {}
        groups.append(choices | {"dataset": called(first), "rule": first.rule})
        paths.sort(key=lambda path: [-1 if n is None else n for n in repeats.repeat(records[path])])
        runs += [_run(path, records[path], number, metrics) for path in paths]
    sciences = [json.loads(text) for text in alike]
    configs = [flat(each["config"]) for each in sciences]
    heat = _grids(groups, configs, sciences)
    for group, words in zip(groups, told_apart(groups, configs)):
        group["more"] = words
    for group, paths in zip(groups, alike.values()):
        group |= summary([records[path] for path in paths], [*metrics])
    rivals: dict[str, int] = {}  # who may be compared
    for group, each in zip(groups, sciences):
        where = json.dumps([group["dataset"], each["files"], each["config"].get("split"), group["rule"]])
        group["rivals"] = rivals.setdefault(where, len(rivals))
    return {
        "facts": facts(records.values()),
        "metrics": metrics,
        "definitions": {name: definition(name) for name in metrics},
        "unknown": unknown,
        "groups": groups,
        "grids": heat,
        "maps": [],  # these, and matrices, need more than records
        "matrices": [],
        "runs": runs,
    }


def called(record: Brief) -> str:
    """The data set's own name; of a file that was given none, the file's."""
    dataset = record.config.get("dataset")
    path = dataset.get("path") if isinstance(dataset, dict) else None
    of_file = stem(Path(path)) if path and isinstance(path, str) else record.choices["dataset"]
    return record.data.get("name") or of_file


def _grids(
    groups: list[dict[str, str]], configs: list[dict[str, str]], sciences: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    all_grids = grids([[each["files"], group] for each, group in zip(sciences, groups)], configs)
    first = [next(iter(grid.groups.values())) for grid in all_grids]
    rest = [
        {name: value for name, value in configs[index].items() if name not in (grid.across, grid.down)}
        for index, grid in zip(first, all_grids)
    ]
    return [grid.drawn(more) for grid, more in zip(all_grids, told_apart([groups[p] for p in first], rest))]


def summary(records: list[Brief], metrics: list[str]) -> dict[str, Any]:
    """A result: the number of its runs, the mean time of a run, each metric's mean and deviation.

    Of two records of the same seed and fold, such as one made again under a newer key, the last counts.
    """
    runs = {repeats.repeat(record): record for record in sorted(records, key=lambda each: each.finished)}
    seeds, folds = repeats.grid(runs, repeats.folds(records[0]))
    measured = {at: run.metrics.get(run.rule, {}) for at, run in runs.items()}
    return {
        "count": repeats.counted(runs, folds),
        "seeds": seeds,
        "folds": folds,
        "runs": len(runs),
        "planned": seeds * (folds or 1),
        "seconds": None if records[0].imported else _significant(fmean(map(_seconds, runs.values()))),
        "results": [_result(measured, name) for name in metrics],
    }


def _result(measured: Mapping[repeats.Repeat, dict[str, float]], metric: str) -> dict[str, Any] | None:
    """`over` says what the deviation is over; `runs` are those in which the metric is defined."""
    average = repeats.average({at: values.get(metric) for at, values in measured.items()})
    if average is None:
        return None
    about = {"over": average.over, "runs": len(average.values)}
    # Means are ranked: fewer digits could part two that are one value, at a rounding border.
    return {"mean": _significant(average.mean, 12), "std": _significant(average.std)} | about


def _run(path: str, record: Brief, group: int, metrics: dict[str, str]) -> dict[str, Any]:
    values = record.metrics.get(record.rule, {})
    return {
        "group": group,
        "seed": record.seed,
        "fold": repeats.fold(record),
        "finished": record.finished,
        "seconds": None if record.imported else round(_seconds(record), 3),
        "key": record.key,
        "record": quote(path),
        "values": _rounded([values.get(name) for name in metrics]),
    }


def _seconds(record: Brief) -> float:
    return sum(record.seconds.values())


def directions(names: Iterable[str]) -> tuple[dict[str, str], list[str]]:
    """Every metric with the direction in which it is better; and the names that this version does not know.

    A name may have a suffix, of a threshold rule or of a method: `f1_macro_oracle`.
    """
    from mlbench.evaluation.embedding import PROBES  # imports torch
    from mlbench.evaluation.suite import find, stem_of

    known, unknown = {}, []
    for name in dict.fromkeys(names):
        if name in PROBES:
            known[name] = PROBES[name].better
        elif stem := stem_of(name):
            known[name] = find(stem).better
        else:
            unknown.append(name)
    return known, unknown


def told_apart(groups: list[dict[str, str]], configs: list[dict[str, str]]) -> list[str]:
    """For groups of the same choices the options in which they differ: `method.overlap=0.25`."""
    alike: dict[tuple, list[int]] = {}
    for index, group in enumerate(groups):
        alike.setdefault(tuple(group.values()), []).append(index)
    words = [""] * len(groups)
    for members in alike.values():
        names = dict.fromkeys(name for index in members for name in configs[index])
        differing = [name for name in names if len({configs[index].get(name) for index in members}) > 1]
        for index in members:
            shown = (f"{name}={configs[index][name]}" for name in differing if name in configs[index])
            words[index] = " ".join(shown)
    return words


def flat(config: Any, path: str = "") -> dict[str, str]:
    """a.b.c → its value, as JSON."""
    if not isinstance(config, dict):
        return {path: config if isinstance(config, str) else json.dumps(config, separators=(",", ":"))}
    return {
        name: value
        for key, inside in config.items()
        for name, value in flat(inside, f"{path}.{key}" if path else str(key)).items()
    }


def facts(records: Iterable[Brief]) -> dict[str, str]:
    records = list(records)
    days = sorted(record.finished[:10] for record in records)
    versions = sorted({f"mlbench {record.versions.get('mlbench', 'unknown')}" for record in records})
    return {
        "runs": str(len(records)),
        "dates": " to ".join(dict.fromkeys((days[0], days[-1]))),
        "versions": ", ".join(versions),
        "code": ", ".join(sorted({(record.revision or "unknown")[:12] for record in records})),
    }


def _significant(value: float | None, digits: int = 6) -> float | None:
    return None if value is None or not math.isfinite(value) else float(f"{value:.{digits}g}")


def _rounded(values: list[float | None]) -> list[float | None]:
    """As `_significant` of each, in one go: a page has a million of them."""
    texts = "%.6g " * len(values) % tuple(math.nan if value is None else value for value in values)
    return [None if text in UNDEFINED else float(text) for text in texts.split()]
