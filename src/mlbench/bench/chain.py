"""The classifier chain and ANT's student beside a literal reading of the paper."""

import copy
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from mlbench.assemble import assemble
from mlbench.backbones.chain import Chain
from mlbench.bench.literal import LiteralChain, copy_weights
from mlbench.bench.timing import Row, timed
from mlbench.compose import configure
from mlbench.config import Config
from mlbench.data.catalogue import described, state
from mlbench.data.rows import Rows
from mlbench.data.splits import labelled_rows
from mlbench.engine.fit import Job, fit
from mlbench.methods.amalgamation.ant import ANT
from mlbench.methods.amalgamation.label_sets import experts
from mlbench.methods.amalgamation.transfer import transfer
from mlbench.methods.base import Method, Stage
from mlbench.prepared import describe

SEED = 0
COMPARED = [("scene", "student"), ("emotions", "teacher_0"), ("scene", "teacher_0"), ("medical", "teacher_0")]


def chain(repeats: int = 5, epochs: int = 10) -> Iterator[Row]:
    """Epochs of ANT's student, targets included, and of a teacher; ours through the engine.

    Literally: x in every product of every step, autograd through PyTorch's LSTM, and for the student both
    teachers asked, and the transfer run, again for every batch.
    """
    here = dict(described())
    for dataset, part in COMPARED:
        config = configure(["method=ant", f"dataset={dataset}"])
        if state(here[dataset], config.paths.cache) != "here":
            config = configure(["method=ant", "dataset=multidigits"])
        yield compare_epochs(config, part, epochs, repeats)


def compare_epochs(config: Config, part: str, epochs: int, repeats: int) -> Row:
    method, data = built(config)
    assert isinstance(method, ANT), "the configuration says method=ant"
    size = config.train.batch_size
    literals = [literal_of(teacher.chain) for teacher in method.teachers]
    if part == "student":
        x = data["train"].batch(torch.arange(len(data["train"]))).x
        model = literal_of(method.student)

        def loss(rows: Tensor) -> Tensor:
            return model.loss(x[rows], literal_targets(method, literals, x[rows]))

    else:
        stage = next(iter(method.stages(data)))
        x, y = stage.data.batch(torch.arange(len(stage.data)))[:2]
        model = literals[0]

        def loss(rows: Tensor) -> Tensor:
            return model.loss(x[rows], y[rows])

    def ours() -> None:
        fresh = copy.deepcopy(method)
        if part == "student":
            fresh.teachers.requires_grad_(False)
            stage = next(iter(fresh.learn(data["train"])))
        else:
            stage = next(iter(fresh.stages(data)))
        run(replace(stage, epochs=epochs), config)

    def literally() -> None:
        optimizer = torch.optim.Adam(model.parameters(), lr=0.001)
        for rows in torch.randperm(len(x)).split(size):
            if len(rows) == size:
                optimizer.zero_grad()
                loss(rows).backward()
                optimizer.step()

    ours()
    literally()
    seconds = [(timed(ours) / epochs, timed(literally)) for _ in range(repeats)]
    fast, slow = zip(*seconds)
    name = f"{config.choices['dataset']}, {part}, an epoch, batch {size}"
    return Row(name, "literal", list(fast), list(slow), {"times_faster": sum(slow) / sum(fast)})


def built(config: Config, seed: int = SEED) -> tuple[Method, dict[str, Rows]]:
    pieces = assemble(config)
    loaded = pieces.dataset.load(config.paths.cache)
    rows = pieces.split(loaded.instances.targets, loaded.official, seed)
    torch.manual_seed(seed)
    method = pieces.method(describe(loaded.instances, labelled_rows(pieces.split, rows), pieces.dataset))
    return method, {part: Rows.from_instances(loaded.instances, numbers) for part, numbers in rows.items()}


def run(stage: Stage, config: Config) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "stage"
        fit(Job(stage, config.train, config.selection, SEED, path, [], "", lambda history: None))


def literal_of(chain: Chain) -> LiteralChain:
    """A literal chain of the same size, with other random weights."""
    literal = LiteralChain(*chain.size)
    copy_weights(literal, chain)
    return literal


@torch.no_grad()
def literal_targets(method: ANT, teachers: list[LiteralChain], x: Tensor) -> Tensor:
    first = [teacher(x)[2] for teacher in teachers]

    def rerun(teacher: int, rows: Tensor, start: Tensor) -> Tensor:
        return teachers[teacher](x[rows], start)[2]

    known_by = experts([teacher.task.labels for teacher in method.teachers], method.task.labels)
    return transfer(first, known_by, rerun, None, method.transfer, method.hand_on).targets.sigmoid()
