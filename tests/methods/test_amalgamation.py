"""The six amalgamation methods: what their students see and learn, what they share, what they refuse."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from mlbench.assemble import assemble
from mlbench.compose import configure
from mlbench.config import target
from mlbench.data.multidigits import MultiDigits
from mlbench.errors import UserError
from mlbench.methods.amalgamation.aka import most_certain
from mlbench.methods.amalgamation.cfl import mean_discrepancy
from mlbench.methods.amalgamation.label_sets import Expert, appearance, draw
from small import small_data, small_task

METHODS = ("ant", "bl", "tc", "cfl", "fka", "aka")


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
    """In half of the epochs that are shipped: 40 a teacher, 60 the student; the paper has 1,000 and 200."""
    halves = ["method.teachers.epochs=20", "train.epochs=30"]
    record, scores, _ = amalgamate("method=ant", *halves, quick=False)
    targets = scores["targets"]
    assert record.metrics["last"]["hamming_loss"] < 0.6 * targets.mean()  # which is all-negative's loss
    chance = np.random.default_rng(0).permutation(scores["last"] > 0.5)
    by_chance = 2 * (chance & (targets > 0)).sum() / (chance.sum() + targets.sum())
    assert record.metrics["last"]["f1_micro"] > by_chance + 0.25


@pytest.mark.parametrize("method", ["ant", "tc"])
def test_a_student_of_random_targets_learns_nothing(method, amalgamate, monkeypatch):
    settings = ["method.teachers.epochs=10", "train.epochs=10", "train.batch_size=16"]
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
