"""A tape of operations, in place of a CUDA graph on machines that have no GPU.

Like a graph it does again what was done while it was recorded, with the same tensors, whatever Python would
do by then; and it refuses operations for which the host would have to wait for the device.
"""

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from mlbench.engine.graph import NotCapturable

WAITS = ("_local_scalar_dense", "nonzero", "masked_select", "unique", "equal", "is_nonzero")


def written_by(function, arguments, options):
    """The tensors that an operation writes to, by its schema."""
    named = {argument.name: argument for argument in function._schema.arguments}
    given = dict(zip(named, arguments)) | options
    return [
        tensor
        for name, value in given.items()
        if named[name].alias_info and named[name].alias_info.is_write
        for tensor in tree_leaves(value)
        if isinstance(tensor, torch.Tensor)
    ]


class Tape(TorchDispatchMode):
    def __init__(self):
        super().__init__()
        self.operations, self.before = [], {}

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        options = options or {}
        if any(name in str(function) for name in WAITS):
            raise NotCapturable(f"the host waits for {function}")
        written = written_by(function, arguments, options)
        for tensor in written:
            self.before.setdefault(id(tensor), (tensor, tensor.clone()))
        result = function(*arguments, **options)
        made = [out for out in tree_leaves(result) if isinstance(out, torch.Tensor)]
        views = any(argument.alias_info for argument in function._schema.arguments)
        self.operations.append((function, arguments, options, [] if views else made))
        return result

    @torch.no_grad()
    def replay(self):
        for function, arguments, options, made in self.operations:
            again = [
                out for out in tree_leaves(function(*arguments, **options)) if isinstance(out, torch.Tensor)
            ]
            for out, new in zip(made, again):
                out.copy_(new)


@torch.no_grad()
def recorded(act, generators):
    """Stands for `graph.captured`: nothing has happened once the tape is there."""
    tape, every = Tape(), [*generators, torch.default_generator]
    states = [generator.get_state() for generator in every]
    with tape, torch.enable_grad():
        act()
    for tensor, kept in reversed(tape.before.values()):
        tensor.copy_(kept)
    for generator, state in zip(every, states):
        generator.set_state(state)
    return tape.replay
