"""The command line of the board: every method on every data set under one protocol."""

import shlex
from pathlib import Path

from mlbench.commands.arguments import answered, check_keys, is_true, outputs_of, pairs
from mlbench.errors import UserError, did_you_mean
from mlbench.spelling import spelled

USAGE = f"""{spelled("board")} harvest   writes the board's files from the records of its runs
{spelled("board")} render    writes the board's pages from these files
{spelled("board")} against method=br
                  on how many data sets each method is better and worse than this one, metric by metric
{spelled("board")} data=my.csv 'dataset.labels=[rain,storm]' seconds=600 metric=f1_macro
                  the methods of the board on your data, the best first, and the command that trains it
{spelled("board")} add=mine method=mlknn method.k=30 datasets=emotions,scene
                  where a method of yours stands, as a page; as=NAME: predictions that `score as=NAME` keeps
{spelled("board")} again count=20 seed=0   runs so many of the board's runs once more, and compares
{spelled("board")} splits dataset=scene out=scene.json   writes the folds of a data set, as published

  out              of harvest and render: the folder of both, docs/board; of against and add: another board's
                   folder than mlbench's own; of splits: a file
  paths.outputs    where the runs are, outputs
  methods          of data: so many alone, as methods=br,mlknn,forest
  keep             of harvest: keep=true leaves the lines of cells whose runs are on another machine
  table            other runs than those of board/main and board/tuned: a table with folds: 5

The runs are those of {spelled("reproduce")} table=board/main. docs/board.md says by which protocol."""
KEYS = {
    "harvest": ("out", "paths.outputs", "table", "keep"),
    "render": ("out",),
    "against": ("method", "out"),
    "again": ("count", "seed", "out", "paths.outputs"),
    "splits": ("out",),  # and the words that choose a data set
    "data": ("data", "seconds", "metric", "methods", "paths.outputs"),  # and the options of the data set
    "add": ("add", "datasets", "metric", "as", "out", "paths.outputs"),  # and words that choose a method
}
OUT: dict[str, str] = dict.fromkeys(("harvest", "render"), "docs/board")  # others read mlbench's own board
RESOLUTION = 1e-6  # metrics that differ by less count as the same
OPEN = ("splits", "data", "add")  # actions that take words of `run` as well
USUAL = {"seconds": "600", "metric": "f1_macro", "methods": "", "datasets": "emotions,birds,scene,yeast"}


def main(arguments: list[str] | None = None) -> int:
    return answered(run, arguments, USAGE)


def run(arguments: list[str]) -> None:
    action, options = read(arguments)
    out = Path(options.pop("out", OUT.get(action, ""))).expanduser()
    ways = {
        "harvest": harvest,
        "render": render,
        "against": against,
        "again": again,
        "splits": splits,
        "data": data,
        "add": add,
    }
    ways[action](out, options)


def read(arguments: list[str]) -> tuple[str, dict[str, str]]:
    """The action, and its options by key."""
    first, *rest = arguments or [""]
    if (key := first.partition("=")[0]) in ("data", "add") and key != first:
        return key, USUAL | pairs(arguments, key, KEYS[key])
    if first not in KEYS:
        problem = f"{first}: no such word" if first else "a word is needed"
        raise UserError(f"board: {problem}; there are {', '.join(KEYS)}{did_you_mean(first, KEYS)}")
    options = pairs(rest, KEYS[first][0], KEYS[first])
    if first not in OPEN:
        check_keys(options, KEYS[first])
    return first, options


def harvest(out: Path, options: dict[str, str]) -> None:
    from mlbench.board import harvest as harvests  # imports torch

    outputs = outputs_of(options)
    tables = {options["table"]: "default"} if "table" in options else None
    for path in harvests.harvest(outputs, out, tables, is_true(options, "keep")):
        print(path)


def render(out: Path, options: dict[str, str]) -> None:
    from mlbench.board.pages import site  # imports pandas

    pages = site.render(out)
    print(f"{len(pages)} pages; the first is {out / 'index.html'}")


def against(out: Path, options: dict[str, str]) -> None:
    from mlbench.board import against as beside  # imports pandas
    from mlbench.board import content
    from mlbench.board.columns import METRICS

    board = content.read(out if out.name else content.own_folder())
    counts = beside.against(board, options.get("method", "br"))
    print("better:worse of data sets, where the 95 % interval of the difference is on one side of 0")
    width = max(map(len, counts))
    print("  ".join([" " * width, *METRICS]))
    for name, by_metric in counts.items():
        cells = (str(by_metric[metric]).ljust(len(metric)) for metric in METRICS)
        print("  ".join([name.ljust(width), *cells]).rstrip())


