"""A config-driven experiment runner for multi-label learning."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlbench.estimator import Classifier as Classifier

__version__ = "0.2.0"


def __getattr__(name: str) -> Any:
    """What takes long to import is imported when it is asked for."""
    if name == "Classifier":
        from mlbench.estimator import Classifier

        return Classifier
    raise AttributeError(f"module 'mlbench' has no attribute {name!r}")
