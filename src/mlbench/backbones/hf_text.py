"""A text network of Hugging Face's, whose weights are trained on: all, those of the last blocks, or none."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from mlbench.backbones.base import Rate
from mlbench.backbones.texts import OfTexts
from mlbench.data.task import Task
from mlbench.data.tokens import PADDING
from mlbench.encoders.hf_text import Pooling, pooled
from mlbench.encoders.networks import hashed, network_in, text_folder
from mlbench.errors import DoesNotFit, UserError

Blocks = Annotated[int, Field(ge=1)]


class HFText(OfTexts):
    """`train`: all, none, or how many of its last blocks; what is not trained stays in evaluation mode."""

    def __init__(
        self,
        task: Task,
        path: str,
        revision: str | None,
        train: Literal["all", "none"] | Blocks,
        pooling: Pooling,
        checkpointing: bool,
        rate: Rate,
    ):
        super().__init__(rate)
        self.network = network_in(text_folder(path, revision), dtype=torch.float32)
        self.pooling: Pooling = pooling
        config = self.network.config
        most = getattr(config, "max_position_embeddings", None) or task.features
        if task.features > most:
            raise UserError(
                f"backbone.path={path} reads {most} tokens of a text: encoder.text.max_length={most}"
            )
        self.network.pooler = None  # nothing here asks for what it gives
        if checkpointing:
            self.network.activation_checkpointing_enable()
        self.filler, self.width = config.pad_token_id or 0, config.hidden_size
        self.blocks = blocks_of(self.network)
        self.freeze(frozen_parts(self.network, train))

    def forward(self, x: Tensor) -> Tensor:
        there = x != PADDING
        tokens = (x - 1).where(there, self.filler)
        there[..., 0] = True  # a text of no tokens counts as one of padding
        states = self.network(input_ids=tokens, attention_mask=there.long()).last_hidden_state
        return pooled(states, there, self.pooling)

    @classmethod
    def weights(cls, path: str, revision: str | None, **_: Any) -> str:
        """A hash of its files, which enters a run's key."""
        return hashed(text_folder(path, revision))

    @classmethod
    def check_encoders(cls, options: Mapping[str, Any], encoders: Mapping[str, Any]) -> None:
        """Refuses tokens of another tokenizer than its own."""
        path, cut = options["path"], getattr(encoders["text"], "tokenizer", None)
        if cut != path:
            raise DoesNotFit(
                "backbone=hf_text reads what its own tokenizer cuts, and "
                f"encoder.text.tokenizer={cut or 'null'}: use encoder.text=pieces, or "
                f"encoder.text.tokenizer={path}"
            )


def frozen_parts(network: nn.Module, train: str | int) -> tuple[nn.Module, ...]:
    if train == "all":
        return ()
    if train == "none":
        return (network,)
    blocks = blocks_of(network)
    if int(train) > len(blocks):
        raise UserError(f"backbone.train={train}: the network has {len(blocks)} blocks")
    return (*before(network, blocks[len(blocks) - int(train)]),)


def blocks_of(network: nn.Module) -> tuple[nn.Module, ...]:
    """Those of the list of modules that has the most weights."""
    lists = [part for part in network.modules() if isinstance(part, nn.ModuleList)]
    return tuple(max(lists, key=lambda part: sum(p.numel() for p in part.parameters()), default=()))


def before(network: nn.Module, block: nn.Module) -> Iterator[nn.Module]:
    """The parts of a network that stand before one of its blocks."""
    for part in network.children():
        if any(inner is block for inner in part.modules()):
            if part is not block:
                yield from before(part, block)
            return
        yield part
