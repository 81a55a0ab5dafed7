"""Every data set of conf/dataset states what it is before it is read; files of one's own run end to end."""

import json
import socket
from pathlib import Path
from typing import get_args

import numpy as np
import pandas
import pytest
import scipy.io
from omegaconf import OmegaConf
from scipy import sparse

from mlbench.assemble import assemble
from mlbench.compose import choices, config_dir, configure
from mlbench.data.scaling import SCALERS
from mlbench.data.task import Kind
from mlbench.errors import UserError
from mlbench.experiment import run
from pictures import encoded

ROWS = 30
LABELS = ("green", "red")  # sorted, as the labels of lists are


@pytest.fixture(autouse=True)
def nothing_to_read(monkeypatch, tmp_path):
    """No data folders, an empty cache, no network."""
    monkeypatch.delenv("MLBENCH_DATA", raising=False)
    monkeypatch.setenv("MLBENCH_CACHE", str(tmp_path / "cache"))

    def refuse(*_):
        raise OSError("no network in this test")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def shipped_says(name: str) -> dict:
    return OmegaConf.to_container(OmegaConf.load(config_dir() / "dataset" / f"{name}.yaml"))


REGISTERED = [name for name in choices("dataset") if "???" not in shipped_says(name).values()]
FORMATS = [name for name in choices("dataset") if "path" in shipped_says(name)]


@pytest.mark.parametrize("name", REGISTERED)
def test_a_data_set_states_what_it_is_before_it_is_read(name, tmp_path):
    dataset = assemble(configure([f"dataset={name}"])).dataset
    says = shipped_says(name)
    assert dataset.name == name and dataset.kind in get_args(Kind) and dataset.scaling in SCALERS
    assert not dataset.official or {"train", "test"} <= set(dataset.official)
    assert dataset.modality_names == tuple(says.get("modalities", dataset.modality_names))
    assert {"instances", "labels"} <= set(dataset.statistics) and dataset.citation
    if all("sha256" in file for file in says.get("files", {}).values()):
        identity = dataset.identity(tmp_path / "cache")
        again = assemble(configure([f"dataset={name}"])).dataset.identity(tmp_path / "elsewhere")
        assert json.loads(json.dumps(identity)) == again
        assert str(tmp_path) not in json.dumps(identity)
        scaled = assemble(configure([f"dataset={name}", "dataset.scaling=minmax"])).dataset
        assert scaled.identity() != identity
    else:
        with pytest.raises(UserError, match=f"data set {name}: .* not found in "):
            dataset.identity(tmp_path / "cache")


# Files of one's own. Every one of them holds the same thirty instances.


