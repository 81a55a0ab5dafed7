"""The six amalgamation methods: what their students see and learn, what they share, what they refuse."""

import dataclasses
import functools
import math

import numpy as np
import pytest
import torch

from mlbench.assemble import assemble
from mlbench.backbones.chain import Chain
from mlbench.compose import configure
from mlbench.config import fingerprint, science, target
from mlbench.data.multidigits import MultiDigits
from mlbench.data.rows import Rows
from mlbench.data.task import Modality, Task
from mlbench.engine.callbacks import write
from mlbench.errors import UserError
from mlbench.experiment import run
from mlbench.methods.amalgamation.aka import most_certain
from mlbench.methods.amalgamation.cfl import mean_discrepancy
from mlbench.methods.amalgamation.label_sets import Expert, appearance, draw
from mlbench.methods.build import packed, unpacked
from mlbench.methods.ofcc import OFCC

METHODS = ("ant", "bl", "tc", "cfl", "fka", "aka")
QUICK = ["method.teachers.epochs=1", "train.epochs=1", "method.teachers.batch_size=64", "train.batch_size=64"]


@pytest.fixture
def amalgamate(tmp_path):
    """amalgamate("method=tc") runs an experiment on multidigits, by default in next to no time."""

    def amalgamate(*overrides, outputs="outputs", quick=True):
        where = [f"paths.outputs={tmp_path / outputs}", f"paths.cache={tmp_path / 'cache'}"]
        record, path = run(configure([*where, *(QUICK if quick else []), *overrides]))
        return record, dict(np.load(path.with_name("scores.npz"))), path

    return amalgamate


def test_the_student_sees_no_label(amalgamate, monkeypatch):
    pieces = assemble(configure(["method=ant"]))
    load = MultiDigits.load

    def mislabelled(self, cache):
        loaded = load(self, cache)
        targets = loaded.instances.targets.copy()
        rows = pieces.split(targets, loaded.official, 0)["train"]
        targets[rows] = 1 - targets[np.random.default_rng(0).permutation(rows)]
        return dataclasses.replace(loaded, instances=dataclasses.replace(loaded.instances, targets=targets))

    for method in METHODS:
        scores = amalgamate(f"method={method}", outputs="right")[1]["last"]
        with monkeypatch.context() as patched:
            patched.setattr(MultiDigits, "load", mislabelled)
            assert np.array_equal(amalgamate(f"method={method}", outputs="wrong")[1]["last"], scores)


def test_all_methods_of_a_seed_share_their_teachers(amalgamate):
    folder = amalgamate("method=ant")[2].parents[2] / "stages"
    trained = {path: path.stat().st_mtime_ns for path in folder.rglob("*.pt")}
    assert sorted(path.stem for path in trained) == ["teacher_0", "teacher_1"]
    for method in METHODS[1:]:
        amalgamate(f"method={method}")
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*.pt")} == trained
    amalgamate("method=ant", "seed=1")
    amalgamate("method=ant", "method.teachers.hidden=[64,32]")
    assert len(list(folder.rglob("*.pt"))) == 6


def test_the_record_tells_of_the_transfer(amalgamate):
    record, _, _ = amalgamate("method=ant", "method.shared_first=true", "method.teachers.epochs=15")
    facts = record.facts
    assert facts["instances"] == record.parts["train"] and facts["targets"] == 10 * facts["instances"]
    assert 0 < facts["instances_with_disagreement"] <= min(facts["transfers"], facts["instances"])
    assert 0 < facts["targets_changed_by_transfer"] < facts["targets"]
    metrics = record.metrics["last"]
    assert metrics["f1_micro_shared_first"] != metrics["f1_micro"]


def test_ant_learns_far_more_than_nothing_and_chance(amalgamate):
    """As shipped: 40 epochs a teacher and 60 the student, not the paper's 1,000 and 200."""
    record, scores, _ = amalgamate("method=ant", quick=False)
    targets = scores["targets"]
    assert record.metrics["last"]["hamming_loss"] < 0.6 * targets.mean()  # which is all-negative's loss
    chance = np.random.default_rng(0).permutation(scores["last"] > 0.5)
    by_chance = 2 * (chance & (targets > 0)).sum() / (chance.sum() + targets.sum())
    assert record.metrics["last"]["f1_micro"] > by_chance + 0.25


