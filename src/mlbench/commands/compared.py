"""What `score` prints: metrics of one set of predictions with intervals, or of two sets beside each other."""

import math
from dataclasses import dataclass, replace

import numpy as np
import torch

from mlbench.errors import UserError
from mlbench.evaluation.intervals import Part, differences, intervals
from mlbench.evaluation.measure import Measures
from mlbench.evaluation.resampled import left_out
from mlbench.submissions.given import Submission, Truth
from mlbench.submissions.outputs import Outputs


@dataclass(frozen=True)
class Scored:
    submission: Submission
    values: np.ndarray  # in the order of the true labels
    outputs: Outputs
    measures: Measures
    parts: list[Part]  # the outputs that are resampled for intervals
    words: str  # how the file was read, matched and cut


def alone(result: Scored, truth: Truth, draws: int, seed: int) -> None:
    """Prints a line a metric: its value, and its interval if `draws` is above 0."""
    values = result.measures.metrics
    known = intervals(result.parts, torch.from_numpy(truth.values), draws, seed) if draws else {}
    if draws:
        print(f"in brackets the middle 95 % of {draws} bootstrap resamples of the instances, seed {seed}")
        say_left_out(result.parts, values)
    width = max(map(len, values))
    for name, value in values.items():
        interval = f"  {bracketed(*known[name])}".rstrip() if name in known else ""
        print(f"{name.ljust(width)}  {number(value)}{interval}")


def beside(result: Scored, other: Scored, truth: Truth, draws: int, seed: int) -> None:
    """Prints a line a metric that both have: the two values, their difference, its interval and p values."""
    if result.words != other.words:
        print(f"{other.submission.path}: {other.words}")
    first, second = in_common(result.parts, other.parts), in_common(other.parts, result.parts)
    if not first:
        raise UserError(f"{result.submission.path} and {other.submission.path} have no metric in common")
    ours, theirs = result.measures.metrics, other.measures.metrics
    tested = differences(first, second, torch.from_numpy(truth.values), draws, seed)
    print(f"first: {result.submission.path}, second: {other.submission.path}")
    print(
        f"in brackets the middle 95 % of the difference in {draws} bootstrap resamples of the instances; p "
        f"by these, and by swaps of the predictions of instances, {draws} at random or all there are; "
        f"seed {seed}"
    )
    say_left_out(first, ours)
    width = max(map(len, tested))
    print(f"{'metric'.ljust(width)}     first    second     first − second         p bootstrap  p swaps")
    for name, each in tested.items():
        print(
            f"{name.ljust(width)}  {number(ours[name])}  {number(theirs[name])}  {each.value:+.6f} "
            f"{bracketed(each.low, each.high, '+')}  {each.bootstrap:.4f}  {each.permutation:.4f}"
        )


def in_common(parts: list[Part], others: list[Part]) -> list[Part]:
    """The parts, with those of their metrics alone that the other file has as well."""
    names = {name + part.ending for part in others for name in part.names}
    kept = [replace(p, names=[name for name in p.names if name + p.ending in names]) for p in parts]
    return [part for part in kept if part.names]


def say_left_out(parts: list[Part], values: dict[str, float]) -> None:
    """Prints which metrics have no interval, and why; a metric of a group of labels has the same reason."""
    for part in parts:
        for name, reason in left_out(part.names).items() if part.columns is None else ():
            print(f"{name + part.ending} has no interval: {reason}")
    if psp := [name for name in values if name.startswith("psp_at_")]:
        print(f"{', '.join(psp)} have no interval: what they are divided by varies with the instances, too")


def number(value: float) -> str:
    return f"{value:.6f}"


def bracketed(low: float, high: float, sign: str = "") -> str:
    return "" if math.isnan(low) else f"[{low:{sign}.6f}, {high:{sign}.6f}]"
