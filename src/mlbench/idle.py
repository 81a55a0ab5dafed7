"""Options that change nothing beside the others, as `train.clip_by` without `train.gradient_clip`."""

import inspect
from typing import Any

Node = dict[str, Any]

# Options that were added later: these values change nothing, and stay out of a run's key.
NEUTRAL = {
    "clip_by": "norm",
    "decay_on": "all",
    "warmup": 0,
    "schedule_every": "epoch",
    "ema": None,
    "walk": "passes",
    "patience": None,
}
# These may change nothing beside the others of their group: they are then as they stand here.
UNUSED = NEUTRAL | {"drop_last": False, "metric": "f1_macro", "every": 1, "delta": 0.1}
CONFORMAL = "mlbench.evaluation.conformal.Conformal"


def without_neutral(options: Node) -> Node:
    """The options without those that were added later and have the value that changes nothing."""
    return {name: value for name, value in options.items() if name not in NEUTRAL or value != NEUTRAL[name]}


def idle(train: Node, alone: bool = True) -> dict[str, str]:
    """The keys of conf/train that change nothing beside the others, each with the reason.

    `alone`: no stage has settings of its own, for which an option may count that is idle in conf/train.
    """
    optimizer, scheduler = train.get("optimizer") or {}, train.get("scheduler")
    walk = train.get("walk", "passes")
    reasons = {
        "clip_by": ("without train.gradient_clip", not train.get("gradient_clip")),
        "drop_last": (f"with train.walk={walk}", alone and walk != "passes"),
        "schedule_every": (
            "without a train/scheduler",
            alone and scheduler is not None and scheduler["_target_"] is None,
        ),
        "decay_on": (
            "without train.optimizer.weight_decay",
            alone and optimizer.get("weight_decay") == 0,
        ),
    }
    return {name: reason for name, (reason, holds) in reasons.items() if holds and name in train}


def settled(train: Node, alone: bool = True) -> Node:
    """conf/train with one value for each of its options that change nothing."""
    return train | {name: UNUSED[name] for name in idle(train, alone)}


def one_stage(method: Any) -> bool:
    """Whether a method has no stages of its own, but the one that every method begins with."""
    return inspect.isclass(method) and sum("stages" in vars(kind) for kind in method.__mro__) == 1


def unlooked(content: Node, method: Any) -> dict[str, str]:
    """The keys of `selection` that change nothing, since no epoch is looked at, each with the reason.

    A split or a data set of a person's own may bring a validation part whatever the options say; a
    published split does.
    """
    if not getattr(method, "train_options", True):
        return dict.fromkeys(("metric", "every", "patience"), "with a method in closed form")
    split, dataset = content["split"], content["dataset"]
    rooms = {"mlbench.data.splits.": split, "mlbench.": dataset}
    ours = all(str(node["_target_"]).startswith(room) for room, node in rooms.items())
    validation = split.get("validation") or "validation" in (dataset.get("files") or {})
    if not ours or validation or content["selection"]["rule"] != "last":
        return {}
    return dict.fromkeys(("metric", "every"), "without a validation part, which split.validation=0.1 makes")


def undoubted(threshold: Node) -> dict[str, str]:
    """The keys of a threshold that change nothing, each with the reason."""
    if threshold["_target_"] == CONFORMAL and threshold.get("risk") == "fnr":
        return {"delta": "with threshold.risk=fnr"}
    return {}