@pytest.mark.parametrize("method", ["ant", "tc"])
def test_a_student_of_random_targets_learns_nothing(method, amalgamate, monkeypatch):
    settings = ["method.teachers.epochs=15", "train.epochs=15"]
    learned = amalgamate(f"method={method}", *settings, outputs="right")[0].metrics["last"]["ap_macro"]
    cls = target(configure([f"method={method}"]).method)
    stage = cls.student_stage

    def shuffled(self, data, targets, **extra):
        order = torch.randperm(len(data), generator=torch.Generator().manual_seed(0))
        return stage(self, data, targets[order], **{name: known[order] for name, known in extra.items()})

    monkeypatch.setattr(cls, "student_stage", shuffled)
    assert (
        amalgamate(f"method={method}", *settings, outputs="random")[0].metrics["last"]["ap_macro"]
        < learned - 0.15
    )


def small_task(labels, features=5):
    names = tuple(f"label {number}" for number in range(labels))
    return Task("small", names, (Modality("features", 0, features),), 20, (5,) * labels)


def small_data(labels, rows=40, features=5):
    targets = (torch.rand(rows, labels) < 0.4).float()
    return Rows(torch.randn(rows, features), targets, torch.arange(rows))


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


def saved(teachers, folder, names):
    nodes = configure(["method=ofcc"])
    paths = []
    for teacher, name in zip(teachers, names):
        backbone = nodes.backbone | {"hidden": teacher.chain.hidden}
        paths.append(folder / f"{name}.pt")
        config = {"method": nodes.method, "backbone": backbone, "loss": nodes.loss}
        write(paths[-1], packed(teacher, config, teacher.task))
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
        write(paths[-1], packed(method, config, task.narrowed(labels)))
    brought = f"method.teachers.from=[{paths[0]},{paths[1]}]"
    list(assemble(configure(["method=tc", brought])).method(task).stages({"train": small_data(3)}))
    with pytest.raises(UserError, match="must be chains"):
        list(assemble(configure(["method=ant", brought])).method(task).stages({"train": small_data(3)}))


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


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["method.teachers.count=1"], "method.teachers.count=1: should be greater than or equal to 2"),
        (["method.teachers.labels=[[0,1],[2,3]]"], "no teacher knows four"),
        (["method.teachers.labels=[[0,1,2,3,4],[5,6,7,8,10]]"], "label 10; the data set has labels 0 to 9"),
        (["method.teachers.labels=[[zero,tow],[one]]"], "'tow', which is no label.*did you mean two"),
        (["method.teachers.labels=[[0,1,1],[2]]"], "one of them twice"),
        (["method.teachers.labels=[[0,1],[2],[3]]"], "3 label sets for method.teachers.count=2"),
        (["method.overlap=1.5"], "method.overlap=1.5: should be less than or equal to 1"),
        (["method.teachers.form=[a]"], "did you mean from"),
        (
            ["method.teachers.from=[a.pt,b.pt]"],
            "from.0=a.pt: no such file; a run leaves its trained method in model.pt",
        ),
        (["split=official"], "needs a part teacher_0; split=official makes none"),
        (["split.teachers=2", "method.teachers.count=3", "method.teachers.labels=null"], "no part teacher_2"),
        (["backbone=mlp"], "backbone"),
        (["method.transfer=pairs"], "method.transfer=pairs: should be 'exactly_one' or 'pairwise'"),
    ],
)
def test_what_cannot_work_is_refused_in_one_sentence(overrides, said, amalgamate):
    with pytest.raises(UserError, match=said) as refused:
        amalgamate("method=ant", *overrides)
    assert "\n" not in str(refused.value)


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


