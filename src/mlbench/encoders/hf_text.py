"""`hf_text`: a text encoder of Hugging Face's, frozen, from a folder or by its name on the hub."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from mlbench.data.instances import Features
from mlbench.data.raw import Raw, Texts
from mlbench.encoders.base import Frozen, check_needs
from mlbench.encoders.networks import (
    CHARACTERS,
    features_by_length,
    hashed,
    model_folder,
    network_in,
    tokenizer_in,
)
from mlbench.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

Pooling = Literal["mean", "cls", "eos"]


class Transformer(Frozen):
    """Hidden states of the last layer, pooled over a text's tokens."""

    needs: ClassVar[tuple[str, ...]] = ("transformers", "tokenizers", "safetensors")
    pooling: Pooling
    normalise: bool
    length: int

    def folder(self) -> Path:
        """The folder of the tokenizer and the weights."""
        raise NotImplementedError(f"{type(self).__name__} names no folder")

    def weights(self) -> str | None:
        check_needs(self.needs)
        return hashed(self.folder())

    def encode(self, rows: Raw, device: str) -> Features:
        import torch

        assert isinstance(rows, Texts)
        tokenizer = tokenizer_in(self.folder())
        network = network_in(self.folder()).to(device).eval()
        longest = self.length * CHARACTERS
        texts = [text[:longest] for text in rows.rows]

        def forward(batch: list[int]) -> "Tensor":
            given = tokenizer(
                [texts[row] for row in batch],
                padding=True,
                truncation=True,
                max_length=self.length,
                return_tensors="pt",
            ).to(device)
            states = network(**given).last_hidden_state
            vectors = pooled(states, given["attention_mask"], self.pooling)
            return torch.nn.functional.normalize(vectors, dim=-1) if self.normalise else vectors

        features = features_by_length([*map(len, texts)], forward)
        self.width = features.shape[1]
        return features


def pooled(states: "Tensor", mask: "Tensor", pooling: Pooling) -> "Tensor":
    """(B, d) of states (B, T, d); the mask (B, T) has ones where a token stands, padding on the right."""
    import torch

    if pooling == "mean":
        shares = mask.unsqueeze(-1).to(states.dtype)
        return (states * shares).sum(1) / shares.sum(1).clamp(min=1e-9)
    if pooling == "cls":
        return states[:, 0]
    last = mask.sum(1).clamp(min=1) - 1
    return states[torch.arange(len(states), device=states.device), last]


@dataclass(kw_only=True)
class HFText(Transformer):
    path: str
    revision: str | None
    pooling: Pooling
    normalise: bool
    length: int
    located: Path | None = field(init=False, default=None, repr=False)

    def __post_init__(self):
        check_length(self.length)

    def folder(self) -> Path:
        self.located = self.located or model_folder(self.path, self.revision)
        return self.located


def check_length(length: int) -> None:
    if length < 1:
        raise UserError(f"encoder.text.length={length}: tokens of a text that are read, 1 or more")
