"""`xmlcnn`: the features of an XML-CNN (Liu et al., SIGIR 2017), which learns the labels of the training rows
first, as FLEM (IJCAI 2022) takes texts.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from mlbench.data.instances import Features
from mlbench.data.raw import Raw, Texts
from mlbench.data.task import Kind
from mlbench.encoders.base import Plain, options
from mlbench.encoders.networks import features_by_length
from mlbench.encoders.tokens import Tokens
from mlbench.errors import UserError

if TYPE_CHECKING:
    from mlbench.encoders.base import Training

COUNTS = ("vocabulary", "max_length", "embedding", "maps", "pools", "width", "epochs", "batch_size")
WEIGHT = "weight "  # the prefix of each tensor's name in the encoder's state


@dataclass(kw_only=True)
class XMLCNN:
    vocabulary: int
    max_length: int
    lower: bool
    embedding: int
    vectors: Path | None
    windows: list[int]
    maps: int
    pools: int
    width: int
    dropout: float
    epochs: int
    batch_size: int
    lr: float
    seed: int
    cut: Tokens = field(init=False, repr=False)
    network: Any = field(init=False, default=None, repr=False)
    learns: ClassVar[bool] = True
    supervised: ClassVar[bool] = True
    gives: ClassVar[Kind] = "vector"
    needs: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self):
        for name in COUNTS:
            if getattr(self, name) < 1:
                raise UserError(f"encoder.text.{name}={getattr(self, name)}: a whole number, 1 or larger")
        if not self.windows or min(self.windows) < 1:
            raise UserError(f"encoder.text.windows={self.windows}: widths, each 1 or larger")
        if not 0 <= self.dropout < 1:
            raise UserError(f"encoder.text.dropout={self.dropout}: 0 or more, less than 1")
        self.vectors = Path(self.vectors).expanduser() if self.vectors else None
        words = {"vocabulary": self.vocabulary, "max_length": self.max_length, "lower": self.lower}
        self.cut = Tokens(**words, tokenizer=None, revision=None)

    def check(self) -> None:
        if self.vectors and not self.vectors.is_file():
            raise UserError(f"encoder.text.vectors={self.vectors}: there is no such file")

    def weights(self) -> str | None:
        return None

    def fit(self, rows: Raw, targets: np.ndarray, train: "Training") -> None:
        """Trains the network with a layer of labels on top by binary cross-entropy, in its own stage."""
        import torch

        from mlbench.data.rows import Rows
        from mlbench.encoders.cnn import Labelled

        self.cut.fit(rows)
        tokens: Any = self.cut.encode(rows, "cpu")
        with torch.random.fork_rng():
            torch.manual_seed(self.seed)
            module = Labelled(self.built(self.vectors), self.width, targets.shape[1])
        data = Rows(tokens, torch.from_numpy(targets.astype(np.float32)), torch.arange(len(rows)))
        train(module, data, epochs=self.epochs, batch_size=self.batch_size, lr=self.lr, seed=self.seed)
        self.network = module.network.cpu()

    def built(self, vectors: Path | None) -> Any:
        from mlbench.encoders.cnn import XMLCNN as Network
        from mlbench.encoders.cnn import Maps

        maps = Maps(self.cut.names, self.embedding, vectors, False, self.windows, self.maps)
        return Network(maps, len(self.windows) * self.maps, self.pools, self.width, self.dropout)

    def encode(self, rows: Raw, device: str) -> Features:
        import torch

        assert isinstance(rows, Texts)
        tokens: Any = self.cut.encode(rows, "cpu")
        network = self.network.to(device).eval()
        if not len(rows):
            return np.empty((0, self.width), np.float32)
        return features_by_length(
            tokens.lengths.tolist(),
            lambda part: network(tokens.index_select(0, torch.tensor(part)).to(device)),
        )

    def feature_names(self) -> list[str]:
        return [f"xmlcnn{number}" for number in range(1, self.width + 1)]

    def state(self) -> Plain:
        weights = {f"{WEIGHT}{name}": each.cpu().numpy() for name, each in self.network.state_dict().items()}
        return {"options": options(self) | {"vectors": None}, "names": list(self.cut.names)} | weights

    @classmethod
    def from_state(cls, state: Plain) -> Self:
        import torch

        made = cls(**state["options"])
        made.cut.names = tuple(state["names"])
        made.network = made.built(None)
        weights = {name.removeprefix(WEIGHT): each for name, each in state.items() if WEIGHT in name}
        made.network.load_state_dict({name: torch.from_numpy(each) for name, each in weights.items()})
        return made
