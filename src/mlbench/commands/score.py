"""The command line that measures predictions of any tool by the metrics that runs are measured by."""

from pathlib import Path
from typing import TYPE_CHECKING

from mlbench.commands.arguments import answered, check_keys, pairs
from mlbench.errors import UserError
from mlbench.spelling import spelled

if TYPE_CHECKING:
    from mlbench.commands.compared import Scored
    from mlbench.submissions.cuts import Cuts
    from mlbench.submissions.given import Truth
    from mlbench.submissions.known import Known
    from mlbench.submissions.outputs import Kind

USAGE = f"""{spelled("score")} PREDICTIONS [PREDICTIONS] truth=LABELS       all metrics, a line each
{spelled("score")} PREDICTIONS [PREDICTIONS] dataset=scene part=test   true labels of a data set

  PREDICTIONS          .csv: id, then a column a label; .npz: ids, labels, scores; matched by id and label.
                       In the order of the true labels: .npy and sparse .npz of NumPy and SciPy, MEKA's
                       .arff and printed text, LibMultiLabel's text, a run's folder; docs/submissions.md
  truth=LABELS         .csv or .npz, likewise
  dataset, split, seed and their options, dataset.path, split.fold, ...: as for {spelled("run")}
  part=test            or another part of the split
  ids=order            rows are in the order of the true labels, whatever their ids
  threshold=0.5        a label is predicted where its probability lies strictly above the cut; or a rule, as
                       threshold=per_label threshold.fit_on=validation
  fit=FILE             scores that the rule is fitted on, of the part that it names
  fit_truth=LABELS     their true labels, where no data set has them
  scores=logits        the scores are logits: cut, and measured as probabilities, after a sigmoid
  scores=decisions     they are decision values: a label is predicted above 0; no likelihoods
  treat=scores         a file of 0 and 1 alone holds label sets; this measures them as scores, too
  treat=sets           the labels that a line of LibMultiLabel's lists are its label set
  also=[ndcg_at_10]    metrics of the top k for another k than 1, 3 and 5
  intervals=2000       the 95 % interval of each metric, over so many bootstrap resamples of the instances
  seed=0               of these, and of the split
  as=my-method         keeps them as a record of the data set, for tables and reports; force=true replaces one

Of two files every metric's difference is printed, first minus second, with its interval and two p values: by
the bootstrap, and by swapping the two predictions of random instances (intervals=2000 of each)."""

OWN = ("truth", "part", "ids", "fit", "fit_truth", "scores", "treat", "also", "intervals", "as", "force")
DATA = ("dataset", "split", "seed", "paths.outputs", "paths.cache")  # and options of the first two
KEYS = (*OWN, *DATA, "threshold")
OPTIONS = ("dataset.", "split.", "threshold.")
VALUES = {
    "scores": ("logits", "decisions"),
    "treat": ("scores", "sets"),
    "ids": ("order",),
    "force": ("true", "false"),
}
DRAWS = 2000


def main(arguments: list[str] | None = None) -> int:
    return answered(run, arguments, USAGE)


def run(arguments: list[str]) -> None:
    files = [word for word in arguments if is_file(word)]
    options = pairs([word for word in arguments if word not in files], keys=KEYS)
    check(files, options)
    draws, seed = whole("intervals", options.get("intervals"), 1), whole("seed", options.get("seed", "0"), 0)

    from mlbench.commands import compared
    from mlbench.submissions.cuts import cuts_of
    from mlbench.submissions.outputs import Kind

    cuts = cuts_of(options)
    kind = Kind(
        logits=options.get("scores") == "logits",
        decisions=options.get("scores") == "decisions",
        sets_as_scores=options.get("treat") == "scores",
        sets=options.get("treat") == "sets",
    )
    data, truth = true_labels(options)
    results = [scored(Path(file), cuts, kind, options, truth, data) for file in files]
    kept = keep(options, results[0], data, truth, cuts) if "as" in options and data is not None else ""
    print(f"{len(truth.ids)} instances, {len(truth.labels)} labels; {results[0].words}")
    if len(results) == 1:
        compared.alone(results[0], truth, draws, seed)
    else:
        compared.beside(results[0], results[1], truth, draws or DRAWS, seed)
    if kept:
        print(kept)


