"""Any method in a plain lightning.Trainer: it learns there what it learns under the engine's loop."""

import copy
from contextlib import ExitStack

import pytest
import torch
from lightning import Trainer

from mlbench.compose import choices, configure, shipped_target
from mlbench.config import target
from mlbench.engine.fit import fit
from mlbench.engine.lit import Lit
from mlbench.experiment import Experiment, prepare
from mlbench.layers import begin_draws
from small import smaller


class Batches:
    """Those that the engine's loop makes of the trainer's epoch."""

    def __init__(self, job, trainer):
        self.rows, self.plan, self.trainer = job.stage.data, job.plan, trainer

    def __len__(self):
        return self.plan.batches(len(self.rows))

    def __iter__(self):
        visits = self.plan.visits(len(self.rows), self.trainer.current_epoch)
        return iter([self.rows.batch(index) for index in visits.split(self.plan.batch_size)])


def trained_by_lightning(job, folder):
    """The job's module after its epochs under a Trainer."""
    lit = Lit(copy.deepcopy(job.stage.module), job.plan)
    begin_draws(lit.module, job.plan.seed)
    trainer = Trainer(
        max_epochs=job.plan.epochs,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
    )
    trainer.fit(lit, Batches(job, trainer))
    return lit.module


# Narrow kernels magnify rounding, which is another where an optimiser has all parameters in one tensor.
CHANGES = {"cfl": ["method.sigmas=[0.5,1.0,2.0]"]}


def configured(method):
    return configure([f"method={method}", *CHANGES.get(method, [])])


def takes_training(method):
    return target({"_target_": shipped_target("method", method)}).train_options


LEARNED = [name for name in choices("method") if takes_training(name)]


@pytest.mark.parametrize("method", LEARNED)
def test_every_method_learns_the_same_in_a_plain_trainer(method, tmp_path, cache):
    run, gradients = Experiment(smaller(configured(method), 1, tmp_path, cache)), 0
    with ExitStack() as held:
        prepare(run, held, wait=True)
        while run.jobs:
            jobs = run.jobs
            theirs = [None if job.stage.solve else trained_by_lightning(job, tmp_path) for job in jobs]
            run.stages.take(jobs, [fit(job) for job in jobs])
            for job, module in zip(jobs, theirs):
                if module is not None:
                    gradients += 1
                    for name, tensor in job.stage.module.state_dict().items():
                        torch.testing.assert_close(module.state_dict()[name], tensor, atol=1e-5, rtol=1e-4)
            run.jobs = run.stages.ask()
    assert gradients
