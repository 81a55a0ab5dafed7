"""The command line that serves: a page of this machine on which a run answers, and an endpoint."""

from collections.abc import Sequence
from pathlib import Path

from mlbench.commands.arguments import answered, check_keys, pairs
from mlbench.commands.lines import SHOWN
from mlbench.commands.predict import names_in
from mlbench.errors import UserError, complain
from mlbench.spelling import spelled

USAGE = f"""{spelled("serve")} run=outputs/scene/erm/0123456789abcdef
  opens a page on which one pastes a row or a text, or drops an image, and sees the labels' scores

  run       a run's folder or its model.pt; [a,b,c] gives the mean of their scores, and of their cuts
  port      8000; 0 picks a free one
  host      127.0.0.1, which this machine alone reaches; there is no password
  trust     modules of your own that the run's files may name, [my.module]

The address is printed; Ctrl-C ends it. Programs send JSON to /predict and get JSON:
{{"rows": [{{"wet": 1.5, "wind": "calm"}}]}}, {{"csv": "..."}}, {{"texts": ["..."]}}, {{"images": ["..."]}}
in base64; /about and /metrics say what the page shows."""
KEYS = ("run", "port", "host", "trust")


def main(arguments: list[str] | None = None) -> int:
    return answered(run, arguments, USAGE)


def run(arguments: list[str]) -> int | None:
    options = pairs(arguments, KEYS[0], KEYS)
    check_keys(options, KEYS)
    if not options.get("run"):
        raise UserError("run is needed and not given; --help shows how")
    port, host = options.get("port", "8000"), options.get("host", "127.0.0.1")
    if not (port.isascii() and port.isdigit() and int(port) < 65536):
        raise UserError(f"port={port}: should be 0 to 65535")

    try:
        load_and_serve(names_in(options["run"]), names_in(options.get("trust", "[]")), host, int(port))
    except KeyboardInterrupt:
        complain("stopped")
        return 130


def load_and_serve(runs: Sequence[str], trusted: Sequence[str], host: str, port: int) -> None:
    from mlbench.predict import Ensemble, Trained
    from mlbench.serve.server import serve
    from mlbench.trust import trust

    trust(trusted)
    serve(Ensemble.of([Trained.of_run(Path(run)) for run in runs]), host, port, SHOWN)
