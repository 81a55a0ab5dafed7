"""Lists the data sets and where each stands, or gets some: python scripts/fetch.py dataset=scene,yeast."""

from mlbench.commands import begin

begin("fetch")
