"""A folder mounted by SSHFS, here without SSH."""

import contextlib
import socket
import subprocess
import time

import pytest

from commands import PATIENCE

SERVERS = ("/usr/lib/openssh/sftp-server", "/usr/libexec/openssh/sftp-server", "/usr/lib/ssh/sftp-server")


@contextlib.contextmanager
def sshfs(server, source, mount):
    mount.mkdir()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        serving = subprocess.Popen([server], stdin=ours.fileno(), stdout=ours.fileno())
        mounting = ["sshfs", "-f", "-o", "passive", f":{source}", str(mount)]
        showing = subprocess.Popen(mounting, stdin=theirs.fileno(), stdout=theirs.fileno())
    end = time.monotonic() + 10
    try:
        while not mount.is_mount():
            if showing.poll() is not None or time.monotonic() > end:
                pytest.skip("this user may not mount by SSHFS here")
            time.sleep(0.05)
        yield mount
    finally:
        for process in (serving, showing):  # the second one unmounts when it is told to end
            process.terminate()
            process.wait(PATIENCE)
