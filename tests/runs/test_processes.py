"""Who of several workers does what."""

from types import SimpleNamespace

from mlbench.runs import processes
from mlbench.runs.groups import apart, beginning


def run(name, teachers=None, **statistics):
    dataset = {"name": name} | ({"statistics": statistics} if statistics else {})
    method = {"teachers": teachers} if teachers else {}
    return SimpleNamespace(config=SimpleNamespace(dataset=dataset, method=method), key=object())


def test_each_worker_begins_with_other_data_while_there_are_such():
    groups = [[run("medical")], [run("medical")], [run("scene")]]
    begun = [beginning(groups, worker) for worker in range(4)]
    assert [each[0] for each in begun] == [groups[0], groups[2], groups[1], groups[0]]
    assert all(sorted(map(id, each)) == sorted(map(id, groups)) for each in begun)


def test_and_with_other_teachers():
    """Of one data set: a worker that began with the same teachers as another would wait for them."""
    few, many = {"labels": [[0, 1], [1, 2]]}, {"labels": [[0], [1, 2]]}
    groups = [[run("scene", few)], [run("scene", few)], [run("scene", many)], [run("scene")]]
    assert [beginning(groups, worker)[0] for worker in range(3)] == [groups[0], groups[2], groups[3]]
    assert apart(groups[1:], groups) is groups[2]
    assert apart(groups[:1], groups[:2]) is groups[0], "where all need the same, the first one is next"


def test_the_size_of_data_is_what_their_yaml_says():
    sizes = [processes.size(each.config.dataset) for each in (run("a", instances=3, features=5), run("b"))]
    assert sizes == [15, 0]
    assert processes.size({"statistics": {"instances": 3, "features": None}}) == 0
