"""Times mlbench beside what one would use instead: python scripts/bench.py suite=step. See --help."""

from mlbench.commands import begin

begin("bench")
