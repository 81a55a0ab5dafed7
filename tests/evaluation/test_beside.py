"""A rule with another beside it: each is what it is alone."""

import pytest
import torch

from mlbench.evaluation.beside import CardinalityBeside
from mlbench.evaluation.measure import measure
from mlbench.evaluation.thresholds import Cardinality, Fixed


def test_cardinality_with_a_given_cut_beside_it():
    generator = torch.Generator().manual_seed(0)
    fitted_on, cut = (torch.rand(30, 4, generator=generator) ** 2 for _ in range(2))
    truth = {id(part): torch.rand(30, 4, generator=generator) < 0.4 for part in (fitted_on, cut)}
    fitting = fitted_on, truth[id(fitted_on)]

    def found(rule):
        return measure(rule, cut, truth[id(cut)], fitting).metrics

    both, alone = found(CardinalityBeside("validation", 0.5)), found(Cardinality("validation"))
    given = found(Fixed(0.5))
    assert both["f1_macro"] == alone["f1_macro"] != given["f1_macro"] == both["f1_macro_fixed"]
    assert {name: both[name] for name in alone} == pytest.approx(alone, abs=0, nan_ok=True)
    ends = {name: value for name, value in both.items() if name.endswith("_fixed")}
    assert ends == pytest.approx({name: given[name.removesuffix("_fixed")] for name in ends}, nan_ok=True)
