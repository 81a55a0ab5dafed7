"""Checks a composed configuration, and makes the key of a run from a checked one.

Every value is checked before any data is read: fixed groups against the models below, a node with a
`_target_` against the signature of that target. The check imports torch only where a target of a person's
own does, or where a target does not exist.
"""

import hashlib
import inspect
import json
import re
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, create_model
from pydantic_core import ErrorDetails

from mlbench.errors import UserError, did_you_mean, unknown_key
from mlbench.idle import UNUSED, one_stage, settled, undoubted, unlooked, without_neutral
from mlbench.signatures import light, parameters
from mlbench.spelling import VALUES
from mlbench.trust import located, of_python, trust, unimportable

Node = dict[str, Any]  # a `_target_` and its options
Model = TypeVar("Model", bound=BaseModel)


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


class Open(Strict):
    model_config = ConfigDict(extra="allow")


class Train(Strict):
    epochs: int = Field(ge=1)
    batch_size: int = Field(ge=1)
    optimizer: Node
    scheduler: Node
    shuffle: bool
    drop_last: bool
    walk: Annotated[int, Field(ge=1)] | Literal["passes", "endless"]
    gradient_clip: float | None = Field(gt=0)
    clip_by: Literal["norm", "value"]
    decay_on: Literal["all", "weights"]
    warmup: int = Field(ge=0)
    schedule_every: Literal["epoch", "step"]
    ema: float | None = Field(gt=0, lt=1)
    accumulate: int = Field(ge=1)
    precision: Literal["32-true", "tf32", "bf16-mixed", "16-mixed"]
    # The rest, MACHINE below, says how a run trains, not what it learns, and is no part of the key.
    accelerator: Literal["cpu", "gpu", "auto"]
    devices: int = Field(ge=1)
    strategy: Literal["auto", "ddp", "ddp_find_unused_parameters_true", "fsdp"]
    threads: Annotated[int, Field(ge=1)] | Literal["auto"] | None
    graph: bool | Literal["auto"]
    compile: bool
    replicas: Annotated[int, Field(ge=1)] | Literal["auto"]
    checkpoint_seconds: float = Field(ge=0)
    progress: bool


NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Positive = Annotated[int, Field(ge=1)]


class Rates(Open):
    """Bounds of options that mean the same in every optimiser or schedule that takes them."""

    lr: NotNegative | None = None
    weight_decay: NotNegative = 0.0
    momentum: NotNegative = 0.0
    nesterov: bool = False
    amsgrad: bool = False
    eta_min: NotNegative = 0.0
    T_0: Positive = 1
    T_mult: Positive = 1


MACHINE = frozenset(
    {"accelerator", "devices", "strategy", "threads", "graph", "compile", "replicas", "checkpoint_seconds"}
    | {"progress"}
)
TRAINING = frozenset(Train.model_fields) - MACHINE
NOT_TAKEN = "–"  # stands for the choice of a group that the method does not take


class Selection(Strict):
    rule: Literal["last", "best", "oracle"]
    metric: str
    every: int = Field(ge=1)
    patience: int | None = Field(ge=1)


class Outputs(Strict):
    """What a run keeps besides; nothing of it is part of the key."""

    embeddings: bool


Folder = Annotated[Path, AfterValidator(Path.expanduser)]


class Paths(Strict):
    outputs: Folder
    cache: Folder


class Config(Strict):
    """A checked configuration. `choices` maps each group to its choice's name, for people and folders."""

    dataset: Node
    encoder: dict[Literal["text", "image"], Node]
    method: Node
    backbone: Node
    loss: Node
    split: Node
    calibration: Node
    threshold: Node
    train: Train
    selection: Selection
    logger: Node
    launch: Node
    seed: int = Field(ge=0, lt=2**32)
    engine: Literal["auto", "single"]
    force: bool
    outputs: Outputs
    trust: list[str]
    paths: Paths
    choices: dict[str, str]


def check(composed: DictConfig, choices: dict[str, str], importing: bool = True) -> Config:
    """The typed, resolved configuration, with every option of every `_target_` filled in and checked.

    Without `importing`, targets whose signatures need torch are left unchecked.
    """
    try:
        tree: Any = OmegaConf.to_container(composed, resolve=True)
    except OmegaConfBaseException as error:
        problem = str(error).splitlines()[0]
        raise UserError(rf"{error.full_key}: {problem}; for ${{ itself write '\${{'") from error
    for path, missing in _missing(tree):
        raise UserError(f"{path} is needed and not given: {path}={missing}")
    validated(Config, tree | {"choices": choices}, "")
    tree = checked(tree, importing=False)
    if importing:
        tree = checked(tree)
    config = validated(Config, tree | {"choices": choices}, "")
    trust(config.trust)
    return config


