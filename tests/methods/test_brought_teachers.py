"""Teachers that are trained already: they come in files, know labels by name, and need no rows."""

import functools
from dataclasses import replace

import numpy as np
import pytest
import torch

from mlbench.assemble import assemble
from mlbench.backbones.chain import Chain
from mlbench.compose import configure
from mlbench.config import fingerprint, science
from mlbench.data.scaling import Unscaled, fitted, scaler
from mlbench.data.task import Modality, Task
from mlbench.engine.saved import write
from mlbench.errors import UserError
from mlbench.methods.build import packed, unpacked
from mlbench.methods.ofcc import OFCC
from small import small_data, small_task

METHODS = ("ant", "bl", "tc", "cfl", "fka", "aka")


@torch.no_grad()
def reordered(teacher: OFCC, order: list[int]) -> OFCC:
    """The same teacher with its labels listed in another order."""
    labels = teacher.task.labels
    other = OFCC(
        teacher.task.narrowed([labels[column] for column in order]), chain_of_width(teacher.chain.hidden)
    )
    old, new, hidden = teacher.chain.weights, other.chain.weights, teacher.chain.hidden
    gates, count = 4 * hidden, len(labels)
    columns = [*order, *range(count, count + hidden), *(count + hidden + column for column in order)]
    rows = [*range(gates), *(gates + column for column in order)]
    new.input.copy_(old.input[rows])
    new.bias_input.copy_(old.bias_input[rows])
    new.bias_hidden.copy_(old.bias_hidden)
    new.state.copy_(old.state[:, columns])
    new.out.copy_(old.out[order])
    new.bias_out.copy_(old.bias_out[order])
    return other


def chain_of_width(hidden):
    return functools.partial(Chain, hidden=hidden, selection="confident", loss_on="steps")


@pytest.fixture
def teachers():
    """Two untrained teachers of labels 0-3 and 2-5, their outputs of both signs."""
    torch.manual_seed(0)
    task = small_task(6)
    sets = [task.labels[:4], task.labels[2:]]
    own = [OFCC(task.narrowed(labels), chain_of_width(hidden)) for labels, hidden in zip(sets, (4, 6))]
    for teacher in own:
        teacher.chain.vector.data.mul_(4)
    return own


UNSCALED = {"scaling": "none", "scaler": {}}


def saved(teachers, folder, names, rows=UNSCALED):
    nodes = configure(["method=ofcc"])
    paths = []
    for teacher, name in zip(teachers, names):
        backbone = nodes.backbone | {"hidden": teacher.chain.hidden}
        paths.append(folder / f"{name}.pt")
        config = {"method": nodes.method, "backbone": backbone, "loss": nodes.loss}
        write(paths[-1], packed(teacher, config, teacher.task) | {"rows": rows})
    return paths


@pytest.mark.parametrize("method", METHODS)
def test_teachers_from_files_count_by_label_name(method, teachers, tmp_path):
    data, outcomes = small_data(6), []
    for names, own in ((("a", "b"), teachers), (("c", "d"), [reordered(t, [3, 1, 0, 2]) for t in teachers])):
        paths = saved(own, tmp_path, names)
        pieces = assemble(configure([f"method={method}", f"method.teachers.from=[{paths[0]},{paths[1]}]"]))
        torch.manual_seed(1)
        student = pieces.method(small_task(6))
        *_, stage = student.stages({"train": data})
        if method == "bl":
            outcomes.append(student.scores(data.batch(torch.arange(40))))
        else:
            outcomes.append(stage.data.targets)
    torch.testing.assert_close(*outcomes)


SHIFT, SPREAD = [0.5, -2.0, 0.0, 3.0, 1.0], [2.0, 0.25, 1.0, 8.0, 0.5]


