"""Searches for hyper-parameters on validation data: scripts/search.py sweep=sigmoid_f1. See --help."""

from mlbench.commands import begin

begin("search")
