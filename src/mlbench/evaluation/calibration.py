"""Calibration: maps fitted on a part that make a score of .3 mean that three in ten are relevant.

A map of a label never turns the order of the label's scores round. A label that is relevant in no instance of
the part, or in all, has nothing to be fitted by: its scores stay as they are.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor, nn

from mlbench.evaluation.thresholds import check_fittable

# The logits of scores 0 and 1 in float32: of half the least number above 0, and of as far below 1 as the
# largest number below 1 is above it.
LEAST, MOST = 2.0**-150, 1 - 2.0**-25
SLOPES = (0.01, 100.0)  # 1/T: without bounds scores that part a label without error would have T = 0
STEPS, HALVINGS, ENOUGH = 100, 40, 1e-10
ROUNDING = 1e-13  # a loss that is higher by less is not known to be higher
BLOCK = 2**22  # entries in double precision at once


class Calibration(nn.Module):
    """What a calibrator has fitted, as a graph of scores (N, L). Its buffers are all of its state."""

    kind: ClassVar[str]
    fitted: Tensor  # (L,) labels that have a map; the others keep their scores

    @property
    def plain(self) -> dict[str, Any]:
        """Tensors and a word, for a file."""
        return {"kind": self.kind} | dict(self.state_dict())

    def forward(self, scores: Tensor) -> Tensor:
        """(N, L) in the type of the scores."""
        return torch.where(self.fitted, self.mapped(scores.double()).to(scores.dtype), scores)

    def mapped(self, scores: Tensor) -> Tensor:
        raise NotImplementedError

    def summary(self) -> dict[str, list[float]]:
        """Numbers for the record, one a label."""
        raise NotImplementedError


class Logits(Calibration):
    """σ(slope · z + shift) of the logit z of a score; 1 / slope is the temperature."""

    kind = "logits"
    slope: Tensor
    shift: Tensor

    def __init__(self, slope: Tensor, shift: Tensor, fitted: Tensor):
        super().__init__()
        for name, buffer in (("slope", slope), ("shift", shift), ("fitted", fitted)):
            self.register_buffer(name, buffer)

    def mapped(self, scores: Tensor) -> Tensor:
        return (self.slope * logits(scores) + self.shift).sigmoid()

    def summary(self) -> dict[str, list[float]]:
        numbers = {"temperature": (1 / self.slope).tolist()}
        return numbers | ({"bias": self.shift.tolist()} if self.shift.any() else {})


class Steps(Calibration):
    """Straight lines between knots: score x[j, k] of label j becomes y[j, k]; flat outside of them."""

    kind = "steps"
    x: Tensor
    y: Tensor

    def __init__(self, x: Tensor, y: Tensor, fitted: Tensor):
        super().__init__()
        for name, buffer in (("x", x), ("y", y), ("fitted", fitted)):
            self.register_buffer(name, buffer)

    def place(self, scores: Tensor) -> Tensor:
        """(N, L) how many of its label's knots each score reaches."""
        return torch.searchsorted(self.x, scores.T.contiguous(), right=True).T.contiguous()

    def mapped(self, scores: Tensor) -> Tensor:
        labels, knots = self.x.shape
        row = knots * torch.arange(labels, device=scores.device)
        left = (self.place(scores) - 1).clamp(0, knots - 2) + row
        x, y = self.x.flatten(), self.y.flatten()
        width = x[left + 1] - x[left]
        # Behind the last knot of a label the row is filled with that knot, so that the width is 0.
        share = torch.where(width > 0, (scores - x[left]) / width.where(width > 0, 1.0), 1.0).clamp(0, 1)
        return y[left] + share * (y[left + 1] - y[left])

    def summary(self) -> dict[str, list[float]]:
        return {"knots": [float(len(row.unique())) for row in self.x]}


class Calibrator(Protocol):
    """What conf/calibration names."""

    part: str  # the part that it is fitted on
    takes: frozenset[str]  # the scores for which it makes sense, as methods say what theirs are

    def fit(self, scores: Tensor, targets: Tensor) -> Calibration:
        """From (N, L) scores and targets of the part."""
        ...


