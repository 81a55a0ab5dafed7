"""The binary or multi-class learners of scikit-learn that multi-label methods are built from."""

import inspect
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import AfterValidator, ValidationInfo

from mlbench.errors import did_you_mean
from mlbench.trust import imported, located, unimportable

BASES: dict[str, tuple[str, dict[str, Any]]] = {
    # Of 100 steps, scikit-learn's default, too few arrive on features that are not scaled.
    "logistic": ("sklearn.linear_model.LogisticRegression", {"max_iter": 1000}),
    "svm": ("sklearn.svm.LinearSVC", {}),
    "forest": ("sklearn.ensemble.RandomForestClassifier", {}),
}


def classifier(base: str) -> type:
    """The class behind a name of BASES or a dotted path."""
    if "." not in base and base not in BASES:
        raise ValueError(
            f"there are {', '.join(BASES)}, and any classifier of scikit-learn by its dotted path"
            f"{did_you_mean(base, BASES)}"
        )
    try:
        kind = imported(BASES[base][0]) if base in BASES else located(base)
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        raise ValueError(unimportable(base, error)) from error
    if not (inspect.isclass(kind) and all(hasattr(kind, name) for name in ("fit", "predict", "get_params"))):
        raise ValueError("is no classifier of scikit-learn's kind")
    return kind


def known(base: str) -> str:
    """`base`, if there is such a classifier."""
    from sklearn.base import is_classifier

    kind = classifier(base)
    try:
        instance = kind()
    except TypeError as error:
        raise ValueError(f"cannot be built from options alone: {error}") from error
    if not is_classifier(instance):
        raise ValueError("is no classifier")
    return base


def accepted(options: dict[str, Any] | None, info: ValidationInfo) -> dict[str, Any] | None:
    """`options`, if the base that stands before them takes them."""
    if options and "base" in info.data:
        taken = inspect.signature(classifier(info.data["base"])).parameters
        for name in options:
            if name not in taken:
                raise ValueError(f"base={info.data['base']} has no {name}{did_you_mean(name, taken)}")
            if name == "random_state":
                raise ValueError("random_state follows from the run's seed")
        model = build(info.data["base"], options)
        check = getattr(model, "_validate_params", lambda: None)  # else scikit-learn checks in `fit` alone
        check()
    return options


Base = Annotated[str, AfterValidator(known)]
Options = Annotated[dict[str, Any] | None, AfterValidator(accepted)]


def build(base: str, options: dict[str, Any] | None, seed: int | None = None) -> Any:
    """An estimator that is not fitted; `seed` becomes every `random_state` in it."""
    _, defaults = BASES.get(base, (base, {}))
    model = classifier(base)(**defaults | (options or {}))
    random = [name for name in model.get_params() if name.split("__")[-1] == "random_state"]
    return model.set_params(**dict.fromkeys(random, seed))


def draw_seed() -> int:
    """A seed for scikit-learn, drawn from torch's generator, which the run seeds."""
    return int(torch.randint(2**31 - 1, ()))


def chained(base: Any, order: str | list[int] | None, x: Any, y: np.ndarray) -> Any:
    """A chain fitted on true labels, which at prediction hands on decisions (Read et al. 2011)."""
    from sklearn.multioutput import ClassifierChain

    return ClassifierChain(base, order=order, random_state=draw_seed()).fit(x, y)


def confidence(model: Any, x: Any) -> np.ndarray:
    """Scores by a fitted classifier or chain: probabilities, else σ(decision function), else decisions.

    σ(decision function) is not calibrated, but above ½ exactly where the classifier decides for the label.
    """
    from scipy.special import expit

    if hasattr(model, "predict_proba"):
        return model.predict_proba(x)
    return expit(model.decision_function(x)) if hasattr(model, "decision_function") else model.predict(x)
