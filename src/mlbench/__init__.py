"""A config-driven experiment runner for multi-label learning."""

TYPE_CHECKING = False  # so that a command's first moment need not wait for typing
if TYPE_CHECKING:
    from typing import Any

    from mlbench.estimator import Classifier as Classifier

__version__ = "0.2.0"


def __getattr__(name: str) -> "Any":
    """What takes long to import is imported when it is asked for."""
    if name == "Classifier":
        from mlbench.estimator import Classifier

        return Classifier
    raise AttributeError(f"module 'mlbench' has no attribute {name!r}")
