"""Files of one data set, a modality each, side by side: rows are joined by their order or by an id."""

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from mlbench.data.instances import Features, Instances
from mlbench.data.sheets import Labels, Sheet, opened
from mlbench.errors import UserError, did_you_mean

ABSENT = "dataset.labels_from=... names the file that has them"


def read(
    files: Mapping[str, Path],
    labels_file: Path | None = None,
    labels_in: str | None = None,
    id: str | None = None,
    labels: Sequence[str | int] | None = None,
    label_list: str | int | None = None,
    drop: Sequence[str | int] = (),
    incomplete: bool = False,
    **options: Any,
) -> Instances:
    """The rows of all files side by side. `labels_in` names the modality whose file has the labels. Of
    `incomplete` files some lack an id: its row is without that modality.
    """
    sheets = {modality: opened(path, **options) for modality, path in files.items()}
    wanted = Labels(labels or (), label_list)
    apart = opened(labels_file, **options) if labels_file else None
    holder = None if apart else labels_in or holder_of(sheets, wanted)
    drop_of = dropped(sheets, drop)
    if apart and id is None:
        refuse_forgotten_id(sheets, apart, wanted, drop)
    if apart:
        targets = apart.labels(wanted, id, drop)
    else:
        refuse_unnamed(sheets[str(holder)], wanted)
    parts = {}
    for modality, sheet in sheets.items():
        part = sheet.features(wanted if modality == holder else None, id, drop_of[modality])
        if not part.feature_names:
            raise UserError(f"modality {modality}: {sheet.path} has no column left to be a feature")
        parts[modality] = part
    if apart is None:
        targets = parts[str(holder)]
    if not targets.labels:
        raise UserError(f"{apart.path if apart else files[str(holder)]} has no column left to be a label")
    where = apart.path if apart else files[str(holder)]
    refuse_labels(sheets, holder, targets.labels, label_list, drop_of)
    if id is None:
        refuse_lengths({files[m]: len(part) for m, part in parts.items()} | {where: len(targets)})
        return beside(parts, targets)
    for file, words in ((where, targets.words), *((files[m], part.words) for m, part in parts.items())):
        refuse_ids(file, words["id"])
    rows = {m: rows_of(part, files[m], targets, where, incomplete) for m, part in parts.items()}
    present = np.stack([each >= 0 for each in rows.values()], axis=1)
    kept = present.any(axis=1)
    if not kept.all():
        tell(where, f"{int((~kept).sum())} rows left out, whose ids no file of a modality has")
        targets = at(targets, np.flatnonzero(kept))
    joined = beside({m: at(part, rows[m][kept]) for m, part in parts.items()}, targets)
    present = present[kept]
    return joined if present.all() else replace(joined, present=present.astype(np.uint8))


def holder_of(sheets: Mapping[str, Sheet], wanted: Labels) -> str:
    """The one modality whose file has the labels; refused if none or several have them."""
    having = [modality for modality, sheet in sheets.items() if sheet.holds(wanted)]
    if len(having) == 1:
        return having[0]
    what = ", ".join(map(str, wanted.named)) or "labels"
    if having:
        raise UserError(
            f"{' and '.join(str(sheets[m].path) for m in having)} have {what}: say with "
            f"dataset.labels_from=... which counts, and leave them out of the others with dataset.drop"
        )
    names = [name for sheet in sheets.values() for name in sheet.header]
    lost = [n for n in wanted.named if isinstance(n, int) or n not in names]
    near = did_you_mean(str(lost[0]), names) if lost else ""
    known = "" if wanted.named else "; dataset.labels=[...] names the columns that are"
    raise UserError(f"no file of a modality has {what}: {ABSENT}{known}{near}")


def refuse_forgotten_id(
    sheets: Mapping[str, Sheet], apart: Sheet, wanted: Labels, drop: Sequence[str | int]
) -> None:
    """Refuses a column that all tables have, the labels' included: it most likely names the rows."""
    headers = [sheet.header for sheet in sheets.values() if sheet.header]
    for name in apart.header if headers else ():
        if all(name in header for header in headers) and name not in (*wanted.named, *drop):
            raise UserError(
                f"{apart.path} has the column {name!r}, as the modalities have: if it names the rows, say "
                f"dataset.id={name}; if rows go by their order, 'dataset.drop=[{name}]' leaves it out"
            )


def refuse_unnamed(sheet: Sheet, wanted: Labels) -> None:
    if sheet.header and not wanted.named:
        raise UserError(
            f"{sheet.path} holds features and labels: say which columns are labels, dataset.labels=[...], or "
            "dataset.label_list=tags, the one column that lists them"
        )


def dropped(sheets: Mapping[str, Sheet], drop: Sequence[str | int]) -> dict[str, list[str | int]]:
    """The columns to drop from each file, by modality; refuses a name that no file has."""
    drop_of = {m: [name for name in drop if str(name) in map(str, s.header)] for m, s in sheets.items()}
    for name in drop:
        if not any(name in each for each in drop_of.values()):
            near = did_you_mean(str(name), [known for sheet in sheets.values() for known in sheet.header])
            raise UserError(f"dataset.drop names {name!r}, and no file of a modality has such a column{near}")
    return drop_of


