"""The command line that makes one page of all finished runs."""

from pathlib import Path

from mlbench.commands.arguments import answered, check_keys, outputs_of, pairs
from mlbench.errors import UserError, complain, did_you_mean
from mlbench.files import write
from mlbench.results import store
from mlbench.results.record import Brief
from mlbench.spelling import spelled
from mlbench.tables.heat import comma
from mlbench.tables.maps import NAMES, label_matrices, maps
from mlbench.tables.report import content, report

USAGE = f"""{spelled("report")} [paths.outputs=outputs] [map=pca]
  writes <outputs>/report.html: every finished run, to filter, compare and sort; open it in a browser

Runs that differ in seed and split.fold only are one result there. Results that differ in two numbers, and in
nothing else, are a heat map; report-heat.csv
beside it has the mean of every metric in each cell:
  {spelled("run")} -m loss=sigmoid_f1 'loss.slope=range(1,31,5)' loss.offset=-1,-0.75,-0.5,0 seed=0,1,2

What methods find of every two labels, as m3la, cs3g, mpvae do, is drawn as well.
Runs with outputs.embeddings=true are drawn as maps, by principal components; map=tsne by t-SNE, which takes a
while."""
KEYS = ("paths.outputs", "map")
HEAT = "report-heat.csv"


def main(arguments: list[str] | None = None) -> int:
    return answered(run, arguments, USAGE)


def run(arguments: list[str]) -> None:
    options = pairs(arguments, KEYS[0], KEYS)
    check_keys(options, KEYS)
    outputs = outputs_of(options)
    records = records_in(outputs)
    if not records:
        raise UserError(f"{outputs}: no finished runs; {spelled('run')} makes one")
    how = options.get("map", "pca")
    if how != "pca" and how != "tsne":
        raise UserError(f"map={how}: should be one of {', '.join(NAMES)}{did_you_mean(how, NAMES)}")
    drawn = content(records)
    drawn["maps"] = maps(outputs, drawn, how)
    drawn["matrices"] = label_matrices(outputs, drawn)
    print(write(outputs / "report.html", report(drawn)))
    if drawn["grids"]:
        print(write(outputs / HEAT, comma(drawn)))
    else:
        (outputs / HEAT).unlink(missing_ok=True)  # the old file shows runs that have been removed


def records_in(outputs: Path) -> dict[str, Brief]:
    """The records by their paths as seen from `outputs`. One that cannot be read is named and left out."""
    records = {}
    for run in store.folders(outputs):
        try:
            record = store.brief(run)
        except UserError as error:
            complain(error)
            continue
        if record is not None:
            records[(run / "record.json").relative_to(outputs).as_posix()] = record
    return records
