"""Trained runs on new rows: python scripts/predict.py run=... path=... See --help."""

from mlbench.commands import begin

begin("predict")
