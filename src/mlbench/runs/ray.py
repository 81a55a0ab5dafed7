"""launch=ray: each group of runs is a task of a Ray cluster, one that runs or one of this command's own."""

import os
import secrets
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from mlbench.errors import UserError, complain, sentence

if TYPE_CHECKING:
    from mlbench.runs.run import Run
    from mlbench.runs.work import Group

Count = Annotated[int, Field(ge=1)]
LOOK = 1.0  # seconds between two looks at what is at work
SAVING = 60.0  # seconds in which groups that are to stop save, at most
ANSWER = 10.0  # seconds in which a cluster's head answers
OBJECTS = 80 * 2**20  # bytes of a local cluster's object store: no group hands over anything
LOCAL, HERE = "local", "auto"
GB = 2**30
# A cluster of this machine alone: by the first its services listen on 127.0.0.1. The token keeps others out.
ON_THIS_MACHINE = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_AUTH_MODE": "token"}


class Ray:
    """Groups go out as tasks, and this process waits for them; they end with it."""

    in_this_process = False

    def __init__(
        self,
        address: str,
        minutes: Count,
        gpus: Annotated[float, Field(ge=0)] | None,
        cpus: Count,
        memory: Annotated[float, Field(gt=0)] | None,
        at_once: Count | None,
        retries: Annotated[int, Field(ge=0)],
        variables: dict[str, str],
        dry_run: bool,
    ):
        self.address, self.minutes, self.gpus, self.cpus = address, minutes, gpus, cpus
        self.memory, self.at_once, self.retries = memory, at_once, retries
        self.variables, self.dry_run = variables, dry_run

    def run(self, runs: "Sequence[Run]") -> None:
        """Has all groups made, and says what is left if some could not be."""
        from mlbench.files import write
        from mlbench.runs.seen import RAY
        from mlbench.runs.work import divided, folder_of, notes

        outputs = runs[0].config.paths.outputs
        groups = divided(runs, outputs, self.minutes * 60)
        folder = folder_of(groups, outputs)
        with connected(self.address, self.environment()) as ray:
            self.look_for_room(groups, nodes_of(ray))
            write(folder / f"{RAY}.json", notes(groups))
            self.carry_out(ray, groups, folder.absolute())
        if left := [run for run in runs if run.state == "missing"]:
            raise UserError(
                f"{len(left)} of {len(runs)} runs have no record; {folder} has the logs of their groups; the "
                "same command goes on where they stopped"
            )

    def foretold(self, runs: "Sequence[Run]") -> str:
        """The groups, and what each of them asks for."""
        from mlbench.runs.work import described, divided

        groups = divided(runs, runs[0].config.paths.outputs, self.minutes * 60)
        where = "a cluster that this command starts" if self.address == LOCAL else f"cluster {self.address}"
        asked = [f"{group.name}  {in_words(self.wanted(group))}" for group in groups]
        tries = f"max_retries={self.retries}, at most {self.at_once or len(groups)} at once"
        return "\n".join([*described(groups), "", f"tasks of {where}, {tries}:", *asked])

    def environment(self) -> dict[str, str]:
        from mlbench.runs.placing import THREADS

        ours = {name: value for name, value in os.environ.items() if name.startswith("MLBENCH_")}
        return ours | dict.fromkeys(THREADS, str(self.cpus)) | self.variables

    def wanted(self, group: "Group", most: float = float("inf")) -> dict[str, float]:
        """What a group takes of a node, in Ray's units; an estimate of memory counts up to `most`."""
        train = group.runs[0].config.train
        gpus = (train.devices if train.accelerator == "gpu" else 0) if self.gpus is None else self.gpus
        memory = min(group.memory or 0.0, most) if self.memory is None else self.memory * GB
        wanted = {"CPU": float(self.cpus), "GPU": float(gpus), "memory": float(int(memory))}
        return {name: amount for name, amount in wanted.items() if amount}

    def look_for_room(self, groups: "list[Group]", nodes: list[dict[str, float]]) -> None:
        """Looks for a node that is large enough for each group. Without one a local cluster is an error; any
        other cluster may still get such a node, so a message says that the group waits for it.
        """
        for group in groups:
            wanted = self.wanted(group, memory_of(nodes))
            if any(all(node.get(name, 0) >= amount for name, amount in wanted.items()) for node in nodes):
                continue
            there = " or ".join(sorted({in_words(node) for node in nodes}))
            lacking = f"a group asks for {in_words(wanted)}, and no node has that; there is {there}"
            if self.address == LOCAL:
                raise UserError(f"launch=ray: {lacking}")
            complain(f"{lacking}; waiting for such a node")
            return

    def carry_out(self, ray: Any, groups: "list[Group]", logs: Path) -> None:
        """The longest group first, `at_once` of them at a time; all are stopped if this process is."""
        most = memory_of(nodes_of(ray))
        task = ray.remote(work)
        waiting, at_work = list(groups), {}
        try:
            while waiting or at_work:
                while waiting and len(at_work) < (self.at_once or len(groups)):
                    group = waiting.pop(0)
                    asked = self.options(group, most)
                    words = [list(run.overrides) for run in group.runs]
                    log = logs / f"{group.name}.log"
                    at_work[task.options(**asked).remote(words, str(Path.cwd()), str(log))] = group
                for done in ray.wait([*at_work], timeout=LOOK)[0]:
                    ended(ray, done, at_work.pop(done))
        except KeyboardInterrupt:
            stop(ray, [*at_work])
            raise

    def options(self, group: "Group", most: float) -> dict[str, Any]:
        wanted = self.wanted(group, most)
        named = {"num_cpus": wanted["CPU"], "num_gpus": wanted.get("GPU", 0)}
        memory = {"memory": wanted["memory"]} if "memory" in wanted else {}
        return named | memory | {"max_retries": self.retries, "name": f"mlbench {group.name}"}


