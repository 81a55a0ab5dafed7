"""A table of data sets: in GitHub's Markdown, a row for each data set; as CSV, a line for each statistic."""

from collections.abc import Iterable, Iterator, Sequence

from mlbench.tables.counted import Counted
from mlbench.tables.formats import comma_separated, markdown_table
from mlbench.tables.render import text
from mlbench.tables.spec import Statistics, command

LEGEND = (
    "`593`: counted and printed alike, to the printed digits, halves rounded up; `12920 (12886)`: counted, "
    "and in brackets printed; `(10806) data`: printed, and why it was not counted. data: the files, or the "
    "features in them, are not here, or there is no such data set."
)
DIGITS = 12  # digits of a checksum that are shown


def markdown(name: str, spec: Statistics, counted: Sequence[Counted]) -> str:
    return "\n".join(_lines(name, spec, counted)) + "\n"


def _lines(name: str, spec: Statistics, counted: Sequence[Counted]) -> Iterator[str]:
    yield from [f"# {spec.title}", "", f"`{command(name)}`", ""]
    yield from [_summary(counted), "", LEGEND, ""]
    datasets = list(dict.fromkeys((cell.dataset, cell.source) for cell in counted))
    columns = list(dict.fromkeys(cell.statistic for cell in counted))
    cells = {(cell.dataset, cell.statistic): _cell(cell) for cell in counted}
    rows = []
    for dataset, source in datasets:
        shown = dataset if source in (None, dataset) else f"{dataset}, as {source}"
        rows.append([f"**{shown}**", *(cells.get((dataset, column), "–") for column in columns)])
    yield from markdown_table(["data set", *map(text.words, columns)], rows)
    yield from _files(counted)
    if spec.notes:
        yield from ["", "## Notes", "", *(f"- {note}" for note in spec.notes)]


def _summary(counted: Sequence[Counted]) -> str:
    verdicts = [cell.verdict for cell in counted]
    agree, differ = verdicts.count("agrees"), verdicts.count("differs")
    return f"{agree + differ} of {len(verdicts)} statistics counted: {agree} agree, {differ} differ."


def _cell(cell: Counted) -> str:
    if cell.verdict == "agrees":
        return cell.printed
    return f"({cell.printed}) {cell.reason}" if cell.ours is None else f"{cell.rounded} ({cell.printed})"


def _files(counted: Iterable[Counted]) -> Iterator[str]:
    files = {cell.source: cell.files for cell in counted if cell.ours is not None}
    if files:
        yield from ["", f"## Files: first {DIGITS} digits of their SHA-256, uncompressed", ""]
    for source, checksums in files.items():
        short = (f"{role} `{checksum[:DIGITS]}`" for role, checksum in checksums.items())
        yield f"- {source}: {', '.join(short) or 'made on the spot'}"


def csv(counted: Iterable[Counted]) -> str:
    """Every statistic, ours in full precision."""
    head = ["dataset", "source", "statistic", "published", "ours", "verdict", "reason"]
    rows = ((c.dataset, c.source, c.statistic, c.printed, c.ours, c.verdict, c.reason) for c in counted)
    return comma_separated([head, *rows])
