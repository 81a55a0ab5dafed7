"""Descriptions of methods and data sets, which methods.yaml and datasets.yaml hold, for the board's files."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mlbench.board.truth import Truth
from mlbench.compose import content
from mlbench.config import options
from mlbench.tables.plan import Case

SAID = ("title", "family", "paper", "year", "what", "claim")
STATISTICS = ("instances", "features", "labels", "cardinality", "label_sets")
Planned = Mapping[str, Sequence[Case]]  # by variant


def about_methods(planned: Planned) -> dict[str, dict[str, Any]]:
    """Every method of the tables, in their order, with the options that it has on its first data set."""
    words = content(Path(__file__).with_name("methods.yaml"))
    methods: dict[str, dict[str, Any]] = {}
    for variant, cases in planned.items():
        for case in cases:
            entry = methods.setdefault(case.method, words_of(words, case.method))
            if case.runs and variant == "default" and not entry["settings"]:
                entry["settings"] = settings(case)
            if case.runs and variant == "tuned" and not entry["space"]:
                entry["space"] = space(case)
    return methods


def words_of(words: Mapping[str, Any], name: str) -> dict[str, Any]:
    entry = {"title": name, "family": "own"} | words.get(name, {})
    return {key: entry[key] for key in SAID if key in entry} | {"settings": {}, "space": {}}


def settings(case: Case) -> dict[str, Any]:
    """The options of the method, of its loss and of its backbone in the case's runs, as plain values."""
    config = case.runs[0].config
    values = {f"method.{name}": value for name, value in options(config.method).items()}
    if (config.loss or {}).get("_target_") and "loss" in config.choices:
        values["loss"], values["backbone"] = config.choices["loss"], config.choices["backbone"]
    return {
        name: value if isinstance(value, int | float | str | None) else str(value)
        for name, value in values.items()
    }


def space(case: Case) -> dict[str, list[Any]]:
    """The values that the case's runs have of each option."""
    drawn: dict[str, set[str]] = {}
    for run in case.runs:
        for word in run.overrides:
            name, _, value = word.partition("=")
            if name in case.choose:
                drawn.setdefault(name, set()).add(value)
    return {name: sorted(values) for name, values in drawn.items()}


def about_datasets(planned: Planned, truths: Mapping[str, Truth]) -> dict[str, dict[str, Any]]:
    """Every data set of the tables, in their order; statistics of labels only where a run read the data."""
    words = content(Path(__file__).with_name("datasets.yaml"))
    names = dict.fromkeys(case.dataset for cases in planned.values() for case in cases)
    datasets = {}
    for name in names:
        entry = {"title": name, "domain": "", "licence": "not known"} | words.get(name, {})
        configs = (
            case.runs[0].config.dataset
            for cases in planned.values()
            for case in cases
            if case.dataset == name and case.runs
        )
        dataset = next(configs, {})
        counted = dataset.get("statistics") or {}
        statistics = {key: counted[key] for key in STATISTICS if key in counted}
        if "cardinality" in statistics:
            statistics["density"] = round(statistics["cardinality"] / statistics["labels"], 4)
        entry |= {"citation": dataset.get("citation") or "", "statistics": statistics}
        if truth := truths.get(name):
            statistics["imbalance"] = round(truth.imbalance, 2)
            entry |= {"frequencies": truth.frequencies, "cooccurrence": truth.together}
        datasets[name] = entry
    return datasets
