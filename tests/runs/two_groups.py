"""A table of two groups, which clusters make in moments, and what its runs leave."""

from commands import records, result

TABLE = """
title: A table of two groups
axes:
  dataset: [multidigits]
  method:
    linear: [backbone=linear]
    hidden: ["backbone.widths=[8]"]
overrides: [train.batch_size=20, train.epochs=80]
metrics: [f1_micro]
seeds: 2
"""
REPRODUCE = {"program": "mlbench.commands.reproduce"}


def checkpoints(folder):
    return {
        path.parents[2].name + path.parents[1].name for path in folder.glob("outputs/*/*/*/stages/*.ckpt")
    }


def measured(outputs):
    return {path.parent.name: result(path) for path in records(outputs)}
