"""A SLURM of one machine: munged, slurmctld and slurmd on 127.0.0.1, two CPUs, no cgroups, no database."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

from commands import until

NEEDED = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scontrol", "scancel")
CONF = """
ClusterName=test
SlurmctldHost={name}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={top}/munge.sock,cred_expire=5
StateSaveLocation={top}/state
SlurmdSpoolDir={top}/spool
SlurmctldPidFile={top}/slurmctld.pid
SlurmdPidFile={top}/slurmd.pid
SlurmctldLogFile={top}/slurmctld.log
SlurmdLogFile={top}/slurmd.log
ProctrackType=proctrack/pgid
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
LaunchParameters=disable_send_gids
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=sched_interval=2
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SlurmdTimeout=8
ReturnToService=2
KillWait=10
SlurmctldPort={port}
SlurmdPort={second}
MpiDefault=none
MailProg=/bin/true
NodeName={name} NodeAddr=127.0.0.1 CPUs=2 RealMemory=4000 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP GraceTime=60
PartitionName=first Nodes=ALL PriorityTier=9 State=UP
"""


def lacking() -> str:
    """Why no SLURM can be started here; nothing if it can."""
    if missing := [name for name in NEEDED if not shutil.which(name)]:
        return f"no {missing[0]} here: apt-get install slurm-wlm munge"
    return "" if os.geteuid() == 0 else "slurmd starts tasks as root only"


class Cluster:
    """Started in a folder; its programs are stopped by the numbers that they have written there."""

    def __init__(self, top: Path):
        self.top, self.name = top, socket.gethostname().partition(".")[0]
        for folder in ("state", "spool"):
            (top / folder).mkdir()
        self.conf = top / "slurm.conf"
        self.variables = {"SLURM_CONF": str(self.conf)}
        port, second = free_ports()
        self.conf.write_text(CONF.format(top=top, name=self.name, port=port, second=second))
        (top / "cgroup.conf").write_text("CgroupPlugin=autodetect\n")
        (top / "munge.key").write_bytes(os.urandom(1024))
        (top / "munge.key").chmod(0o600)

    def start(self) -> None:
        top = self.top
        files = {"key-file": "munge.key", "socket": "munge.sock", "pid-file": "munged.pid"}
        files |= {"log-file": "munged.log", "seed-file": "seed"}
        self.call("munged", "--force", *(f"--{name}={top / file}" for name, file in files.items()))
        self.call("slurmctld", "-f", str(self.conf))
        until(lambda: "UP" in self.call("scontrol", "ping", check=False))
        self.start_node()

    def start_node(self) -> None:
        self.call("slurmd", "-f", str(self.conf))
        until(
            lambda: self.call("sinfo", "-h", "-p", "main", "-o", "%t", check=False).strip() in ("idle", "mix")
        )

    def call(self, *words: str, check: bool = True) -> str:
        done = subprocess.run(words, capture_output=True, text=True, env=os.environ | self.variables)
        assert done.returncode == 0 or not check, f"{words}: {done.stderr}"
        return done.stdout

    def pid(self, program: str) -> int | None:
        try:
            return int((self.top / f"{program}.pid").read_text())
        except (OSError, ValueError):
            return None

    def tasks(self) -> list[int]:
        """The processes of tasks and their shepherds, found by the configuration in their environment."""
        own = {os.getpid(), self.pid("slurmctld"), self.pid("slurmd"), self.pid("munged")}
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                number = int(folder.name)
                environment = (folder / "environ").read_bytes().split(b"\0")
                of_a_task = b"SLURM_JOB_ID=" in b"".join(part[:13] for part in environment)
                shepherd = b"slurmstepd" in (folder / "cmdline").read_bytes()
            except OSError:
                continue
            ours = f"SLURM_CONF={self.conf}".encode() in environment
            if ours and (of_a_task or shepherd) and number not in own:
                found.append(number)
        return found

    def kill_slurmd(self) -> None:
        """Only it: the tasks that it has started go on."""
        number = self.pid("slurmd")
        kill(number, signal.SIGKILL)
        until(lambda: not Path(f"/proc/{number}").exists())
        (self.top / "slurmd.pid").unlink(missing_ok=True)

    def freeze(self) -> list[int]:
        """The tasks and their shepherds, which are stopped until somebody lets them go on."""
        numbers = self.tasks()
        for number in numbers:
            kill(number, signal.SIGSTOP)
        return numbers

    def state(self) -> str:
        """Of the node, by the controller."""
        return self.call("sinfo", "-h", "-p", "main", "-o", "%T", check=False).strip()

    def lose_node(self) -> None:
        """As if its plug was pulled: slurmd, and all that it has started."""
        for number in [self.pid("slurmd"), *self.tasks()]:
            kill(number, signal.SIGKILL)
        (self.top / "slurmd.pid").unlink(missing_ok=True)

    def stop(self) -> None:
        self.call("scancel", "--user=root", check=False)
        self.lose_node()
        for program in ("slurmctld", "munged"):
            number = self.pid(program)
            kill(number, signal.SIGTERM)
            end = time.monotonic() + 10
            while number and Path(f"/proc/{number}").exists() and time.monotonic() < end:
                time.sleep(0.05)
            kill(number, signal.SIGKILL)

    def restarts(self, job: str) -> list[int]:
        """How often each task of a job was put back into the queue."""
        shown = self.call("scontrol", "show", "job", job)
        return [int(word.partition("=")[2]) for word in shown.split() if word.startswith("Restarts=")]


def kill(number: int | None, which: int) -> None:
    if number:
        with contextlib.suppress(ProcessLookupError):
            os.kill(number, which)


def free_ports() -> tuple[int, int]:
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        return one.getsockname()[1], other.getsockname()[1]
