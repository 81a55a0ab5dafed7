"""What an experiment asks of a data set, a split and a scaler; a person's own is checked against it."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from mlbench.data.task import Kind
from mlbench.errors import UserError

if TYPE_CHECKING:  # help and completion wait for no import of these
    import numpy as np

    from mlbench.data.instances import Features, Loaded

Parts = dict[str, "np.ndarray"]  # part name -> int64 row numbers


class Dataset(Protocol):
    """`dataset._target_` names a class of this kind.

    All but `load` answers before anything is read. One that can leave out modalities says in `use` which it
    keeps, empty for all. A data set whose files a person has to bring also has
    `absent(cache)`, which lists the files that are missing: tables leave out its runs.
    """

    @property
    def name(self) -> str:
        """The folder of the data set's runs is called so."""
        ...

    @property
    def kind(self) -> Kind:
        """What an instance is; a method names the kinds that it takes."""
        ...

    @property
    def scaling(self) -> str:
        """How the features are scaled: none, zscore, minmax, or the dotted path of a Scaler."""
        ...

    @property
    def official(self) -> Sequence[str]:
        """The parts of the official split: train, test and perhaps validation; empty where there is none."""
        ...

    @property
    def modality_names(self) -> Sequence[str]:
        """Empty where the features are one block, or where only the file names the modalities."""
        ...

    def identity(self, cache: Path | None = None) -> dict[str, Any]:
        """What defines the data, checksums and scaling included, but no path: part of a run's key."""
        ...

    def load(self, cache: Path) -> "Loaded":
        """Reads the data; what is kept for the next time goes below `cache`."""
        ...


def identity_of(dataset: Dataset, cache: Path) -> dict[str, Any]:
    """The data set's identity; refuses a person's own that gives none, before a key is made of it."""
    identity = dataset.identity(cache)
    if not isinstance(identity, dict):
        given = type(identity).__name__
        raise UserError(f"dataset={dataset.name}: its identity gave a {given}, and is to give a dict")
    return identity


class Split(Protocol):
    """`split._target_` names a class of this kind."""

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts of every data set; an official validation part may be added to them."""
        ...

    @property
    def labelled(self) -> tuple[str, ...]:
        """The parts whose labels training may use."""
        ...

    def __call__(self, targets: "np.ndarray", official: Parts | None, seed: int) -> Parts:
        """Row numbers by part, from the label matrix (N, L), the data set's own parts and the seed."""
        ...


class Scaler(Protocol):
    """Built without arguments. `state` holds all that `fit` learned, in plain types or tensors: given that
    state, a new scaler of the class scales the same.
    """

    state: dict[str, Any]

    def fit(self, train: "Features") -> None:
        """Learns from the features (N, d), float32, of the rows that training may look at."""
        ...

    def apply(self, features: "Features") -> "Features":
        """Features of any rows, scaled: float32, and sparse if `features` are."""
        ...
