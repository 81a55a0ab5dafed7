"""Locks: the system's own, and leases where several machines see a folder."""

import contextlib
import errno
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
from filelock import SoftFileLease, Timeout, UnixFileLock

from commands import PATIENCE
from mlbench import locks
from mlbench.errors import UserError
from mlbench.results import store
from sshfs import SERVERS, sshfs

SHORT = 1.5  # seconds of a lease, here
HOLDING = f"""import sys, time
from pathlib import Path
from mlbench import locks
locks.LEASE = float(sys.argv[2]) if sys.argv[2:] else {SHORT}
with locks.lock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""
WAITING = f"""import sys, time
from pathlib import Path
from mlbench import locks
locks.LEASE = {SHORT}
begun = time.monotonic()
with locks.lock(Path(sys.argv[1]), timeout=float(sys.argv[2])):
    print(time.monotonic() - begun, flush=True)
"""
IN_AND_OUT = """    with open(sys.argv[3], "a", buffering=1) as log:
        log.write("in\\n")
        time.sleep(0.2)
        log.write("out\\n")
"""
ELSEWHERE = ["unshare", "--uts", "sh", "-c", 'hostname elsewhere && exec "$@"', "sh"]


@pytest.fixture(autouse=True)
def nothing_said_yet(monkeypatch):
    monkeypatch.delenv(locks.VARIABLE, raising=False)
    for kept in (locks._tell, locks._tell_once, locks._asked, locks._type_of):
        kept.cache_clear()
    yield
    locks._asked.cache_clear()


@pytest.fixture
def leases(monkeypatch):
    monkeypatch.setenv(locks.VARIABLE, "lease")
    monkeypatch.setattr(locks, "LEASE", SHORT)


@pytest.fixture
def begin():
    """begin(code, *words) starts Python on what seems to be another host."""
    if subprocess.run([*ELSEWHERE, "true"], capture_output=True).returncode:
        pytest.skip("this user may not start a process with a host name of its own")
    begun = []

    def begin(code, *words, elsewhere=True):
        command = [*(ELSEWHERE if elsewhere else []), sys.executable, "-c", code, *map(str, words)]
        begun.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        return begun[-1]

    yield begin
    for process in begun:
        process.kill()
        process.communicate(timeout=PATIENCE)


@pytest.fixture
def mounted(monkeypatch, tmp_path):
    """mounted("nfs4"): the test's folder seems to lie on that file system."""

    def mounted(kind):
        device = tmp_path.stat().st_dev
        table = tmp_path / f"mounts-{kind}"
        line = (
            f"36 35 {os.major(device)}:{os.minor(device)} / /mnt/x rw,relatime shared:1 - {kind} server:/x rw"
        )
        table.write_text(f"22 27 0:99999 / /proc rw - proc proc rw\n{line}\n")
        monkeypatch.setattr(locks, "MOUNTS", table)

    return mounted


@pytest.fixture
def mounts(tmp_path):
    """One folder as two hosts see it that have mounted it by SSHFS, here without SSH."""
    server = next((path for path in SERVERS if os.access(path, os.X_OK)), None)
    if not server or not shutil.which("sshfs"):
        pytest.skip("no SSHFS here: apt-get install sshfs openssh-sftp-server")
    (tmp_path / "shared").mkdir()
    with contextlib.ExitStack() as stack:
        mounted = [stack.enter_context(sshfs(server, tmp_path / "shared", tmp_path / name)) for name in "ab"]
        yield mounted


@pytest.mark.parametrize(
    ("kind", "lease"),
    [
        ("nfs", True),
        ("nfs4", True),
        ("lustre", True),
        ("fuse.sshfs", True),
        ("ext4", False),
        ("tmpfs", False),
    ],
)
def test_the_file_system_says_which_lock(kind, lease, mounted, tmp_path, capfd):
    mounted(kind)
    for folder in (tmp_path, tmp_path / "not" / "yet"):
        assert isinstance(locks.lock(folder / ".lock"), SoftFileLease if lease else UnixFileLock)
    said = capfd.readouterr().err
    assert said == (
        f"mlbench: locks on {kind} are leases: what a lost process held is taken over after 60 seconds\n"
        if lease
        else ""
    )


