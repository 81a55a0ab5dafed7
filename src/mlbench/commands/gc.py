"""The command line that removes from the outputs what nothing needs."""

from mlbench.commands.arguments import answered, as_typed, check_keys, is_true, outputs_of, pairs
from mlbench.runs.unneeded import tidy, unneeded
from mlbench.spelling import spelled

USAGE = f"""{spelled("gc")} [paths.outputs=outputs] [remove=true]
  lists what nothing needs, and with remove=true removes it: half-written files of processes that are gone,
  checkpoints of finished runs, shared stages of data sets without runs, logs of launches whose runs are over

What a run needs that is at work, stopped or failed stays, and so does what finished runs left."""
KEYS = ("paths.outputs", "remove")


def main(arguments: list[str] | None = None) -> int:
    return answered(run, arguments, USAGE)


def run(arguments: list[str]) -> None:
    options = pairs(arguments, KEYS[0], KEYS)
    check_keys(options, KEYS)
    removing, outputs = is_true(options, "remove"), outputs_of(options, there=True)
    total, count = 0, 0
    for each in [*unneeded(outputs)]:
        size = each.size
        if removing and not each.remove():
            print(f"left: {each.path}: somebody has taken it up")
            continue
        total, count = total + size, count + 1
        print(f"{in_bytes(size):>9}  {each.path}: {each.why}")
    if removing:
        tidy(outputs)
    what = f"{in_bytes(total)} in {count} files and folders"
    if not count:
        print(f"{outputs}: nothing that nothing needs")
    else:
        print(
            f"removed {what}" if removing else as_typed(f"{what}; {spelled('gc')} remove=true removes them")
        )


def in_bytes(size: float) -> str:
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"