@pytest.mark.parametrize("scaling", ["none", "zscore", "minmax"])
@pytest.mark.parametrize("method", [*METHODS, "ant from init"])
def test_a_teacher_sees_rows_scaled_as_it_learned_them(method, scaling, teachers, tmp_path):
    """However the student's are scaled: it says of them what it says of rows that come in its own scale."""
    learned = {"scaling": "minmax", "scaler": {"shift": SHIFT, "spread": SPREAD}}
    data, outcomes, as_teacher = small_data(6), [], scaler("minmax")
    as_teacher.state = learned["scaler"]
    of_student = fitted(scaling, data.x.numpy())
    for name, rows, own in (("a", learned, of_student), ("b", UNSCALED, scaler("none"))):
        scales = of_student if name == "a" else as_teacher
        seen = replace(data, x=torch.from_numpy(scales.apply(data.x.numpy())))
        paths = saved(teachers, tmp_path, (f"{name}1", f"{name}2"), rows)
        words = [f"method={method.split()[0]}", f"method.teachers.from=[{paths[0]},{paths[1]}]"]
        words += ["method.transfer_init=init"] if "init" in method else []
        torch.manual_seed(1)
        student = assemble(configure(words)).method(small_task(6))
        student.rows_scaled_by(own)
        first, *_ = student.stages({"train": seen})
        votes = student.scores(seen.batch(torch.arange(40))) if method == "bl" else first.data.targets
        outcomes.append([votes, first.data.extra.get("teacher_0", torch.zeros(0))])
    torch.testing.assert_close(*outcomes, rtol=1e-4, atol=1e-5)


def test_a_scaler_that_is_not_affine_is_refused_unless_both_have_it(teachers, tmp_path):
    class Own(Unscaled):
        """A person's own."""

    paths = saved(teachers, tmp_path, ("a", "b"))
    words = ["method=tc", f"method.teachers.from=[{paths[0]},{paths[1]}]"]
    student = assemble(configure(words)).method(small_task(6))
    with pytest.raises(UserError, match=r"a\.pt: its rows were scaled by Unscaled, this run's by Own"):
        student.rows_scaled_by(Own())
    for teacher in student.teachers:
        teacher.scaler = Own()
    student.rows_scaled_by(Own())
    x = torch.randn(3, 5)
    assert all(torch.equal(teacher.rescaled(x), x) for teacher in student.teachers)


def test_a_teacher_that_does_not_say_how_its_rows_were_scaled_is_refused(teachers, tmp_path):
    paths = saved(teachers, tmp_path, ("a", "b"), rows=None)
    pieces = assemble(configure(["method=tc", f"method.teachers.from=[{paths[0]},{paths[1]}]"]))
    with pytest.raises(UserError, match=r"a\.pt: an older version wrote it, without how"):
        pieces.method(small_task(6))


def test_a_student_of_brought_teachers_is_kept_in_a_file_too(teachers, tmp_path):
    paths = saved(teachers, tmp_path, ("a", "b"))
    config = configure(["method=ant", f"method.teachers.from=[{paths[0]},{paths[1]}]"])
    student = assemble(config).method(small_task(6))
    nodes = {"method": config.method, "backbone": config.backbone, "loss": config.loss}
    write(tmp_path / "student.pt", packed(student, nodes, small_task(6)))
    again, task = unpacked(tmp_path / "student.pt")
    batch = small_data(6).batch(torch.arange(40))
    assert task == small_task(6) and torch.equal(again.scores(batch), student.scores(batch))


def test_a_teacher_of_another_kind_serves_who_looks_at_outputs_only(tmp_path):
    nodes = configure(["backbone=linear"])
    task = small_task(3)
    paths = []
    for number, labels in enumerate((task.labels[:2], task.labels[1:])):
        paths.append(tmp_path / f"{number}.pt")
        method = assemble(nodes).method(task.narrowed(labels))
        config = {"method": nodes.method, "backbone": nodes.backbone, "loss": nodes.loss}
        write(paths[-1], packed(method, config, task.narrowed(labels)) | {"rows": UNSCALED})
    brought = f"method.teachers.from=[{paths[0]},{paths[1]}]"
    for serves in ("tc", "bl"):
        list(assemble(configure([f"method={serves}", brought])).method(task).stages({"train": small_data(3)}))
    for looks in ("ant", "aka", "cfl", "fka"):
        with pytest.raises(UserError, match=rf"0.pt: {looks.upper()} looks into .* method=ofcc .* of ERM\."):
            assemble(configure([f"method={looks}", brought])).method(task)


@pytest.fixture
def brought(tmp_path):
    """Untrained teachers of multidigits in files, and the words that bring them along."""
    task = assemble(configure([])).dataset.load(tmp_path / "cache").instances
    names = (task.labels[:6], task.labels[4:])
    whole = Task("multidigits", task.labels, (Modality("features", 0, 256),), 20, (5,) * 10)
    paths = saved([OFCC(whole.narrowed(own), chain_of_width(4)) for own in names], tmp_path, ("a", "b"))
    return f"method.teachers.from=[{paths[0]},{paths[1]}]", paths