def test_a_person_may_say_which(mounted, tmp_path, monkeypatch):
    mounted("nfs4")
    monkeypatch.setenv(locks.VARIABLE, "system")
    assert isinstance(locks.lock(tmp_path / ".lock"), UnixFileLock)
    monkeypatch.setenv(locks.VARIABLE, "flock")
    with pytest.raises(UserError, match="MLBENCH_LOCKS=flock: choose auto, system, lease"):
        locks.lock(tmp_path / ".lock")


def test_this_machine_is_read_without_an_error(tmp_path):
    assert locks.type_of(tmp_path) not in locks.SHARED


def test_a_system_without_a_table_of_mounts_has_its_own_locks(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "MOUNTS", tmp_path / "none")
    assert locks.type_of(tmp_path) == "" and not locks.leased(tmp_path / ".lock")


@pytest.mark.parametrize("kind", ["system", "lease"])
def test_one_holds_it_and_others_see_that(kind, tmp_path, monkeypatch):
    monkeypatch.setenv(locks.VARIABLE, kind)
    path = tmp_path / ".lock"
    assert not locks.locked(path)
    with locks.lock(path):
        assert locks.locked(path) and locks.locked(path)
        with pytest.raises(Timeout):
            locks.lock(path, timeout=0).acquire()
    assert not locks.locked(path)
    with locks.lock(path, timeout=0):
        pass


def test_a_holder_on_another_host_keeps_it_however_long(leases, begin, tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "LEASE", 4.0)  # so long that a busy machine lets the holder touch it in time
    path = tmp_path / ".lock"
    holder = begin(HOLDING, path, locks.LEASE)
    assert holder.stdout.readline() == "held\n"
    os.utime(path.with_name(".lock.lease"), (0, 0))  # its clock may be wrong by years
    until = time.monotonic() + 1.3 * locks.LEASE
    while time.monotonic() < until:
        assert locks.locked(path)
        time.sleep(0.2)


def test_a_holder_that_was_killed_elsewhere_is_succeeded_once_the_lease_is_over(leases, begin, tmp_path):
    path = tmp_path / ".lock"
    holder = begin(HOLDING, path)
    assert holder.stdout.readline() == "held\n"
    holder.kill()
    holder.wait(PATIENCE)
    ahead = time.time() + 3600  # by the clock of a host that is an hour ahead
    os.utime(path.with_name(".lock.lease"), (ahead, ahead))
    waiting = begin(WAITING, path, PATIENCE, elsewhere=False)
    assert float(waiting.stdout.readline()) >= SHORT
    assert waiting.wait(PATIENCE) == 0 and not locks.locked(path)


def test_a_holder_that_was_killed_here_is_succeeded_at_once(leases, begin, tmp_path):
    path = tmp_path / ".lock"
    holder = begin(HOLDING, path, elsewhere=False)
    assert holder.stdout.readline() == "held\n"
    assert locks.locked(path)
    holder.kill()
    holder.wait(PATIENCE)
    with locks.lock(path, timeout=0.9 * SHORT):
        pass


def test_it_is_succeeded_where_two_names_cannot_be_exchanged(leases, begin, tmp_path, monkeypatch):
    """As on NFS, Lustre and SMB, which refuse what filelock takes a lease over by."""
    monkeypatch.setattr("filelock._soft.exchange_names", lambda *_: False)
    monkeypatch.setattr("filelock._util.exchange_names", lambda *_: False)
    path = tmp_path / ".lock"
    for elsewhere in (True, False):
        holder = begin(HOLDING, path, elsewhere=elsewhere)
        assert holder.stdout.readline() == "held\n"
        holder.kill()
        holder.wait(PATIENCE)
        with locks.lock(path, timeout=10 * SHORT if elsewhere else 0):
            assert [each.name for each in tmp_path.iterdir()] == [".lock.lease"]
        assert not list(tmp_path.iterdir())


