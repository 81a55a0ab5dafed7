"""The command line of the board: every method on every data set under one protocol."""

from pathlib import Path

from mlbench.commands.arguments import answered, check_keys, pairs
from mlbench.errors import UserError, did_you_mean
from mlbench.spelling import spelled

USAGE = f"""{spelled("board")} harvest   writes the board's files from the records of its runs
{spelled("board")} render    writes the board's pages from these files
{spelled("board")} splits dataset=scene out=scene.json   writes the folds of a data set, as published

  out              of harvest and render: the folder of both, docs/board; of splits: a file
  paths.outputs    where the runs are, outputs
  table            other runs than those of board/main and board/tuned: a table with folds: 5

The runs are those of {spelled("reproduce")} table=board/main. docs/board.md says by which protocol."""
KEYS = {
    "harvest": ("out", "paths.outputs", "table"),
    "render": ("out",),
    "splits": ("out",),  # and what chooses a data set
}
FOLDER = "docs/board"


def main(arguments: list[str] | None = None) -> int:
    return answered(run, arguments, USAGE)


def run(arguments: list[str]) -> None:
    action, given = read(arguments)
    out = Path(given.pop("out", "" if action == "splits" else FOLDER)).expanduser()
    {"harvest": harvest, "render": render, "splits": splits}[action](out, given)


def read(arguments: list[str]) -> tuple[str, dict[str, str]]:
    """What is to be done, and the words of the form key=value."""
    first, *rest = arguments or [""]
    if first not in KEYS:
        said = f"{first}: no such word" if first else "a word is needed"
        raise UserError(f"board: {said}; there are {', '.join(KEYS)}{did_you_mean(first, KEYS)}")
    given = pairs(rest, KEYS[first][0], KEYS[first])
    if first != "splits":
        check_keys(given, KEYS[first])
    return first, given


def harvest(out: Path, given: dict[str, str]) -> None:
    from mlbench.board import harvest as harvests  # imports torch

    outputs = Path(given.get("paths.outputs", "outputs")).expanduser()
    tables = {given["table"]: "default"} if "table" in given else None
    for path in harvests.harvest(outputs, out, tables):
        print(path)


def render(out: Path, given: dict[str, str]) -> None:
    from mlbench.board.pages import site  # imports pandas

    pages = site.render(out)
    print(f"{len(pages)} pages; the first is {out / 'index.html'}")


def splits(out: Path, given: dict[str, str]) -> None:
    """Without `dataset.path`, of a data set of the registry."""
    from mlbench.board.splits import write_splits
    from mlbench.words import quoted

    if not out.name:
        raise UserError("board splits: out is needed and not given: out=scene.json")
    if not any(word.startswith("dataset") for word in given):
        raise UserError("board splits: dataset is needed and not given: dataset=scene")
    print(write_splits(quoted([f"{key}={value}" for key, value in given.items()]), out))
