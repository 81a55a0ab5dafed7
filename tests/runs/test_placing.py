"""Which GPU and how many threads each worker takes, on machines that are made up."""

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

import outside
from mlbench.config import Train
from mlbench.errors import UserError
from mlbench.runs import processes
from mlbench.runs.placing import placed, visible_gpus


def test_each_worker_takes_a_gpu_of_its_own_before_any_is_shared():
    assert [place["CUDA_VISIBLE_DEVICES"] for place in placed(4, 16, ["0", "1", "2", "3"])] == [*"0123"]
    shared = placed(5, 16, ["4", "GPU-a"], per_gpu=3)
    assert [place["CUDA_VISIBLE_DEVICES"] for place in shared] == ["4", "GPU-a", "4", "GPU-a", "4"]
    pairs = placed(2, 16, [*"01234"], each=2)
    assert [place["CUDA_VISIBLE_DEVICES"] for place in pairs] == ["0,1", "2,3"]


@pytest.mark.parametrize(
    "asked, said",
    [
        ((4, 8, ["0", "1"]), "launch.per_gpu=2 lets them share"),
        ((7, 8, ["0", "1"], 2), "launch.per_gpu=4 lets them share"),
        ((2, 8, []), "0 GPUs are visible"),
        ((1, 8, ["0"], 1, 2), "processes=1 of 2 GPUs each: 1 GPU is visible"),
    ],
)
def test_more_workers_than_the_gpus_hold_are_refused(asked, said):
    with pytest.raises(UserError, match=said):
        placed(*asked)


@given(st.integers(1, 40), st.integers(1, 64), st.integers(0, 8), st.integers(1, 9), st.integers(1, 3))
def test_nobody_gets_more_than_there_is(workers, cores, count, per_gpu, each):
    gpus = [f"GPU-{number}" for number in range(count)]
    if count // each * per_gpu < workers:
        with pytest.raises(UserError):
            placed(workers, cores, gpus, per_gpu, each)
        return
    places = placed(workers, cores, gpus, per_gpu, each)
    taken = [name for place in places for name in place["CUDA_VISIBLE_DEVICES"].split(",")]
    assert len(places) == workers and len(taken) == workers * each and {*taken} <= {*gpus}
    assert max(map(taken.count, gpus)) <= per_gpu
    assert max(map(taken.count, taken)) - min(map(taken.count, taken)) <= 1
    threads = [int(place["OMP_NUM_THREADS"]) for place in places]
    assert sum(threads) <= max(cores, workers) and min(threads) >= 1


def test_without_a_gpu_workers_share_the_cores_alone():
    assert placed(3, 8) == [{"OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2"}] * 3


@pytest.mark.parametrize(
    "named, count, seen",
    [(None, 2, ["0", "1"]), ("3, 5", 2, ["3", "5"]), ("GPU-a,9,1", 1, ["GPU-a"]), ("", 0, []), ("-1", 0, [])],
)
def test_only_gpus_that_this_process_sees_are_given_away(named, count, seen):
    around = {} if named is None else {"CUDA_VISIBLE_DEVICES": named}
    assert visible_gpus(around, count) == seen


@pytest.mark.parametrize("accelerator, gpus", [("gpu", ["6", "7"]), ("auto", ["6", "7"]), ("cpu", None)])
def test_what_is_trained_on_decides(accelerator, gpus, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "6,7")
    monkeypatch.setattr(processes.torch.cuda, "device_count", lambda: 2)
    train = Train.model_construct(accelerator=accelerator, devices=1)
    assert processes.gpus_for(train, 3) == (gpus, 3, 1)


def test_a_worker_has_the_variables_of_its_place(folder, monkeypatch):
    """Seen from within three workers of a machine with two GPUs, of which neither is touched."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(processes, "gpus_for", lambda train, per_gpu: (["6", "7"], per_gpu, 1))
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        monkeypatch.setenv(name, "1")  # what the command sets is undone
    run = SimpleNamespace(config=SimpleNamespace(dataset={}, train=None))
    processes.side_by_side(outside.tells_place, [run], 3, per_gpu=2)
    assert {path.name: path.read_text() for path in folder.iterdir()} == {"0": "6", "1": "7", "2": "6"}
