"""The words of a command line as a person types them, before Hydra reads them."""

import re
from collections.abc import Callable, Iterable

from mlbench.errors import UserError, did_you_mean

# What other programs, and people, call a key or an option of ours.
ELSEWHERE = {
    "learning_rate": "train.optimizer.lr",
    "wd": "train.optimizer.weight_decay",
    "optimizer": "train/optimizer",
    "optimiser": "train/optimizer",
    "optim": "train/optimizer",
    "scheduler": "train/scheduler",
    "lr_scheduler": "train/scheduler",
    "max_epochs": "train.epochs",
    "num_epochs": "train.epochs",
    "n_epochs": "train.epochs",
    "bs": "train.batch_size",
    "batch": "train.batch_size",
    "batchsize": "train.batch_size",
    "device": "train.accelerator",
    "gpu": "train.accelerator",
    "gpus": "train.devices",
    "model": "method",
    "data": "dataset",
    "datasets": "dataset",
    "net": "backbone",
    "criterion": "loss",
    "random_seed": "seed",
    "random_state": "seed",
    "seeds": "seed",
    "metric": "selection.metric",
    "out": "paths.outputs",
    "output": "paths.outputs",
    "output_dir": "paths.outputs",
    "outdir": "paths.outputs",
    "save_dir": "paths.outputs",
    "help": "--help",
    "help_all": "--help",
    "list": "--help",
    "sweep": "-m",
    "folds": "split.folds",
    "fold": "split.fold",
    "labels": "dataset.labels",
    "label": "dataset.labels",
    "path": "dataset.path",
    "file": "dataset.path",
}
VALUES = {  # the same, of what a key may be
    "cuda": "gpu",
    "16": "16-mixed",
    "fp16": "16-mixed",
    "float16": "16-mixed",
    "bf16": "bf16-mixed",
    "bfloat16": "bf16-mixed",
    "32": "32-true",
    "fp32": "32-true",
    "float32": "32-true",
    "ddp": "ddp_spawn",
}
# Hydra's options that mean something here, and what follows: nothing, one of these words, or any word (None).
OPTIONS = {
    **dict.fromkeys(("--help", "-h", "--version", "--hydra-help", "--resolve"), ()),
    **dict.fromkeys(("--multirun", "-m", "--run", "-r", "--shell-completion", "-sc"), ()),
    **dict.fromkeys(("--cfg", "-c"), ("job", "hydra", "all")),
    **dict.fromkeys(
        ("--info", "-i"), ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath")
    ),
    **dict.fromkeys(("--config-dir", "-cd", "--package", "-p", "--experimental-rerun"), None),
}
NAMED = ("--help", "-m", "--cfg job", "--config-dir FOLDER", "--version")


def arranged(words: Iterable[str], names: Callable[[], list[str]]) -> list[str]:
    """Options first, then overrides: Hydra takes them in no other order. None of them is foreign.

    `names` gives the keys and groups there are; asked for only where something is wrong.
    """
    options, overrides = [], []
    left = [word for word in words if word.strip()]
    while left:
        word = left.pop(0)
        if not word.startswith("-"):
            overrides.append(word)
            continue
        name, sign, value = word.partition("=")
        if name not in OPTIONS:
            raise UserError(foreign(word, left, names()))
        allowed = OPTIONS[name]
        if sign and allowed == ():
            raise UserError(f"{word}: write {name} {value}")
        if not sign and left and (allowed is None or left[0] in allowed):
            value = left.pop(0)
        if allowed and value not in ("", *allowed):
            raise UserError(f"{name} {value}: choose {', '.join(allowed)}{did_you_mean(value, allowed)}")
        if not value and allowed != () and name not in ("--info", "-i"):
            raise UserError(f"{name}: a word is missing after it: {name} {allowed[0] if allowed else '...'}")
        options += [name, value] if value else [name]
    options = list(dict.fromkeys(options))
    if {"--help", "-h"} & set(options):
        return options
    check_overrides(overrides, names, sweeping=bool({"-m", "--multirun"} & set(options)))
    return [*options, *overrides]


