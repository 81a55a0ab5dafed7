"""Searches for hyper-parameters on validation data: scripts/search.py sweep=sigmoid_f1. See --help."""

import sys

from mlbench.search.command import main

sys.exit(main())
