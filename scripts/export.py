"""A run as an ONNX graph: python scripts/export.py run=... out=... See --help."""

from mlbench.commands import begin

begin("export")