def test_it_is_succeeded_after_one_who_died_while_succeeding(leases, begin, tmp_path):
    path = tmp_path / ".lock"
    holders = [begin(HOLDING, path)]
    assert holders[0].stdout.readline() == "held\n"
    (lease,) = tmp_path.iterdir()
    remover = locks.Lease(path.with_name(".lock.lease"), lease_duration=SHORT)._removing(lease.read_bytes())
    holders.append(begin(HOLDING, remover.lock_file.removesuffix(".lease")))
    assert holders[1].stdout.readline() == "held\n"
    for holder in holders:
        holder.kill()
        holder.wait(PATIENCE)
    with locks.lock(path, timeout=20 * SHORT):
        pass
    assert not list(tmp_path.iterdir())


def test_a_pause_of_all_makes_no_holder_a_dead_one(leases, begin, tmp_path, monkeypatch):
    """A server that does not answer, machines that sleep: who asks may go on before the holder does."""
    path, monotonic = tmp_path / ".lock", time.monotonic
    holder = begin(HOLDING, path)
    assert holder.stdout.readline() == "held\n"
    holder.send_signal(signal.SIGSTOP)
    assert locks.locked(path)
    monkeypatch.setattr(time, "monotonic", lambda: monotonic() + 1000)
    assert locks.locked(path)
    holder.kill()
    until = monotonic() + PATIENCE
    while locks.locked(path):
        assert monotonic() < until
        time.sleep(0.1)


def test_a_holder_whose_name_was_never_written_is_succeeded(leases, tmp_path):
    (tmp_path / ".lock.lease").touch()
    with pytest.raises(Timeout):
        locks.lock(tmp_path / ".lock", timeout=SHORT / 2).acquire()
    with locks.lock(tmp_path / ".lock", timeout=10 * SHORT):
        pass


def test_two_hosts_share_a_folder_by_sshfs(begin, mounts, monkeypatch):
    """Detected, kept while its holder lives, and taken over by one of several when he is gone."""
    monkeypatch.setattr(locks, "LEASE", SHORT)
    here, there = mounts
    holder = begin(HOLDING, there / ".lock")
    assert holder.stdout.readline() == "held\n" and (here / ".lock.lease").exists()
    with pytest.raises(Timeout):
        locks.lock(here / ".lock", timeout=3 * SHORT).acquire()
    code = WAITING.replace("    print(", f"{IN_AND_OUT}    print(")
    log = here.parent / "log"
    waiting = [
        begin(code, folder / ".lock", PATIENCE, log, elsewhere=folder == there)
        for folder in (here, there, here, there)
    ]
    holder.kill()
    statuses = [process.wait(PATIENCE) for process in waiting]
    assert statuses == [0] * 4, "".join(process.stderr.read() for process in waiting)
    assert log.read_text().split() == ["in", "out"] * 4 and not list(here.iterdir())


@pytest.fixture
def sftp(monkeypatch):
    """sftp(n): the next n files that are to be new are refused as by SFTP where the file exists."""
    opened, left = os.open, []

    def refused(path, flags, *arguments, **options):
        if flags & os.O_EXCL and str(path).endswith(".lease") and left:
            left.pop()
            raise PermissionError(errno.EPERM, "Operation not permitted", str(path))
        return opened(path, flags, *arguments, **options)

    monkeypatch.setattr(os, "open", refused)
    return lambda count: left.__setitem__(slice(None), range(count))


