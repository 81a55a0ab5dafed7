"""All finished runs as one page: python scripts/report.py paths.outputs=outputs. See --help."""

from mlbench.commands import begin

begin("report")
