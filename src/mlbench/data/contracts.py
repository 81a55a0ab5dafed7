"""What an experiment asks of a data set, a split and a scaler; a person's own is checked against it."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from mlbench.data.task import Kind

if TYPE_CHECKING:  # help and completion wait for no import of these
    import numpy as np

    from mlbench.data.instances import Features, Loaded

Parts = dict[str, "np.ndarray"]  # part name -> int64 row numbers


class Dataset(Protocol):
    """Its class is `dataset._target_`.

    All but `load` is known before anything is read. A data set whose files a person has to bring also has
    `absent(cache)`, which lists those that are not there: tables leave out its runs.
    """

    @property
    def name(self) -> str:
        """Names the folder of its runs."""
        ...

    @property
    def kind(self) -> Kind:
        """What an instance is; a method says which kinds it takes."""
        ...

    @property
    def scaling(self) -> str:
        """How its features are scaled: none, zscore, minmax, or the dotted path of a Scaler."""
        ...

    @property
    def official(self) -> Sequence[str]:
        """The parts of its own split: train, test and perhaps validation; empty where it has no split."""
        ...

    @property
    def modality_names(self) -> Sequence[str]:
        """Empty where the features are one block, or where only the file knows."""
        ...

    def identity(self, cache: Path | None = None) -> dict[str, Any]:
        """What the data are, wherever they lie, checksums and scaling included: part of a run's key."""
        ...

    def load(self, cache: Path) -> "Loaded":
        """Reads it; what may be kept for the next time goes below `cache`."""
        ...


class Split(Protocol):
    """Its class is `split._target_`."""

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts that every data set gets; one with a validation part of its own may get that, too."""
        ...

    @property
    def labelled(self) -> tuple[str, ...]:
        """The parts whose labels training may use."""
        ...

    def __call__(self, targets: "np.ndarray", official: Parts | None, seed: int) -> Parts:
        """Row numbers by part, from the label matrix (N, L), the data set's own parts and the seed."""
        ...


class Scaler(Protocol):
    """Built without arguments. `state` holds all that `fit` learned, in plain types or tensors: a new scaler
    of the class scales the same once it has that state.
    """

    state: dict[str, Any]

    def fit(self, train: "Features") -> None:
        """Learns from the rows that training may look at, (N, d) float32."""
        ...

    def apply(self, features: "Features") -> "Features":
        """Any rows, scaled; float32, and sparse if they were."""
        ...
