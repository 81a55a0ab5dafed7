"""Where the predictions of another program are kept, and under which key: never that of a run of ours."""

from pathlib import Path

from mlbench.config import Config, Node, defining, fingerprint
from mlbench.results import store

MARK = "imported-"  # every key of an import begins with it
OF_FEATURES = ("scaling", "modalities", "use", "missing_modalities", "encoders")


def key(config: Config, data: Node, cut: bool) -> str:
    """A hash of the data set's identity, its split, the seed and, where scores are `cut`, the threshold.

    What the other program did to the features is not known, and no part of the key.
    """
    content = {
        "imported": config.choices["method"],
        "data": {name: value for name, value in data.items() if name not in OF_FEATURES},
        "split": defining(config.split),
        "threshold": config.threshold if cut else None,
        "seed": config.seed,
    }
    return MARK + fingerprint(content)


def folder(config: Config, dataset: str, data: Node, cut: bool = True) -> Path:
    return store.folder(config.paths.outputs, dataset, config.choices["method"], key(config, data, cut))


def named(config: Config, name: str) -> Config:
    """The configuration with the name of what is imported in the place of a method's."""
    return config.model_copy(update={"choices": config.choices | {"method": name}})
