"""Which runs may be trained as one, and where each of several workers begins."""

from collections.abc import Iterable
from typing import Any, TypeVar

from mlbench.config import Config, fingerprint, science
from mlbench.engine.many import most_at_once
from mlbench.runs.run import Run

RunOrConfig = TypeVar("RunOrConfig", Run, Config)


def grouped(runs: Iterable[RunOrConfig]) -> list[list[RunOrConfig]]:
    """Runs that may be trained as one, at most train.replicas of them; groups and runs in the order given."""
    groups: dict[str, list[RunOrConfig]] = {}
    for number, run in enumerate(runs):
        config = run if isinstance(run, Config) else run.config
        name = but_for_numbers(config) if config.engine == "auto" else str(number)
        groups.setdefault(name, []).append(run)
    cut = []
    for group in groups.values():
        config = group[0] if isinstance(group[0], Config) else group[0].config
        most = most_at_once(config.train)
        cut += [group[start : start + most] for start in range(0, len(group), most)]
    return cut


def but_for_numbers(config: Config) -> str:
    """Hash with the seed and every float masked: runs with equal hashes may be trained as one stack."""

    def masked(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: masked(item) for key, item in value.items()}
        return 0.0 if isinstance(value, float) else value

    return fingerprint(masked(science(config, config.dataset) | {"seed": 0}))


def beginning(groups: list[list[Run]], worker: int) -> list[list[Run]]:
    """Rotates the groups so that each worker starts on other data or teachers while there are enough."""
    if not groups:
        return []
    needed = [may_wait_for(group) for group in groups]
    of_another = [number for number, name in enumerate(needed) if name not in needed[:number]]
    order = [*of_another, *(number for number in range(len(groups)) if number not in of_another)]
    first = order[worker % len(order)]
    return [groups[first], *groups[:first], *groups[first + 1 :]]


def apart(free: list[list[Run]], waiting: list[list[Run]]) -> list[Run]:
    """The first free group that waits for no stage of a group at work."""
    busy = {may_wait_for(group) for group in waiting if group not in free}
    return next((group for group in free if may_wait_for(group) not in busy), free[0])


def may_wait_for(group: list[Run]) -> tuple[str, str]:
    """Equal for groups of which one may train a stage that the other needs, too: those of a data set whose
    teachers, if they have any, are the same.
    """
    config = group[0].config
    return str(config.dataset.get("name")), fingerprint(config.method.get("teachers") or {})
