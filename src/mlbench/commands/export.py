"""The command line that exports: a run as an ONNX graph for other programs, and its model card."""

from pathlib import Path

from mlbench.commands.arguments import answered, check_keys, pairs
from mlbench.errors import UserError
from mlbench.spelling import spelled

USAGE = f"""{spelled("export")} run=outputs/scene/erm/0123456789abcdef out=model.onnx
  writes the run's way from a row to its scores and label sets as an ONNX graph, and model.md, its model card

  run       a run's folder or its model.pt
  out       the file, .onnx; the card has the same name with .md
  trust     modules of your own that the run's files may name, [my.module]

The graph takes `x`, float32 (rows, columns), the columns of a file as they stand: a column of words holds the
word's number, NaN is a cell without a value where dataset.missing=mean was chosen, scaling is done inside.
It gives `scores` (rows, labels) and, where the run has fixed cuts, `labels`, zeros and ones. Names of columns
and labels, cuts, citation and licence are in the file's metadata. No file is written unless onnxruntime finds
PyTorch's scores in it, to 1e-5."""
KEYS = ("run", "out", "trust")


def main(arguments: list[str] | None = None) -> int:
    return answered(run, arguments, USAGE)


def run(arguments: list[str]) -> None:
    options = pairs(arguments, KEYS[0], KEYS)
    check_keys(options, KEYS)
    for key in ("run", "out"):
        if not options.get(key):
            raise UserError(f"{key} is needed and not given; --help shows how")
    out = Path(options["out"]).expanduser()
    if out.suffix != ".onnx":
        raise UserError(f"out={options['out']}: should end in .onnx")

    from mlbench.commands.predict import names_in
    from mlbench.export.write import about_x, exported, write
    from mlbench.trust import trust

    trust(names_in(options.get("trust", "[]")))
    made = exported(Path(options["run"]))
    write(out, made.content)
    write(out.with_suffix(".md"), made.card.encode())
    print(about_x(made.run))
    if made.graph.sets is None:
        print("there are scores and no label sets: the run's threshold rule has no cuts for new rows")
    print(out)
