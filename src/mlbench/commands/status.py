"""The command line that lists the runs at work, how far each is, and the runs that failed."""

from collections.abc import Sequence

from mlbench.commands.arguments import answered, check_keys, is_true, outputs_of, pairs
from mlbench.runs.seen import STATES, seen, tasks
from mlbench.spelling import spelled

USAGE = f"""{spelled("status")} [paths.outputs=outputs] [all=true]
  counts the runs below a folder; lists those that run (where, since when, at which epoch by the last
  checkpoint), that stopped before their end, that failed and why, and the tasks of launches with runs left

At most {{most}} of a kind are listed; all=true lists all. The same command again goes on with what stopped or
failed."""
MOST = 20
KEYS = ("paths.outputs", "all")


def main(arguments: list[str] | None = None) -> int:
    return answered(run, arguments, USAGE.format(most=MOST))


def run(arguments: list[str]) -> None:
    options = pairs(arguments, KEYS[0], KEYS)
    check_keys(options, KEYS)
    every, outputs = is_true(options, "all"), outputs_of(options, there=True)
    runs = [*seen(outputs)]
    counts = {state: sum(each.state == state for each in runs) for state in STATES}
    told = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    print(f"{outputs}: {len(runs)} run{'' if len(runs) == 1 else 's'}" + (f": {told}" if told else ""))
    waiting = [*tasks(outputs)]
    kinds = {state: [each.line() for each in runs if each.state == state] for state in STATES[:-1]}
    for kind, lines in (kinds | {"tasks of launches": [task.line() for task in waiting]}).items():
        listed(kind, lines, None if every else MOST)


def listed(kind: str, lines: Sequence[str], most: int | None) -> None:
    if lines:
        print(f"\n{kind}")
        print("\n".join(f"  {line}" for line in lines[:most]))
    if most and len(lines) > most:
        print(f"  and {len(lines) - most} more; all=true lists them")
