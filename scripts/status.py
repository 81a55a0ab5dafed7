"""What runs, how far it is, what failed: python scripts/status.py. See --help."""

from mlbench.commands import begin

begin("status")
