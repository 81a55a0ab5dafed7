"""What a command costs before it does anything: processes from their start to their end."""

import functools
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from mlbench.bench.timing import Row, compare, python
from mlbench.errors import UserError, did_you_mean
from mlbench.methods.erm import ERM

FRONT_DOOR = "from mlbench.commands.run import main; main()"  # what run.py is
EMPTY = """import hydra

@hydra.main(version_base="1.3", config_path=None)
def main(config):
    pass

main()
"""


class FirstStep(ERM):
    """Ends its process after the first optimiser step."""

    def after_step(self) -> None:
        os._exit(0)


def start(repeats: int = 5, commands: tuple[str, ...] = ("import", "help", "first_step")) -> Iterator[Row]:
    """Beside the least that such a program must do: import what it is made of, ask Hydra for help."""
    with tempfile.TemporaryDirectory() as folder:
        empty = Path(folder) / "empty.py"
        empty.write_text(EMPTY)
        first_step = ("method._target_=mlbench.bench.start.FirstStep", f"paths.outputs={folder}")
        known = {
            "import": (["-c", "import mlbench.commands.run"], "import hydra", ["-c", "import hydra"]),
            "help": (["-c", FRONT_DOOR, "--help"], "an empty Hydra program", [str(empty), "--help"]),
            "first_step": (
                ["-c", FRONT_DOOR, *first_step],
                "import hydra, lightning",
                ["-c", "import hydra, lightning"],
            ),
        }
        for command in commands:
            if command not in known:
                raise UserError(
                    f"commands={command}: choose {', '.join(known)}{did_you_mean(command, known)}"
                )
            ours, against, other = known[command]
            yield compare(
                f"run.py: {command.replace('_', ' ')}",
                against,
                ours=functools.partial(python, *ours, cwd=folder),
                other=functools.partial(python, *other, cwd=folder),
                repeats=repeats,
            )
