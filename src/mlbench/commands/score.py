"""The command line that measures predictions of any tool by the metrics that runs are measured by."""

import math
from pathlib import Path
from typing import TYPE_CHECKING

from mlbench.commands.arguments import answered, check_keys, pairs
from mlbench.errors import UserError
from mlbench.spelling import spelled
from mlbench.submissions.files import Submission, read

if TYPE_CHECKING:
    from torch import Tensor

    from mlbench.evaluation.intervals import Part

USAGE = f"""{spelled("score")} PREDICTIONS [PREDICTIONS] truth=LABELS    all metrics, a line each
  PREDICTIONS, LABELS  .csv: id, then a column a label; .npz: ids, labels, scores; matched by id and label
  threshold=0.5        a label is predicted where its probability lies strictly above the cut
  scores=logits        the scores are logits: cut, and measured as probabilities, after a sigmoid
  treat=scores         a file of 0 and 1 alone holds label sets; this measures them as scores, too
  intervals=2000       the 95 % interval of each metric, over so many bootstrap resamples of the instances
  seed=0               of these

Of two files every metric's difference is printed, first minus second, with its interval and two p values: by
the bootstrap, and by swapping the two predictions of random instances (intervals=2000 of each)."""

KEYS = ("truth", "threshold", "scores", "treat", "intervals", "seed")
DRAWS = 2000


def main(arguments: list[str] | None = None) -> int:
    return answered(run, arguments, USAGE)


def run(arguments: list[str]) -> None:
    files = [word for word in arguments if is_file(word)]
    given = pairs([word for word in arguments if word not in files], keys=KEYS)
    check_keys(given, KEYS)
    if len(files) not in (1, 2):
        raise UserError(
            f"{len(files)} files of predictions are given: write {spelled('score')} FILE [FILE] truth=FILE"
        )
    if not given.get("truth"):
        raise UserError("truth= is missing: the file of true labels, as truth=labels.csv")
    for key, only in (("scores", "logits"), ("treat", "scores")):
        if given.get(key, only) != only:
            raise UserError(f"{key}={given[key]}: choose {only}, or leave it out")
    cut = cut_of(given.get("threshold", "0.5"))
    draws, seed = whole("intervals", given.get("intervals"), 1), whole("seed", given.get("seed", "0"), 0)
    truth = read(Path(given["truth"]))
    if not truth.are_sets:
        raise UserError(f"{truth.path}: true labels are 0 or 1, and other numbers are there")
    submissions = [read(Path(file)) for file in files]

    import torch

    from mlbench.evaluation.thresholds import Fixed
    from mlbench.submissions.parts import Kind, parts_of

    kind = Kind("scores" in given, "treat" in given)
    found = [parts_of(each, truth, Fixed(cut), f"{cut:g}", kind) for each in submissions]
    targets = torch.from_numpy(truth.values)
    print(f"{len(truth.ids)} instances, {len(truth.labels)} labels; {'; '.join(found[0][1])}")
    if len(found) == 1:
        alone(found[0][0], targets, draws, seed)
    else:
        (first, notes), (second, others) = found
        if notes != others:
            print(f"{submissions[1].path}: {'; '.join(others)}")
        beside(submissions, first, second, targets, draws or DRAWS, seed)


def is_file(word: str) -> bool:
    """Folders of a sweep have = in their names, so that a word with one may be a path."""
    key, sign, _ = word.partition("=")
    return key not in KEYS and not word.startswith("-") and (not sign or word.endswith((".csv", ".npz")))


def cut_of(text: str) -> float:
    try:
        cut = float(text)
    except ValueError:
        cut = -1.0
    if not 0 <= cut <= 1:
        raise UserError(f"threshold={text}: give one cut for every label, a number from 0 to 1")
    return cut


def whole(key: str, text: str | None, least: int) -> int:
    """The whole number; 0 where none is given."""
    if text is None:
        return 0
    if not text.isdecimal() or int(text) < least:
        raise UserError(f"{key}={text}: should be a whole number, {least} or more")
    return int(text)


def alone(parts: "list[Part]", targets: "Tensor", draws: int, seed: int) -> None:
    """A line a metric: its value, and its interval if draws are asked for."""
    from mlbench.evaluation.intervals import intervals

    values = {name: value for part in parts for name, value in part.values(targets).items()}
    known = intervals(parts, targets, draws, seed) if draws else {}
    if draws:
        print(f"in brackets the middle 95 % of {draws} bootstrap resamples of the instances, seed {seed}")
        say_left_out(parts)
    width = max(map(len, values))
    for name, value in values.items():
        interval = f"  {bracketed(*known[name])}".rstrip() if name in known else ""
        print(f"{name.ljust(width)}  {number(value)}{interval}")


def beside(
    submissions: list[Submission],
    first: "list[Part]",
    second: "list[Part]",
    targets: "Tensor",
    draws: int,
    seed: int,
) -> None:
    """A line a metric that both have: the two values, their difference, its interval and p values."""
    from mlbench.evaluation.intervals import differences

    first, second = in_common(first, second), in_common(second, first)
    ours, theirs = (
        {name: value for part in parts for name, value in part.values(targets).items()}
        for parts in (first, second)
    )
    found = differences(first, second, targets, draws, seed)
    print(f"first: {submissions[0].path}, second: {submissions[1].path}")
    print(
        f"in brackets the middle 95 % of the difference in {draws} bootstrap resamples of the instances; p "
        f"by these, and by swaps of the predictions of instances, {draws} at random or all there are; "
        f"seed {seed}"
    )
    say_left_out(first)
    width = max(map(len, found))
    print(f"{'metric'.ljust(width)}     first    second     first − second         p bootstrap  p swaps")
    for name, each in found.items():
        print(
            f"{name.ljust(width)}  {number(ours[name])}  {number(theirs[name])}  {each.value:+.6f} "
            f"{bracketed(each.low, each.high, '+')}  {each.bootstrap:.4f}  {each.permutation:.4f}"
        )


def in_common(parts: "list[Part]", others: "list[Part]") -> "list[Part]":
    """The parts with those metrics only that the others have, too."""
    from dataclasses import replace

    names = {name + part.ending for part in others for name in part.names}
    kept = [replace(p, names=[name for name in p.names if name + p.ending in names]) for p in parts]
    return [part for part in kept if part.names]


def say_left_out(parts: "list[Part]") -> None:
    from mlbench.evaluation.resampled import left_out

    for part in parts:
        for name, reason in left_out(part.names).items():
            print(f"{name + part.ending} has no interval: {reason}")


def number(value: float) -> str:
    return f"{value:.6f}"


def bracketed(low: float, high: float, sign: str = "") -> str:
    return "" if math.isnan(low) else f"[{low:{sign}.6f}, {high:{sign}.6f}]"
