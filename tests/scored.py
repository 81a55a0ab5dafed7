"""Scores and targets made at random, for what cuts scores."""

import torch
from hypothesis import strategies as st


@st.composite
def scored_parts(draw):
    """Scores and targets of one part, and scores of another, with many ties or few."""
    rows, others, columns = draw(st.integers(1, 6)), draw(st.integers(1, 6)), draw(st.integers(1, 4))
    levels = draw(st.sampled_from((1, 2, 4, 100)))
    size = rows * columns
    drawn = draw(st.binary(min_size=2 * size + others * columns, max_size=2 * size + others * columns))
    numbers = torch.tensor(list(drawn))
    scores = (numbers[:size] % levels / 100).reshape(rows, columns)
    targets = (numbers[size : 2 * size] & 1).reshape(rows, columns)
    return scores, targets, (numbers[2 * size :] % levels / 100).reshape(others, columns)


def random_part(rows, columns, seed=0):
    draws = torch.Generator().manual_seed(seed)
    scores = torch.rand(rows, columns, generator=draws)
    return scores, (torch.rand(rows, columns, generator=draws) < scores).float()
