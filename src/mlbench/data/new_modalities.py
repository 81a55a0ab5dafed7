"""Files of new rows, a modality each, side by side: joined by an id, or by the order of their rows."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from mlbench.data.joined import refuse_ids, rows_at
from mlbench.data.pieces import Piece
from mlbench.errors import UserError, did_you_mean

Ranges = Mapping[str, tuple[int, int]]  # modality → its first feature column, last + 1
NEEDS_ALL = "its method needs all modalities of a row; fusion and m3la do without"


def check_modalities(modalities: Ranges, known: Sequence[str], files: Mapping[str, str], masks: bool) -> None:
    """Refuses a file for no modality of the run, and the lack of a file that the run needs. `known` are all
    modalities of the run's data set, of which the run may have used some.
    """
    if not modalities:
        raise UserError("its columns are of one modality, and path= names a file for each of several")
    for modality in files:
        if modality not in known:
            near = did_you_mean(modality, known)
            raise UserError(f"path: there is no modality {modality}, but {', '.join(known)}{near}")
    given = [modality for modality in modalities if modality in files]
    missing = [modality for modality in modalities if modality not in files]
    if not given:
        raise UserError(f"path names no file for {' or '.join(missing)}, from which the run learned")
    if missing and not masks:
        raise UserError(f"path names no file for {' and '.join(missing)}: {NEEDS_ALL}")


def joined_ids(parts: Mapping[str, Piece], paths: Mapping[str, str], by_id: bool) -> np.ndarray:
    """The ids of the first file, then those that only later files have."""
    (first, one), *rest = parts.items()
    if by_id:
        for modality, part in parts.items():
            refuse_ids(Path(paths[modality]), part.ids.tolist())
        return np.array([*dict.fromkeys(id for part in parts.values() for id in part.ids)], dtype=object)
    for modality, part in rest:
        if len(part.ids) != len(one.ids):
            raise UserError(
                f"{paths[first]} has {len(one.ids)} rows, {paths[modality]} {len(part.ids)}: rows are joined "
                "by their order; id=... joins them by a column that all files have"
            )
    return one.ids


def beside(
    parts: Mapping[str, Piece], modalities: Ranges, paths: Mapping[str, str], by_id: bool, masks: bool
) -> Piece:
    """The columns of all modalities, in the order of training. A row that some file lacks has zeros there;
    refused where the method cannot tell these from others.
    """
    ids = joined_ids(parts, paths, by_id)
    rows = {modality: places(part.ids, ids) for modality, part in parts.items()}
    for modality, place in rows.items() if not masks else ():
        if len(lost := ids[place < 0]):
            raise UserError(
                f"{paths[modality]} lacks {len(lost)} of the {len(ids)} ids, such as {lost[0]!r}: {NEEDS_ALL}"
            )
    nowhere = np.full(len(ids), -1)
    places_of = {modality: rows.get(modality, nowhere) for modality in modalities}
    present = np.stack([place >= 0 for place in places_of.values()], axis=1)
    blocks: list[Any] = []
    for modality, (start, stop) in modalities.items():
        nothing = np.zeros((0, stop - start), np.float32)
        features = parts[modality].features if modality in parts else nothing
        blocks.append(rows_at(places_of[modality], features))
    thin = any(map(sparse.issparse, blocks))
    features = sparse.csr_matrix(sparse.hstack(blocks)) if thin else np.hstack(blocks)
    known = {m: part.targets for m, part in parts.items() if part.targets is not None}
    targets = next((each[rows[m]] for m, each in known.items() if (rows[m] >= 0).all()), None)
    return Piece(ids, features, targets, None if present.all() else present.astype(np.uint8))


def places(have: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """The row of each wanted id, -1 where there is none."""
    place = {id: row for row, id in enumerate(have.tolist())}
    return np.array([place.get(id, -1) for id in wanted.tolist()], dtype=np.int64)
