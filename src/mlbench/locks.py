"""Locks by which processes share files: the system's own, and on the file systems of networks leases.

A lease is a file beside the lock's, `<name>.lease`, which names host and process. Its holder touches it every
LEASE / 3 seconds. It is taken over when its process is gone from this host, or when whoever waits has seen no
touch for LEASE seconds by a clock of its own: the clocks of hosts may differ.
"""

import functools
import os
import re
from collections.abc import Callable
from pathlib import Path

from filelock import BaseFileLock, FileLock, LeaseCompromise, Timeout

from mlbench.errors import UserError, complain
from mlbench.lease import Lease

LEASE = 60.0  # the same for all who share a folder
VARIABLE = "MLBENCH_LOCKS"
KINDS = ("auto", "system", "lease")
MOUNTS = Path("/proc/self/mountinfo")
SHARED = (
    *(
        "nfs",
        "nfs4",
        "lustre",
        "cifs",
        "smb3",
        "smbfs",
        "gpfs",
        "beegfs",
        "ceph",
        "glusterfs",
        "afs",
        "panfs",
    ),
    *("orangefs", "pvfs2", "wekafs", "ocfs2", "gfs2", "fuse.sshfs", "fuse.glusterfs", "fuse.ceph"),
    *("fuse.ceph-fuse", "fuse.juicefs", "fuse.beegfs", "fuse.rclone", "fuse.s3fs"),
)  # types of file systems that several machines may see


def lock(path: Path, timeout: float = -1) -> BaseFileLock:
    """The lock of that name, which works where its folder lies; not yet acquired. -1: it waits for ever."""
    if not leased(path):
        return FileLock(path, timeout=timeout)
    _tell(path.parent)
    name = path.with_name(f"{path.name}.lease")
    return Lease(name, lease_duration=LEASE, on_compromise=_lost(name), timeout=timeout, poll_interval=0.5)


def locked(path: Path) -> bool:
    """Whether somebody holds the lock of that name. An OSError where nobody can hold it from here."""
    if not any(each.exists() for each in (path, path.with_name(f"{path.name}.lease"))):
        return False
    try:
        with _asked(path, leased(path)):
            return False
    except Timeout:
        return True


@functools.lru_cache(10_000)
def _asked(path: Path, _: bool) -> BaseFileLock:
    """The lock of a path, kept: only repeated looks of the same lock show that a lease is abandoned."""
    return lock(path, timeout=0)


def leased(path: Path) -> bool:
    """Whether locks in the folder of that file are leases."""
    asked = os.environ.get(VARIABLE) or "auto"
    if asked not in KINDS:
        raise UserError(f"{VARIABLE}={asked}: choose {', '.join(KINDS)}")
    return asked == "lease" or (asked == "auto" and type_of(path.parent) in SHARED)


def type_of(folder: Path) -> str:
    """The type of a folder's file system; empty where the system does not say."""
    there = next((each for each in (folder.absolute(), *folder.absolute().parents) if each.exists()), None)
    return "" if there is None else _type_of(there.stat().st_dev, MOUNTS)


@functools.cache
def _type_of(device: int, mounts: Path) -> str:
    named = f"{os.major(device)}:{os.minor(device)}" if hasattr(os, "major") else ""
    try:
        lines = [line.split(" - ") for line in mounts.read_text(errors="replace").splitlines()]
    except OSError:
        return ""
    types = [parts[-1].split()[0] for parts in lines if re.match(rf"\d+ \d+ {named} ", parts[0])]
    return types[-1] if types else ""


@functools.cache
def _tell(folder: Path) -> None:
    _tell_once(type_of(folder) or "a file system of no known type")


@functools.cache
def _tell_once(kind: str) -> None:
    complain(f"locks on {kind} are leases: what a lost process held is taken over after {LEASE:.0f} seconds")


def _lost(name: Path) -> Callable[[LeaseCompromise], None]:
    def say(_: LeaseCompromise) -> None:
        complain(f"{name} was taken over while this process did not answer: another may do the same work")

    return say