def again(out: Path, options: dict[str, str]) -> None:
    from mlbench.board import again as once_more  # imports pandas
    from mlbench.board import content

    board = content.read(out if out.name else content.own_folder())
    count, seed = (number_of(options, key, usual) for key, usual in (("count", 20), ("seed", 0)))
    same = 0
    print("the metric in which a run differs most from the board's: the board's, then the one of here")
    for each in once_more.again(board, count, seed, outputs_of(options)):
        same += each.apart <= RESOLUTION
        values = f"{each.shown:.6f}  {each.here:.6f}"
        print(f"{each.dataset:20} {each.method:20} split {each.split}  {each.metric:16} {values}", flush=True)
    print(f"{same} of {count} are the same in all metrics, to {RESOLUTION:g}")


def splits(out: Path, options: dict[str, str]) -> None:
    """Writes the splits of a data set of the registry, or of the file at `dataset.path`."""
    from mlbench.board.splits import write_splits
    from mlbench.words import quoted

    if not out.name:
        raise UserError("board splits: out is needed and not given: out=scene.json")
    if not any(word.startswith("dataset") for word in options):
        raise UserError("board splits: dataset is needed and not given: dataset=scene")
    print(write_splits(quoted([f"{key}={value}" for key, value in options.items()]), out))


def data(out: Path, options: dict[str, str]) -> None:
    """Compares the board's methods on a person's data; the last line is the command that trains the best."""
    from mlbench.board.own import on_data, training  # imports torch
    from mlbench.compose import READERS
    from mlbench.words import quoted

    path, metric, outputs = Path(options["data"]), options["metric"], outputs_of(options)
    if path.suffix not in READERS:
        raise UserError(f"data={path}: should end in one of {', '.join(READERS)}")
    if not path.is_file():
        raise UserError(f"data={path}: there is no such file")
    further = [f"{key}={value}" for key, value in options.items() if key.startswith("dataset.")]
    keys = [key for key in options if not key.startswith("dataset.") and key not in USUAL]
    check_keys(keys, [*KEYS["data"], "dataset.…"])
    words = [f"dataset={READERS[path.suffix]}", f"dataset.path={path}", *further]
    methods = [name for name in options["methods"].split(",") if name]
    results, left = on_data(words, outputs, seconds_of(options), metric, methods)
    print(f"{metric} on all rows, each tested once by five folds; in brackets 95 % of resamples of the rows;")
    print("then the difference to the best, with its p")
    for each in results:
        print(
            f"{each.method:20} {each.value:.4f} [{each.low:.4f}, {each.high:.4f}]  "
            f"{each.to_best.value:+.4f}  p {each.to_best.bootstrap:.3f}"
        )
    if left:
        print(f"not done within {options['seconds']} seconds, or cannot be: {', '.join(left)}")
    equal = [each.method for each in results[1:] if each.to_best.bootstrap > 0.05]
    print(f"use {results[0].method}" + (f"; {', '.join(equal)} may be as good" if equal else ""))
    print(f"{spelled('run')} {shlex.join(quoted(training(results[0].case)))}")


def add(out: Path, options: dict[str, str]) -> None:
    from mlbench.board.content import own_folder
    from mlbench.board.own import added, check_metric, placed, rated  # imports torch
    from mlbench.board.pages.markup import address
    from mlbench.submissions.names import check_name
    from mlbench.words import quoted

    metric, name = options["metric"], options["add"]
    check_metric(metric)
    check_name(name, "add")
    words = [f"{key}={value}" for key, value in options.items() if key not in (*KEYS["add"], *USUAL)]
    if not words and "as" not in options:
        raise UserError("board add: what the method is is not given: method=..., or as=... of predictions")
    asked = [each for each in options["datasets"].split(",") if each]
    known = out if out.name else own_folder()
    board, folder = added(name, quoted(words), asked, outputs_of(options), known, options.get("as", ""))
    lines = placed(board, name, metric)
    print(f"{metric}, mean over five folds; its place among the board's defaults; the best there; br")
    for dataset, mine, place, of, best, reference in lines:
        print(f"{dataset:20} {mine:.4f}  {place} of {of}  {best:.4f}  {reference:.4f}")
    rating = rated(board, name, metric)
    if rating is None:
        print("no rating: it takes three data sets")
    else:
        print(
            f"rating {rating.value:.0f}, 95 % of resamples of the data sets {rating.low:.0f} to "
            f"{rating.high:.0f}; place {rating.place} of {rating.of}; br has 1000"
        )
    print(folder / address("method", name))


def number_of(options: dict[str, str], key: str, usual: int) -> int:
    if not (text := options.get(key, str(usual))).isdecimal():
        raise UserError(f"{key}={text}: a whole number")
    return int(text)


def seconds_of(options: dict[str, str]) -> float:
    try:
        seconds = float(options["seconds"])
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise UserError(f"seconds={options['seconds']}: a number of seconds above 0")
    return seconds
