"""Builds what a configuration names, and refuses what cannot work together before any data is read."""

import functools
import inspect
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from mlbench.config import TRAINING, Config, Node, encoders, options, target
from mlbench.data.contracts import Dataset, Split
from mlbench.data.task import Kind, Task
from mlbench.encoders.base import Encoder, modality_count
from mlbench.engine.plan import Plan, Schedule, build_optimizer
from mlbench.errors import DoesNotFit, UserError
from mlbench.evaluation.calibration import Calibrator
from mlbench.evaluation.thresholds import Threshold
from mlbench.idle import UNUSED, idle, one_stage, undoubted, unlooked
from mlbench.methods.base import Method
from mlbench.methods.build import build_backbone, build_loss, build_method, check_method, leaves_out
from mlbench.premises import build, check_patience, check_premises, check_validation
from mlbench.protocols import check_call, check_offers
from mlbench.results.tracking import Tracker
from mlbench.trust import within


@dataclass(frozen=True)
class Pieces:
    """The parts of an experiment, known to fit together."""

    dataset: Dataset
    split: Split
    method: Callable[[Task], Method]
    calibrator: Calibrator | None  # None where scores stay as the method gives them
    threshold: Callable[[], Threshold]
    tracker: Tracker
    encoders: dict[str, Encoder]  # of the data set's raw fields; empty where it has vectors


def assemble(config: Config) -> Pieces:
    dataset, split = check_premises(config)
    pieces = Pieces(
        dataset=dataset,
        split=split,
        method=functools.partial(build_method, config.method, config.backbone, config.loss),
        calibrator=build_calibrator(config),
        threshold=functools.partial(build, config.threshold),
        tracker=build(config.logger),
        encoders=build_encoders(config, dataset),
    )
    check_data(config, pieces)
    threshold = pieces.threshold()  # refuses options that cannot be
    check_validation(config, dataset, split, threshold.part if threshold.fitted else None)
    check_training(config)
    check_patience(config, pieces.dataset, pieces.split)
    check_outputs(config)
    return pieces


def build_calibrator(config: Config) -> Calibrator | None:
    """The configured calibration, or None; refused for a method whose scores it cannot calibrate."""
    node, choices, method = config.calibration, config.choices, target(config.method)
    if node["_target_"] is None:
        return None
    made = build(node)
    check_offers(made, Calibrator, f"calibration._target_={node['_target_']}")
    check_method(config.method["_target_"], method)
    if (gives := method.gives(options(config.method))) in made.takes:
        return made
    kind = {"votes": "shares of votes, whose logits may be infinite", "decisions": "yes and no"}[gives]
    other = {"votes": "calibration=isotonic goes", "decisions": "method.scores=probability goes"}[gives]
    raise DoesNotFit(
        f"calibration={choices['calibration']}: the scores of method={choices['method']} are {kind}; {other}"
    )


def check_data(config: Config, pieces: Pieces) -> None:
    """Refuses a data set or a split that lacks what the method requires."""
    check_method(config.method["_target_"], target(config.method))
    dataset, requires = pieces.dataset, target(config.method).requires
    method = config.choices["method"]
    modalities = modality_count(pieces.encoders) if pieces.encoders else max(len(dataset.modality_names), 1)
    kind, named = kind_of_rows(dataset, pieces.encoders), kind_named(config, dataset, pieces.encoders)
    if kind not in requires.kinds:
        kinds = " or ".join(sorted(requires.kinds))
        raise DoesNotFit(f"method={method} works on {kinds} data, {named}")
    if modalities < requires.modalities:
        kept = getattr(dataset, "use", ())
        has = f"dataset.use=[{','.join(kept)}] keeps" if kept else f"dataset={dataset.name} has"
        raise DoesNotFit(
            f"method={method} needs {requires.modalities} modalities or more, {has} {modalities}; "
            "dataset=multidigits has 4"
        )
    share, incomplete = (getattr(dataset, name, None) for name in ("missing_modalities", "incomplete"))
    if (share or incomplete) and not requires.missing_modalities:
        taken = f"dataset.missing_modalities={share} takes some away"
        raise DoesNotFit(
            f"method={method} needs all modalities of an instance, and "
            f"{taken if share else 'dataset.incomplete=true lets some be lacking'}; method=fusion and "
            "method=m3la do without"
        )
    takes_backbone = "backbone" in inspect.signature(target(config.method)).parameters
    kinds = getattr(target(config.backbone), "kinds", {"vector"})
    if takes_backbone and kind not in kinds:
        cure = next((AS_THEY_ARE[each] for each in kinds if each in pieces.encoders), INSTEAD[kind])
        takes = f"backbone={config.choices['backbone']} takes {' or '.join(sorted(kinds))} data"
        raise DoesNotFit(f"{takes}, {named}; {cure}")
    if takes_backbone and (check := getattr(target(config.backbone), "check_encoders", None)):
        check(options(config.backbone), pieces.encoders)
    gives = getattr(target(config.backbone), "gives", "features")
    if takes_backbone and gives != requires.backbone:
        fitting = "backbone=chain" if requires.backbone == "logits" else "backbone=linear or mlp"
        raise DoesNotFit(
            f"method={method} builds on a backbone that gives {requires.backbone}, "
            f"backbone={config.choices['backbone']} gives {gives}; use {fitting}"
        )
    needed = target(config.method).parts(options(config.method))
    if missing := [part for part in needed if part not in pieces.split.parts]:
        raise DoesNotFit(
            f"method={method} needs a part {missing[0]}; split={config.choices['split']} makes none, "
            "split=amalgamation does"
        )


