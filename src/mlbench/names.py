"""Names that become names of folders and files."""

from pathlib import PurePath

from mlbench.errors import UserError

LONGEST = 255  # bytes, which is what file systems take


def one_name(key: str, name: str) -> str:
    """A name that is one step below whatever folder it is put into; `key` says where it was given."""
    if PurePath(name).name != name or name in ("", "..") or "\0" in name or len(name.encode()) > LONGEST:
        raise UserError(
            f"{key}={name}: a folder or file is called so: give one name, not a path, of at most {LONGEST} "
            f"bytes"
        )
    return name
