"""The command line that rebuilds published tables: plan, run what is missing, render."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from mlbench.commands.arguments import answered, as_typed, check_keys, pairs
from mlbench.commands.first import carried_out
from mlbench.compose import config_dir
from mlbench.config import MACHINE
from mlbench.errors import UserError, complain
from mlbench.names import one_name
from mlbench.spelling import spelled
from mlbench.tables import spec as specs
from mlbench.words import quoted

if TYPE_CHECKING:
    from mlbench.tables.plan import Case

USAGE = f"""{spelled("reproduce")} table=PAPER/NUMBER   runs what the table lacks and renders it
  dry_run=true           lists its runs with their state and the time they will take; runs nothing
  render=true            renders what is there; runs nothing
  only='dataset=scene,emotions method=ant'   runs a part; the table shows all that is there
  seeds=10               this many seeds instead of the paper's number
  processes=2            so many at work side by side, largest data first; launch.per_gpu=3: so many to a GPU
  launch=slurm launch.partition=main launch.minutes=60   each group of runs a task of a SLURM array
  launch=ray launch.address=auto   ... of a Ray cluster; without address, of one that is started for it
  table=ant/2,ant/3      several, one after the other; table=mine.yaml one of your own
  hydra/launcher=joblib hydra.launcher.n_jobs=2   through a launcher of Hydra's
  paths.outputs, paths.cache, logger, engine, train.accelerator, ...: as in {spelled("run")}

It ends with the folder of the rendered table: Markdown, LaTeX, CSV, HTML.
The same command again runs only what is missing.

Tables: """
SWITCHES = ("dry_run", "render")
NUMBERS = ("seeds", "processes")
KEYS = ("table", *SWITCHES, "only", *NUMBERS)
PASSED = (
    "paths.outputs",
    "paths.cache",
    "logger",
    "launch",
    "engine",
    *(f"train.{name}" for name in sorted(MACHINE)),
)


def main(arguments: list[str] | None = None) -> int | None:
    return carried_out(partial(answered, run, arguments))


def run(arguments: list[str]) -> int:
    if not arguments or {"-h", "--help"} & set(arguments):
        print(as_typed(USAGE + ", ".join(specs.names())))
        return 0
    options, settings, launcher = read(arguments)
    tables = [name.strip() for name in options["table"].split(",")]
    read_specs = {name: specs.read(name) for name in tables}  # all of them before the first runs
    planned = {name: cases(name, spec, options, settings) for name, spec in read_specs.items()}
    return max(
        table(name, spec, planned[name], options, settings, launcher) for name, spec in read_specs.items()
    )


def read(arguments: list[str]) -> tuple[dict[str, str], list[str], list[str]]:
    """The options of this command; the words that `run.py` gets; the words on the launcher, for Hydra."""
    options, settings, launcher = {}, [], []
    for key, value in pairs(arguments, "table", (*KEYS, *PASSED)).items():
        if key.startswith(("hydra.", "hydra/")):
            launcher.append(f"{key}={value}")
        elif key in PASSED or key.startswith(("logger.", "launch.")):
            settings.append(f"{key}={value}")
        else:
            options[key] = value
    check_keys(options, [*KEYS, *PASSED])
    if not options.get("table"):
        raise UserError(f"table=... is needed; there are: {', '.join(specs.names())}")
    for key in SWITCHES:
        if options.setdefault(key, "false") not in ("true", "false"):
            raise UserError(f"{key}={options[key]}: choose true or false")
    for key in NUMBERS:
        if key in options and not (options[key].isdecimal() and int(options[key])):
            raise UserError(f"{key}={options[key]}: a whole number, 1 or more")
    if launcher and "processes" in options:
        raise UserError(f"processes={options['processes']} and a launcher of Hydra's exclude each other")
    if launcher and any(word.startswith("launch") for word in settings):
        raise UserError("launch=... and a launcher of Hydra's both say where the runs go; leave one out")
    if "processes" in options:
        settings.append(f"launch.processes={options['processes']}")
    return options, [*quoted(settings), "train.progress=false"], launcher  # one bar for all


def folders(settings: list[str]) -> tuple[Path, Path]:
    """The folders of the outputs and of the cache."""
    paths = OmegaConf.load(config_dir() / "config.yaml").paths
    path_settings = [word for word in settings if word.startswith("paths.")]
    for override in OverridesParser.create().parse_overrides(path_settings):
        paths[override.key_or_group.removeprefix("paths.")] = override.value()
    return Path(paths.outputs).expanduser(), Path(paths.cache).expanduser()


def cases(name: str, spec: specs.Spec, options: dict[str, str], settings: list[str]) -> "list[Case]":
    """A table's plan, empty for a table that only counts; refuses names in the table that do not exist."""
    if isinstance(spec, specs.Statistics):
        return []
    from mlbench.tables import measured, plan  # imports torch

    outputs, _ = folders(settings)
    plan.part(options.get("only", ""), spec)
    try:
        measured.check({metric: known.ours for metric, known in spec.metrics.items()})
        return plan.plan(spec, outputs, settings, int(options.get("seeds", spec.seeds)))
    except UserError as error:
        raise UserError(f"table={name}: {error}") from None


def table(
    name: str,
    spec: specs.Spec,
    cases: "list[Case]",
    options: dict[str, str],
    settings: list[str],
    launcher: list[str],
) -> int:
    """Makes one table; returns the exit status."""
    outputs, cache = folders(settings)
    folder = outputs / "tables" / one_name("table", specs.stem(name))
    if isinstance(spec, specs.Statistics):
        from mlbench.tables.render.write import write_counted

        if options["dry_run"] == "false":
            print(write_counted(name, spec, folder, cache))
        return 0
    from mlbench.tables import plan, progress  # imports torch
    from mlbench.tables.render.write import write
    from mlbench.tables.table import fill

    chosen = plan.part(options.get("only", ""), spec)
    if options["dry_run"] == "true":
        print("\n".join(progress.described([case for case in cases if chosen(case)])))
    runs = [run for run in plan.runs_of([c for c in cases if chosen(c)]) if not run.imported]
    missing = [run for run in runs if not run.over]
    if options["dry_run"] == "true":
        if missing and not launcher:
            from mlbench.runs.launched import foretold  # imports Lightning

            print(foretold(missing, asked=True), end="")
        return 0
    if missing and options["render"] == "false":
        from mlbench.runs.execute import run_missing  # imports Lightning

        run_missing(missing, launcher)
    print(write(fill(name, spec, cases), folder, outputs))
    failed = [run for run in plan.runs_of(cases) if run.state == "failed"]
    for run in failed:
        shown = " ".join(word for word in run.overrides if word.partition("=")[0] not in PASSED)
        complain(f"{shown}  failed: {run.reason}")
    return 2 if failed and options["render"] == "false" else 0
