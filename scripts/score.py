"""Measures predictions of any tool: python scripts/score.py predictions.npz truth=labels.csv."""

from mlbench.commands import begin

begin("score")