@pytest.mark.parametrize("method", METHODS)
def test_three_teachers_and_a_batch_of_one(method):
    pieces = assemble(
        configure([f"method={method}", "method.teachers.count=3", "method.teachers.labels=null"])
    )
    data = small_data(7)
    student = pieces.method(small_task(7))
    parts = dict.fromkeys(("train", *pieces.split.parts), data)
    for stage in student.stages(parts):
        if not stage.solve:
            stage.module.loss(stage.data.batch(torch.tensor([3]))).backward()
    scores = student.scores(data.batch(torch.tensor([3])))
    assert scores.shape == (1, 7) and ((scores >= 0) & (scores <= 1)).all()


def test_drawn_label_sets_cover_all_labels_and_overlap_as_asked():
    for labels in (1, 6, 14, 45):
        names = [f"label {number}" for number in range(labels)]
        for teachers in (2, 3, 5):
            for overlap in (0.0, 0.25, 0.5, 1.0):
                sets = draw(names, teachers, overlap, 7)
                assert sets == draw(names, teachers, overlap, 7)
                assert set().union(*sets) == set(names) and all(sets)
                if labels >= 14:
                    assert max(map(len, sets)) - min(map(len, sets)) <= 1
                    shared = [
                        sum(any(x in other for other in sets if other is not own) for x in own)
                        for own in sets
                    ]
                    assert sum(shared) / sum(map(len, sets)) == pytest.approx(overlap, abs=0.12)
    assert draw(list("abcdef"), 2, 0.5, 0) != draw(list("abcdef"), 2, 0.5, 1)


def test_shared_labels_come_first_in_the_order_of_appearance():
    sets = [("a", "b", "c", "d"), ("b", "c", "e", "f")]
    assert appearance(sets, "abcdef") == [1, 2, 0, 3, 4, 5]
    assert appearance([("a", "b", "c"), ("d", "e", "f")], "abcdef") == [0, 1, 2, 3, 4, 5]


def test_the_most_certain_expert_has_the_lowest_entropy():
    outputs = [torch.tensor([[2.0], [-0.5]]), torch.tensor([[-3.0], [0.4]])]
    chosen, targets = most_certain(outputs, [[Expert(0, 0), Expert(1, 0)]])
    assert chosen.tolist() == [[1], [0]]
    torch.testing.assert_close(targets, torch.tensor([[-3.0], [-0.5]]).sigmoid())


def test_mean_discrepancy_by_hand():
    """In double precision; some rows are so close that only the narrowest kernel tells them apart."""
    torch.manual_seed(0)
    a, sigmas = torch.randn(4, 3), torch.tensor([0.001, 0.1, 2.0])
    b = torch.cat([a[:2] + 0.001 * torch.randn(2, 3), torch.randn(2, 3)])

    def kernel(u, v):
        u, v = u / u.norm(), v / v.norm()
        return sum(torch.exp(-(u - v).square().sum() / (2 * s * s)).item() for s in sigmas.double())

    def average(rows, others):
        return sum(kernel(u, v) for u in rows.double() for v in others.double()) / 16

    by_hand = average(a, a) + average(b, b) - 2 * average(a, b)
    assert mean_discrepancy(a, b, sigmas).item() == pytest.approx(by_hand, abs=1e-4)
    assert mean_discrepancy(a, a, sigmas).item() == 0


def test_two_rows_a_distance_of_one_sigma_apart():
    """exp(−½) a kernel: σ stands squared."""
    angle = torch.tensor(2 * math.asin(0.05))  # unit vectors .1 apart
    a, b = torch.tensor([[1.0, 0.0]]), torch.stack([angle.cos(), angle.sin()])[None]
    for_sigma = mean_discrepancy(a, b, torch.tensor([0.1])).item()
    assert for_sigma == pytest.approx(2 - 2 * math.exp(-0.5), abs=1e-5)


@pytest.mark.parametrize(
    ("words", "width"),
    [
        (["backbone.hidden=64"], 16),
        (["backbone.hidden=30"], 7),
        (["backbone.hidden=8"], 4),
        (["backbone.hidden=64", "method.narrowing=2"], 32),
        (["backbone.hidden=8", "method.least_width=6"], 6),
    ],
)
def test_the_common_space_is_as_wide_as_the_yaml_says(words, width):
    method = assemble(configure(["method=cfl", "paper=none", *words])).method(small_task(7))
    assert method.extractor[0].in_features == method.extractor[2].out_features == width
