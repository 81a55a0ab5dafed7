"""What two processes learn that share the weights (FSDP) is what they learn that have them whole (DDP)."""

import copy
import functools
import os
import signal
from contextlib import ExitStack
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.distributed.tensor import DTensor

from mlbench.compose import choices, configure, shipped_target
from mlbench.config import target
from mlbench.engine import ranks
from mlbench.engine.fit import fit, train_here
from mlbench.engine.sharded import Sharded
from mlbench.engine.signals import Stop
from mlbench.errors import UserError
from mlbench.experiment import Experiment, prepare
from mlbench.losses.bce import bce
from mlbench.methods.erm import ERM
from replicas import close, equal
from small import small_data, small_task, smaller

pytestmark = pytest.mark.usefixtures("forked")
TWO = {"devices": 2, "accelerator": "cpu"}
SHARED = TWO | {"strategy": "fsdp"}


HARD = {
    "epochs": 3,
    "batch_size": 7,
    "accumulate": 2,
    "gradient_clip": 0.1,
    "ema": 0.9,
    "optimizer": ("AdamW", {"lr": 0.02, "weight_decay": 0.1}),
    "scheduler": ("CosineAnnealingLR", {"T_max": 3}),
}


@pytest.mark.parametrize("changes", [{}, {"clip_by": "value", "optimizer": ("SGD", {"lr": 0.1})}], ids=str)
def test_it_learns_what_one_process_learns(problem, changes):
    """60 rows in batches of 7: in the last one a process has two rows, and the other one two."""

    def trained(name, **how):
        watches = [problem.watch(data=problem.vectors(40, seed=9))]
        return problem.fit(
            problem.erm(), problem.vectors(60), watches, name=name, threads=1, **HARD | changes | how
        )

    close(trained("shared", **SHARED), trained("whole"))


class Stopped(ERM):
    """Is asked to stop in its seventh step, while `armed`."""

    armed, steps = True, 0

    def loss(self, batch):
        self.steps += 1
        if self.armed and self.steps == 7:
            os.kill(os.getpid(), signal.SIGTERM)
        return super().loss(batch)


def test_what_is_interrupted_goes_on_with_shared_or_whole_weights(problem, tmp_path, monkeypatch):
    """A checkpoint holds whole weights, moments and averages: two processes that have them whole go on."""

    def trained(name, **how):
        return problem.fit(problem.erm(kind=Stopped), problem.vectors(60), name=name, threads=1, **HARD | how)

    for name in ("shared", "other"):
        with pytest.raises(KeyboardInterrupt):
            trained(name, **SHARED)
        assert (tmp_path / f"{name}.ckpt").exists()
    monkeypatch.setattr(Stopped, "armed", False)
    undisturbed = trained("undisturbed", **SHARED)
    equal(trained("shared", **SHARED), undisturbed)
    close(trained("other", **SHARED | {"strategy": "ddp"}), undisturbed)


class Deep(nn.Module):
    """Two blocks, of which the second is not trained; notes whose weights are whole in each."""

    def __init__(self, task):
        super().__init__()
        self.blocks = nn.ModuleList(nn.Sequential(nn.Linear(6, 6), nn.Tanh()) for _ in range(2))
        self.blocks[1].requires_grad_(False)
        self.width, self.noted = 6, []

    def forward(self, x):
        for block in self.blocks:
            block[0].register_forward_hook(self.note)
            x = block(x)
        return x

    def note(self, *_):
        self.noted.append([not isinstance(block[0].weight, DTensor) for block in self.blocks])


def gather_and_note(path):
    torch.manual_seed(0)
    task = small_task(3, features=6)
    module = ERM(task, Deep, functools.partial(bce, pos_weight=None))
    train = configure(["train.devices=2", "train.strategy=fsdp", "train.accelerator=cpu"]).train
    replicas = Sharded(module, ranks.fabric_of(train))
    held = sum(weight.to_local().numel() for weight in replicas.lit.module.parameters())
    loss = replicas.losses(small_data(3, rows=8, features=6).batch(torch.arange(8)))
    replicas.backward(loss)
    noted = replicas.lit.module.backbone.noted
    if torch.distributed.get_rank() == 0:
        torch.save([held, sum(weight.numel() for weight in module.parameters()), noted], path)


def test_a_process_has_half_of_the_weights_and_gathers_a_block_at_a_time(tmp_path):
    ranks.start(
        gather_and_note, (tmp_path / "noted",), configure(["train.devices=2", "train.accelerator=cpu"]).train
    )
    held, whole, noted = torch.load(tmp_path / "noted")
    assert whole / 2 <= held <= whole / 2 + 8
    assert noted == [[True, False], [False, True]]


def learned_by_both(method, folder, cache):
    """What the stages of a method learn with whole and with shared weights, or why they are not trained."""
    config = smaller(configure([f"method={method}"]), 1, folder / str(torch.distributed.get_rank()), cache)
    run, pairs = Experiment(config), []
    with ExitStack() as held:
        prepare(run, held, wait=True)
        while jobs := run.jobs:
            outcomes = [fit(job) if job.stage.solve else None for job in jobs]
            for number, job in enumerate(jobs):
                if not outcomes[number]:
                    stage = replace(job.stage, module=copy.deepcopy(job.stage.module))
                    shared = outcome_of(
                        replace(job, stage=stage, path=job.path.with_suffix(".shared")), "fsdp"
                    )
                    outcomes[number] = whole = outcome_of(job, "ddp_find_unused_parameters_true")
                    pairs.append([getattr(outcome, "last", outcome) for outcome in (whole, shared)])
            if any(isinstance(outcome, str) for outcome in outcomes):
                return pairs
            run.stages.take(jobs, outcomes)
            run.jobs = run.stages.ask()
    return pairs


def outcome_of(job, strategy):
    job.path.parent.mkdir(parents=True, exist_ok=True)
    try:
        changes = TWO | {"strategy": strategy}
        return train_here(replace(job, train=job.train.model_copy(update=changes)), Stop(shared=False))
    except UserError as error:
        return str(error)


def learn_all(names, folder, cache):
    for name in names:
        pairs = learned_by_both(name, folder / name, cache)
        if torch.distributed.get_rank() == 0:
            torch.save(pairs, folder / f"{name}.pairs")


FEW = ["ofcc", "mulsupcon_cld", "flem_d", "valen"]


def takes_training(method):
    return target({"_target_": shipped_target("method", method)}).train_options


@pytest.mark.filterwarnings("ignore:find_unused_parameters")
def test_every_method_learns_with_shared_weights_what_it_learns_with_whole_ones(tmp_path, cache, request):
    """With --thorough every method; else one with a chain, one with a queue and one of each kind refused."""
    thorough = request.config.getoption("thorough")
    names = [name for name in choices("method") if takes_training(name)] if thorough else FEW
    ranks.start(
        learn_all, (names, tmp_path, cache), configure(["train.devices=2", "train.accelerator=cpu"]).train
    )
    refused = {}
    for name in names:
        for whole, shared in torch.load(tmp_path / f"{name}.pairs"):
            if isinstance(shared, str):
                refused[name] = shared
                assert shared == whole or "looks at whole gradients before a step" in shared
            else:
                for key, tensor in whole.items():
                    torch.testing.assert_close(shared[key], tensor, atol=1e-5, rtol=1e-4, msg=f"{name} {key}")
    assert refused.keys() == {name for name in names if name == "valen" or name.startswith("flem")}
    for name, why in refused.items():
        assert (
            "remembers what it found of every row" if name == "valen" else "looks at whole gradients"
        ) in why
