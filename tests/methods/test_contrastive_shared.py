"""Two processes that share the batches of a pre-training descend as one."""

import copy
import functools

import torch
import torch.distributed
from torch.multiprocessing import start_processes

from mlbench.compose import configure
from mlbench.methods.build import build_method
from small import small_data, small_task

PLAIN = ("backbone.dropout=0", "method.pretrain.dropout=0", "method.pretrain.mask=0")  # nothing is drawn
METHODS = {
    "mulsupcon": (),
    "mulsupcon, instances": ("method.pair_weights=instance",),
    "any": ("method.positives=any",),
    "all": ("method.positives=all",),
    "mulsupcon_rld": ("method.sigma=1",),
    "mulsupcon_cld": (),
    "mulsupcon_cld, algorithm": (
        "method.readings.references=algorithm",
        "method.readings.own_distribution=live",
    ),
    "mulsupcon_cld, means": ("method.readings.h=positives", "method.readings.normalise=positives"),
}


def rank(number, folder):
    torch.set_num_threads(1)  # a forked process has none of its threads
    meeting = f"file://{folder}/meeting"
    torch.distributed.init_process_group("gloo", init_method=meeting, rank=number, world_size=2)
    torch.save({name: descended(name, number) for name in METHODS}, f"{folder}/{number}")
    torch.distributed.destroy_process_group()


def descended(name, number=None):
    """Losses, gradients and the queue of each step, of a process alone or of one of two."""
    (module, data), left = copy.deepcopy(made(name)), []
    for rows in torch.arange(len(data)).split(8):
        rows = rows if number is None else rows[number::2]
        batch = data.batch(rows).map(lambda part: part.double() if part.is_floating_point() else part)
        loss = module.loss(batch)
        loss.backward()
        trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
        numbers = [loss.detach(), *[parameter.grad for parameter in trained]]
        if number is not None:
            for part in numbers:
                torch.distributed.all_reduce(part)
                part /= 2
        left.append([part.clone() for part in numbers])
        with torch.no_grad():
            for parameter in trained:
                parameter -= 0.01 * parameter.grad
                parameter.grad = None
        module.after_step()
        left[-1] += [part.clone() for part in module.queue.buffers()]
    return left


@functools.cache
def made(name):
    """Its first stage in small, in double precision, without batch norm; rows for five steps of eight, after
    two of which the queue opens.
    """
    torch.manual_seed(0)
    small = ["backbone.widths=[8]", "method.pretrain.batch_size=8", "method.pretrain.queue=16"]
    method = name.partition(",")[0]
    method = method if method in ("mulsupcon_rld", "mulsupcon_cld") else "mulsupcon"
    words = [f"method={method}", "dataset=npz", "dataset.path=x", *small, *PLAIN, *METHODS[name]]
    config = configure(words)
    built = build_method(config.method, config.backbone, config.loss, small_task(3))
    data = small_data(3)
    module = next(built.stages({"train": data})).module.double()
    for head in (module.projection, module.key_projection):
        head[1] = torch.nn.Identity()
    return module, data


def test_two_processes_descend_as_one(tmp_path):
    """Loss and gradient of every step, and the queue after it, whose rows stand in the order of instances."""
    descents = {name: descended(name) for name in METHODS}
    start_processes(rank, (str(tmp_path),), nprocs=2, start_method="fork")
    ranks = [torch.load(tmp_path / str(number)) for number in range(2)]
    for name, alone in descents.items():
        assert len(alone) == 5
        for steps in zip(*(found[name] for found in ranks), alone, strict=True):
            for first, second, expected in zip(*steps, strict=True):
                assert torch.equal(first, second)
                torch.testing.assert_close(first, expected, rtol=1e-9, atol=1e-9, msg=name)