class Temperature:
    """One temperature a label: z / T has the least binary cross-entropy on the part that it is fitted on
    (Guo et al. 2017). With `bias` z / T + b (Platt 1999). `shared`: the same numbers for all labels.
    """

    part: ClassVar[str] = "validation"
    takes: ClassVar[frozenset[str]] = frozenset({"probabilities"})

    def __init__(self, shared: bool, bias: bool):
        self.shared, self.bias = shared, bias

    def fit(self, scores: Tensor, targets: Tensor) -> Logits:
        scores = check_fittable(scores, targets, self.part, "calibration").double()
        true, labels = targets.bool(), scores.shape[1]
        if self.shared:
            (slope, shift) = least_bce(scores.reshape(-1, 1), true.reshape(-1, 1), self.bias)
            fitted = torch.ones(labels, dtype=torch.bool)
            return Logits(slope.expand(labels).clone(), shift.expand(labels).clone(), fitted)
        fitted = both(true)
        slope, shift = torch.ones(labels, dtype=torch.float64), torch.zeros(labels, dtype=torch.float64)
        for block in fitted.nonzero().flatten().split(max(1, BLOCK // len(scores))):
            slope[block], shift[block] = least_bce(scores[:, block], true[:, block], self.bias)
        return Logits(slope, shift, fitted)


class Isotonic:
    """The non-decreasing map of a label's scores with the least squared error (Zadrozny and Elkan 2002), as
    scikit-learn's IsotonicRegression has it.
    """

    part: ClassVar[str] = "validation"
    takes: ClassVar[frozenset[str]] = frozenset({"probabilities", "votes"})

    def __init__(self):
        """There is nothing to choose."""

    def fit(self, scores: Tensor, targets: Tensor) -> Steps:
        from sklearn.isotonic import IsotonicRegression

        scores = check_fittable(scores, targets, self.part, "calibration").double()
        true = targets.bool()
        fitted = both(true)
        knots = [(torch.tensor([0.0, 1.0]).double(),) * 2] * len(fitted)
        for label in fitted.nonzero().flatten().tolist():
            isotonic = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip")
            isotonic.fit(scores[:, label].numpy(), true[:, label].double().numpy())
            knots[label] = torch.from_numpy(isotonic.X_thresholds_), torch.from_numpy(isotonic.y_thresholds_)
        most = max(2, *(len(x) for x, _ in knots))
        filled = [[torch.cat([row, row[-1:].expand(most - len(row))]) for row in pair] for pair in knots]
        x, y = (torch.stack(rows) for rows in zip(*filled))
        return Steps(x, y, fitted)


def told(fitted: Mapping[str, Calibration | None], labels: Sequence[str]) -> dict[str, Any]:
    """For the record, by selection rule: what was fitted, and the labels whose scores stay as they are."""

    def left(calibration: Calibration) -> list[str]:
        return [label for label, has in zip(labels, calibration.fitted.tolist()) if not has]

    return {rule: each.summary() | {"left": left(each)} for rule, each in fitted.items() if each is not None}


def of_plain(plain: dict[str, Any] | None, labels: int) -> Calibration | None:
    """A calibration as a file has it; an error if there is no such thing."""
    if plain is None:
        return None
    kinds = {kind.kind: kind for kind in (Logits, Steps)}
    calibration = kinds[plain["kind"]](**{name: value for name, value in plain.items() if name != "kind"})
    scores = torch.rand(2, labels)
    finite = all(each.isfinite().all() for each in calibration.buffers())
    if not finite or calibration(scores).shape != scores.shape:
        raise ValueError(f"its calibration is none of {labels} labels")
    return calibration


def logits(scores: Tensor) -> Tensor:
    return scores.clamp(min=LEAST).log() - (-scores.clamp(max=MOST)).log1p()


def both(true: Tensor) -> Tensor:
    """(L,) whether a label has positives and negatives."""
    return true.any(0) & ~true.all(0)


def least_bce(scores: Tensor, true: Tensor, bias: bool) -> tuple[Tensor, Tensor]:
    """The slope within SLOPES and the shift, (L,) each, with the least mean binary cross-entropy of a label's
    column: Newton's method for all labels at once. The loss is convex, and a step that does not lower it is
    halved. Without `bias` the shift is 0.
    """
    z, y = logits(scores), true.double()
    slope, shift = torch.ones_like(z[0]), torch.zeros_like(z[0])
    loss = bce(slope, shift, z, y)
    for _ in range(STEPS):
        p = (slope * z + shift).sigmoid()
        error, weight = p - y, p * (1 - p)
        down = torch.stack([-(error * z).mean(0), -error.mean(0)])
        held = torch.where(down[0] > 0, slope >= SLOPES[1], slope <= SLOPES[0])
        down = torch.where(torch.stack([held, torch.full_like(held, not bias)]), 0.0, down)
        if (down.abs() < ENOUGH).all():
            break
        step = newton(down, (weight * z * z).mean(0), (weight * z).mean(0), weight.mean(0))
        length = torch.ones_like(loss)
        for _ in range(HALVINGS):
            tried = (slope + length * step[0]).clamp(*SLOPES), shift + length * step[1]
            new = bce(*tried, z, y)
            worse = ~(new <= loss + ROUNDING * (1 + loss))
            if not worse.any():
                break
            length = torch.where(worse, length / 2, length)
        slope, shift, loss = (torch.where(worse, a, b) for a, b in zip((slope, shift, loss), (*tried, new)))
    return slope, shift


def newton(down: Tensor, slopes: Tensor, mixed: Tensor, shifts: Tensor) -> Tensor:
    """The step (2, L) that solves H step = down; what is held, where down is 0, stays.

    H gets a little more on its diagonal, since it vanishes where all scores are near 0 or 1.
    """
    slopes, shifts = slopes + 1e-12 * (1 + slopes), shifts + 1e-12
    mixed = mixed * (down != 0).all(0)
    determinant = slopes * shifts - mixed * mixed
    return torch.stack([shifts * down[0] - mixed * down[1], slopes * down[1] - mixed * down[0]]) / determinant


def bce(slope: Tensor, shift: Tensor, z: Tensor, y: Tensor) -> Tensor:
    """(L,) the mean binary cross-entropy of logits slope · z + shift."""
    logit = slope * z + shift
    return (nn.functional.softplus(logit) - y * logit).mean(0)
