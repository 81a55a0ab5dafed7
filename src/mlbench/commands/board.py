"""The command line of the board: every method on every data set under one protocol."""

from pathlib import Path

from mlbench.commands.arguments import answered, check_keys, pairs
from mlbench.errors import UserError, did_you_mean
from mlbench.spelling import spelled

USAGE = f"""{spelled("board")} harvest   writes the board's files from the records of its runs
{spelled("board")} render    writes the board's pages from these files

  out              the folder of both, docs/board
  paths.outputs    where the runs are, outputs

The runs are those of {spelled("reproduce")} table=board/main. docs/board.md says by which protocol."""
ACTIONS = ("harvest", "render")
KEYS = ("out", "paths.outputs")


def main(arguments: list[str] | None = None) -> int:
    return answered(run, arguments, USAGE)


def run(arguments: list[str]) -> None:
    action, given = read(arguments)
    out = Path(given.get("out", "docs/board")).expanduser()
    if action == "harvest":
        return harvest(out, Path(given.get("paths.outputs", "outputs")).expanduser())
    return render(out)


def read(arguments: list[str]) -> tuple[str, dict[str, str]]:
    """What is to be done, and the words of the form key=value."""
    first, *rest = arguments or [""]
    if first not in ACTIONS:
        said = f"{first}: no such word" if first else "a word is needed"
        raise UserError(f"board: {said}; there are {', '.join(ACTIONS)}{did_you_mean(first, ACTIONS)}")
    given = pairs(rest, KEYS[0], KEYS)
    check_keys(given, KEYS)
    return first, given


def harvest(out: Path, outputs: Path) -> None:
    raise UserError("board harvest: not there yet")


def render(out: Path) -> None:
    from mlbench.board.pages import site  # imports pandas

    pages = site.render(out)
    print(f"{len(pages)} pages; the first is {out / 'index.html'}")