def test_who_comes_second_on_sshfs_waits(leases, begin, sftp, tmp_path):
    """SFTP knows no word for a file that exists."""
    path = tmp_path / ".lock"
    holder = begin(HOLDING, path)
    assert holder.stdout.readline() == "held\n"
    sftp(1000)
    with pytest.raises(Timeout):
        locks.lock(path, timeout=0.5).acquire()
    holder.kill()
    holder.wait(PATIENCE)
    sftp(0)
    with locks.lock(path, timeout=PATIENCE):
        pass


def test_a_folder_that_nobody_may_write_to_is_an_error(leases, sftp, tmp_path):
    sftp(2)
    with locks.lock(tmp_path / ".lock", timeout=PATIENCE):
        pass
    sftp(1000)
    with pytest.raises(PermissionError):
        locks.lock(tmp_path / ".lock", timeout=PATIENCE).acquire()


def test_a_machine_of_the_same_name_is_another_host(leases, begin, tmp_path, monkeypatch):
    """Whose processes this machine does not see, so that it must not take them for dead ones."""
    path = tmp_path / ".lock"
    holder = begin(HOLDING, path, elsewhere=False)
    assert holder.stdout.readline() == "held\n"
    holder.kill()
    holder.wait(PATIENCE)
    monkeypatch.setattr("mlbench.lease.boot", lambda: 1)
    with pytest.raises(Timeout):
        locks.lock(path, timeout=0).acquire()
    with locks.lock(path, timeout=10 * SHORT):
        pass


def test_who_asks_now_and_then_sees_that_a_holder_is_gone(leases, begin, tmp_path):
    path = tmp_path / ".lock"
    holder = begin(HOLDING, path)
    assert holder.stdout.readline() == "held\n"
    holder.kill()
    holder.wait(PATIENCE)
    assert locks.locked(path)
    until = time.monotonic() + PATIENCE
    while locks.locked(path):
        assert time.monotonic() < until
        time.sleep(0.1)


def test_of_several_who_wait_one_at_a_time_holds_it(leases, begin, tmp_path):
    path, log = tmp_path / ".lock", tmp_path / "log"
    code = WAITING.replace("    print(", f"{IN_AND_OUT}    print(")
    holder = begin(HOLDING, path)
    assert holder.stdout.readline() == "held\n"
    waiting = [begin(code, path, PATIENCE, log, elsewhere=bool(number % 2)) for number in range(4)]
    time.sleep(0.5)
    holder.kill()
    assert [process.wait(PATIENCE) for process in waiting] == [0] * 4
    assert log.read_text().split() == ["in", "out"] * 4


def test_a_holder_that_slept_is_told_that_another_went_on(leases, begin, tmp_path):
    path = tmp_path / ".lock"
    holder = begin(HOLDING, path)
    assert holder.stdout.readline() == "held\n"
    holder.send_signal(signal.SIGSTOP)
    with locks.lock(path, timeout=PATIENCE):
        holder.send_signal(signal.SIGCONT)
        assert holder.stderr.readline().startswith("mlbench: locks on ")
        assert "was taken over while this process did not answer" in holder.stderr.readline()
        assert locks.locked(path)


def test_a_run_is_claimed_by_one_of_two_hosts(leases, begin, tmp_path):
    run = tmp_path / "scene" / "erm" / "2a"
    run.mkdir(parents=True)
    holder = begin(HOLDING, run / ".lock")
    assert holder.stdout.readline() == "held\n"
    assert store.claimed(run)
    with pytest.raises(store.Busy), store.claim(run, wait=False):
        pass
    holder.kill()
    with store.claim(run):
        assert store.claimed(run)
    assert not store.claimed(run)


def test_a_run_under_leases_is_the_run_under_locks(at_once, folder):
    assert at_once("method=prior").status == 0
    records = list((folder / "outputs").rglob("scores.npz"))
    before = records[0].read_bytes()
    done = at_once("method=prior", "force=true", MLBENCH_LOCKS="lease")
    assert done.status == 0 and "are leases: what a lost process held" in done.err
    assert records[0].read_bytes() == before and not list(folder.rglob("*.lease"))
