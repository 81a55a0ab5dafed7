"""launch=here: the runs in this process, or in several of this machine."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

if TYPE_CHECKING:
    from mlbench.runs.run import Run

Count = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(gt=0)] | None


class Here:
    def __init__(self, processes: Count, per_gpu: Count, seconds: Seconds):
        self.processes, self.per_gpu, self.seconds = processes, per_gpu, seconds

    @property
    def in_this_process(self) -> bool:
        return self.processes == 1

    def run(self, runs: "Sequence[Run]") -> None:
        from mlbench.runs.processes import side_by_side  # imports torch
        from mlbench.runs.turns import in_turn

        if self.in_this_process:
            in_turn(list(runs))
        else:
            side_by_side(in_turn, runs, self.processes, self.per_gpu)