@pytest.mark.parametrize(
    ("split", "parts"),
    [
        (["split=official"], {"train": 1600, "test": 800}),
        (["split=holdout", "split.test=0.25"], {"train": 1800, "test": 600}),
        (["split=kfold", "split.folds=5"], {"train": 1920, "test": 480}),
        (["split=amalgamation"], {"train": 1600, "test": 800}),
        ([], {"train": 1600, "test": 800}),
        (["split.validation=0.1"], {"train": 1440, "validation": 160, "test": 800}),
    ],
    ids=str,
)
def test_brought_teachers_leave_all_rows_for_training_to_the_student(split, parts, brought, amalgamate):
    record, _, _ = amalgamate("method=ant", brought[0], *split)
    assert record.parts == parts
    assert record.facts["instances"] == parts["train"]
    assert [*record.config["method"]["teachers"]] == ["from"] and "overlap" not in record.config["method"]
    assert not {"student", "teachers", "aside", "disjoint"} & {*record.config["split"]}


@pytest.mark.parametrize("method", METHODS)
def test_every_method_takes_teachers_from_files(method, brought, amalgamate):
    record, scores, _ = amalgamate(f"method={method}", brought[0])
    assert record.parts == {"train": 1600, "test": 800} and scores["last"].shape == (800, 10)


def test_without_parts_of_its_own_a_share_of_the_rows_is_the_test_part(tmp_path, teachers, amalgamate):
    data, paths = small_data(6), saved(teachers, tmp_path, ("a", "b"))
    own = {"features": data.x.numpy(), "targets": data.targets.numpy().astype(np.uint8)}
    np.savez(tmp_path / "own.npz", **own, labels=np.array(small_task(6).labels))
    words = ["dataset=npz", f"dataset.path={tmp_path / 'own.npz'}", "train.batch_size=8"]
    record, _, _ = amalgamate("method=ant", f"method.teachers.from=[{paths[0]},{paths[1]}]", *words)
    assert record.parts == {"train": 32, "test": 8}


def test_the_key_knows_brought_teachers_by_what_is_in_their_files(brought, tmp_path):
    words, paths = brought

    def key(*overrides):
        config = configure(["method=ant", *overrides])
        return fingerprint(science(config, {}))

    def from_(*files):
        return f"method.teachers.from=[{','.join(map(str, files))}]"

    expected = key(words)
    moved = [path.rename(tmp_path / f"moved-{path.name}") for path in paths]
    assert key(from_(*moved)) == expected
    assert key(from_(*reversed(moved))) != expected
    unused = ["method.overlap=0.1", "method.teachers.epochs=7", "method.teachers.count=3", "split.aside=0.1"]
    assert {key(from_(*moved), word) for word in unused} == {expected}
    assert key(from_(*moved), "split.student_test=0.1") != expected
    moved[0].write_bytes(moved[1].read_bytes())
    assert key(from_(*moved)) != expected


def test_a_file_that_is_no_model_or_of_other_features_is_refused(teachers, tmp_path, amalgamate):
    (tmp_path / "junk.pt").write_bytes(b"junk")
    paths = saved(teachers, tmp_path, ("a", "b"))
    with pytest.raises(UserError, match=r"from\.1=\S+junk\.pt: not the model\.pt of a run"):
        amalgamate("method=ant", f"method.teachers.from=[{paths[0]},{tmp_path / 'junk.pt'}]")
    with pytest.raises(UserError, match=r"from\.0=\S+: a folder; .* is its model\.pt: \S+/model\.pt"):
        amalgamate("method=ant", f"method.teachers.from=[{tmp_path},{paths[0]}]")
    np.savez(tmp_path / "other.npz", features=np.zeros(3))
    with pytest.raises(UserError, match=r"other\.npz is not the model\.pt of a run"):
        amalgamate("method=ant", f"method.teachers.from=[{tmp_path / 'other.npz'},{paths[0]}]")
    with pytest.raises(UserError, match="names one teacher"):
        amalgamate("method=ant", f"method.teachers.from=[{paths[0]}]")
    with pytest.raises(UserError, match=r"a\.pt was trained on 5 features; dataset multidigits has 256"):
        amalgamate("method=ant", f"method.teachers.from=[{paths[0]},{paths[1]}]")