def science(config: Config, data: Node) -> Node:
    """All that defines a run, of which its key is the hash; `data` is the data set's identity."""
    content = taken(config.model_dump())
    named = ("loss", "split", "calibration", "threshold", "selection", "seed")
    return {
        "data": data | encoding(config),
        "method": by_content(content["method"]),
        "train": science_of_training(content["train"]),
        "backbone": science_of_backbone(content["backbone"]),
    } | {name: content[name] for name in named if name in content}


def science_of_backbone(node: Node | None) -> Node | None:
    """A backbone with the hash of what a file brings to its weights; None where the method takes none."""
    if node is None:
        return None
    weights = getattr(target(node), "weights", None)  # of a class: a function of its options
    return by_content(node) | ({"weights": weights(**options(node))} if callable(weights) else {})


def encoding(config: Config) -> Node:
    """The encoders of the data set's texts and images, with the hash of their weights; empty without such."""
    chosen = encoders(config.model_dump())
    described = {
        field: by_content(node) | {"weights": target(node)(**options(node)).weights()}
        for field, node in chosen.items()
    }
    return {"encoders": described} if described else {}


def encoders(content: Node) -> Node:
    """The encoders that count: those of the raw fields that the data set has, which are options of its."""
    chosen = content.get("encoder", {}).items()
    return {field: node for field, node in chosen if encodes(content["dataset"], field) and node["_target_"]}


def encodes(dataset: Node, field: str) -> bool:
    """Whether a data set has this raw field, and uses it."""
    return bool(dataset.get(field)) and field in (dataset.get("use") or [field])


def science_of_training(train: Node) -> Node:
    """The keys of conf/train that change a result."""
    return without_neutral({name: value for name, value in train.items() if name in TRAINING})


def taken(content: Node) -> Node:
    """A configuration without what its method does not take: `loss=focal` changes nothing of `method=br`.

    A method takes a backbone and a loss if its signature names them, and those keys of conf/train that its
    `train_options` names.
    """
    method = target(content["method"])
    named = inspect.signature(method).parameters if callable(method) else ()
    without = [group for group in ("backbone", "loss") if group not in named]
    options = getattr(method, "train_options", TRAINING) | MACHINE
    train = {name: value for name, value in content["train"].items() if name in options}
    unseen = [*without, *(["train"] if train.keys() <= MACHINE else [])]
    choices = {name: NOT_TAKEN if name in unseen else choice for name, choice in content["choices"].items()}
    encoded = {field for field in content.get("encoder", {}) if encodes(content["dataset"], field)}
    idle = [name for name in choices if name.startswith("encoder/") and name.partition("/")[2] not in encoded]
    if not content.get("calibration", {}).get("_target_"):
        content = {name: value for name, value in content.items() if name != "calibration"}
        idle.append("calibration")
    choices = {name: choice for name, choice in choices.items() if name not in idle}
    defined = {group: defining(content[group]) for group in ("method", "split")}
    unused = {name: UNUSED[name] for name in unlooked(content, method)}
    selection = without_neutral({**content["selection"], **unused})
    changed = {"train": settled(train, one_stage(method)), "selection": selection}
    unused = {name: UNUSED[name] for name in undoubted(content["threshold"])}
    changed["threshold"] = content["threshold"] | unused
    chosen = encoders(content)
    changed |= {"encoder": chosen} if chosen else {}
    unsaid = {"launch"} | (set() if chosen else {"encoder"})  # where a run goes is no part of what it is
    content = {name: value for name, value in content.items() if name not in unsaid}
    return content | defined | dict.fromkeys(without) | changed | {"choices": choices}


def defining(node: Node) -> Node:
    """A node without options that its other options make meaningless, by the target's own `defining`."""
    return getattr(target(node), "defining", lambda unchanged: unchanged)(node)


def by_content(value: Any) -> Any:
    """`value` with every path to a file replaced by the file's hash: a moved file keeps the key of a run,
    changed content changes it."""
    if isinstance(value, dict):
        return {key: by_content(item) for key, item in value.items()}
    if isinstance(value, list):
        return [by_content(item) for item in value]
    if isinstance(value, Path) and value.is_file():
        return hashlib.sha256(value.read_bytes()).hexdigest()
    return value


def fingerprint(content: Node) -> str:
    """The first sixteen hexadecimal digits of a hash of `content`."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def target(node: Node) -> Any:
    """The class or function that a node's `_target_` names; None where that is null."""
    return None if node["_target_"] is None else located(node["_target_"])


def targets(content: Any) -> Iterator[str]:
    """Every `_target_` in a tree of nodes."""
    if isinstance(content, dict):
        yield from [content["_target_"]] if content.get("_target_") else []
        for value in content.values():
            yield from targets(value)


def options(node: Node) -> Node:
    return {key: value for key, value in node.items() if key != "_target_"}


