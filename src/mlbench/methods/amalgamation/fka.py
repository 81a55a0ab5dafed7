"""FKA: the student's features, through an adaptor and a teacher's frozen head, imitate that teacher step by
step; the student's own head learns the averaged logits (Ye et al. 2019, as far as ANT's comparison goes).
"""

from collections.abc import Iterator

from torch import Tensor, nn

from mlbench.data.rows import Batch, Rows
from mlbench.data.task import Task
from mlbench.layers import Linear, linear
from mlbench.methods.amalgamation.teachers import (
    AmalgamationMethod,
    Share,
    TeacherSettings,
    by_teacher,
    told,
    unrolled,
)
from mlbench.methods.amalgamation.transfer import mean
from mlbench.methods.base import Backbone, Stage


class FKA(AmalgamationMethod):
    def __init__(
        self, task: Task, backbone: Backbone, teachers: TeacherSettings, overlap: Share, shared_first: bool
    ):
        super().__init__(task, backbone, teachers, overlap, shared_first)
        self.adaptors = nn.ModuleList(
            Linear(self.student.hidden, teacher.chain.hidden) for teacher in self.teachers
        )

    def learn(self, data: Rows) -> Iterator[Stage]:
        passes = [unrolled(teacher, data) for teacher in self.teachers]
        targets = mean([teacher_pass.final for teacher_pass in passes], self.experts).sigmoid()
        steps = [teacher_pass.steps.transpose(0, 1).contiguous() for teacher_pass in passes]  # (N, K, L_t)
        yield self.student_stage(data, targets, **by_teacher(steps))

    def loss(self, batch: Batch) -> Tensor:
        unrolled = self.student.unroll(batch.x)
        loss = self.student.loss_of(unrolled, batch.targets)
        steps = told(batch, len(self.teachers))
        for teacher, adaptor, theirs in zip(self.teachers, self.adaptors, steps):
            # A teacher takes as many steps as it has labels: the student's first ones are held against them.
            weights, count = teacher.chain.weights, len(teacher.task.labels)
            hybrid = linear(adaptor(unrolled.hidden[..., :count, :, :]), weights.out, weights.bias_out)
            loss = loss + (hybrid - theirs.movedim(-2, -3)).square().mean((-3, -2, -1))
        return loss
