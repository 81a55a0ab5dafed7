"""launch=slurm: each group of runs is a task of a SLURM array, which submitit submits."""

import getpass
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from mlbench.errors import UserError, complain

if TYPE_CHECKING:
    from mlbench.runs.run import Run
    from mlbench.runs.work import Group

Count = Annotated[int, Field(ge=1)]
LOOK = 2.0  # seconds between two looks at the queue
NOTICE = 90  # seconds before its time limit in which a task hears of it, at most
FARE = 60  # seconds for a task to start, within its time limit


class Slurm:
    """Groups go out as one array, and this process waits for them; they go on without it."""

    in_this_process = False

    def __init__(
        self,
        minutes: Count,
        partition: str | None,
        constraint: str | None,
        gpus: Annotated[int, Field(ge=0)] | None,
        cpus: Count,
        memory: Annotated[float, Field(gt=0)] | None,
        at_once: Count | None,
        requeues: Annotated[int, Field(ge=0)],
        setup: list[str],
        more: dict[str, Any] | None,
        dry_run: bool,
    ):
        self.minutes, self.partition, self.constraint, self.gpus = minutes, partition, constraint, gpus
        self.cpus, self.memory, self.at_once, self.requeues = cpus, memory, at_once, requeues
        self.setup, self.more, self.dry_run = setup, more, dry_run

    def run(self, runs: "Sequence[Run]") -> None:
        """Submits what is in no task yet, and waits until all tasks have ended."""
        from mlbench.runs.work import divided, folder_of

        outputs = runs[0].config.paths.outputs
        if missing := [name for name in ("sbatch", "srun", "squeue", "scontrol") if not shutil.which(name)]:
            raise UserError(
                f"launch=slurm: there is no {missing[0]} on this machine; start it on one of the cluster's"
            )
        waiting = Queue(outputs / "launches")
        groups = divided([run for run in runs if run.folder not in waiting.runs], outputs, self.seconds)
        if groups:
            waiting.add(self.submit(groups, folder_of(groups, outputs)), groups)
        waiting.wait()
        if left := [run for run in runs if run.state == "missing"]:
            raise UserError(
                f"{len(left)} of {len(runs)} runs have no record, and SLURM has no task of theirs any more; "
                f"{waiting.folder} has the tasks' logs; the same command goes on where they stopped"
            )

    def foretold(self, runs: "Sequence[Run]") -> str:
        """The groups, and the script for sbatch."""
        from mlbench.runs.work import described, divided, folder_of

        outputs = runs[0].config.paths.outputs
        groups = divided(runs, outputs, self.seconds)
        return "\n".join([*described(groups), "", self.script(groups, folder_of(groups, outputs))])

    @property
    def seconds(self) -> float:
        """How long the runs of a task may take by estimate: less than its time limit."""
        return max(60.0, self.minutes * 60 * 0.8 - FARE)

    def parameters(self, groups: "list[Group]") -> dict[str, Any]:
        """What submitit, and through it sbatch, is told."""
        train = groups[0].runs[0].config.train
        gpus = (train.devices if train.accelerator == "gpu" else 0) if self.gpus is None else self.gpus
        named = {
            "partition": self.partition,
            "constraint": self.constraint,
            "gpus_per_node": gpus or None,
            "mem": self.memory and f"{round(self.memory * 1024)}M",
        }
        return {name: value for name, value in named.items() if value is not None} | {
            "job_name": "mlbench",
            "time": self.minutes,
            "cpus_per_task": self.cpus,
            "array_parallelism": self.at_once or len(groups),
            "signal_delay_s": min(NOTICE, self.minutes * 15),
            # A batch script that a signal ends takes its task with it before the task has saved.
            "setup": ["trap : TERM USR1 USR2", f"export OMP_NUM_THREADS={self.cpus}", *self.setup],
            "additional_parameters": {"requeue": True} | (self.more or {}),
        }

    def script(self, groups: "list[Group]", folder: Path) -> str:
        slurm = submitit().slurm.slurm
        command = f"{sys.executable} -u -m submitit.core._submit {folder.absolute()}"
        several = {"map_count": len(groups)} if len(groups) > 1 else {}
        return slurm._make_sbatch_string(command=command, folder=folder, **self.parameters(groups), **several)

    def submit(self, groups: "list[Group]", folder: Path) -> str:
        """The number of the job, a task a group."""
        from mlbench.runs.task import Task

        executor = submitit().SlurmExecutor(folder)
        try:
            executor.update_parameters(**self.parameters(groups))
            jobs = executor.map_array(
                Task(self.requeues), [[list(run.overrides) for run in group.runs] for group in groups]
            )
        except Exception as error:
            reason = (getattr(error, "stderr", None) or str(error)).strip().splitlines()[-1]
            raise UserError(f"launch=slurm: SLURM takes no such job: {reason}") from error
        return jobs[0].job_id.partition("_")[0]


class Queue:
    """The tasks that SLURM has of the runs below a folder, by the notes that lie there: a job's number, and
    the folders of the runs in it."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.jobs: set[str] = set()
        self.runs: set[Path] = set()
        self.held: set[str] = set()
        there = queued(at_first=True)
        for note in folder.glob("*/*.json"):
            if (job := note.stem) in {name.partition("_")[0] for name in there}:
                self.jobs.add(job)
                self.runs |= {Path(run) for group in json.loads(note.read_text()) for run in group["runs"]}
        for job in sorted(self.jobs):
            complain(f"job {job} of an earlier command has some of the runs; waiting for it")

    def add(self, job: str, groups: "list[Group]") -> None:
        from mlbench.files import write
        from mlbench.runs.work import folder_of, notes

        write(folder_of(groups, self.folder.parent) / f"{job}.json", notes(groups))
        self.jobs.add(job)
        count = len(groups)
        complain(f"job {job}: {count} {'task' if count == 1 else 'tasks'}; they go on without this command")

    def wait(self) -> None:
        """Waits until SLURM has none of the jobs any more."""
        while tasks := self.tasks():
            for name, (state, reason) in tasks.items():
                if state == "PENDING" and "held" in reason.lower() and name not in self.held:
                    self.held.add(name)
                    complain(f"task {name} is held ({reason}); scontrol release {name} lets it start")
            time.sleep(LOOK)

    def tasks(self) -> dict[str, tuple[str, str]]:
        return {name: at for name, at in queued().items() if name.partition("_")[0] in self.jobs}


def queued(at_first: bool = False) -> dict[str, tuple[str, str]]:
    """State and reason of each task of this person's that SLURM has: waiting, at work, or about to end.

    A controller that does not answer is waited for, but not `at_first`.
    """
    command = ["squeue", "--noheader", "--array", "--user", getpass.getuser(), "--format", "%i|%T|%r"]
    while (done := subprocess.run(command, capture_output=True, text=True)).returncode:
        reason = f"squeue: {(done.stderr.strip() or 'no answer').splitlines()[-1]}"
        if at_first:
            raise UserError(f"launch=slurm: {reason}")
        complain(reason)
        time.sleep(LOOK * 5)
    rows = [line.split("|") for line in done.stdout.splitlines() if line.count("|") == 2]
    return {name: (state, reason) for name, state, reason in rows}


def submitit() -> Any:
    try:
        import submitit
    except ModuleNotFoundError as error:
        if error.name != "submitit":
            raise
        raise UserError("launch=slurm needs submitit: pip install 'multilabel-bench[slurm]'") from None
    return submitit
