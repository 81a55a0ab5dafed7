"""Who of several workers does what."""

from types import SimpleNamespace

from mlbench.runs import processes
from mlbench.runs.groups import beginning


def run(name, **statistics):
    dataset = {"name": name} | ({"statistics": statistics} if statistics else {})
    return SimpleNamespace(config=SimpleNamespace(dataset=dataset))


def test_each_worker_begins_with_other_data_while_there_are_such():
    groups = [[run("medical")], [run("medical")], [run("scene")]]
    begun = [beginning(groups, worker) for worker in range(4)]
    assert [each[0] for each in begun] == [groups[0], groups[2], groups[1], groups[0]]
    assert all(sorted(map(id, each)) == sorted(map(id, groups)) for each in begun)


def test_the_size_of_data_is_what_their_yaml_says():
    sizes = [processes.size(each.config.dataset) for each in (run("a", instances=3, features=5), run("b"))]
    assert sizes == [15, 0]
    assert processes.size({"statistics": {"instances": 3, "features": None}}) == 0
