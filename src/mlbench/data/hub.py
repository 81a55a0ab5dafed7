"""Data sets of Hugging Face's hub, by name or from a folder: their Parquet files, and nothing that runs."""

import contextlib
import hashlib
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mlbench.data import sources
from mlbench.data.arrow import first_line
from mlbench.data.datasets import PARTS, OwnFiles, Share
from mlbench.data.hub_files import CARD, SAVED, in_parts, shards, without_tables
from mlbench.data.instances import Loaded
from mlbench.data.raw import Embedded
from mlbench.errors import UserError

KEPT = (CARD, SAVED)  # the files that count besides those with rows, where they are there


class Hub(OwnFiles):
    """`path` is a folder, a file of Parquet or Arrow, or a name on the hub, whose files are fetched once:
    those of `revision`, a branch, a tag or a commit. `subset` is one of the data sets that lie there.
    """

    def __init__(
        self,
        reader: str,
        path: str | None = None,
        revision: str | None = None,
        name: str | None = None,
        *,
        scaling: str,
        modalities: dict[str, list[int]] | None = None,
        use: list[str] | None = None,
        missing_modalities: Share | None = None,
        citation: str | None = None,
        licence: str | None = None,
        **options: Any,
    ):
        place = None if path is None else str(located(path, revision, options.get("subset")))
        if path is not None and name is None and not Path(path).expanduser().exists():
            name = path.rpartition("/")[2]
        super().__init__(
            reader=reader,
            scaling=scaling,
            path=place,
            name=name,
            modalities=modalities,
            use=use,
            missing_modalities=missing_modalities,
            citation=citation,
            licence=licence,
            **options,
        )
        self.folder_of_rows = self.paths["all"]
        self.shards = in_parts(shards(self.folder_of_rows, options.get("subset")))
        there = {*self.shards.values()}
        if not options.get("split") and {"train", "test"} <= there:
            self.official = tuple(part for part in PARTS[1:] if part in there)

    def load(self, cache: Path) -> Loaded:
        loaded = super().load(cache)
        instances = loaded.instances
        if isinstance(images := instances.raw.get("image"), Embedded):  # the folder may have been moved
            place = self.folder_of_rows
            here = replace(images, source=place if place.is_dir() else place.parent)
            loaded = replace(loaded, instances=replace(instances, raw=instances.raw | {"image": here}))
        return loaded

    def _checksum(self, paths: dict[str, Path], role: str, cache: Path | None) -> str | None:
        """Over the files with rows and what says more of them."""
        if not paths[role].is_dir():
            return super()._checksum(paths, role, cache)
        digest = hashlib.sha256()
        files = [paths[role] / file for file in self.shards]
        beside = {file.parent / name for file in files for name in KEPT} | {paths[role] / CARD}
        for file in [*files, *sorted(path for path in beside if path.is_file())]:
            name = file.relative_to(paths[role]).as_posix()
            digest.update(f"{name}\0{sources.checksum(file, cache)}\0".encode())
        return digest.hexdigest()


def located(path: str, revision: str | None, subset: str | None) -> Path:
    """A folder or file that is here, or the folder with the hub's files of that name, fetched once."""
    local = Path(path).expanduser()
    if local.exists():
        return local
    if path.startswith((".", "/", "~")) or path.count("/") > 1 or local.suffix in (".parquet", ".arrow"):
        raise UserError(f"dataset.path={path}: there is no such folder or file")
    try:
        import huggingface_hub
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError
    except ImportError:
        raise UserError(
            f"dataset.path={path}: a data set of the hub needs huggingface_hub, which is missing: "
            f"pip install 'multilabel-bench[text]'"
        ) from None
    wanted = [f"*{subset}*.parquet" if subset else "*.parquet", CARD]
    asked: dict[str, Any] = {"repo_id": path, "repo_type": "dataset", "revision": revision}
    with contextlib.suppress(Exception):  # not here yet, or not whole
        folder = Path(
            huggingface_hub.snapshot_download(**asked, allow_patterns=wanted, local_files_only=True)
        )
        if any(folder.rglob("*.parquet")):
            return folder
    try:
        refuse_without_tables(path, huggingface_hub.list_repo_files(**asked))
        print(f"mlbench: fetching the Parquet files of {path} from the hub, once", file=sys.stderr)
        return Path(huggingface_hub.snapshot_download(**asked, allow_patterns=wanted))
    except UserError:
        raise
    except (HfHubHTTPError, HFValidationError) as error:
        raise UserError(f"the hub has no data set {path} to give: {first_line(error)}") from error
    except Exception as error:  # a network fails in as many ways as there are libraries below it
        raise UserError(
            f"dataset.path={path} is no folder here, and the hub cannot be reached ({first_line(error)}): "
            f"fetch the data set where there is a network and give its folder"
        ) from error


def refuse_without_tables(path: str, names: Sequence[str]) -> None:
    if not any(name.endswith(".parquet") for name in names):
        raise UserError(f"dataset.path={path} {without_tables(names)}")
