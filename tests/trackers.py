"""What tests of trackers share: a module that notes what it is told, a run that has begun, a finished one."""

import types

import numpy as np

from made_up import made_up_record
from mlbench.results.tracking import Begun

KEY = "0123456789abcdef"
ROWS = [{"epoch": 1, "loss": 0.5}, {"epoch": 2, "loss": 0.25}, {"epoch": 3, "loss": 0.125}]


class Recorder(types.ModuleType):
    """Stands in for the module wandb: keeps what it is told, and fails where it is asked to."""

    def __init__(self, *failing):
        super().__init__("wandb")
        self.failing, self.calls = set(failing), []
        self.inits, self.logged, self.artifacts, self.exits = [], [], [], []
        self.summary, self.id = {}, None

    def attempt(self, what):
        self.calls.append(what)
        if what in self.failing:
            raise ConnectionError(f"no {what}\nand a second line")

    def Settings(self, **settings):
        return settings

    def setup(self, settings):
        self.settings = settings

    def init(self, **how):
        self.inits.append(how)
        self.attempt(f"init {how['mode']}")
        self.id = how["id"]
        return self

    def Table(self, columns, data):
        return [dict(zip(columns, row, strict=True)) for row in data]

    @property
    def plot(self):
        return types.SimpleNamespace(line=lambda table, x, y, stroke, title="": ("line", table, x, y, stroke))

    def log(self, values, step=None):
        self.attempt("log")
        self.logged.append((step, values))

    def Artifact(self, name, type):
        self.artifacts.append((name, type))
        return types.SimpleNamespace(add_file=lambda path, policy: self.artifacts.append((path, policy)))

    def log_artifact(self, artifact, **named):
        self.attempt("artifact")
        if named:
            self.artifacts.append((artifact, named))

    def finish(self, exit_code=0):
        self.attempt("finish")
        self.exits.append(exit_code)

    def teardown(self):
        self.attempt("teardown")


def begun(folder, name="multidigits/erm/0", group="0123", **config):
    return Begun(KEY, name, config, folder, group, "erm")


def recorded(folder, **changes):
    """A record of a run of two labels, four test rows, and its scores."""
    record = made_up_record(KEY, "scene", "erm", 0, **changes)
    record.write(folder / "record.json")
    scores = np.array([[0.9, 0.1], [0.8, 0.2], [0.7, 0.9], [0.7, 0.3]])
    np.savez(folder / "scores.npz", last=scores, targets=[[1, 0], [0, 1], [1, 0], [0, 0]], ids=range(4))
    return folder / "record.json"