def check_unknown(config: Config) -> None:
    """Refuses unknown labels where the method or its loss cannot leave such entries out."""
    choices = config.choices
    if not target(config.method).requires.unknown_labels:
        raise DoesNotFit(
            f"method={choices['method']} needs to know every label of every row, and some are NaN; "
            "method=erm and method=fusion leave those out"
        )
    if not leaves_out(config.loss):
        raise DoesNotFit(
            f"loss={choices['loss']} is no sum over single entries, so it cannot leave out labels that are "
            "NaN; loss=bce, focal, asl, cb_focal and cb_ntr can"
        )


# What to write instead of a backbone that does not take what the rows are.
INSTEAD = {
    "vector": "use backbone=linear or mlp",
    "image": "use backbone=convnet or efficientnet_lite0, or an encoder that makes vectors: "
    "encoder.image=hog",
    "text": "use backbone=xmlcnn, textcnn or hf_text, or an encoder that makes vectors: encoder.text=tfidf",
}
WITH_ARTICLE = {"image": "an image", "text": "a text"}
AS_THEY_ARE = {"image": "use encoder.image=pixels", "text": "use encoder.text=tokens"}


def kind_of_rows(dataset: Dataset, made: dict[str, Encoder]) -> Kind:
    """The kind of the rows that a method gets. Vectors stand side by side, images and texts stand alone."""
    if not made:
        return dataset.kind
    gives: dict[str, Kind] = {field: getattr(encoder, "gives", "vector") for field, encoder in made.items()}
    whole = next((field for field, kind in gives.items() if kind != "vector"), None)
    if whole is None:
        return "vector"
    if len(gives) > 1:
        other = next(field for field in gives if field != whole)
        raise DoesNotFit(
            f"a backbone that takes each {whole} as it is takes nothing beside it: encoder.{other}=none"
        )
    if dataset.scaling != "none":
        raise DoesNotFit(
            f"dataset.scaling={dataset.scaling} scales columns, and {WITH_ARTICLE[whole]} as it is has none: "
            "dataset.scaling=none"
        )
    return gives[whole]


def kind_named(config: Config, dataset: Dataset, made: dict[str, Encoder]) -> str:
    """The setting that decides the kind of the rows, for messages."""
    kind = kind_of_rows(dataset, made)
    if len(made) == 1:
        (field,) = made
        return f"encoder.{field}={config.choices[f'encoder/{field}']} gives {kind} data"
    return f"dataset={dataset.name} is {kind}"


def build_encoders(config: Config, dataset: Dataset) -> dict[str, Encoder]:
    """An encoder for each raw field that is not left out; its `check` has passed on this machine."""
    fields, made = [*dataset.modality_names] if getattr(dataset, "raw", ()) else [], {}
    for field, node in encoders(config.model_dump()).items():
        made[field] = build(node)
        check_offers(made[field], Encoder, f"encoder.{field}._target_={node['_target_']}")
        try:
            made[field].check()
        except UserError as error:
            raise UserError(f"encoder.{field}={config.choices[f'encoder/{field}']}: {error}") from error
    if fields and not made:
        left_out = " ".join(f"encoder.{field}=none" for field in fields)
        raise UserError(
            f"{left_out}: dataset={dataset.name} has nothing else to learn from; choose an encoder"
        )
    return made


def tell_untaken(config: Config) -> None:
    """What was chosen, and changes nothing: the method takes none, or no other option lets it count. The
    defaults were not chosen.
    """
    asked = inspect.signature(target(config.method)).parameters
    for group, default in (("backbone", "mlp"), ("loss", "bce")):
        if group not in asked and (name := config.choices[group]) != default:
            method = config.choices["method"]
            message = f"method={method} takes no {group}: {group}={name} changes nothing"
            print(f"mlbench: {message}", file=sys.stderr)
    content, method = config.model_dump(), target(config.method)
    train = {name: content["train"][name] for name in method.train_options}
    unused = {"train": idle(train, one_stage(method)), "selection": unlooked(content, method)}
    unused["threshold"] = undoubted(content["threshold"])
    for group, reasons in unused.items():
        for name, reason in reasons.items():
            if (value := content[group][name]) != UNUSED[name]:
                print(
                    f"mlbench: {group}.{name}={str(value).lower()} changes nothing {reason}", file=sys.stderr
                )


def tell_untrained(config: Config, asked: Sequence[str]) -> None:
    """Tells which settings of training a person typed that the method does not use."""
    taken, name = getattr(target(config.method), "train_options", TRAINING), config.choices["method"]
    for word in asked:
        option = re.match(r"\+*train[./](\w+)", word)
        if option and option[1] in TRAINING - taken:
            print(f"mlbench: method={name} takes no {option[0]}: {word} changes nothing", file=sys.stderr)


