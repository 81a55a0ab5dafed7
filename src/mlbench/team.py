"""The processes that torchrun or srun has started with one command, as the environment tells this one."""

import functools
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

from mlbench.errors import UserError


@dataclass(frozen=True)
class Team:
    """This process is number `rank` of `size`; of these, `here` run on its node, the node number `node`."""

    rank: int
    size: int
    local: int  # its number on its node, which is that of its device
    here: int
    node: int
    host: str
    port: int  # at which the processes meet
    kept: bool  # whether the launcher listens there already


@functools.cache
def team() -> Team | None:
    """The team of this process; None for a process that was started by itself."""
    return started_team(os.environ)


def started_team(around: Mapping[str, str]) -> Team | None:
    """The team that the variables of torchrun, or else those of a step of srun, describe."""
    if "TORCHELASTIC_RUN_ID" in around:
        made = Team(
            rank=int(around["RANK"]),
            size=int(around["WORLD_SIZE"]),
            local=int(around["LOCAL_RANK"]),
            here=int(around["LOCAL_WORLD_SIZE"]),
            node=int(around["GROUP_RANK"]),
            host=around["MASTER_ADDR"],
            port=int(around["MASTER_PORT"]),
            kept=around.get("TORCHELASTIC_USE_AGENT_STORE") == "True",
        )
    elif "SLURM_STEP_NUM_TASKS" in around:  # which a batch script by itself has not
        size, nodes = int(around["SLURM_STEP_NUM_TASKS"]), int(around.get("SLURM_STEP_NUM_NODES", "1"))
        rank, local, node = (int(around[name]) for name in ("SLURM_PROCID", "SLURM_LOCALID", "SLURM_NODEID"))
        host = around.get("MASTER_ADDR") or first_host(around["SLURM_STEP_NODELIST"])
        step = int(around["SLURM_JOB_ID"]) * 10 + int(around["SLURM_STEP_ID"])
        port = int(around.get("MASTER_PORT") or 15_000 + step % 10_000)  # all agree on it without a word
        made = Team(rank, size, local, size // nodes, node, host, port, kept=False)
    else:
        return None
    if made.size % made.here:
        raise UserError(
            f"{made.size} processes on nodes of {made.here}: each node needs as many as the others"
        )
    return made if made.size > 1 else None


def first_host(nodes: str) -> str:
    """The first of SLURM's host names: `gpu[07-09],login` begins with gpu07."""
    return re.sub(r"\[(\d+).*", r"\1", nodes.partition(",")[0])


def rank_here() -> int:
    """The number that torchrun or srun has given to this process, whether or not the team can be."""
    return int(os.environ.get("RANK", os.environ.get("SLURM_PROCID", "0")))


def words(arguments: list[str], size: int) -> list[str]:
    """A command's words with the number of devices that a team of this size stands for."""
    elsewhere = ("processes=", "launch=", "launch.processes=", "hydra/launcher=")
    if word := next((word for word in arguments if word.startswith(elsewhere)), ""):
        raise UserError(f"{word}: {size} processes were started, which train each run together; leave it out")
    devices = [word for word in arguments if word.startswith("train.devices=")]
    if devices and devices[-1] != f"train.devices={size}":
        raise UserError(
            f"{devices[-1]}: {size} processes were started, which are train.devices={size}; leave it out"
        )
    return arguments if devices else [*arguments, f"train.devices={size}"]
