"""The command line that measures predictions of any tool by the metrics that runs are measured by."""

from pathlib import Path

from mlbench.commands.arguments import answered, check_keys, pairs
from mlbench.errors import UserError
from mlbench.predictions import Predictions, matched, read
from mlbench.spelling import spelled

USAGE = f"""{spelled("score")} PREDICTIONS truth=LABELS    all metrics, a line each
  PREDICTIONS, LABELS  .csv: id, then a column a label; .npz: ids, labels, scores; matched by id and label
  threshold=0.5        a label is predicted where its probability lies strictly above the cut
  scores=logits        the scores are logits: cut, and measured as probabilities, after a sigmoid
  treat=scores         a file of 0 and 1 alone holds label sets; this measures them as scores, too"""

KEYS = ("truth", "threshold", "scores", "treat")


def main(arguments: list[str] | None = None) -> int:
    return answered(run, arguments, USAGE)


def run(arguments: list[str]) -> int:
    files = [word for word in arguments if is_file(word)]
    given = pairs([word for word in arguments if word not in files], keys=KEYS)
    check_keys(given, KEYS)
    if len(files) != 1:
        raise UserError(
            f"{len(files)} files of predictions are given: write {spelled('score')} FILE truth=FILE"
        )
    if not given.get("truth"):
        raise UserError("truth= is missing: the file of true labels, as truth=labels.csv")
    for key, only in (("scores", "logits"), ("treat", "scores")):
        if given.get(key, only) != only:
            raise UserError(f"{key}={given[key]}: choose {only}, or leave it out")
    cut = cut_of(given.get("threshold", "0.5"))
    predictions, truth = read(Path(files[0])), read(Path(given["truth"]))
    if not truth.are_sets:
        raise UserError(f"{truth.path}: true labels are 0 or 1, and other numbers are there")
    values, notes = measured(predictions, truth, cut, "scores" in given, "treat" in given)
    print(f"{len(truth.ids)} instances, {len(truth.labels)} labels; {'; '.join(notes)}")
    width = max(map(len, values))
    for name, value in values.items():
        print(f"{name.ljust(width)}  {value:.6f}")
    return 0


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


def measured(
    predictions: Predictions, truth: Predictions, cut: float, logits: bool, treat: bool
) -> tuple[dict[str, float], list[str]]:
    """All metrics that the predictions allow, and in words what they were taken for and what is left out.

    Logits are ranked as they are: a sigmoid rounds large ones to the same probability.
    """
    import torch

    from mlbench.evaluation.suite import METRICS, evaluate
    from mlbench.evaluation.thresholds import Fixed

    scores = torch.from_numpy(matched(predictions, truth))
    targets = torch.from_numpy(truth.values)
    families = ["label_sets", "ranking", "curves", "likelihood"]
    probabilities = scores.sigmoid() if logits else scores
    label_sets = Fixed(cut).label_sets(probabilities)
    notes = [f"{'logits, ' if logits else ''}threshold {cut:g}"]
    if predictions.are_sets and not logits:
        label_sets, notes = scores.bool(), ["label sets"]
        if not treat:
            families = ["label_sets"]
            notes.append("metrics of scores are left out, treat=scores gives them")
    elif not logits and not predictions.are_probabilities:
        families = ["ranking", "curves"]
        notes = [
            "scores are no probabilities: metrics of label sets and likelihoods are left out, "
            "scores=logits gives them"
        ]
    values: dict[str, float] = {}
    for family in families:
        names = [name for name, metric in METRICS.items() if metric.family == family]
        outputs = probabilities if family == "likelihood" else scores
        values |= evaluate(outputs, label_sets, targets, names)
    return values, notes