def table() -> tuple[np.ndarray, np.ndarray]:
    """Six columns of features, the last of them one of three kinds; two labels."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(ROWS, 6)).round(3)
    features[:, 5] = np.arange(ROWS) % 3
    features[rng.random((ROWS, 6)) < 0.3] = 0
    targets = np.stack([features[:, 0] > 0, np.arange(ROWS) % 2 == 0], axis=1)
    return features, targets.astype(int)


FEATURES, TARGETS = table()
KINDS = ("plain", "dotted", "striped")


def write_csv(path: Path, rows=slice(None)) -> Path:
    lines = ["a,b,c,d,e,pattern,green,red"]
    for x, y in zip(FEATURES[rows], TARGETS[rows]):
        lines.append(",".join([*map(str, x[:5]), KINDS[int(x[5])], *map(str, y)]))
    path.write_text("\n".join(lines) + "\n")
    return path


def write_lists(path: Path) -> Path:
    lines = ["a;b;c;d;e;f;colours"]
    for x, y in zip(FEATURES, TARGETS):
        named = "|".join(label for label, on in zip(LABELS, y) if on)
        lines.append(";".join([*map(str, x), named]))
    path.write_text("\n".join(lines) + "\n")
    return path


def arff_header(relation: str, labels_first: bool) -> list[str]:
    features = [*(f"@attribute {name} numeric" for name in "abcde"), f"@attribute f {{{','.join(KINDS)}}}"]
    labels = [f"@attribute {name} {{0,1}}" for name in LABELS]
    blocks = [labels, features] if labels_first else [features, labels]
    return [f"@relation {relation}", *blocks[0], *blocks[1], "@data"]


def write_mulan(path: Path, rows=slice(None)) -> Path:
    """Sparse rows; the first nominal value is what a row leaves out."""
    lines = arff_header("colours", labels_first=False)
    for x, y in zip(FEATURES[rows], TARGETS[rows]):
        cells = [*map(str, x[:5]), KINDS[int(x[5])], *map(str, y)]
        absent = {"0.0", "0", "plain"}
        entries = [f"{place} {cell}" for place, cell in enumerate(cells) if cell not in absent]
        lines.append("{" + ",".join(entries) + "}")
    path.write_text("\n".join(lines) + "\n")
    xml = "".join(f'<label name="{label}"></label>' for label in LABELS)
    path.with_name("colours.xml").write_text(
        f'<labels xmlns="http://mulan.sourceforge.net/labels">{xml}</labels>'
    )
    return path


def write_meka(path: Path) -> Path:
    lines = arff_header("'colours: -C 2'", labels_first=True)
    for x, y in zip(FEATURES, TARGETS):
        lines.append(",".join([*map(str, y), *map(str, x[:5]), KINDS[int(x[5])]]))
    path.write_text("\n".join(lines) + "\n")
    return path


def write_libsvm(path: Path) -> Path:
    lines = []
    for x, y in zip(FEATURES, TARGETS):
        labels = ",".join(str(label) for label in np.flatnonzero(y))
        lines.append(f"{labels} " + " ".join(f"{place}:{x[place]}" for place in np.flatnonzero(x)))
    path.write_text(f"{ROWS} 6 2\n" + "\n".join(lines) + "\n")
    return path


def write_npz(path: Path) -> Path:
    modalities = np.array([["left", "0", "2"], ["middle", "2", "4"], ["right", "4", "6"]])
    np.savez(path, features=FEATURES, targets=TARGETS, labels=np.array(LABELS), modalities=modalities)
    return path


def write_sparse_npz(path: Path) -> Path:
    matrix = sparse.csr_matrix(FEATURES)
    parts = {f"features_{part}": getattr(matrix, part) for part in ("data", "indices", "indptr", "shape")}
    np.savez(path, targets=TARGETS, **parts)
    return path


def write_matlab(path: Path) -> Path:
    views = np.empty((1, 3), dtype=object)
    for place in range(3):
        views[0, place] = FEATURES[:, 2 * place : 2 * place + 2]
    scipy.io.savemat(path, {"view": views, "label": TARGETS})
    return path


def write_jsonl(path: Path) -> Path:
    """A text has a word for each feature that is not zero."""
    rows = [
        {
            "said": " ".join(f"word{place}" for place in np.flatnonzero(x)),
            "colours": [label for label, has in zip(LABELS, y) if has],
        }
        for x, y in zip(FEATURES, TARGETS)
    ]
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def write_parquet(path: Path) -> Path:
    """The rows of `write_jsonl`, as a column of texts and one of lists of labels."""
    rows = [json.loads(line) for line in write_jsonl(path.with_suffix(".jsonl")).read_text().splitlines()]
    pandas.DataFrame(rows).to_parquet(path)
    return path


def write_images(path: Path) -> None:
    """An image of one colour for each row, of three kinds."""
    path.mkdir(parents=True)
    for row, x in enumerate(FEATURES):
        pixels = np.full((8, 8, 3), int(100 * x[5]), np.uint8)
        (path / f"{row}.png").write_bytes(encoded(pixels))


def write_image_table(path: Path) -> Path:
    write_images(path.parent / "shots")
    lines = [f"shots/{row}.png,{y[0]},{y[1]}" for row, y in enumerate(TARGETS)]
    path.write_text("\n".join(["file,green,red", *lines]))
    return path


def write_coco(path: Path) -> Path:
    write_images(path.parent / "shots")
    found = {
        "images": [{"id": row, "file_name": f"{row}.png"} for row in range(ROWS)],
        "categories": [{"id": number, "name": name} for number, name in enumerate(LABELS)],
        "annotations": [{"image_id": int(row), "category_id": int(n)} for row, n in np.argwhere(TARGETS)],
    }
    path.write_text(json.dumps(found))
    return path


def write_voc(path: Path) -> Path:
    """Names in the order of the rows: 00 before 10."""
    write_images(path / "JPEGImages")
    (path / "Annotations").mkdir()
    for row, y in enumerate(TARGETS):
        said = "".join(f"<object><name>{name}</name></object>" for name, on in zip(LABELS, y) if on)
        tree = f"<annotation><filename>{row}.png</filename>{said}</annotation>"
        (path / "Annotations" / f"{row:02d}.xml").write_text(tree)
    return path


ONE_FILE = {
    "image_folder": (write_image_table, "my.csv", ["dataset.image=file", "dataset.labels=[green,red]"], 0),
    "coco": (write_coco, "my.json", ["dataset.images={folder}/shots"], 0),
    "voc": (write_voc, "myvoc", ["split=holdout"], 0),
    "csv": (write_csv, "my.csv", ["dataset.labels=[green,red]", "train.epochs=2"], 8),
    "csv of lists": (write_lists, "lists.csv", ["dataset.label_list=colours"], 6),
    "mulan": (write_mulan, "colours.arff", [], 8),
    "meka": (write_meka, "colours.arff", ["dataset.scaling=minmax"], 8),
    "libsvm": (write_libsvm, "my.txt", [], 6),
    "npz": (write_npz, "my.npz", ["dataset.scaling=zscore"], 6),
    "npz, sparse": (write_sparse_npz, "thin.npz", ["split=kfold", "split.fold=2"], 6),
    "jsonl": (write_jsonl, "my.jsonl", ["dataset.text=said", "dataset.labels=colours"], 0),  # not encoded yet
    "hub": (write_parquet, "my.parquet", ["dataset.text=said", "dataset.labels=colours"], 0),
    "matlab": (write_matlab, "my.mat", ["dataset.modalities={bbc:[0,1],reuters:[2,3],guardian:[4,5]}"], 6),
}


def carried_out(tmp_path, *overrides):
    places = [f"paths.outputs={tmp_path}/outputs", f"paths.cache={tmp_path}/cache"]
    return run(configure(["train.epochs=1", *places, *overrides]))


def test_every_format_is_among_them():
    assert {case.partition(",")[0].partition(" ")[0] for case in ONE_FILE} == set(FORMATS)


@pytest.mark.parametrize("case", ONE_FILE)
def test_a_file_of_ones_own_runs_end_to_end(case, tmp_path):
    """A nominal feature of three values counts as three: eight columns then, six otherwise."""
    write, name, overrides, width = ONE_FILE[case]
    path = write(tmp_path / name)
    overrides = [word.format(folder=tmp_path) if "{folder}" in word else word for word in overrides]
    dataset = case.partition(",")[0].partition(" ")[0]
    record, where = carried_out(tmp_path, f"dataset={dataset}", f"dataset.path={path}", *overrides)
    assert where.is_file() and record.metrics["last"]
    assert record.choices["dataset"] == dataset and where.parents[2].name == path.stem
    tests = 3 if "split=kfold" in overrides else 9
    assert record.parts == {"train": ROWS - tests, "test": tests}
    assert len(record.per_label["label"]) == 2
    statistics = record.data["statistics"]
    encoded_width = {"image_folder": 512, "coco": 512, "voc": 512}.get(case, 6)
    assert (statistics["instances"], statistics["features"]) == (ROWS, encoded_width)
    assert statistics["cardinality"] == pytest.approx(TARGETS.sum() / ROWS, abs=1e-4)
    scores = np.load(where.with_name("scores.npz"))
    assert np.array_equal(scores["targets"], TARGETS[scores["ids"]])
    loaded = assemble(configure([f"dataset={dataset}", f"dataset.path={path}", *overrides])).dataset
    instances = loaded.load(tmp_path / "cache").instances
    assert instances.features.shape == (ROWS, width)
    assert sparse.issparse(instances.features) == (case in ("mulan", "libsvm", "npz, sparse"))


def test_views_and_modalities_are_those_of_the_file_or_named_by_hand(tmp_path):
    matlab, npz = write_matlab(tmp_path / "my.mat"), write_npz(tmp_path / "my.npz")
    named = ["dataset.modalities={bbc:[0,1],reuters:[2,3],guardian:[4,5]}"]
    for dataset, path, overrides, expected in (
        ("matlab", matlab, [], ["view1", "view2", "view3"]),
        ("matlab", matlab, named, ["bbc", "reuters", "guardian"]),
        ("npz", npz, [], ["left", "middle", "right"]),
    ):
        chosen = configure([f"dataset={dataset}", f"dataset.path={path}", *overrides])
        instances = assemble(chosen).dataset.load(tmp_path / "cache").instances
        assert list(instances.modalities) == expected
        assert list(instances.modalities.values()) == [(0, 2), (2, 4), (4, 6)]


@pytest.mark.parametrize(("dataset", "write"), [("csv", write_csv), ("mulan", write_mulan)])
def test_a_second_file_is_the_official_test_part(dataset, write, tmp_path):
    train = write(tmp_path / f"my-train.{dataset}", slice(0, 20))
    test = write(tmp_path / f"my-test.{dataset}", slice(20, None))
    own = ["dataset.labels=[green,red]"] if dataset == "csv" else []
    chosen = [f"dataset={dataset}", f"dataset.path={train}", f"dataset.test={test}", "split=official", *own]
    record, where = carried_out(tmp_path, *chosen)
    assert record.parts == {"train": 20, "test": 10}
    scores = np.load(where.with_name("scores.npz"))
    assert scores["ids"].tolist() == list(range(20, 30))
    assert np.array_equal(scores["targets"], TARGETS[20:])


def test_the_same_rows_are_another_run_under_another_scaling_and_the_same_under_another_path(tmp_path):
    first, second = write_npz(tmp_path / "one.npz"), tmp_path / "two.npz"
    second.write_bytes(first.read_bytes())
    records = [
        carried_out(tmp_path, "dataset=npz", *overrides)[0]
        for overrides in (
            [f"dataset.path={first}"],
            [f"dataset.path={second}"],
            [f"dataset.path={first}", "dataset.scaling=minmax"],
        )
    ]
    assert records[0].key == records[1].key != records[2].key
    assert records[0].metrics["last"] == pytest.approx(records[1].metrics["last"], abs=0, nan_ok=True)


def test_an_official_split_that_is_not_there_is_refused(tmp_path):
    path = write_npz(tmp_path / "my.npz")
    with pytest.raises(UserError, match="split=official: my has no split of its own"):
        assemble(configure(["dataset=npz", f"dataset.path={path}", "split=official"]))
