"""Checks the words of a command line before Hydra parses them, and says what to write for a wrong one."""

import re
from collections.abc import Callable, Iterable
from pathlib import Path

from mlbench.errors import UserError, did_you_mean


def _by_synonym(synonyms: dict[str, str]) -> dict[str, str]:
    return {synonym: name for name, words in synonyms.items() for synonym in words.split()}


# Our keys and options by the names that other programs, and people, give them.
KEYS = _by_synonym(
    {
        "train.optimizer.lr": "learning_rate",
        "train.optimizer.weight_decay": "wd",
        "train/optimizer": "optimizer optimiser optim",
        "train/scheduler": "scheduler lr_scheduler",
        "train.epochs": "max_epochs num_epochs n_epochs",
        "train.batch_size": "bs batch batchsize",
        "train.accelerator": "device gpu",
        "train.devices": "gpus",
        "method": "model",
        "dataset": "data datasets",
        "backbone": "net",
        "loss": "criterion",
        "seed": "random_seed random_state seeds",
        "selection.metric": "metric",
        "paths.outputs": "out output output_dir outdir save_dir",
        "split.folds": "folds",
        "split.fold": "fold",
        "dataset.labels": "labels label",
        "dataset.path": "path file",
        "launch.processes": "processes jobs n_jobs workers num_workers",
        "--help": "help help_all list",
        "-m": "sweep",
    }
)
# Values of our keys, likewise.
VALUES = _by_synonym(
    {
        "gpu": "cuda",
        "16-mixed": "16 fp16 float16",
        "bf16-mixed": "bf16 bfloat16",
        "32-true": "32 fp32 float32",
        "ddp_spawn": "ddp",
    }
)
# Hydra's options that mean something here. Behind one stands nothing, one of these words, or any (None).
OPTIONS = {
    **dict.fromkeys(("--help", "-h", "--version", "--hydra-help", "--resolve"), ()),
    **dict.fromkeys(("--multirun", "-m", "--run", "-r", "--shell-completion", "-sc"), ()),
    **dict.fromkeys(("--cfg", "-c"), ("job", "hydra", "all")),
    **dict.fromkeys(
        ("--info", "-i"), ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath")
    ),
    **dict.fromkeys(("--config-dir", "-cd", "--package", "-p", "--experimental-rerun"), None),
}
ENCODER = re.compile(r"^encoder\.(text|image)=")  # a choice, which Hydra wants written with a slash
NAMED = ("--help", "-m", "--cfg job", "--config-dir FOLDER", "--version")


def arranged(words: Iterable[str], names: Callable[[], list[str]]) -> list[str]:
    """The words in the only order that Hydra takes: options, then overrides. A wrong word is a UserError.

    `names` gives all keys and groups; it takes a while, so it is called for a wrong word only.
    """
    options, overrides = [], []
    rest = [word for word in words if word.strip()]
    while rest:
        word = rest.pop(0)
        if not word.startswith("-"):
            overrides.append(ENCODER.sub(r"encoder/\1=", word))
            continue
        name, sign, value = word.partition("=")
        if name not in OPTIONS:
            raise UserError(foreign(word, rest, names()))
        allowed = OPTIONS[name]
        if sign and allowed == ():
            raise UserError(f"{word}: write {name} {value}")
        if not sign and rest and (allowed is None or rest[0] in allowed):
            value = rest.pop(0)
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
    """Refuses what Hydra would take in silence, or refuse without saying what to write."""
    first_words: dict[str, str] = {}
    for index, word in enumerate(overrides):
        key, sign, value = word.partition("=")
        if not sign and not word.startswith("~"):
            raise UserError(f"{word}: {unassigned(word, overrides[index + 1 : index + 3], names)}")
        if not key:
            raise UserError(f"{word}: a key is missing before the sign; write key=value")
        if sign and not value.strip():
            raise UserError(f"{word}: a value is missing; write {key}=..., or leave the word out")
        if re.match(r"(hydra[./])?launch(er)?([.]|$)", key) and not sweeping:
            raise UserError(f"{word}: a launcher is for the runs of a sweep; add -m")
        if first_words.setdefault(key, word) != word:
            raise UserError(f"{first_words[key]} and {word}: {key} is given twice; leave one out")


def unassigned(word: str, following: list[str], names: Callable[[], list[str]]) -> str:
    """What to write instead of a word without `=`; the words after it may hold its value."""
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
    """What is wrong with a word that Hydra cannot parse."""
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
    """The sentence for an unknown option, which most often is a key written as `--key value`."""
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
    """The key that `name` may stand for: itself, one that ends in it, or one that it is a synonym of."""
    known = list(known)
    last = name.rpartition(".")[2].lower()
    candidates = [
        *(key for key in known if key == name),
        *(key for key in known if key.rpartition(".")[2].rpartition("/")[2] == last),
    ]
    return next(iter(candidates), KEYS.get(last))


def spelled(command: str) -> str:
    """How a person starts a command: in a checkout by its script, elsewhere as the installed `mlbench`."""
    script = Path("run.py" if command == "run" else f"scripts/{command}.py")
    checkout = Path(__file__).parents[2]
    return f"python {script}" if (checkout / script).is_file() else f"mlbench {command}"