def work(group: list[list[str]], folder: str, log: str) -> None:
    """What a task does, in a process of the cluster: the runs of a group, by the words of each.

    A group that Ray cancels has been stopped by its command. Any other that is stopped, as by the SIGTERM of
    a node which is to go, ends its process, and so begins again elsewhere, from what it has saved.
    """
    import ray  # pyright: ignore[reportMissingImports]

    os.chdir(folder)
    with Path(log).open("a", buffering=1) as file, redirect_stdout(file), redirect_stderr(file):
        try:
            from mlbench.runs.composed import runs_of  # imports torch
            from mlbench.runs.turns import in_turn

            in_turn(runs_of(group))
        except KeyboardInterrupt:
            if ray.get_runtime_context().is_canceled():
                raise
            sys.exit(1)


def ended(ray: Any, task: Any, group: "Group") -> None:
    """Says what a task ended with, unless it is well: its runs say by themselves what became of them."""
    try:
        ray.get(task)
    except ray.exceptions.RayError as error:
        complain(f"group {group.name}: {sentence(getattr(error, 'cause', None) or error)}")


def stop(ray: Any, tasks: list[Any]) -> None:
    """Has the groups save and stop; a second Ctrl-C ends the waiting for that."""
    for task in tasks:
        ray.cancel(task)
    if tasks:
        ray.wait(tasks, num_returns=len(tasks), timeout=SAVING)


@contextmanager
def connected(address: str, variables: dict[str, str]) -> Iterator[Any]:
    """Ray, connected to a cluster. A local one is gone afterwards, and its files with it.

    Ray tells of lost workers on stdout, which is for what the command prints.
    """
    check(address)
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    with ExitStack() as left:
        left.enter_context(redirect_stdout(sys.stderr))
        named = {"address": address, "runtime_env": {"env_vars": variables}}
        if address == LOCAL:
            folder = left.enter_context(
                tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True)
            )
            os.environ.update(ON_THIS_MACHINE)
            os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
            named |= {"include_dashboard": False, "object_store_memory": OBJECTS, "_temp_dir": folder}
        ray = imported()
        before = signal.getsignal(signal.SIGTERM)
        try:
            ray.init(**named, log_to_driver=False, logging_level="ERROR")
        except (ConnectionError, RuntimeError, ValueError, OSError) as error:
            raise UserError(f"launch=ray: no cluster at {address}: {sentence(error)}") from error
        left.callback(ray.shutdown)
        signal.signal(signal.SIGTERM, before)
        yield ray


def own_folder() -> tempfile.TemporaryDirectory:
    return tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True)


def check(address: str) -> None:
    """Ray itself waits for minutes where nobody answers."""
    if address in (LOCAL, HERE):
        return
    host, colon, port = address.rpartition(":")
    if not (colon and host and port.isdecimal()) or "/" in host:
        raise UserError(f"launch.address={address}: {LOCAL}, {HERE}, or host:port of a cluster's head")
    try:
        socket.create_connection((host, int(port)), timeout=ANSWER).close()
    except (OSError, OverflowError) as error:
        raise UserError(f"launch.address={address}: nobody answers there ({error})") from error


def imported() -> Any:
    try:
        import ray  # pyright: ignore[reportMissingImports]
    except ModuleNotFoundError as error:
        if error.name != "ray":
            raise
        raise UserError("launch=ray needs Ray: pip install 'multilabel-bench[ray]'") from None
    return ray


def nodes_of(ray: Any) -> list[dict[str, float]]:
    """What each node of the cluster has."""
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def memory_of(nodes: list[dict[str, float]]) -> float:
    """The memory in bytes of the node with the most."""
    return max((node.get("memory", 0.0) for node in nodes), default=0.0)


def in_words(resources: dict[str, float]) -> str:
    """2 CPU, 1 GPU, 1.5 GB"""
    counted = [f"{resources[name]:g} {name}" for name in ("CPU", "GPU") if resources.get(name)]
    memory = resources.get("memory")
    return ", ".join([*counted, *([f"{memory / GB:.1f} GB"] if memory else [])])
