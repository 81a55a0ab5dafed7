"""A table that trains for moments."""

TABLE = """
title: A small table
axes:
  dataset: [multidigits]
  setting:
    few: [train.epochs=2]
    more: [train.epochs=3]
  method:
    prior: [method=prior]
    linear: [backbone=linear]
    hidden: ["backbone.widths=[8]"]
overrides: [train.batch_size=20]
metrics:
  f1: {ours: f1_micro}
  hamming: {ours: hamming_loss}
seeds: 2
layout: {blocks: setting, rows: method, columns: metric}
decimals: 4
"""


def small(text: str, **changes: str) -> str:
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    return text