def checked(value: Any, path: str = "", importing: bool = True) -> Any:
    """`value` with the options of every node that has a `_target_` checked, innermost first.

    A node inside another (a data set's reader) may lack arguments: the outer node's target supplies them.
    Without `importing`, nodes whose targets may import torch are left unchecked.
    """
    if isinstance(value, list):
        return [checked(item, f"{path}[{i}]", importing) for i, item in enumerate(value)]
    if not isinstance(value, dict):
        return value
    value = {key: checked(item, f"{path}.{key}".lstrip("."), importing) for key, item in value.items()}
    if value.get("_target_") is None:
        return value
    stated, inner = options(value), "." in path
    if path.endswith(("optimizer", "scheduler")):
        validated(Rates, stated, path)
    if not inner and of_python(value["_target_"]):
        raise UserError(f"{path}._target_={value['_target_']}: that is Python's own, and no {path}")
    if not importing and not light(value["_target_"]):
        return value
    try:
        if importing:
            located(value["_target_"])  # checks trust each time; `_signature_model` is cached
        model = _signature_model(value["_target_"], frozenset(stated) if inner else None)
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        reason = unimportable(value["_target_"], error)
        raise UserError(f"{path}._target_={value['_target_']}: {reason}") from error
    valid = validated(model, stated, path).model_dump(exclude_unset=inner, by_alias=True)
    return {"_target_": value["_target_"]} | valid


@cache
def _signature_model(path: str, stated: frozenset[str] | None) -> type[BaseModel]:
    """A model with a field for each parameter, so that options are checked as a call would take them.

    With `stated`, a parameter without a default is required only if `stated` names it.
    """
    fields, open_ended = {}, False
    for parameter in parameters(path, located):
        name, hint = parameter.name, parameter.annotation
        if parameter.kind is parameter.VAR_KEYWORD:
            open_ended = True
        elif parameter.kind is parameter.VAR_POSITIONAL:
            continue
        elif parameter.default is not parameter.empty:
            fields[name] = (hint, parameter.default)
        elif stated is None or name in stated:
            fields[name] = (hint, ...)
    return create_model(path.rpartition(".")[2], __base__=Open if open_ended else Strict, **fields)


def validated(model: type[Model], content: Node, path: str) -> Model:
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise UserError(_sentence(error.errors(), model, path)) from None


def _sentence(errors: list[ErrorDetails], model: type[BaseModel], path: str) -> str:
    """One line for the first of pydantic's errors: the key, what was given, what is valid.

    Where a word or else a number may stand, pydantic has an error for each.
    """
    error = errors[0]
    location = [str(part) for part in error["loc"]]
    key = ".".join([path, *location]).lstrip(".")
    if error["type"] == "extra_forbidden":
        return unknown_key(key, [name for name in _fields(model, location[:-1]) if name != "choices"])
    if error["type"] == "missing":
        return f"{key} is needed and not given"
    key, shown = _shown_key(key, model), _shown(error["input"])
    others = [other for other in errors[1:] if other["loc"][:-1] == error["loc"][:-1] != ()]
    messages = map(_message, [error, *(others if error["type"] == "literal_error" else [])])
    return f"{key}={shown}: {', or '.join(messages)}{_instead(error, key, shown)}"


def _message(error: ErrorDetails) -> str:
    return error["msg"].removeprefix("Input ").removeprefix("Value error, ").partition(" for <")[0]


def _instead(error: ErrorDetails, key: str, shown: str) -> str:
    """What to write instead of `shown`, where the error shows what was meant; else nothing."""
    if error["type"] == "literal_error":
        valid = re.findall("'(.*?)'", error["msg"])
        meant = VALUES.get(shown.lower())
        return f"; write {meant}" if meant in valid else did_you_mean(shown, valid)
    if error["type"] == "list_type" and not isinstance(error["input"], dict):
        return f": '{key}=[{shown}]'"
    if error["type"] in ("int_type", "float_type") and isinstance(error["input"], list):
        return f"; -m {key}={','.join(map(str, error['input']))} runs each of them"
    return ""


def _fields(model: Any, location: list[str]) -> Sequence[str]:
    """The fields of the model at `location` within a model; in a dict, all values are of one model."""
    for part in location:
        model = model.model_fields[part].annotation if hasattr(model, "model_fields") else get_args(model)[1]
        model = get_args(model)[0] if get_origin(model) is Annotated else model
    return list(model.model_fields)


def _shown_key(key: str, model: type[BaseModel]) -> str:
    """`key` without the names that pydantic adds for the members of a union."""
    parts = key.split(".")
    while len(parts) > 1 and parts[-1] in {"int", "float", "str", "bool", "none", "constrained-int"}:
        parts.pop()
    return ".".join(
        part for part in parts if not part.startswith(("list[", "tuple[", "dict[", "literal[", "is-instance"))
    )


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _missing(tree: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """The path of each value marked `???`, with an example of what to write there."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from _missing(value, f"{path}.{key}".lstrip("."))
    elif tree == "???":
        yield path, "my-file" if path.endswith(("path", "xml")) else "..."
