"""ANT: where experts of a label disagree, the one that says yes hands its logit over and the other predicts
again; the student learns the integrated outputs (Thadajarassiri, Hartvigsen, Gerych, Kong, Rundensteiner,
Knowledge Amalgamation for Multi-Label Classification via Label Dependency Transfer, AAAI 2023).
"""

from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor

from mlbench.data.rows import Batch, Rows
from mlbench.data.task import Task
from mlbench.methods.amalgamation.teachers import (
    AmalgamationMethod,
    Share,
    TeacherSettings,
    blocks,
    seen_by,
    unrolled,
)
from mlbench.methods.amalgamation.transfer import Fires, HandOn, disagree, integrate
from mlbench.methods.amalgamation.transfer import transfer as transferred
from mlbench.methods.base import Backbone, Stage


class ANT(AmalgamationMethod):
    """`transfer`: `exactly_one` fires where one expert alone is positive (code); `pairwise` goes from every
    positive expert to every negative one (paper). `transfer_init`: the second pass starts from the taker's
    own `final` logits of the first, or from its `init`. `hand_on`: a label that a second pass turned on goes
    on with that pass's logit, or with the one of the `first_pass` (code).
    """

    transfer: Fires
    hand_on: HandOn

    def __init__(
        self,
        task: Task,
        backbone: Backbone,
        teachers: TeacherSettings,
        overlap: Share,
        transfer: Fires,
        transfer_init: Literal["final", "init"],
        hand_on: HandOn,
        shared_first: bool,
    ):
        super().__init__(task, backbone, teachers, overlap, shared_first)
        self.transfer = transfer
        self.transfer_init = transfer_init
        self.hand_on = hand_on
        self.counts: dict[str, float] = {}

    def learn(self, data: Rows) -> Iterator[Stage]:
        yield self.student_stage(data, self.targets(data).sigmoid())

    @torch.no_grad()
    def targets(self, data: Rows) -> Tensor:
        """Logits of the student's targets, (N, L)."""
        first = [unrolled(teacher, data).final for teacher in self.teachers]
        initial = None
        if self.transfer_init == "init":
            initial = [
                torch.cat(
                    [teacher.chain.initial(seen_by(teacher, data.batch(rows).x)) for rows in blocks(data)]
                )
                for teacher in self.teachers
            ]

        def rerun(teacher: int, rows: Tensor, start: Tensor) -> Tensor:
            chosen = self.teachers[teacher]
            return chosen.chain(seen_by(chosen, data.batch(rows).x), start)

        done = transferred(first, self.experts, rerun, initial, self.transfer, self.hand_on)
        plain = integrate(first, self.experts)
        self.counts = {
            "instances": len(data),
            "instances_with_disagreement": int(disagree(first, self.experts).sum()),
            "transfers": done.transfers,
            "hops": done.hops,
            "targets_changed_by_transfer": int((done.targets != plain).sum()),
            "targets": done.targets.numel(),
        }
        return done.targets

    def loss(self, batch: Batch) -> Tensor:
        return self.student.loss(batch.x, batch.targets)

    def facts(self) -> dict[str, float]:
        return self.counts