def check_overrides(overrides: list[str], names: Callable[[], list[str]], sweeping: bool) -> None:
    """What Hydra would take in silence, or refuse without saying what to write."""
    said: dict[str, str] = {}
    for place, word in enumerate(overrides):
        key, sign, value = word.partition("=")
        if not sign and not word.startswith("~"):
            raise UserError(f"{word}: {unassigned(word, overrides[place + 1 : place + 3], names)}")
        if not key:
            raise UserError(f"{word}: a key is missing before the sign; write key=value")
        if sign and not value.strip():
            raise UserError(f"{word}: a value is missing; write {key}=..., or leave the word out")
        if key.startswith(("hydra/launcher", "hydra.launcher")) and not sweeping:
            raise UserError(f"{word}: a launcher is for the runs of a sweep; add -m")
        if said.setdefault(key, word) != word:
            raise UserError(f"{said[key]} and {word}: {key} is given twice; leave one out")


def unassigned(word: str, following: list[str], names: Callable[[], list[str]]) -> str:
    """What to write for a word without a sign."""
    if match := re.fullmatch(r"([\w./]+)[:：＝](.+)", word):
        return f"write {match[1]}={match[2]}"
    if following and following[0].startswith("="):
        value = following[0][1:] or (following[1] if len(following) > 1 else "...")
        return f"no spaces around the sign: write {word}={value}"
    if following and "=" not in following[0] and re.fullmatch(r"[\w./]+", word):
        return f"write {word}={following[0]}"
    known = names()
    if word in known:
        return f"a value is missing; write {word}=..."
    meant = meaning(word, known)
    return f"write {meant}" if meant and meant.startswith("-") else unreadable(word)


def unreadable(word: str) -> str:
    """What is wrong with a word that cannot be parsed."""
    key, _, value = word.partition("=")
    several = re.fullmatch(r"([\w./@]+=[^\s,;，；\[{(]+)[\s,;，；]+([\w./@]+=.+)", word)
    if several:
        return f"each word by itself: {several[1]} {several[2]}"
    if re.search(r"[“”„‘’«»]", word):
        return "these quotes are letters to a shell; write key=value without them"
    if value.startswith("="):
        return f"one sign is enough: {key}={value.lstrip('=')}"
    if value.endswith(","):
        return f"leave out the comma at its end: {key}={value.rstrip(',')}"
    if any(value.count(first) != value.count(last) for first, last in ("[]", "{}", "()")):
        return f"a bracket is open; a list is written '{key}=[a,b]', all of it in quotes"
    if value.count("'") % 2 or value.count('"') % 2:
        return "a quote is open"
    return "cannot be read; write key=value, a list as 'key=[a,b]'"


def foreign(word: str, following: list[str], known: Iterable[str], options: Iterable[str] = NAMED) -> str:
    """What to write for an option that is not ours: most are another program's --key value."""
    known = list(known)
    name, sign, value = word.partition("=")
    plain = name.lstrip("-").replace("-", "_")
    if not sign and following and not following[0].startswith("-") and "=" not in following[0]:
        value = following[0]
    meant = meaning(plain, known)
    if meant and meant.startswith("-"):
        return f"{word}: no such option; write {meant}"
    if meant:
        return f"{name}: no such option; keys have no dashes: write {meant}={value or '...'}"
    near = did_you_mean(name, [option.partition(" ")[0] for option in options])
    return f"{name}: no such option; there are {', '.join(options)}{near}"


def meaning(name: str, known: Iterable[str]) -> str | None:
    """The key that a person may mean: itself, one that ends in it, or what else it is called."""
    known = list(known)
    last = name.rpartition(".")[2].lower()
    candidates = [
        *(key for key in known if key == name),
        *(key for key in known if key.rpartition(".")[2].rpartition("/")[2] == last),
    ]
    return next(iter(candidates), ELSEWHERE.get(last))
