"""A trained run behind a page of this machine: python scripts/serve.py run=... See --help."""

from mlbench.commands import begin

begin("serve")
