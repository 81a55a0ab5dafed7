"""Scores of a part: whoever computes them, in order, once each, and without a look at its labels."""

import threading

import pytest
import torch

import outside
from mlbench.compose import configure
from mlbench.data.rows import Rows
from mlbench.engine import score as engine
from mlbench.engine.score import gather, score, score_part, score_rows
from mlbench.evaluation.suite import evaluate
from mlbench.experiment import run
from mlbench.methods.erm import ERM


class World:
    """Ranks in threads: what each gives to `all_gather`, all get, as from a group of processes."""

    def __init__(self, size):
        self.size = size
        self.given = [None] * size
        self.barrier = threading.Barrier(size, timeout=60)

    def all_gather(self, rank):
        def gathered(tensor):
            self.given[rank] = tensor
            self.barrier.wait()
            shapes = {tuple(given.shape) for given in self.given}
            everything = torch.stack(self.given) if len(shapes) == 1 else None
            self.barrier.wait()
            assert everything is not None, f"ranks gave tensors of different shapes {shapes}"
            return everything

        return gathered

    def run(self, work):
        """What work(rank, all_gather) returns on each rank."""
        results = [None] * self.size

        def target(rank):
            try:
                results[rank] = work(rank, self.all_gather(rank))
            except BaseException:
                self.barrier.abort()
                raise

        threads = [threading.Thread(target=target, args=(rank,)) for rank in range(self.size)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return results


@pytest.mark.parametrize("world", [2, 3, 4])
@pytest.mark.parametrize("rows", [1, 2, 3, 4, 7, 8, 9, 101])
def test_every_rank_gets_the_whole_in_order(rows, world):
    """Odd sizes, and fewer rows than ranks."""
    scores = torch.rand(rows, 5)

    def work(rank, all_gather):
        own = torch.arange(rows)[rank::world]
        return gather(own, scores[own], rows, all_gather)

    for gathered in World(world).run(work):
        assert torch.equal(gathered, scores)


def test_shares_may_overlap_and_come_in_any_order():
    scores = torch.rand(7, 3)
    shares = [torch.tensor([6, 0, 2, 2]), torch.tensor([1]), torch.tensor([5, 4, 3, 2, 1, 0])]
    ours = World(3).run(lambda rank, all_gather: gather(shares[rank], scores[shares[rank]], 7, all_gather))
    assert all(torch.equal(gathered, scores) for gathered in ours)


def test_a_row_that_nobody_scored_is_seen():
    def work(rank, all_gather):
        own = torch.tensor([rank])
        return gather(own, torch.ones(1, 2), 3, all_gather)

    for gathered in World(2).run(work):
        assert gathered[:2].eq(1).all() and gathered[2].isnan().all()


@pytest.mark.parametrize("rows", [1, 2, 5, 37])
def test_metrics_over_ranks_are_those_of_one_process_to_the_last_bit(rows, problem):
    """For the same scores: the gathered ones and those of one process meet the same metrics."""
    data, method = problem.vectors(rows), problem.erm()
    alone = score_part(method, data)

    def by_rank(rank, all_gather):
        return score_part(method, data, rank, 3, all_gather)

    for gathered in World(3).run(by_rank):
        torch.testing.assert_close(
            gathered, alone, rtol=0, atol=1e-6
        )  # batches of other sizes round otherwise
    own = [torch.arange(rows)[rank::3] for rank in range(3)]
    expected = evaluate(alone, alone > 0.5, data.targets)
    for gathered in World(3).run(lambda rank, share: gather(own[rank], alone[own[rank]], rows, share)):
        ours = evaluate(gathered, gathered > 0.5, data.targets)
        assert list(map(repr, ours.items())) == list(map(repr, expected.items()))


def test_a_method_is_scored_in_evaluation_mode_and_left_as_it_was(problem):
    method, data = problem.erm(dropout=0.9), problem.vectors(30)
    for training in (True, False):
        method.train(training)
        scores = [score_rows(method, data, torch.arange(30)) for _ in range(2)]
        assert torch.equal(*scores)
        assert not scores[0].requires_grad and scores[0].dtype == torch.float32
        assert method.training == method.backbone.layers[2].training == training


@pytest.mark.parametrize("rows", [3, 4, 5, 11])
def test_large_parts_are_scored_piece_by_piece(rows, problem, monkeypatch):
    monkeypatch.setattr(engine, "SCORED", 4)
    sizes = []

    class Sized(ERM):
        def scores(self, batch):
            sizes.append(len(batch.x))
            return super().scores(batch)

    method, data = problem.erm(kind=Sized), problem.vectors(rows)
    expected = method.logits(data.batch(torch.arange(rows))).sigmoid()
    torch.testing.assert_close(score_part(method, data), expected, rtol=0, atol=1e-6)
    assert max(sizes) <= 4 and sum(sizes) == rows


@pytest.mark.parametrize("devices", [1, 2])
def test_several_parts_whatever_the_number_of_devices(devices, problem):
    method, parts = problem.erm(dropout=0.5), [problem.vectors(5), problem.vectors(4, seed=1)]
    scores = score(method, parts, problem.settings(devices=devices))
    assert all(map(torch.equal, scores, [score_part(method, part) for part in parts]))


def test_labels_are_hidden_from_who_scores(problem):
    """Nosy takes the labels for its scores where it finds any."""
    data, nosy, honest = problem.vectors(30), problem.erm(kind=outside.Nosy), problem.erm()
    assert torch.equal(score_part(nosy, data), score_part(honest, data))
    relabelled = Rows(data.x, 1 - data.targets, data.ids)
    assert torch.equal(score_part(nosy, relabelled), score_part(nosy, data))


@pytest.mark.parametrize("rule", ["last", "best"])
def test_test_labels_change_no_score(rule, problem, tmp_path, monkeypatch):
    """Two data sets that differ in the labels of their test part alone; and no stage sees that part."""
    import numpy as np

    monkeypatch.setattr(outside.Nosy, "seen", [])
    scores, metrics = [], []
    for flipped in (False, True):
        files = {}
        for part, rows in (("train", 80), ("test", 41)):
            data = problem.vectors(rows, seed=rows)
            targets = data.targets.flip(0) if flipped and part == "test" else data.targets
            files[part] = tmp_path / f"{part}{flipped}.npz"
            np.savez(files[part], features=data.x.numpy(), targets=targets.numpy().astype(np.uint8))
        config = configure(
            [
                "dataset=npz",
                f"dataset.path={files['train']}",
                f"dataset.test={files['test']}",
                "split=official",
                "split.validation=0.2",
                "method._target_=outside.Nosy",
                "threshold=cardinality",
                f"selection.rule={rule}",
                "train.epochs=3",
                f"paths.outputs={tmp_path}/outputs{flipped}",
                f"paths.cache={tmp_path}/cache",
            ]
        )
        record, path = run(config)
        with np.load(path.with_name("scores.npz")) as archive:
            scores.append({name: archive[name] for name in ("last", "best")})
            assert len(archive["targets"]) == 41
        metrics.append(record.metrics[rule])
        assert record.selected["best"]["f1_macro"] > 0
    for name in ("last", "best"):
        assert np.array_equal(scores[0][name], scores[1][name])
    assert metrics[0] != metrics[1]
    assert outside.Nosy.seen == [["train", "validation"]] * 2
