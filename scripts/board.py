"""The board of all methods: python scripts/board.py harvest, render. See --help."""

from mlbench.commands import begin

begin("board")
