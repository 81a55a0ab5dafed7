"""A Ray cluster of two nodes on 127.0.0.1, a CPU each, without a dashboard."""

import os
import secrets
import shutil
import signal
import tempfile
from pathlib import Path
from typing import Any

# By the first, which Ray reads when it is imported, its services listen on 127.0.0.1 alone.
VARIABLES = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": secrets.token_hex(32),
}
NODE = {"num_cpus": 1, "node_ip_address": "127.0.0.1", "object_store_memory": 80 * 2**20}


class Cluster:
    """The head is a node, too; commands connect to it by `address`."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="ray-")  # the path of a socket in it may have 107 characters
        os.environ.update(VARIABLES, RAY_TMPDIR=self.folder)
        from ray.cluster_utils import Cluster

        before = signal.getsignal(signal.SIGTERM)
        Path(self.folder, "ray").mkdir()  # where Ray writes an address, and makes no folder
        self.cluster = Cluster()
        self.cluster.add_node(**NODE, include_dashboard=False, temp_dir=self.folder)
        signal.signal(signal.SIGTERM, before)
        self.variables, self.address = VARIABLES, self.cluster.address

    def add(self) -> Any:
        return self.cluster.add_node(**NODE)

    def lose(self, node: Any) -> None:
        """As if its plug was pulled: no process of the node is told."""
        self.cluster.remove_node(node, allow_graceful=False)

    def stop(self) -> None:
        self.cluster.shutdown()
        shutil.rmtree(self.folder, ignore_errors=True)
        for name in (*VARIABLES, "RAY_TMPDIR"):
            os.environ.pop(name, None)
