"""CFL: imitate the averaged logits, and meet the teachers' features in a common space (Luo et al. 2019).

The features are the chains' hidden states after the last step. ANT's paper, which compares with CFL, says
little of it; the widths of the common space and of the kernels and the weights are choices of ours, named in
conf/method/cfl.yaml.
"""

from collections.abc import Iterator
from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from mlbench.data.rows import Batch, Rows
from mlbench.data.task import Task
from mlbench.layers import Linear
from mlbench.methods.amalgamation.teachers import (
    AmalgamationMethod,
    Positive,
    Share,
    TeacherSettings,
    by_teacher,
    told,
    unrolled,
)
from mlbench.methods.amalgamation.transfer import mean
from mlbench.methods.base import Backbone, Stage

Weight = Annotated[float, Field(ge=0)]
Sigma = Annotated[float, Field(gt=0)]


class CFL(AmalgamationMethod):
    sigmas: Tensor

    def __init__(
        self,
        task: Task,
        backbone: Backbone,
        teachers: TeacherSettings,
        overlap: Share,
        shared_first: bool,
        discrepancy_weight: Weight,
        reconstruction_weight: Weight,
        sigmas: list[Sigma],
        narrowing: Positive,
        least_width: Positive,
    ):
        super().__init__(task, backbone, teachers, overlap, shared_first)
        self.discrepancy_weight = discrepancy_weight
        self.reconstruction_weight = reconstruction_weight
        self.register_buffer("sigmas", torch.tensor(sigmas), persistent=False)
        hidden = self.student.hidden
        widths = [teacher.chain.hidden for teacher in self.teachers]
        common = max(least_width, hidden // narrowing)
        self.student_entry = nn.Sequential(Linear(hidden, common), nn.ReLU())
        self.entries = nn.ModuleList(nn.Sequential(Linear(w, common), nn.ReLU()) for w in widths)
        self.extractor = nn.Sequential(Linear(common, common), nn.ReLU(), Linear(common, common))
        self.decoders = nn.ModuleList(Linear(common, width) for width in widths)

    def learn(self, data: Rows) -> Iterator[Stage]:
        passes = [unrolled(teacher, data) for teacher in self.teachers]
        targets = mean([teacher_pass.final for teacher_pass in passes], self.experts).sigmoid()
        yield self.student_stage(
            data, targets, **by_teacher(teacher_pass.hidden[-1] for teacher_pass in passes)
        )

    def loss(self, batch: Batch) -> Tensor:
        unrolled = self.student.unroll(batch.x)
        mine = self.extractor(self.student_entry(unrolled.hidden[..., -1, :, :]))
        discrepancy = reconstruction = 0.0
        for feature, entry, decoder in zip(told(batch, len(self.entries)), self.entries, self.decoders):
            theirs = self.extractor(entry(feature))
            discrepancy = discrepancy + mean_discrepancy(mine, theirs, self.sigmas)
            reconstruction = reconstruction + (decoder(theirs) - feature).square().mean((-2, -1))
        return (
            self.student.loss_of(unrolled, batch.targets)
            + self.discrepancy_weight * discrepancy
            + self.reconstruction_weight * reconstruction
        )


def mean_discrepancy(a: Tensor, b: Tensor, sigmas: Tensor) -> Tensor:
    """Squared maximum mean discrepancy of the rows, each of length 1: biased, not below 0.

    The kernel is Σ_σ exp(−‖u − v‖² / 2σ²), as in CFL's code. Of the narrowest σ, .001, it sees distances that
    2 − 2u·v loses to rounding, so they are taken from the differences.
    """
    rows = torch.cat([F.normalize(a, dim=-1), F.normalize(b, dim=-1)], dim=-2)
    distances = (rows.unsqueeze(-2) - rows.unsqueeze(-3)).square().sum(-1)
    kernel = torch.exp(-distances.unsqueeze(-3) / (2 * sigmas.square()[..., None, None])).sum(-3)
    n, both = a.shape[-2], (-2, -1)
    within = kernel[..., :n, :n].mean(both) + kernel[..., n:, n:].mean(both)
    return (within - 2 * kernel[..., :n, n:].mean(both)).clamp(min=0)