def refuse_labels(
    sheets: Mapping[str, Sheet],
    holder: str | None,
    labels: Sequence[str],
    label_list: str | int | None,
    drop_of: Mapping[str, Sequence[str | int]],
) -> None:
    """Refuses a label among the features of a modality, which would give away what is to be predicted."""
    secret = {*labels, *([] if label_list is None else [str(label_list)])}
    for modality, sheet in sheets.items():
        left = [name for name in sheet.header if name in secret and name not in drop_of[modality]]
        if modality != holder and left:
            raise UserError(
                f"modality {modality}: {sheet.path} has the column {left[0]!r}, which is a label: leave it "
                f"out with 'dataset.drop=[{left[0]}]'"
            )


def refuse_lengths(lengths: Mapping[Path, int]) -> None:
    (first, rows), *rest = lengths.items()
    for path, other in rest:
        if other != rows:
            raise UserError(
                f"{first} has {rows} rows, {path} {other}: rows are joined by their order; where all files "
                "have a column that names them, dataset.id=... joins by that"
            )


def tell(path: Path, what: str) -> None:
    print(f"mlbench: {path}: {what}", file=sys.stderr)


def rows_of(part: Instances, path: Path, targets: Instances, where: Path, incomplete: bool) -> np.ndarray:
    """The rows of a modality in the order of the labels' ids; -1 for an id that an incomplete file lacks."""
    wanted, have = targets.words["id"], part.words["id"]
    row_of = {id: row for row, id in enumerate(have)}
    if lost := [id for id in wanted if id not in row_of]:
        if len(lost) == len(wanted):
            raise UserError(
                f"{path} has none of the ids of {where}: here {have[0]!r} and others, there {wanted[0]!r}"
            )
        lacks = f"lacks {len(lost)} of the {len(wanted)} ids of {where}, such as {lost[0]!r}"
        if not incomplete:
            raise UserError(
                f"{path} {lacks}: add these rows, take them out of the labels, or let rows lack a modality "
                "with dataset.incomplete=true"
            )
        tell(path, lacks)
    known = {*wanted}
    if extra := [id for id in have if id not in known]:
        tell(path, f"{len(extra)} rows left out, whose ids {where} does not have, such as {extra[0]!r}")
    return np.array([row_of.get(id, -1) for id in wanted], dtype=np.int64)


def at(part: Instances, rows: np.ndarray) -> Instances:
    """The given rows; zeros for a row of -1."""
    if np.array_equal(rows, np.arange(len(part))):
        return part
    there = rows >= 0
    place = np.full(len(part), -1)
    place[rows[there]] = np.flatnonzero(there)
    gaps = {name: np.sort(place[gap][place[gap] >= 0]) for name, gap in part.gaps.items()}
    ids = part.words["id"]
    words = {"id": tuple(ids[row] if row >= 0 else "" for row in rows.tolist())}
    features, targets = rows_at(rows, part.features), rows_at(rows, part.targets)
    return replace(part, features=features, targets=targets, words=words, gaps=gaps)


def rows_at(places: np.ndarray, matrix: Any) -> Any:
    """The rows at these places, zeros for a place of -1; a sparse matrix stays sparse."""
    if (places >= 0).all():
        return matrix[places]
    zeros = np.zeros((1, matrix.shape[1]), matrix.dtype)
    if sparse.issparse(matrix):
        return sparse.csr_matrix(sparse.vstack([matrix, sparse.csr_matrix(zeros)]))[places]
    return np.concatenate([matrix, zeros])[places]


def refuse_ids(path: Path, ids: Sequence[str]) -> None:
    """Refuses rows without an id, and two rows of one."""
    for row, id in enumerate(ids, 1):
        if not id.strip():
            raise UserError(f"{path}: row {row} has no id")
    id, times = Counter(ids).most_common(1)[0]
    if times > 1:
        first, second = [row for row, each in enumerate(ids, 1) if each == id][:2]
        raise UserError(
            f"{path} has the id {id!r} {times} times, in its rows {first} and {second}: one row an id"
        )


def beside(parts: Mapping[str, Instances], targets: Instances) -> Instances:
    """The columns of all modalities, each named after its modality; sparse if one of them is."""
    names, modalities, values, gaps = [], {}, {}, {}
    for modality, part in parts.items():
        modalities[modality] = (len(names), len(names) + len(part.feature_names))
        names += [f"{modality} {name}" for name in part.feature_names]
        values |= {f"{modality} {name}": words for name, words in part.values.items()}
        gaps |= {f"{modality} {name}": rows for name, rows in part.gaps.items()}
    blocks: list[Any] = [part.features for part in parts.values()]
    features: Features = (
        sparse.csr_matrix(sparse.hstack(blocks), dtype=np.float32)
        if any(map(sparse.issparse, blocks))
        else np.ascontiguousarray(np.hstack(blocks))
    )
    declared = [
        len(part.feature_names) if part.attributes is None else part.attributes for part in parts.values()
    ]
    return Instances(
        features=features,
        targets=targets.targets,
        labels=targets.labels,
        feature_names=tuple(names),
        modalities=modalities,
        attributes=sum(declared),
        words={"id": targets.words["id"]} if "id" in targets.words else {},
        values=values,
        gaps=gaps,
    )
