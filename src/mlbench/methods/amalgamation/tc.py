"""TC: the student's target is the mean of the experts' logits (Thadajarassiri et al. 2021, equal weights)."""

from collections.abc import Iterator

from torch import Tensor

from mlbench.data.rows import Batch, Rows
from mlbench.methods.amalgamation.teachers import AmalgamationMethod, logits
from mlbench.methods.amalgamation.transfer import mean
from mlbench.methods.base import Stage


class TC(AmalgamationMethod):
    looks_into_teachers = False

    def learn(self, data: Rows) -> Iterator[Stage]:
        outputs = [logits(teacher, data) for teacher in self.teachers]
        yield self.student_stage(data, mean(outputs, self.experts).sigmoid())

    def loss(self, batch: Batch) -> Tensor:
        return self.student.loss(batch.x, batch.targets)
