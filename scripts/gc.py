"""Removes from the outputs what nothing needs: python scripts/gc.py. See --help."""

from mlbench.commands import begin

begin("gc")