def tell_looked_at(config: Config, threshold: Threshold) -> None:
    """Tells where a rule's promise fails: its part has chosen the model or fitted the calibration."""
    if not threshold.promises:
        return
    others = [f"selection.rule={config.selection.rule}"] if config.selection.rule != "last" else []
    if config.calibration["_target_"] and not config.calibration.get("shared"):
        others.append(f"calibration={config.choices['calibration']}")
    for other in others:
        rule = f"threshold={config.choices['threshold']}"
        print(
            f"mlbench: {rule} promises less: {other} looks at the part that it is fitted on", file=sys.stderr
        )


def check_shapes(config: Config, task: Task) -> None:
    """Refuses a backbone or a loss whose result for a batch does not fit the task."""
    parameters = inspect.signature(target(config.method)).parameters
    if "backbone" in parameters and not within(config.backbone["_target_"], ("mlbench",)):
        check_backbone(config.backbone, task)
    if "loss" in parameters:
        check_loss(config, task)


def check_backbone(node: Node, task: Task) -> None:
    """Refuses a person's own backbone that cannot be called with the task, or is not as wide as it says. A
    backbone for a single modality may fail on the whole task: it is not refused for that.
    """
    setting = f"backbone._target_={node['_target_']}"
    check_call(target(node), setting, "the task and its options", task, **options(node))
    if task.kind != "vector":
        return
    try:
        network = build_backbone(node, task)
        with torch.no_grad():
            outputs = network.eval()(torch.zeros(2, task.features))
    except UserError:
        raise
    except Exception:  # the method builds the backbone as well, for its rows: what fails there is said then
        return
    gives_logits = getattr(network, "gives", "features") == "logits"
    width = len(task.labels) if gives_logits else network.width
    if not isinstance(outputs, torch.Tensor) or outputs.shape != (2, width):
        states = f"there are {width} labels" if gives_logits else f"its width is {width}"
        raise UserError(f"{setting}: of 2 rows it gives {named(outputs)}, and {states}")


def check_loss(config: Config, task: Task) -> None:
    """Refuses a loss that does not take its options or the task's labels (it may have a weight for each), or
    that does not give one number with a gradient.
    """
    name, node = config.choices["loss"], config.loss
    statistics = {"instances", "positives"} & inspect.signature(target(node)).parameters.keys()
    arguments = options(node) | dict.fromkeys(statistics)
    check_call(
        target(node), f"loss._target_={node['_target_']}", "logits and targets", None, None, **arguments
    )
    logits = torch.zeros(2, len(task.labels), requires_grad=True)
    try:
        value = build_loss(node, task)(logits, torch.eye(2, len(task.labels)))
    except ValueError as error:
        raise UserError(f"loss={name}: {error}") from None
    if not isinstance(value, torch.Tensor) or value.shape != () or not value.requires_grad:
        raise UserError(
            f"loss={name}: of 2 rows it gave {named(value)}, and a loss is one number, a tensor of shape () "
            "with a gradient"
        )
    batch = config.train.batch_size // config.train.devices
    least = getattr(target(config.loss), "least_batch", 1)
    if batch < least:
        print(
            f"mlbench: loss={name} counts over a batch, and {batch} instances are few for it: "
            f"train.batch_size={least} or more is better",
            file=sys.stderr,
        )


def named(value: Any) -> str:
    """The type, or the shape, of what a person's piece returned, for messages."""
    if isinstance(value, torch.Tensor):
        return f"a tensor of shape {tuple(value.shape)}"
    return f"a {type(value).__name__}"


def check_outputs(config: Config) -> None:
    """Refuses embeddings of a method without a backbone that gives features."""
    if not config.outputs.embeddings:
        return
    kind, method = target(config.method), config.choices["method"]
    named = "backbone" in inspect.signature(kind).parameters and kind.requires.backbone == "features"
    if not named and kind.embed is Method.embed:
        raise DoesNotFit(
            f"outputs.embeddings=true: method={method} has no backbone that gives features; leave it out, or "
            "take a method that has one, as method=erm"
        )


def check_embedding(method: Method, name: str) -> None:
    """Refuses, before any training, a person's own method whose backbone is not where embeddings need it."""
    if type(method).embed is Method.embed and "backbone" not in dict(method.named_children()):
        raise UserError(
            f"outputs.embeddings=true: method={name} keeps no backbone as self.backbone; give it embed(batch)"
        )


def check_training(config: Config) -> None:
    train = config.train
    optimizer = build_optimizer(train.optimizer, [torch.nn.Parameter(torch.zeros(1))])
    Schedule(optimizer, Plan("", train.epochs, 1, train.optimizer, train.scheduler, train, 0), steps=1)
    if train.accelerator == "gpu" and not torch.cuda.is_available():
        raise UserError("train.accelerator=gpu: torch sees no GPU here; use train.accelerator=cpu")
