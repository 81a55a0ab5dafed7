"""Writes requirements.lock: what pyproject.toml asks for, pinned and hashed, for Python 3.11 and newer.

A CUDA build of torch brings libraries of its own. They are left out: a CPU build does without them.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

TORCH = "torch==2.13.0"
OF_CUDA = re.compile(r"nvidia-|cuda-|triton==")
OPTIONS = [
    "--universal",
    "--generate-hashes",
    "--python-version=3.11",
    "--extra=dev",
    "--no-header",
    "--no-annotate",
]


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        pin = Path(folder) / "constraints.txt"
        pin.write_text(TORCH)
        compiled = Path(folder) / "requirements.lock"
        compiled.write_bytes(
            Path("requirements.lock").read_bytes()
        )  # versions stay where nothing speaks against them
        compile_ = [
            "uv",
            "pip",
            "compile",
            "--quiet",
            *OPTIONS,
            f"--constraint={pin}",
            f"--output-file={compiled}",
        ]
        subprocess.run([sys.executable, "-m", *compile_, *sys.argv[1:], "pyproject.toml"], check=True)
        entries = re.findall(r"^\S.*(?:\n .*)*", compiled.read_text(), re.MULTILINE)
    kept = [entry for entry in entries if not OF_CUDA.match(entry)]
    here = hashes_of_this_machine()
    kept = [
        f"{entry} \\\n    {here}" if entry.startswith(TORCH) and here not in entry else entry
        for entry in kept
    ]
    Path("requirements.lock").write_text("\n".join(kept) + "\n")


def hashes_of_this_machine() -> str:
    """Of the build that pip takes here, which may be one that the public index does not have."""
    with tempfile.TemporaryDirectory() as folder:
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
        subprocess.run([*pip, "download", "--quiet", "--no-deps", "--dest", folder, TORCH], check=True)
        (wheel,) = Path(folder).iterdir()
        done = subprocess.run([*pip, "hash", str(wheel)], check=True, capture_output=True, text=True)
    return re.search(r"--hash=\S+", done.stdout)[0]


main()
