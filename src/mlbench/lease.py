"""A lease: a file that exists while somebody holds it, on file systems that several machines see.

filelock's lease succeeds a lost holder by exchanging two names in one step, which NFS, Lustre, SMB and SSHFS
refuse: there it would stay held for ever. Here whoever finds a lease abandoned removes it, under a lease that
is named after it: of several who found it, none removes what another has made since.
"""

import errno
import functools
import hashlib
import os
import time
from contextlib import suppress
from pathlib import Path

from filelock import SoftFileLease, Timeout

REFUSALS = 3  # claims in a row that chance may refuse


class Lease(SoftFileLease):
    _looked: tuple[object, float, float] | None = None  # what was seen, when last, for how long
    _freed = False  # whether this object has just removed an abandoned lease
    _remover: "Lease | None" = None
    _refused = 0  # claims in a row that were not permitted, without another's file

    def _acquire(self) -> None:
        self._ask_once()
        if self._freed:
            self._freed = False
            if not self.is_locked:
                self._ask_once()

    def _ask_once(self) -> None:
        """SFTP knows no word for a file that exists: of two that make it at once, the later one is not
        permitted to. Where the file is gone again, the next claims tell whether anybody is.
        """
        try:
            super()._acquire()
            self._refused = 0
        except PermissionError as error:
            self._refused = 0 if os.path.lexists(self.lock_file) else self._refused + 1
            if error.errno != errno.EPERM or self._refused > REFUSALS:
                raise

    def _try_break_stale_lock(self) -> None:
        """Of an empty file, too: the host of its holder died before the name was on the server."""
        super()._try_break_stale_lock()
        with suppress(OSError):
            marker = os.lstat(self.lock_file)
            if not marker.st_size and self._marker_unchanged_for(marker) >= self.lease_duration:
                self._take_over(marker, None)

    def _marker_unchanged_for(self, marker: os.stat_result) -> float:
        """For how long looks at the file have seen no touch.

        A pause between two looks counts as one touch's time at most: while a server does not answer, or all
        processes are suspended, no holder can touch its file, and whoever waits may wake up before it. The
        content, which names one claim of one process, is read anew where times and inodes are out of a cache.
        """
        now, seen = time.monotonic(), self._seen(self._content(), marker)
        before, last, passed = self._looked or (None, now, 0.0)
        passed = passed + min(now - last, self._heartbeat_interval) if seen == before else 0.0
        self._looked = seen, now, passed
        return passed

    def _take_over(self, marker: os.stat_result, breaker_pid: int | None) -> None:
        """Removes the file that was found abandoned, by looks or since its process, `breaker_pid`, is gone.

        Not if it was touched meanwhile, is another one by now, or if another process removes it.
        """
        content = self._content()
        if breaker_pid is None:
            judged = self._looked is not None and self._looked[0] == self._seen(content, marker)
        elif (owner := self.owner) and (owner.start or 0) >> 64 == boot():
            judged = owner.pid == breaker_pid
        else:  # of another machine with the name of this one, where that process may well live
            judged = self._marker_unchanged_for(marker) >= self.lease_duration
        if not judged:
            return
        with suppress(Timeout), self._removing(content):
            now = os.lstat(self.lock_file)
            if self._seen(self._content(), now) == self._seen(content, marker):
                Path(self.lock_file).unlink()
                self._freed = True

    def _removing(self, content: bytes) -> "Lease":
        """The lease of whoever removes this one."""
        name = f"{self.lock_file}.{hashlib.sha256(content).hexdigest()[:16]}.lease"
        if self._remover is None or self._remover.lock_file != name:
            self._remover = Lease(name, lease_duration=self.lease_duration, timeout=0)
        return self._remover

    def _content(self) -> bytes:
        return Path(self.lock_file).read_bytes()

    def _seen(self, content: bytes, marker: os.stat_result) -> object:
        return content, marker.st_mtime_ns, marker.st_ino, marker.st_ctime_ns


@functools.cache
def boot() -> int:
    """A number of this machine since its start, which filelock notes with a lease; 0 where there is none."""
    with suppress(OSError, ValueError):
        return int(Path("/proc/sys/kernel/random/boot_id").read_text().strip().replace("-", ""), 16)
    return 0