def check(files: list[str], options: dict[str, str]) -> None:
    """Refuses unknown options, and options that exclude each other."""
    check_keys([key for key in options if not key.startswith(OPTIONS)], KEYS)
    if len(files) not in (1, 2):
        raise UserError(
            f"{len(files)} files of predictions are given: write {spelled('score')} FILE [FILE] truth=FILE"
        )
    if bool(options.get("truth")) == bool(options.get("dataset")):
        both = "truth= and dataset= exclude each other" if options.get("truth") else "truth= is missing"
        raise UserError(
            f"{both}: the file of true labels, as truth=labels.csv, or a data set, as dataset=scene part=test"
        )
    for key, values in VALUES.items():
        if options.get(key, values[0]) not in values:
            raise UserError(f"{key}={options[key]}: choose {' or '.join(values)}, or leave it out")
    needs_data = [key for key in ("part", "split", "as") if key in options]
    needs_data += [key for key in options if key.startswith(("dataset.", "split."))]
    if "dataset" not in options and needs_data:
        raise UserError(f"{needs_data[0]}={options[needs_data[0]]}: needs a data set, as dataset=scene")
    if "as" in options:
        from mlbench.submissions.names import check_name

        check_name(options["as"])
        if len(files) == 2:
            raise UserError(f"as={options['as']}: two files are given; keep one after the other")
        if options.get("part", "test") != "test":
            raise UserError(
                f"as={options['as']}: a record is of part=test; part={options['part']} goes without as="
            )
    elif "force" in options:
        raise UserError(f"force={options['force']}: replaces a record, and as= names none")


def is_file(word: str) -> bool:
    """Whether a word is a path: as folders of a sweep have = in their names, a word with = may be one."""
    key, sign, _ = word.partition("=")
    known = key in KEYS or key.startswith(OPTIONS)
    return not known and not word.startswith("-") and (not sign or Path(word).exists())


def whole(key: str, text: str | None, least: int) -> int:
    """The whole number in `text`; 0 where `text` is None."""
    if text is None:
        return 0
    if not text.isdecimal() or int(text) < least:
        raise UserError(f"{key}={text}: should be a whole number, {least} or more")
    return int(text)


def true_labels(options: dict[str, str]) -> "tuple[Known | None, Truth]":
    if "truth" in options:
        from mlbench.submissions import files

        return None, files.true_labels(Path(options["truth"]))
    from mlbench.submissions.known import known

    words = [f"{key}={value}" for key, value in options.items() if key in DATA or key.startswith(OPTIONS[:2])]
    data = known(words)
    return data, data.truth(options.get("part", "test"))


def scored(
    path: Path, cuts: "Cuts", kind: "Kind", options: dict[str, str], truth: "Truth", data: "Known | None"
) -> "Scored":
    """The file's numbers, matched and measured."""
    from mlbench.commands.compared import Scored
    from mlbench.submissions import matching, parts
    from mlbench.submissions.cuts import fitting
    from mlbench.submissions.files import by_order, read
    from mlbench.submissions.outputs import outputs_of

    submission = read(path, truth, kind.sets)
    submission = by_order(submission) if options.get("ids") == "order" else submission
    values = matching.matched(submission, truth)
    outputs = outputs_of(submission, values, kind)
    words = [*matching.notes(submission), *outputs.words]
    fitted_on = None
    if outputs.cuttable is not None:
        fitted_on, how = fitting(cuts, kind, options, truth, data)
        words += [", ".join(filter(None, [cuts.described, how]))]
    elif any(key.partition(".")[0] in ("threshold", "fit") for key in options):
        words += ["threshold changes nothing: there are no scores to cut"]
    also = further(options.get("also", "[]"), truth)
    measures = parts.measured(outputs, cuts.rule, fitted_on, truth, also)
    drawn = parts.parts_of(outputs, cuts.rule, truth, also)
    return Scored(submission, values, outputs, measures, drawn, "; ".join(words))


def further(written: str, truth: "Truth") -> list[str]:
    """The metrics that `also` names; all others are measured without being asked for."""
    from mlbench.commands.predict import names_in
    from mlbench.evaluation.suite import ALL, find

    metrics = [find(name) for name in names_in(written)]
    if needy := [each.name for each in metrics if each.counted and truth.positives is None]:
        raise UserError(f"also={needy[0]}: needs how often training shows each label, which dataset= knows")
    return [each.name for each in metrics if each.name not in ALL]


def keep(options: dict[str, str], result: "Scored", data: "Known", truth: "Truth", cuts: "Cuts") -> str:
    """Keeps the predictions as a record; returns the line that names its path."""
    from mlbench.submissions.stored import Import, keep

    cut = result.outputs.cuttable is not None
    what = Import(options["as"], result.submission, result.values, result.outputs.taken_for, cut)
    path, there = keep(what, data, truth, cuts, result.measures, options.get("force") == "true")
    return f"{path}{' was there already, with the same predictions' if there else ''}"
