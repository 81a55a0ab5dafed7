"""Scores of the confusion matrix as losses against loops, and against scikit-learn where they are hard."""

import math

import pytest
import torch
from sklearn.metrics import fbeta_score, precision_score, recall_score

from mlbench.assemble import check_loss, tell_untaken
from mlbench.compose import configure
from mlbench.config import options
from mlbench.data.task import Task
from mlbench.errors import UserError
from mlbench.losses.confusion import confusion, unbounded_f1

SCORES = [("f_beta", 1.0), ("f_beta", 0.5), ("f_beta", 2.0)]
SCORES += [(score, None) for score in ("accuracy", "precision", "recall", "specificity", "npv")]
REDUCTIONS = ["macro", "pooled"]


def drawn_for_counting(rows=8, labels=5):
    generator = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(rows, labels, generator=generator, dtype=torch.float64)
    targets = (torch.rand(rows, labels, generator=generator) < 0.4).double()
    targets[:, 0] = 0
    targets[:, 1] = 1
    return logits, targets


def score_by_hand(counts, score, beta):
    tp, fp, fn, tn = counts
    above, below = {
        "accuracy": (tp + tn, tp + fp + fn + tn),
        "precision": (tp, tp + fp),
        "recall": (tp, tp + fn),
        "specificity": (tn, tn + fp),
        "npv": (tn, tn + fn),
        "f_beta": ((1 + (beta or 0) ** 2) * tp, (1 + (beta or 0) ** 2) * tp + (beta or 0) ** 2 * fn + fp),
    }[score]
    return above / below if below else 0.0


def loss_by_hand(soft, targets, score, beta, reduction):
    counts = [[0.0] * 4 for _ in range(targets.shape[1])]
    for row, ys in zip(soft.tolist(), targets.tolist()):
        for label, (s, y) in enumerate(zip(row, ys)):
            entry = (s * y, s * (1 - y), (1 - s) * y, (1 - s) * (1 - y))
            counts[label] = [count + more for count, more in zip(counts[label], entry)]
    if reduction == "pooled":
        counts = [[sum(column) for column in zip(*counts)]]
    return 1 - sum(score_by_hand(count, score, beta) for count in counts) / len(counts)


@pytest.mark.parametrize("score, beta", SCORES)
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("on", ["probabilities", "logits"])
def test_they_are_their_formulas(score, beta, reduction, on):
    logits, targets = drawn_for_counting()
    at = [[1 / (1 + math.exp(-z)) if on == "probabilities" else z for z in row] for row in logits.tolist()]
    soft = torch.tensor([[1 / (1 + math.exp(-3 * (u - 0.2))) for u in row] for row in at]).double()
    for wanted in (targets, torch.lerp(targets, torch.full_like(targets, 0.3), 0.2)):
        found = confusion(logits, wanted, score, beta, 3.0, -0.2, on, reduction)
        assert found.item() == pytest.approx(loss_by_hand(soft, wanted, score, beta, reduction), rel=1e-6)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_unbounded_f1_is_its_formula(reduction):
    logits, targets = drawn_for_counting()
    expected = loss_by_hand(logits, targets, "f_beta", 1.0, reduction)
    assert unbounded_f1(logits, targets, reduction).item() == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("reduction, average", [("macro", "macro"), ("pooled", "micro")])
@pytest.mark.parametrize("seed", range(3))
def test_a_huge_slope_makes_them_scikit_learns(reduction, average, seed):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(30, 6, generator=generator)
    targets = (torch.rand(30, 6, generator=generator) < 0.3).float()
    targets[:, 0], logits[:, 1] = 0, -3
    logits[:, 2] = targets[:, 2] = -0.0  # undecided, at the cut
    logits[:, 2] -= 3
    hard, how = (logits > 0).numpy(), {"average": average, "zero_division": 0}

    def found(score, beta=None, flipped=False):
        sign = -1 if flipped else 1
        wanted = 1 - targets if flipped else targets
        return 1 - confusion(sign * logits, wanted, score, beta, 1e7, -0.5, "probabilities", reduction).item()

    expected = targets.numpy()
    for beta in (0.5, 1.0, 2.0):
        assert found("f_beta", beta) == pytest.approx(fbeta_score(expected, hard, beta=beta, **how), abs=1e-6)
    assert found("precision") == pytest.approx(precision_score(expected, hard, **how), abs=1e-6)
    assert found("recall") == pytest.approx(recall_score(expected, hard, **how), abs=1e-6)
    assert found("accuracy") == pytest.approx((expected == hard).mean(), abs=1e-6)
    assert found("specificity") == pytest.approx(found("recall", flipped=True), abs=1e-6)
    assert found("npv") == pytest.approx(found("precision", flipped=True), abs=1e-6)


@pytest.mark.parametrize("name, at, soft", [("image", 0.75, 0.5), ("text", 0.0, 1 / (1 + math.exp(-9)))])
def test_the_papers_presets_are_what_their_files_say(name, at, soft):
    node = options(configure([f"loss=sigmoid_f1_{name}"]).loss)
    assert 1 / (1 + math.exp(-node["slope"] * (at + node["offset"]))) == pytest.approx(soft)
    assert soft == 0.5 or soft > 0.9998


def test_half_precision_is_left_before_anything_saturates():
    logits, targets = (part.float() for part in drawn_for_counting())
    how = options(configure(["loss=sigmoid_f1_text"]).loss)
    halved = logits.bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        value = confusion(halved.requires_grad_(), targets, **how)
    value.backward()
    assert value.dtype == torch.float32 and torch.equal(value, confusion(halved.float(), targets, **how))
    assert halved.grad.any() and torch.sigmoid(9 * (halved.sigmoid() + 1)).eq(1).all()


@pytest.mark.parametrize("score, beta", [("f_beta", None), ("recall", 1.0)])
def test_a_beta_without_its_score_is_refused(score, beta):
    words = ["loss=soft_f1", f"loss.score={score}", f"loss.beta={'null' if beta is None else beta}"]
    task = Task("small", ("a", "b"), (), 9, (3, 3))
    with pytest.raises(UserError, match=r"^loss=soft_f1: score=f_beta takes a beta, the other scores take"):
        check_loss(configure(words), task)


@pytest.mark.parametrize("name", ["sigmoid_f1", "unbounded_f1", "bce"])
def test_a_small_batch_is_commented_on(name, capsys):
    task, config = Task("small", ("a", "b"), (), 9, (3, 3)), configure([f"loss={name}"])
    for size in (32, 31):
        assert capsys.readouterr().err == ""
        train = config.train.model_copy(update={"batch_size": size})
        check_loss(config.model_copy(update={"train": train}), task)
    said = capsys.readouterr().err
    assert said.count("\n") == (name != "bce") and (name == "bce" or "train.batch_size=32 or more" in said)


@pytest.mark.parametrize("group, choice", [("loss", "asl"), ("backbone", "linear")])
@pytest.mark.parametrize("method, told", [("prior", True), ("erm", False)])
def test_what_a_method_does_not_take_is_told_of(method, told, group, choice, capsys):
    tell_untaken(configure([f"method={method}", f"{group}={choice}"]))
    said = f"method={method} takes no {group}: {group}={choice} changes nothing"
    assert (said in capsys.readouterr().err) == told


@pytest.mark.parametrize("method", ["prior", "br", "ofcc", "ant", "bl", "erm"])
def test_of_defaults_nothing_is_told(method, capsys):
    tell_untaken(configure([f"method={method}"]))
    assert capsys.readouterr().err == ""
