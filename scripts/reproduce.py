"""Rebuilds a published table: python scripts/reproduce.py table=ant/2. See --help."""

from mlbench.commands import begin

if __name__ == "__main__":  # processes=2 starts others, which import this file
    begin("reproduce")
