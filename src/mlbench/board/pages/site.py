"""The pages of a board, a pure function of its files: rendered twice, they are the same bytes."""

from dataclasses import replace
from pathlib import Path

from mlbench import files
from mlbench.board import columns
from mlbench.board.content import Board, Frame, read
from mlbench.board.grid import Row
from mlbench.board.pages import compare, dataset, index, method, metric, runs
from mlbench.board.pages.about import Site
from mlbench.board.pages.markup import NAVIGATION, address
from mlbench.board.standing import standing

OURS = NAVIGATION.partition("\n")[0]  # stands in every page of a board
KINDS = ("metric", "method", "dataset")  # of which there are many pages


def render(folder: Path) -> list[Path]:
    """Writes all pages into the folder of the files; removes those of methods and data sets that are gone."""
    pages = drawn(read(folder))
    for name, text in pages.items():
        files.write(folder / name, text)
    for kind in KINDS:
        for path in folder.glob(f"{kind}-*.html"):
            if path.name not in pages and OURS in path.read_text(encoding="utf-8", errors="replace"):
                path.unlink()
    return [folder / name for name in pages]


def drawn(board: Board) -> dict[str, str]:
    """Every page by the name of its file."""
    site = about(board)
    pages = {address("metric", name): metric.page(site, name) for name in site.standings}
    pages |= {address("method", name): method.page(site, name) for name in site.methods}
    pages |= {address("dataset", name): dataset.page(site, name) for name in site.datasets}
    return pages | {
        "compare.html": compare.page(site),
        "runs.html": runs.page(site),
        "index.html": index.page(site),
    }


def begun(records: Frame) -> Frame:
    """The records without those of tuned rows of which no run has begun: there is nothing to show of them."""
    run = records.loc[records["state"] != "not_run", ["method", "variant"]]
    known = set(run.itertuples(index=False, name=None))
    rows = zip(records["method"], records["variant"])
    return records[[row in known or row[1] == columns.VARIANTS[0] for row in rows]]


def about(board: Board) -> Site:
    board = replace(board, records=begun(board.records))
    measured = [name for name in columns.METRICS if board.records[name].notna().any()]
    metrics = measured or columns.METRICS  # when nothing has finished yet
    standings = {name: standing(board.records, name) for name in metrics}
    pairs = sorted({Row(*each) for each in board.records[["method", "variant"]].itertuples(index=False)})
    names = {row: board.title(row.method) + (" (tuned)" if row.variant == "tuned" else "") for row in pairs}
    return Site(board, standings, names)
