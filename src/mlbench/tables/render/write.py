"""Writes a table in every format, and only from what records say."""

from pathlib import Path

from mlbench import files
from mlbench.tables import degrees
from mlbench.tables.render import comma, diagram
from mlbench.tables.render import degrees as render_degrees
from mlbench.tables.render.html import html
from mlbench.tables.render.latex import latex
from mlbench.tables.render.markdown import markdown
from mlbench.tables.spec import Statistics
from mlbench.tables.table import Table


def write(table: Table, folder: Path, outputs: Path) -> Path:
    """The folder, with the table in it."""
    recovered = degrees.degrees(table)
    return written(
        folder,
        {
            "table.md": markdown(table, recovered),
            "table.tex": latex(table),
            "cells.csv": comma.cells(table),
            "wide.csv": comma.wide(table),
            "runs.csv": comma.runs(table),
            "table.html": html(table, outputs),
            **diagram.files(table),
            **render_degrees.files(table.name, recovered),
        },
    )


def write_counted(name: str, spec: Statistics, folder: Path, cache: Path) -> Path:
    """A table of data sets."""
    from mlbench.tables.counted import count
    from mlbench.tables.render import counted_markdown

    counted = count(spec, cache)
    text = counted_markdown.markdown(name, spec, counted)
    return written(folder, {"table.md": text, "cells.csv": counted_markdown.csv(counted)})


def written(folder: Path, contents: dict[str, str]) -> Path:
    for name, content in contents.items():
        files.write(folder / name, content)
    return folder
